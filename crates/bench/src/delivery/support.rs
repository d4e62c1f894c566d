//! What the parts share: a database that is full before the program starts, and figures of many times.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use inboxclaw_contract::turn::{Turn, TurnId};
use inboxclaw_contract::{Clock, Housekeeping as _, Json, NewEvent, Owner, OwnerId, State as _, Version};
use inboxclaw_store::{Options, SqliteStore};
use jiff::Timestamp;

struct Wall;

impl Clock for Wall {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// A database with events, as if a source had reported them: what is in it before the program starts.
pub(super) struct Filler {
    store: SqliteStore,
    source: OwnerId,
    next: u64,
}

/// How many events one turn holds.
const TURN: u64 = 1_000;

impl Filler {
    pub(super) async fn new(database: &Path) -> anyhow::Result<Self> {
        let store = SqliteStore::open(database, Options::new(Arc::new(Wall)))?;
        let source = store.register(&Owner::source("filler"), "mock").await?;
        Ok(Self { store, source, next: 0 })
    }

    /// Stores so many events, of `entities` entities by turns.
    pub(super) async fn fill(&mut self, events: u64, entities: u64) -> anyhow::Result<()> {
        let end = self.next + events;
        while self.next < end {
            let mut turn = Turn::new(TurnId(u128::from(self.next) + 1), self.source, Version(0));
            for n in self.next..end.min(self.next + TURN) {
                let data = format!(r#"{{"n":{n},"text":"{}"}}"#, "x".repeat(200));
                let event = NewEvent::new(format!("e{n}"), "filler.event", Json::new(data)?);
                turn.events.push(event.entity(format!("entity{}", n % entities)));
            }
            self.next += turn.events.len() as u64;
            self.store.commit(turn).await?;
        }
        Ok(())
    }
}

/// A sorted list's value at this part of it, from 0 to 1.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "few values"
)]
fn quantile(values: &[f64], part: f64) -> f64 {
    let place = (values.len().saturating_sub(1) as f64 * part).round() as usize;
    values.get(place).copied().unwrap_or_default()
}

/// Milliseconds of the middle and of the slowest hundredth.
pub(super) fn middle_and_slow(mut millis: Vec<f64>) -> (f64, f64) {
    millis.sort_by(f64::total_cmp);
    (quantile(&millis, 0.5), quantile(&millis, 0.99))
}

/// Longer than anything may take that works.
pub(super) const LONG: Duration = Duration::from_secs(60);
