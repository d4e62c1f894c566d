//! The loops over the real store, in real time: what a source reported reaches a sink once, also over a restart,
//! and an idle program does not write.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use inboxclaw_contract::settings::{BuiltSink, BuiltSource};
use inboxclaw_contract::store::{DeliveryQuery, StateLimits};
use inboxclaw_contract::turn::TurnId;
use inboxclaw_contract::{
    Class, Clock, Delivery, Draft, Expiry, Failure, Housekeeping, Intake, Json, Log, NewEvent, Next,
    OpenTurn, Owner, Receipt, Seq, Sink, Source, Spaces, StartAt, State, StoreError,
};
use inboxclaw_contract::{DeliveryPolicy, Push};
use inboxclaw_contract_testing::Unique;
use inboxclaw_runtime::{Doors, Handle, Options, Runtime, RuntimeError, Status};
use inboxclaw_settings::Patterns;
use inboxclaw_store::SqliteStore;
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

struct Wall;

impl Clock for Wall {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// Reports numbers from where its cursor stands, a hundred for each poll, up to a limit.
struct Counting(u32);

#[async_trait]
impl Source for Counting {
    async fn poll(&self, draft: &mut Draft<'_>) -> Result<Next, Failure> {
        let from: u32 = draft.cursor().map_or(0, |cursor| cursor.parse().unwrap());
        let to = self.0.min(from + 100);
        for n in from..to {
            draft.emit(NewEvent::new(n.to_string(), "count.number", Json::empty_object()))?;
        }
        if to > from {
            draft.set_cursor(Some(to.to_string()))?;
            draft.put("to", &to, Expiry::Never)?;
        }
        Ok(if to < self.0 { Next::More } else { Next::Wait })
    }
}

/// Remembers one thing more at each poll, for ever.
struct Hoarding;

#[async_trait]
impl Source for Hoarding {
    async fn poll(&self, draft: &mut Draft<'_>) -> Result<Next, Failure> {
        let n = draft.keys("", None, 100).await?.len();
        draft.put(&n.to_string(), &n, Expiry::Never)?;
        Ok(Next::Wait)
    }
}

/// Sends on what it gets, but never takes number 42.
struct Collecting(mpsc::UnboundedSender<String>);

#[async_trait]
impl Sink for Collecting {
    async fn deliver(
        &self,
        batch: &[Delivery],
        receipts: &mut Vec<Receipt>,
        _: &mut Draft<'_>,
    ) -> Result<(), Failure> {
        let receipt = |Delivery { event, .. }: &Delivery| {
            if event.event_id == "42" {
                return Receipt::Never { reason: "not this one".to_owned() };
            }
            self.0.send(event.event_id.clone()).unwrap();
            Receipt::Done
        };
        receipts.extend(batch.iter().map(receipt));
        Ok(())
    }
}

fn built(sink: impl Sink + 'static) -> BuiltSink {
    let policy = DeliveryPolicy { batch_max: 100, ..DeliveryPolicy::default() };
    BuiltSink { push: Push::Sink(Box::new(sink)), policy, condition: None, warnings: Vec::new() }
}

struct Life {
    store: Arc<SqliteStore>,
    handle: Handle,
    got: mpsc::UnboundedReceiver<String>,
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), RuntimeError>>,
}

fn live(path: &Path, numbers: u32) -> Life {
    let store = Arc::new(SqliteStore::open(path, inboxclaw_store::Options::new(Arc::new(Wall))).unwrap());
    let doors = Doors { clock: Arc::new(Wall), random: Arc::new(Unique) };
    let mut runtime = Runtime::new(store.clone(), doors, Options::default());
    let source = BuiltSource {
        source: Box::new(Counting(numbers)),
        interval: Some(Duration::from_millis(100)),
        settle: Duration::ZERO,
        warnings: Vec::new(),
    };
    runtime.add_source("count", "counting", source);
    let (to, got) = mpsc::unbounded_channel();
    let intake = Intake { patterns: Patterns::new(["count.*"]), ttl: None, start: StartAt::All };
    runtime.add_sink("collect", "collecting", intake, built(Collecting(to)));
    let (handle, shutdown) = (runtime.handle(), CancellationToken::new());
    let task = tokio::spawn(runtime.run(shutdown.clone()));
    Life { store, handle, got, shutdown, task }
}

impl Life {
    async fn next(&mut self) -> String {
        tokio::time::timeout(Duration::from_secs(20), self.got.recv()).await.unwrap().unwrap()
    }

