//! The checked settings, which every step of a pass uses.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use inboxclaw_contract::Failure;
use inboxclaw_contract::settings::StartAt;

use super::filter::Filter;
use super::path::RelPath;
use super::report::is_text;
use crate::textdiff::Bounds;

/// A character of UTF-8 has at most so many bytes.
const CHAR_BYTES: usize = 4;

/// How changes are noticed.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub(super) enum WatchMode {
    /// By news and by looking at everything from time to time.
    #[default]
    Hybrid,
    /// By news.
    Watch,
    /// By looking at everything from time to time.
    Poll,
}

/// The settings, checked.
pub(super) struct Config {
    pub(super) path: PathBuf,
    pub(super) watch_mode: WatchMode,
    pub(super) interval: Duration,
    pub(super) filter: Arc<Filter>,
    /// Where a folder that is not known yet begins.
    pub(super) start: StartAt,
    /// Characters of the preview, if there is one.
    pub(super) preview: Option<usize>,
    pub(super) bounds: Bounds,
    pub(super) diff_bytes: usize,
    /// Largest file that is read as a whole.
    pub(super) hash_bytes: u64,
}

impl Config {
    /// How many bytes of a file's beginning are needed.
    pub(super) fn keep(&self, path: &RelPath) -> usize {
        let preview = self.preview.map_or(0, |chars| chars * CHAR_BYTES);
        if is_text(path) { self.diff_bytes.max(preview) } else { 0 }
    }
}

/// Runs what blocks where it may.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work).await.map_err(Failure::internal)
}
