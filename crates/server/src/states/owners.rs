//! Owners as a whole: which there are, pause and resume, another name, and the end.

use axum::extract::State;
use axum::http::StatusCode;
use inboxclaw_contract::limits;
use inboxclaw_contract::store::{OwnerInfo, StateLimits};
use inboxclaw_contract::turn::FactsPatch;
use inboxclaw_contract::{Owner, OwnerKind, StoreError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::context::{Configured, States, is, is_own};
use super::problem::Problem;
use super::request::{Call, order};
use crate::reply::{self, Reply};

/// Every owner that is configured or has a state, sources first, by name.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct OwnerList {
    /// The owners.
    pub owners: Vec<OwnerRow>,
}

/// A source or a sink.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct OwnerRow {
    /// What it is.
    pub kind: OwnerKind,
    /// Its name.
    pub name: String,
    /// Its connector's type.
    #[serde(rename = "type")]
    pub connector: String,
    /// Whether the configuration names it. One that it does not name is kept until somebody forgets it.
    pub configured: bool,
    /// Whether the program that answers runs it.
    pub running: bool,
    /// Whether a person stopped it.
    pub paused: bool,
    /// The version of its state.
    pub version: i64,
    /// How many entries it has, with those that have expired and are not swept yet.
    pub entries: u64,
    /// The bytes of their keys and values.
    pub bytes: u64,
    /// Most entries, where the configuration bounds them.
    pub max_entries: Option<u64>,
    /// Most bytes of keys and values, where the configuration bounds them.
    pub max_bytes: Option<u64>,
    /// Whether it has a cursor.
    pub cursor: bool,
}

/// Another name for an owner.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RenameTo {
    /// The new name.
    to: String,
}

/// An owner that has another name now.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Renamed {
    /// The name.
    name: String,
}

/// Whether an owner stands still.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Paused {
    /// Whether it does.
    pub paused: bool,
}

pub(super) async fn owners(State(states): State<States>) -> Result<Reply, Problem> {
    let infos = states.infos().await?;
    let mut rows = Vec::with_capacity(infos.len());
    for info in &infos {
        let paused = states.store.facts(info.id).await?.paused;
        rows.push(row(&states, info, paused));
    }
    let fresh = |configured: &Configured| OwnerRow::fresh(configured, states.is_running(&configured.owner));
    let unknown = |configured: &&Configured| !infos.iter().any(|info| is(info, &configured.owner));
    rows.extend(states.configured.iter().filter(unknown).map(fresh));
    rows.sort_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
    Ok(reply::json(StatusCode::OK, &OwnerList { owners: rows }))
}

fn row(states: &States, info: &OwnerInfo, paused: bool) -> OwnerRow {
    let owner = Owner { kind: info.kind, name: info.name.clone() };
    let configured = states.configured(&owner);
    let policy = configured.map_or_else(StateLimits::default, |configured| configured.policy.clone());
    OwnerRow {
        kind: info.kind,
        configured: configured.is_some() || is_own(&owner),
        running: states.is_running(&owner),
        name: owner.name,
        connector: configured.map_or(&info.connector, |configured| &configured.connector).clone(),
        paused,
        version: info.version.0,
        entries: info.entries,
        bytes: info.bytes,
        max_entries: policy.max_entries,
        max_bytes: policy.max_bytes,
        cursor: info.cursor.is_some(),
    }
}

impl OwnerRow {
    /// One that never ran.
    #[must_use]
    pub fn fresh(configured: &Configured, running: bool) -> Self {
        Self {
            kind: configured.owner.kind,
            name: configured.owner.name.clone(),
            connector: configured.connector.clone(),
            configured: true,
            running,
            paused: false,
            version: 0,
            entries: 0,
            bytes: 0,
            max_entries: configured.policy.max_entries,
            max_bytes: configured.policy.max_bytes,
            cursor: false,
        }
    }
}

pub(super) async fn pause(call: Call) -> Result<Reply, Problem> {
    set_paused(call, true).await
}

pub(super) async fn resume(call: Call) -> Result<Reply, Problem> {
    set_paused(call, false).await
}

async fn set_paused(Call { states, whose, .. }: Call, paused: bool) -> Result<Reply, Problem> {
    let patch = FactsPatch { paused: Some(paused), ..FactsPatch::default() };
    states.store.set_facts(whose.id, patch).await?;
    states.wake(&whose.owner);
    Ok(reply::json(StatusCode::OK, &Paused { paused }))
}

pub(super) async fn rename(Call { states, whose, ask, .. }: Call) -> Result<Reply, Problem> {
    let RenameTo { to } = ask.into_body(order(&states)).await?;
    let to = Owner { kind: whose.owner.kind, name: to };
    limits::check_name(to.kind, &to.name)?;
    free(&states, &whose.owner)?;
    free(&states, &to)?;
    states.store.rename(whose.id, &to).await.map_err(|error| match error {
        StoreError::Refused(reason) => Problem::new(StatusCode::CONFLICT, reason),
        other => other.into(),
    })?;
    Ok(reply::json(StatusCode::OK, &Renamed { name: to.name }))
}

pub(super) async fn forget(Call { states, whose, .. }: Call) -> Result<Reply, Problem> {
    free(&states, &whose.owner)?;
    while !states.store.forget(whose.id).await? {}
    Ok(reply::nothing())
}

/// Refuses what would take an owner away from under the program.
fn free(states: &States, owner: &Owner) -> Result<(), Problem> {
    let conflict = |detail| Err(Problem::new(StatusCode::CONFLICT, detail));
    if is_own(owner) {
        return conflict(format!("the {owner} reports on the program itself: it stays as it is"));
    }
    if states.is_running(owner) {
        return conflict(format!(
            "the running program has the {owner}: take it out of the configuration first"
        ));
    }
    Ok(())
}
