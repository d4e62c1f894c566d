//! The state of a simulation: its randomness, and the items that were changed in this round.

use std::collections::BTreeSet;

use fastrand::Rng;
use jiff::Timestamp;

use crate::google::api::Service;

/// Random changes of an account. Within a round each item is changed at most once, so that a reader who polls between
/// two rounds can see every single change.
#[derive(Debug, Clone)]
pub struct Simulation {
    pub(super) random: Rng,
    /// The items that were changed in this round: messages, files, events, series and instances, by their ids.
    pub(super) changed: BTreeSet<(Service, String)>,
    /// The drafts that were begun and not yet sent.
    pub(super) drafts: Vec<String>,
}

/// An action on a model, with its weight. It returns `None` when there is nothing that it could change.
pub(super) type Action<Model> = (u32, fn(&mut Simulation, &mut Model, Timestamp) -> Option<String>);

impl Simulation {
    /// The same seed and the same models give the same changes.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { random: Rng::with_seed(seed), changed: BTreeSet::new(), drafts: Vec::new() }
    }

    /// Ends a round: every item may change again.
    pub fn end_round(&mut self) {
        self.changed.clear();
    }

    /// Does one of the actions, chosen by their weights.
    pub(super) fn step<Model>(
        &mut self,
        actions: &[Action<Model>],
        model: &mut Model,
        now: Timestamp,
    ) -> String {
        let total: u32 = actions.iter().map(|(weight, _)| weight).sum();
        for _ in 0..100 {
            let mut left = self.random.u32(0..total);
            let chosen = actions.iter().find(|(weight, _)| {
                let found = left < *weight;
                left = left.saturating_sub(*weight);
                found
            });
            if let Some(text) = chosen.and_then(|(_, act)| act(self, model, now)) {
                return text;
            }
        }
        // The first action on each service creates an item, which is possible in any state.
        actions.first().and_then(|(_, act)| act(self, model, now)).unwrap_or_default()
    }

    /// Notes that items were changed in this round.
    pub(super) fn mark<'a>(&mut self, service: Service, ids: impl Iterator<Item = &'a String>) {
        self.changed.extend(ids.map(|id| (service, id.clone())));
    }

    /// Whether an item was not changed in this round.
    pub(super) fn is_free(&self, service: Service, id: &str) -> bool {
        !self.changed.contains(&(service, id.to_owned()))
    }

    /// One of several; `None` of none.
    pub(super) fn one_of<T>(&mut self, several: Vec<T>) -> Option<T> {
        self.random.choice(several)
    }

    /// One of some texts.
    pub(super) fn text_of<'a>(&mut self, texts: &[&'a str]) -> &'a str {
        self.random.choice(texts).copied().unwrap_or_default()
    }
}
