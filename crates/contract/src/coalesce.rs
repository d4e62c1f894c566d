//! Coalescing: events of one entity that a source reports in quick succession become one. What is collected and not in
//! the log yet is *pending*. Here are the rules, as plain data, and what they decide; the store keeps the pending events
//! ([`Coalescing`](crate::store::Coalescing)), as part of the commit that reports them.
//!
//! A source has at most one pending event of an entity, because an event of another type of the same entity promotes it
//! first: so events of an entity are in the log in the order in which they were reported.

use std::time::Duration;

use inboxclaw_settings::Patterns;
use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::envelope::wire_time;
use crate::event::NewEvent;
use crate::json::Json;
use crate::limits::{JSON_BYTES, JSON_DEPTH};
use crate::owner::OwnerId;

/// A list of so many items is promoted at once.
pub const LIST_ITEMS: u64 = 1_000;
/// A list is promoted before it would have more bytes than this; an item that is larger by itself is a list of its own.
pub const LIST_BYTES: usize = 1 << 20;
/// What ids of promoted events start with.
pub const PROMOTED: &str = "coalesced:";
/// Unless a rule says otherwise, a debounced event waits for so many windows at most.
pub const MAX_WAIT_WINDOWS: u32 = 10;

/// Room for what a promoted event's meta gets besides what was reported.
const FACTS_BYTES: usize = 512;

/// Which events of a source are joined, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoalesceRule {
    /// The event types. The first rule that takes a type counts.
    pub patterns: Patterns,
    /// When the window ends.
    pub strategy: Strategy,
    /// How long the window is.
    pub window: Duration,
    /// How long a debounced event waits at most.
    pub max_wait: Duration,
    /// What becomes of the data.
    pub aggregation: Aggregation,
}

/// When the window of a pending event ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Strategy {
    /// So long after the last event, but not later than the longest wait after the first.
    Debounce,
    /// So long after the first event.
    Batch,
}

/// What the data of several events becomes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Aggregation {
    /// That of the last one.
    #[default]
    Latest,
    /// One object with the keys of all; the last value of a key counts.
    Merge,
    /// A list of all, in their order.
    List,
}

/// An event that is not in the log yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// Its number, which it has until it is promoted.
    pub id: i64,
    /// The source that reported it.
    pub source: OwnerId,
    /// The source's name at the time of reading.
    pub source_name: String,
    /// Its type.
    pub event_type: String,
    /// What it is about.
    pub entity_id: String,
    /// The id of the first event of the window.
    pub first_id: String,
    /// The data as it would be promoted now.
    pub data: Json,
    /// The meta of all events, merged.
    pub meta: Json,
    /// How many events it holds.
    pub count: u64,
    /// When the first of them was stored.
    pub first_seen_at: Timestamp,
    /// When the last of them was stored.
    pub last_seen_at: Timestamp,
    /// When its window ends.
    pub flush_at: Timestamp,
    /// How the end is found.
    pub strategy: Strategy,
    /// How long the window is.
    pub window: Duration,
}

/// Which pending events are meant: those for which everything that is set holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PendingChoice {
    /// Of this source, by name.
    pub source: Option<String>,
    /// Of these types.
    pub patterns: Option<Patterns>,
    /// Of this entity.
    pub entity: Option<String>,
}

/// What people look for among pending events.
#[derive(Debug, Clone, Default)]
pub struct PendingQuery {
    /// Which.
    pub choice: PendingChoice,
    /// Most events.
    pub limit: usize,
    /// Skip so many.
    pub offset: usize,
    /// Most bytes of data and meta; one event is given even when it is larger.
    pub bytes: usize,
}

/// Pending events, those first that changed last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PendingPage {
    /// The page, as far as the bytes allow.
    pub events: Vec<Pending>,
    /// How many match, before paging.
    pub total: u64,
}

/// What a step of promotion did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Promoted {
    /// How many events are in the log now.
    pub events: u64,
    /// Whether more of them are due already.
    pub more: bool,
    /// When the next one is due; `None` when none is pending.
    pub next: Option<Timestamp>,
}

/// How a person ends pending events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PendingEnd {
    /// They are promoted now.
    Flush,
    /// They are gone. What they consist of counts as reported and does not come again.
    Drop,
}

/// What a step of ending pending events did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PendingEnded {
    /// How many ended.
    pub events: u64,
    /// Where the next step goes on; `None` when that was all.
    pub next: Option<i64>,
}

/// How many pending events a source has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingCount {
    /// The source.
    pub source: OwnerId,
    /// How many.
    pub count: u64,
}

