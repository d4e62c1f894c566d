//! One turn of a source: open a draft, poll, commit, settle. When to take a turn and what follows from its end
//! are in `sources.rs`.

use inboxclaw_contract::turn::{Committed, FactsPatch, TurnId};
use inboxclaw_contract::{
    Class, Failure, Next, OpenTurn, Outcome, OwnerId, Settled, Source, Store, StoreError, Turn, Version,
};

use crate::rules::refused;
use crate::schedule::{Attempt, Bounds, contained};

/// What one turn starts from.
pub(crate) struct Start<'a> {
    pub(crate) store: &'a dyn Store,
    pub(crate) owner: OwnerId,
    pub(crate) turn_id: TurnId,
    pub(crate) bounds: &'a Bounds,
    /// Run facts that become true if the turn commits.
    pub(crate) facts: Option<FactsPatch>,
}

/// How a turn ended. `settled` has been called wherever a poll was started.
#[derive(Debug)]
pub(crate) enum End {
    /// Everything is durable.
    Committed {
        next: Next,
        committed: Committed,
        /// The version that this turn knows of; beyond it somebody else has edited.
        seen: Version,
        /// The parts that failed.
        problems: Vec<Failure>,
        /// What a person should know and is no failure.
        notices: Vec<String>,
        /// Whether there was anything to write.
        wrote: bool,
    },
    /// The state changed meanwhile; nothing is stored.
    Conflict,
    /// The poll failed; nothing is stored.
    Failed(Failure),
    /// The store could not read or write.
    Store(StoreError),
    /// The program ends.
    Cut,
}

/// Takes one turn.
pub(crate) async fn run(source: &dyn Source, start: Start<'_>) -> End {
    // Declared first and so dropped last: a turn that is dropped anywhere settles after its poll is gone.
    let mut settling = Settling { source, due: false };
    let end = take(&mut settling, start).await.unwrap_or_else(End::from);
    settling.settle(if matches!(end, End::Committed { .. }) { Settled::Committed } else { Settled::Dropped });
    end
}

async fn take(settling: &mut Settling<'_>, start: Start<'_>) -> Result<End, StoreError> {
    let source = settling.source;
    let mut draft = OpenTurn::open(start.store, start.owner, start.turn_id).await?;
    settling.due = true;
    let failure = match start.bounds.attempt(async { source.poll(&mut draft).await }).await {
        Attempt::Done(Ok(next)) => return store(draft, start, next).await,
        Attempt::Done(Err(failure)) => failure,
        Attempt::TooLong => too_long("the poll", start.bounds),
        Attempt::Panicked(message) => panicked("the source", &message),
        Attempt::Cut => return Ok(End::Cut),
    };
    // A source may have made any words of its own of what the draft gave it.
    Ok(draft.store_error().map_or(End::Failed(failure), End::from))
}

/// Stores what a poll wrote.
async fn store(mut draft: OpenTurn<'_>, start: Start<'_>, next: Next) -> Result<End, StoreError> {
    let (problems, notices) = (draft.take_problems(), draft.take_notices());
    draft.turn_mut().facts.extend(start.facts.map(|patch| (start.owner, patch)));
    let (wrote, seen) = (!draft.turn_mut().is_empty(), seen_version(draft.turn_mut()));
    Ok(match draft.commit().await? {
        Outcome::Committed(committed) => {
            End::Committed { next, committed, seen: seen(committed.version), problems, notices, wrote }
        }
        Outcome::Conflict(_) => End::Conflict,
    })
}

/// From the version after a commit to the one that the turn knows of: an edit that slipped in between its
/// snapshot and its commit without a conflict is beyond that.
pub(crate) fn seen_version(turn: &Turn) -> impl Fn(Version) -> Version + use<> {
    let changes = turn.cursor.is_some() || !turn.entries.is_empty() || !turn.deleted_prefixes.is_empty();
    let most = Version(turn.base.0 + i64::from(changes));
    move |committed| committed.min(most)
}

/// The failure of work that was cut off at its limit.
pub(crate) fn too_long(what: &str, bounds: &Bounds) -> Failure {
    let limit = bounds.limit.as_secs_f64();
    Failure::text(Class::Timeout, format!("{what} took longer than {limit} s and was dropped"))
}

/// The failure of work that panicked.
pub(crate) fn panicked(who: &str, message: &str) -> Failure {
    Failure::text(Class::Internal, format!("{who} panicked: {message}"))
}

impl From<StoreError> for End {
    fn from(error: StoreError) -> Self {
        match error {
            // The store works; it is the turn that cannot be stored.
            StoreError::Refused(_) | StoreError::OverLimit(_) => Self::Failed(refused(error)),
            error => Self::Store(error),
        }
    }
}

/// Sees to it that a started poll is settled exactly once, also when its task is aborted.
struct Settling<'a> {
    source: &'a dyn Source,
    due: bool,
}

impl Settling<'_> {
    fn settle(&mut self, settled: Settled) {
        if std::mem::take(&mut self.due)
            && let Err(message) = contained(|| self.source.settled(settled))
        {
            tracing::error!(message, "a source panicked while it settled");
        }
    }
}

impl Drop for Settling<'_> {
    fn drop(&mut self) {
        self.settle(Settled::Dropped);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edit_between_snapshot_and_commit_is_beyond_what_the_turn_knows() {
        let mut turn = Turn::new(TurnId(1), OwnerId(1), Version(7));
        assert_eq!(seen_version(&turn)(Version(7)), Version(7));
        assert_eq!(seen_version(&turn)(Version(8)), Version(7));
        turn.cursor = Some(None);
        // A cursor that was there already changes no version.
        assert_eq!(seen_version(&turn)(Version(7)), Version(7));
        assert_eq!(seen_version(&turn)(Version(8)), Version(8));
        assert_eq!(seen_version(&turn)(Version(9)), Version(8));
    }
}
