//! What the writer keeps in memory for as long as it runs, whatever becomes of single transactions: the rules of
//! owners, the sweeps that turns asked for, how far sweeping and retention have come, the spaces that are being built.
//! Plain data: sweeping is in `sweep.rs`, retention in `prune.rs`, building in `spaces.rs`.

use std::any::Any;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Weak};

use inboxclaw_contract::OwnerId;
use inboxclaw_contract::coalesce::CoalesceRule;
use inboxclaw_contract::store::StateLimits;
use inboxclaw_contract::turn::Sweep;

/// How often a rule goes over its prefix at most, in microseconds: an hour.
const PAUSE: i64 = 60 * 60 * 1_000_000;

/// The state of the writer.
#[derive(Default)]
pub(super) struct WriterState {
    /// The rules for each owner's state; none for those that are not here.
    pub(super) policies: HashMap<OwnerId, StateLimits>,
    /// The rules by which events of a source are joined; none for those that are not here.
    pub(super) coalescing: HashMap<OwnerId, Arc<[CoalesceRule]>>,
    /// The sources of which it was told that events have a rule and name no entity.
    pub(super) warned: HashSet<OwnerId>,
    /// The sweeps that committed turns asked for, the next one first, each with where it goes on.
    pub(super) sweeps: VecDeque<Asked>,
    /// Where sweeping goes on.
    pub(super) round: Round,
    /// Where retention goes on.
    pub(super) prune: PrunePlace,
    /// Where making room goes on.
    pub(super) room: RoomPlace,
    building: HashMap<i64, Building>,
}

/// A sweep that a turn asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) owner: OwnerId,
    pub(super) sweep: Sweep,
    /// The key after which it goes on; `None` before its first step.
    pub(super) after: Option<String>,
}

/// Where the next step of sweeping goes on: what a failed transaction did not remove is found by the next pass.
#[derive(Default)]
pub(super) struct Round {
    pub(super) spaces: SpacesPass,
    /// An owner whose replaced spaces are too large.
    pub(super) surplus: Option<Surplus>,
    /// How far the rules of owners have come. Those of owners that are not here have not begun.
    pub(super) rules: HashMap<OwnerId, Vec<RulePass>>,
}

/// How far the pass over all spaces has come.
#[derive(Default)]
pub(super) struct SpacesPass {
    /// The last space that was done with.
    pub(super) after: i64,
    /// The replaced spaces of each owner so far, with their bytes.
    pub(super) replaced: BTreeMap<OwnerId, Vec<(i64, i64)>>,
}

/// The rows of an owner's history that go because of the spaces that they keep.
pub(super) struct Surplus {
    pub(super) owner: OwnerId,
    /// Up to this row they were looked at, and up to that one they go.
    pub(super) after: i64,
    pub(super) last: i64,
}

/// How far one rule has come.
#[derive(Debug, Clone, Default)]
pub(super) struct RulePass {
    /// When its last pass began, in microseconds.
    pub(super) begun: Option<i64>,
    /// The key after which that pass goes on; `None` when it is done.
    pub(super) after: Option<String>,
}

/// Where the next step of retention goes on. After a restart, or when a step could not be stored, some places wait for
/// the next pass.
#[derive(Default)]
pub(super) struct PrunePlace {
    /// The event type, and the place in its part of the log, up to which everything was looked at.
    pub(super) type_id: i64,
    pub(super) after: i64,
}

/// Where the next step of making room goes on.
#[derive(Default)]
pub(super) struct RoomPlace {
    /// The place in the log up to which everything was looked at.
    pub(super) after: i64,
    /// Whether what is owed goes as well, because all else is gone.
    pub(super) owed: bool,
}

struct Building {
    owner: OwnerId,
    alive: Weak<dyn Any + Send + Sync>,
    /// Another space that was being built for the owner has been put in place: entries of both may have the same
    /// revision under the same key.
    overtaken: bool,
}

impl WriterState {
    /// Queues a sweep. It takes the place of an older one of the same entries that has not begun; one that has goes
    /// on, so that frequent sweeps do not keep each other from ever reaching the end.
    pub(super) fn ask(&mut self, owner: OwnerId, sweep: Sweep) {
        let same = |asked: &&mut Asked| {
            let (old, new) = (&asked.sweep, &sweep);
            asked.owner == owner && asked.after.is_none() && old.prefix == new.prefix && old.by == new.by
        };
        match self.sweeps.iter_mut().find(same) {
            Some(asked) => asked.sweep = sweep,
            None => self.sweeps.push_back(Asked { owner, sweep, after: None }),
        }
    }

