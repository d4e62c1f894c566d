//! A store in memory that can be told to fail, to conflict and to break, and that counts its writes. It keeps the
//! promises that the runtime relies on; what a real store does about bytes and disks is tested there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use inboxclaw_contract::sinks::{Expired, Lapse};
use inboxclaw_contract::store::{
    ClockState, HistoryLimit, Housekeeping, OwnerInfo, PastTurn, Policy, Prune, Pruned, State, StoreError,
    Swept,
};
use inboxclaw_contract::turn::{
    Committed, Conflict, DeliveryChange, DeliveryState, EntryChange, FactsPatch, Outcome, RunFacts, Turn,
};
use inboxclaw_contract::{Entry, Event, Owner, OwnerId, Selection, Seq, Snapshot, Version};
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;

/// What the store is to do wrong.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    /// Every write finds no room.
    pub full: bool,
    /// Every read fails.
    pub unreadable: bool,
    /// Every write fails for good.
    pub broken: bool,
    /// So many turns of these owners conflict, one after the other.
    pub conflicts: BTreeMap<OwnerId, u32>,
    /// Writes take so long.
    pub slow: Duration,
}

/// What a test looks at.
#[derive(Debug, Default)]
pub struct Inner {
    pub faults: Faults,
    pub owners: Vec<Row>,
    pub events: Vec<Event>,
    pub head: i64,
    pub pruned: Seq,
    pub deliveries: BTreeMap<(OwnerId, Seq), Delivery>,
    /// When something was written, since the start.
    pub writes: Vec<Duration>,
    /// When which owner was claimed, and by whom.
    pub claims: Vec<(Duration, OwnerId, String, Duration)>,
    /// What was asked to be pruned.
    pub prunes: Vec<Prune>,
    /// How many steps sweep and prune still have to do.
    pub steps: u32,
    /// The rules for each owner as last told.
    pub policies: BTreeMap<OwnerId, Policy>,
    pub sweeps: Vec<Duration>,
    /// What the next look finds to have outlived its time to live.
    pub expired: Vec<Expired>,
    /// What left the debts of sinks.
    pub lapses: Vec<Lapse>,
}

#[derive(Debug)]
pub struct Row {
    pub owner: Owner,
    pub connector: String,
    pub version: Version,
    pub cursor: Option<String>,
    cursor_at: Version,
    pub entries: BTreeMap<String, Entry>,
    pub facts: RunFacts,
    pub claim: Option<(String, Timestamp)>,
    /// What a sink takes, from where it began.
    pub intake: Option<Selection>,
    pub left_at: Option<Timestamp>,
    seen: BTreeSet<String>,
}

#[derive(Debug, Clone)]
pub struct Delivery {
    pub state: DeliveryState,
    pub due: Timestamp,
    pub attempts: u32,
    pub error: Option<String>,
}

pub struct Memory {
    inner: Mutex<Inner>,
    start: Instant,
    base: Timestamp,
    changes: watch::Sender<u64>,
}

impl Memory {
    pub fn new() -> Self {
        Self {
            inner: Mutex::default(),
            start: Instant::now(),
            base: "2026-01-01T00:00:00Z".parse().unwrap(),
            changes: watch::channel(0).0,
        }
    }

    pub fn now(&self) -> Timestamp {
        self.base + self.start.elapsed()
    }

    /// Looks at, or changes, what is stored.
    pub fn with<T>(&self, work: impl FnOnce(&mut Inner) -> T) -> T {
        let result = work(&mut self.inner.lock().unwrap());
        self.changes.send_modify(|n| *n += 1);
        result
    }

    pub fn id(&self, owner: &Owner) -> OwnerId {
        self.with(|inner| {
            let at = inner.owners.iter().position(|row| row.owner == *owner);
            OwnerId(i64::try_from(at.expect("a registered owner")).unwrap())
        })
    }

    pub fn row<T>(&self, owner: &Owner, work: impl FnOnce(&mut Row) -> T) -> T {
        let id = self.id(owner);
        self.with(|inner| work(inner.row(id)))
    }

    /// An edit by a person: a new cursor.
    pub fn edit_cursor(&self, owner: &Owner, cursor: Option<&str>) {
        self.row(owner, |row| {
            row.version.0 += 1;
            row.cursor = cursor.map(str::to_owned);
            row.cursor_at = row.version;
        });
    }

    pub fn read<T>(&self, work: impl FnOnce(&Inner) -> T) -> Result<T, StoreError> {
        let inner = self.inner.lock().unwrap();
        if inner.faults.unreadable {
            return Err(StoreError::Read("told to".to_owned()));
        }
        Ok(work(&inner))
    }

    pub async fn write<T>(&self, work: impl FnOnce(&mut Inner) -> T) -> Result<T, StoreError> {
        let slow = self.inner.lock().unwrap().faults.slow;
        if !slow.is_zero() {
            tokio::time::sleep(slow).await;
        }
        let mut inner = self.inner.lock().unwrap();
        if inner.faults.full {
            return Err(StoreError::Full("told to".to_owned()));
        }
        if inner.faults.broken {
            return Err(StoreError::Broken("told to".to_owned()));
        }
        inner.writes.push(self.start.elapsed());
        let result = work(&mut inner);
        drop(inner);
        self.changes.send_modify(|n| *n += 1);
        Ok(result)
    }

