//! Coalescing against a model: 100,000 updates of 1,000 entities with debounce, repeated ids and crashes give exactly the
//! promotions that they should.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use inboxclaw_contract::coalesce::{Aggregation, CoalesceRule, Strategy};
use inboxclaw_contract::store::ReadLimit;
use inboxclaw_contract::{Coalescing, Log, NewEvent, OwnerId, Selection, Seq, State};
use inboxclaw_contract_testing::{Ground, HandClock, committed, json, turn};
use inboxclaw_settings::Patterns;
use inboxclaw_store::{Durability, Options, SqliteStore};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

const WINDOW: i64 = 30;
const MAX_WAIT: i64 = 100;

/// How much happens.
#[derive(Clone, Copy)]
struct Size {
    updates: u64,
    entities: u64,
    /// Updates in one turn.
    batch: u64,
    /// Turns between two crashes.
    crash: u64,
}

/// Numbers that look random and are the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// What is pending of an entity, as it should be.
struct Window {
    first: u64,
    count: u64,
    begun: i64,
    last: i64,
    data: u64,
}

impl Window {
    fn flush_at(&self) -> i64 {
        (self.last + WINDOW).min(self.begun + MAX_WAIT)
    }
}

/// A promoted event: the id of its first update, how many it holds, the data of the last one, and how long it waited.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Promotion {
    first: u64,
    count: u64,
    data: u64,
    at: i64,
}

/// What should happen, second by second.
#[derive(Default)]
struct Model {
    open: BTreeMap<u64, Window>,
    done: Vec<Promotion>,
}

impl Model {
    fn promote(&mut self, now: i64) {
        let due: Vec<u64> = self
            .open
            .iter()
            .filter(|(_, window)| window.flush_at() <= now)
            .map(|(entity, _)| *entity)
            .collect();
        for entity in due {
            let window = self.open.remove(&entity).unwrap();
            let Window { first, count, data, .. } = window;
            self.done.push(Promotion { first, count, data, at: now });
        }
    }

    fn update(&mut self, id: u64, entity: u64, now: i64) {
        let window = self.open.entry(entity).or_insert(Window {
            first: id,
            count: 0,
            begun: now,
            last: now,
            data: id,
        });
        (window.count, window.last, window.data) = (window.count + 1, now, id);
    }
}

fn open(path: &Path, clock: &Arc<HandClock>) -> Arc<SqliteStore> {
    let options = Options { durability: Durability::Normal, ..Options::new(clock.clone()) };
    Arc::new(SqliteStore::open(path, options).unwrap())
}

/// The store after a start of the program.
async fn started(path: &Path, clock: &Arc<HandClock>) -> (Arc<SqliteStore>, OwnerId) {
    let store = open(path, clock);
    let source = Ground::new(store.clone(), clock.clone()).source("tracker").await;
    let [window, max_wait] = [WINDOW, MAX_WAIT].map(|seconds| Duration::from_secs(seconds.unsigned_abs()));
    let (strategy, aggregation) = (Strategy::Debounce, Aggregation::Latest);
    let rule = CoalesceRule { patterns: Patterns::new(["t.*"]), strategy, window, max_wait, aggregation };
    store.set_coalescing(source, vec![rule]).await.unwrap();
    (store, source)
}

async fn promote(store: &SqliteStore) {
    while store.promote(500).await.unwrap().more {}
}

fn update(id: u64, entity: u64) -> NewEvent {
    NewEvent::new(id.to_string(), "t.changed", json(&format!("{{\"n\":{id}}}"))).entity(entity.to_string())
}

/// Reads back what was promoted, with the seconds since `start`.
async fn promoted(store: &SqliteStore, start: Timestamp) -> Vec<Promotion> {
    #[derive(Deserialize)]
    struct Meta {
        coalesced_count: Option<u64>,
    }
    let (mut all, mut after) = (Vec::new(), Seq(0));
    loop {
        let limit = ReadLimit { events: 1_000, bytes: usize::MAX, count: false };
        let page = store.read(&Selection::all(after), limit).await.unwrap();
        let Some(last) = page.events.last() else { return all };
        after = last.seq;
        for event in page.events {
            let first = event.event_id.strip_prefix("coalesced:").unwrap().parse().unwrap();
            let count = event.meta.parse::<Meta>().unwrap().coalesced_count.unwrap_or(1);
            let data = event.data.parse::<HashMap<String, u64>>().unwrap()["n"];
            let at = event.created_at.duration_since(start).as_secs();
            let waited = event.created_at.duration_since(event.occurred_at.unwrap());
            assert!(waited <= SignedDuration::from_secs(WINDOW), "nobody starves: {waited:?}");
            all.push(Promotion { first, count, data, at });
        }
    }
}

