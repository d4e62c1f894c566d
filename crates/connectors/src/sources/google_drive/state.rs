//! What state holds beside the snapshots: keys, cursors, the baseline, and the passes in progress. An entry that
//! somebody edited into another shape counts as absent.

use std::collections::{BTreeSet, HashMap, HashSet};

use inboxclaw_contract::{Draft, Expiry, Failure};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::api::Log;
use super::snapshot::Snapshot;
use crate::google::Refusal;
use crate::google::listing::Listing;
use crate::google::stored;
use crate::google::timestamp;

/// Where the snapshots are.
pub(super) const FILES: &str = "gdrive:file:";
/// How far a silent listing of everything is.
pub(super) const LISTING: &str = "gdrive:census";
const BASELINE: &str = "gdrive:baseline";
const SYNCED: &str = "gdrive:synced";
const CURSORS: &str = "gdrive:shared-drive-cursor:";
/// Entries listed at once.
const PAGE: usize = 1_000;
/// How far our clock may be ahead of the service's. Files that were created this long before a baseline may count as
/// new, unless they are known; those that were there at the baseline are.
const SKEW: SignedDuration = SignedDuration::from_mins(10);

/// How far a turn has brought something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// There is more to do.
    More,
    /// It is done for this time.
    Done,
    /// There is more to do, but not before the next poll: at once could be for ever.
    Wait,
}

/// Why a step of a log cannot be applied.
#[derive(Debug)]
pub(super) enum Stop {
    /// The service refused, and nothing was written into the draft.
    Refused(Refusal),
    /// The state, or a limit of it. The draft may hold half a step.
    Failed(Failure),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<Stop> for Failure {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Refused(refusal) => refusal.into(),
            Stop::Failed(failure) => failure,
        }
    }
}

/// Since when files count as new, and what was listed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Baseline {
    trusted: bool,
    established_at: String,
    /// The settings under which everything was listed.
    config_fingerprint: String,
    /// Whether it was: the forerunner did not list My Drive.
    #[serde(default)]
    listed: bool,
    /// When the listing was over, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    listed_at: Option<Timestamp>,
}

impl Baseline {
    /// A baseline of `at`, before or after everything was listed.
    pub(super) fn new(at: Timestamp, fingerprint: &str, listed: bool) -> Self {
        let (established_at, config_fingerprint) = (timestamp::write(at), fingerprint.to_owned());
        Self { trusted: true, established_at, config_fingerprint, listed, listed_at: None }
    }

    /// The same, whose listing was over at this instant.
    #[must_use]
    pub(super) fn listed_at(self, at: Timestamp) -> Self {
        Self { listed_at: Some(at), ..self }
    }

    /// When everything was known, if it was listed. Baselines of former versions do not say when that was; it is long
    /// ago.
    pub(super) fn all_known(&self) -> Timestamp {
        self.listed_at.unwrap_or(Timestamp::MIN)
    }

    /// The instant.
    pub(super) fn at(&self) -> Option<Timestamp> {
        timestamp::read(&self.established_at)
    }

    /// Whether everything was listed under these settings.
    pub(super) fn is_of(&self, fingerprint: &str) -> bool {
        self.listed && self.config_fingerprint == fingerprint
    }

    pub(super) async fn read(draft: &mut Draft<'_>) -> Result<Option<Self>, Failure> {
        let baseline: Option<Self> = stored(draft, BASELINE).await?;
        Ok(baseline.filter(|baseline| baseline.at().is_some()))
    }

    pub(super) fn put(&self, draft: &mut Draft<'_>) -> Result<(), Failure> {
        draft.put(BASELINE, self, Expiry::Never)
    }
}

/// The instant for a baseline that is made now.
pub(super) fn baseline_instant(draft: &Draft<'_>) -> Timestamp {
    let now = draft.now();
    now.checked_sub(SKEW).unwrap_or(now)
}

/// A pass over many pages of one log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "task")]
pub(super) enum Pass {
    /// Reads the log.
    Changes(Changes),
    /// Compares with a full listing, because the log is lost.
    Reconcile(Reconcile),
    /// Lists a shared drive that is new, silently.
    Appear(NewDriveListing),
    /// Reports the files of a shared drive that vanished.
    Vanish(DriveRemoval),
}

/// How far the pages of a log are read.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Changes {
    /// The cursor that the pass began with.
    pub(super) from: String,
    /// The page that is next; none: the one of the cursor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) page: Option<String>,
    /// A page was refused and the pass began anew.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) again: bool,
}

/// How far a comparison is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Reconcile {
    /// The cursor that is lost; none if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) from: Option<String>,
    /// The token that takes its place.
    pub(super) pin: String,
    /// When it was given.
    pub(super) at: Timestamp,
    /// When the lost one was given, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) synced: Option<Timestamp>,
    /// What was said of the lost one.
    pub(super) reason: String,
    /// The page that is next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) page: Option<String>,
    /// How many pages are done.
    #[serde(default)]
    pub(super) pages: u64,
    /// How often a page was refused and the listing began anew.
    #[serde(default)]
    pub(super) again: u32,
    /// Everything is listed; what is known and was not listed is looked at.
    #[serde(default)]
    pub(super) listed: bool,
    /// The last key that was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) after: Option<String>,
    /// Files that had news.
    #[serde(default)]
    pub(super) found: u64,
    /// Files that are gone.
    #[serde(default)]
    pub(super) deleted: u64,
}

