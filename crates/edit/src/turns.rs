//! Turns of a person, and the bounds between what is one turn and what is built in steps.

use inboxclaw_contract::turn::{Committed, TurnId};
use inboxclaw_contract::{Outcome, OwnerId, Turn, Version};

use crate::{EditError, Editor};

/// How often a change is worked out anew after a lost race.
pub(crate) const TRIES: usize = 20;
/// Most changes of one turn; more are built in steps. Tests in here see both ways with a handful of keys.
pub(crate) const SMALL_CHANGES: usize = if cfg!(test) { 2 } else { 10_000 };
/// Most bytes of keys and values of one turn; more are built in steps.
pub(crate) const SMALL_BYTES: usize = 8 << 20;
/// Most entries in a step.
pub(crate) const STEP_ENTRIES: usize = if cfg!(test) { 2 } else { 2_000 };
/// Most bytes in a step, about.
pub(crate) const STEP_BYTES: usize = 1 << 20;
/// Keys whose entries are read at once: few, since a value may have 16 MiB.
pub(crate) const READ_KEYS: usize = 256;

impl Editor {
    /// An empty turn of this editor's person.
    pub(crate) fn turn(&self, owner: OwnerId, base: Version) -> Turn {
        let mut turn = Turn::new(TurnId(self.random.next()), owner, base);
        turn.author = Some(self.author.clone());
        turn
    }

    /// Commits; `None` when the race was lost.
    pub(crate) async fn commit(&self, turn: Turn) -> Result<Option<Committed>, EditError> {
        match self.store.commit(turn).await? {
            Outcome::Committed(committed) => Ok(Some(committed)),
            Outcome::Conflict(_) => Ok(None),
        }
    }
}

/// Whether so much fits into one turn.
pub(crate) fn is_small(entries: usize, bytes: usize) -> bool {
    entries <= SMALL_CHANGES && bytes <= SMALL_BYTES
}
