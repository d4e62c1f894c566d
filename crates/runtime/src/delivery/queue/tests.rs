//! Random lives of a queue beside a naive model of it and of the store that its changes go to.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use inboxclaw_contract::Json;
use inboxclaw_contract::turn::DeliveryChange;
use proptest::prelude::*;

use super::*;

/// One thing that happens.
#[derive(Debug, Clone)]
enum Step {
    /// An event of an entity, or of none, is read.
    Admit(Option<u8>),
    /// A call begins with so many events at most.
    Pick(usize, bool),
    /// The chosen call ends, with what becomes of its events one after the other.
    End(usize, Vec<End>),
    /// The chosen call fails for none of its events.
    Miss(usize, u64, bool),
    /// What changed goes to the store, and is there with the next step of the store.
    Record,
    /// The store has the record, or could not take it.
    Recorded(bool),
    Pass(u64),
    /// The program ends and starts again.
    Restart,
}

#[derive(Debug, Clone, Copy)]
enum End {
    Done,
    Again(u64),
    Never,
}

fn any_step() -> impl Strategy<Value = Step> {
    let end = prop_oneof![4 => Just(End::Done), 3 => (0..90_u64).prop_map(End::Again), 1 => Just(End::Never)];
    prop_oneof![
        6 => prop::option::weighted(0.8, 0..3_u8).prop_map(Step::Admit),
        6 => (1..4_usize, prop::bool::weighted(0.3)).prop_map(|(most, probe)| Step::Pick(most, probe)),
        4 => (any::<usize>(), prop::collection::vec(end, 4)).prop_map(|(call, ends)| Step::End(call, ends)),
        2 => (any::<usize>(), prop_oneof![Just(0), Just(250)], any::<bool>())
            .prop_map(|(call, wait, others)| Step::Miss(call, wait, others)),
        2 => Just(Step::Record),
        2 => prop::bool::weighted(0.8).prop_map(Step::Recorded),
        3 => prop_oneof![Just(10_u64), Just(60), Just(300), Just(30_000)].prop_map(Step::Pass),
        1 => Just(Step::Restart),
    ]
}

fn any_order() -> impl Strategy<Value = Order> {
    prop_oneof![Just(Order::None), Just(Order::Entity), Just(Order::All)]
}

/// An event as the model knows it.
#[derive(Debug, Clone)]
struct Known {
    entity: Option<String>,
    /// It was taken, or is a dead letter.
    ended: bool,
    /// The queue has it, unfinished.
    open: bool,
}

struct Life {
    policy: DeliveryPolicy,
    queue: Queue,
    now: Timestamp,
    log: BTreeMap<Seq, Known>,
    calls: Vec<Vec<Seq>>,
    successes: u64,
    /// What the store has: rows that wait, and where the sink stands.
    rows: BTreeMap<Seq, DeliveryRow>,
    position: Seq,
    record: Option<(BTreeMap<Seq, DeliveryChange>, Seq)>,
}

fn event(seq: Seq, entity: Option<&String>) -> Event {
    Event {
        seq,
        source: OwnerId(1),
        source_name: "s".to_owned(),
        event_id: seq.0.to_string(),
        event_type: "t".to_owned(),
        entity_id: entity.cloned(),
        created_at: Timestamp::UNIX_EPOCH,
        occurred_at: None,
        data: Json::new(format!("{{\"n\":{}}}", seq.0)).unwrap(),
        meta: Json::empty_object(),
    }
}

impl Life {
    fn new(order: Order) -> Self {
        let policy = DeliveryPolicy { order, max_attempts: 3, ..DeliveryPolicy::default() };
        Self {
            queue: Queue::new(&policy, Seq(0)),
            policy,
            now: Timestamp::UNIX_EPOCH,
            log: BTreeMap::new(),
            calls: Vec::new(),
            successes: 0,
            rows: BTreeMap::new(),
            position: Seq(0),
            record: None,
        }
    }

