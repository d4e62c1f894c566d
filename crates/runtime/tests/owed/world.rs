//! The store, the loops and the consumers of these lives.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use inboxclaw_contract::settings::BuiltSink;
use inboxclaw_contract::store::{DeliveryQuery, ReadLimit};
use inboxclaw_contract::turn::DeliveryState;
use inboxclaw_contract::{
    Class, Delivery, DeliveryPolicy, Draft, Failure, Housekeeping, Intake, Json, Log, NewEvent, Owner,
    OwnerId, Push, Receipt, Sender, Seq, Sink, Sinks, Spaces, StartAt, State,
};
use inboxclaw_contract_testing::{HandClock, Unique, turn};
use inboxclaw_runtime::pull::{PullError, PullSink, Wanted};
use inboxclaw_runtime::{Doors, Options, Runtime};
use inboxclaw_settings::{Interval, Patterns, Ttl};
use inboxclaw_store::{Durability, SqliteStore};
use tokio_util::sync::CancellationToken;

use crate::model::{Owing, Stored};

const NAMES: [&str; 3] = ["pull", "hook", "folder"];
const OWED_MAX: i64 = 3 * 86_400;
/// The store's clock and that of the loops may be so many seconds apart.
const SLACK: i64 = 600;

#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// Events of a type and of an entity.
    Emit(Vec<(u8, Option<u8>)>),
    /// The program runs for a minute, with receivers that behave by `seed`.
    Live {
        seed: u64,
        clean: bool,
    },
    Extract {
        size: usize,
        lease: bool,
    },
    /// Confirms one of the batches, perhaps only up to one of its events.
    Confirm {
        batch: usize,
        up_to: Option<usize>,
    },
    Hours(u64),
    Configure(SinkPlan),
    Reopen,
    Forget(usize),
}

#[derive(Debug, Clone)]
pub(crate) struct SinkPlan {
    pub(crate) sink: usize,
    pub(crate) present: bool,
    pub(crate) pattern: &'static str,
    pub(crate) ttl: Option<u64>,
    pub(crate) all: bool,
}

/// What receivers said: of which event yes, of which that they never will.
#[derive(Debug, Default)]
struct Said {
    yes: BTreeSet<i64>,
    never: BTreeSet<i64>,
    tries: BTreeMap<i64, u64>,
}

struct Receiver {
    seed: u64,
    said: Arc<Mutex<Said>>,
}

