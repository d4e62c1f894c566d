//! What a store promises of states, in the plainest form: every state that an owner ever had, kept whole. How a turn
//! changes it is in `turns`, what an edit comes to in `edits`.

use std::collections::BTreeMap;

use inboxclaw_contract::store::{Before, StateLimits};
use inboxclaw_contract::turn::Sweep;
use inboxclaw_contract::{Clock, Entry, OwnerId, SpaceId};
use jiff::{SignedDuration, Timestamp};

pub(crate) const OWNERS: usize = 3;
const HISTORY_DAYS: i64 = 7;

/// The owner's number, by its place in the model.
pub(crate) fn owner(place: usize) -> OwnerId {
    OwnerId(i64::try_from(place).unwrap() + 1)
}

/// An entry that is stored, expired or not.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) entry: Entry,
    /// Tells this put from every other. What happens without a version (a touch, an expiry, a sweep) happens to the
    /// put in every state that holds it.
    pub(crate) born: u64,
}

pub(crate) type Rows = BTreeMap<String, Row>;

/// A state right after a version.
#[derive(Debug, Clone, Default)]
pub(crate) struct Then {
    pub(crate) rows: Rows,
    pub(crate) cursor: Option<String>,
    pub(crate) space: usize,
}

/// A turn that made a version.
#[derive(Debug, Clone)]
pub(crate) struct Past {
    pub(crate) version: i64,
    pub(crate) at: Timestamp,
    pub(crate) author: Option<String>,
    pub(crate) undoes: Option<i64>,
    pub(crate) cursor: Option<Option<String>>,
    pub(crate) before: BTreeMap<String, Before>,
    pub(crate) replaced: Option<usize>,
    /// Whether history still has it.
    pub(crate) kept: bool,
    /// Its place among the turns of all owners.
    pub(crate) order: u64,
}

#[derive(Debug, Clone)]
pub(crate) struct OwnerModel {
    pub(crate) version: i64,
    pub(crate) cursor: Option<String>,
    pub(crate) space: usize,
    pub(crate) spaces: Vec<Rows>,
    /// The numbers that the store gave them, as far as they are known.
    pub(crate) ids: Vec<Option<SpaceId>>,
    /// By version, from 0.
    pub(crate) then: Vec<Then>,
    /// By version, from 1.
    pub(crate) past: Vec<Past>,
    pub(crate) policy: StateLimits,
    /// When a sweep last went by the rules for age: it may leave them alone for an hour then.
    pub(crate) ruled: Option<Timestamp>,
    /// What turns asked to be swept by age and no sweep has come for yet.
    pub(crate) sweeps: Vec<Sweep>,
}

pub(crate) struct World {
    pub(crate) now: Timestamp,
    pub(crate) owners: Vec<OwnerModel>,
    pub(crate) counter: u64,
    /// The latest time that any sweep had.
    pub(crate) swept: Timestamp,
}

pub(crate) fn is_live(entry: &Entry, now: Timestamp) -> bool {
    entry.expires_at.is_none_or(|at| at > now)
}

impl World {
    pub(crate) fn new(clock: &dyn Clock) -> Self {
        let owners = vec![OwnerModel::new(); OWNERS];
        Self { now: clock.now(), owners, counter: 0, swept: Timestamp::MIN }
    }

    /// Time passes. Small steps back are absorbed.
    pub(crate) fn tick(&mut self, clock: &dyn Clock) {
        let wall = clock.now();
        let back = self.now.duration_since(wall);
        if back <= SignedDuration::ZERO || back > SignedDuration::from_secs(60) {
            self.now = wall;
        }
    }

    /// The store was closed and opened: what only its memory knew is gone.
    pub(crate) fn forget_rules(&mut self) {
        for owner in &mut self.owners {
            owner.set_limits(StateLimits::default());
            owner.sweeps.clear();
        }
    }

    pub(crate) fn sweep(&mut self) {
        let now = self.now;
        let limit = now.checked_sub(SignedDuration::from_hours(24 * HISTORY_DAYS)).unwrap();
        // In the order of commit, up to the first that is young enough: the clock may have gone back in between.
        let mut all: Vec<_> = self.owners.iter_mut().flat_map(|owner| &mut owner.past).collect();
        all.retain(|past| past.kept);
        all.sort_by_key(|past| past.order);
        all.into_iter().take_while(|past| past.at <= limit).for_each(|past| past.kept = false);
        for owner in &mut self.owners {
            owner.sweep(now);
        }
        self.swept = self.swept.max(now);
    }
}

impl OwnerModel {
    fn new() -> Self {
        Self {
            version: 0,
            cursor: None,
            space: 0,
            spaces: vec![Rows::new()],
            ids: vec![None],
            then: vec![Then::default()],
            past: Vec::new(),
            policy: StateLimits::default(),
            ruled: None,
            sweeps: Vec::new(),
        }
    }

