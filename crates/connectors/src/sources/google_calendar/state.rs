//! What is remembered of a calendar: the keys, and the values under them. What the keys mean is in the module above.
//! Left out: what becomes of snapshots, which `apply_page` and `scan_snapshots` decide.

use inboxclaw_contract::{Draft, Entry, Expiry, Failure, Json};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::google::timestamp;

/// Beyond this two windows are of different lengths; numbers of earlier programs are floats.
const SAME: SignedDuration = SignedDuration::from_millis(1);
/// Shortest window: what requests can say is whole seconds, and a stretch must not be empty.
pub(super) const LEAST_WINDOW: SignedDuration = SignedDuration::from_secs(1);

/// What the names of the keys begin with; the id of the calendar follows.
const TOKEN: &str = "sync_token";
const WINDOW: &str = "config_fingerprint";
const LOOKAHEAD: &str = "lookahead_cursor";
const ZONE: &str = "time_zone";
const PASS: &str = "pass";

/// The keys of a calendar.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keys<'a>(pub(super) &'a str);

impl Keys<'_> {
    /// The snapshots are under this prefix, by the ids of their events.
    pub(super) fn snapshots(self) -> String {
        format!("snap:{}:", self.0)
    }

    /// The ids that a reconciliation has seen are under this prefix.
    pub(super) fn listed(self) -> String {
        format!("listed:{}:", self.0)
    }

    fn of(self, name: &str) -> String {
        format!("{name}:{}", self.0)
    }
}

/// What a pass is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Mode {
    /// The first listing of the window.
    #[default]
    Baseline,
    /// What changed since the sync token.
    Changes,
    /// What came into the window by the passing of time.
    Lookahead,
    /// What is in the window since it was made larger.
    Widen,
    /// Forgets what is not in the window since it was made smaller.
    Narrow,
    /// Lists the window and compares, because there is no sync token.
    Reconcile,
}

/// A pass that is not over.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub(super) struct Pass {
    /// What it is for.
    pub(super) mode: Mode,
    /// The sync token under it.
    pub(super) from: Option<String>,
    /// Its next page; `None`: the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) page: Option<String>,
    /// How many pages were handled.
    #[serde(default)]
    pub(super) pages: u64,
    /// When it began.
    pub(super) began: Timestamp,
    /// The stretch that is listed.
    pub(super) since: Timestamp,
    /// Its end, and what lies beyond is not reported.
    pub(super) until: Timestamp,
    /// The window that the snapshots will stand for, in seconds.
    pub(super) window: f64,
    /// The sync token that a reconciliation will end with; there once everything is listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) token: Option<String>,
    /// The last snapshot that was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) after: Option<String>,
    /// How many items were found changed.
    #[serde(default)]
    pub(super) found: u64,
    /// How many were found gone.
    #[serde(default)]
    pub(super) deleted: u64,
}

impl Pass {
    /// Whether it comes after the changes and has not begun, so that it is decided anew whether it is needed.
    pub(super) fn is_unbegun(&self) -> bool {
        matches!(self.mode, Mode::Lookahead | Mode::Widen) && self.page.is_none()
    }
}

/// What is known of a calendar when a turn begins.
#[derive(Debug)]
pub(super) struct CalendarState {
    /// The sync token.
    pub(super) token: Option<String>,
    /// When the sync token was given.
    pub(super) token_at: Option<Timestamp>,
    /// The window that the snapshots stand for.
    pub(super) window: Option<SignedDuration>,
    /// Up to where the future was listed.
    pub(super) lookahead: Option<Timestamp>,
    /// The name of the calendar's zone.
    pub(super) zone: Option<String>,
    /// The pass that is not over.
    pub(super) pass: Option<Pass>,
    /// Whether there is an entry for a pass, which may be of no use.
    pub(super) has_pass: bool,
}

