//! Everything that talks to an outside system: the sources, the sinks that push, and what they share.
//!
//! `sources` and `sinks` hold one file or folder for each connector, and the list of them; `tests/lists.rs` compares
//! the lists with the files. Left out: loops, retries and waiting (the runtime's), storage, and the sinks that
//! consumers pull from (routes of the daemon).

pub mod forerunner;
pub mod google;
mod hex;
pub mod http;
mod json_lines;
mod lock;
pub mod mime;
pub mod sinks;
pub mod sources;
pub mod template;
mod text;
pub mod textdiff;

pub use sinks::SINKS;
pub use sources::SOURCES;