    async fn step(&mut self, step: &Step) {
        match step {
            Step::Admit(entity) => {
                let seq = Seq(self.log.len() as i64 + 1);
                let entity = entity.map(|entity| entity.to_string());
                self.log.insert(seq, Known { entity, ended: false, open: false });
                self.read(seq);
            }
            Step::Pick(most, probe) => self.pick(*most, *probe),
            Step::End(call, ends) => {
                if let Some(call) = self.take_call(*call) {
                    call.into_iter().zip(ends.iter().cycle()).for_each(|(seq, end)| self.end(seq, *end));
                }
            }
            Step::Miss(call, wait, others) => {
                let Some(call) = self.take_call(*call) else { return };
                self.successes += u64::from(*others);
                let wait = Duration::from_millis(*wait);
                if let Some(seq) = self.queue.missed(&call, self.now, wait, self.successes) {
                    self.end(seq, End::Again(5));
                }
            }
            Step::Record if self.record.is_none() => {
                self.queue.store_stragglers(self.now, Duration::from_millis(50));
                self.record = Some((self.queue.take_changes(), self.queue.position()));
            }
            Step::Record => {}
            Step::Recorded(stored) => self.recorded(*stored),
            Step::Pass(millis) => {
                let by = Duration::from_millis(*millis);
                tokio::time::advance(by).await;
                self.now = ahead(self.now, by);
            }
            Step::Restart => self.restart(),
        }
    }

    fn read(&mut self, seq: Seq) {
        let known = self.log.get_mut(&seq).unwrap();
        known.open = true;
        self.queue.admit(event(seq, known.entity.as_ref()));
        self.queue.scanned_to(seq);
    }

    fn take_call(&mut self, call: usize) -> Option<Vec<Seq>> {
        (!self.calls.is_empty()).then(|| self.calls.remove(call % self.calls.len()))
    }

    fn pick(&mut self, most: usize, probe: bool) {
        let most = if probe { 1 } else { most };
        let picked = self.queue.pick(self.now, most, probe);
        assert!(picked.seqs.len() <= most && picked.seqs.is_sorted());
        for seq in &picked.seqs {
            assert!(self.calls.iter().flatten().all(|other| other != seq), "{seq:?} is sent already");
            for earlier in self.earlier_of_line(*seq) {
                assert!(picked.seqs.contains(&earlier), "{seq:?} is sent before {earlier:?}");
            }
            let is_known = !self.queue.is_stored(*seq) || self.queue.is_changed(*seq);
            assert!(is_known || self.rows.contains_key(seq), "{seq:?} would be taken for dropped");
        }
        if !picked.seqs.is_empty() {
            self.calls.push(picked.seqs);
        }
    }

    /// The unfinished events that one waits for.
    fn earlier_of_line(&self, seq: Seq) -> Vec<Seq> {
        let entity = &self.log[&seq].entity;
        let earlier = self.log.range(..seq).filter(|(_, known)| known.open);
        let waits = |known: &Known| match self.policy.order {
            Order::None => false,
            Order::Entity => entity.is_some() && known.entity == *entity,
            Order::All => true,
        };
        earlier.filter(|(_, known)| waits(known)).map(|(seq, _)| *seq).collect()
    }

    fn end(&mut self, seq: Seq, end: End) {
        let ended = match end {
            End::Done => {
                self.successes += 1;
                self.queue.done(seq);
                true
            }
            End::Again(seconds) => {
                let due = ahead(self.now, Duration::from_secs(seconds));
                !self.queue.again(seq, self.now, due, "busy".to_owned())
            }
            End::Never => {
                self.queue.dead(seq, self.now, "no".to_owned());
                true
            }
        };
        let known = self.log.get_mut(&seq).unwrap();
        (known.open, known.ended) = (!ended, known.ended || ended);
    }

    fn recorded(&mut self, stored: bool) {
        let Some((changes, position)) = self.record.take() else { return };
        if !stored {
            self.queue.put_back(changes);
            return;
        }
        self.queue.recorded();
        for (seq, change) in changes {
            match change {
                DeliveryChange::Owe {
                    state: DeliveryState::Waiting,
                    due,
                    attempts,
                    tried_at,
                    origin,
                    ..
                } => {
                    self.rows.insert(seq, self.row(seq, (due, attempts, tried_at, origin)));
                }
                _ => drop(self.rows.remove(&seq)),
            }
        }
        self.position = self.position.max(position);
    }

