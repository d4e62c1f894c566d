//! A long random life of two calendars, with faults, dropped turns, races, restarts, other windows and expired tokens:
//! at the end of each round what was reported is what the calendars' own history says.

use std::collections::BTreeMap;

use inboxclaw_contract::{Event, Next};
use inboxclaw_fakes::google::calendar::Cancelled;
use inboxclaw_fakes::google::faults::Fault;
use inboxclaw_fakes::google::simulation::Simulation;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::world::{CAL, World, at, dropped, raced, turn};

/// The windows, of which the first is that of the beginning.
const DAYS: [i64; 3] = [20, 13, 34];
const OTHER: &str = "other@x.org";

/// Chances that come the same each time (SplitMix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    fn one_in(&mut self, end: u64) -> bool {
        self.below(end) == 0
    }
}

/// What a reader of everything that was reported knows.
struct Truth {
    known: BTreeMap<(String, String), Value>,
    /// The version in which something was overlooked.
    overlooked: BTreeMap<(String, String), Value>,
    /// The window, in days.
    days: i64,
    /// How long after its end an event is remembered.
    age: Option<SignedDuration>,
}

/// When it starts and ends.
fn slot(item: &Value) -> (Timestamp, Timestamp) {
    let moment = |value: &Value| match value["dateTime"].as_str() {
        Some(text) => at(text),
        None => at(&format!("{}T00:00:00Z", value["date"].as_str().unwrap())),
    };
    (moment(&item["start"]), moment(&item["end"]))
}

fn answers(item: &Value) -> BTreeMap<&str, &str> {
    let all = item["attendees"].as_array().into_iter().flatten();
    all.map(|one| (one["email"].as_str().unwrap(), one["responseStatus"].as_str().unwrap())).collect()
}

/// What people see of an event, besides answers.
fn face(item: &Value) -> Value {
    let who: Vec<&str> = answers(item).into_keys().collect();
    json!([
        item["summary"],
        item["description"],
        item["location"],
        item["start"],
        item["end"],
        who,
        item["originalStartTime"]
    ])
}

impl Truth {
    fn new(age: Option<i64>) -> Self {
        let age = age.map(|days| SignedDuration::from_hours(24 * days));
        Self { known: BTreeMap::new(), overlooked: BTreeMap::new(), days: DAYS[0], age }
    }

    /// Everything there is at this instant, cancelled or not: events, and instances around the window.
    fn all(world: &World, known: &BTreeMap<(String, String), Value>) -> BTreeMap<(String, String), Value> {
        let (now, calendars) = (world.now(), world.fake.calendar());
        let far = SignedDuration::from_hours(24 * 60);
        let mut all = BTreeMap::new();
        for calendar in [CAL, OTHER] {
            for id in calendars.ids(calendar) {
                let ids = if calendars.is_series(calendar, &id) {
                    calendars.instances(calendar, &id, now - far, now + far)
                } else {
                    vec![id]
                };
                for id in ids {
                    if let Some(event) = calendars.event(calendar, &id) {
                        all.insert((calendar.to_owned(), id), event);
                    }
                }
            }
        }
        // Instances that were moved or cancelled out of sight of the listing above.
        for (calendar, id) in known.keys() {
            if let Some(event) = calendars.event(calendar, id) {
                all.insert((calendar.clone(), id.clone()), event);
            }
        }
        all
    }

    /// The end of the window.
    fn end(&self, world: &World) -> Timestamp {
        world.now() + SignedDuration::from_hours(24 * self.days)
    }

    /// The ids of the events that a round has to report. With another window it comes without a recovery and, if the
    /// window grows, without changes.
    fn expect_within(&mut self, world: &World, days: i64, reconciled: &[&str]) -> Vec<String> {
        if days < self.days {
            self.days = days;
            let end = self.end(world);
            self.known.retain(|_, item| slot(item).0 < end);
        }
        let expected = self.expect(world, reconciled);
        if days == self.days {
            return expected;
        }
        // What is new in the window is known from now on, and not told.
        self.days = days;
        self.expect(world, &[]);
        expected
    }

    /// The same, with the window as it was.
    fn expect(&mut self, world: &World, reconciled: &[&str]) -> Vec<String> {
        if let Some(age) = self.age {
            let oldest = world.now() - age - SignedDuration::from_hours(7 * 24);
            self.known.retain(|_, item| slot(item).1 > oldest);
        }
        let (now, all) = (world.now(), Self::all(world, &self.known));
        let end = self.end(world);
        let mut expected = Vec::new();
        for (key, item) in &all {
            let (start, over) = slot(item);
            let is_listed = over > now && start < end;
            // A recovery looks a day beyond both ends.
            let margin = SignedDuration::from_hours(24);
            let is_looked_for = over > now - margin && start < end + margin;
            let is_overlooked = reconciled.contains(&key.0.as_str()) && !is_looked_for;
            let is_confirmed = item["status"] == "confirmed";
            let is_there = is_confirmed && is_listed;
            let mut tell = |item: &Value, word: &str| {
                let etag = item["etag"].as_str().unwrap().trim_matches('"');
                expected.push(format!("gcal:{}:{}:{etag}:{word}", key.0, key.1));
            };
            let Some(known) = self.known.get(key).cloned() else {
                if is_there {
                    tell(item, "created");
                    self.known.insert(key.clone(), item.clone());
                }
                continue;
            };
            let (was_over, is_seen) =
                (slot(&known).1 <= now, self.overlooked.get(key) == Some(&item["etag"]));
            // A recovery does not look for what is over, and what it overlooks is seen when it changes again.
            if was_over && (is_overlooked || is_seen) {
                self.overlooked.insert(key.clone(), item["etag"].clone());
                continue;
            }
            if is_overlooked || !is_confirmed {
                let ended_by_change = slot(&known).1 <= at(known["updated"].as_str().unwrap());
                let is_news = if is_overlooked { slot(&known).0 < end } else { !was_over || ended_by_change };
                if is_news {
                    tell(if is_overlooked { &known } else { item }, "deleted");
                }
                self.known.remove(key);
                continue;
            }
            // What was over when it changed, and still is, is nobody's news.
            if !(was_over && over <= now) {
                if answers(&known) != answers(item) {
                    tell(item, "rsvp_changed");
                }
                if face(&known) != face(item) {
                    tell(item, "updated");
                }
            }
            if self.age.is_some_and(|age| over < now - age) && known["etag"] != item["etag"] {
                self.known.remove(key);
                continue;
            }
            self.known.insert(key.clone(), item.clone());
        }
        expected.sort();
        expected
    }
}

