//! Changing single things: `set`, `delete`, `cursor` and `forget`.

use std::io::Read as _;

use axum::http::header::{IF_MATCH, IF_NONE_MATCH};
use axum::http::{Method, StatusCode};
use inboxclaw_contract::{Json, Owner};
use inboxclaw_server::states::{DeletedEntries, PutEntry, StateCursor};
use serde_json::json;

use super::super::failed::Failed;
use super::super::state_client::{ApiRequest, StateClient, configured};
use super::super::{output, response, table};
use super::job::{Job, about, counted, of_key};
use crate::cli::{By, Cursor, Delete, Forget, Set, exit};

/// A text that is short enough to be shown as it should have been written.
const SHORT: usize = 60;

pub(super) async fn set(job: &Job<'_>, args: &Set) -> Result<u8, Failed> {
    let value = value(args)?;
    let (states, owner) = StateClient::change(job.config, &args.owner).await?;
    let mut request =
        of_key(Method::PUT, &owner, &args.key).with("ttl", &args.ttl).flag("secret", args.secret);
    if let Some(revision) = args.if_revision {
        request = request.header(IF_MATCH, format!("\"{revision}\""));
    }
    if args.if_absent {
        request = request.header(IF_NONE_MATCH, "*");
    }
    let put = response::any(&states, request.body(value.into_string())).await?;
    let made = match put.status {
        StatusCode::CREATED => "created",
        StatusCode::OK => "set",
        StatusCode::PRECONDITION_FAILED => {
            return Err(Failed::plain(format!("{}: nothing was changed", about(&owner, &put).message)));
        }
        _ => return Err(about(&owner, &put)),
    };
    job.done(put.text()?, || {
        let PutEntry { revision, .. } = put.read()?;
        Ok(format!("{owner}: {:?} is {made}, revision {revision}", args.key))
    })
}

/// The value given, checked before anybody is asked.
fn value(args: &Set) -> Result<Json, Failed> {
    if args.value == "-" {
        let mut text = String::new();
        let read = std::io::stdin().read_to_string(&mut text);
        read.map_err(|error| Failed::plain(format!("cannot read standard input: {error}")))?;
        return Json::new(text)
            .map_err(|error| Failed::plain(format!("standard input is no JSON value: {error}")));
    }
    Json::new(args.value.as_str()).map_err(|error| {
        let hint = hint(&args.value, args.secret);
        Failed::new(exit::USAGE, format!("the value is no JSON: {error}{hint}"))
    })
}

/// How a text is written, if one was meant.
fn hint(text: &str, secret: bool) -> String {
    let is_text = !text.starts_with(['{', '[', '"']) && !text.contains(char::is_control);
    let quoted = serde_json::Value::from(text).to_string();
    if secret || !is_text || text.len() > SHORT || quoted.contains('\'') {
        return "; a text is written with its quotes inside those of the shell: '\"text\"'".to_owned();
    }
    format!("; a text is written with its quotes inside those of the shell: '{quoted}'")
}

pub(super) async fn delete(job: &Job<'_>, args: &Delete) -> Result<u8, Failed> {
    let (states, owner) = StateClient::change(job.config, &args.owner).await?;
    if !args.keys.is_empty() {
        return delete_keys(job, &states, &owner, &args.keys).await;
    }
    let mut request = ApiRequest::of(Method::DELETE, &owner, &["state"])
        .long()
        .with("prefix", args.prefix.as_deref().unwrap_or_default())
        .flag("dry_run", args.dry_run);
    if let Some(age) = args.older_than {
        let by = if args.by == By::Created { "created" } else { "updated" };
        request = request.with("older_than", age.to_string()).with("by", by);
    }
    job.long(&states, &owner, request, |result| {
        let DeletedEntries { entries, bytes, dry_run, .. } = response::result(result)?;
        let done = if dry_run { "would go" } else { "deleted" };
        let entries = counted(entries, "entry", "entries");
        Ok(format!("{owner}: {entries} {done}, {}", table::size(bytes)))
    })
    .await
}

