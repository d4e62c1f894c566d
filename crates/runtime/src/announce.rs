//! The watchdog, and the events by which health tells the log of its transitions. What healthy means is in
//! `health.rs`.

use std::sync::Arc;
use std::time::Duration;

use inboxclaw_contract::turn::FactsPatch;
use inboxclaw_contract::{
    Failure, Housekeeping, Json, NewEvent, OpenTurn, Owner, OwnerId, OwnerKind, StoreError,
};
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
    /// The sources and the push sinks.
    pub(crate) owners: Vec<(Owner, OwnerId)>,
}

/// The data of a health event of a source; keys and order are fixed.
#[derive(Serialize)]
struct OfSource<'a> {
    source_name: &'a str,
    source_type: &'a str,
    #[serde(flatten)]
    health: Data<'a>,
}

/// The data of a health event of a sink.
#[derive(Serialize)]
struct OfSink<'a> {
    sink_name: &'a str,
    sink_type: &'a str,
    #[serde(flatten)]
    health: Data<'a>,
}

/// What both have.
#[derive(Serialize)]
struct Data<'a> {
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
                let Some((_, id)) = self.owners.iter().find(|(owner, _)| *owner == transition.owner) else {
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
    async fn announce(&self, transition: &Transition, id: OwnerId) -> Result<(), StoreError> {
        let store = self.env.store.as_ref();
        let status = transition.status.as_str();
        let latch = FactsPatch { announced: Some(status.to_owned()), ..FactsPatch::default() };
        let announced = Housekeeping::facts(store, id).await?.announced;
        match (announced.as_deref(), transition.status, transition.owner.kind) {
            (Some(announced), ..) if announced == status => return Ok(()),
            // Nobody was told that it was ill, so nobody needs to hear that it is well.
            (None, Status::Healthy, OwnerKind::Source) => return store.set_facts(id, latch).await,
            (None, Status::Healthy, OwnerKind::Sink) => return Ok(()),
            _ => {}
        }
        let mut draft = OpenTurn::open(store, self.internal, self.env.turn_id()).await?;
        let emitted = self.event(transition, id).and_then(|event| draft.emit(event));
        if let Err(failure) = emitted {
            tracing::error!(owner = %transition.owner, cause = %failure, "cannot announce a change of health");
            return Ok(());
        }
        draft.turn_mut().facts.push((id, latch));
        draft.commit().await.map(drop)?;
        self.env.health().store_works(true);
        Ok(())
    }

    fn event(&self, transition: &Transition, id: OwnerId) -> Result<NewEvent, Failure> {
        let Transition { owner, connector, status, trouble, checked_at } = transition;
        let trouble = trouble.as_ref();
        let health = Data {
            status: status.as_str(),
            code: trouble.map(|trouble| trouble.code),
            message: trouble.map(|trouble| trouble.message.as_str()),
            action: trouble.and_then(|trouble| trouble.action.as_deref()),
            checked_at: iso(*checked_at),
        };
        let is_ill = *status == Status::Unhealthy;
        let (event_type, data) = match owner.kind {
            OwnerKind::Source => {
                let data = OfSource { source_name: &owner.name, source_type: connector, health };
                let event_type =
                    if is_ill { "inboxclaw.source.unhealthy" } else { "inboxclaw.source.recovered" };
                (event_type, Json::from_value(&data))
            }
            OwnerKind::Sink => {
                let data = OfSink { sink_name: &owner.name, sink_type: connector, health };
                let event_type = if is_ill { "inboxclaw.sink.failing" } else { "inboxclaw.sink.recovered" };
                (event_type, Json::from_value(&data))
            }
        };
        let data = data.map_err(Failure::internal)?;
        let event_id = format!("health:{}:{}:{}", id.0, status.as_str(), uuid(self.env.doors.random.next()));
        Ok(NewEvent::new(event_id, event_type, data).entity(&*owner.name).at(*checked_at))
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
