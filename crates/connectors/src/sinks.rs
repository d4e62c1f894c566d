//! The sinks that push, a file or folder each: to add one, declare its module and put its settings into the list.

use inboxclaw_contract::SinkKind;

pub mod command;
pub mod file;
pub mod folder;
pub mod webhook;

/// Every kind of sink that pushes, by the word behind `type:`.
pub static SINKS: &[SinkKind] = &[
    SinkKind::of::<command::Settings>(),
    SinkKind::of::<file::Settings>(),
    SinkKind::of::<folder::Settings>(),
    SinkKind::of::<webhook::Settings>(),
];
