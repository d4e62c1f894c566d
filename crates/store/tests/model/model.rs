//! What a store promises, in the plainest form: maps and lists in memory.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use inboxclaw_contract::store::{Before, DeliveryQuery, Find, HistoryLimit, PastTurn};
use inboxclaw_contract::turn::{Committed, DeliveryChange, EntryChange};
use inboxclaw_contract::{Clock, Entry, Expiry, Json, OwnerId, Selection, Seq, Turn, Version};
use inboxclaw_contract_testing::Ground;
use inboxclaw_settings::{Interval, Ttl};
use jiff::{SignedDuration, Timestamp};

const HISTORY_DAYS: i64 = 7;

/// The owner's number, by its place in the model.
pub(crate) fn owner(place: usize) -> OwnerId {
    OwnerId(place as i64 + 1)
}

#[derive(Debug)]
pub(crate) enum Expected {
    Done(Committed),
    Conflict,
}

pub(crate) struct Model {
    now: Timestamp,
    owners: [OwnerModel; 2],
    reported: HashSet<(OwnerId, String)>,
    events: Vec<EventModel>,
    head: i64,
    /// The last place and the latest time of what retention removed, by type.
    pruned: BTreeMap<String, (i64, Timestamp)>,
    /// How many events went that a sink owed, once for each sink.
    dropped: u64,
}

#[derive(Default)]
struct OwnerModel {
    version: i64,
    cursor: Option<String>,
    entries: BTreeMap<String, Entry>,
    /// Every turn that changed the state: what it replaced, and whether history still has it.
    turns: Vec<(PastTurn, bool)>,
    owed: BTreeSet<i64>,
}

struct EventModel {
    seq: i64,
    source: OwnerId,
    id: String,
    event_type: String,
    created_at: Timestamp,
}

impl Model {
    pub(crate) fn new(clock: &dyn Clock) -> Self {
        let owners = Default::default();
        let (reported, pruned) = (HashSet::new(), BTreeMap::new());
        Self { now: clock.now(), owners, reported, events: Vec::new(), head: 0, pruned, dropped: 0 }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.now
    }

    pub(crate) fn version(&self, place: usize) -> i64 {
        self.owners[place].version
    }

    pub(crate) fn revision(&self, place: usize, key: &str) -> Option<i64> {
        self.owners[place].live(key, self.now).map(|entry| entry.revision.0)
    }

    /// Time passes; with a sweep, what is beyond its bounds goes.
    pub(crate) fn tick(&mut self, clock: &dyn Clock, sweep: bool) {
        let wall = clock.now();
        let back = self.now.duration_since(wall);
        if back <= SignedDuration::ZERO || back > SignedDuration::from_secs(60) {
            self.now = wall;
        }
        if sweep {
            self.sweep();
        }
    }

    fn sweep(&mut self) {
        let now = self.now;
        let limit = now.checked_sub(SignedDuration::from_hours(24 * HISTORY_DAYS)).unwrap();
        // In the order of commit, up to the first that is young enough: the clock may have gone back in between.
        let mut all: Vec<_> = self.owners.iter_mut().flat_map(|owner| &mut owner.turns).collect();
        all.retain(|(_, kept)| *kept);
        all.sort_by_key(|(past, _)| past.author.clone());
        all.into_iter().take_while(|(past, _)| past.at <= limit).for_each(|(_, kept)| *kept = false);
        // What has just expired is left to those who watch.
        let expired = now.checked_sub(SignedDuration::from_secs(10)).unwrap();
        for owner in &mut self.owners {
            owner.entries.retain(|_, entry| entry.expires_at.is_none_or(|at| at > expired));
        }
    }

