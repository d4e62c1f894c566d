//! Gmail's API as far as it is needed: four requests, and their answers as types. Quota units by
//! <https://developers.google.com/workspace/gmail/api/reference/quota>.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::google::retry_limit::RetryLimit;
use crate::google::{ApiRequest, Client, Deadline, Refusal};

/// Most records, and most ids, that the API gives at once.
const PAGE: &str = "500";
/// What is asked for of a message.
const MESSAGE: &str = "id,threadId,labelIds,snippet,internalDate,payload/headers";
/// What is asked for of a reference to a message.
const REFERENCE: &str = "message(id,threadId,labelIds)";

/// A point in a mailbox's history. They grow; Google writes them as text, and so do we.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct HistoryId(pub(super) u64);

impl Serialize for HistoryId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for HistoryId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(|_| de::Error::custom("a history id is a number"))
    }
}

/// Where the mailbox is now.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Profile {
    history_id: HistoryId,
}

/// A page of what happened.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct HistoryPage {
    /// What happened.
    #[serde(default)]
    pub(super) history: Vec<Record>,
    /// The next page.
    #[serde(default, deserialize_with = "token")]
    pub(super) next_page_token: Option<String>,
    /// Where the mailbox was when the page was made.
    pub(super) history_id: HistoryId,
}

/// Something that happened to messages.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Record {
    /// Its place in the history.
    pub(super) id: HistoryId,
    /// Messages that are new.
    #[serde(default)]
    pub(super) messages_added: Vec<Change>,
    /// Messages that are gone for good.
    #[serde(default)]
    pub(super) messages_deleted: Vec<Change>,
    /// Messages that have more labels now.
    #[serde(default)]
    pub(super) labels_added: Vec<Change>,
    /// Messages that have fewer.
    #[serde(default)]
    pub(super) labels_removed: Vec<Change>,
}

/// What happened to one message.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Change {
    /// The message.
    pub(super) message: Reference,
    /// The labels that were added or removed.
    #[serde(default)]
    pub(super) label_ids: Vec<String>,
}

/// A message as lists name it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Reference {
    /// Its id.
    #[serde(default)]
    pub(super) id: String,
    /// Its thread.
    #[serde(default)]
    pub(super) thread_id: Option<String>,
    /// Its labels, which are not always given.
    #[serde(default)]
    pub(super) label_ids: Vec<String>,
}

/// A page of ids.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MessageList {
    /// The messages, newest first.
    #[serde(default)]
    pub(super) messages: Vec<Reference>,
    /// The next page.
    #[serde(default, deserialize_with = "token")]
    pub(super) next_page_token: Option<String>,
}

/// A message without its text.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Message {
    /// Its thread.
    pub(super) thread_id: Option<String>,
    /// Its labels.
    pub(super) label_ids: Vec<String>,
    /// How its text begins, with HTML entities.
    pub(super) snippet: String,
    /// When it was received or sent, in milliseconds since 1970.
    pub(super) internal_date: Option<String>,
    /// Its headers.
    pub(super) payload: Payload,
}

/// The part of a message that holds the headers.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Payload {
    /// The headers asked for, with their names as the sender wrote them.
    pub(super) headers: Vec<Header>,
}

/// A header.
#[derive(Debug, Deserialize)]
pub(super) struct Header {
    /// Its name.
    pub(super) name: String,
    /// What it says.
    #[serde(default)]
    pub(super) value: String,
}

/// How much of a message is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Depth {
    /// Everything that an event holds.
    Headers,
    /// Only whether it is there.
    Presence,
}

/// What a listing is about.
#[derive(Debug, Clone, Copy)]
pub(super) enum Search<'a> {
    /// Messages with a label.
    Label(&'a str),
    /// Messages received or sent since then; all without a time.
    Since(Option<Timestamp>),
}

/// Asks Gmail.
pub(super) struct Api {
    client: Client,
    types: &'static [&'static str],
    fields: String,
    /// With messages that the service fails at.
    pub(super) retry_limit: RetryLimit,
}

impl Api {
    /// With or without what happens to labels only.
    pub(super) fn new(client: Client, labels: bool) -> Self {
        // The removal of a label is how mail leaves spam.
        let types: &[&str] = &["messageAdded", "messageDeleted", "labelRemoved", "labelAdded"];
        let types = if labels { types } else { &types[..3] };
        let mut fields = format!("messagesAdded({REFERENCE}),messagesDeleted({REFERENCE})");
        fields += &format!(",labelsAdded({REFERENCE},labelIds),labelsRemoved({REFERENCE},labelIds)");
        let fields = format!("history(id,{fields}),nextPageToken,historyId");
        Self { client, types, fields, retry_limit: RetryLimit::default() }
    }

    /// Until when a turn begins requests.
    pub(super) fn deadline(&self) -> Deadline<'_> {
        self.client.deadline()
    }

    /// Where the mailbox is now.
    pub(super) async fn now(&self) -> Result<HistoryId, Refusal> {
        let request = ApiRequest::new(&["profile"]).with("fields", "historyId");
        Ok(self.client.get::<Profile>(&request).await?.history_id)
    }

    /// A page of what happened since `from`.
    pub(super) async fn history(&self, from: HistoryId, page: Option<&str>) -> Result<HistoryPage, Refusal> {
        let request =
            ApiRequest::new(&["history"]).with("startHistoryId", from.0.to_string()).with("maxResults", PAGE);
        let request = self.types.iter().fold(request, |request, name| request.with("historyTypes", *name));
        let request = request.with_some("pageToken", page).with("fields", &*self.fields);
        self.client.get(&request.units(2)).await
    }

    /// A page of ids, spam and trash included.
    pub(super) async fn list(&self, search: Search<'_>, page: Option<&str>) -> Result<MessageList, Refusal> {
        let request =
            ApiRequest::new(&["messages"]).with("maxResults", PAGE).with("includeSpamTrash", "true");
        let request = match search {
            Search::Label(label) => request.with("labelIds", label),
            Search::Since(since) => {
                request.with_some("q", since.map(|since| format!("after:{}", since.as_second().max(0))))
            }
        };
        let request =
            request.with_some("pageToken", page).with("fields", "messages(id,threadId),nextPageToken");
        self.client.get(&request.units(5)).await
    }

    /// A message.
    pub(super) async fn message(&self, id: &str, depth: Depth) -> Result<Message, Refusal> {
        let path = ["messages", id];
        let request = ApiRequest::new(&path).units(20);
        let request = match depth {
            Depth::Presence => request.with("format", "minimal").with("fields", "id"),
            Depth::Headers => {
                let request = request.with("format", "metadata");
                let names = ["From", "To", "Subject", "Date"];
                names
                    .iter()
                    .fold(request, |request, name| request.with("metadataHeaders", *name))
                    .with("fields", MESSAGE)
            }
        };
        self.client.get(&request).await
    }
}

/// No page is meant by an empty token.
fn token<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.filter(|token| !token.is_empty()))
}
