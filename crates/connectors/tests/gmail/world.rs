//! A mailbox, a source that reads it, and a state, with one clock for all of them.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use inboxclaw_connectors::SOURCES;
use inboxclaw_contract::settings::StartAt;
use inboxclaw_contract::{Clock, Event, Failure, Next, Settled, Source};
use inboxclaw_fakes::google::gmail::Mailbox;
use inboxclaw_fakes::google::{Fake, Options};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{self, Polled, Recorder};

pub(crate) const HOUR: Duration = Duration::from_secs(60 * 60);
pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// More turns than any test needs.
const ENDLESS: usize = 5_000;

pub(crate) struct World {
    pub(crate) fake: Fake,
    pub(crate) memory: Recorder,
    pub(crate) settings: Value,
    pub(crate) start: Option<StartAt>,
    source: Box<dyn Source>,
    clock: Arc<Hands>,
    folder: TempDir,
}

struct Hands {
    now: Mutex<Timestamp>,
    /// What passes between two looks of the source.
    step: Mutex<Duration>,
}

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        let (mut now, step) = (self.now.lock().unwrap(), self.step.lock().unwrap());
        *now += *step;
        *now
    }
}

impl World {
    /// A world with an empty mailbox. The source has seen nothing yet.
    pub(crate) async fn new(settings: Value) -> Self {
        let (fake, folder) = (Fake::start(Options::default()).await.unwrap(), TempDir::new().unwrap());
        let now = "2026-11-22T12:00:00Z".parse().unwrap();
        fake.clock().stop(now);
        fake.token_file(&folder.path().join("token.json")).unwrap();
        let clock = Arc::new(Hands { now: Mutex::new(now), step: Mutex::default() });
        let source = build(folder.path(), &fake, &settings, None, clock.clone());
        Self { fake, memory: Recorder::new(), settings, start: None, source, clock, folder }
    }

    /// A world whose source has begun at an empty mailbox.
    pub(crate) async fn begun(settings: Value) -> Self {
        let mut world = Self::new(settings).await;
        assert_eq!(world.poll().await, [""; 0]);
        world.forget_asked();
        world
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.memory.advance(by);
        *self.clock.now.lock().unwrap() += by;
        self.fake.clock().advance(SignedDuration::try_from(by).unwrap());
    }

    /// Lets this time pass whenever the source looks at the clock.
    pub(crate) fn drag(&self, step: Duration) {
        *self.clock.step.lock().unwrap() = step;
    }

    /// Changes the mailbox.
    pub(crate) fn mailbox<T>(&self, script: impl FnOnce(&mut Mailbox, Timestamp) -> T) -> T {
        script(&mut self.fake.gmail(), self.now())
    }

    /// As when the program is started again.
    pub(crate) fn restart(&mut self) {
        let (fake, settings) = (&self.fake, &self.settings);
        self.source = build(self.folder.path(), fake, settings, self.start, self.clock.clone());
    }

    /// One turn.
    pub(crate) async fn turn(&self) -> Result<Polled, Failure> {
        support::poll(&*self.source, &self.memory).await
    }

    /// One turn that is never committed.
    pub(crate) async fn dropped_turn(&self) {
        let mut draft = self.memory.draft().await;
        drop(self.source.poll(&mut draft).await);
        self.source.settled(Settled::Dropped);
    }

    /// Turns until the source wants to wait.
    pub(crate) async fn polled(&mut self) -> Vec<Polled> {
        let mut turns = Vec::new();
        while turns.len() < ENDLESS {
            let polled = self.turn().await.unwrap();
            let next = polled.next;
            turns.push(polled);
            if next == Next::Wait {
                return turns;
            }
        }
        panic!("the source never waits")
    }

    /// Turns until the source wants to wait, whatever fails in between; returns how many there were.
    pub(crate) async fn endure(&mut self) -> usize {
        for turns in 1..=ENDLESS {
            match self.turn().await {
                Ok(polled) if polled.next == Next::Wait => return turns,
                Ok(_) => {}
                Err(failure) => {
                    self.advance(failure.wait.unwrap_or(Duration::from_secs(61)));
                    // A service that asked for a pause is left alone by the clock on the wall.
                    self.restart();
                }
            }
        }
        panic!("the source never gets through")
    }

    /// The types and ids of the events of one poll that has no problems.
    pub(crate) async fn poll(&mut self) -> Vec<String> {
        let turns = self.polled().await;
        let problems = turns.iter().flat_map(|turn| &turn.problems);
        assert_eq!(problems.map(ToString::to_string).collect::<Vec<_>>(), [""; 0]);
        turns.iter().flat_map(|turn| &turn.events).map(told).collect()
    }

    /// The same of all events so far, in order of type and id.
    pub(crate) fn all(&self) -> Vec<String> {
        let mut all: Vec<String> = self.memory.events().iter().map(told).collect();
        all.sort();
        all
    }

    /// Looks away from what was asked so far.
    pub(crate) fn forget_asked(&self) {
        drop(self.fake.requests());
    }

    /// How often messages were asked for, by id, since the last look; answered ones only.
    pub(crate) fn fetched(&self) -> Vec<String> {
        let asked = self.fake.requests();
        let asked = asked.iter().filter(|asked| asked.status == 200 && asked.fault.is_none());
        let ids = asked.filter_map(|asked| asked.path.split_once("/messages/"));
        let mut ids: Vec<String> = ids.map(|(_, id)| id.to_owned()).collect();
        ids.sort();
        ids
    }
}

/// `received ID`, `label_added ID-RECORD-lab-add`.
pub(crate) fn told(event: &Event) -> String {
    let kind = event.event_type.trim_start_matches("gmail.message_").trim_start_matches("gmail.");
    format!("{kind} {}", event.event_id)
}

pub(crate) fn data(event: &Event) -> Value {
    event.data.parse().unwrap()
}

fn build(
    folder: &Path,
    fake: &Fake,
    settings: &Value,
    start: Option<StartAt>,
    clock: Arc<Hands>,
) -> Box<dyn Source> {
    let mut settings = settings.clone();
    settings["token_file"] = json!("token.json");
    settings["api_root"] = json!(fake.base());
    settings["units_per_minute"] = json!(u32::MAX);
    let mut outside = support::outside(folder);
    (outside.start, outside.clock) = (start, clock);
    let kind = SOURCES.iter().find(|kind| kind.name == "gmail").unwrap();
    (kind.build)(settings, &outside).map_err(|error| format!("{error}")).unwrap().source
}
