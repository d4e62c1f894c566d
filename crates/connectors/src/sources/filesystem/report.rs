//! The events: their ids and payloads.

use std::borrow::Cow;

use inboxclaw_contract::{Draft, Failure, Json, NewEvent};
use serde::Serialize;

use super::path::RelPath;
use super::record::Version;
use crate::mime;
use crate::textdiff::TextDiff;

/// Digits of the content's digest in an event id. They tell two contents apart that were written within one tick
/// of the file system's clock.
const ID_DIGITS: usize = 16;

/// Files with these extensions have no text.
const BINARY: [&str; 41] = [
    "7z", "avi", "bin", "bmp", "bz2", "db", "dll", "doc", "docx", "dylib", "eot", "exe", "flac", "gif", "gz",
    "ico", "jpeg", "jpg", "mkv", "mov", "mp3", "mp4", "ogg", "otf", "pdf", "png", "ppt", "pptx", "rar", "so",
    "sqlite", "svg", "tar", "ttf", "wav", "webp", "woff", "woff2", "xls", "xlsx", "zip",
];

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Created,
    Updated,
    Moved,
    Deleted,
}

impl Kind {
    const fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Moved => "moved",
            Self::Deleted => "deleted",
        }
    }
}

/// One thing that happened to one version of a file.
pub(super) struct Report<'a> {
    pub(super) kind: Kind,
    pub(super) path: &'a RelPath,
    pub(super) version: Version,
    /// Of the content, if it was read.
    pub(super) sha256: Option<&'a str>,
    pub(super) size: u64,
    pub(super) preview: Option<String>,
    pub(super) diff: Option<TextDiff>,
    pub(super) old_path: Option<&'a RelPath>,
}

#[derive(Serialize)]
struct Payload<'a> {
    path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_bytes: Option<&'a str>,
    mime_type: &'static str,
    size_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_preview: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_diff: Option<&'a TextDiff>,
    #[serde(skip_serializing_if = "Option::is_none")]
    old_path: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    old_path_bytes: Option<&'a str>,
}

impl Report<'_> {
    /// Writes the event.
    ///
    /// # Errors
    /// When the turn has no room for it.
    pub(super) fn emit(&self, draft: &mut Draft<'_>) -> Result<(), Failure> {
        let (path, path_bytes) = (self.path.shown(), self.path.lossless());
        let old_path = self.old_path.map(RelPath::shown);
        let old_path_bytes = self.old_path.and_then(RelPath::lossless);
        let payload = Payload {
            path: &path,
            path_bytes: path_bytes.as_deref(),
            mime_type: mime::guess(&path),
            size_bytes: self.size,
            content_preview: self.preview.as_deref(),
            content_diff: self.diff.as_ref(),
            old_path: old_path.as_deref(),
            old_path_bytes: old_path_bytes.as_deref(),
        };
        let data = Json::from_value(&payload).map_err(Failure::internal)?;
        let event = NewEvent::new(self.id(), format!("fs.file_{}", self.kind.word()), data);
        draft.emit(event.entity(self.path.entity()).at(draft.now()))
    }

    /// The change upstream: what happened to which version at which path.
    fn id(&self) -> String {
        let Version { ino, ctime, times } = self.version;
        // What was not read is told apart by its size, should two versions share a tick of the clock.
        let digits = self.sha256.map_or_else(
            || Cow::Owned(format!("{}b", self.size)),
            |sha256| Cow::Borrowed(sha256.get(..ID_DIGITS).unwrap_or(sha256)),
        );
        let id = format!("{}:{}:{ino}:{ctime}:{digits}", self.kind.word(), self.path.in_id());
        if times > 1 { format!("{id}:{times}") } else { id }
    }
}

/// Whether a file's content is taken for text, by its extension.
pub(super) fn is_text(path: &RelPath) -> bool {
    let extension = mime::extension(&path.shown()).to_ascii_lowercase();
    !BINARY.contains(&extension.as_str())
}

/// The first characters of a content.
pub(super) fn preview(head: &[u8], chars: usize) -> String {
    String::from_utf8_lossy(head).chars().take(chars).collect()
}