    pub(crate) fn turn(&mut self, turn: &Turn) -> Expected {
        let (now, place) = (self.now, turn.owner.0 as usize - 1);
        if turn.is_empty() {
            let version = Version(self.owners[place].version);
            return Expected::Done(Committed { version, stored: 0, pending: 0, known: 0 });
        }
        if self.owners[place].conflicts(turn, now) {
            return Expected::Conflict;
        }
        let number: usize = self.owners.iter().map(|owner| owner.turns.len()).sum();
        let owner = &mut self.owners[place];
        owner.apply(turn, now, number);
        for change in &turn.deliveries {
            match change {
                DeliveryChange::Owe { seq, .. } => owner.owed.insert(seq.0),
                DeliveryChange::Done { seq } => owner.owed.remove(&seq.0),
                DeliveryChange::Retry { .. } => false,
            };
        }
        let version = Version(owner.version);
        let (mut stored, mut known) = (0, 0);
        for event in &turn.events {
            if !self.reported.insert((turn.owner, event.event_id.clone())) {
                known += 1;
                continue;
            }
            stored += 1;
            self.head += 1;
            let (id, event_type) = (event.event_id.clone(), event.event_type.clone());
            self.events.push(EventModel {
                seq: self.head,
                source: turn.owner,
                id,
                event_type,
                created_at: now,
            });
        }
        Expected::Done(Committed { version, stored, pending: 0, known })
    }

    /// Whether not all changes since the turn's base are in history any more: then the version alone may decide.
    pub(crate) fn has_forgotten(&self, turn: &Turn) -> bool {
        let turns = &self.owners[turn.owner.0 as usize - 1].turns;
        turns.iter().any(|(past, kept)| past.version > turn.base && !kept)
    }

    /// Retention; `after` is where the one sink stands that counts.
    pub(crate) fn prune(&mut self, clock: &dyn Clock, ages: [Duration; 2], after: Option<i64>) -> u64 {
        self.tick(clock, false);
        let [old, owed_max] =
            ages.map(|age| self.now.checked_sub(SignedDuration::try_from(age).unwrap()).unwrap());
        let held = &self.owners[0].owed;
        let wanted = |event: &EventModel| after.is_some_and(|after| event.seq > after);
        let owed = |event: &EventModel| after.is_some() && held.contains(&event.seq);
        let goes = |event: &EventModel| {
            let is_kept = (wanted(event) || owed(event)) && event.created_at >= owed_max;
            event.created_at < old && !is_kept
        };
        for event in self.events.iter().filter(|event| goes(event)) {
            self.dropped += u64::from(wanted(event)) + u64::from(owed(event));
        }
        let gone: BTreeSet<i64> =
            self.events.iter().filter(|event| goes(event)).map(|event| event.seq).collect();
        for event in self.events.iter().filter(|event| gone.contains(&event.seq)) {
            let mark = (event.seq, event.created_at);
            let (seq, at) = self.pruned.entry(event.event_type.clone()).or_insert(mark);
            (*seq, *at) = (mark.0.max(*seq), mark.1.max(*at));
        }
        self.events.retain(|event| !gone.contains(&event.seq));
        for owner in &mut self.owners {
            owner.owed.retain(|seq| !gone.contains(seq));
        }
        gone.len() as u64
    }

    /// Everything that can be read, beside the model.
    pub(crate) async fn compare(&self, ground: &Ground) {
        for (place, model) in self.owners.iter().enumerate() {
            model.compare(ground, owner(place), self).await;
        }
        for (after, seconds) in [(0, None), (2, Some(10)), (0, Some(100)), (5, Some(3_000))] {
            self.compare_page(ground, after, seconds).await;
        }
        let dropped: u64 = ground.store.lapses().await.unwrap().iter().map(|lapse| lapse.dropped).sum();
        assert_eq!(dropped, self.dropped);
        let find = Find { event_type: Some("t.b".into()), limit: 2, ..Find::default() };
        let found = ground.store.find(&find).await.unwrap();
        let matching: Vec<_> = self.events.iter().rev().filter(|event| event.event_type == "t.b").collect();
        assert_eq!(found.total, matching.len() as u64);
        let newest: Vec<_> = matching.iter().take(2).map(|event| event.seq).collect();
        assert_eq!(found.events.iter().map(|event| event.seq.0).collect::<Vec<_>>(), newest);
    }

