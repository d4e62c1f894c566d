//! One request overtaken by another, at each moment at which that can matter.

use std::sync::Arc;
use std::time::Duration;

use inboxclaw_contract::{Outcome, Store};
use inboxclaw_runtime::pull::{Batch, PullSink, Wanted};
use serde_json::json;

use super::meddler::{Meddled, Meddler, When};
use super::support::{Inbox, Numbers};

const MINUTE: Duration = Duration::from_secs(60);
const MOMENTS: [When; 3] = [When::Deliveries, When::Read, When::Commit];

/// Two consumers of the same sink in different processes, and a store that lets the second overtake the first.
struct Race {
    inbox: Inbox,
    first: Arc<PullSink>,
    second: Arc<PullSink>,
}

impl Race {
    async fn new() -> Self {
        let inbox = Inbox::new().await;
        let settings = json!({});
        let first = inbox.pull_sink("p", settings.clone()).await;
        let second = inbox.pull_sink("p", settings).await;
        inbox.emit(&["a"; 6]).await;
        Self { inbox, first, second }
    }

    /// An extract that nobody overtakes.
    async fn extract(&self, wanted: Wanted) -> Batch {
        extract(&self.second, &self.inbox.store, &self.inbox.random, &wanted).await
    }

    /// An extract of the first consumer, during which the second extracts.
    async fn overtaken_by_extract(&self, when: When, first: Wanted, second: Wanted) -> (Batch, Batch) {
        let (sink, store, random) =
            (self.second.clone(), self.inbox.store.clone(), self.inbox.random.clone());
        let (told, hear) = tokio::sync::oneshot::channel();
        let deed = async move {
            let batch = extract(&sink, &store, &random, &second).await;
            told.send(batch).unwrap();
        };
        let meddler: Arc<dyn Store> = Arc::new(Meddler::over(self.inbox.store.clone(), when, Box::pin(deed)));
        let batch = extract(&self.first, &meddler, &self.inbox.random, &first).await;
        (batch, hear.await.unwrap())
    }

    /// A store in which the second consumer confirms a batch at that moment.
    fn confirming(&self, when: When, batch: &Batch) -> Arc<Meddled> {
        let (sink, store, random) =
            (self.second.clone(), self.inbox.store.clone(), self.inbox.random.clone());
        let id = batch.id.unwrap();
        let deed =
            async move { assert!(sink.confirm(store.as_ref(), random.as_ref(), id).await.unwrap() > 0) };
        Arc::new(Meddler::over(self.inbox.store.clone(), when, Box::pin(deed)))
    }

    async fn confirm(&self, batch: &Batch) -> u64 {
        let (store, random) = (self.inbox.store.as_ref(), self.inbox.random.as_ref());
        self.first.confirm(store, random, batch.id.unwrap()).await.unwrap()
    }
}

async fn extract(sink: &PullSink, store: &Arc<dyn Store>, random: &Numbers, wanted: &Wanted) -> Batch {
    sink.extract(store.as_ref(), random, wanted).await.unwrap()
}

fn lease(size: usize) -> Wanted {
    Wanted { size: Some(size), lease: Some(MINUTE), selector: None }
}

fn ids(batch: &Batch) -> Vec<i64> {
    batch.events.iter().map(|event| event.seq.0).collect()
}

#[tokio::test]
async fn an_extract_overtaken_by_a_lease_does_not_give_what_was_leased() {
    for when in MOMENTS {
        for (first, wanted) in
            [(Wanted::default(), vec![3, 4, 5, 6]), (lease(6), vec![3, 4, 5, 6]), (lease(2), vec![3, 4])]
        {
            let race = Race::new().await;
            let (batch, leased) = race.overtaken_by_extract(when, first.clone(), lease(2)).await;
            assert_eq!((ids(&leased), ids(&batch)), (vec![1, 2], wanted), "{when:?} {first:?}");
            // Confirming the one leaves the other's lease alone.
            race.confirm(&batch).await;
            race.inbox.clock.advance(MINUTE);
            let again = ids(&race.extract(Wanted::default()).await);
            assert!(again.starts_with(&[1, 2]) && !again.contains(&3), "{when:?} {first:?}: {again:?}");
        }
    }
}