impl CalendarState {
    /// Reads it. What does not parse counts as absent.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub(super) async fn read(draft: &mut Draft<'_>, keys: Keys<'_>) -> Result<Self, Failure> {
        let names = [TOKEN, WINDOW, LOOKAHEAD, ZONE, PASS].map(|name| keys.of(name));
        let mut entries = draft.entries(&names).await?.into_iter();
        let mut next = || entries.next().flatten();
        let (token, window, lookahead, zone, pass) = (next(), next(), next(), next(), next());
        let read =
            |entry: &Option<Entry>| entry.as_ref()?.parse::<String>().ok().filter(|text| !text.is_empty());
        let sync = read(&token);
        let has_pass = pass.is_some();
        let pass = pass.and_then(|entry| entry.parse::<Pass>().ok()).filter(|pass| pass.from == sync);
        Ok(Self {
            token_at: token.filter(|_| sync.is_some()).map(|entry| entry.updated_at),
            token: sync,
            window: window.and_then(|entry| window_of(&entry.value)),
            lookahead: read(&lookahead).and_then(|text| timestamp::read(&text)),
            zone: read(&zone),
            pass,
            has_pass,
        })
    }

    /// Whether the snapshots stand for a window longer than this.
    pub(super) fn reaches_beyond(&self, window: SignedDuration) -> bool {
        self.window.is_some_and(|known| known - window > SAME)
    }

    /// Whether the snapshots do not stand for all of this window.
    pub(super) fn falls_short_of(&self, window: SignedDuration) -> bool {
        self.window.is_none_or(|known| window - known > SAME)
    }

    /// Remembers a pass that needs another turn.
    ///
    /// # Errors
    /// Those of [`Draft::put`].
    pub(super) fn go_on(draft: &mut Draft<'_>, keys: Keys<'_>, pass: &Pass) -> Result<(), Failure> {
        draft.put(&keys.of(PASS), pass, Expiry::Never)
    }

    /// Forgets the pass, if there is one.
    ///
    /// # Errors
    /// Those of [`Draft::delete`].
    pub(super) fn end(&self, draft: &mut Draft<'_>, keys: Keys<'_>) -> Result<(), Failure> {
        if self.has_pass { draft.delete(&keys.of(PASS)) } else { Ok(()) }
    }

    /// Sets the sync token.
    ///
    /// # Errors
    /// Those of [`Draft::put`].
    pub(super) fn set_token(draft: &mut Draft<'_>, keys: Keys<'_>, token: &str) -> Result<(), Failure> {
        draft.put(&keys.of(TOKEN), token, Expiry::Never)
    }

    /// Says which window the snapshots stand for, in seconds. The value is JSON in a text, as earlier programs wrote
    /// it.
    ///
    /// # Errors
    /// Those of [`Draft::put`].
    pub(super) fn set_window(draft: &mut Draft<'_>, keys: Keys<'_>, seconds: f64) -> Result<(), Failure> {
        let text = format!("{{\"max_into_future\": {}}}", json!(seconds));
        draft.put(&keys.of(WINDOW), &text, Expiry::Never)
    }

    /// Names the calendar's zone.
    ///
    /// # Errors
    /// Those of [`Draft::put`].
    pub(super) fn set_zone(draft: &mut Draft<'_>, keys: Keys<'_>, zone: &str) -> Result<(), Failure> {
        draft.put(&keys.of(ZONE), zone, Expiry::Never)
    }

    /// Says up to where the future was listed.
    ///
    /// # Errors
    /// Those of [`Draft::put`].
    pub(super) fn set_lookahead(draft: &mut Draft<'_>, keys: Keys<'_>, at: Timestamp) -> Result<(), Failure> {
        draft.put(&keys.of(LOOKAHEAD), &timestamp::write(at), Expiry::Never)
    }
}

/// The event resource of an entry; `None` where somebody made something else of it.
pub(super) fn snapshot(entry: &Entry) -> Option<Value> {
    let value: Value = entry.parse().ok()?;
    let before = entry.key.strip_suffix(value["id"].as_str()?)?;
    before.ends_with(':').then_some(value)
}

/// Reads a window, as JSON or as a text of JSON. One that nobody can have configured counts as absent.
fn window_of(value: &Json) -> Option<SignedDuration> {
    let read: Value = value.parse().ok()?;
    let inner = match &read {
        Value::String(text) => serde_json::from_str(text).ok()?,
        _ => read,
    };
    let window = SignedDuration::try_from_secs_f64(inner["max_into_future"].as_f64()?).ok()?;
    (window >= LEAST_WINDOW).then_some(window)
}
