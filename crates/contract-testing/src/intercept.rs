//! A store with something between it and whoever uses it: what happens at the worst moment, faults, a record of calls.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use inboxclaw_contract::coalesce::{
    CoalesceRule, PendingChoice, PendingCount, PendingEnd, PendingEnded, PendingPage, PendingQuery, Promoted,
};
use inboxclaw_contract::sinks::{Expired, Lapse, SinkDebts};
use inboxclaw_contract::space::{Copied, EachEntry, Look, Looked, NewSpace, SpaceInfo};
use inboxclaw_contract::store::{
    ClockState, Condition, DeliveryPage, DeliveryQuery, EventRow, ExpiredDead, Find, Found, HistoryLimit,
    OwnerInfo, Page, PastTurn, Prune, Pruned, ReadLimit, Room, StateLimits, Swept,
};
use inboxclaw_contract::turn::{FactsPatch, RunFacts};
use inboxclaw_contract::{
    Coalescing, Entry, Event, Housekeeping, Intake, Log, Outcome, Owner, OwnerId, Selection, Seq, Sinks,
    Snapshot, SpaceId, Spaces, State, StoreError, Turn, Version,
};
use jiff::Timestamp;

/// What comes between. By default nothing. Waiting for changes and asking for the condition pass by it.
#[async_trait]
pub trait Interceptor: Send + Sync {
    /// Before the method of this name is called. An error is the answer in place of the call.
    async fn before(&self, _method: &'static str) -> Result<(), StoreError> {
        Ok(())
    }

