//! The nouns and the promises of Inboxclaw: events, drafts, failures, and the traits of sources, sinks and stores.
//!
//! Architecture invariant: no I/O and no async runtime in here. Whoever reads this crate knows what the
//! program promises; who keeps the promises is the business of the other crates.

pub mod coalesce;
pub mod condition;
pub mod delivery;
pub mod draft;
pub mod envelope;
pub mod event;
pub mod failure;
pub mod json;
pub mod limits;
pub mod outside;
pub mod owner;
pub mod page;
pub mod printable;
pub mod selection;
pub mod settings;
pub mod sink;
pub mod sinks;
pub mod source;
pub mod space;
pub mod state;
pub mod store;
pub mod turn;

pub use coalesce::Pending;
pub use condition::Condition;
pub use delivery::{Delivery, DeliveryOrigin, DeliveryPolicy, Order};
pub use draft::Draft;
pub use draft::open_turn::OpenTurn;
pub use envelope::{Format, Style, write_envelope};
pub use event::{Event, NewEvent, Seq};
pub use failure::{Class, Failure};
pub use json::Json;
pub use outside::{Clock, Outside, Random, Shared, Witness};
pub use owner::{Owner, OwnerId, OwnerKind, SpaceId, StartAt};
pub use printable::printable;
pub use selection::{Lane, Selection};
pub use settings::{SettingsError, SinkKind, SinkSettings, SourceKind, SourceSettings, Warning};
pub use sink::{Push, Receipt, Sender, Sink};
pub use sinks::Intake;
pub use source::{Next, Settled, Source};
pub use space::{Editable, Spaces};
pub use state::{Entry, Evolving, Expiry, Snapshot, Version};
pub use store::{Coalescing, Housekeeping, Log, Sinks, State, Store, StoreError};
pub use turn::{Outcome, Turn};
