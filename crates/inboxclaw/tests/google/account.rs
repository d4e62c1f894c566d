//! The real binary beside a stand-in of Google: rounds of changes under faults and kills, and what the log holds.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use inboxclaw_fakes::google::pages::Paging;
use inboxclaw_fakes::google::simulation::Simulation;
use inboxclaw_fakes::google::{Fake, Options};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::program::{PATIENCE, Place};

/// How many requests of a hundred meet a fault.
const FAULTS: u8 = 20;

/// The name of the source in the configuration.
pub(crate) const SOURCE: &str = "google";

/// Events by type and entity, with how often each must be in the log.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Wanted(pub(crate) BTreeMap<String, usize>);

impl Wanted {
    /// One more of this name: type and entity, with a space between.
    pub(crate) fn must(&mut self, name: String) {
        *self.0.entry(name).or_default() += 1;
    }
}

/// A daemon with one Google source, and the account that it reads.
pub(crate) struct Account {
    pub(crate) fake: Fake,
    pub(crate) place: Place,
    pub(crate) random: fastrand::Rng,
    pub(crate) kills: u32,
}

impl Account {
    /// A place with a source of `kind` and more settings, one a line; not started yet.
    pub(crate) fn new(kind: &str, settings: &[&str], seed: u64) -> Self {
        let fake = Fake::spawn(Options::default()).unwrap();
        let base = fake.base();
        let mut lines = format!(
            "  {SOURCE}:\n    type: {kind}\n    token_file: ./token.json\n    api_root: {base}\n    poll_interval: 1s\n    \
             units_per_minute: {}\n",
            u32::MAX
        );
        for setting in settings {
            lines.push_str(&format!("    {setting}\n"));
        }
        let place = Place::with(&lines);
        fake.token_file(&place.file("token.json")).unwrap();
        Self { fake, place, random: fastrand::Rng::with_seed(seed), kills: 0 }
    }

    /// Starts the daemon and waits until the source has a token from which it will go on.
    pub(crate) fn start(&mut self) {
        self.place.start();
        self.place.until("the source has a baseline", |place| {
            let (_, cursor) = place.get(&format!("/api/sources/{SOURCE}/cursor"))?;
            let has_cursor = !serde_json::from_str::<Value>(&cursor).ok()?["cursor"].is_null();
            let (token, _) = place.get(&format!("/api/sources/{SOURCE}/state/sync_token:primary"))?;
            Some(has_cursor || token == 200)
        });
    }

    /// Has the source look at once, whatever it waits for; nothing when the daemon does not answer.
    pub(crate) fn wake(&self) {
        let _ = self.place.send("POST", &format!("/api/sources/{SOURCE}/resume"), "{}");
    }

    /// Wakes and kills the daemon at random until its log holds every event of `wanted`, and checks
    /// that it holds nothing else.
    pub(crate) fn until_reported(&mut self, wanted: &Wanted, kill: bool) {
        let started = Instant::now();
        loop {
            thread::sleep(Duration::from_millis(self.random.u64(20..400)));
            if kill && self.random.u8(0..6) == 0 {
                self.place.kill();
                self.kills += 1;
                self.place.start();
            }
            self.wake();
            let found = self.names();
            if found == *wanted {
                return;
            }
            let (found, wanted) = (&found.0, &wanted.0);
            let more = found.iter().find(|(name, count)| wanted.get(*name).is_none_or(|most| *count > most));
            assert!(
                more.is_none(),
                "reported, and not wanted: {more:?}; {}\n{}",
                self.about(more),
                self.told()
            );
            let missing: Vec<_> =
                wanted.iter().filter(|(name, count)| found.get(*name) != Some(count)).collect();
            let first = missing.first().copied();
            assert!(
                started.elapsed() < PATIENCE,
                "not reported: {missing:?}; {}\n{}",
                self.about(first),
                self.told()
            );
        }
    }

    /// Wakes the daemon until it follows these shared drives.
    pub(crate) fn until_followed(&self, drives: &BTreeSet<String>) {
        self.place.until("the drives are followed", |place| {
            self.wake();
            let key = |id: &String| format!("/api/sources/{SOURCE}/state/gdrive:shared-drive-cursor:{id}");
            Some(drives.iter().all(|id| place.get(&key(id)).is_some_and(|(status, _)| status == 200)))
        });
    }

    /// Every event of the source in the log.
    pub(crate) fn names(&self) -> Wanted {
        let mut names = Wanted::default();
        for event in self.log() {
            names.must(format!("{} {}", text(&event, "event_type"), text(&event, "entity_id")));
        }
        names
    }

    /// The events of the source in the log, oldest first.
    pub(crate) fn log(&self) -> Vec<Value> {
        // By place in the log: pages shift while events arrive.
        let mut events = BTreeMap::new();
        let mut offset = 0;
        while let Some((_, body)) = self.place.get(&format!("/api/events?limit=500&offset={offset}")) {
            let mut answer: Value = serde_json::from_str(&body).unwrap();
            let Value::Array(page) = answer["events"].take() else { panic!("events: {body}") };
            if page.is_empty() {
                break;
            }
            offset += page.len();
            let own = page.into_iter().filter(|event| text(event, "source_name") == SOURCE);
            events.extend(own.map(|event| (event["id"].as_i64().unwrap(), event)));
        }
        events.into_values().collect()
    }

