//! What the tests share: a world with a clock that follows paused time, and sources and sinks that do as told.

mod store;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use inboxclaw_contract::settings::{BuiltSink, BuiltSource};
use inboxclaw_contract::{
    Class, Delivery, Draft, Event, Expiry, Failure, Intake, Json, NewEvent, Next, Owner, Receipt, Sender,
    Settled, Sink, Source, StartAt,
};
use inboxclaw_contract::{DeliveryPolicy, Push};
use inboxclaw_runtime::{Doors, Handle, Options, Report, Runtime, RuntimeError};
use inboxclaw_settings::{Patterns, Ttl};
pub use store::{ByName, Memory, memory};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// What happened when, in milliseconds since the start.
pub type Trace = Arc<Mutex<Vec<(u128, String)>>>;

/// A runtime over a store in memory.
pub struct World {
    pub store: Arc<Memory>,
    pub runtime: Option<Runtime>,
    pub handle: Handle,
    pub shutdown: CancellationToken,
    pub trace: Trace,
    start: Instant,
    task: Option<JoinHandle<Result<(), RuntimeError>>>,
}

impl World {
    /// Without jitter.
    pub fn new() -> Self {
        Self::over(memory(), Options::default(), 0)
    }

    /// Over a store that may hold something; `jitter` is the part of it, from 0 to `u64::MAX`.
    pub fn over(store: Arc<Memory>, options: Options, jitter: u64) -> Self {
        let doors = Doors { clock: store.by.clock.clone(), random: Arc::new(store::Numbers(jitter)) };
        let runtime = Runtime::new(store.clone(), doors, options);
        let handle = runtime.handle();
        Self {
            store,
            handle,
            runtime: Some(runtime),
            shutdown: CancellationToken::new(),
            trace: Trace::default(),
            start: Instant::now(),
            task: None,
        }
    }

    /// The next life of the program over the same store.
    pub fn again(&self) -> Self {
        Self::over(self.store.clone(), Options::default(), 0)
    }

    /// Adds a source that does what `act` says for its polls, counted from 1.
    pub fn source(
        &mut self,
        name: &str,
        interval: Option<u64>,
        act: impl Fn(u32) -> Act + Send + Sync + 'static,
    ) -> Arc<Notify> {
        self.settling_source(name, interval, Duration::ZERO, act)
    }

    /// Adds a source like [`source`](Self::source) that is polled only so long after it became ready.
    pub fn settling_source(
        &mut self,
        name: &str,
        interval: Option<u64>,
        settle: Duration,
        act: impl Fn(u32) -> Act + Send + Sync + 'static,
    ) -> Arc<Notify> {
        let ready = Arc::new(Notify::new());
        let source = Scripted {
            name: name.to_owned(),
            act: Box::new(act),
            polls: Mutex::new(0),
            ready: ready.clone(),
            trace: self.trace.clone(),
            start: self.start,
        };
        let interval = interval.map(Duration::from_secs);
        let built = BuiltSource { source: Box::new(source), interval, settle, warnings: Vec::new() };
        self.runtime.as_mut().unwrap().add_source(name, "scripted", built);
        ready
    }

    /// Adds a sink that gives each event the receipt that `act` says for it and for how often it saw it.
    pub fn sink(
        &mut self,
        name: &str,
        start: StartAt,
        ttl: Option<Ttl>,
        act: impl Fn(&Event, u32) -> Deliver + Send + Sync + 'static,
    ) {
        let sink = Taking {
            name: name.to_owned(),
            act: Box::new(act),
            seen: Mutex::default(),
            trace: self.trace.clone(),
            start: self.start,
        };
        let runtime = self.runtime.as_mut().unwrap();
        let intake = Intake { patterns: Patterns::new(["t.*"]), ttl, start };
        runtime.add_sink(name, "taking", intake, built(sink));
    }

    /// Adds a sink without a state, whose calls run beside each other. `act` says for each event what becomes of it, and for
    /// how often it was seen.
    pub fn sender(
        &mut self,
        name: &str,
        policy: DeliveryPolicy,
        act: impl Fn(&Event, u32) -> Deliver + Send + Sync + 'static,
    ) {
        let sink = Taking {
            name: name.to_owned(),
            act: Box::new(act),
            seen: Mutex::default(),
            trace: self.trace.clone(),
            start: self.start,
        };
        let runtime = self.runtime.as_mut().unwrap();
        let intake = Intake { patterns: Patterns::new(["t.*"]), ttl: None, start: StartAt::All };
        let push = Push::Sender(Box::new(sink));
        runtime.add_sink(
            name,
            "sending",
            intake,
            BuiltSink { push, policy, condition: None, warnings: Vec::new() },
        );
    }

