//! The past of an owner: the walk along its history, and the state as it was at the end of a walk.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use inboxclaw_contract::space::SpaceInfo;
use inboxclaw_contract::store::{Before, HistoryLimit, PastTurn};
use inboxclaw_contract::{OwnerId, SpaceId, Version};
use jiff::Timestamp;

use crate::editor::{Editor, STEP_BYTES};
use crate::error::EditError;

/// How much of a history is read at once.
const PAGE: HistoryLimit = HistoryLimit { turns: 200, bytes: STEP_BYTES };

/// A walk along an owner's history, newest first.
pub(crate) struct Walk<'a> {
    editor: &'a Editor,
    owner: OwnerId,
    /// The version whose row comes next: the state that the walk has reached.
    at: i64,
    page: VecDeque<PastTurn>,
    /// The oldest row so far.
    oldest: Option<(i64, Timestamp)>,
}

impl<'a> Walk<'a> {
    /// A walk that starts at this version.
    pub(crate) fn new(editor: &'a Editor, owner: OwnerId, from: Version) -> Self {
        Self { editor, owner, at: from.0, page: VecDeque::new(), oldest: None }
    }

    /// The version that the walk has reached: that of the row that comes next.
    pub(crate) fn at(&self) -> Version {
        Version(self.at)
    }

    /// The turn that made the version reached; `None` when that is no longer known, and before the first.
    pub(crate) async fn next(&mut self) -> Result<Option<PastTurn>, EditError> {
        if self.at <= 0 {
            return Ok(None);
        }
        if self.page.is_empty() {
            let before = Some(Version(self.at.saturating_add(1)));
            self.page = self.editor.store.history(self.owner, before, PAGE).await?.into();
        }
        // Versions have no gaps, so a row of another version means that this one is gone.
        let next = self.page.pop_front().filter(|turn| turn.version.0 == self.at);
        if let Some(turn) = &next {
            self.at -= 1;
            self.oldest = Some((turn.version.0, turn.at));
        }
        Ok(next)
    }

    /// When the oldest turn so far was; `None` while there was none.
    pub(crate) fn begin(&self) -> Option<Timestamp> {
        self.oldest.map(|(_, at)| at)
    }

    /// The error that history does not go back to `wanted`.
    pub(crate) fn forgotten(&self, wanted: &str) -> EditError {
        EditError::Forgotten(match self.oldest {
            Some((version, at)) => format!(
                "history does not go back to {wanted}: the oldest that it knows is version {} and the time {at}",
                version - 1
            ),
            None => format!("history does not go back to {wanted}: it knows no version but {}", self.at),
        })
    }
}

/// The state as it was at a version: a space as it is now, with changes over it.
pub(crate) struct PastState {
    /// The owner's space at that version.
    pub(crate) space: SpaceId,
    /// The cursor at that version; `None` when it is the one of now.
    pub(crate) cursor: Option<Option<String>>,
    /// What was under the keys that changed since, by space: a space may have been left and put back.
    changes: HashMap<SpaceId, BTreeMap<String, Before>>,
}

impl PastState {
    /// The state as it is now.
    pub(crate) fn new(now: SpaceInfo) -> Self {
        Self { space: now.id, cursor: None, changes: HashMap::new() }
    }

    /// Goes one turn back.
    ///
    /// # Errors
    /// [`EditError::Marker`].
    pub(crate) fn take_back(&mut self, turn: &PastTurn) -> Result<(), EditError> {
        if turn.marker {
            return Err(marker(turn));
        }
        if !turn.entries.is_empty() {
            // Within a turn the swap comes first: its entries belong to the space after it.
            self.changes.entry(self.space).or_default().extend(turn.entries.iter().cloned());
        }
        if let Some(replaced) = turn.replaced {
            self.space = replaced;
        }
        if let Some(cursor) = &turn.cursor {
            self.cursor = Some(cursor.clone());
        }
        Ok(())
    }

    /// The keys of the space that changed since, as they were.
    pub(crate) fn changes(&self) -> Option<&BTreeMap<String, Before>> {
        self.changes.get(&self.space)
    }

    /// As [`changes`](Self::changes), owned.
    pub(crate) fn take_changes(&mut self) -> BTreeMap<String, Before> {
        self.changes.remove(&self.space).unwrap_or_default()
    }
}

/// The error that a turn cannot be taken back.
pub(crate) fn marker(turn: &PastTurn) -> EditError {
    EditError::Marker { version: turn.version.0, at: turn.at }
}

/// What changed between two versions.
#[derive(Default)]
pub(crate) struct Changed {
    pub(crate) keys: BTreeSet<String>,
    pub(crate) cursor: bool,
}

impl Changed {
    /// What changed after `base` up to `until`; `None` when that is not known key by key.
    pub(crate) async fn between(
        editor: &Editor,
        owner: OwnerId,
        base: Version,
        until: Version,
    ) -> Result<Option<Self>, EditError> {
        let mut changed = Self::default();
        let mut walk = Walk::new(editor, owner, until);
        while walk.at() > base {
            match walk.next().await? {
                Some(turn) if !turn.marker && turn.replaced.is_none() => {
                    changed.cursor |= turn.cursor.is_some();
                    changed.keys.extend(turn.entries.into_iter().map(|(key, _)| key));
                }
                _ => return Ok(None),
            }
        }
        Ok(Some(changed))
    }
}
