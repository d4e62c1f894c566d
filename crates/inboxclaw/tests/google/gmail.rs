//! What a reader of a mailbox must be told, computed from what was done to the mailbox.

use std::collections::{BTreeMap, BTreeSet};

use inboxclaw_fakes::google::gmail::{Change, What};

use crate::account::Wanted;

/// Labels whose messages are not reported: `exclude_label_ids` by default, and drafts.
const HIDING: [&str; 2] = ["SPAM", "DRAFT"];

/// The events of the changes from number `from` on; those before are the baseline.
pub(crate) fn wanted(history: &[Change], from: usize) -> Wanted {
    let mut wanted = Wanted::default();
    // Messages that a reader was told of, or that were there before and nothing hid.
    let mut known: BTreeSet<&str> = BTreeSet::new();
    let mut labels: BTreeMap<(&str, u64, bool), usize> = BTreeMap::new();
    let hides = |labels: &[String]| labels.iter().any(|label| HIDING.contains(&label.as_str()));
    // What is shown in a record is known to the other changes of the record.
    let shown: BTreeSet<(&str, u64)> = history
        .iter()
        .filter(|change| {
            matches!(&change.what, What::LabelsRemoved(removed) if hides(removed)) && !hides(&change.labels)
        })
        .map(|change| (change.message.as_str(), change.record))
        .collect();
    for (at, change) in history.iter().enumerate() {
        let (id, is_news) = (change.message.as_str(), at >= from);
        let is_hidden = hides(&change.labels);
        let is_arrival = match &change.what {
            What::Arrived => !is_hidden,
            What::LabelsAdded(_) | What::LabelsRemoved(_) => {
                shown.contains(&(id, change.record)) && !known.contains(id)
            }
            What::Deleted => false,
        };
        if is_arrival {
            known.insert(id);
            if is_news {
                let has = |wanted: &str| change.labels.iter().any(|label| label == wanted);
                if has("SENT") {
                    wanted.must(format!("gmail.message_sent {id}"));
                }
                if !has("SENT") || has("INBOX") {
                    wanted.must(format!("gmail.message_received {id}"));
                }
            }
        }
        match &change.what {
            What::Deleted if known.remove(id) && is_news => {
                wanted.must(format!("gmail.message_deleted {id}"));
            }
            What::LabelsAdded(_) | What::LabelsRemoved(_) if is_news && !is_hidden => {
                let is_added = matches!(change.what, What::LabelsAdded(_));
                // Those of one message in one record are one event.
                let times = labels.entry((id, change.record, is_added)).or_default();
                *times += 1;
                if *times == 1 && known.contains(id) {
                    let word = if is_added { "added" } else { "removed" };
                    wanted.must(format!("gmail.label_{word} {id}"));
                }
            }
            _ => {}
        }
    }
    wanted
}
