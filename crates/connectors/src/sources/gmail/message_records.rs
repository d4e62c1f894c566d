//! The stored record of each message that a later step may ask for: reported, hidden, or to be tried again.
//!
//! Each entry says up to which point of the history its message is accounted for. A listing that began after a point
//! was pinned brings entries up to that point, so what a listing did not show are the entries that are still behind,
//! however often the work was interrupted; and a record up to that point has nothing new to say.

use std::collections::HashMap;
use std::time::Duration;

use inboxclaw_contract::{Draft, Entry, Expiry, Failure};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::api::HistoryId;

/// Prefix of the keys of messages that were reported.
pub(super) const SEEN: &str = "seen:";
/// Prefix of the keys of messages that were not, and why.
pub(super) const HIDDEN: &str = "hidden:";
/// Prefix of the keys of messages that could not be read at first.
pub(super) const RETRY: &str = "retry:";

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How long a message is remembered that is not reported.
const HIDDEN_FOR: Duration = Duration::from_secs(365 * DAY.as_secs());
/// How long one that is gone is: until no page of the history names it any more.
const GONE_FOR: Duration = Duration::from_secs(30 * DAY.as_secs());
/// How late a message may be readable after the history has named it. One that is deleted meanwhile is named again.
const LATE: SignedDuration = SignedDuration::from_hours(1);
/// Entries read at once.
const AT_ONCE: usize = 999;

/// What is known of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum MessageRecord {
    /// It was reported.
    Reported(ReportedMessage),
    /// It was not.
    Hidden(HiddenMessage),
    /// It was named but could not be read; tried again at the start of passes.
    Retry(Retry),
}

/// A message that was reported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ReportedMessage {
    /// Its thread, for the event of its deletion.
    #[serde(default)]
    pub(super) thread: Option<String>,
    /// The point up to which it is accounted for.
    #[serde(default)]
    pub(super) upto: HistoryId,
}

/// A message that was not reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct HiddenMessage {
    /// Why.
    pub(super) why: HiddenReason,
    /// The point up to which it is accounted for.
    #[serde(default)]
    pub(super) upto: HistoryId,
}

/// Why a message is not reported, or not any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum HiddenReason {
    /// It carries a label that hides it.
    Label,
    /// A filter matches.
    Filter,
    /// It is deleted.
    Gone,
}

/// A message that could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Retry {
    /// The point at which it was named.
    #[serde(default)]
    pub(super) upto: HistoryId,
    /// When it was found missing first; nothing for one that is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) since: Option<Timestamp>,
    /// When it is to be asked for again; at once without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) next: Option<Timestamp>,
}

impl Retry {
    /// A message that could not be read at `now`.
    pub(super) fn new(upto: HistoryId, since: Option<Timestamp>) -> Self {
        Self { upto, since, next: None }
    }

    /// The message is missing at `now`, still. It is asked for again after as long as it has been missing, so that it
    /// is reported soon if it comes soon; `None` when it has been missing for so long that it never will.
    pub(super) fn missing(self, now: Timestamp) -> Option<Self> {
        let since = self.since.unwrap_or(now);
        let age = now.duration_since(since);
        let next = now.checked_add(age).unwrap_or(now);
        (age < LATE).then_some(Self { since: Some(since), next: Some(next), ..self })
    }
}

impl MessageRecord {
    /// Hidden for this reason.
    pub(super) fn hidden(why: HiddenReason, upto: HistoryId) -> Self {
        Self::Hidden(HiddenMessage { why, upto })
    }

    /// Whether it is deleted, or was never there.
    pub(super) fn is_gone(&self) -> bool {
        matches!(self, Self::Hidden(HiddenMessage { why: HiddenReason::Gone, .. }))
    }

    fn key(&self, id: &str) -> String {
        let prefix = match self {
            Self::Reported(_) => SEEN,
            Self::Hidden(_) => HIDDEN,
            Self::Retry(_) => RETRY,
        };
        format!("{prefix}{id}")
    }
}

/// What is known of some messages, in step with the draft.
pub(super) struct Messages {
    known: HashMap<String, MessageRecord>,
    window: Duration,
}

impl Messages {
    /// Reads what is known of `ids`. What a person or another program made unreadable counts as unknown. Reported
    /// messages are remembered for `window`, and a day at least.
    pub(super) async fn load(
        draft: &mut Draft<'_>,
        ids: impl Iterator<Item = &str>,
        window: Duration,
    ) -> Result<Self, Failure> {
        let mut ids: Vec<&str> = ids.collect();
        ids.sort_unstable();
        ids.dedup();
        let mut known = HashMap::new();
        for ids in ids.chunks(AT_ONCE / 3) {
            let keys = ids.iter().flat_map(|id| [SEEN, HIDDEN, RETRY].map(|prefix| format!("{prefix}{id}")));
            let entries = draft.entries(&keys.collect::<Vec<_>>()).await?;
            for (id, entries) in ids.iter().zip(entries.chunks(3)) {
                known.extend(read(entries).map(|found| ((*id).to_owned(), found)));
            }
        }
        Ok(Self { known, window: window.max(DAY) })
    }

    /// What is known of a message.
    pub(super) fn get(&self, id: &str) -> Option<&MessageRecord> {
        self.known.get(id)
    }

    /// Remembers this of a message, and nothing else. Writes nothing when nothing is new.
    pub(super) fn set(&mut self, draft: &mut Draft<'_>, id: &str, now: MessageRecord) -> Result<(), Failure> {
        let key = now.key(id);
        let before = self.known.get(id);
        if before == Some(&now) {
            return Ok(());
        }
        let stays = before.is_some_and(|before| before.key(id) == key);
        if let Some(before) = before.filter(|_| !stays) {
            draft.delete(&before.key(id))?;
        }
        match &now {
            // A look at a message that was reported makes the report no younger.
            MessageRecord::Reported(seen) if stays => draft.put(&key, seen, Expiry::Keep)?,
            MessageRecord::Reported(seen) => draft.put(&key, seen, Expiry::For(self.window))?,
            MessageRecord::Hidden(hidden) if hidden.why == HiddenReason::Gone => {
                draft.put(&key, hidden, Expiry::For(GONE_FOR))?;
            }
            MessageRecord::Hidden(hidden) => draft.put(&key, hidden, Expiry::For(HIDDEN_FOR))?,
            MessageRecord::Retry(retry) => draft.put(&key, retry, Expiry::Never)?,
        }
        self.known.insert(id.to_owned(), now);
        Ok(())
    }
}

/// Reads the entries that a message has under the three prefixes.
fn read(entries: &[Option<Entry>]) -> Option<MessageRecord> {
    let [seen, hidden, retry] = entries else { return None };
    let seen = seen.as_ref().and_then(|entry| entry.parse().ok()).map(MessageRecord::Reported);
    let hidden = || hidden.as_ref().and_then(|entry| entry.parse().ok()).map(MessageRecord::Hidden);
    let retry = || retry.as_ref().and_then(|entry| entry.parse().ok()).map(MessageRecord::Retry);
    seen.or_else(hidden).or_else(retry)
}