async fn run(size: Size) {
    let (dir, clock) = (tempfile::tempdir().unwrap(), HandClock::new());
    let path = dir.path().join("a.db");
    let (mut store, source) = started(&path, &clock).await;
    let start = inboxclaw_contract::Clock::now(&*clock);
    let (mut dice, mut model, mut now) = (Dice(7), Model::default(), 0);
    let (mut told, mut known) = (Vec::<(u64, u64)>::new(), 0);
    for n in 0..size.updates / size.batch {
        let mut poll = turn(source, store.snapshot(source).await.unwrap().version);
        for _ in 0..size.batch {
            // One of ten is told again, whatever became of it since.
            if dice.below(10) == 0 && !told.is_empty() {
                let (id, entity) = told[usize::try_from(dice.below(told.len() as u64)).unwrap()];
                poll.events.push(update(id, entity));
                known += 1;
                continue;
            }
            // A few entities change all the time, so that only the longest wait ends their windows.
            let entity = if dice.below(3) == 0 { dice.below(5) } else { dice.below(size.entities) };
            let id = told.len() as u64;
            told.push((id, entity));
            poll.events.push(update(id, entity));
            model.update(id, entity, now);
        }
        let events = poll.events.len() as u64;
        let again = poll.clone();
        let outcome = committed(store.commit(poll).await.unwrap());
        assert_eq!((outcome.pending + outcome.known, outcome.stored), (events, 0));
        known -= outcome.known;
        if dice.below(20) == 0 {
            // The answer was lost, and the turn comes again under another name.
            let again = inboxclaw_contract::Turn { turn_id: inboxclaw_contract_testing::turn_id(), ..again };
            assert_eq!(committed(store.commit(again).await.unwrap()).known, events);
        }
        if n % size.crash == size.crash - 1 {
            drop(store);
            (store, _) = started(&path, &clock).await;
        }
        clock.step(1);
        now += 1;
        model.promote(now);
        promote(&store).await;
    }
    for _ in 0..MAX_WAIT {
        clock.step(1);
        now += 1;
        model.promote(now);
        promote(&store).await;
    }
    assert_eq!(known, 0, "each repeated id was known");
    assert!(model.open.is_empty() && store.pending_counts().await.unwrap().is_empty());
    let (mut found, mut expected) = (promoted(&store, start).await, model.done);
    assert_eq!(found.iter().map(|promotion| promotion.count).sum::<u64>(), told.len() as u64);
    found.sort();
    expected.sort();
    assert!(found.iter().any(|promotion| promotion.count > 20) && found.iter().any(|it| it.count == 1));
    assert_eq!(found.len(), expected.len());
    assert_eq!(found, expected);
}

/// A part of it, so that it takes seconds. All of it with `INBOXCLAW_FULL_SIZE=1`.
#[tokio::test]
async fn a_hundred_thousand_updates_are_promoted_as_the_model_says() {
    let part = Size { updates: 6_000, entities: 60, batch: 10, crash: 37 };
    let full = Size { updates: 100_000, entities: 1_000, batch: 100, crash: 100 };
    run(if std::env::var_os("INBOXCLAW_FULL_SIZE").is_some() { full } else { part }).await;
}

/// What the writer knows of pending events begins anew with each start, whatever comes first then.
#[tokio::test]
async fn a_start_knows_what_was_pending() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), HandClock::new());
    let path = dir.path().join("a.db");
    let report = async |store: &SqliteStore, source, id, entity| {
        let mut poll = turn(source, store.snapshot(source).await.unwrap().version);
        poll.events.push(update(id, entity));
        committed(store.commit(poll).await.unwrap())
    };
    let (store, source) = started(&path, &clock).await;
    report(&store, source, 1, 1).await;
    clock.step(10);
    report(&store, source, 2, 2).await;
    drop(store);
    // First one of the two is promoted, and the other one goes on.
    let (store, source) = started(&path, &clock).await;
    let first = store.pending_before(None).await.unwrap();
    clock.step(WINDOW - 10);
    assert_eq!(store.promote(500).await.unwrap().events, 1);
    report(&store, source, 3, 2).await;
    assert_eq!(store.pending_counts().await.unwrap()[0].count, 1);
    drop(store);
    // First another event is collected: who waits hears of the earlier one.
    let (store, source) = started(&path, &clock).await;
    clock.step(5);
    report(&store, source, 4, 3).await;
    let next = store.pending_before(None).await.unwrap();
    assert_eq!(next, first + SignedDuration::from_secs(WINDOW));
    clock.step(WINDOW);
    assert_eq!(store.promote(500).await.unwrap().events, 2);
    assert!(store.pending_counts().await.unwrap().is_empty());
}