async fn delete_keys(
    job: &Job<'_>,
    states: &StateClient,
    owner: &Owner,
    keys: &[String],
) -> Result<u8, Failed> {
    let (mut deleted, mut absent) = (Vec::new(), Vec::new());
    for key in keys {
        let gone = response::any(states, of_key(Method::DELETE, owner, key)).await?;
        match gone.status {
            status if status.is_success() => deleted.push(key),
            StatusCode::NOT_FOUND => absent.push(key),
            _ => return Err(about(owner, &gone)),
        }
    }
    let named = |keys: &[&String]| keys.iter().map(|key| format!("{key:?}")).collect::<Vec<_>>().join(", ");
    if !absent.is_empty() {
        output::remark(&format!("{owner}: there is no key {}", named(&absent)));
    }
    let code = if absent.is_empty() { exit::OK } else { exit::FAILED };
    if job.json {
        output::result(&json!({ "deleted": deleted, "absent": absent }).to_string())?;
    } else if !deleted.is_empty() {
        output::remark(&format!("{owner}: deleted {}", named(&deleted)));
    }
    Ok(code)
}

pub(super) async fn cursor(job: &Job<'_>, args: &Cursor) -> Result<u8, Failed> {
    if args.value.is_none() && !args.clear {
        return show_cursor(job, args).await;
    }
    let (states, owner) = StateClient::change(job.config, &args.owner).await?;
    let request = match &args.value {
        Some(value) => {
            ApiRequest::of(Method::PUT, &owner, &["cursor"]).body(json!({ "cursor": value }).to_string())
        }
        None => ApiRequest::of(Method::DELETE, &owner, &["cursor"]),
    };
    let answer = response::any(&states, request).await?;
    if !answer.status.is_success() {
        return Err(about(&owner, &answer));
    }
    let done = if args.clear { "cleared" } else { "set" };
    job.done(answer.text()?, || Ok(format!("{owner}: the cursor is {done}")))
}

async fn show_cursor(job: &Job<'_>, args: &Cursor) -> Result<u8, Failed> {
    let seen = StateClient::look(job.config, &args.owner).await?;
    let cursor = match &seen.states {
        None if job.json => {
            output::result("{\"cursor\":null,\"version\":0}")?;
            return Ok(exit::OK);
        }
        None => None,
        Some(states) => {
            let found =
                response::whole(states, ApiRequest::of(Method::GET, &seen.owner, &["cursor"])).await?;
            if job.json {
                output::result(found.text()?.trim_end())?;
                return Ok(exit::OK);
            }
            found.read::<StateCursor>()?.cursor
        }
    };
    match cursor {
        // It comes from upstream: a script gets every byte, a terminal nothing that it would obey.
        Some(cursor) => output::result(&cursor)?,
        None => output::remark(&format!("{} has no cursor", seen.owner)),
    }
    Ok(exit::OK)
}

pub(super) async fn forget(job: &Job<'_>, args: &Forget) -> Result<u8, Failed> {
    let owner = StateClient::look(job.config, &args.owner).await?.owner;
    if configured(job.config).contains(&owner) {
        let file = job.config.file.display();
        return Err(Failed::plain(format!("the {owner} is in {file}: take it out of there first")));
    }
    let (states, owner) = StateClient::change(job.config, &args.owner).await?;
    let answer = response::any(&states, ApiRequest::of(Method::DELETE, &owner, &[]).long()).await?;
    if !answer.status.is_success() {
        return Err(about(&owner, &answer));
    }
    job.done("{}", || Ok(format!("{owner} is forgotten")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_shown_as_they_should_be_written() {
        for (text, hinted) in [("hello", "'\"hello\"'"), ("a\\b", "'\"a\\\\b\"'"), ("it's", "'\"text\"'")] {
            assert!(hint(text, false).ends_with(hinted), "{}", hint(text, false));
        }
        for (text, secret) in [("token", true), ("{\"a\": ", false), (&*"x".repeat(61), false)] {
            assert!(hint(text, secret).ends_with("'\"text\"'"), "{text}");
        }
    }
}
