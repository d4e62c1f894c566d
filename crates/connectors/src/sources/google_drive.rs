//! Files of Google Drive: the change logs of the user and of the shared drives, compared with what is known.
//!
//! `google_drive/api.rs` asks, `snapshot.rs` is what is known of a file, `classify.rs` says what a difference means and
//! `events.rs` builds the event; `apply_page.rs` takes what a page shows of files, with texts from `content.rs`.
//! `logs.rs` follows a log, `reconcile.rs` compares with a full listing where a log is lost, `drive_listing.rs` lists
//! silently what there is, also in a shared drive that appears, `vanished_drives.rs` reports the files of one that
//! vanished, `round_robin.rs` decides whose turn it is.
//!
//! What state holds:
//!
//! - the cursor: the page token of the user's log; `gdrive:synced`: when it moved last;
//! - `gdrive:shared-drive-cursor:` + drive: that of a shared drive's log;
//! - `gdrive:file:` + file: what was last seen of it; `gdrive:text:` + file: its text, once it was read;
//! - `gdrive:gone:` + file: its removal was reported; for 30 days, since several logs tell of one removal;
//! - `gdrive:baseline`: since when files count as new, and the settings under which everything was listed;
//! - `gdrive:census`: how far such a listing is;
//! - `gdrive:pass` for the user's log and `gdrive:pass:` + drive: how far a pass of many pages is. The cursor of the
//!   log moves when the pass is over;
//! - `gdrive:listed:` + log: what a comparison has seen so far.
//!
//! Each page is a turn. A page whose texts cannot all be read is committed as far as it was handled and read again:
//! what is done shows in the snapshots.
//!
//! Left out: what happened between two polls and left no trace (Drive tells the state of now), who may see a file
//! beyond whether it is shared with you, comments, revisions, and texts of native files other than documents.

mod api;
mod apply_page;
mod classify;
mod content;
mod drive_listing;
mod events;
mod logs;
mod reconcile;
mod round_robin;
mod settings;
mod snapshot;
mod state;
mod vanished_drives;

use std::time::Duration;

use api::Api;
use async_trait::async_trait;
use inboxclaw_contract::settings::StartAt;
use inboxclaw_contract::{Draft, Failure, Next, Outside, Settled, Source, SourceSettings, Warning};
use inboxclaw_settings::{Interval, coerce};
use round_robin::RoundRobin;
use settings::{BootstrapMode, Config, Field, MOST_BYTES};

use crate::google::filter::{Filters, Rules};
use crate::google::{self, Client, ClientSettings, DRIVE, default_poll_interval};
use crate::http::check_interval;
use crate::textdiff::{self, Bounds};

