//! What the loops are given: clock, randomness, and what may be set about them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use inboxclaw_contract::store::Retention;
use inboxclaw_contract::{Clock, Random};

/// The doors to the outside that the runtime itself uses.
#[derive(Clone)]
pub struct Doors {
    /// The wall clock, for the times that health shows; everything else goes by the store's clock.
    pub clock: Arc<dyn Clock>,
    /// Randomness for turn ids, event ids and jitter.
    pub random: Arc<dyn Random>,
}

/// What may be set about the loops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// How long one poll may take; 60 s unless set.
    pub turn_timeout: Duration,
    /// How long a push sink may take for one batch; 10 min unless set. After a batch that took longer, the next
    /// one is half as large.
    pub delivery_timeout: Duration,
    /// Days after which events that nobody owes any more are removed; 30 unless set, never when not positive.
    pub retention_days: i64,
    /// The same for types that match a pattern, in place of that; see [`Retention::by_type`].
    pub retention_by_type: BTreeMap<String, Option<Duration>>,
    /// For so long a sink owes an event of the log, counted from when it was stored, and a sink that left the
    /// configuration owes anything; 30 d unless set.
    pub owed_max: Duration,
    /// A dead letter that nobody retries or drops for so long goes; 30 d unless set.
    pub dead_max: Duration,
    /// The bytes beyond which the oldest events go, whatever their age; none unless set.
    pub max_bytes: Option<u64>,
    /// Whether owners are claimed; [`Claims::Alone`] unless set.
    pub claims: Claims,
}

impl Options {
    /// How long events are kept that nobody owes; `None` when all are kept for ever.
    pub(crate) fn retention(&self) -> Option<Retention> {
        let days = u64::try_from(self.retention_days).ok().filter(|days| *days > 0);
        let default = days.map(|days| Duration::from_secs(days.saturating_mul(24 * 60 * 60)));
        let retention = Retention { by_type: self.retention_by_type.clone(), default };
        (!retention.is_endless()).then_some(retention)
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            turn_timeout: Duration::from_secs(60),
            delivery_timeout: Duration::from_secs(10 * 60),
            retention_days: 30,
            retention_by_type: BTreeMap::new(),
            owed_max: Duration::from_secs(30 * 24 * 60 * 60),
            dead_max: Duration::from_secs(30 * 24 * 60 * 60),
            max_bytes: None,
            claims: Claims::Alone,
        }
    }
}

/// Whether owners are claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claims {
    /// Nobody else can use the store, so that nothing is claimed and nothing is written for it.
    Alone,
    /// Others may. Each owner is claimed for this long (at least 2 s), renewed every half of it, and given back at the
    /// end; after a crash another machine takes over when it has run out.
    Shared {
        /// How long a claim lasts.
        lasts: Duration,
    },
}
