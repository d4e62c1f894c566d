//! A Drive, a source that follows it, and the state between them. The clocks of all stand still unless a test moves them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use inboxclaw_connectors::SOURCES;
use inboxclaw_contract::settings::StartAt;
use inboxclaw_contract::{Class, Clock, Draft, Event, Failure, Next, Outcome, Settled, Source};
use inboxclaw_fakes::google::drive::{Drive, NewFile};
use inboxclaw_fakes::google::faults::Fault;
use inboxclaw_fakes::google::pages::Paging;
use inboxclaw_fakes::google::{self, Fake, Options};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Polled, Recorder, outside, poll};

/// Most turns of a round: more is a loop.
const TURNS: usize = 2_000;

/// The clock of the account, and how much later it is by what passes whenever the source looks at it.
struct Shown(google::Clock, Arc<Drag>);

#[derive(Default)]
struct Drag {
    step: AtomicI64,
    late: AtomicI64,
}

impl Clock for Shown {
    fn now(&self) -> Timestamp {
        let step = self.1.step.load(Relaxed);
        self.0.now() + SignedDuration::from_millis(self.1.late.fetch_add(step, Relaxed) + step)
    }
}

/// All of it.
pub(crate) struct World {
    pub(crate) fake: Fake,
    pub(crate) memory: Recorder,
    pub(crate) source: Box<dyn Source>,
    settings: Value,
    start: Option<StartAt>,
    folder: TempDir,
    drag: Arc<Drag>,
}

impl World {
    /// A source without state.
    pub(crate) async fn new() -> Self {
        Self::with(json!({})).await
    }

    /// A source with further settings.
    pub(crate) async fn with(settings: Value) -> Self {
        Self::starting(settings, None).await
    }

    /// A source that begins somewhere.
    pub(crate) async fn starting(settings: Value, start: Option<StartAt>) -> Self {
        let fake = Fake::start(Options::default()).await.unwrap();
        fake.clock().stop("2026-11-22T12:00:00Z".parse().unwrap());
        let folder = tempfile::tempdir().unwrap();
        fake.token_file(&folder.path().join("token.json")).unwrap();
        let memory = Recorder::new();
        let drag = Arc::default();
        let source = build(&fake, &folder, &settings, start, &drag);
        Self { fake, memory, source, settings, start, folder, drag }
    }

    /// A source that has looked at two shared drives and two files. Every other seed shows the files of shared drives in
    /// the user's own log as well.
    pub(crate) async fn lived_in(seed: u64, rough: bool) -> Self {
        let world = Self::new().await;
        let now = world.fake.clock().now();
        {
            let mut drive = world.drive();
            let team = drive.add_drive(now, "team");
            drive.add_drive(now, "other");
            drive.create(now, NewFile::text("old", "old"));
            drive.create(now, NewFile::text("ours", "ours").inside(&team));
            drive.drive_items_in_user_corpus = seed.is_multiple_of(2);
            if rough {
                drive.paging = Paging::irregular();
            }
        }
        world.round().await;
        world
    }

    /// Turns until the source waits without trouble. Every fifth request meets a fault, every fourth turn is lost or the
    /// last of its program.
    pub(crate) async fn endures(&mut self, rng: &mut u64, faults: Vec<Fault>) {
        self.fake.faults().random_among(*rng, 0.2, faults);
        for _ in 0..TURNS {
            *rng = rng.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            match *rng >> 61 {
                0 => self.lose_turn().await,
                1 => self.restart(),
                _ => match self.turn().await {
                    Ok(polled) if polled.next == Next::Wait && polled.problems.is_empty() => {
                        return self.fake.faults().off();
                    }
                    // The limiter remembers it for a second; a new program does not.
                    Err(failure) if failure.class == Class::RateLimited => self.restart(),
                    Ok(_) | Err(_) => {}
                },
            }
        }
        panic!("it does not end");
    }

    /// The program ends and begins again: nothing but state is left.
    pub(crate) fn restart(&mut self) {
        self.source = build(&self.fake, &self.folder, &self.settings, self.start, &self.drag);
    }

    /// The program ends and begins again with other settings.
    pub(crate) fn restart_with(&mut self, settings: Value) {
        self.settings = settings;
        self.restart();
    }

