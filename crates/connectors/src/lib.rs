//! Everything that talks to an outside system: the sources, the sinks that push, and what they share.
//!
//! The two lists below are all there is to register: one file plus one word makes a connector; `tests/lists.rs`
//! walks them. Left out: loops, retries and waiting (the runtime's), storage, and the sinks that consumers pull from
//! (routes of the daemon).

pub mod google;
mod hex;
pub mod http;
pub mod mime;
pub mod textdiff;

use inboxclaw_contract::{SinkKind, SourceKind};

/// Writes the module of each source and the list of their kinds.
macro_rules! sources {
    ($($name:ident),* $(,)?) => {
        /// The sources, one file each.
        pub mod sources {
            $(pub mod $name;)*
        }

        /// Every kind of source, by the word behind `type:`.
        pub static SOURCES: &[SourceKind] = &[$(SourceKind::of::<sources::$name::Settings>()),*];
    };
}

/// Writes the module of each sink that pushes and the list of their kinds.
macro_rules! sinks {
    ($($name:ident),* $(,)?) => {
        /// The sinks that push, one file each.
        pub mod sinks {
            $(pub mod $name;)*
        }

        /// Every kind of sink that pushes, by the word behind `type:`.
        pub static SINKS: &[SinkKind] = &[$(SinkKind::of::<sinks::$name::Settings>()),*];
    };
}

sources! { feed, filesystem, gmail, google_calendar, google_drive, mock }
sinks! { folder }
