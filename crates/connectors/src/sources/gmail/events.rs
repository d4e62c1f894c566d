//! The events of a mailbox: their ids, times and payloads.

use inboxclaw_contract::{Draft, Failure, Json, NewEvent};
use jiff::Timestamp;
use serde::Serialize;

use super::address::Address;
use super::api::{HistoryId, Message};

/// The data of `gmail.message_received` and `gmail.message_sent`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MailPayload<'a> {
    thread_id: Option<&'a str>,
    message_id: &'a str,
    snippet: &'a str,
    from: Address,
    to: Address,
    subject: Option<&'a str>,
    date: Option<&'a str>,
    label_ids: &'a [String],
}

/// The data of `gmail.message_deleted`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DeletedPayload<'a> {
    thread_id: Option<&'a str>,
    message_id: &'a str,
}

/// The data of `gmail.label_added` and `gmail.label_removed`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LabelsPayload<'a> {
    thread_id: Option<&'a str>,
    message_id: &'a str,
    label_ids: &'a [String],
    all_label_ids: &'a [String],
}

/// A change of labels.
pub(super) struct LabelChange<'a> {
    /// The message.
    pub(super) id: &'a str,
    /// Its thread.
    pub(super) thread: Option<&'a str>,
    /// The history record that names it.
    pub(super) record: HistoryId,
    /// Whether labels were added, not removed.
    pub(super) added: bool,
    /// The labels added or removed.
    pub(super) labels: &'a [String],
    /// All labels of the message, if the history names them.
    pub(super) all: &'a [String],
}

/// What a header says; of several the last.
pub(super) fn header<'a>(message: &'a Message, name: &str) -> Option<&'a str> {
    let mut headers = message.payload.headers.iter().rev();
    headers.find(|header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value.as_str())
}

/// Emits that a message was received or sent, or both: mail to oneself is one message, which Gmail shows in the inbox.
pub(super) fn mail(draft: &mut Draft<'_>, id: &str, message: &Message) -> Result<(), Failure> {
    let address = |name: &str| header(message, name).map(Address::first).unwrap_or_default();
    let data = MailPayload {
        thread_id: message.thread_id.as_deref(),
        message_id: id,
        snippet: &message.snippet,
        from: address("From"),
        to: address("To"),
        subject: header(message, "Subject"),
        date: header(message, "Date"),
        label_ids: &message.label_ids,
    };
    let has = |label: &str| message.label_ids.iter().any(|found| found == label);
    let received = message.internal_date.as_deref().and_then(|date| date.parse().ok());
    let received = received.and_then(|date| Timestamp::from_millisecond(date).ok()).unwrap_or(draft.now());
    let data = Json::from_value(&data).map_err(Failure::internal)?;
    let mut emit = |event_id: &str, kind: &str| {
        draft.emit(NewEvent::new(event_id, kind, data.clone()).entity(id).at(received))
    };
    if !has("SENT") {
        return emit(id, "gmail.message_received");
    }
    emit(id, "gmail.message_sent")?;
    if has("INBOX") { emit(&format!("{id}-received"), "gmail.message_received") } else { Ok(()) }
}

/// Emits that a message is gone for good.
pub(super) fn deleted(draft: &mut Draft<'_>, id: &str, thread: Option<&str>) -> Result<(), Failure> {
    let data = DeletedPayload { thread_id: thread, message_id: id };
    let data = Json::from_value(&data).map_err(Failure::internal)?;
    draft.emit(NewEvent::new(format!("{id}-deleted"), "gmail.message_deleted", data).entity(id))
}

/// Emits a change of labels.
pub(super) fn relabelled(draft: &mut Draft<'_>, change: &LabelChange<'_>) -> Result<(), Failure> {
    let (kind, mark) = match change.added {
        true => ("gmail.label_added", "lab-add"),
        false => ("gmail.label_removed", "lab-rem"),
    };
    let data = LabelsPayload {
        thread_id: change.thread,
        message_id: change.id,
        label_ids: change.labels,
        all_label_ids: change.all,
    };
    let data = Json::from_value(&data).map_err(Failure::internal)?;
    let event_id = format!("{}-{}-{mark}", change.id, change.record.0);
    draft.emit(NewEvent::new(event_id, kind, data).entity(change.id))
}