    pub async fn once<T>(&self, ready: impl Fn(&Inner) -> Option<T>) -> Result<T, StoreError> {
        let mut changes = self.changes.subscribe();
        loop {
            if let Some(value) = self.read(&ready).unwrap_or_default() {
                return Ok(value);
            }
            changes.changed().await.unwrap();
        }
    }
}

impl Inner {
    pub fn row(&mut self, id: OwnerId) -> &mut Row {
        &mut self.owners[usize::try_from(id.0).unwrap()]
    }

    fn at(&self, id: OwnerId) -> &Row {
        &self.owners[usize::try_from(id.0).unwrap()]
    }

    /// As a real store says it, about entries only.
    fn check_limit(&self, turn: &Turn) -> Result<(), StoreError> {
        let Some(limit) = self.policies.get(&turn.owner).and_then(|policy| policy.max_entries) else {
            return Ok(());
        };
        let row = self.at(turn.owner);
        let new = turn.entries.keys().filter(|key| !row.entries.contains_key(*key)).count();
        let found = row.entries.len() + new;
        if new == 0 || found as u64 <= limit {
            return Ok(());
        }
        let refused = format!("{} would have {found} entries of state, the limit is {limit}", row.owner.name);
        Err(StoreError::OverLimit(refused))
    }

    fn conflict(&mut self, turn: &Turn) -> Option<Conflict> {
        self.told(turn).or_else(|| {
            let row = self.at(turn.owner);
            let cursor = (turn.reads.cursor || turn.cursor.is_some()) && row.cursor_at > turn.base;
            cursor.then_some(Conflict::Cursor)
        })
    }

    /// The conflict that was ordered.
    fn told(&mut self, turn: &Turn) -> Option<Conflict> {
        if let Some(left) = self.faults.conflicts.get_mut(&turn.owner).filter(|left| **left > 0) {
            *left -= 1;
            return Some(Conflict::Unknown);
        }
        None
    }

    fn commit(&mut self, turn: Turn, now: Timestamp) -> Outcome {
        if let Some(conflict) = self.conflict(&turn) {
            return Outcome::Conflict(conflict);
        }
        self.change_state(&turn, now);
        let (mut stored, mut known) = (0, 0);
        let source = self.at(turn.owner).owner.name.clone();
        for event in turn.events {
            if !self.row(turn.owner).seen.insert(event.event_id.clone()) {
                known += 1;
                continue;
            }
            stored += 1;
            self.head += 1;
            self.events.push(Event {
                seq: Seq(self.head),
                source: turn.owner,
                source_name: source.clone(),
                event_id: event.event_id,
                event_type: event.event_type,
                entity_id: event.entity_id,
                created_at: now,
                occurred_at: event.occurred_at,
                data: event.data,
                meta: event.meta,
            });
        }
        turn.deliveries.into_iter().for_each(|change| self.deliver(turn.owner, change));
        turn.facts.into_iter().for_each(|(owner, patch)| self.patch(owner, &patch, now));
        Outcome::Committed(Committed { version: self.at(turn.owner).version, stored, known })
    }

    fn change_state(&mut self, turn: &Turn, now: Timestamp) {
        let row = self.row(turn.owner);
        if turn.cursor.is_none() && turn.entries.is_empty() {
            return;
        }
        row.version.0 += 1;
        if let Some(cursor) = &turn.cursor {
            row.cursor.clone_from(cursor);
            row.cursor_at = row.version;
        }
        for (key, change) in &turn.entries {
            if let EntryChange::Put { value, secret, .. } = change {
                let entry = Entry {
                    key: key.clone(),
                    value: value.clone(),
                    revision: row.version,
                    created_at: now,
                    updated_at: now,
                    expires_at: None,
                    secret: *secret,
                };
                row.entries.insert(key.clone(), entry);
            }
        }
    }

    fn deliver(&mut self, sink: OwnerId, change: DeliveryChange) {
        match change {
            DeliveryChange::Owe { seq, state, due, attempts, error, .. } => {
                self.deliveries.insert((sink, seq), Delivery { state, due, attempts, error });
            }
            DeliveryChange::Done { seq } => drop(self.deliveries.remove(&(sink, seq))),
        }
    }

    fn patch(&mut self, owner: OwnerId, patch: &FactsPatch, now: Timestamp) {
        let facts = &mut self.row(owner).facts;
        facts.failures = patch.failures.unwrap_or(facts.failures);
        facts.paused = patch.paused.unwrap_or(facts.paused);
        facts.announced = patch.announced.clone().or(facts.announced.take());
        if let Some(next_in) = patch.next_in {
            facts.next_at = (!next_in.is_zero()).then(|| now + next_in);
        }
        if patch.seen {
            facts.seen_at = Some(now);
        }
    }
}

