//! The entry of a pull sink's state that changes with its deliveries, so that its turns notice a change of them.

use inboxclaw_contract::{Expiry, OpenTurn, Random, StoreError};
use serde::Serialize;

/// The entry.
pub(super) const LEASE: &str = "lease";
/// Batch ids are whole numbers that every JSON reader holds exactly.
const ID_BITS: u32 = 53;

/// The value of the entry: different after each change. A batch is leased once and confirmed once, in between `at` says
/// until when it is leased, or up to where it is confirmed.
#[derive(Serialize)]
pub(super) struct Lease {
    pub(super) batch: i64,
    pub(super) confirmed: bool,
    pub(super) at: i64,
}

/// Has every turn of the sink that is under way start over: a person changes its deliveries with this one.
///
/// # Errors
/// When the state has no room.
pub(crate) fn deliveries_changed(draft: &mut OpenTurn<'_>, random: &dyn Random) -> Result<(), StoreError> {
    let lease = Lease { batch: batch_id(random), confirmed: true, at: 0 };
    draft.put(LEASE, &lease, Expiry::Never).map_err(|failure| StoreError::Refused(failure.to_string()))
}

/// A number that nobody can guess, unlike a count.
pub(super) fn batch_id(random: &dyn Random) -> i64 {
    let bits = random.next() & ((1 << ID_BITS) - 1);
    i64::try_from(bits.max(1)).unwrap_or(1)
}
