//! The answers of the model. Facts from the reference of `users.getProfile`, `users.history.list`,
//! `users.messages.list`, `users.messages.get` and `users.labels.list` below
//! <https://developers.google.com/workspace/gmail/api/reference/rest/v1/users>. Changes nothing but what is held back.

use super::mail::Key;
use super::{Change, Mailbox, Message, What};
use crate::google::api::{Request, Response};
use crate::google::pages::{Token, TokenScope};
use base64::{Engine, engine::general_purpose::URL_SAFE};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// The largest page of `history` and `messages`, and the usual one.
const LARGEST: usize = 500;
const USUAL: usize = 100;

const SYSTEM_LABELS: [&str; 14] = [
    "CHAT",
    "SENT",
    "INBOX",
    "IMPORTANT",
    "TRASH",
    "DRAFT",
    "SPAM",
    "CATEGORY_FORUMS",
    "CATEGORY_UPDATES",
    "CATEGORY_PERSONAL",
    "CATEGORY_PROMOTIONS",
    "CATEGORY_SOCIAL",
    "STARRED",
    "UNREAD",
];

/// An error as Gmail words it: the common form and a status in words.
fn refusal(status: u16, reason: &str, message: &str) -> Response {
    Response::error(status, reason, message).naming(match status {
        400 => "INVALID_ARGUMENT",
        403 => "PERMISSION_DENIED",
        _ => "NOT_FOUND",
    })
}

fn not_found() -> Response {
    refusal(404, "notFound", "Requested entity was not found.")
}

fn invalid(message: &str) -> Response {
    refusal(400, "invalidArgument", message)
}

impl Mailbox {
    /// Answers a request. Paths begin with `users/me`, or with the address in place of `me`.
    pub fn answer(&mut self, request: &Request, now: Timestamp) -> Response {
        let path = request.segments();
        let ["users", user, rest @ ..] = path.as_slice() else {
            return refusal(404, "notFound", "Not Found");
        };
        if *user != "me" && *user != self.address {
            return refusal(403, "forbidden", &format!("Delegation denied for {}", self.address));
        }
        if let Some(refused) = self.quota.spend(self.units_per_minute, rest, now) {
            return refused;
        }
        match rest {
            ["profile"] => self.profile(),
            ["history"] => self.list_history(request),
            ["messages"] => self.list_messages(request),
            ["messages", id] => self.get_message(id, request, now),
            ["labels"] => self.list_labels(),
            _ => refusal(404, "notFound", "Not Found"),
        }
    }

    fn profile(&self) -> Response {
        Response::json(json!({
            "emailAddress": self.address,
            "messagesTotal": self.messages.len(),
            "threadsTotal": self.threads.len(),
            "historyId": self.history_id.to_string(),
        }))
    }

    fn list_history(&self, request: &Request) -> Response {
        let Some(start) = request.param("startHistoryId").filter(|start| !start.is_empty()) else {
            return invalid("Missing/invalid parameter: startHistoryId");
        };
        let Ok(start) = start.parse::<u64>() else {
            return invalid(&format!("Invalid value at 'start_history_id' (TYPE_UINT64), \"{start}\""));
        };
        if start < self.floor || start > self.history_id {
            return not_found();
        }
        let wanted: Vec<&str> = request.all("historyTypes").collect();
        if let Some(wrong) = wanted.iter().find(|kind| !KINDS.iter().any(|(known, _)| known == *kind)) {
            return invalid(&format!("Invalid value at 'history_types' (HistoryType), \"{wrong}\""));
        }
        let mut body = Map::new();
        body.insert("historyId".to_owned(), self.history_id.to_string().into());
        let (records, next) = match self.begin(request) {
            Err(refused) => return refused,
            Ok(Some(token)) if token.blank => (Vec::new(), Some(Token { blank: false, ..token })),
            Ok(token) => {
                let first = token.and_then(|token| token.place.parse().ok()).unwrap_or(start + 1);
                self.paging
                    .cut(self.records(first, &wanted, request), page_size(request), |(id, _)| id.to_string())
            }
        };
        if !records.is_empty() {
            let records = records.into_iter().map(|(id, changes)| self.record(id, &changes)).collect();
            body.insert("history".to_owned(), records);
        }
        self.finish(request, body, next)
    }

