//! Going back in time: `history`, `undo` and `rewind`.

use axum::http::Method;
use inboxclaw_contract::Clock as _;
use inboxclaw_server::states::{RewoundState, UndoneChange};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::super::failed::Failed;
use super::super::output;
use super::super::response::{self, Ended};
use super::super::state_client::{ApiRequest, StateClient};
use super::super::table::{self, Side, Table};
use super::job::{Job, counted};
use super::read::when;
use crate::cli::{History, Rewind, To, Undo, exit};
use crate::outside::SystemClock;

/// Most turns of a page.
const PAGE: u64 = 1_000;
/// Most keys of a turn that a line names.
const KEYS: usize = 8;
/// Most characters of a value before.
const VALUE: usize = 400;

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    turns: Vec<&'a RawValue>,
    next: Option<i64>,
}

/// A turn of the history.
#[derive(Deserialize)]
struct TurnRow<'a> {
    version: i64,
    at: String,
    author: Option<String>,
    undoes: Option<i64>,
    cursor: Option<CursorRow>,
    #[serde(borrow)]
    keys: Vec<KeyRow<'a>>,
    more_keys: u64,
    marker: bool,
    replaced: bool,
}

#[derive(Deserialize)]
struct CursorRow {
    before: Option<String>,
}

#[derive(Deserialize)]
struct KeyRow<'a> {
    key: String,
    before: String,
    #[serde(borrow, default)]
    value: Option<&'a RawValue>,
}

pub(super) async fn history(job: &Job<'_>, args: &History) -> Result<u8, Failed> {
    let seen = StateClient::look(job.config, &args.owner).await?;
    let Some(states) = seen.states else {
        output::remark(&format!("{} has no state yet", seen.owner));
        if job.json {
            output::result("{\"turns\":[],\"next\":null}")?;
        }
        return Ok(exit::OK);
    };
    let columns = ["VERSION", "WHEN", "WHO", "CHANGED"].map(|name| (name, Side::Left));
    let mut table = Table::new(columns);
    let now = SystemClock.now();
    let (mut shown, mut before) = (0, args.before);
    let mut json = String::from("{\"turns\":[");
    loop {
        let mut request = ApiRequest::of(Method::GET, &seen.owner, &["history"])
            .with("limit", (args.limit - shown).min(PAGE).to_string())
            .flag("values", args.values);
        if let Some(before) = before {
            request = request.with("before", before.to_string());
        }
        let found = response::whole(&states, request).await?;
        let page: Page<'_> = found.read()?;
        for turn in &page.turns {
            if job.json {
                json.push_str(if shown == 0 { "" } else { "," });
                json.push_str(turn.get());
            }
            shown += 1;
        }
        if !job.json {
            show(&mut table, &page.turns, now, args.values)?;
        }
        before = page.next;
        if shown >= args.limit || before.is_none() || page.turns.is_empty() {
            break;
        }
    }
    if job.json {
        output::result(&format!("{json}],\"next\":{}}}", serde_json::Value::from(before)))?;
    } else if shown == 0 {
        output::remark("nothing is known of the past");
    } else if let Some(before) = before {
        output::remark(&format!("there are more: --before {before}"));
    }
    Ok(exit::OK)
}

fn show(table: &mut Table<4>, turns: &[&RawValue], now: Timestamp, values: bool) -> Result<(), Failed> {
    let turns = turns.iter().map(|turn| response::read::<TurnRow<'_>>(turn.get().as_bytes()));
    let turns: Vec<TurnRow<'_>> = turns.collect::<Result<_, _>>()?;
    if turns.is_empty() {
        return Ok(());
    }
    let rows: Vec<[String; 4]> = turns.iter().map(|turn| turn.cells(now)).collect();
    let mut lines = table.lines(&rows);
    let rows = lines.split_off(lines.len() - turns.len());
    lines.iter().try_for_each(|heads| output::line(heads))?;
    for (row, turn) in rows.iter().zip(&turns) {
        output::line(row)?;
        if values {
            turn.values().iter().try_for_each(|line| output::line(line))?;
        }
    }
    Ok(())
}

impl TurnRow<'_> {
    fn cells(&self, now: Timestamp) -> [String; 4] {
        let author = self.author.as_deref().unwrap_or("-");
        [self.version.to_string(), when(&self.at, now), author.to_owned(), self.changed()]
    }

    /// What changed, in one line.
    fn changed(&self) -> String {
        let mut parts = Vec::new();
        parts.extend(self.undoes.map(|version| format!("undoes {version}")));
        if self.marker {
            parts.push("more than history keeps".to_owned());
        }
        if self.replaced {
            parts.push("all entries".to_owned());
        }
        parts.extend(self.cursor.as_ref().map(|_| "the cursor".to_owned()));
        parts.extend(self.keys.iter().take(KEYS).map(KeyRow::named));
        let more = self.more_keys + self.keys.len().saturating_sub(KEYS) as u64;
        if more > 0 {
            parts.push(format!("{more} more"));
        }
        parts.join(", ")
    }

    /// A line for everything that was there before.
    fn values(&self) -> Vec<String> {
        let most = table::width().saturating_sub(4).max(40);
        let line =
            |what: &str, value: &str| table::start(&format!("    {what} was {value}"), most.min(VALUE));
        let cursor = self.cursor.as_ref().map(|cursor| match &cursor.before {
            Some(before) => line("the cursor", before),
            None => line("the cursor", "absent"),
        });
        let keys = self.keys.iter().map(|key| {
            let before = match (key.before.as_str(), key.value) {
                (_, Some(value)) => value.get(),
                ("entry", None) => "null",
                (word, None) => word,
            };
            line(&format!("{:?}", key.key), before)
        });
        cursor.into_iter().chain(keys).collect()
    }
}