    pub(crate) fn rows(&self) -> &Rows {
        &self.spaces[self.space]
    }

    pub(crate) fn rows_mut(&mut self) -> &mut Rows {
        &mut self.spaces[self.space]
    }

    pub(crate) fn live(&self, key: &str, now: Timestamp) -> Option<&Entry> {
        self.rows().get(key).map(|row| &row.entry).filter(|entry| is_live(entry, now))
    }

    pub(crate) fn all_live(&self, now: Timestamp) -> Vec<&Entry> {
        self.rows().values().map(|row| &row.entry).filter(|entry| is_live(entry, now)).collect()
    }

    /// Entries and bytes that are stored, and those of them that are live.
    pub(crate) fn counts(&self, now: Timestamp) -> ((u64, u64), (u64, u64)) {
        let count = |entries: Vec<&Entry>| {
            let bytes = entries.iter().map(|entry| (entry.key.len() + entry.value.len()) as u64).sum();
            (entries.len() as u64, bytes)
        };
        (count(self.rows().values().map(|row| &row.entry).collect()), count(self.all_live(now)))
    }

    /// An entry goes without a version.
    pub(crate) fn lose(&mut self, born: u64) {
        let all = self.spaces.iter_mut().chain(self.then.iter_mut().map(|then| &mut then.rows));
        all.for_each(|rows| rows.retain(|_, row| row.born != born));
    }

    /// An entry gets another expiry without a version.
    pub(crate) fn expire_at(&mut self, born: u64, at: Option<Timestamp>) {
        let all = self.spaces.iter_mut().chain(self.then.iter_mut().map(|then| &mut then.rows));
        let rows = all.flat_map(|rows| rows.values_mut()).filter(|row| row.born == born);
        rows.for_each(|row| row.entry.expires_at = at);
    }

    /// Puts another space in place; the replaced one keeps no secrets.
    pub(crate) fn swap(&mut self, space: usize, keep_secrets: bool, now: Timestamp) {
        let old = std::mem::replace(&mut self.space, space);
        let (secrets, rest) =
            std::mem::take(&mut self.spaces[old]).into_iter().partition(|(_, row)| row.entry.secret);
        self.spaces[old] = rest;
        let secrets: Rows = secrets;
        for (key, row) in secrets {
            if !is_live(&row.entry, now) {
                self.lose(row.born);
            } else if keep_secrets && self.spaces[space].get(&key).is_none_or(|there| !there.entry.secret) {
                // It wins, and no history knows of what it wins over.
                if let Some(there) = self.spaces[space].insert(key, row) {
                    self.lose(there.born);
                }
            }
        }
    }

    pub(crate) fn set_limits(&mut self, policy: StateLimits) {
        self.policy = policy;
        self.ruled = None;
    }

    /// Whether a sweep by this time may remove an entry in place because of its age.
    pub(crate) fn may_take(&self, entry: &Entry, now: Timestamp) -> bool {
        self.rules(now).chain(self.sweeps.iter().cloned()).any(|sweep| takes(&sweep, entry))
    }

    fn rules(&self, now: Timestamp) -> impl Iterator<Item = Sweep> {
        self.policy.expire.iter().filter_map(move |rule| {
            let before = now.checked_sub(SignedDuration::try_from(rule.after).unwrap()).ok()?;
            Some(Sweep { prefix: rule.prefix.clone(), by: rule.by, before })
        })
    }

    fn sweep(&mut self, now: Timestamp) {
        let mut sweeps = std::mem::take(&mut self.sweeps);
        let rests =
            |ruled: Timestamp| ruled <= now && now.duration_since(ruled) < SignedDuration::from_hours(1);
        if !self.ruled.is_some_and(rests) {
            sweeps.extend(self.rules(now));
            self.ruled = Some(now);
        }
        // What has expired just now may stay for a moment; nobody sees it.
        let before = now.checked_sub(SignedDuration::from_secs(10)).unwrap();
        let expired =
            self.spaces.iter().flat_map(|rows| rows.values()).filter(|row| !is_live(&row.entry, before));
        let aged = self.rows().values().filter(|row| sweeps.iter().any(|sweep| takes(sweep, &row.entry)));
        let gone: Vec<u64> = expired.chain(aged).map(|row| row.born).collect();
        gone.into_iter().for_each(|born| self.lose(born));
    }
}

/// Whether a sweep takes an entry.
pub(crate) fn takes(sweep: &Sweep, entry: &Entry) -> bool {
    sweep.takes(&entry.key, entry.created_at, entry.updated_at)
}