    /// The records from id `first` on, without the changes that were not asked for.
    fn records<'a>(
        &'a self,
        first: u64,
        wanted: &'a [&'a str],
        request: &'a Request,
    ) -> impl Iterator<Item = (u64, Vec<&'a Change>)> {
        let label = request.param("labelId");
        let asked_for = move |change: &&Change| {
            let kind = kind(&change.what);
            (wanted.is_empty() || wanted.contains(&kind.0))
                && label.is_none_or(|label| touches(change, label))
        };
        let begin = self.history.partition_point(|change| change.record < first);
        let records = self.history[begin..].chunk_by(|one, two| one.record == two.record);
        records.filter_map(move |changes| {
            let id = changes.first()?.record;
            let left: Vec<_> = changes.iter().filter(asked_for).collect();
            (!left.is_empty()).then_some((id, left))
        })
    }

    fn record(&self, id: u64, changes: &[&Change]) -> Value {
        let mut record = json!({ "id": id.to_string(), "messages": [] });
        let mut named = BTreeSet::new();
        for change in changes {
            let bare = json!({ "id": change.message, "threadId": change.thread });
            if named.insert(&change.message)
                && let Some(messages) = record["messages"].as_array_mut()
            {
                messages.push(bare.clone());
            }
            let mut entry = json!({ "message": bare });
            let labelled =
                if change.what == What::Deleted { self.labels_of_deleted } else { self.labels_in_history };
            if labelled && !change.labels.is_empty() {
                entry["message"]["labelIds"] = json!(change.labels);
            }
            if let What::LabelsAdded(labels) | What::LabelsRemoved(labels) = &change.what {
                entry["labelIds"] = json!(labels);
            }
            let (_, list) = kind(&change.what);
            match record.get_mut(list).and_then(Value::as_array_mut) {
                Some(entries) => entries.push(entry),
                None => record[list] = json!([entry]),
            }
        }
        record
    }

    fn list_messages(&self, request: &Request) -> Response {
        let (since, until) = match times(request.param("q").unwrap_or_default()) {
            Ok(times) => times,
            Err(word) => return invalid(&format!("the model cannot search for {word:?}")),
        };
        let token = match self.begin(request) {
            Err(refused) => return refused,
            Ok(token) => token,
        };
        let newest = match token.as_ref().map(|token| place(&token.place)) {
            Some(Some(key)) => key,
            Some(None) => return invalid("Invalid pageToken"),
            None => (until, String::new()),
        };
        let found = self.keys(request).range((since, String::new())..).take_while(|(at, _)| *at < until);
        let found = found.take(201).count();
        let (messages, next) = match token {
            Some(token) if token.blank => (Vec::new(), Some(Token { blank: false, ..token })),
            _ => self.paging.cut(self.found(request, since, &newest), page_size(request), |message| {
                format!("{}.{}", message.date_ms, message.id)
            }),
        };
        let mut body = Map::new();
        if !messages.is_empty() {
            let messages =
                messages.iter().map(|message| json!({ "id": message.id, "threadId": message.thread }));
            body.insert("messages".to_owned(), messages.collect());
        }
        // An estimate, as the name says: nothing of hidden messages, of second labels, or beyond 201.
        body.insert("resultSizeEstimate".to_owned(), found.into());
        self.finish(request, body, next)
    }

    /// The narrowest index for the labels asked for.
    fn keys(&self, request: &Request) -> &BTreeSet<Key> {
        static NOTHING: BTreeSet<Key> = BTreeSet::new();
        match request.param("labelIds") {
            Some(label) => self.by_label.get(label).unwrap_or(&NOTHING),
            None => &self.order,
        }
    }

    /// The messages asked for from `newest` down to the time `since`.
    fn found<'a>(
        &'a self,
        request: &'a Request,
        since: i64,
        newest: &Key,
    ) -> impl Iterator<Item = &'a Message> {
        let hidden = !request.is("includeSpamTrash");
        let keys = self.keys(request).range(..=newest.clone()).rev().take_while(move |(at, _)| *at >= since);
        keys.filter_map(|(_, id)| self.messages.get(id)).filter(move |message| {
            request.all("labelIds").all(|label| message.has(label))
                && !(hidden && (message.has("SPAM") || message.has("TRASH")))
        })
    }

    /// The token of a page, or none for the first one.
    fn begin(&self, request: &Request) -> Result<Option<Token>, Response> {
        let Some(sealed) = request.param("pageToken").filter(|sealed| !sealed.is_empty()) else {
            return Ok(None);
        };
        TokenScope::of(request, self.epoch)
            .decode(sealed)
            .map(Some)
            .ok_or_else(|| invalid("Invalid pageToken"))
    }

    fn finish(&self, request: &Request, mut body: Map<String, Value>, next: Option<Token>) -> Response {
        if let Some(next) = next {
            body.insert("nextPageToken".to_owned(), TokenScope::of(request, self.epoch).encode(&next).into());
        }
        Response::json(body.into())
    }

    fn get_message(&mut self, id: &str, request: &Request, now: Timestamp) -> Response {
        if self.late.get(id).is_some_and(|from| now < *from) {
            return not_found();
        }
        if let Some(left) = self.held_back.get_mut(id)
            && *left > 0
        {
            *left -= 1;
            return not_found();
        }
        let Some(message) = self.messages.get(id) else { return not_found() };
        let mut body = json!({
            "id": message.id,
            "threadId": message.thread,
            "labelIds": message.labels,
            "snippet": message.snippet,
            "historyId": message.history_id.to_string(),
            "internalDate": message.date_ms.to_string(),
            "sizeEstimate": message.text.len() + 500,
        });
        if message.labels.is_empty()
            && let Some(body) = body.as_object_mut()
        {
            body.remove("labelIds");
        }
        match request.param("format").unwrap_or("full") {
            "minimal" => {}
            "metadata" => body["payload"] = metadata(message, request),
            "full" => body["payload"] = full(message),
            "raw" => body["raw"] = URL_SAFE.encode(raw(message)).into(),
            other => return invalid(&format!("Invalid value at 'format' (MessageFormat), \"{other}\"")),
        }
        Response::json(body)
    }

    fn list_labels(&self) -> Response {
        let system = SYSTEM_LABELS.iter().map(|id| json!({ "id": id, "name": id, "type": "system" }));
        let own = self.user_labels.iter().zip(1..).map(|(name, number)| {
            let id = format!("Label_{number}");
            json!({ "id": id, "name": name, "type": "user", "labelListVisibility": "labelShow" })
        });
        Response::json(json!({ "labels": system.chain(own).collect::<Vec<_>>() }))
    }
}