    fn row(&self, seq: Seq, of: (Timestamp, u32, Option<Timestamp>, DeliveryOrigin)) -> DeliveryRow {
        let (due, attempts, tried_at, origin) = of;
        DeliveryRow {
            seq,
            source: OwnerId(1),
            event_type: "t".to_owned(),
            entity_id: self.log[&seq].entity.clone(),
            created_at: Timestamp::UNIX_EPOCH,
            bytes: 0,
            state: DeliveryState::Waiting,
            due,
            attempts,
            error: None,
            tried_at,
            origin,
        }
    }

    /// What was not recorded is not known any more.
    fn restart(&mut self) {
        (self.record, self.calls) = (None, Vec::new());
        self.queue = Queue::new(&self.policy, self.position);
        self.log.values_mut().for_each(|known| known.open = false);
        for (seq, row) in &self.rows {
            self.queue.restore(row);
            self.log.get_mut(seq).unwrap().open = true;
        }
        let unread: Vec<Seq> = self.log.keys().copied().filter(|seq| *seq > self.position).collect();
        for seq in unread {
            if self.queue.holds(seq) { self.queue.scanned_to(seq) } else { self.read(seq) }
        }
    }

    /// What must hold after each step.
    fn check(&self) {
        let queue = &self.queue;
        let open: BTreeSet<Seq> =
            self.log.iter().filter(|(_, known)| known.open).map(|(seq, _)| *seq).collect();
        assert_eq!(queue.items.keys().copied().collect::<BTreeSet<_>>(), open, "each ends, none is lost");
        for (seq, known) in &self.log {
            assert!(known.ended || open.contains(seq), "{seq:?} is lost");
            let kept = *seq > self.position || self.rows.contains_key(seq);
            assert!(known.ended || kept, "a crash would lose {seq:?}");
            assert!(
                !open.contains(seq) || queue.is_stored(*seq) || *seq > queue.position(),
                "passed {seq:?}"
            );
        }
        let stored = queue.items.values().filter(|item| item.stored).count();
        let bodies = queue.window.iter().filter_map(|seq| queue.items[seq].event.as_ref());
        assert_eq!((queue.stored(), queue.window().1), (stored, bodies.map(size).sum()));
        let free = |seq: &Seq| self.earlier_of_line(*seq).is_empty() && queue.items[seq].sending.is_none();
        let due = open.iter().filter(|seq| queue.is_stored(**seq) && free(seq));
        let due: BTreeSet<_> = due.map(|seq| (queue.items[seq].due, *seq)).collect();
        assert_eq!(queue.due, due);
        assert_eq!(queue.next_due(), due.first().map(|(due, _)| *due));
        let ready = open.iter().filter(|seq| !queue.is_stored(**seq) && free(seq));
        assert_eq!(queue.next_ready(), ready.map(|seq| queue.items[seq].ready).min());
        let sending = queue.items.iter().filter(|(_, item)| item.sending.is_some()).map(|(seq, _)| *seq);
        assert_eq!(sending.collect::<BTreeSet<_>>(), self.calls.iter().flatten().copied().collect());
    }

    /// Sends all that is left, which comes to an end.
    async fn drain(&mut self) {
        for _ in 0..1_000 {
            if self.queue.is_empty() {
                return;
            }
            for step in [
                Step::Pass(60_000),
                Step::Record,
                Step::Recorded(true),
                Step::Pick(3, false),
                Step::End(0, vec![End::Done]),
            ] {
                self.step(&step).await;
                self.check();
            }
        }
        panic!("{:?} are never sent", self.queue.items.keys());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 5_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_order_is_kept_and_nothing_is_lost(order in any_order(), steps in prop::collection::vec(any_step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let mut life = Life::new(order);
            for step in &steps {
                life.step(step).await;
                life.check();
            }
            life.drain().await;
        });
    }
}
