//! What settings are made of: lax scalars, intervals, rates, sizes, points in time, patterns of event types.
//!
//! Architecture invariant: values and their text forms only. Knows no other crate of this workspace, reads no file and no
//! clock. Left out: the settings themselves, which stand beside what they set.

pub mod coerce;
pub mod interval;
pub mod moment;
pub mod pattern;
pub mod rate;
pub mod size;

pub use interval::Interval;
pub use pattern::{Patterns, Ttl};
pub use rate::Rate;
pub use size::Size;
