//! The sources, a file or folder each: to add one, declare its module and put its settings into the list.

use inboxclaw_contract::SourceKind;

pub mod feed;
pub mod filesystem;
pub mod gmail;
pub mod google_calendar;
pub mod google_drive;
pub mod mock;

/// Every kind of source, by the word behind `type:`.
pub static SOURCES: &[SourceKind] = &[
    SourceKind::of::<feed::Settings>(),
    SourceKind::of::<filesystem::Settings>(),
    SourceKind::of::<gmail::Settings>(),
    SourceKind::of::<google_calendar::Settings>(),
    SourceKind::of::<google_drive::Settings>(),
    SourceKind::of::<mock::Settings>(),
];