    /// Has the rules of an owner start anew.
    pub(super) fn restart_rules(&mut self, owner: OwnerId) {
        self.round.rules.remove(&owner);
    }

    /// Drops the rules of an owner, and what its turns asked for.
    pub(super) fn forget(&mut self, owner: OwnerId) {
        self.policies.remove(&owner);
        self.coalescing.remove(&owner);
        self.sweeps.retain(|asked| asked.owner != owner);
        self.restart_rules(owner);
    }

    /// Notes that `space` is being built, for as long as the answer or a clone of it lives.
    pub(super) fn begin(&mut self, space: i64, owner: OwnerId) -> Arc<dyn Any + Send + Sync> {
        self.building.retain(|_, building| building.alive.strong_count() > 0);
        let alive: Arc<dyn Any + Send + Sync> = Arc::new(());
        let building = Building { owner, alive: Arc::downgrade(&alive), overtaken: false };
        self.building.insert(space, building);
        alive
    }

    /// The spaces that were begun, also those that nobody builds any more.
    pub(super) fn begun(&self) -> impl Iterator<Item = i64> {
        self.building.keys().copied()
    }

    /// For whom `space` is being built; `None` when nobody builds it any more.
    pub(super) fn builder_of(&self, space: i64) -> Option<OwnerId> {
        let building = self.building.get(&space).filter(|building| building.alive.strong_count() > 0);
        building.map(|building| building.owner)
    }

    /// The space that was begun last; numbers grow.
    pub(super) fn last_begun(&self) -> i64 {
        self.begun().max().unwrap_or_default()
    }

    /// Whether another built space was put in place since this one was begun.
    pub(super) fn is_overtaken(&self, space: i64) -> bool {
        self.building.get(&space).is_some_and(|building| building.overtaken)
    }

    /// What a committed transaction leaves behind: sweeps asked for, and spaces that are in place now.
    pub(super) fn committed(&mut self, asked: Vec<(OwnerId, Sweep)>, placed: Vec<(i64, i64)>) {
        asked.into_iter().for_each(|(owner, sweep)| self.ask(owner, sweep));
        for (space, last) in placed {
            let Some(placed) = self.building.remove(&space) else { continue };
            for (space, other) in &mut self.building {
                other.overtaken |= other.owner == placed.owner && *space <= last;
            }
        }
    }
}

impl RulePass {
    /// Whether the rule is in the middle of a pass, or has rested long enough for another one.
    pub(super) fn is_due(&self, now: i64) -> bool {
        // A clock that was set back must not silence a rule for long.
        let rested = |begun: i64| now < begun || now - begun >= PAUSE;
        self.after.is_some() || self.begun.is_none_or(rested)
    }
}

#[cfg(test)]
mod tests {
    use inboxclaw_contract::turn::Age;
    use jiff::Timestamp;

    use super::*;

    fn sweep(prefix: &str, second: i64) -> Sweep {
        Sweep { prefix: prefix.into(), by: Age::Updated, before: Timestamp::from_second(second).unwrap() }
    }

    #[test]
    fn a_newer_sweep_replaces_one_that_has_not_begun() {
        let (mut state, owner) = (WriterState::default(), OwnerId(1));
        state.ask(owner, sweep("a", 1));
        state.ask(owner, sweep("b", 1));
        state.ask(owner, Sweep { by: Age::Created, ..sweep("a", 1) });
        state.ask(OwnerId(2), sweep("a", 1));
        assert_eq!(state.sweeps.len(), 4);
        state.ask(owner, sweep("a", 2));
        assert_eq!((state.sweeps.len(), &state.sweeps[0].sweep), (4, &sweep("a", 2)));
        state.sweeps[0].after = Some("a5".into());
        state.ask(owner, sweep("a", 3));
        state.ask(owner, sweep("a", 4));
        assert_eq!((state.sweeps.len(), &state.sweeps[0].sweep), (5, &sweep("a", 2)));
        assert_eq!(state.sweeps[4].sweep, sweep("a", 4));
    }

    #[test]
    fn a_rule_rests_for_an_hour() {
        let passing = |begun, after: Option<&str>| RulePass { begun, after: after.map(str::to_owned) };
        assert!(passing(None, None).is_due(7), "at first");
        assert!(passing(Some(7), Some("k")).is_due(8), "in the middle");
        assert!(!passing(Some(7), None).is_due(PAUSE + 6));
        assert!(passing(Some(7), None).is_due(PAUSE + 7));
        assert!(passing(Some(7), None).is_due(6), "after the clock was set back");
    }
}