/// The lease ran out, and two ask for its events at once: only one of them gets them.
#[tokio::test]
async fn a_lease_that_ran_out_goes_to_one_of_two() {
    for when in MOMENTS {
        let race = Race::new().await;
        race.extract(lease(2)).await;
        race.inbox.clock.advance(MINUTE);
        let (late, early) = race.overtaken_by_extract(when, lease(2), lease(2)).await;
        assert_eq!((ids(&early), ids(&late)), (vec![1, 2], vec![3, 4]), "{when:?}");
    }
}

#[tokio::test]
async fn an_extract_overtaken_by_a_confirmation_does_not_give_what_was_confirmed() {
    for when in MOMENTS {
        for (held, first) in [
            (Wanted { size: Some(2), ..Wanted::default() }, Wanted::default()),
            (Wanted { size: Some(2), ..Wanted::default() }, lease(6)),
            // The batch is a lease that has run out: only deliveries change, no position.
            (lease(2), Wanted::default()),
            (lease(2), lease(6)),
        ] {
            let race = Race::new().await;
            let batch = race.extract(held.clone()).await;
            race.inbox.clock.advance(MINUTE);
            let meddler = race.confirming(when, &batch);
            let store: Arc<dyn Store> = meddler.clone();
            let given = extract(&race.first, &store, &race.inbox.random, &first).await;
            assert!(meddler.by.is_done());
            assert_eq!(ids(&given), [3, 4, 5, 6], "{when:?} {held:?} {first:?}");
        }
    }
}

/// The last of several confirmations in a row is noticed like the first.
#[tokio::test]
async fn an_extract_notices_each_confirmation() {
    for when in MOMENTS {
        let race = Race::new().await;
        let (one, two) = (race.extract(lease(2)).await, race.extract(lease(2)).await);
        race.inbox.clock.advance(MINUTE);
        race.confirm(&one).await;
        let store: Arc<dyn Store> = race.confirming(when, &two);
        let given = extract(&race.first, &store, &race.inbox.random, &Wanted::default()).await;
        assert_eq!(ids(&given), [5, 6], "{when:?}");
    }
}

#[tokio::test]
async fn a_confirmation_overtaken_by_the_same_counts_once() {
    for when in [When::Deliveries, When::Commit] {
        for held in [Wanted::default(), lease(6)] {
            let race = Race::new().await;
            let batch = race.extract(held).await;
            let meddler = race.confirming(when, &batch);
            let random = race.inbox.random.as_ref();
            let marked = race.first.confirm(meddler.as_ref(), random, batch.id.unwrap()).await.unwrap();
            assert_eq!((marked, meddler.by.is_done()), (0, true), "{when:?}");
        }
    }
}

/// Two batches confirmed at once: neither takes back the position of the other.
#[tokio::test]
async fn a_confirmation_overtaken_by_another_keeps_both() {
    for when in [When::Deliveries, When::Commit] {
        let race = Race::new().await;
        let short = race.extract(Wanted { size: Some(2), ..Wanted::default() }).await;
        let long = race.extract(Wanted { size: Some(4), ..Wanted::default() }).await;
        let meddler = race.confirming(when, &long);
        let random = race.inbox.random.as_ref();
        assert_eq!(race.first.confirm(meddler.as_ref(), random, short.id.unwrap()).await.unwrap(), 2);
        assert_eq!(ids(&race.extract(Wanted::default()).await), [5, 6], "{when:?}");
    }
}

/// An edit of the cursor by a person at the worst moment wins.
#[tokio::test]
async fn an_edit_is_not_overwritten_by_a_confirmation() {
    let race = Race::new().await;
    let batch = race.extract(Wanted::default()).await;
    let (store, owner) = (race.inbox.store.clone(), race.first.owner());
    let edit = async move {
        let turn_id = inboxclaw_contract::turn::TurnId(7);
        let mut draft = inboxclaw_contract::OpenTurn::open(store.as_ref(), owner, turn_id).await.unwrap();
        draft.set_cursor(Some(r#"{"z":9}"#.to_owned())).unwrap();
        assert!(matches!(draft.commit().await.unwrap(), Outcome::Committed(_)));
    };
    let meddler = Meddler::over(race.inbox.store.clone(), When::Commit, Box::pin(edit));
    let random = race.inbox.random.as_ref();
    assert_eq!(race.first.confirm(&meddler, random, batch.id.unwrap()).await.unwrap(), 6);
    let cursor = race.inbox.store.snapshot(owner).await.unwrap().cursor;
    assert_eq!(cursor.as_deref(), Some(r#"{"a":6,"z":9}"#));
}
