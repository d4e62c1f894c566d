//! What the writer keeps in memory for as long as it runs, whatever becomes of single transactions: the rules of
//! owners, the sweeps that turns asked for, the spaces that are being built. Sweeping is in `sweep.rs`, building in
//! `spaces.rs`.

use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Weak};

use inboxclaw_contract::OwnerId;
use inboxclaw_contract::store::Policy;
use inboxclaw_contract::turn::Sweep;

use super::prune::Pass;
use super::sweep::Round;
use super::tx::Tx;

/// See the module.
#[derive(Default)]
pub(super) struct WriterState {
    /// The rules for each owner's state; none for those that are not here.
    pub(super) policies: HashMap<OwnerId, Policy>,
    /// The sweeps that committed turns asked for, the next one first, each with where it goes on.
    pub(super) sweeps: VecDeque<Asked>,
    /// Where sweeping goes on.
    pub(super) round: Round,
    /// Where retention goes on.
    pub(super) prune: Pass,
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

    /// Notes that `space` is being built, for as long as the answer or a clone of it lives.
    pub(super) fn begin(&mut self, space: i64, owner: OwnerId) -> Arc<dyn Any + Send + Sync> {
        self.building.retain(|_, building| building.alive.strong_count() > 0);
        let alive: Arc<dyn Any + Send + Sync> = Arc::new(());
        let building = Building { owner, alive: Arc::downgrade(&alive), overtaken: false };
        self.building.insert(space, building);
        alive
    }

    /// The space that was begun last; numbers grow.
    pub(super) fn last_begun(&self) -> i64 {
        self.building.keys().max().copied().unwrap_or_default()
    }

    /// Whether another built space was put in place since this one was begun.
    pub(super) fn is_overtaken(&self, space: i64) -> bool {
        self.building.get(&space).is_some_and(|building| building.overtaken)
    }

    /// What a committed transaction leaves behind: sweeps asked for, and spaces that are in place now.
    pub(super) fn settle(&mut self, asked: Vec<(OwnerId, Sweep)>, placed: Vec<(i64, i64)>) {
        asked.into_iter().for_each(|(owner, sweep)| self.ask(owner, sweep));
        for (space, last) in placed {
            let Some(placed) = self.building.remove(&space) else { continue };
            for (space, other) in &mut self.building {
                other.overtaken |= other.owner == placed.owner && *space <= last;
            }
        }
    }
}

impl Tx<'_> {
    /// For whom `space` is being built; `None` when nobody builds it any more, or when it has been put in place.
    pub(super) fn builder_of(&self, space: i64) -> Option<OwnerId> {
        let building = self.writer.building.get(&space).filter(|it| it.alive.strong_count() > 0)?;
        let is_placed = self.cache.placed.iter().any(|(placed, _)| *placed == space);
        (!is_placed).then_some(building.owner)
    }

    /// The spaces that are being built for `owner`.
    pub(super) fn built_for(&self, owner: OwnerId) -> Vec<i64> {
        let all = self.writer.building.keys().copied();
        all.filter(|space| self.builder_of(*space) == Some(owner)).collect()
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
}
