//! Reading: `owners`, `list` and `get`. Nothing is written, and no file is made.

use std::io;

use axum::http::{Method, StatusCode};
use inboxclaw_contract::Clock as _;
use inboxclaw_contract::store::share;
use inboxclaw_server::states::{OwnerList, OwnerRow};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::failed::Failed;
use super::super::state_client::{ApiRequest, StateClient};
use super::super::table::{self, Side, Table};
use super::super::{output, response};
use super::job::{Job, about, of_key};
use crate::cli::{Get, List, exit};
use crate::outside::SystemClock;

/// Most entries of a page.
const PAGE: u64 = 1_000;
/// Most characters of a value that are looked at for a table.
const VALUE: usize = 400;

/// A page, its entries as they came.
#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    entries: Vec<&'a RawValue>,
    next: Option<String>,
}

/// An entry, as far as the table shows it.
#[derive(Deserialize)]
struct EntryRow<'a> {
    key: String,
    #[serde(borrow, default)]
    value: Option<&'a RawValue>,
    updated_at: String,
    expires_at: Option<String>,
    size: u64,
    #[serde(default)]
    secret: bool,
}

pub(super) async fn owners(job: &Job<'_>) -> Result<u8, Failed> {
    let owners = match StateClient::survey(job.config).await? {
        Some(states) => {
            let found = response::whole(&states, ApiRequest::owners()).await?;
            if job.json {
                output::result(found.text()?.trim_end())?;
                return Ok(exit::OK);
            }
            found.read::<OwnerList>()?.owners
        }
        None => {
            let path = job.config.database.path.display();
            output::remark(&format!("there is no database at {path} yet"));
            job.config.owners().iter().map(|configured| OwnerRow::fresh(configured, false)).collect()
        }
    };
    if job.json {
        let json = serde_json::to_string(&OwnerList { owners }).map_err(io::Error::from)?;
        output::result(&json)?;
        return Ok(exit::OK);
    }
    let rows: Vec<[String; 7]> = owners.iter().map(cells).collect();
    let (left, right) = (|name| (name, Side::Left), |name| (name, Side::Right));
    let columns =
        [left("KIND"), left("NAME"), left("TYPE"), right("ENTRIES"), right("SIZE"), right("LIMIT"), left("")];
    Table::new(columns).rows(&rows)?;
    Ok(exit::OK)
}

fn cells(row: &OwnerRow) -> [String; 7] {
    let share = share(row.entries, row.max_entries).max(share(row.bytes, row.max_bytes));
    let mut notes = Vec::new();
    if !row.configured {
        notes.push("orphaned: no longer configured");
    }
    if row.paused {
        notes.push("paused");
    }
    if row.version == 0 && row.entries == 0 && !row.cursor {
        notes.push("no state yet");
    }
    [
        row.kind.to_string(),
        row.name.clone(),
        row.connector.clone(),
        row.entries.to_string(),
        table::size(row.bytes),
        share.map_or_else(String::new, |share| format!("{share} %")),
        notes.join(", "),
    ]
}

pub(super) async fn list(job: &Job<'_>, args: &List) -> Result<u8, Failed> {
    let seen = StateClient::look(job.config, &args.owner).await?;
    let Some(states) = seen.states else {
        output::remark(&format!("{} has no state yet", seen.owner));
        if job.json {
            output::result("{\"entries\":[],\"next\":null}")?;
        }
        return Ok(exit::OK);
    };
    let mut shown = Shown::new(job.json, args.keys);
    let mut left = if args.all { u64::MAX } else { args.limit };
    let mut after = args.after.clone();
    loop {
        let mut request = ApiRequest::of(Method::GET, &seen.owner, &["state"])
            .with("prefix", &args.prefix)
            .with("limit", left.min(PAGE).to_string())
            .flag("keys", args.keys)
            .flag("secrets", args.secrets);
        if let Some(after) = &after {
            request = request.with("after", after);
        }
        let found = response::whole(&states, request).await?;
        let page: Page<'_> = found.read()?;
        shown.page(&page)?;
        left = left.saturating_sub(page.entries.len() as u64);
        after = page.next;
        if left == 0 || after.is_none() {
            shown.end(after.as_deref())?;
            return Ok(exit::OK);
        }
    }
}