    async fn compare_page(&self, ground: &Ground, after: i64, seconds: Option<u64>) {
        let ttl = seconds.map(|seconds| {
            // One type without a limit of its own time.
            let by_type = BTreeMap::from([("u".to_owned(), Interval::from_secs(50))]);
            Ttl { default: Some(Interval::from_secs(seconds)), by_type }
        });
        let selection = Selection { ttl: ttl.clone(), ..Selection::all(Seq(after)) };
        let page = ground.page(&selection).await;
        let is_young = |event_type: &str, created_at: Timestamp| {
            let age = ttl.as_ref().and_then(|ttl| ttl.of(event_type));
            age.is_none_or(|age| {
                created_at > self.now.checked_sub(SignedDuration::try_from(age).unwrap()).unwrap()
            })
        };
        let wanted = |event: &&EventModel| event.seq > after && is_young(&event.event_type, event.created_at);
        let expected: Vec<_> = self.events.iter().filter(wanted).map(EventModel::seen).collect();
        let found: Vec<_> = page
            .events
            .iter()
            .map(|event| (event.seq.0, event.source, &*event.event_id, &*event.event_type, event.created_at))
            .collect();
        assert_eq!(found, expected, "after {after} within {seconds:?} s");
        assert!(page.complete && page.remaining == 0);
        let missed = self.pruned.iter().filter(|(name, (seq, at))| *seq > after && is_young(name, *at));
        let oldest = self.events.iter().map(|event| event.seq).min();
        let beyond = (after > self.head).then_some(oldest.map_or(self.head, |oldest| oldest - 1));
        let up_to = missed.map(|(_, (seq, _))| *seq).chain(beyond).max();
        assert_eq!((page.head.0, page.truncation.map(|it| it.up_to.0)), (self.head, up_to));
    }
}

impl EventModel {
    fn seen(&self) -> (i64, OwnerId, &str, &str, Timestamp) {
        (self.seq, self.source, &self.id, &self.event_type, self.created_at)
    }
}

impl OwnerModel {
    fn live(&self, key: &str, now: Timestamp) -> Option<&Entry> {
        self.entries.get(key).filter(|entry| entry.expires_at.is_none_or(|at| at > now))
    }

    fn conflicts(&self, turn: &Turn, now: Timestamp) -> bool {
        let newer = self.turns.iter().map(|(past, _)| past).filter(|past| past.version > turn.base);
        let reads_cursor = turn.reads.cursor || turn.cursor.is_some();
        let depends = |key: &String| {
            let mut prefixes = turn.reads.prefixes.iter().chain(&turn.deleted_prefixes);
            turn.reads.keys.contains(key)
                || turn.entries.contains_key(key)
                || prefixes.any(|prefix| key.starts_with(prefix.as_str()))
        };
        let mut newer = newer;
        newer.any(|past| {
            (past.cursor.is_some() && reads_cursor) || past.entries.iter().any(|(key, _)| depends(key))
        }) || turn
            .checks
            .iter()
            .any(|(key, wanted)| self.live(key, now).map(|entry| entry.revision) != *wanted)
    }

    fn apply(&mut self, turn: &Turn, now: Timestamp, number: usize) {
        let next = Version(self.version + 1);
        let mut replaced: BTreeMap<String, Option<Entry>> = BTreeMap::new();
        for prefix in &turn.deleted_prefixes {
            let keys: Vec<_> =
                self.entries.keys().filter(|key| key.starts_with(prefix.as_str())).cloned().collect();
            for key in keys {
                if let Some(old) = self.live(&key, now).cloned() {
                    replaced.insert(key.clone(), Some(old));
                }
                self.entries.remove(&key);
            }
        }
        for (key, change) in &turn.entries {
            let old = self.live(key, now).cloned();
            let changed = match becomes(key, change, old.as_ref(), now, next) {
                Becomes::Same => false,
                Becomes::Gone => self.entries.remove(key).is_some(),
                Becomes::Entry(entry) => {
                    let changed = entry.revision == next;
                    self.entries.insert(key.clone(), entry);
                    changed
                }
            };
            if changed {
                replaced.entry(key.clone()).or_insert(old);
            }
        }
        let cursor = turn.cursor.clone().filter(|cursor| *cursor != self.cursor);
        let cursor = cursor.map(|cursor| std::mem::replace(&mut self.cursor, cursor));
        if cursor.is_some() || !replaced.is_empty() {
            self.version = next.0;
            let before = |old: Option<Entry>| match old {
                None => Before::Absent,
                Some(old) if old.secret => Before::Secret,
                Some(old) => Before::Entry(old),
            };
            let entries = replaced.into_iter().map(|(key, old)| (key, before(old))).collect();
            // The author is not part of the game; its place holds the order of commit.
            let author = Some(format!("{number:09}"));
            let past = PastTurn {
                version: next,
                at: now,
                author,
                cursor,
                entries,
                marker: false,
                replaced: None,
                undoes: None,
            };
            self.turns.push((past, true));
        }
    }