    pub fn run(&mut self) {
        let runtime = self.runtime.take().unwrap();
        self.task = Some(tokio::spawn(runtime.run(self.shutdown.clone())));
    }

    /// Ends the program and gives how long it took.
    pub async fn stop(&mut self) -> (Duration, Result<(), RuntimeError>) {
        let before = Instant::now();
        self.shutdown.cancel();
        let result = self.ended().await;
        (before.elapsed(), result)
    }

    /// Drops everything where it stands.
    pub fn abort(&mut self) {
        self.task.take().unwrap().abort();
    }

    /// Waits until the runtime ends.
    pub async fn ended(&mut self) -> Result<(), RuntimeError> {
        self.task.take().unwrap().await.unwrap()
    }

    /// Lets so many seconds pass, and everything happen that is due then.
    pub async fn pass(&self, seconds: u64) {
        // A little more, so that it does not matter who is first at the very instant.
        tokio::time::sleep(Duration::from_secs(seconds) + Duration::from_millis(5)).await;
    }

    /// When something happened, in milliseconds.
    pub fn times(&self, what: &str) -> Vec<u128> {
        let trace = self.trace.lock().unwrap();
        trace.iter().filter(|(_, happened)| happened == what).map(|(at, _)| *at).collect()
    }

    /// The seconds, rounded down, at which something happened.
    pub fn seconds(&self, what: &str) -> Vec<u128> {
        self.times(what).into_iter().map(|at| at / 1_000).collect()
    }

    /// What happened, without times.
    pub fn happened(&self) -> Vec<String> {
        self.trace.lock().unwrap().iter().map(|(_, happened)| happened.clone()).collect()
    }

    pub fn report(&self) -> Report {
        self.handle.health()
    }

    /// The code of the first source with that name, pending ones in brackets.
    pub fn code(&self, name: &str) -> String {
        let report = self.report();
        let row = report.sources.iter().chain(&report.sinks).find(|row| row.name == name).unwrap();
        match (&row.code, &row.pending_failure) {
            (Some(code), _) => (*code).to_owned(),
            (None, Some(pending)) => format!("({})", pending.code),
            (None, None) => row.status.as_str().to_owned(),
        }
    }

    /// Stores events of the type and entity given, as another source would.
    pub async fn store_events(&self, events: &[(&str, &str, &str)]) {
        use inboxclaw_contract::{Housekeeping, State, Version};
        let id = self.store.register(&Owner::source("other"), "other").await.unwrap();
        let mut turn = inboxclaw_contract_testing::turn(id, Version(0));
        for (event_id, event_type, entity) in events {
            let event = NewEvent::new(*event_id, *event_type, Json::empty_object());
            turn.events.push(if entity.is_empty() { event } else { event.entity(*entity) });
        }
        self.store.commit(turn).await.unwrap();
    }
}