/// Reports files of Google Drive that are created, changed, moved, trashed, shared or removed.
#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The file that `inboxclaw google auth` wrote, with the scope `drive`. With `drive_metadata` alone there are neither
    /// texts nor shared drives.
    #[serde(deserialize_with = "coerce::lax")]
    token_file: String,

    /// Time between two polls, at least 1 second.
    #[serde(default = "default_poll_interval")]
    poll_interval: Interval,

    /// Only files of My Drive: no shared drives, and nothing that was shared with you and never added to My Drive.
    #[serde(default, deserialize_with = "coerce::lax")]
    restrict_to_my_drive: bool,

    /// Also hear of files that left a list of changes and are still within reach.
    #[serde(default, deserialize_with = "coerce::lax")]
    include_corpus_removals: bool,

    /// Types of files whose text is compared, so that `file_updated` holds a `contentDiff`: exact, or a beginning with
    /// `*` after it. Of Google's own types only documents have a text.
    #[serde(default = "settings::default_types", deserialize_with = "coerce::one_or_many")]
    #[schemars(schema_with = "coerce::one_or_many_schema")]
    eligible_mime_types_for_content_diff: Vec<String>,

    /// Largest file whose text is compared, in bytes; more than 15728640 (15 MiB) counts as that.
    #[serde(default = "settings::default_bytes", deserialize_with = "coerce::lax")]
    max_diffable_file_bytes: usize,

    /// Most changed sections that a `contentDiff` shows.
    #[serde(default = "textdiff::default_sections", deserialize_with = "coerce::lax")]
    max_changed_sections: usize,

    /// Most characters of a section that a `contentDiff` shows.
    #[serde(default = "textdiff::default_section_chars", deserialize_with = "coerce::lax")]
    max_section_chars: usize,

    /// Files to leave out: a list of `name: {in: FIELD, contains: TEXT}` or with `regex`, where FIELD is `file_id`, `name`
    /// or `parent_id`. A match of any leaves the file out.
    #[serde(default)]
    #[schemars(extend("default" = []))]
    filters: Rules<Field>,

    /// No meaning any more: removals are always reported.
    #[serde(default, rename = "include_removed", deserialize_with = "coerce::lax")]
    #[schemars(extend("deprecated" = true))]
    _include_removed: Option<bool>,

    /// No meaning any more: `start` says what is reported of the files that are there at first.
    #[serde(default, rename = "bootstrap_mode")]
    #[schemars(extend("deprecated" = true))]
    _bootstrap_mode: Option<BootstrapMode>,

    /// Quota units that the account may spend in a minute, at least 600. Without it the 325,000 of
    /// projects made since May 2026, where a page of a list costs 100 and a text 200. Older projects, and those
    /// that Google allows more, may say so here.
    #[serde(default, deserialize_with = "coerce::lax")]
    #[schemars(range(min = 600))]
    units_per_minute: Option<u32>,

    /// Scheme, host and optional path of a server that stands in for Google's.
    #[serde(default, deserialize_with = "coerce::lax")]
    #[schemars(extend("format" = "uri"))]
    api_root: Option<String>,

    /// Whether Google's servers, or those of `api_root`, may be in the local network under a name that looks public.
    #[serde(default, deserialize_with = "coerce::lax")]
    allow_private: bool,

    #[serde(skip)]
    start: Option<StartAt>,
}

impl SourceSettings for Settings {
    const KIND: &'static str = "google_drive";

    fn interval(&self) -> Option<Duration> {
        Some(self.poll_interval.as_duration())
    }

    fn start(&mut self, start: StartAt) -> anyhow::Result<()> {
        self.start = Some(start);
        Ok(())
    }

    fn warnings(&self, outside: &Outside) -> Vec<Warning> {
        google::warnings(outside, &DRIVE, &self.client_settings(), &self.filters)
    }

    fn build(self, outside: &Outside) -> anyhow::Result<Box<dyn Source>> {
        check_interval(self.poll_interval)?;
        let client = Client::new(outside, &DRIVE, &self.client_settings())?.allow_private(self.allow_private);
        let api = Api::new(client, self.restrict_to_my_drive, self.include_corpus_removals);
        let config = Config {
            restrict: self.restrict_to_my_drive,
            bounds: Bounds { sections: self.max_changed_sections, section_chars: self.max_section_chars },
            most_bytes: self.max_diffable_file_bytes.min(MOST_BYTES),
            fingerprint: settings::fingerprint(&self.filters, self.restrict_to_my_drive),
            start: self.start.unwrap_or(StartAt::Now),
            filters: Filters::new(&self.filters)?,
            types: self.eligible_mime_types_for_content_diff,
        };
        Ok(Box::new(Drive { round_robin: RoundRobin::new(api, config) }))
    }
}

impl Settings {
    fn client_settings(&self) -> ClientSettings<'_> {
        let (token_file, api_root) = (&*self.token_file, self.api_root.as_deref());
        ClientSettings { token_file, api_root, units_per_minute: self.units_per_minute }
    }
}

struct Drive {
    round_robin: RoundRobin,
}

#[async_trait]
impl Source for Drive {
    async fn poll(&self, draft: &mut Draft<'_>) -> Result<Next, Failure> {
        self.round_robin.turn(draft).await
    }

    fn settled(&self, settled: Settled) {
        self.round_robin.turn_ended(settled);
    }
}
