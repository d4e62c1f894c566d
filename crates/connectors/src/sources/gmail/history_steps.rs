//! A page of history as a list of steps in order. Each step is listed once, however often and in whatever order the
//! page has it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::api::{Change, HistoryId, Record, Reference};
use super::context::Rules;
use crate::google::is_id;

/// Something that happened to one message.
#[derive(Debug)]
pub(super) struct Step {
    /// The point in the history.
    pub(super) record: HistoryId,
    /// The message.
    pub(super) message: Reference,
    /// What happened.
    pub(super) what: StepKind,
    /// The labels added or removed.
    pub(super) labels: Vec<String>,
}

/// What can happen to a message. Within a record it happens in this order, so that an event about labels follows the
/// one about the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum StepKind {
    /// It is new.
    Added,
    /// It lost a label that hid it.
    Shown,
    /// It is deleted for good.
    Deleted,
    /// It has more labels.
    LabelsAdded,
    /// It has fewer labels.
    LabelsRemoved,
}

/// The steps of a page, oldest first.
pub(super) fn steps(mut records: Vec<Record>, rules: &Rules) -> Vec<Step> {
    records.sort_by_key(|record| record.id);
    let mut steps = Steps::default();
    for Record { id, messages_added, messages_deleted, labels_added, labels_removed } in records {
        steps.add(id, StepKind::Added, messages_added);
        let shows = |change: &&Change| rules.hides(&change.label_ids);
        let shown = labels_removed
            .iter()
            .filter(shows)
            .map(|change| Change { message: change.message.clone(), label_ids: Vec::new() });
        steps.add(id, StepKind::Shown, shown.collect());
        steps.add(id, StepKind::Deleted, messages_deleted);
        if rules.label_events {
            steps.add(id, StepKind::LabelsAdded, labels_added);
            steps.add(id, StepKind::LabelsRemoved, labels_removed);
        }
    }
    steps.list
}

#[derive(Default)]
struct Steps {
    list: Vec<Step>,
    places: HashMap<(HistoryId, String, StepKind), usize>,
}

impl Steps {
    fn add(&mut self, record: HistoryId, what: StepKind, changes: Vec<Change>) {
        for Change { message, label_ids: labels } in changes {
            if !is_id(&message.id) {
                continue;
            }
            match self.places.entry((record, message.id.clone(), what)) {
                Entry::Vacant(place) => {
                    place.insert(self.list.len());
                    self.list.push(Step { record, message, what, labels });
                }
                // Several changes of one message in one record would be events of one id.
                Entry::Occupied(place) => {
                    let known = &mut self.list[*place.get()].labels;
                    let more = labels.into_iter().filter(|label| !known.contains(label));
                    let more: Vec<String> = more.collect();
                    known.extend(more);
                }
            }
        }
    }
}
