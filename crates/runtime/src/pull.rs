//! The pull sink: consumers extract batches of events and confirm them.
//!
//! The sink's cursor holds a position per event type, where it differs from where the sink began; a batch is an entry that
//! remembers how far it came. Confirming a batch moves the positions. A leased extract moves them at once and writes a
//! delivery for each event, due when the lease ends; every extract is what is due of those, and the log beyond the
//! positions.
//!
//! `batch` picks the events of a batch, `turns` writes, `records` remembers batches, `lease` says that deliveries changed,
//! `wait` waits for news. Left out: how consumers ask (the server's).

mod batch;
mod lease;
mod limits;
mod records;
mod turns;
mod wait;

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use inboxclaw_contract::envelope::Format;
use inboxclaw_contract::store::Truncation;
use inboxclaw_contract::{Event, Intake, Owner, OwnerId, Selection, Seq, StartAt, Store, StoreError};
use inboxclaw_settings::{Patterns, Ttl};

pub(crate) use self::lease::deliveries_changed;
pub use self::limits::{
    BATCH_BYTES, BATCH_EVENTS, BATCH_LASTS, LEASED_EVENTS, LONGEST_LEASE, LONGEST_WAIT, SHORTEST_LEASE,
};
pub use self::records::PLAIN_BATCHES;
use crate::bodies::Bodies;

/// The word behind `type:`.
pub const KIND: &str = "http_pull";

/// A pull sink, ready to serve.
pub struct PullSink {
    owner: OwnerId,
    name: String,
    /// What it takes, from where it began.
    intake: Selection,
    /// One writing request at a time; another process may still be faster, then the turn conflicts.
    turn: tokio::sync::Mutex<()>,
    records: records::Records,
    /// Told when leases ended or moved, so that what they held back may be there.
    released: tokio::sync::Notify,
    counts: Counts,
    format: Format,
}

/// What an extract asks for.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Narrows the event types.
    pub selector: Option<Patterns>,
    /// Most events; [`BATCH_EVENTS`] bounds it in any case.
    pub size: Option<usize>,
    /// Hides the events from other extracts for that long, from [`SHORTEST_LEASE`] to [`LONGEST_LEASE`].
    pub lease: Option<Duration>,
}

/// A batch, as handed to a consumer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// Its number, with which it is confirmed; `None` when there is nothing.
    pub id: Option<i64>,
    /// The events, in the order of seq.
    pub events: Vec<Event>,
    /// How many more there are: above 0 only if the next extract of the same kind gives something.
    pub remaining: u64,
    /// What the consumer has missed, if anything.
    pub truncation: Option<Truncation>,
}

/// A batch whose events are read when they are sent.
#[derive(Debug, Default)]
pub struct Parcel {
    /// Its number, with which it is confirmed; `None` when there is nothing.
    pub id: Option<i64>,
    /// The events, in the order of seq.
    pub bodies: Bodies,
    /// As [`Batch::remaining`].
    pub remaining: u64,
    /// As [`Batch::truncation`].
    pub truncation: Option<Truncation>,
    /// When the first lease ends that hides something of what was asked for.
    pub next_due: Option<Duration>,
}

/// What happened at a sink since the program started.
#[derive(Debug, Default)]
pub struct Counts {
    /// Batches handed out.
    pub batches: AtomicU64,
    /// Events handed out.
    pub events: AtomicU64,
    /// Events in confirmed batches.
    pub confirmed: AtomicU64,
    /// Requests that had to start over.
    pub conflicts: AtomicU64,
}

/// Why a request to a pull sink failed. Nothing was stored.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// The sink has no such batch, or it is older than [`BATCH_LASTS`].
    #[error("batch {0} not found")]
    NotFound(i64),
    /// The batch was handed out without a lease.
    #[error("batch {0} has no lease")]
    NoLease(i64),
    /// Others were faster each time.
    #[error("too many requests changed the sink at the same time")]
    Busy,
    /// The store could not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The state of the sink has another form than this program writes.
    #[error("the state of the sink cannot be used: {0}")]
    State(String),
}

impl PullSink {
    /// The sink of that name, registered in the store with what it takes. One that is new begins at `start`.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn register(
        store: &dyn Store,
        name: &str,
        patterns: Patterns,
        start: StartAt,
        ttl: Option<Ttl>,
    ) -> Result<Self, StoreError> {
        let owner = store.register(&Owner::sink(name), KIND).await?;
        let intake = store.set_intake(owner, &Intake { patterns, ttl, start }).await?;
        Ok(Self {
            owner,
            name: name.to_owned(),
            intake,
            turn: <_>::default(),
            records: <_>::default(),
            released: <_>::default(),
            counts: Counts::default(),
            format: Format::default(),
        })
    }

    /// Events are handed out in this format.
    #[must_use]
    pub fn written_as(self, format: Format) -> Self {
        Self { format, ..self }
    }

    /// How events are written.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// Its number in the store.
    #[must_use]
    pub fn owner(&self) -> OwnerId {
        self.owner
    }

    /// Its configured name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What happened at it since the program started.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// What the sink wants of the log beyond its positions.
    fn wanted(&self, positions: BTreeMap<String, Seq>, selector: Option<Patterns>) -> Selection {
        let mut wanted = Selection { selector, ..self.intake.clone() };
        wanted.positions.extend(positions);
        wanted
    }
}
