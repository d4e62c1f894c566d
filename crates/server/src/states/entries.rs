//! One entry at a time, pages of them, and the cursor.

use std::time::Duration;

use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, ETAG, LAST_MODIFIED};
use inboxclaw_contract::limits::{self, CURSOR_BYTES, JSON_BYTES};
use inboxclaw_contract::space::{EntryInfo, Look};
use inboxclaw_contract::{Entry, Expiry, Version};
use inboxclaw_settings::Interval;
use inboxclaw_settings::moment;

use super::context::{KnownOwner, States};
use super::problem::Problem;
use super::request::{Call, Reading, StateRequest, wrong};
use super::types::{PutEntry, SetCursor, StateCursor, StateEntry, StatePage};
use crate::reply::{self, Reply};

/// Most bytes of values in a page.
const PAGE_BYTES: usize = 8 << 20;
/// Most bytes of a body that is a value: white space around it does not count in the end.
pub(super) const VALUE_BODY: u64 = (JSON_BYTES + (64 << 10)) as u64;
/// Most bytes of a body that holds a cursor, each byte of which may be escaped.
pub(super) const CURSOR_BODY: u64 = (6 * CURSOR_BYTES + (64 << 10)) as u64;
/// The length from which a body waits for others of its kind.
const LARGE: u64 = 1 << 20;

pub(super) async fn list(Call { states, whose, ask, .. }: Call) -> Result<Reply, Problem> {
    let prefix = ask.text("prefix").unwrap_or_default();
    limits::check_prefix(prefix)?;
    let look = Look {
        prefix: prefix.to_owned(),
        after: ask.text("after").map(str::to_owned),
        entries: ask.limit(100)?,
        bytes: PAGE_BYTES,
        values: !ask.flag("keys")?,
    };
    let secrets = ask.flag("secrets")?;
    let page = states.store.look(whose.id, &look).await?;
    let entries = page.entries.into_iter().map(|entry| StateEntry::of(entry, secrets)).collect();
    Ok(reply::json(StatusCode::OK, &StatePage { entries, next: page.next }))
}

pub(super) async fn get(Call { states, whose, ask, .. }: Call) -> Result<Reply, Problem> {
    limits::check_key(&ask.key)?;
    let (secrets, whole) = (ask.flag("secrets")?, ask.flag("entry")?);
    let Some(entry) = read(&states, &whose, &ask.key).await? else { return Err(absent(&ask.key)) };
    let (revision, updated_at) = (entry.revision, entry.updated_at);
    let reply = if ask.has(revision) {
        reply::of(StatusCode::NOT_MODIFIED, "application/json", "")
    } else if whole {
        reply::json(StatusCode::OK, &StateEntry::of(EntryInfo::from(entry), secrets))
    } else if entry.secret && !secrets {
        let detail = format!("the value of {:?} is a secret: ask with secrets=1", ask.key);
        return Err(Problem::new(StatusCode::FORBIDDEN, detail));
    } else {
        reply::ok(entry.value.into_string())
    };
    let headers = [
        (ETAG, etag(revision)),
        (LAST_MODIFIED, updated_at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()),
        (CACHE_CONTROL, "no-cache".to_owned()),
    ];
    Ok(headers.into_iter().fold(reply, |reply, (name, value)| reply::with(reply, name, &value)))
}

pub(super) async fn put(Call { states, whose, ask, author }: Call) -> Result<Reply, Problem> {
    limits::check_new_key(&ask.key)?;
    let (expiry, secret, condition) = (expiry(&ask)?, ask.switch("secret")?, ask.condition()?);
    let key = ask.key.clone();
    let how = Reading { bytes: VALUE_BODY, idle_timeout: states.bounds.idle_timeout };
    let value = {
        let is_large = ask.length().is_none_or(|length| length > LARGE);
        // Of large ones only some are in memory at a time. The semaphore is never closed.
        let _permit = if is_large { states.bounds.bodies.acquire().await.ok() } else { None };
        ask.into_value(how).await?
    };
    let _permit = states.edit_permit(&whose.owner).await;
    let put = states.editor(&author).put(whose.id, &key, value, expiry, secret, condition).await?;
    states.wake(&whose.owner);
    let version = states.store.snapshot(whose.id).await?.version.0;
    let status = if put.created { StatusCode::CREATED } else { StatusCode::OK };
    let reply = reply::json(status, &PutEntry { key, revision: put.revision.0, version });
    Ok(reply::with(reply, ETAG, &etag(put.revision)))
}

pub(super) async fn delete(Call { states, whose, ask, author }: Call) -> Result<Reply, Problem> {
    limits::check_key(&ask.key)?;
    let _permit = states.edit_permit(&whose.owner).await;
    if !states.editor(&author).delete(whose.id, &ask.key, ask.condition()?).await? {
        return Err(absent(&ask.key));
    }
    states.wake(&whose.owner);
    Ok(reply::nothing())
}

pub(super) async fn cursor(Call { states, whose, .. }: Call) -> Result<Reply, Problem> {
    let snapshot = states.store.snapshot(whose.id).await?;
    let row = StateCursor { cursor: snapshot.cursor, version: snapshot.version.0 };
    Ok(reply::json(StatusCode::OK, &row))
}

pub(super) async fn set_cursor(Call { states, whose, ask, author }: Call) -> Result<Reply, Problem> {
    let how = Reading { bytes: CURSOR_BODY, idle_timeout: states.bounds.idle_timeout };
    let SetCursor { cursor } = ask.into_body(how).await?;
    change_cursor(&states, &whose, cursor, &author).await
}

pub(super) async fn clear_cursor(Call { states, whose, author, .. }: Call) -> Result<Reply, Problem> {
    change_cursor(&states, &whose, None, &author).await
}

async fn change_cursor(
    states: &States,
    whose: &KnownOwner,
    cursor: Option<String>,
    who: &str,
) -> Result<Reply, Problem> {
    let _permit = states.edit_permit(&whose.owner).await;
    let version = states.editor(who).set_cursor(whose.id, cursor.clone()).await?.0;
    states.wake(&whose.owner);
    Ok(reply::json(StatusCode::OK, &StateCursor { cursor, version }))
}

/// The entry under a key.
pub(super) async fn read(states: &States, whose: &KnownOwner, key: &str) -> Result<Option<Entry>, Problem> {
    Ok(states.store.entries(whose.id, &[key.to_owned()]).await?.pop().flatten())
}

fn absent(key: &str) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, format!("there is no entry {key:?}"))
}

fn etag(revision: Version) -> String {
    format!("\"{}\"", revision.0)
}

/// When a value that is put is to expire, as `ttl` says.
fn expiry(ask: &StateRequest) -> Result<Expiry, Problem> {
    match ask.text("ttl") {
        None | Some("keep") => Ok(Expiry::Keep),
        Some("none") => Ok(Expiry::Never),
        Some(text) => {
            let after = text.parse::<Interval>().map(|interval| interval.as_duration());
            let after = after.ok().filter(|after| *after > Duration::ZERO).map(Expiry::For);
            let at = || moment::parse(text).map(Expiry::Until);
            after.or_else(at).ok_or_else(|| {
                wrong(format!(
                    "ttl must be a length of time (5m), a time (RFC 3339), a date, none or keep, not {text:?}"
                ))
            })
        }
    }
}