    /// The files.
    pub(crate) fn drive(&self) -> MutexGuard<'_, Drive> {
        self.fake.drive()
    }

    /// Lets a minute pass, and tells what time it is then.
    pub(crate) fn later(&self) -> Timestamp {
        self.fake.clock().advance(SignedDuration::from_mins(1));
        self.memory.advance(Duration::from_secs(60));
        self.fake.clock().now()
    }

    /// Lets so many milliseconds pass whenever the source looks at the clock.
    pub(crate) fn drag(&self, step: i64) {
        self.drag.step.store(step, Relaxed);
    }

    /// One turn.
    pub(crate) async fn turn(&self) -> Result<Polled, Failure> {
        poll(&*self.source, &self.memory).await
    }

    /// Turns until the source waits: events and troubles.
    pub(crate) async fn try_round(&self) -> Result<(Vec<Event>, Vec<Failure>), Failure> {
        let (mut events, mut problems) = (Vec::new(), Vec::new());
        for _ in 0..TURNS {
            let polled = self.turn().await?;
            events.extend(polled.events);
            problems.extend(polled.problems);
            if polled.next == Next::Wait {
                return Ok((events, problems));
            }
        }
        panic!("no end after {TURNS} turns");
    }

    /// As [`try_round`](Self::try_round), where nothing may fail.
    pub(crate) async fn round(&self) -> Vec<Event> {
        let (events, problems) = self.try_round().await.unwrap();
        assert!(problems.is_empty(), "{problems:?}");
        events
    }

    /// The types and names of a round's events.
    pub(crate) async fn told(&self) -> Vec<String> {
        self.round().await.iter().map(told).collect()
    }

    /// Nothing is to be reported, and nothing is written.
    pub(crate) async fn is_quiet(&self) {
        let (writes, before) = (self.memory.writes(), (self.memory.cursor(), self.memory.values()));
        let none: [&str; 0] = [];
        assert_eq!(self.told().await, none);
        assert_eq!((self.memory.cursor(), self.memory.values()), before);
        assert_eq!(self.memory.writes(), writes, "a quiet round writes nothing");
    }

    /// The requests of the tests are as the service describes them.
    pub(crate) fn is_well_asked(&self) {
        assert_eq!(self.fake.violations(), Vec::<String>::new());
    }

    /// Puts an entry, or deletes it, as a person would.
    pub(crate) async fn edit(&self, key: &str, value: Option<Value>) {
        self.edit_all(|draft| match value {
            Some(value) => draft.put(key, &value, inboxclaw_contract::Expiry::Never).unwrap(),
            None => draft.delete(key).unwrap(),
        })
        .await;
    }

    /// Changes the state as a person would.
    pub(crate) async fn edit_all(&self, change: impl FnOnce(&mut Draft<'_>)) {
        let mut draft = self.memory.draft().await;
        change(&mut draft);
        assert!(matches!(draft.commit().await.unwrap(), Outcome::Committed(_)));
    }

    /// A turn that is cut off before it is stored.
    pub(crate) async fn lose_turn(&self) {
        let mut draft = self.memory.draft().await;
        let _ = self.source.poll(&mut draft).await;
        drop(draft);
        self.source.settled(Settled::Dropped);
    }
}

/// An event in short: the last word of its type and the name of the file, or what it is about.
pub(crate) fn told(event: &Event) -> String {
    let data: Value = event.data.parse().unwrap();
    let name = data["name"].as_str().or(data["lastKnownName"].as_str());
    let name = name.unwrap_or(event.entity_id.as_deref().unwrap_or_default());
    let kind =
        event.event_type.trim_start_matches("google.drive.file_").trim_start_matches("inboxclaw.source.");
    format!("{kind} {name}")
}

/// The data of an event.
pub(crate) fn data(event: &Event) -> Value {
    event.data.parse().unwrap()
}

fn build(
    fake: &Fake,
    folder: &TempDir,
    settings: &Value,
    start: Option<StartAt>,
    drag: &Arc<Drag>,
) -> Box<dyn Source> {
    let mut outside = outside(folder.path());
    outside.clock = Arc::new(Shown(fake.clock(), drag.clone()));
    outside.start = start;
    let mut all =
        json!({ "token_file": "token.json", "api_root": fake.base(), "units_per_minute": u32::MAX });
    for (key, value) in settings.as_object().unwrap() {
        all[key] = value.clone();
    }
    let kind = SOURCES.iter().find(|kind| kind.name == "google_drive").unwrap();
    (kind.build)(all, &outside).map_err(|error| error.to_string()).unwrap().source
}