    async fn compare(&self, ground: &Ground, id: OwnerId, model: &Model) {
        let snapshot = ground.store.snapshot(id).await.unwrap();
        assert_eq!(
            (snapshot.version.0, &snapshot.cursor, snapshot.now),
            (self.version, &self.cursor, model.now)
        );
        let bytes = self.entries.iter().map(|(key, entry)| key.len() + entry.value.len()).sum::<usize>();
        assert_eq!(ground.counts(id).await, (self.entries.len() as u64, bytes as u64));
        let live: Vec<_> = self.entries.keys().filter_map(|key| self.live(key, model.now)).cloned().collect();
        assert_eq!(ground.store.list(id, "", None, 100).await.unwrap(), live);
        let under: Vec<_> = live.iter().filter(|entry| entry.key.starts_with("a/")).cloned().collect();
        assert_eq!(ground.store.list(id, "a/", None, 100).await.unwrap(), under);
        let keys = ["a".to_owned(), "none".to_owned()];
        let found = ground.store.entries(id, &keys).await.unwrap();
        assert_eq!(found, keys.map(|key| self.live(&key, model.now).cloned()));
        let history = ground.store.history(id, None, HistoryLimit::turns(100)).await.unwrap();
        let kept = self.turns.iter().rev().take_while(|(_, kept)| *kept);
        let kept: Vec<_> = kept.map(|(past, _)| PastTurn { author: None, ..past.clone() }).collect();
        assert_eq!(history, kept);
        let owed = ground.deliveries(id, DeliveryQuery::all(100)).await;
        let there = |seq: &&i64| model.events.iter().any(|event| event.seq == **seq);
        let expected: Vec<_> = self.owed.iter().filter(there).copied().collect();
        assert_eq!(owed.iter().map(|delivery| delivery.seq.0).collect::<Vec<_>>(), expected);
    }
}

/// What a change makes of what is under its key.
enum Becomes {
    Same,
    Gone,
    Entry(Entry),
}

fn becomes(key: &str, change: &EntryChange, old: Option<&Entry>, now: Timestamp, next: Version) -> Becomes {
    let expires = |expiry: Expiry| expiry.resolve(now, old.and_then(|old| old.expires_at));
    let gone = || old.map_or(Becomes::Same, |_| Becomes::Gone);
    let until =
        |expires_at| old.map_or(Becomes::Same, |old| Becomes::Entry(Entry { expires_at, ..old.clone() }));
    let same = |value: &Json, secret| old.is_some_and(|old| old.value == *value && old.secret == secret);
    match change {
        EntryChange::Put { value, expiry, secret } if same(value, *secret) => until(expires(*expiry)),
        EntryChange::Put { value, expiry, secret } => Becomes::Entry(Entry {
            key: key.to_owned(),
            value: value.clone(),
            revision: next,
            created_at: old.map_or(now, |old| old.created_at),
            updated_at: now,
            expires_at: expires(*expiry),
            secret: *secret,
        }),
        EntryChange::Touch { expiry } => until(expires(*expiry)),
        EntryChange::Restore(entry) if entry.expires_at.is_some_and(|at| at <= now) => gone(),
        EntryChange::Restore(entry) if same(&entry.value, entry.secret) => until(entry.expires_at),
        EntryChange::Restore(entry) => Becomes::Entry(Entry { revision: next, ..entry.clone() }),
        EntryChange::Delete => gone(),
    }
}
