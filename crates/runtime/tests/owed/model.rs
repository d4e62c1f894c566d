//! What a sink owes, as promise 6 says it.

use std::collections::{BTreeMap, BTreeSet};

/// An event that was stored.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) event_type: String,
    /// The second of the store's clock.
    pub(crate) at: i64,
}

/// One sink.
#[derive(Debug, Clone, Default)]
pub(crate) struct Owing {
    /// What it takes; `None` for a sink that the store does not know.
    pub(crate) pattern: Option<String>,
    pub(crate) ttl_hours: Option<u64>,
    /// Since when the configuration does not name it.
    pub(crate) left_at: Option<i64>,
    /// What it owes for certain.
    pub(crate) owed: BTreeSet<i64>,
    /// What left that for another reason than a consumer's yes: the store may give it all the same, until it is removed.
    pub(crate) excused: BTreeSet<i64>,
    /// Types that it took once and does not take now: where it goes on with them later is its own business.
    pub(crate) left_types: BTreeSet<String>,
}

/// Whether a pattern of this test matches.
pub(crate) fn takes(pattern: &str, event_type: &str) -> bool {
    pattern == event_type || pattern == "t.*" && event_type.starts_with("t.")
}

impl Owing {
    /// An event was stored.
    pub(crate) fn stored(&mut self, seq: i64, event: &Stored) {
        let Some(pattern) = &self.pattern else { return };
        if takes(pattern, &event.event_type) {
            let place =
                if self.left_types.contains(&event.event_type) { &mut self.excused } else { &mut self.owed };
            place.insert(seq);
        } else if self.left_types.contains(&event.event_type) {
            self.excused.insert(seq);
        }
    }

    /// The configuration names it, with this pattern.
    pub(crate) fn configured(&mut self, pattern: &str, all: bool, log: &BTreeMap<i64, Stored>) {
        self.left_at = None;
        match self.pattern.replace(pattern.to_owned()) {
            None => {
                let wanted = log.iter().filter(|(_, event)| all && takes(pattern, &event.event_type));
                self.owed = wanted.map(|(seq, _)| *seq).collect();
            }
            Some(before) => {
                let types = ["t.a", "t.b", "t.c"];
                let left = types.iter().filter(|it| takes(&before, it) && !takes(pattern, it));
                self.left_types.extend(left.map(|it| (*it).to_owned()));
                let left = self.left_types.clone();
                self.excuse(|seq| left.contains(&log[&seq].event_type));
            }
        }
    }

    /// These leave what it owes for a reason.
    pub(crate) fn excuse(&mut self, is_excused: impl Fn(i64) -> bool) {
        let excused: Vec<i64> = self.owed.iter().copied().filter(|seq| is_excused(*seq)).collect();
        for seq in excused {
            self.owed.remove(&seq);
            self.excused.insert(seq);
        }
    }

    /// Its consumer said yes.
    pub(crate) fn yes(&mut self, seq: i64) {
        self.owed.remove(&seq);
        self.excused.remove(&seq);
    }

    /// Time ends what it owes.
    pub(crate) fn pass(&mut self, now: i64, owed_max: i64, slack: i64, log: &BTreeMap<i64, Stored>) {
        let age = |seq: i64| now - log[&seq].at + slack;
        let ttl = self.ttl_hours.map(|hours| i64::try_from(hours).unwrap() * 3_600);
        let left = self.left_at.is_some_and(|at| now - at + slack > owed_max);
        self.excuse(|seq| left || age(seq) > owed_max || ttl.is_some_and(|ttl| age(seq) > ttl));
    }
}