impl CoalesceRule {
    /// When an event is due that began at `begun_at` and changed at `now`, to the microsecond.
    pub fn flush_at(&self, begun_at: Timestamp, now: Timestamp) -> Timestamp {
        match self.strategy {
            Strategy::Debounce => after(now, self.window).min(after(begun_at, self.max_wait)),
            Strategy::Batch => after(begun_at, self.window),
        }
    }
}

impl Strategy {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Debounce => "debounce",
            Self::Batch => "batch",
        }
    }
}

/// Whether a pending event is due. One that began later than now was begun before the clock was set back: it does not
/// wait until that time comes again.
pub fn is_due(begun_at: Timestamp, flush_at: Timestamp, now: Timestamp) -> bool {
    flush_at <= now || begun_at > now
}

/// Whether an event can be an item of a list at all, or is to be stored as it is.
pub fn fits_list(event: &NewEvent) -> bool {
    event.data.len() + "[]".len() <= JSON_BYTES && event.data.depth() < JSON_DEPTH
}

/// Whether a list of so many bytes, commas among them, may get another item.
pub fn list_takes(bytes: usize, item: &Json) -> bool {
    bytes + item.len() + ",".len() <= LIST_BYTES
}

/// Whether a list is to be promoted at once.
pub fn list_is_full(items: u64, bytes: usize) -> bool {
    items >= LIST_ITEMS || bytes >= LIST_BYTES
}

/// The meta of events that are joined; `None` when it would be too large.
pub fn joined_meta(meta: &Json, later: &Json) -> Option<Json> {
    meta.merged(later).ok().filter(|merged| merged.len() + FACTS_BYTES <= JSON_BYTES)
}

/// Whether the meta of an event leaves room for that of others.
pub fn has_room(meta: &Json) -> bool {
    meta.len() + FACTS_BYTES <= JSON_BYTES
}

/// The meta of a promoted event: of more than one event it says so.
pub fn promoted_meta(meta: &Json, count: u64, first_seen_at: Timestamp, last_seen_at: Timestamp) -> Json {
    if count < 2 {
        return meta.clone();
    }
    let facts = format!(
        "{{\"coalesced\":true,\"coalesced_count\":{count},\"first_seen_at\":\"{}\",\"last_seen_at\":\"{}\"}}",
        wire_time(first_seen_at),
        wire_time(last_seen_at)
    );
    let facts = Json::from_store(facts.into());
    // There is room for it: whoever joins events sees to that.
    meta.merged(&facts).unwrap_or(facts)
}

/// That time later, in whole microseconds.
fn after(time: Timestamp, wait: Duration) -> Timestamp {
    let wait = SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX);
    let later = time.checked_add(wait).unwrap_or(Timestamp::MAX);
    Timestamp::from_microsecond(later.as_microsecond()).unwrap_or(later)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_microsecond(micros).unwrap()
    }

    fn rule(strategy: Strategy, window: u64, max_wait: u64) -> CoalesceRule {
        let [window, max_wait] = [window, max_wait].map(Duration::from_millis);
        let patterns = Patterns::default();
        CoalesceRule { patterns, strategy, window, max_wait, aggregation: Aggregation::Latest }
    }

    #[test]
    fn windows_keep_their_fractions_and_debouncing_ends() {
        let debounce = rule(Strategy::Debounce, 500, 2_000);
        let ends = [0, 1_000_000, 1_800_000].map(|now| debounce.flush_at(at(0), at(now)));
        assert_eq!(ends, [at(500_000), at(1_500_000), at(2_000_000)]);
        let batch = rule(Strategy::Batch, 500, 2_000);
        assert_eq!(batch.flush_at(at(7), at(400_000)), at(500_007));
        let endless = rule(Strategy::Debounce, u64::MAX, u64::MAX);
        assert!(endless.flush_at(at(0), at(5)) > at(i64::MAX / 1_000));
    }

    #[test]
    fn what_was_begun_before_the_clock_was_set_back_is_due() {
        for (begun_at, flush_at, due) in [(5, 10, true), (5, 11, false), (11, 20, true)] {
            assert_eq!(is_due(at(begun_at), at(flush_at), at(10)), due, "{begun_at} {flush_at}");
        }
    }

    #[test]
    fn meta_tells_of_more_than_one_event() {
        let meta = Json::new(r#"{"big":12345678901234567890,"coalesced":"theirs"}"#).unwrap();
        assert_eq!(promoted_meta(&meta, 1, at(0), at(0)), meta);
        let joined = promoted_meta(&meta, 2, at(0), at(1_500_000));
        assert_eq!(
            joined.as_str(),
            "{\"big\":12345678901234567890,\"coalesced\":true,\"coalesced_count\":2,\
             \"first_seen_at\":\"1970-01-01T00:00:00\",\"last_seen_at\":\"1970-01-01T00:00:01.500000\"}"
        );
    }
}
