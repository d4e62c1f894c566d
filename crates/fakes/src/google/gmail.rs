//! The model of Gmail: a mailbox that scripts change and that answers like the API, written from its public reference,
//! <https://developers.google.com/workspace/gmail/api/reference/rest>. `mail` holds the types, `script` the changes of a
//! mailbox, `read` the answers, `quota` how many it gives in a minute. Left out: everything that writes through the API,
//! attachments, searches other than by time.

mod mail;
mod quota;
mod read;
mod script;
#[cfg(test)]
mod tests;

pub use mail::{Change, Mail, Message, What};
pub use quota::UNITS_PER_MINUTE;

use super::pages::Paging;
use jiff::Timestamp;
use mail::Key;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// One person's mail.
#[derive(Debug, Clone)]
pub struct Mailbox {
    /// The person's address.
    pub address: String,
    /// Every change so far, in order. Only grows; changes of one history record stand together.
    pub history: Vec<Change>,
    /// How `history` and `messages` are cut into pages.
    pub paging: Paging,
    /// Whether the references of history records name the labels of their message, deletions aside.
    pub labels_in_history: bool,
    /// Whether the references of deleted messages name the labels these had.
    pub labels_of_deleted: bool,
    /// How many units requests may spend in a minute of the clock; no limit without it. See [`UNITS_PER_MINUTE`].
    pub units_per_minute: Option<u64>,
    messages: HashMap<String, Message>,
    order: BTreeSet<Key>,
    by_label: HashMap<String, BTreeSet<Key>>,
    /// Messages of a thread that are there.
    threads: HashMap<String, usize>,
    /// The message below each draft.
    drafts: BTreeMap<String, String>,
    user_labels: Vec<String>,
    held_back: HashMap<String, u32>,
    /// When messages begin to be found.
    late: HashMap<String, Timestamp>,
    quota: quota::Quota,
    /// Messages and drafts made so far.
    made: u64,
    history_id: u64,
    /// History ids below this one are no longer known.
    floor: u64,
    /// The record that changes join, while one is held open.
    joined: Option<u64>,
    epoch: u64,
}

impl Default for Mailbox {
    fn default() -> Self {
        // Close below a power of ten, so that ids compared as text soon stand in the wrong order.
        let history_id = 9_900;
        Self {
            address: "me@example.com".to_owned(),
            history: Vec::new(),
            paging: Paging::default(),
            labels_in_history: true,
            labels_of_deleted: false,
            units_per_minute: None,
            messages: HashMap::new(),
            order: BTreeSet::new(),
            by_label: HashMap::new(),
            threads: HashMap::new(),
            drafts: BTreeMap::new(),
            user_labels: Vec::new(),
            held_back: HashMap::new(),
            late: HashMap::new(),
            quota: quota::Quota::default(),
            made: 0,
            history_id,
            floor: history_id,
            joined: None,
            epoch: 0,
        }
    }
}

impl Mailbox {
    /// The id of the newest history record.
    #[must_use]
    pub fn history_id(&self) -> u64 {
        self.history_id
    }

    /// A message that is there.
    #[must_use]
    pub fn message(&self, id: &str) -> Option<&Message> {
        self.messages.get(id)
    }

    /// The messages that are there, oldest first, drafts, spam and trash included.
    pub fn messages(&self) -> impl Iterator<Item = &Message> {
        self.order.iter().filter_map(|(_, id)| self.messages.get(id))
    }

    /// The id of the message below a draft.
    #[must_use]
    pub fn draft_message(&self, draft: &str) -> Option<&str> {
        self.drafts.get(draft).map(String::as_str)
    }
}
