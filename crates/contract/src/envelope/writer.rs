//! Writes JSON objects in the style that a transport has.

use crate::json::{Json, write_string};

/// White space and escapes of an envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Style {
    /// No white space, UTF-8 as it is: pulled and sent over HTTP.
    Compact,
    /// `", "` and `": "`, UTF-8 as it is: files.
    Spaced,
    /// `", "` and `": "`, everything beyond ASCII as `\uXXXX`: server-sent events.
    SpacedAscii,
}

/// Writes one object.
pub(super) struct Writer<'a> {
    pub(super) out: &'a mut String,
    pub(super) style: Style,
}

impl Writer<'_> {
    pub(super) fn raw(&mut self, text: &str) {
        self.out.push_str(text);
    }

    pub(super) fn key(&mut self, key: &str) {
        self.text(key);
        self.raw(if self.style == Style::Compact { ":" } else { ": " });
    }

    pub(super) fn next_key(&mut self, key: &str) {
        self.raw(if self.style == Style::Compact { "," } else { ", " });
        self.key(key);
    }

    pub(super) fn text(&mut self, text: &str) {
        write_string(text, self.out, self.style == Style::SpacedAscii);
    }

    pub(super) fn json(&mut self, json: &Json) {
        match self.style {
            Style::Compact => json.write_compact(self.out),
            Style::Spaced => json.write_spaced(self.out, false),
            Style::SpacedAscii => json.write_spaced(self.out, true),
        }
    }
}
