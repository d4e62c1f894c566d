//! Rewind: the state as it was, as a new turn.

use inboxclaw_contract::space::SpaceInfo;
use inboxclaw_contract::{OwnerId, Version};
use jiff::Timestamp;

use crate::editor::{Editor, Progress, TRIES};
use crate::error::EditError;
use crate::history::{PastState, Walk};
use crate::restore::{Target, Why, restore};

/// Where a rewind leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum To {
    /// The state as this version was.
    Version(Version),
    /// The state as it was at that time.
    Time(Timestamp),
}

/// What a rewind did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewound {
    /// The version whose state is back.
    pub to: Version,
    /// The owner's version afterwards.
    pub version: Version,
    /// How many turns were taken back.
    pub turns: u64,
    /// How many entries differ from before; all of them when a whole space came back.
    pub entries: u64,
    /// Whether the cursor differs from before.
    pub cursor: bool,
    /// Keys that are not as before: those that are or were a secret are left alone, and what has expired since does not
    /// come back.
    pub left: Vec<String>,
}

impl Editor {
    /// Restores the state as it was, as a new turn. What turns do while that takes place is taken back too.
    ///
    /// # Errors
    /// [`EditError::Forgotten`], [`EditError::Marker`], [`EditError::Busy`], or the store's.
    pub async fn rewind(&self, owner: OwnerId, to: To, progress: Progress<'_>) -> Result<Rewound, EditError> {
        for _ in 0..TRIES {
            let base = self.store.space(owner).await?;
            let (mut past, reached) = reach(self, owner, base, to).await?;
            let changes = past.take_changes();
            let target =
                Target { space: past.space, changes, cursor: past.cursor, undoes: None, why: Why::Rewind };
            if let Some(done) = restore(self, owner, base, target, progress).await? {
                return Ok(Rewound {
                    to: reached,
                    version: done.version,
                    turns: done.base.0.abs_diff(reached.0),
                    entries: done.entries,
                    cursor: done.cursor,
                    left: done.left,
                });
            }
        }
        Err(EditError::Busy)
    }
}

/// The state at `to`, and its version.
async fn reach(
    editor: &Editor,
    owner: OwnerId,
    base: SpaceInfo,
    to: To,
) -> Result<(PastState, Version), EditError> {
    let mut walk = Walk::new(editor, owner, base.version);
    let mut past = PastState::new(base);
    let wanted = match to {
        To::Version(version) => format!("version {}", version.0),
        To::Time(time) => time.to_string(),
    };
    if matches!(to, To::Version(version) if version > base.version || version.0 < 0) {
        let newest = base.version.0;
        return Err(EditError::Forgotten(format!("there is no {wanted}: the newest is version {newest}")));
    }
    loop {
        let reached = walk.at();
        // Before the first turn there is nothing older. Since when it was so, nobody knows: who names a time means a state
        // that there was, and does not want everything removed.
        if reached.0 == 0
            && let (To::Time(_), Some(begin)) = (to, walk.begin())
        {
            return Err(EditError::Forgotten(format!(
                "history begins at {begin}, after {wanted}; version 0 is the empty state before it"
            )));
        }
        if reached.0 == 0 || matches!(to, To::Version(version) if version == reached) {
            return Ok((past, reached));
        }
        let Some(turn) = walk.next().await? else { return Err(walk.forgotten(&wanted)) };
        if matches!(to, To::Time(time) if turn.at <= time) {
            return Ok((past, reached));
        }
        past.take_back(&turn)?;
    }
}
