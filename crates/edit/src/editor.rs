//! Who edits: the turns of a person, and the bounds between what is one turn and what is built in steps.

use std::sync::Arc;

use inboxclaw_contract::turn::{Committed, TurnId};
use inboxclaw_contract::{Editable, Outcome, OwnerId, Random, Turn, Version};

use crate::error::EditError;

/// How often a change is worked out anew after a lost race.
pub(crate) const TRIES: usize = 20;
/// Most bytes of keys and values of one turn; more are built in steps.
pub(crate) const SMALL_BYTES: usize = 8 << 20;
/// Most bytes in a step, about.
pub(crate) const STEP_BYTES: usize = 1 << 20;
/// Keys whose entries are read at once: few, since a value may have 16 MiB.
pub(crate) const READ_KEYS: usize = 256;

/// Edits states in somebody's name. Cheap to clone.
#[derive(Clone)]
pub struct Editor {
    /// Where the states are.
    pub store: Arc<dyn Editable>,
    /// Names turns.
    pub random: Arc<dyn Random>,
    /// Who edits, for history.
    pub author: String,
    /// How much is done at once.
    pub steps: Steps,
}

/// Called with the progress of a long change: entries done, and of how many if that is known.
pub type Progress<'a> = &'a (dyn Fn(u64, Option<u64>) + Send + Sync);

/// Where one turn ends and work in steps begins. The defaults suit everything but tests, which see both ways with a handful
/// of keys.
#[derive(Debug, Clone, Copy)]
pub struct Steps {
    /// Most changes of one turn; more are built in steps.
    pub turn_changes: usize,
    /// Most entries in a step.
    pub step_entries: usize,
}

impl Default for Steps {
    fn default() -> Self {
        Self { turn_changes: 10_000, step_entries: 2_000 }
    }
}

impl Steps {
    /// Whether so much fits into one turn.
    pub(crate) fn is_small(self, entries: usize, bytes: usize) -> bool {
        entries <= self.turn_changes && bytes <= SMALL_BYTES
    }
}

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