/// Polls, with turns that are dropped or raced for and restarts, until a round ends well.
async fn settle(world: &World, chance: &mut Chance, settings: &Value) {
    let mut source = world.source(settings.clone());
    for _ in 0..2_000 {
        match chance.below(10) {
            0 => dropped(&*source, &world.memory).await,
            1 => source = world.source(settings.clone()),
            2 => raced([&*source, &*world.source(settings.clone())], &world.memory).await,
            _ => {}
        }
        if let Ok(polled) = turn(&*source, &world.memory).await
            && polled.next == Next::Wait
            && polled.problems.is_empty()
        {
            return;
        }
    }
    panic!("no round ends well");
}

/// Other pages than before.
fn turn_pages(world: &World, chance: &mut Chance) {
    let switches = &mut world.fake.calendar().switches;
    switches.page = [None, Some(7), Some(50)][usize::try_from(chance.below(3)).unwrap()];
    switches.overlap = chance.one_in(2);
    switches.empty_pages = chance.one_in(2);
}

async fn live(seed: u64) {
    let world = World::new().await;
    world.fake.calendar().add_calendar(OTHER, "Other");
    let mut chance = Chance(seed);
    world.fake.calendar().switches.cancelled = match seed % 3 {
        0 => Cancelled::Bare,
        1 => Cancelled::Detailed,
        _ => Cancelled::Placeholder,
    };
    let age = seed.is_multiple_of(2).then_some(2);
    let settings = |days| {
        json!({
            "calendar_ids": [CAL, OTHER], "max_into_future": format!("{days}d"), "max_event_age_days": age,
        })
    };
    let (mut simulation, mut truth) = (Simulation::new(seed), Truth::new(age));
    for _ in 0..20 {
        world.happen(|calendars, now| simulation.step_calendar(calendars, now));
        simulation.end_round();
    }
    settle(&world, &mut chance, &settings(truth.days)).await;
    truth.expect(&world, &[]);
    let faults =
        [Fault::Unauthorized, Fault::Internal, Fault::Unavailable, Fault::CutBefore, Fault::CutInside];
    world.fake.faults().random_among(seed, 0.2, faults.to_vec());
    for round in 0..12 {
        let longest = if chance.one_in(4) { 7_000 } else { 540 };
        world.advance(61 + chance.below(longest));
        turn_pages(&world, &mut chance);
        let days =
            if chance.one_in(4) { DAYS[usize::try_from(chance.below(3)).unwrap()] } else { truth.days };
        let steps: Vec<String> = (0..if days > truth.days { 0 } else { chance.below(12) })
            .map(|_| world.happen(|calendars, now| simulation.step_calendar(calendars, now)))
            .collect();
        simulation.end_round();
        let lost = [CAL, OTHER].into_iter().filter(|_| days == truth.days && chance.one_in(5));
        let reconciled: Vec<&str> = lost.collect();
        for calendar in &reconciled {
            world.fake.calendar().expire_tokens(calendar);
        }
        let before = world.memory.events();
        settle(&world, &mut chance, &settings(days)).await;
        let (gaps, ids) = told(&world, before.len());
        assert_eq!(gaps, reconciled.len(), "seed {seed}, round {round}");
        let mut expected = truth.expect_within(&world, days, &reconciled);
        // What a smaller window left out comes back as it was told.
        expected.retain(|id| before.iter().all(|event| event.event_id != *id));
        let besides = |some: &[String], others: &[String]| -> Vec<String> {
            some.iter().filter(|id| !others.contains(id)).cloned().collect()
        };
        let (missing, odd) = (besides(&expected, &ids), besides(&ids, &expected));
        assert!(
            missing.is_empty() && odd.is_empty(),
            "seed {seed}, round {round}, {days} days: missing {missing:#?}, odd {odd:#?}, {steps:#?}, {reconciled:?}"
        );
        assert_eq!(ids, expected, "each once");
    }
    world.check();
}

/// What was stored since: how many gaps, and the ids of the other events in their order.
fn told(world: &World, before: usize) -> (usize, Vec<String>) {
    let told = world.memory.events().split_off(before);
    let (gaps, others): (Vec<Event>, Vec<Event>) =
        told.into_iter().partition(|event| event.event_type == "inboxclaw.source.gap");
    let mut ids: Vec<String> = others.into_iter().map(|event| event.event_id).collect();
    ids.sort();
    (gaps.len(), ids)
}

/// `INBOXCLAW_SEED` says which life is the first, `INBOXCLAW_CASES` how many are lived.
#[tokio::test]
async fn what_is_reported_is_what_happened() {
    let first = number("INBOXCLAW_SEED").unwrap_or(0);
    for seed in first..first + number("INBOXCLAW_CASES").unwrap_or(6) {
        live(seed).await;
    }
}

#[expect(clippy::disallowed_methods, reason = "how long a test takes is no setting")]
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}