    async fn end(self) {
        self.shutdown.cancel();
        self.task.await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_reach_a_sink_once_over_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    let mut life = live(&path, 250);
    for n in (0..250).filter(|n| *n != 42) {
        assert_eq!(life.next().await, n.to_string());
    }
    let sink = life.store.register(&Owner::sink("collect"), "collecting").await.unwrap();
    // The position is stored right after the last event was taken.
    while life.store.snapshot(sink).await.unwrap().cursor.is_none_or(|at| at.parse::<i64>().unwrap() < 250) {
        tokio::task::yield_now().await;
    }
    let dead = life.store.deliveries(sink, DeliveryQuery::all(10)).await.unwrap().deliveries;
    assert_eq!(dead.iter().map(|delivery| delivery.seq).collect::<Vec<_>>(), [Seq(43)]);
    assert_eq!(life.handle.health().status, Status::Healthy);
    life.end().await;
    let mut life = live(&path, 252);
    assert_eq!(life.next().await, "250");
    assert_eq!(life.next().await, "251");
    life.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_that_is_full_is_told_with_the_ways_out_and_used_again_when_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let options = inboxclaw_store::Options::new(Arc::new(Wall));
    let store = Arc::new(SqliteStore::open(&dir.path().join("store.db"), options).unwrap());
    let doors = Doors { clock: Arc::new(Wall), random: Arc::new(Unique) };
    let mut runtime = Runtime::new(store.clone(), doors, Options::default());
    let interval = Some(Duration::from_millis(100));
    let built =
        BuiltSource { source: Box::new(Hoarding), interval, settle: Duration::ZERO, warnings: Vec::new() };
    let hoard = Owner::source("hoard");
    runtime.add_source("hoard", "hoarding", built);
    runtime.set_limits(&hoard, StateLimits { max_entries: Some(3), ..StateLimits::default() });
    let (handle, shutdown) = (runtime.handle(), CancellationToken::new());
    let task = tokio::spawn(runtime.run(shutdown.clone()));
    while !handle.health().is_unhealthy() {
        tokio::task::yield_now().await;
    }
    let told = handle.health().failures[0].clone();
    assert_eq!(told.code, Some("configuration"), "{told:?}");
    let message = told.message.unwrap();
    assert!(message.contains("hoard would have 4 entries of state, the limit is 3"), "{message}");
    assert!(told.action.unwrap().contains("state.max_entries"));
    let id = store.register(&hoard, "hoarding").await.unwrap();
    let mut draft = OpenTurn::open(store.as_ref(), id, TurnId(7)).await.unwrap();
    draft.clear().unwrap();
    draft.commit().await.unwrap();
    assert!(handle.wake(&hoard));
    while handle.health().is_unhealthy() {
        tokio::task::yield_now().await;
    }
    shutdown.cancel();
    task.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_program_commits_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut life = live(&dir.path().join("store.db"), 1);
    assert_eq!(life.next().await, "0");
    let turns = |life: &Life| {
        life.handle.stats().iter().find(|stats| stats.owner == Owner::source("count")).unwrap().turns
    };
    let settled = turns(&life) + 3;
    while turns(&life) < settled {
        tokio::task::yield_now().await;
    }
    let before = life.store.commits();
    while turns(&life) < settled + 10 {
        tokio::task::yield_now().await;
    }
    assert_eq!(life.store.commits(), before);
    life.end().await;
}

/// Says in its own words what it could not read, after its state was gone for a moment.
struct Rewording(Arc<SqliteStore>, Arc<AtomicU64>);

#[async_trait]
impl Source for Rewording {
    async fn poll(&self, draft: &mut Draft<'_>) -> Result<Next, Failure> {
        self.1.fetch_add(1, Ordering::Relaxed);
        let owner = Owner::source("words");
        let id = self.0.register(&owner, "rewording").await.unwrap();
        while !self.0.forget(id).await.unwrap() {}
        let found = draft.get::<u64>("seen").await;
        self.0.register(&owner, "rewording").await.unwrap();
        found.map_err(|failure| Failure::text(Class::Upstream, format!("no mail today ({failure})")))?;
        Ok(Next::Wait)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_failed_stops_the_program_whatever_a_source_makes_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let options = inboxclaw_store::Options::new(Arc::new(Wall));
    let store = Arc::new(SqliteStore::open(&dir.path().join("store.db"), options).unwrap());
    let doors = Doors { clock: Arc::new(Wall), random: Arc::new(Unique) };
    let mut runtime = Runtime::new(store.clone(), doors, Options::default());
    let polls = Arc::new(AtomicU64::new(0));
    let built = BuiltSource {
        source: Box::new(Rewording(store, polls.clone())),
        interval: Some(Duration::from_millis(100)),
        settle: Duration::ZERO,
        warnings: Vec::new(),
    };
    runtime.add_source("words", "rewording", built);
    let ended = tokio::time::timeout(Duration::from_secs(30), runtime.run(CancellationToken::new())).await;
    let error = ended.expect("no back-off for ever").unwrap_err();
    assert!(matches!(error, RuntimeError::Store(StoreError::NoOwner(_))), "{error}");
    assert_eq!(polls.load(Ordering::Relaxed), 1);
}