impl KeyRow<'_> {
    fn named(&self) -> String {
        let new = if self.before == "absent" { " (new)" } else { "" };
        format!("{:?}{new}", self.key)
    }
}

pub(super) async fn undo(job: &Job<'_>, args: &Undo) -> Result<u8, Failed> {
    let (states, owner) = StateClient::change(job.config, &args.owner).await?;
    let mut body = json!({ "force": args.force });
    if let Some(version) = args.version {
        body["version"] = version.into();
    } else if args.turn {
        body["turn"] = true.into();
    }
    let request = ApiRequest::of(Method::POST, &owner, &["undo"]).long().body(body.to_string());
    let result = match response::long(&states, request).await? {
        Ended::Well(result) => result,
        Ended::Refused(said) => {
            let hint = if said.get("keys").is_some() { "; --force takes it back all the same" } else { "" };
            return Err(Failed::plain(format!("{owner}: {}{hint}", response::detail(&said))));
        }
    };
    job.done(&result, || {
        let undone: UndoneChange = response::result(&result)?;
        let author = undone.author.as_deref().map_or_else(|| format!("the {}", owner.kind), str::to_owned);
        let at = when(&undone.at.0.to_string(), SystemClock.now());
        let back = restored(undone.entries, undone.cursor, &undone.left);
        Ok(format!("{owner}: took back version {}, made {at} by {author}: {back} as before", undone.undid))
    })
}

pub(super) async fn rewind(job: &Job<'_>, args: &Rewind) -> Result<u8, Failed> {
    let (states, owner) = StateClient::change(job.config, &args.owner).await?;
    let body = match &args.to {
        To::Version(version) => json!({ "to": version }),
        To::Time(time) => json!({ "to": time }),
    };
    let request = ApiRequest::of(Method::POST, &owner, &["rewind"]).long().body(body.to_string());
    job.long(&states, &owner, request, |result| {
        let rewound: RewoundState = response::result(result)?;
        let turns = counted(rewound.turns, "change", "changes");
        let changed = restored(rewound.entries, rewound.cursor, &rewound.left);
        Ok(format!(
            "{owner} is as version {} was, {turns} taken back; changed by that: {changed}",
            rewound.to
        ))
    })
    .await
}

/// What is as before again, and what is not.
fn restored(entries: u64, cursor: bool, left: &[String]) -> String {
    let mut told = match (entries, cursor) {
        (0, true) => "the cursor".to_owned(),
        (_, false) => counted(entries, "entry", "entries"),
        (_, true) => format!("{} and the cursor", counted(entries, "entry", "entries")),
    };
    if !left.is_empty() {
        let named = left.iter().take(KEYS).map(|key| format!("{key:?}")).collect::<Vec<_>>().join(", ");
        let more = left.len().saturating_sub(KEYS);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        told.push_str(&format!(" (but not {named}{more}: secret, or expired since)"));
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_is_told_in_one_line() {
        let turn = r#"{"version":7,"at":"?","author":"cli:me","undoes":5,"cursor":{"before":null},
            "keys":[{"key":"a","before":"absent"},{"key":"b","before":"entry","value":[1]},
            {"key":"c","before":"secret"},{"key":"d","before":"entry","value":null}],
            "more_keys":3,"marker":false,"replaced":true}"#;
        let turn: TurnRow<'_> = serde_json::from_str(turn).unwrap();
        assert_eq!(
            turn.cells(Timestamp::UNIX_EPOCH),
            [
                "7",
                "?",
                "cli:me",
                "undoes 5, all entries, the cursor, \"a\" (new), \"b\", \"c\", \"d\", 3 more"
            ]
        );
        assert_eq!(
            turn.values(),
            [
                "    the cursor was absent",
                "    \"a\" was absent",
                "    \"b\" was [1]",
                "    \"c\" was secret",
                "    \"d\" was null"
            ]
        );
    }

    #[test]
    fn what_is_not_restored_is_named() {
        assert_eq!(restored(1, true, &[]), "1 entry and the cursor");
        assert_eq!(restored(0, true, &[]), "the cursor");
        assert_eq!(restored(0, false, &[]), "0 entries");
        let left: Vec<String> = (0..10).map(|n| format!("k{n}")).collect();
        let told = restored(2, false, &left);
        assert!(
            told.starts_with("2 entries (but not \"k0\", ")
                && told.ends_with("\"k7\" and 2 more: secret, or expired since)"),
            "{told}"
        );
    }
}