    /// After a call, before its answer is given.
    async fn after(&self, _method: &'static str) {}

    /// Before a turn is committed. An answer is given in place of the call.
    async fn commit(&self, _turn: &Turn) -> Result<Option<Outcome>, StoreError> {
        Ok(None)
    }

    /// What retention is asked to remove.
    fn prune(&self, _prune: &Prune) {}

    /// The rules that an owner gets.
    fn set_limits(&self, _owner: OwnerId, _policy: &StateLimits) {}
}

/// A store with `by` between it and whoever uses it.
pub struct Intercepted<S: ?Sized, I> {
    /// The store itself.
    pub store: Arc<S>,
    /// What comes between.
    pub by: I,
}

/// Methods that call the same one of the store between `before` and `after`.
macro_rules! forward {
    ($trait:ident {
        $(fn $name:ident($($arg:ident: $type:ty),*) -> $answer:ty;)*
        $({ $($own:item)* })?
    }) => {
        #[async_trait]
        impl<S: $trait + ?Sized, I: Interceptor> $trait for Intercepted<S, I> {
            $(
                async fn $name(&self $(, $arg: $type)*) -> Result<$answer, StoreError> {
                    self.by.before(stringify!($name)).await?;
                    let answer = self.store.$name($($arg),*).await;
                    self.by.after(stringify!($name)).await;
                    answer
                }
            )*
            $($($own)*)?
        }
    };
}

forward! { State {
    fn snapshot(owner: OwnerId) -> Snapshot;
    fn entries(owner: OwnerId, keys: &[String]) -> Vec<Option<Entry>>;
    fn list(owner: OwnerId, prefix: &str, after: Option<&str>, limit: usize) -> Vec<Entry>;
    fn keys(owner: OwnerId, prefix: &str, after: Option<&str>, limit: usize) -> Vec<String>;
    fn history(owner: OwnerId, before: Option<Version>, limit: HistoryLimit) -> Vec<PastTurn>;
    {
        async fn commit(&self, turn: Turn) -> Result<Outcome, StoreError> {
            if let Some(outcome) = self.by.commit(&turn).await? {
                return Ok(outcome);
            }
            let answer = self.store.commit(turn).await;
            self.by.after("commit").await;
            answer
        }

        async fn changed(&self, owner: OwnerId, after: Version) -> Result<Version, StoreError> {
            self.store.changed(owner, after).await
        }
    }
} }

forward! { Log {
    fn read(selection: &Selection, limit: ReadLimit) -> Page;
    fn rows(selection: &Selection, limit: ReadLimit) -> Page<EventRow>;
    fn deliveries(sink: OwnerId, query: DeliveryQuery) -> DeliveryPage;
    fn event(seq: Seq) -> Option<Event>;
    fn events(seqs: &[Seq], bytes: usize) -> Vec<Event>;
    fn find(find: &Find) -> Found;
    fn head() -> Seq;
    {
        async fn grown(&self, after: Seq) -> Result<Seq, StoreError> {
            self.store.grown(after).await
        }
    }
} }

forward! { Housekeeping {
    fn register(owner: &Owner, connector: &str) -> OwnerId;
    fn owners() -> Vec<OwnerInfo>;
    fn facts(owner: OwnerId) -> RunFacts;
    fn set_facts(owner: OwnerId, patch: FactsPatch) -> ();
    fn claim(owner: OwnerId, holder: &str, lasts: Duration) -> bool;
    fn clock() -> ClockState;
    fn accept_clock() -> ClockState;
    fn sweep() -> Swept;
    {
        async fn set_limits(&self, owner: OwnerId, policy: StateLimits) -> Result<(), StoreError> {
            self.by.before("set_limits").await?;
            self.by.set_limits(owner, &policy);
            let answer = self.store.set_limits(owner, policy).await;
            self.by.after("set_limits").await;
            answer
        }

        async fn prune(&self, prune: &Prune) -> Result<Pruned, StoreError> {
            self.by.before("prune").await?;
            self.by.prune(prune);
            let answer = self.store.prune(prune).await;
            self.by.after("prune").await;
            answer
        }

        async fn make_room(&self, max_bytes: u64, limit: usize) -> Result<Room, StoreError> {
            self.by.before("make_room").await?;
            let answer = self.store.make_room(max_bytes, limit).await;
            self.by.after("make_room").await;
            answer
        }

        fn condition(&self) -> Condition {
            self.store.condition()
        }
    }
} }

forward! { Sinks {
    fn set_intake(sink: OwnerId, intake: &Intake) -> Selection;
    fn set_configured(sinks: &[OwnerId]) -> ();
    fn debts() -> Vec<SinkDebts>;
    fn expire() -> Vec<Expired>;
    fn expire_dead(dead_max: Duration, limit: usize) -> ExpiredDead;
    fn lapses() -> Vec<Lapse>;
    fn set_told(lapse: &Lapse) -> ();
    fn release(sink: OwnerId) -> ();
} }

forward! { Coalescing {
    fn set_coalescing(source: OwnerId, rules: Vec<CoalesceRule>) -> ();
    fn pending(query: &PendingQuery) -> PendingPage;
    fn pending_counts() -> Vec<PendingCount>;
    fn promote(limit: usize) -> Promoted;
    fn end_pending(choice: &PendingChoice, end: PendingEnd, after: i64) -> PendingEnded;
    {
        async fn pending_before(&self, before: Option<Timestamp>) -> Result<Timestamp, StoreError> {
            self.store.pending_before(before).await
        }
    }
} }

forward! { Spaces {
    fn space(owner: OwnerId) -> SpaceInfo;
    fn look(owner: OwnerId, look: &Look) -> Looked;
    fn scan(owner: OwnerId, prefix: &str, each: EachEntry) -> Snapshot;
    fn entries_in(space: SpaceId, keys: &[String]) -> Vec<Option<Entry>>;
    fn expiring(owner: OwnerId, after: Timestamp, limit: usize) -> Vec<(String, Timestamp)>;
    fn swept_until(owner: OwnerId) -> Option<Timestamp>;
    fn build(owner: OwnerId) -> NewSpace;
    fn fill(space: &NewSpace, changes: Vec<(String, Option<Entry>)>) -> ();
    fn copy(from: SpaceId, to: &NewSpace, prefix: &str, after: Option<&str>, limit: usize) -> Copied;
    fn rename(owner: OwnerId, to: &Owner) -> ();
    fn forget(owner: OwnerId) -> bool;
} }