/// The values of `historyTypes`, and the list of a record that each fills.
const KINDS: [(&str, &str); 4] = [
    ("messageAdded", "messagesAdded"),
    ("messageDeleted", "messagesDeleted"),
    ("labelAdded", "labelsAdded"),
    ("labelRemoved", "labelsRemoved"),
];

fn kind(what: &What) -> (&'static str, &'static str) {
    match what {
        What::Arrived => KINDS[0],
        What::Deleted => KINDS[1],
        What::LabelsAdded(_) => KINDS[2],
        What::LabelsRemoved(_) => KINDS[3],
    }
}

/// Whether a change is of a message with this label, or of one that just lost it.
fn touches(change: &Change, label: &str) -> bool {
    let lost = matches!(&change.what, What::LabelsRemoved(labels) if labels.iter().any(|lost| lost == label));
    lost || change.labels.iter().any(|found| found == label)
}

fn page_size(request: &Request) -> usize {
    request.number("maxResults", USUAL).clamp(1, LARGEST)
}

/// The place in a token of `messages`.
fn place(text: &str) -> Option<Key> {
    let (at, id) = text.split_once('.')?;
    Some((at.parse().ok()?, id.to_owned()))
}

/// The times of a search in milliseconds, from the first inclusive to the second exclusive.
fn times(search: &str) -> Result<(i64, i64), &str> {
    let (mut since, mut until) = (i64::MIN, i64::MAX);
    for word in search.split_whitespace() {
        let (name, seconds) = word.split_once(':').ok_or(word)?;
        let at = seconds.parse::<i64>().map_err(|_| word)?.saturating_mul(1000);
        match name {
            "after" => since = since.max(at),
            "before" => until = until.min(at),
            _ => return Err(word),
        }
    }
    Ok((since, until))
}

fn headers<'a>(headers: impl Iterator<Item = &'a (String, String)>) -> Value {
    headers.map(|(name, value)| json!({ "name": name, "value": value })).collect()
}

fn metadata(message: &Message, request: &Request) -> Value {
    let wanted: Vec<&str> = request.all("metadataHeaders").collect();
    let asked_for =
        |name: &str| wanted.is_empty() || wanted.iter().any(|want| want.eq_ignore_ascii_case(name));
    let found = message.headers.iter().filter(|(name, _)| asked_for(name));
    json!({ "mimeType": "text/plain", "headers": headers(found) })
}

fn full(message: &Message) -> Value {
    let body = json!({ "size": message.text.len(), "data": URL_SAFE.encode(&message.text) });
    let headers = headers(message.headers.iter());
    json!({ "partId": "", "mimeType": "text/plain", "filename": "", "headers": headers, "body": body })
}

fn raw(message: &Message) -> String {
    let mut lines: Vec<String> =
        message.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    lines.extend([String::new(), message.text.clone()]);
    lines.join("\r\n")
}
