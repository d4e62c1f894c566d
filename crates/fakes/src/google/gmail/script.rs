//! The changes of a mailbox. Each goes into its history. Left out: what a reader may see of it (`read`).

use super::mail::names;
use super::{Change, Mail, Mailbox, Message, What};
use jiff::{SignedDuration, Timestamp};

impl Mailbox {
    /// A mailbox with `n` received messages, one history record each, one second apart and the last at `now`.
    #[must_use]
    pub fn bulk(now: Timestamp, n: usize) -> Self {
        let mut mailbox = Self::default();
        for left in (0..n).rev() {
            let ago = SignedDuration::from_secs(i64::try_from(left).unwrap_or(i64::MAX));
            let at = now.checked_sub(ago).unwrap_or(Timestamp::UNIX_EPOCH);
            mailbox.arrive(at, Mail::incoming("Bulk <bulk@example.org>", &format!("Message {}", n - left)));
        }
        mailbox
    }

    /// A mail comes in, or was sent, as its labels say. The id of its message.
    pub fn arrive(&mut self, now: Timestamp, mail: Mail) -> String {
        self.made += 1;
        let id = format!("{:016x}", 0x18c0_0000_0000_0000 + self.made * 0x9e37);
        let date = mail.date.unwrap_or(now);
        let message = Message {
            headers: mail.all_headers(&id, date, &self.address),
            snippet: mail.shown(),
            thread: mail.thread.unwrap_or_else(|| id.clone()),
            id: id.clone(),
            labels: mail.labels,
            text: mail.text,
            date_ms: date.as_millisecond(),
            history_id: 0,
        };
        *self.threads.entry(message.thread.clone()).or_default() += 1;
        self.order.insert(message.key());
        for label in &message.labels {
            self.by_label.entry(label.clone()).or_default().insert(message.key());
        }
        self.messages.insert(id.clone(), message);
        self.note(now, &id, vec![What::Arrived]);
        id
    }

    /// Adds and removes labels, in one record. Whether that changed anything.
    pub fn relabel(&mut self, now: Timestamp, id: &str, add: &[&str], remove: &[&str]) -> bool {
        let Some(message) = self.messages.get_mut(id) else { return false };
        let mut added = names(add);
        added.retain(|label| !message.labels.contains(label));
        let mut removed = names(remove);
        removed.retain(|label| message.labels.contains(label));
        message.labels.extend(added.iter().cloned());
        message.labels.retain(|label| !removed.contains(label));
        let key = message.key();
        for label in &added {
            self.by_label.entry(label.clone()).or_default().insert(key.clone());
        }
        for label in &removed {
            self.by_label.entry(label.clone()).or_default().remove(&key);
        }
        let mut what = Vec::new();
        if !added.is_empty() {
            what.push(What::LabelsAdded(added));
        }
        if !removed.is_empty() {
            what.push(What::LabelsRemoved(removed));
        }
        let changed = !what.is_empty();
        self.note(now, id, what);
        changed
    }

    /// Moves a message to the trash, which is a change of labels.
    pub fn trash(&mut self, now: Timestamp, id: &str) -> bool {
        self.relabel(now, id, &["TRASH"], &["INBOX"])
    }

    /// Deletes a message for good.
    pub fn delete(&mut self, now: Timestamp, id: &str) -> bool {
        if !self.messages.contains_key(id) {
            return false;
        }
        self.note(now, id, vec![What::Deleted]);
        let Some(message) = self.messages.remove(id) else { return false };
        let key = message.key();
        self.order.remove(&key);
        for label in &message.labels {
            self.by_label.entry(label.clone()).or_default().remove(&key);
        }
        if let Some(left) = self.threads.get_mut(&message.thread) {
            *left -= 1;
            if *left == 0 {
                self.threads.remove(&message.thread);
            }
        }
        self.drafts.retain(|_, below| below != id);
        true
    }

    /// Saves a draft, a new one or one that is there: the message below it is replaced by a new one, in the same
    /// thread (<https://developers.google.com/workspace/gmail/api/guides/drafts>). The draft's id, which stays.
    pub fn save_draft(&mut self, now: Timestamp, draft: Option<&str>, mail: Mail) -> String {
        let before = draft.and_then(|draft| self.drafts.get(draft)).cloned();
        let thread =
            before.as_ref().and_then(|id| self.messages.get(id)).map(|message| message.thread.clone());
        let mail = Mail { from: self.address.clone(), thread: mail.thread.clone().or(thread), ..mail };
        let id = self.arrive(now, mail.labelled(&["DRAFT"]));
        if let Some(before) = before {
            self.delete(now, &before);
        }
        let draft = draft.map_or_else(|| format!("r-{}", self.made), str::to_owned);
        self.drafts.insert(draft.clone(), id);
        draft
    }

    /// Sends a draft: it is deleted, and a message with `SENT` appears, whose id is returned.
    pub fn send_draft(&mut self, now: Timestamp, draft: &str) -> Option<String> {
        let before = self.drafts.remove(draft)?;
        let message = self.messages.get(&before)?.clone();
        let to_me = message.headers.iter().any(|(name, to)| name == "To" && to.contains(&self.address));
        let mut mail = if to_me { Mail::to_oneself("") } else { Mail::sent("", "") };
        mail.headers = message.headers;
        mail.headers.retain(|(name, _)| name != "Date" && name != "Message-ID");
        (mail.text, mail.snippet, mail.thread) = (message.text, message.snippet, Some(message.thread));
        let id = self.arrive(now, mail);
        self.delete(now, &before);
        Some(id)
    }

    /// Makes the changes of `script` share one history record.
    pub fn together(&mut self, script: impl FnOnce(&mut Self)) {
        let outer = self.joined.take();
        self.joined = Some(self.next_record());
        script(self);
        self.joined = outer;
    }

    /// Forgets the history so far: ids of records before now answer 404 from here on.
    pub fn expire_history(&mut self) {
        self.history_id = self.next_record();
        self.floor = self.history_id;
    }

    /// Makes the page tokens given out so far invalid.
    pub fn expire_pages(&mut self) {
        self.epoch += 1;
    }

    /// Makes `messages.get` answer 404 so many times before it finds the message, as it does now and then right after
    /// an arrival.
    pub fn hold_back(&mut self, id: &str, times: u32) {
        self.held_back.insert(id.to_owned(), times);
    }

    /// Makes `messages.get` answer 404 before a time, though history and listings show the message already.
    pub fn find_from(&mut self, id: &str, from: Timestamp) {
        self.late.insert(id.to_owned(), from);
    }

    /// Makes a label of the user's own. Its id.
    pub fn add_label(&mut self, name: &str) -> String {
        self.user_labels.push(name.to_owned());
        format!("Label_{}", self.user_labels.len())
    }

    fn note(&mut self, at: Timestamp, id: &str, what: Vec<What>) {
        if what.is_empty() {
            return;
        }
        let record = self.joined.unwrap_or_else(|| self.next_record());
        self.history_id = record;
        let Some(message) = self.messages.get_mut(id) else { return };
        message.history_id = record;
        self.history.extend(what.into_iter().map(|what| Change {
            at,
            record,
            message: id.to_owned(),
            thread: message.thread.clone(),
            what,
            labels: message.labels.clone(),
        }));
    }

    /// Ids grow with gaps.
    fn next_record(&self) -> u64 {
        self.history_id + 1 + self.history_id * 7919 % 37
    }
}
