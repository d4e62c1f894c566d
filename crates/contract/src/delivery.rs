//! An event on its way to a push sink, and how the runtime hands it over, as plain data.

use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::event::Event;

/// An event that is handed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The event.
    pub event: Event,
    /// Which try this is, from 1. Tries that ended without a receipt are not counted.
    pub attempt: u32,
    /// How it comes that it is delivered now.
    pub origin: DeliveryOrigin,
}

/// How it comes that an event is delivered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum DeliveryOrigin {
    /// It is its turn in the log.
    #[default]
    Log,
    /// A person asked for another attempt of a dead letter: out of order, and no other event waits for it.
    Retry,
    /// It belongs to a replay: out of order, and no other event waits for it.
    Replay(u64),
}

impl Delivery {
    /// The first try of an event.
    #[must_use]
    pub const fn first(event: Event) -> Self {
        Self { event, attempt: 1, origin: DeliveryOrigin::Log }
    }

    /// Names this message for whoever receives it: the same for every try, and for the same event of a source of the same
    /// name in every database; another one for each replay. 36 characters or more of ASCII letters, digits, `_` and `.`.
    #[must_use]
    pub fn message_id(&self) -> String {
        let digest = Sha256::new()
            .chain_update(self.event.source_name.len().to_be_bytes())
            .chain_update(&self.event.source_name)
            .chain_update(&self.event.event_id)
            .finalize();
        let mut id = "evt_".to_owned();
        digest[..16].iter().for_each(|byte| id.push_str(&format!("{byte:02x}")));
        if let DeliveryOrigin::Replay(replay) = self.origin {
            id.push_str(&format!(".r{replay}"));
        }
        id
    }
}

/// How the runtime hands events to a sink. A kind of sink sets what suits it
/// ([`SinkSettings::policy`](crate::SinkSettings::policy)), the configuration goes before that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryPolicy {
    /// Most attempts of one event, from 1.
    pub max_attempts: u32,
    /// An event that still fails so long after its first attempt is a dead letter.
    pub max_age: Duration,
    /// The wait between two attempts of an event; `None` for one that doubles from 10 s to 1 h.
    pub retry_interval: Option<Duration>,
    /// The least time between the starts of two events; `None` for no limit.
    pub pace: Option<Duration>,
    /// Most calls at a time, from 1. One for a [`Push::Sink`](crate::Push::Sink), whatever is set.
    pub concurrency: usize,
    /// Which events wait for which.
    pub order: Order,
    /// Most events of one call, from 1.
    pub batch_max: usize,
    /// How long a call waits for more events, counted from when its first was ready.
    pub batch_wait: Duration,
}

impl Default for DeliveryPolicy {
    fn default() -> Self {
        Self {
            max_attempts: 12,
            max_age: Duration::from_secs(3 * 24 * 60 * 60),
            retry_interval: None,
            pace: None,
            concurrency: 1,
            order: Order::default(),
            batch_max: 1,
            batch_wait: Duration::ZERO,
        }
    }
}

/// Which events wait for which. An event that waits for its next attempt counts as undelivered until it is done or dead.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    Hash,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// No event waits for another.
    None,
    /// An event waits for the earlier ones of the same entity of the same source.
    #[default]
    Entity,
    /// An event waits for all earlier ones.
    All,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Json, OwnerId, Seq};

    #[test]
    fn a_message_id_names_the_event_of_a_source_and_the_replay() {
        let event = |source: &str, id: &str| Event {
            seq: Seq(1),
            source: OwnerId(1),
            source_name: source.to_owned(),
            event_id: id.to_owned(),
            event_type: "t".to_owned(),
            entity_id: None,
            created_at: jiff::Timestamp::UNIX_EPOCH,
            occurred_at: None,
            data: Json::empty_object(),
            meta: Json::empty_object(),
        };
        let id = |source: &str, id: &str| Delivery::first(event(source, id)).message_id();
        assert_eq!(id("mail", "1").len(), 36);
        assert_ne!(id("mail", "1"), id("mai", "l1"));
        let tried = Delivery { attempt: 3, ..Delivery::first(event("mail", "1")) };
        assert_eq!(tried.message_id(), id("mail", "1"));
        let replayed = Delivery { origin: DeliveryOrigin::Replay(7), ..tried };
        assert_eq!(replayed.message_id(), format!("{}.r7", id("mail", "1")));
    }
}
