//! Changes too big for one turn: a space is built in steps while turns go on, catches up with them, and one small turn
//! puts it in place.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry::Vacant;

use inboxclaw_contract::space::{NewSpace, SpaceInfo};
use inboxclaw_contract::store::Before;
use inboxclaw_contract::turn::{EntryChange, Swap};
use inboxclaw_contract::{Entry, OwnerId, SpaceId, Turn, Version};

use crate::editor::{Editor, Progress, READ_KEYS, STEP_BYTES, TRIES};
use crate::error::EditError;
use crate::history::{Changed, Walk};

/// What becomes of changes that turns made while the space was built.
pub(crate) enum Meanwhile<'a> {
    /// They go with the replaced space.
    Drop,
    /// They stay. A change of one of these keys, or of the cursor where the swap sets it, means to begin anew.
    Keep(&'a BTreeMap<String, Before>),
    /// They are taken back too.
    TakeBack {
        /// What was under the keys that are taken back already; `None` where the space is built from another one,
        /// which turns do not touch: what they change goes with the replaced one.
        taken: Option<&'a mut BTreeMap<String, Before>>,
        /// Whether the cursor goes back too.
        cursor: bool,
    },
    /// There must be none.
    Refuse,
}

/// A space that is being built. Dropped before the end, nothing of it remains after the next sweeps.
pub(crate) struct Build<'a> {
    editor: &'a Editor,
    owner: OwnerId,
    space: NewSpace,
    progress: Progress<'a>,
    /// Entries done.
    pub(crate) done: u64,
    /// Of how many, once that is known.
    pub(crate) of: Option<u64>,
    batch: Vec<(String, Option<Entry>)>,
    batch_bytes: usize,
    /// The cursor that comes with the swap.
    pub(crate) cursor: Option<Option<String>>,
    /// The version that the swap takes back.
    pub(crate) undoes: Option<Version>,
    /// Changes that come with the swap, where secrets of the present space would be in the way: they move into the new
    /// one first.
    pub(crate) entries: BTreeMap<String, EntryChange>,
}

impl<'a> Build<'a> {
    /// Begins an empty space.
    pub(crate) async fn begin(
        editor: &'a Editor,
        owner: OwnerId,
        progress: Progress<'a>,
    ) -> Result<Self, EditError> {
        Ok(Self {
            editor,
            owner,
            space: editor.store.build(owner).await?,
            progress,
            done: 0,
            of: None,
            batch: Vec::new(),
            batch_bytes: 0,
            cursor: None,
            undoes: None,
            entries: BTreeMap::new(),
        })
    }

    /// Puts an entry over what is there, or removes the key. Written with others, [`flush`](Self::flush) at the latest.
    pub(crate) async fn add(&mut self, key: String, entry: Option<Entry>) -> Result<(), EditError> {
        self.batch_bytes += key.len() + entry.as_ref().map_or(0, |entry| entry.value.len());
        self.batch.push((key, entry));
        if self.batch.len() >= self.editor.steps.step_entries || self.batch_bytes >= STEP_BYTES {
            self.flush().await
        } else {
            Ok(())
        }
    }

