//! The watchdog, and the events by which health tells the log of its transitions. What healthy means is in
//! `health.rs`.

use std::sync::Arc;
use std::time::Duration;

use inboxclaw_contract::turn::FactsPatch;
use inboxclaw_contract::{Failure, Housekeeping, Json, NewEvent, OpenTurn, OwnerId, StoreError};
use serde::Serialize;
use tokio::time::Instant;

use crate::health::{Status, Transition, iso};
use crate::runner::Env;
use crate::schedule::tick;

/// How often to look for silent loops.
const LOOK: Duration = Duration::from_secs(5);

/// The loop of the watchdog and the announcements.
pub(crate) struct Announcer {
    pub(crate) env: Arc<Env>,
    /// The internal source, whose events these are.
    pub(crate) internal: OwnerId,
    /// The sources by the name in their transitions.
    pub(crate) sources: Vec<(inboxclaw_contract::Owner, OwnerId)>,
}

/// The data of a health event; keys and order are fixed.
#[derive(Serialize)]
struct Data<'a> {
    source_name: &'a str,
    source_type: &'a str,
    status: &'static str,
    code: Option<&'static str>,
    message: Option<&'a str>,
    action: Option<&'a str>,
    checked_at: String,
}

impl Announcer {
    /// Runs until the program ends.
    ///
    /// # Errors
    /// When the store will not recover.
    pub(crate) async fn run(self) -> Result<(), StoreError> {
        let health = self.env.health();
        loop {
            let begun = Instant::now();
            if !tick(&self.env.shutdown, LOOK, health.changed.notified()).await {
                break;
            }
            // A wait that took much longer than it may: the process stood still, and so did everything that is watched.
            let late = begun.elapsed().saturating_sub(LOOK);
            if late > LOOK {
                tracing::info!(seconds = late.as_secs(), "the program did not run for a while");
                health.stood_still(late);
            }
            health.watch();
            for transition in health.transitions() {
                let Some((_, id)) = self.sources.iter().find(|(owner, _)| *owner == transition.owner) else {
                    continue;
                };
                match self.announce(&transition, *id).await {
                    Ok(()) => health.announced(&transition.owner, transition.status),
                    // The next look tries again.
                    Err(error) => drop(self.env.store_failed(error)?),
                }
            }
        }
        Ok(())
    }

    /// Stores event and latch together, so that a restart repeats neither and loses neither.
    async fn announce(&self, transition: &Transition, source: OwnerId) -> Result<(), StoreError> {
        let store = self.env.store.as_ref();
        let status = transition.status.as_str();
        let latch = FactsPatch { announced: Some(status.to_owned()), ..FactsPatch::default() };
        let announced = Housekeeping::facts(store, source).await?.announced;
        match (announced.as_deref(), transition.status) {
            (Some(announced), _) if announced == status => return Ok(()),
            // Nobody was told that it was ill, so nobody needs to hear that it is well.
            (None, Status::Healthy) => return store.set_facts(source, latch).await,
            _ => {}
        }
        let mut draft = OpenTurn::open(store, self.internal, self.env.turn_id()).await?;
        let emitted = self.event(transition, source).and_then(|event| draft.emit(event));
        if let Err(failure) = emitted {
            tracing::error!(owner = %transition.owner, cause = %failure, "cannot announce a change of health");
            return Ok(());
        }
        draft.turn_mut().facts.push((source, latch));
        draft.commit().await.map(drop)?;
        self.env.health().store_works(true);
        Ok(())
    }

    fn event(&self, transition: &Transition, source: OwnerId) -> Result<NewEvent, Failure> {
        let status = transition.status.as_str();
        let trouble = transition.trouble.as_ref();
        let data = Data {
            source_name: &transition.owner.name,
            source_type: &transition.connector,
            status,
            code: trouble.map(|trouble| trouble.code),
            message: trouble.map(|trouble| trouble.message.as_str()),
            action: trouble.and_then(|trouble| trouble.action.as_deref()),
            checked_at: iso(transition.checked_at),
        };
        let data = Json::from_value(&data).map_err(Failure::internal)?;
        let what = if transition.status == Status::Unhealthy { "unhealthy" } else { "recovered" };
        let id = format!("health:{}:{status}:{}", source.0, uuid(self.env.doors.random.next()));
        let event = NewEvent::new(id, format!("inboxclaw.source.{what}"), data);
        Ok(event.entity(&*transition.owner.name).at(transition.checked_at))
    }
}

/// Random bits in the form of a UUID of version 4.
fn uuid(bits: u128) -> String {
    let bits = bits & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let hex = format!("{bits:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_bits_become_a_uuid() {
        assert_eq!(uuid(0), "00000000-0000-4000-8000-000000000000");
        assert_eq!(uuid(u128::MAX), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }
}
