//! `google list-calendars`: the calendars that an account sees.

use inboxclaw_connectors::google::{ApiRequest, CALENDAR, Client, ClientSettings};
use inboxclaw_contract::{Failure, printable};
use serde::{Deserialize, Serialize};

use super::super::failed::Failed;
use super::super::{client, output};
use super::message::message;
use crate::cli::{ListCalendars, exit};
use crate::outside::outside;

/// The most that a page may have: <https://developers.google.com/workspace/calendar/api/v3/reference/calendarList/list>.
const PAGE: &str = "250";
/// What is read of a page.
const FIELDS: &str = "nextPageToken,items(id,summary,summaryOverride,primary,accessRole,timeZone)";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    #[serde(default)]
    items: Vec<Item>,
    next_page_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    id: Option<String>,
    summary: Option<String>,
    /// The name that the account's owner gave to it.
    summary_override: Option<String>,
    #[serde(default)]
    primary: bool,
    access_role: Option<String>,
    time_zone: Option<String>,
}

/// A calendar, as machines get it.
#[derive(Serialize)]
struct Calendar {
    id: Option<String>,
    name: Option<String>,
    primary: bool,
    access_role: Option<String>,
    time_zone: Option<String>,
}

pub(super) fn run(args: &ListCalendars, json: bool) -> Result<u8, Failed> {
    if !json {
        output::line("Fetching calendar list...")?;
    }
    let calendars = client::block_on(async {
        fetch(args).await.map_err(|failure| Failed::plain(format!("Error: {}", message(&failure))))
    })?;
    if json {
        output::pretty(&calendars)?;
    } else {
        tell(&calendars)?;
    }
    Ok(exit::OK)
}

async fn fetch(args: &ListCalendars) -> Result<Vec<Calendar>, Failure> {
    let file = args.token_file.to_str().ok_or_else(|| {
        Failure::internal(anyhow::anyhow!("the name of the token file {:?} is not UTF-8", args.token_file))
    })?;
    let at = ClientSettings { token_file: file, api_root: args.api_root.as_deref(), units_per_minute: None };
    let client = Client::new(&outside(), &CALENDAR, &at).map_err(Failure::internal)?;
    let client = client.allow_private(args.allow_private);
    let (mut calendars, mut token) = (Vec::new(), None);
    loop {
        let ask =
            ApiRequest::new(&["users", "me", "calendarList"]).with("maxResults", PAGE).with("fields", FIELDS);
        let page: Page = client.get(&ask.with_some("pageToken", token.take())).await?;
        calendars.extend(page.items.into_iter().map(Calendar::from));
        token = page.next_page_token.filter(|token| !token.is_empty());
        if token.is_none() {
            return Ok(calendars);
        }
    }
}

impl From<Item> for Calendar {
    fn from(item: Item) -> Self {
        let Item { id, summary, summary_override, primary, access_role, time_zone } = item;
        Self { id, name: summary_override.or(summary), primary, access_role, time_zone }
    }
}

fn tell(calendars: &[Calendar]) -> Result<(), Failed> {
    if calendars.is_empty() {
        output::line("No calendars found.")?;
        return Ok(());
    }
    output::line(&row("NAME", "ID"))?;
    output::line(&"-".repeat(80))?;
    for Calendar { name, id, .. } in calendars {
        let name = name.as_deref().unwrap_or("Unknown Name");
        output::line(&row(&printable(name), &printable(id.as_deref().unwrap_or("Unknown ID"))))?;
    }
    Ok(())
}

fn row(name: &str, id: &str) -> String {
    format!("{name:<30} {id:<50}").trim_end().to_owned()
}