/// How far the listing of a new shared drive is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct NewDriveListing {
    /// The token of its log, from before the listing.
    pub(super) pin: String,
    /// The page that is next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) page: Option<String>,
    /// How often a page was refused and the listing began anew.
    #[serde(default)]
    pub(super) again: u32,
}

/// How far the removal of a shared drive's files is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct DriveRemoval {
    /// When it was found to be gone.
    pub(super) at: Timestamp,
    /// The last key that was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) after: Option<String>,
}

/// What a silent listing of everything is at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct DriveListing {
    /// The baseline that it makes.
    pub(super) at: Timestamp,
    /// The settings under which it began.
    #[serde(default)]
    pub(super) config_fingerprint: String,
    /// The token of the user's log, if it had none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) pin: Option<String>,
    /// The shared drive that is being listed; none: the user's files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) drive: Option<String>,
    /// The shared drives that are still to come, the next one last.
    #[serde(default)]
    pub(super) drives: Vec<String>,
    /// The page that is next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) page: Option<String>,
    /// How often a page was refused and the listing began anew.
    #[serde(default)]
    pub(super) again: u32,
}

/// The key of a file's snapshot.
pub(super) fn file_key(id: &str) -> String {
    format!("{FILES}{id}")
}

/// The key of a file's text.
pub(super) fn text_key(id: &str) -> String {
    format!("gdrive:text:{id}")
}

/// The key that says that a file's removal was reported.
pub(super) fn gone_key(id: &str) -> String {
    format!("gdrive:gone:{id}")
}

/// The key of a log's pass.
pub(super) fn pass_key(log: &Log) -> String {
    match log {
        Log::User => "gdrive:pass".to_owned(),
        Log::Drive(id) => format!("gdrive:pass:{id}"),
    }
}

/// What the comparison of a log has seen.
pub(super) fn listing(log: &Log) -> Listing {
    Listing::new(format!("gdrive:listed:{}:", log.name()))
}

/// The cursor of a log.
pub(super) async fn cursor(draft: &mut Draft<'_>, log: &Log) -> Result<Option<String>, Failure> {
    match log {
        Log::User => Ok(draft.cursor().map(str::to_owned)),
        Log::Drive(id) => stored(draft, &cursor_key(id)).await,
    }
}

/// Moves the cursor of a log. `at` is when the service gave the token.
pub(super) fn set_cursor(
    draft: &mut Draft<'_>,
    log: &Log,
    token: &str,
    at: Timestamp,
) -> Result<(), Failure> {
    match log {
        Log::User => {
            draft.put(SYNCED, &at, Expiry::Never)?;
            draft.set_cursor(Some(token.to_owned()))
        }
        Log::Drive(id) => draft.put(&cursor_key(id), token, Expiry::Never),
    }
}

/// When the cursor of a log moved last, if it is known: until then everything is reported.
pub(super) async fn synced(draft: &mut Draft<'_>, log: &Log) -> Result<Option<Timestamp>, Failure> {
    match log {
        Log::User => stored(draft, SYNCED).await,
        Log::Drive(id) => Ok(draft.entry(&cursor_key(id)).await?.map(|entry| entry.updated_at)),
    }
}

/// Forgets a shared drive's cursor.
pub(super) fn forget_cursor(draft: &mut Draft<'_>, drive: &str) -> Result<(), Failure> {
    draft.delete(&cursor_key(drive))
}

fn cursor_key(drive: &str) -> String {
    format!("{CURSORS}{drive}")
}

/// The shared drives whose logs are followed.
pub(super) async fn tracked(draft: &mut Draft<'_>) -> Result<BTreeSet<String>, Failure> {
    let mut drives = BTreeSet::new();
    loop {
        let after = drives.last().map(|drive| format!("{CURSORS}{drive}"));
        let keys = draft.keys(CURSORS, after.as_deref(), PAGE).await?;
        drives.extend(keys.iter().filter_map(|key| key.strip_prefix(CURSORS)).map(str::to_owned));
        if keys.len() < PAGE {
            return Ok(drives);
        }
    }
}

/// What is known of files.
pub(super) async fn known(
    draft: &mut Draft<'_>,
    ids: impl Iterator<Item = &str>,
) -> Result<HashMap<String, Snapshot>, Failure> {
    let keys: Vec<String> = ids.map(file_key).collect();
    let entries = draft.entries(&keys).await?;
    let known = entries.into_iter().flatten().filter_map(|entry| {
        let id = entry.key.strip_prefix(FILES)?.to_owned();
        Some((id, entry.parse::<Snapshot>().ok()?))
    });
    Ok(known.collect())
}

/// The keys of those files whose removal was reported.
pub(super) async fn gone(
    draft: &mut Draft<'_>,
    ids: impl Iterator<Item = &str>,
) -> Result<HashSet<String>, Failure> {
    let keys: Vec<String> = ids.map(gone_key).collect();
    let entries = draft.entries(&keys).await?;
    Ok(entries.into_iter().flatten().map(|entry| entry.key).collect())
}
