//! An open turn: a draft in the hands of whoever opened it, the runtime or a route of the server. What a connector must
//! not do is here and not on the draft that it borrows: commit, add run facts and deliveries, take back what was reported.

use std::ops::{Deref, DerefMut};

use super::Draft;
use crate::failure::Failure;
use crate::owner::OwnerId;
use crate::store::{State, StoreError};
use crate::turn::{Outcome, Turn, TurnId};

/// A turn that is being written. Dropped without [`commit`](Self::commit), nothing of it is stored.
pub struct OpenTurn<'a>(Draft<'a>);

impl<'a> OpenTurn<'a> {
    /// Opens a turn of `owner` on its state as it is now.
    ///
    /// # Errors
    /// Those of [`State::snapshot`].
    pub async fn open(state: &'a dyn State, owner: OwnerId, turn_id: TurnId) -> Result<Self, StoreError> {
        let snapshot = state.snapshot(owner).await?;
        let turn = Turn::new(turn_id, owner, snapshot.version);
        let (problems, notices) = (Vec::new(), Vec::new());
        Ok(Self(Draft { state, snapshot, turn, size: 0, problems, notices, store_error: None }))
    }

    /// The turn as written so far, to add run facts, deliveries, conditions and the author.
    pub fn turn_mut(&mut self) -> &mut Turn {
        &mut self.0.turn
    }

    /// The parts that failed so far; see [`Draft::problem`].
    pub fn take_problems(&mut self) -> Vec<Failure> {
        std::mem::take(&mut self.0.problems)
    }

    /// What was said so far; see [`Draft::notice`].
    pub fn take_notices(&mut self) -> Vec<String> {
        std::mem::take(&mut self.0.notices)
    }

    /// The last error of the store that a read of the draft met. The draft keeps it because whoever reads may make any
    /// [`Failure`] of what it is given: that the store broke does not depend on their words.
    pub fn store_error(&self) -> Option<StoreError> {
        self.0.store_error.clone()
    }

    /// Stores everything, or nothing.
    ///
    /// # Errors
    /// Those of [`State::commit`].
    pub async fn commit(self) -> Result<Outcome, StoreError> {
        self.0.state.commit(self.0.turn).await
    }
}

impl<'a> Deref for OpenTurn<'a> {
    type Target = Draft<'a>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for OpenTurn<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}
