//! Requests for the events of a calendar, and their answers. Left out: what the items mean; they stay as received.
//!
//! <https://developers.google.com/workspace/calendar/api/v3/reference/events/list>,
//! <https://developers.google.com/workspace/calendar/api/guides/sync>.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::google::{ApiRequest, Client, Refusal};

/// Most items of a page, the service's limit.
const PAGE_ITEMS: &str = "2500";
/// The parts of an answer that are wanted; of each event everything, because it is stored and compared.
const FIELDS: &str = "timeZone,nextPageToken,nextSyncToken,items";

/// What is asked for. Everything else is the same in all requests, because the service wants the parameters of an
/// increment to equal those of the listing that its token comes from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Query<'a> {
    /// What changed since a sync token was given.
    Since(&'a str),
    /// What ends after the first instant and starts before the second.
    Window(Timestamp, Timestamp),
}

/// A page of an answer.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Page {
    /// The name of the calendar's zone, of the IANA database.
    pub(super) time_zone: Option<String>,
    /// The event resources.
    #[serde(default)]
    pub(super) items: Vec<Value>,
    /// Where it goes on; `None` on the last page.
    pub(super) next_page_token: Option<String>,
    /// On the last page: what to ask with next time.
    pub(super) next_sync_token: Option<String>,
}

/// Asks for a page, the first one without `page`.
pub(super) async fn page(
    client: &Client,
    calendar: &str,
    query: Query<'_>,
    page: Option<&str>,
) -> Result<Page, Refusal> {
    let request = ApiRequest::new(&["calendars", calendar, "events"])
        .with("showDeleted", "true")
        .with("singleEvents", "true")
        .with("maxResults", PAGE_ITEMS)
        .with("fields", FIELDS);
    let request = match query {
        Query::Since(token) => request.with("syncToken", token),
        Query::Window(since, until) => {
            request.with("timeMin", since.to_string()).with("timeMax", until.to_string())
        }
    };
    client.get(&request.with_some("pageToken", page)).await
}