    /// Writes what was added.
    pub(crate) async fn flush(&mut self) -> Result<(), EditError> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let added = self.batch.len() as u64;
        self.editor.store.fill(&self.space, std::mem::take(&mut self.batch)).await?;
        self.batch_bytes = 0;
        self.advance(added);
        Ok(())
    }

    /// Copies a whole space under what was added so far.
    pub(crate) async fn copy(&mut self, from: SpaceId) -> Result<(), EditError> {
        self.flush().await?;
        let mut after = None;
        loop {
            after = self.copy_step(from, after.as_deref()).await?;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    /// Copies some entries after a key; returns where the next step starts.
    pub(crate) async fn copy_step(
        &mut self,
        from: SpaceId,
        after: Option<&str>,
    ) -> Result<Option<String>, EditError> {
        let copied =
            self.editor.store.copy(from, &self.space, "", after, self.editor.steps.step_entries).await?;
        self.advance(copied.entries);
        Ok(copied.next)
    }

    /// Catches up with what changed after `base` and puts the space in place. `None` when the change is to be worked
    /// out anew. Otherwise the version before and after.
    pub(crate) async fn swap(
        mut self,
        mut base: SpaceInfo,
        mut meanwhile: Meanwhile<'_>,
    ) -> Result<Option<(Version, Version)>, EditError> {
        self.flush().await?;
        for _ in 0..TRIES {
            let live = self.editor.store.space(self.owner).await?;
            if live.version != base.version && !self.catch_up(base, live, &mut meanwhile).await? {
                return Ok(None);
            }
            base = live;
            if let Some(committed) = self.editor.commit(self.turn(live.version)).await? {
                return Ok(Some((live.version, committed.version)));
            }
        }
        Err(EditError::Busy)
    }

    fn turn(&self, base: Version) -> Turn {
        let mut turn = self.editor.turn(self.owner, base);
        turn.swap = Some(Swap { space: self.space.id, keep_secrets: true });
        turn.cursor.clone_from(&self.cursor);
        turn.undoes = self.undoes;
        turn.entries.clone_from(&self.entries);
        turn
    }

    /// Whether the space holds now what it would, had it been built from `live`.
    async fn catch_up(
        &mut self,
        base: SpaceInfo,
        live: SpaceInfo,
        meanwhile: &mut Meanwhile<'_>,
    ) -> Result<bool, EditError> {
        match meanwhile {
            Meanwhile::Drop => Ok(true),
            Meanwhile::Refuse => Ok(false),
            Meanwhile::Keep(fixed) => self.keep(base, live, fixed).await,
            Meanwhile::TakeBack { taken, cursor } => {
                self.take_back(base, live, taken.as_deref_mut(), *cursor).await
            }
        }
    }

    async fn keep(
        &mut self,
        base: SpaceInfo,
        live: SpaceInfo,
        fixed: &BTreeMap<String, Before>,
    ) -> Result<bool, EditError> {
        let changed = Changed::between(self.editor, self.owner, base.version, live.version).await?;
        let Some(changed) = changed.filter(|_| base.id == live.id) else { return Ok(false) };
        let mine = changed.keys.iter().any(|key| fixed.contains_key(key));
        if mine || changed.cursor && self.cursor.is_some() {
            return Ok(false);
        }
        self.entries.retain(|key, _| !changed.keys.contains(key));
        let keys: Vec<String> = changed.keys.into_iter().collect();
        for keys in keys.chunks(READ_KEYS) {
            let present = self.editor.store.entries_in(live.id, keys).await?;
            for (key, entry) in keys.iter().zip(present) {
                // Secrets move with the swap.
                self.add(key.clone(), entry.filter(|entry| !entry.secret)).await?;
            }
        }
        self.flush().await?;
        Ok(true)
    }

    /// Takes back what turns did after `base`, in the space that is being built.
    ///
    /// Read newest first, `older` keeps for each key the oldest value on the way, which is what was there at `base`: the
    /// last one written wins. It is put into the space unless `taken` has the key already: those values are older still,
    /// from the changes that are being taken back in any case, and the space holds them. `taken` then remembers the key,
    /// so that another round of catching up leaves it alone. The cursor works alike, where it goes back at all: one that
    /// is set already is older than any that is found now.
    ///
    /// `false`, to begin anew, when one of these turns is not known key by key, or replaced the space.
    async fn take_back(
        &mut self,
        base: SpaceInfo,
        live: SpaceInfo,
        taken: Option<&mut BTreeMap<String, Before>>,
        with_cursor: bool,
    ) -> Result<bool, EditError> {
        let mut walk = Walk::new(self.editor, self.owner, live.version);
        let mut older = BTreeMap::new();
        let mut cursor = None;
        while walk.at() > base.version {
            match walk.next().await? {
                Some(turn) if !turn.marker && turn.replaced.is_none() => {
                    older.extend(turn.entries);
                    cursor = turn.cursor.or(cursor);
                }
                _ => return Ok(false),
            }
        }
        if with_cursor {
            self.cursor = self.cursor.take().or(cursor);
        }
        let Some(taken) = taken else { return Ok(true) };
        for (key, before) in older {
            // What was under a key before older changes is known already.
            if let Vacant(place) = taken.entry(key) {
                let entry = if let Before::Entry(entry) = &before { Some(entry.clone()) } else { None };
                self.add(place.key().clone(), entry).await?;
                place.insert(before);
            }
        }
        self.flush().await?;
        Ok(true)
    }

    fn advance(&mut self, by: u64) {
        self.done += by;
        (self.progress)(self.done, self.of.map(|of| of.max(self.done)));
    }
}