impl Receiver {
    async fn take(&self, batch: &[Delivery], receipts: &mut Vec<Receipt>) -> Result<(), Failure> {
        for Delivery { event, .. } in batch {
            let seq = event.seq.0;
            let chance = {
                let mut said = self.said.lock().unwrap();
                let tries = said.tries.entry(seq).or_default();
                *tries += 1;
                let mut hasher = DefaultHasher::new();
                (self.seed, seq, *tries).hash(&mut hasher);
                hasher.finish() % 100
            };
            if chance < 15 {
                tokio::time::sleep(Duration::from_millis(chance * 10)).await;
            }
            match chance {
                0..65 => {
                    self.said.lock().unwrap().yes.insert(seq);
                    receipts.push(Receipt::Done);
                }
                65..82 => receipts.push(Receipt::Again { wait: None, reason: "busy".to_owned() }),
                82..87 => {
                    self.said.lock().unwrap().never.insert(seq);
                    receipts.push(Receipt::Never { reason: "no".to_owned() });
                }
                _ => return Err(Failure::text(Class::Connectivity, "down")),
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Sender for Receiver {
    async fn send(&self, batch: &[Delivery], receipts: &mut Vec<Receipt>) -> Result<(), Failure> {
        self.take(batch, receipts).await
    }
}

#[async_trait]
impl Sink for Receiver {
    async fn deliver(
        &self,
        batch: &[Delivery],
        receipts: &mut Vec<Receipt>,
        _: &mut Draft<'_>,
    ) -> Result<(), Failure> {
        self.take(batch, receipts).await
    }
}

pub(crate) struct World {
    _dir: tempfile::TempDir,
    path: PathBuf,
    clock: Arc<HandClock>,
    store: Option<Arc<SqliteStore>>,
    plans: [Option<SinkPlan>; 3],
    sinks: [Owing; 3],
    log: BTreeMap<i64, Stored>,
    events: u64,
    batches: Vec<(i64, Vec<i64>)>,
}

fn open(path: &Path, clock: &Arc<HandClock>) -> Option<Arc<SqliteStore>> {
    let options = inboxclaw_store::Options {
        durability: Durability::Normal,
        ..inboxclaw_store::Options::new(clock.clone())
    };
    Some(Arc::new(SqliteStore::open(path, options).unwrap()))
}

fn intake(plan: &SinkPlan) -> Intake {
    let start = if plan.all { StartAt::All } else { StartAt::Now };
    let ttl =
        plan.ttl.map(|hours| Ttl { default: Some(Interval::from_secs(hours * 3_600)), ..Ttl::default() });
    Intake { patterns: Patterns::new([plan.pattern]), ttl, start }
}

impl World {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let path = dir.path().join("a.db");
        let clock = HandClock::new();
        let plan = |sink| Some(SinkPlan { sink, present: true, pattern: "t.*", ttl: None, all: false });
        Self {
            store: open(&path, &clock),
            _dir: dir,
            path,
            clock,
            plans: [0, 1, 2].map(plan),
            sinks: Default::default(),
            log: BTreeMap::new(),
            events: 0,
            batches: Vec::new(),
        }
    }

    fn store(&self) -> Arc<SqliteStore> {
        self.store.clone().unwrap()
    }

    async fn id(&self, sink: usize) -> OwnerId {
        self.store().register(&Owner::sink(NAMES[sink]), "test").await.unwrap()
    }

    /// What a start of the program does with the sinks of the configuration.
    pub(crate) async fn configure(&mut self) {
        let now = self.clock.second();
        let mut configured = Vec::new();
        for sink in 0..3 {
            match self.plans[sink].clone().filter(|plan| plan.present) {
                Some(plan) => {
                    let id = self.id(sink).await;
                    self.store().set_intake(id, &intake(&plan)).await.unwrap();
                    configured.push(id);
                    self.sinks[sink].ttl_hours = plan.ttl;
                    self.sinks[sink].configured(plan.pattern, plan.all, &self.log);
                }
                None => {
                    self.sinks[sink].left_at.get_or_insert(now);
                }
            }
        }
        self.store().set_configured(&configured).await.unwrap();
    }

    pub(crate) async fn step(&mut self, step: &Step) {
        match step {
            Step::Emit(events) => self.emit(events).await,
            Step::Live { seed, clean } => self.live(*seed, *clean).await,
            Step::Extract { size, lease } => {
                let Some(pull) = self.pull().await else { return };
                let lease = lease.then_some(Duration::from_secs(60));
                let wanted = Wanted { size: Some(*size), lease, ..Wanted::default() };
                let batch = pull.extract(self.store().as_ref(), &Unique, &wanted).await.unwrap();
                if let Some(id) = batch.id {
                    self.batches.push((id, batch.events.iter().map(|event| event.seq.0).collect()));
                }
            }
            Step::Confirm { batch, up_to } => self.confirm(*batch, *up_to).await,
            Step::Hours(hours) => {
                self.clock.step(i64::try_from(*hours).unwrap() * 3_600);
                // The clock is looked at often enough not to be in doubt.
                self.store().clock().await.unwrap();
            }
            Step::Configure(plan) => {
                self.plans[plan.sink] = Some(plan.clone());
                self.configure().await;
            }
            Step::Reopen => {
                self.store = None;
                self.store = open(&self.path, &self.clock);
            }
            Step::Forget(sink) if self.plans[*sink].as_ref().is_none_or(|plan| !plan.present) => {
                let id = self.id(*sink).await;
                while !self.store().forget(id).await.unwrap() {}
                self.sinks[*sink] = Owing::default();
                if *sink == 0 {
                    self.batches.clear();
                }
            }
            Step::Forget(_) => {}
        }
    }

    async fn emit(&mut self, events: &[(u8, Option<u8>)]) {
        let source = self.store().register(&Owner::source("s"), "test").await.unwrap();
        let version = self.store().snapshot(source).await.unwrap().version;
        let mut turn = turn(source, version);
        let at = self.clock.second();
        for (event_type, entity) in events {
            self.events += 1;
            let event_type = ["t.a", "t.b", "t.c"][usize::from(*event_type)];
            let event = NewEvent::new(self.events.to_string(), event_type, Json::empty_object());
            turn.events.push(match entity {
                Some(entity) => event.entity(entity.to_string()),
                None => event,
            });
        }
        let before = self.store().head().await.unwrap().0;
        let types: Vec<String> = turn.events.iter().map(|event| event.event_type.clone()).collect();
        self.store().commit(turn).await.unwrap();
        for (seq, event_type) in (before + 1..).zip(types) {
            let event = Stored { event_type, at };
            self.sinks.iter_mut().for_each(|sink| sink.stored(seq, &event));
            self.log.insert(seq, event);
        }
    }

    async fn pull(&self) -> Option<PullSink> {
        let plan = self.plans[0].as_ref().filter(|plan| plan.present)?;
        let Intake { patterns, ttl, start } = intake(plan);
        let store = self.store();
        Some(PullSink::register(store.as_ref(), NAMES[0], patterns, start, ttl).await.unwrap())
    }

    async fn confirm(&mut self, batch: usize, up_to: Option<usize>) {
        let (Some(pull), false) = (self.pull().await, self.batches.is_empty()) else { return };
        let (id, seqs) = self.batches[batch % self.batches.len()].clone();
        let up_to = up_to.map_or(i64::MAX, |up_to| seqs[up_to % seqs.len()]);
        match pull.acknowledge(self.store().as_ref(), &Unique, (id, Seq(up_to))).await {
            Ok(_) => seqs.iter().filter(|seq| **seq <= up_to).for_each(|seq| self.sinks[0].yes(*seq)),
            Err(PullError::NotFound(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }

    /// A life of the program.
    async fn live(&mut self, seed: u64, clean: bool) {
        let retention_by_type = BTreeMap::from([("t.c".to_owned(), Some(Duration::from_secs(3_600)))]);
        let owed_max = Duration::from_secs(OWED_MAX.unsigned_abs());
        let options = Options { retention_days: 1, retention_by_type, owed_max, ..Options::default() };
        let doors = Doors { clock: self.clock.clone(), random: Arc::new(Unique) };
        let mut runtime = Runtime::new(self.store(), doors, options);
        let said = [0, 1, 2].map(|_| Arc::new(Mutex::new(Said::default())));
        for plan in self.plans.iter().flatten().filter(|plan| plan.present) {
            let receiver = Receiver { seed, said: said[plan.sink].clone() };
            let policy = DeliveryPolicy {
                max_attempts: 1_000,
                max_age: Duration::from_secs(1_000_000_000),
                retry_interval: Some(Duration::from_secs(5)),
                concurrency: 1 + usize::try_from(seed % 3).unwrap(),
                batch_max: 1 + usize::try_from(seed / 3 % 3).unwrap(),
                ..DeliveryPolicy::default()
            };
            let push = match plan.sink {
                0 => {
                    runtime.add_asked_sink(NAMES[0], "http_pull");
                    continue;
                }
                1 => Push::Sender(Box::new(receiver)),
                _ => Push::Sink(Box::new(receiver)),
            };
            let built = BuiltSink { push, policy, condition: None, warnings: Vec::new() };
            runtime.add_sink(NAMES[plan.sink], "test", intake(plan), built);
        }
        let shutdown = CancellationToken::new();
        let running = tokio::spawn(runtime.run(shutdown.clone()));
        for _ in 0..60 {
            tokio::time::sleep(Duration::from_millis(500)).await;
            self.clock.advance(Duration::from_millis(500));
            // The store works in real time.
            std::thread::sleep(Duration::from_micros(500));
        }
        if clean {
            shutdown.cancel();
            // The store works in real time: the time in which the loops have to end must not be over before it is done.
            while !running.is_finished() {
                for _ in 0..20 {
                    tokio::task::yield_now().await;
                    std::thread::sleep(Duration::from_micros(200));
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            running.await.unwrap().unwrap();
        } else {
            running.abort();
            drop(running.await);
        }
        self.after(&said, clean);
    }

    /// What the receivers said in a life that is over.
    fn after(&mut self, said: &[Arc<Mutex<Said>>; 3], clean: bool) {
        let now = self.clock.second();
        for (sink, said) in self.sinks.iter_mut().zip(said) {
            let said = said.lock().unwrap();
            let unknown: Vec<&i64> = said
                .tries
                .keys()
                .filter(|seq| !sink.excused.contains(seq) && !sink.owed.contains(seq))
                .collect();
            assert!(unknown.is_empty(), "sent what nobody owes: {unknown:?}");
            sink.excuse(|seq| said.never.contains(&seq));
            if clean {
                said.yes.iter().for_each(|seq| sink.yes(*seq));
            } else {
                // Not all of it may be recorded.
                sink.excuse(|seq| said.yes.contains(&seq));
            }
            sink.pass(now, OWED_MAX, SLACK, &self.log);
        }
    }

    /// What the store says that each sink owes, beside the model.
    pub(crate) async fn check(&mut self, step: &Step) {
        let (now, store) = (self.clock.second(), self.store());
        for (n, sink) in self.sinks.iter_mut().enumerate() {
            sink.pass(now, OWED_MAX, SLACK, &self.log);
            if sink.pattern.is_none() {
                continue;
            }
            let id = store.register(&Owner::sink(NAMES[n]), "test").await.unwrap();
            let found = owed(&store, id, self.plans[n].as_ref().unwrap(), sink).await;
            let context = || format!("{} after {step:?}: {sink:?}, found {found:?}", NAMES[n]);
            let lost: Vec<&i64> = sink.owed.difference(&found).collect();
            assert!(lost.is_empty(), "lost {lost:?}: {}", context());
            let more: Vec<&i64> =
                found.iter().filter(|seq| !sink.owed.contains(seq) && !sink.excused.contains(seq)).collect();
            assert!(more.is_empty(), "owes {more:?} as well: {}", context());
            let debts = store.debts().await.unwrap();
            let debts: u64 = debts
                .iter()
                .filter(|debts| debts.sink == id)
                .flat_map(|debts| &debts.types)
                .map(|debt| debt.count)
                .sum();
            let is_released = sink.left_at.is_some_and(|at| now - at + SLACK > OWED_MAX);
            assert!(is_released || debts >= sink.owed.len() as u64, "{debts} debts: {}", context());
        }
    }
}

/// The events that a sink owes: those of the log beyond where it stands, and those out of order.
async fn owed(store: &SqliteStore, id: OwnerId, plan: &SinkPlan, sink: &Owing) -> BTreeSet<i64> {
    let rows = store.deliveries(id, DeliveryQuery::all(10_000)).await.unwrap().deliveries;
    let waiting = rows.iter().filter(|row| row.state == DeliveryState::Waiting).map(|row| row.seq.0);
    let mut found: BTreeSet<i64> = waiting.collect();
    if sink.left_at.is_none() {
        // To set what is set already changes nothing and says where the sink began.
        let selection = store.set_intake(id, &intake(plan)).await.unwrap();
        let cursor = store.snapshot(id).await.unwrap().cursor;
        let selection = selection.standing_at(cursor.as_deref()).unwrap();
        let limit = ReadLimit { events: 100_000, bytes: 1 << 30, count: false };
        found.extend(store.read(&selection, limit).await.unwrap().events.iter().map(|event| event.seq.0));
    } else {
        // Its selection is not at hand: what is owed shows when it is back.
        found.extend(sink.owed.iter());
    }
    found
}
