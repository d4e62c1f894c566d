//! An account, a state and their common clock.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

use std::sync::Arc;
use std::time::Duration;

use inboxclaw_connectors::SOURCES;
use inboxclaw_contract::settings::StartAt;
use inboxclaw_contract::{Event, Failure, Next, Outcome, Outside, Settled, Source};
use inboxclaw_fakes::google::calendar::{Calendars, Plan, Slot};
use inboxclaw_fakes::google::{Clock, Fake, Options};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::support::{Polled, Recorder, outside, poll};

/// The calendar of most tests.
pub(crate) const CAL: &str = "me@example.com";

pub(crate) struct World {
    pub(crate) fake: Fake,
    pub(crate) memory: Recorder,
    dir: tempfile::TempDir,
}

/// The account's clock as the outside of a connector.
struct Shown(Clock);

impl inboxclaw_contract::Clock for Shown {
    fn now(&self) -> Timestamp {
        self.0.now()
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        let (fake, memory) = (Fake::start(Options::default()).await.unwrap(), Recorder::new());
        fake.clock().stop(at("2026-11-22T12:00:00Z"));
        let dir = tempfile::tempdir().unwrap();
        fake.token_file(&dir.path().join("token.json")).unwrap();
        Self { fake, memory, dir }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.fake.clock().now()
    }

    pub(crate) fn advance(&self, minutes: u64) {
        self.memory.advance(Duration::from_secs(60 * minutes));
        self.fake.clock().advance(SignedDuration::from_mins(minutes.try_into().unwrap()));
    }

    /// Lets something happen.
    pub(crate) fn happen<T>(&self, what: impl FnOnce(&mut Calendars, Timestamp) -> T) -> T {
        let now = self.now();
        what(&mut self.fake.calendar(), now)
    }

    /// An event of an hour, so many hours from now.
    pub(crate) fn plan(&self, summary: &str, hours: i64) -> Plan {
        Plan::new(summary, Slot::timed(self.now() + SignedDuration::from_hours(hours), 60, "UTC"))
    }

    pub(crate) fn create(&self, summary: &str, hours: i64) -> String {
        let plan = self.plan(summary, hours);
        self.happen(|calendars, now| calendars.create(now, CAL, plan))
    }

    pub(crate) fn outside(&self) -> Outside {
        Outside { clock: Arc::new(Shown(self.fake.clock())), ..outside(self.dir.path()) }
    }

    /// A source that was just started.
    pub(crate) fn source(&self, settings: Value) -> Box<dyn Source> {
        self.starting(settings, None)
    }

    pub(crate) fn starting(&self, settings: Value, start: Option<StartAt>) -> Box<dyn Source> {
        let mut all = json!({
            "token_file": "token.json", "api_root": self.fake.base(), "calendar_ids": [CAL],
            "units_per_minute": u32::MAX,
        });
        for (key, value) in settings.as_object().unwrap() {
            all[key] = value.clone();
        }
        build(all, &Outside { start, ..self.outside() }).unwrap()
    }

    /// Polls until there is nothing more to take.
    pub(crate) async fn round(&self, source: &dyn Source) -> Vec<Event> {
        let mut events = Vec::new();
        loop {
            let polled = poll(source, &self.memory).await.unwrap();
            assert!(polled.problems.is_empty(), "{:?}", polled.problems);
            events.extend(polled.events);
            if polled.next == Next::Wait {
                return events;
            }
        }
    }

    /// What a round reports, as `word title`.
    pub(crate) async fn told(&self, source: &dyn Source) -> Vec<String> {
        self.round(source).await.iter().map(short).collect()
    }

    pub(crate) fn value(&self, key: &str) -> Option<Value> {
        self.memory.values().get(key).map(|value| serde_json::from_str(value).unwrap())
    }

    pub(crate) fn snapshots(&self) -> usize {
        self.memory.values().keys().filter(|key| key.starts_with("snap:")).count()
    }

    /// The modes of the requests since the last time: `token`, `window`, with `+` for a further page.
    pub(crate) fn asked(&self) -> Vec<String> {
        let asked = self.fake.requests();
        let events = asked.iter().filter(|asked| asked.path.ends_with("/events"));
        let mode = events.map(|asked| {
            let mode = if asked.param("syncToken").is_some() { "token" } else { "window" };
            let more = if asked.param("pageToken").is_some() { "+" } else { "" };
            format!("{mode}{more}")
        });
        mode.collect()
    }

    /// Every request and answer was one that the service's description allows.
    pub(crate) fn check(&self) {
        assert_eq!(self.fake.violations(), Vec::<String>::new());
    }
}

pub(crate) fn build(settings: Value, outside: &Outside) -> Result<Box<dyn Source>, String> {
    let kind = SOURCES.iter().find(|kind| kind.name == "google_calendar").unwrap();
    (kind.build)(settings, outside).map(|built| built.source).map_err(|error| error.to_string())
}

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(crate) fn data(event: &Event) -> Value {
    event.data.parse().unwrap()
}

pub(crate) fn short(event: &Event) -> String {
    let word = event.event_type.rsplit('.').next().unwrap();
    format!("{word} {}", data(event)["summary"].as_str().unwrap_or("-"))
}

/// A turn that is cut off before it is durable.
pub(crate) async fn dropped(source: &dyn Source, memory: &Recorder) {
    let mut draft = memory.draft().await;
    let _ = source.poll(&mut draft).await;
    source.settled(Settled::Dropped);
}

/// Two programs that begin a turn on the same state; what comes second conflicts if both write.
pub(crate) async fn raced(sources: [&dyn Source; 2], memory: &Recorder) {
    let mut drafts = Vec::new();
    for source in sources {
        let mut draft = memory.draft().await;
        let polled = source.poll(&mut draft).await;
        drafts.push((source, draft, polled));
    }
    for (source, draft, polled) in drafts {
        let is_stored = polled.is_ok() && matches!(draft.commit().await.unwrap(), Outcome::Committed(_));
        source.settled(if is_stored { Settled::Committed } else { Settled::Dropped });
    }
}

/// A turn of which nothing is expected.
pub(crate) async fn turn(source: &dyn Source, memory: &Recorder) -> Result<Polled, Failure> {
    poll(source, memory).await
}
