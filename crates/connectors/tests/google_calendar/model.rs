//! A long random life of two calendars, with faults, dropped turns, restarts and expired tokens: at the end of each
//! round what was reported is what the calendars' own history says.

use std::collections::BTreeMap;

use inboxclaw_contract::Next;
use inboxclaw_fakes::google::calendar::Cancelled;
use inboxclaw_fakes::google::faults::Fault;
use inboxclaw_fakes::google::life::Life;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::world::{CAL, World, at, dropped, turn};

/// The window.
const DAYS: i64 = 20;
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
#[derive(Default)]
struct Truth {
    known: BTreeMap<(String, String), Value>,
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

    /// The ids of the events that a round has to report.
    fn expect(&mut self, world: &World, reconciled: &[&str]) -> Vec<String> {
        let (now, all) = (world.now(), Self::all(world, &self.known));
        let end = now + SignedDuration::from_hours(24 * DAYS);
        let mut expected = Vec::new();
        for (key, item) in &all {
            let (start, over) = slot(item);
            let is_listed = over > now && start < end;
            let is_there = item["status"] == "confirmed" && is_listed;
            let known = self.known.get(key);
            let mut tell = |item: &Value, word: &str| {
                let etag = item["etag"].as_str().unwrap().trim_matches('"');
                expected.push(format!("gcal:{}:{}:{etag}:{word}", key.0, key.1));
            };
            match known {
                None if is_there => tell(item, "created"),
                None => continue,
                Some(known) if is_there => {
                    if answers(known) != answers(item) {
                        tell(item, "rsvp_changed");
                    }
                    if face(known) != face(item) {
                        tell(item, "updated");
                    }
                }
                // What was over when it changed is nobody's news.
                Some(known) if slot(known).1 <= now => {
                    if item["status"] != "confirmed" || start >= end {
                        self.known.remove(key);
                        continue;
                    }
                }
                Some(known) => {
                    let vanished = reconciled.contains(&key.0.as_str()) && !is_listed;
                    tell(if vanished { known } else { item }, "deleted");
                    self.known.remove(key);
                    continue;
                }
            }
            self.known.insert(key.clone(), item.clone());
        }
        expected.sort();
        expected
    }
}

/// Polls, with turns that are dropped and restarts, until a round ends well.
async fn settle(world: &World, chance: &mut Chance, settings: &Value) {
    let mut source = world.source(settings.clone());
    for _ in 0..2_000 {
        match chance.below(10) {
            0 => dropped(&*source, &world.memory).await,
            1 => source = world.source(settings.clone()),
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

async fn live(seed: u64) {
    let world = World::new().await;
    world.fake.calendar().add_calendar(OTHER, "Other");
    let mut chance = Chance(seed);
    world.fake.calendar().switches.cancelled = match seed % 3 {
        0 => Cancelled::Bare,
        1 => Cancelled::Detailed,
        _ => Cancelled::Placeholder,
    };
    let settings = json!({
        "calendar_ids": [CAL, OTHER], "max_into_future": format!("{DAYS}d"), "max_event_age_days": null,
    });
    let (mut life, mut truth) = (Life::new(seed), Truth::default());
    for _ in 0..20 {
        world.happen(|calendars, now| life.step_calendar(calendars, now));
        life.rest();
    }
    settle(&world, &mut chance, &settings).await;
    truth.expect(&world, &[]);
    let faults =
        [Fault::Unauthorized, Fault::Internal, Fault::Unavailable, Fault::CutBefore, Fault::CutInside];
    world.fake.faults().random_among(seed, 0.2, faults.to_vec());
    for round in 0..12 {
        world.advance(61 + chance.below(540));
        world.fake.calendar().switches.page =
            [None, Some(7), Some(50)][usize::try_from(chance.below(3)).unwrap()];
        world.fake.calendar().switches.overlap = chance.one_in(2);
        world.fake.calendar().switches.empty_pages = chance.one_in(2);
        let steps: Vec<String> = (0..chance.below(12))
            .map(|_| world.happen(|calendars, now| life.step_calendar(calendars, now)))
            .collect();
        life.rest();
        let reconciled: Vec<&str> = [CAL, OTHER].into_iter().filter(|_| chance.one_in(5)).collect();
        for calendar in &reconciled {
            world.fake.calendar().expire_tokens(calendar);
        }
        let before = world.memory.events().len();
        settle(&world, &mut chance, &settings).await;
        let told = world.memory.events().split_off(before);
        let gaps = told.iter().filter(|event| event.event_type == "inboxclaw.source.gap").count();
        assert_eq!(gaps, reconciled.len(), "seed {seed}, round {round}");
        let mut ids: Vec<String> = told.into_iter().map(|event| event.event_id).collect();
        ids.retain(|id| !id.starts_with("gap:"));
        ids.sort();
        let expected = truth.expect(&world, &reconciled);
        let (missing, odd): (Vec<_>, Vec<_>) = (
            expected.iter().filter(|id| !ids.contains(id)).collect(),
            ids.iter().filter(|id| !expected.contains(id)).collect(),
        );
        assert!(
            missing.is_empty() && odd.is_empty(),
            "seed {seed}, round {round}: missing {missing:#?}, odd {odd:#?}, {steps:#?}, {reconciled:?}"
        );
        assert_eq!(ids, expected, "each once");
    }
    world.check();
}

#[tokio::test]
async fn what_is_reported_is_what_happened() {
    for seed in 0..8 {
        live(seed).await;
    }
}