#[async_trait]
impl State for Memory {
    async fn snapshot(&self, owner: OwnerId) -> Result<Snapshot, StoreError> {
        let now = self.now();
        self.read(|inner| {
            let row = inner.at(owner);
            Snapshot { version: row.version, cursor: row.cursor.clone(), now }
        })
    }

    async fn entries(&self, owner: OwnerId, keys: &[String]) -> Result<Vec<Option<Entry>>, StoreError> {
        self.read(|inner| keys.iter().map(|key| inner.at(owner).entries.get(key).cloned()).collect())
    }

    async fn list(&self, _: OwnerId, _: &str, _: Option<&str>, _: usize) -> Result<Vec<Entry>, StoreError> {
        panic!("no test lists")
    }

    async fn commit(&self, turn: Turn) -> Result<Outcome, StoreError> {
        let now = self.now();
        if turn.is_empty() {
            // Nothing to write and so nothing that could conflict, unless told to.
            self.read(|_| ())?;
            return Ok(self.with(|inner| match inner.told(&turn) {
                Some(conflict) => Outcome::Conflict(conflict),
                None => Outcome::Committed(Committed {
                    version: inner.at(turn.owner).version,
                    stored: 0,
                    known: 0,
                }),
            }));
        }
        self.with(|inner| inner.check_limit(&turn))?;
        self.write(|inner| inner.commit(turn, now)).await
    }

    async fn history(
        &self,
        _: OwnerId,
        _: Option<Version>,
        _: HistoryLimit,
    ) -> Result<Vec<PastTurn>, StoreError> {
        panic!("no test looks back")
    }

    async fn changed(&self, owner: OwnerId, after: Version) -> Result<Version, StoreError> {
        self.once(|inner| Some(inner.at(owner).version).filter(|version| *version > after)).await
    }
}

#[async_trait]
impl Housekeeping for Memory {
    async fn register(&self, owner: &Owner, connector: &str) -> Result<OwnerId, StoreError> {
        let known = self.with(|inner| inner.owners.iter().any(|row| row.owner == *owner));
        if !known {
            let row = Row {
                owner: owner.clone(),
                connector: connector.to_owned(),
                version: Version(0),
                cursor: None,
                cursor_at: Version(0),
                entries: BTreeMap::new(),
                facts: RunFacts::default(),
                claim: None,
                intake: None,
                left_at: None,
                seen: BTreeSet::new(),
            };
            self.write(|inner| inner.owners.push(row)).await?;
        }
        Ok(self.id(owner))
    }

    async fn owners(&self) -> Result<Vec<OwnerInfo>, StoreError> {
        self.read(|inner| {
            let info = |(id, row): (usize, &Row)| OwnerInfo {
                id: OwnerId(i64::try_from(id).unwrap()),
                kind: row.owner.kind,
                name: row.owner.name.clone(),
                connector: row.connector.clone(),
                version: row.version,
                cursor: row.cursor.clone(),
                entries: row.entries.len() as u64,
                bytes: 0,
            };
            inner.owners.iter().enumerate().map(info).collect()
        })
    }

    async fn facts(&self, owner: OwnerId) -> Result<RunFacts, StoreError> {
        self.read(|inner| inner.at(owner).facts.clone())
    }

    async fn set_limits(&self, owner: OwnerId, policy: Policy) -> Result<(), StoreError> {
        self.with(|inner| inner.policies.insert(owner, policy));
        Ok(())
    }

    async fn set_facts(&self, owner: OwnerId, patch: FactsPatch) -> Result<(), StoreError> {
        let now = self.now();
        self.write(|inner| inner.patch(owner, &patch, now)).await
    }

    async fn claim(&self, owner: OwnerId, holder: &str, lasts: Duration) -> Result<bool, StoreError> {
        let (now, at) = (self.now(), self.start.elapsed());
        self.write(|inner| {
            inner.claims.push((at, owner, holder.to_owned(), lasts));
            let row = inner.row(owner);
            let free = row.claim.as_ref().is_none_or(|(by, until)| by == holder || *until <= now);
            if free {
                row.claim = Some((holder.to_owned(), now + lasts));
            }
            free
        })
        .await
    }

    async fn clock(&self) -> Result<ClockState, StoreError> {
        let now = self.now();
        Ok(ClockState { now, wall: now, doubted: None })
    }

    async fn accept_clock(&self) -> Result<ClockState, StoreError> {
        self.clock().await
    }

    async fn sweep(&self) -> Result<Swept, StoreError> {
        let at = self.start.elapsed();
        let more = self.with(|inner| {
            inner.sweeps.push(at);
            inner.steps = inner.steps.saturating_sub(1);
            inner.steps > 0
        });
        Ok(Swept { entries: 0, history: 0, more })
    }

    async fn prune(&self, prune: &Prune) -> Result<Pruned, StoreError> {
        self.with(|inner| {
            inner.prunes.push(prune.clone());
            inner.steps = inner.steps.saturating_sub(1);
            Ok(Pruned { events: 1, more: inner.steps > 0 })
        })
    }
}