/// What a scripted source does.
pub enum Act {
    Wait,
    More,
    /// Wants a poll after so long at the latest.
    Within(Duration),
    Fail(Failure),
    Panic,
    Hang,
    /// Takes so long.
    Slow(Duration),
    /// Emits an event of this id and moves its cursor.
    Emit(&'static str),
    /// Puts a value under this key.
    Put(String),
    /// Reports a part that failed.
    Problem(Failure),
    /// Says something that is no failure.
    Notice(&'static str),
    /// Reads the cursor, takes so long, and moves it.
    Work(Duration),
    /// Runs while the poll runs.
    Meanwhile(Box<dyn FnOnce() + Send>),
}

pub fn fail(class: Class) -> Act {
    Act::Fail(Failure::text(class, "told to"))
}

struct Scripted {
    name: String,
    act: Box<dyn Fn(u32) -> Act + Send + Sync>,
    polls: Mutex<u32>,
    ready: Arc<Notify>,
    trace: Trace,
    start: Instant,
}

impl Scripted {
    fn note(&self, what: &str) {
        let at = self.start.elapsed().as_millis();
        self.trace.lock().unwrap().push((at, format!("{} {what}", self.name)));
    }
}

#[async_trait]
impl Source for Scripted {
    async fn ready(&self) {
        self.ready.notified().await;
    }

    async fn poll(&self, draft: &mut Draft<'_>) -> Result<Next, Failure> {
        self.note("polls");
        let n = {
            let mut polls = self.polls.lock().unwrap();
            *polls += 1;
            *polls
        };
        match (self.act)(n) {
            Act::Wait => {}
            Act::More => return Ok(Next::More),
            Act::Within(wait) => return Ok(Next::Within(wait)),
            Act::Fail(failure) => return Err(failure),
            Act::Panic => panic!("poll {n}"),
            Act::Hang => std::future::pending().await,
            Act::Slow(time) => tokio::time::sleep(time).await,
            Act::Emit(id) => {
                draft.emit(NewEvent::new(id, "t.event", Json::empty_object()))?;
                draft.set_cursor(Some(id.to_owned()))?;
                draft.put("last", id, Expiry::Never)?;
            }
            Act::Put(key) => draft.put(&key, &n, Expiry::Never)?,
            Act::Problem(failure) => draft.problem(failure),
            Act::Notice(text) => draft.notice(text),
            Act::Work(long) => {
                let before = draft.cursor().map_or(0, str::len);
                tokio::time::sleep(long).await;
                draft.set_cursor(Some("x".repeat(before % 100 + 1)))?;
            }
            Act::Meanwhile(work) => {
                draft.cursor();
                work();
            }
        }
        Ok(Next::Wait)
    }

    fn settled(&self, settled: Settled) {
        self.note(match settled {
            Settled::Committed => "committed",
            Settled::Dropped => "dropped",
        });
    }
}

/// What a sink does with an event.
pub enum Deliver {
    Receipt(Receipt),
    Fail(Failure),
    Panic,
    Slow(Duration),
    /// One receipt too few.
    Forget,
}

pub fn done() -> Deliver {
    Deliver::Receipt(Receipt::Done)
}

pub fn again(seconds: Option<u64>) -> Deliver {
    Deliver::Receipt(Receipt::Again { wait: seconds.map(Duration::from_secs), reason: "busy".to_owned() })
}

pub fn fail_text(class: Class) -> Deliver {
    Deliver::Fail(Failure::text(class, "told to"))
}

pub fn never() -> Deliver {
    Deliver::Receipt(Receipt::Never { reason: "no such thing".to_owned() })
}

/// What to do with an event that was seen so often.
type Reaction = dyn Fn(&Event, u32) -> Deliver + Send + Sync;

/// A sink that takes up to 100 events at once.
pub fn built(sink: impl Sink + 'static) -> BuiltSink {
    let policy = DeliveryPolicy { batch_max: 100, ..DeliveryPolicy::default() };
    BuiltSink { push: Push::Sink(Box::new(sink)), policy, condition: None, warnings: Vec::new() }
}

struct Taking {
    name: String,
    act: Box<Reaction>,
    seen: Mutex<std::collections::BTreeMap<String, u32>>,
    trace: Trace,
    start: Instant,
}

#[async_trait]
impl Sink for Taking {
    async fn deliver(
        &self,
        batch: &[Delivery],
        given: &mut Vec<Receipt>,
        _: &mut Draft<'_>,
    ) -> Result<(), Failure> {
        self.send(batch, given).await
    }
}

#[async_trait]
impl Sender for Taking {
    async fn send(&self, batch: &[Delivery], given: &mut Vec<Receipt>) -> Result<(), Failure> {
        let mut receipts = Vec::new();
        for Delivery { event, .. } in batch {
            let n = {
                let mut seen = self.seen.lock().unwrap();
                let n = seen.entry(event.event_id.clone()).or_default();
                *n += 1;
                *n
            };
            let at = self.start.elapsed().as_millis();
            self.trace.lock().unwrap().push((at, format!("{} {}", self.name, event.event_id)));
            match (self.act)(event, n) {
                Deliver::Receipt(receipt) => receipts.push(receipt),
                Deliver::Fail(failure) => return Err(failure),
                Deliver::Panic => panic!("event {}", event.event_id),
                Deliver::Slow(time) => {
                    tokio::time::sleep(time).await;
                    receipts.push(Receipt::Done);
                }
                Deliver::Forget => {}
            }
        }
        *given = receipts;
        Ok(())
    }
}
