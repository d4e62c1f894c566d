//! How much a pull sink hands out, and for how long.

use std::time::Duration;

/// Most events of one batch, however many were asked for.
pub const BATCH_EVENTS: usize = 100_000;
/// Most bytes of event data and meta in one batch; a single larger event still comes alone.
pub const BATCH_BYTES: usize = 64 << 20;
/// Most events of one sink that are leased or were leased and are not confirmed yet.
pub const LEASED_EVENTS: usize = 10_000;
/// How long a batch can be confirmed at least, counted from when it was last handed out.
pub const BATCH_LASTS: Duration = Duration::from_secs(24 * 60 * 60);
/// The shortest lease.
pub const SHORTEST_LEASE: Duration = Duration::from_secs(1);
/// The longest that an extract waits for events: less than a proxy usually waits for an answer to begin.
pub const LONGEST_WAIT: Duration = Duration::from_secs(50);
/// The longest lease: as long as its batch can be confirmed.
pub const LONGEST_LEASE: Duration = BATCH_LASTS;
