//! How the store's clock stands, over HTTP: `GET /api/clock`, and `POST /api/clock/accept` for a person's word.

use std::sync::Arc;

use axum::extract::{FromRef, State};
use axum::http::{Method, StatusCode};
use inboxclaw_contract::Store;
use inboxclaw_contract::store::ClockState;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::openapi::Operation;
use crate::reply::{self, Refusal, Reply};
use crate::route::{Route, route};

/// How the clock stands.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ClockAnswer {
    /// The wall clock, by which events are stamped.
    #[schemars(with = "String")]
    pub wall: Timestamp,
    /// The time by which ages are judged.
    #[schemars(with = "String")]
    pub now: Timestamp,
    /// Whether the wall clock is in doubt, so that nothing is removed because of it.
    pub doubted: bool,
    /// After how many seconds it is followed all the same.
    pub followed_in: Option<u64>,
}

impl From<ClockState> for ClockAnswer {
    fn from(ClockState { now, wall, doubted }: ClockState) -> Self {
        Self { wall, now, doubted: doubted.is_some(), followed_in: doubted.map(|left| left.as_secs()) }
    }
}

impl ClockAnswer {
    /// For people.
    #[must_use]
    pub fn told(&self) -> String {
        let Self { wall, now, .. } = self;
        if !self.doubted {
            return format!("the clock shows {wall}");
        }
        let days = wall.duration_since(*now).as_hours() / 24;
        let minutes = self.followed_in.unwrap_or_default().div_ceil(60);
        format!(
            "the clock shows {wall}, {days} d ahead of the last time that is known, and is in doubt: nothing is removed \
             because of it for {minutes} more minutes at most. If it is right, run `inboxclaw clock accept`"
        )
    }
}

/// The routes.
pub(crate) fn routes<S>() -> Vec<Route<S>>
where
    S: Clone + Send + Sync + 'static,
    Arc<dyn Store>: FromRef<S>,
{
    let new = |id, summary| Operation::new("health", id, summary);
    vec![
        route(
            Method::GET,
            "/api/clock",
            show,
            new("getClock", "Says how the clock stands.")
                .gives::<ClockAnswer>(200, "The wall clock, and the time by which ages are judged."),
        ),
        route(
            Method::POST,
            "/api/clock/accept",
            accept,
            new("acceptClock", "Says that a clock in doubt is right: what is old by it may go.")
                .gives::<ClockAnswer>(200, "How it stands now."),
        ),
    ]
}

async fn show(State(store): State<Arc<dyn Store>>) -> Result<Reply, Refusal> {
    Ok(reply::json(StatusCode::OK, &ClockAnswer::from(store.clock().await?)))
}

async fn accept(State(store): State<Arc<dyn Store>>) -> Result<Reply, Refusal> {
    Ok(reply::json(StatusCode::OK, &ClockAnswer::from(store.accept_clock().await?)))
}