/// What of a listing is shown already.
struct Shown {
    json: bool,
    keys: bool,
    entries: u64,
    table: Table<5>,
    now: Timestamp,
}

impl Shown {
    fn new(json: bool, keys: bool) -> Self {
        let left = |name| (name, Side::Left);
        let columns = [left("KEY"), ("SIZE", Side::Right), left("UPDATED"), left("EXPIRES"), left("VALUE")];
        Self { json, keys, entries: 0, table: Table::new(columns), now: SystemClock.now() }
    }

    fn page(&mut self, page: &Page<'_>) -> Result<(), Failed> {
        if self.json {
            for entry in &page.entries {
                output::part(if self.entries == 0 { "{\"entries\":[" } else { "," })?;
                output::part(entry.get())?;
                self.entries += 1;
            }
            return Ok(());
        }
        let rows = page.entries.iter().map(|entry| response::read(entry.get().as_bytes()));
        let rows: Vec<EntryRow<'_>> = rows.collect::<Result<_, _>>()?;
        self.entries += rows.len() as u64;
        if self.keys {
            let keys: Vec<&str> = rows.iter().map(|row| row.key.as_str()).collect();
            if !keys.is_empty() {
                output::lines(&keys.join("\n"))?;
            }
        } else if !rows.is_empty() {
            let rows: Vec<_> = rows.iter().map(|row| row.cells(self.now)).collect();
            self.table.rows(&rows)?;
        }
        Ok(())
    }

    fn end(&self, next: Option<&str>) -> Result<(), Failed> {
        if self.json {
            let begin = if self.entries == 0 { "{\"entries\":[" } else { "" };
            let next = serde_json::Value::from(next);
            output::result(&format!("{begin}],\"next\":{next}}}"))?;
        } else if let Some(next) = next {
            output::remark(&format!("there are more: --all, or --after {next:?}"));
        } else if self.entries == 0 {
            output::remark("no entries");
        }
        Ok(())
    }
}

impl EntryRow<'_> {
    fn cells(&self, now: Timestamp) -> [String; 5] {
        let value = match (self.value, self.secret) {
            (Some(value), _) => table::start(value.get(), VALUE),
            (None, true) => "(secret)".to_owned(),
            (None, false) => "null".to_owned(),
        };
        let expires = self.expires_at.as_ref().map_or_else(|| "-".to_owned(), |at| when(at, now));
        [self.key.clone(), table::size(self.size), when(&self.updated_at, now), expires, value]
    }
}

/// How far a time of an answer is from now; what cannot be read is shown as it is.
pub(super) fn when(at: &str, now: Timestamp) -> String {
    at.parse().map_or_else(|_| at.to_owned(), |at| table::distance(at, now))
}

pub(super) async fn get(job: &Job<'_>, args: &Get) -> Result<u8, Failed> {
    let seen = StateClient::look(job.config, &args.owner).await?;
    let Some(states) = seen.states else {
        return Err(Failed::plain(format!("{} has no state yet", seen.owner)));
    };
    let request = of_key(Method::GET, &seen.owner, &args.key).flag("secrets", args.secrets);
    let found = response::any(&states, request.flag("entry", job.json)).await?;
    match found.status {
        StatusCode::OK => {}
        StatusCode::FORBIDDEN => {
            let message = format!("{}: {:?} is a secret; --secrets shows it", seen.owner, args.key);
            return Err(Failed::plain(message));
        }
        _ => return Err(about(&seen.owner, &found)),
    }
    let text = found.text()?.trim_ascii();
    if job.json { output::result(text) } else { output::lines(text) }?;
    Ok(exit::OK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_null_is_no_secret() {
        let row = |json: &str| {
            let row: EntryRow<'_> = serde_json::from_str(json).unwrap();
            row.cells("2026-11-22T06:00:00Z".parse().unwrap())
        };
        let plain =
            row(r#"{"key":"k","value":null,"updated_at":"2026-11-22T05:00:00Z","expires_at":null,"size":4}"#);
        assert_eq!(plain, ["k", "4 B", "1 h ago", "-", "null"]);
        let secret = row(
            r#"{"key":"k","value":null,"updated_at":"?","expires_at":"2026-11-22T07:00:00Z","size":4,"secret":true}"#,
        );
        assert_eq!(secret, ["k", "4 B", "?", "in 1 h", "(secret)"]);
    }
}