    /// What was done to the item of an event, for the message of a failure.
    fn about(&self, event: Option<(&String, &usize)>) -> String {
        let Some((_, id)) = event.and_then(|(name, _)| name.split_once(' ')) else { return String::new() };
        let id = id.trim_start_matches("primary:");
        let told = |one: String| one.contains(id).then_some(one);
        let mail: Vec<_> =
            self.fake.gmail().history.iter().filter_map(|one| told(format!("{one:?}"))).collect();
        let files: Vec<_> =
            self.fake.drive().history.iter().filter_map(|one| told(format!("{one:?}"))).collect();
        let dates: Vec<_> =
            self.fake.calendar().history.iter().filter_map(|one| told(format!("{one:?}"))).collect();
        let events: Vec<_> = self.log().into_iter().map(|one| one.to_string()).filter_map(told).collect();
        [mail, files, dates, events].concat().join("\n")
    }

    /// From now on so many requests of a hundred meet a fault.
    fn faults(&mut self, percent: u8) {
        let seed = self.random.u64(..);
        self.fake.faults().random(seed, f64::from(percent) / 100.0);
    }

    /// The time of the account.
    pub(crate) fn now(&self) -> Timestamp {
        self.fake.clock().now()
    }

    /// Either regular pages, or small ones that are irregular in every way that the services allow.
    pub(crate) fn any_paging(&mut self) -> Paging {
        if self.random.bool() { Paging::irregular() } else { Paging::default() }
    }

    /// Changes that happened before the source begins.
    pub(crate) fn lived(&self, seed: u64, step: impl Fn(&mut Simulation, &Fake, Timestamp)) -> Simulation {
        let (mut simulation, earlier) = (Simulation::new(seed), self.now() - SignedDuration::from_hours(1));
        (0..30).for_each(|_| step(&mut simulation, &self.fake, earlier));
        simulation.end_round();
        simulation
    }

    /// Rounds of changes under faults and kills, as long as a run lasts. `round` makes the changes of one, says what
    /// there is to report, and which shared drives are there after it.
    pub(crate) fn endures(&mut self, mut round: impl FnMut(&mut Self, &mut Wanted) -> BTreeSet<String>) {
        self.faults(FAULTS);
        let (begun, mut rounds, mut wanted) = (Instant::now(), 0, Wanted::default());
        while begun.elapsed() < seconds() {
            let drives = round(self, &mut wanted);
            self.until_reported(&wanted, true);
            // What appears in a new drive before it is known belongs to its baseline.
            self.until_followed(&drives);
            rounds += 1;
        }
        self.ends(rounds);
    }

    /// The end of a random run: without faults nothing more comes, all was as described, and what it met is told.
    fn ends(&mut self, rounds: usize) {
        self.fake.faults().off();
        let before = self.names();
        let _ = self.fake.requests();
        let mut looked = 0;
        self.place.until("some quiet looks", |_| {
            self.wake();
            looked += looks(&self.fake);
            Some(looked >= 3)
        });
        assert_eq!(self.names(), before, "a quiet look reports nothing");
        self.assert_described();
        let events: usize = before.0.values().sum();
        let (thrown, kills) = (self.fake.faults().thrown().clone(), self.kills);
        assert!(!thrown.is_empty() && rounds > 0);
        println!(
            "{rounds} rounds, {events} events, {kills} kills, faults {thrown:?}, requests {:?}",
            self.fake.counts()
        );
    }

    /// The tail of the daemon's log, for the message of a failure.
    pub(crate) fn told(&self) -> String {
        let log = self.place.log();
        let tail: Vec<&str> = log.lines().rev().take(30).collect();
        format!("log of the daemon, newest first:\n{}", tail.join("\n"))
    }

    /// Every request and answer so far was as Google describes its API.
    pub(crate) fn assert_described(&self) {
        assert_eq!(self.fake.violations(), Vec::<String>::new());
    }

    /// The size of the database and its write-ahead log, in bytes.
    pub(crate) fn disk(&self) -> u64 {
        ["inbox.db", "inbox.db-wal"]
            .iter()
            .map(|name| fs::metadata(self.place.file(name)).map_or(0, |meta| meta.len()))
            .sum()
    }
}

/// How many times the source began a look since the last call: requests that ask for what is new.
fn looks(fake: &Fake) -> usize {
    let begins = |path: &str| ["/history", "/changes", "/events"].iter().any(|end| path.ends_with(end));
    fake.requests().iter().filter(|asked| begins(&asked.path) && asked.status == 200).count()
}

/// A field of the envelope.
pub(crate) fn text<'a>(event: &'a Value, field: &str) -> &'a str {
    event[field].as_str().unwrap_or_default()
}

/// How long a random run lasts.
pub(crate) fn seconds() -> Duration {
    let seconds = std::env::var("INBOXCLAW_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(10))
}

/// Where the randomness of a run begins: said in every failure, and repeatable.
pub(crate) fn seed() -> u64 {
    std::env::var("INBOXCLAW_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}
