//! What state does: quiet polls, turns that are dropped, rewinds, edits, and states of earlier programs.

use std::time::Duration;

use inboxclaw_contract::turn::TurnId;
use inboxclaw_contract::{Expiry, Json, OpenTurn};
use inboxclaw_fakes::google::calendar::Edit;
use serde_json::{Value, json};

use crate::support::OWNER;
use crate::world::{CAL, World, dropped, turn};

fn edit(text: &str) -> Edit {
    Edit { location: Some(text.to_owned()), ..Edit::default() }
}

#[tokio::test]
async fn a_quiet_poll_writes_nothing() {
    let world = World::new().await;
    let source = world.source(json!({}));
    world.create("Event", 30);
    world.round(&*source).await;
    // Something changed that is nobody's business: the token moves once.
    let other = world.create("Other", 400 * 24);
    world.round(&*source).await;
    let writes = world.memory.writes();
    for _ in 0..5 {
        world.advance(10);
        world.round(&*source).await;
    }
    assert_eq!(world.memory.writes(), writes);
    world.advance(10);
    world.round(&*source).await;
    // The window is looked through once an hour: a pass, its end.
    assert_eq!(world.memory.writes(), writes + 2);
    world.happen(|calendars, now| calendars.cancel(now, CAL, &other));
    world.round(&*source).await;
    assert_eq!(world.memory.writes(), writes + 3);
}

#[tokio::test]
async fn a_token_without_news_is_renewed_after_a_day() {
    let world = World::new().await;
    world.fake.calendar().add_calendar("other", "Other");
    let source = world.source(json!({}));
    world.round(&*source).await;
    let token = || world.value(&format!("sync_token:{CAL}")).unwrap();
    let first = token();
    for (minutes, is_same) in [(60, true), (23 * 60, true), (1, false)] {
        // Changes of another calendar move the token of this one.
        let plan = world.plan("Elsewhere", 5);
        world.happen(|calendars, now| calendars.create(now, "other", plan));
        world.advance(minutes);
        world.round(&*source).await;
        assert_eq!(token() == first, is_same, "{minutes}");
    }
}

#[tokio::test]
async fn dropped_turns_change_nothing() {
    let world = World::new().await;
    world.fake.calendar().switches.page = Some(2);
    let source = world.source(json!({}));
    world.round(&*source).await;
    for n in 0..5 {
        world.create(&format!("Event {n}"), 30);
    }
    let mut told = Vec::new();
    for _ in 0..6 {
        dropped(&*source, &world.memory).await;
        dropped(&*world.source(json!({})), &world.memory).await;
        told.extend(turn(&*source, &world.memory).await.unwrap().events.iter().map(crate::world::short));
    }
    told.sort();
    assert_eq!(told, (0..5).map(|n| format!("created Event {n}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_rewind_repeats_nothing_and_loses_nothing() {
    let world = World::new().await;
    let source = world.source(json!({}));
    world.round(&*source).await;
    let (kept, gone) = (world.create("Kept", 60), world.create("Gone", 60));
    world.round(&*source).await;
    let saved = world.memory.saved();
    world.advance(24 * 60);
    world.happen(|calendars, now| {
        calendars.change(now, CAL, &kept, &edit("There"));
        calendars.cancel(now, CAL, &gone)
    });
    world.create("New", 60);
    assert_eq!(world.round(&*source).await.len(), 3);
    let before = world.memory.values();
    world.memory.rewind(saved);
    world.create("Since", 60);
    assert_eq!(world.told(&*source).await, ["created Since"]);
    let after = world.memory.values();
    assert!(before.iter().all(|(key, value)| key.starts_with("sync_token") || after[key] == *value));
}

#[tokio::test]
async fn entries_that_do_not_parse_are_nobodys_end() {
    let world = World::new().await;
    let source = world.source(json!({}));
    world.round(&*source).await;
    let id = world.create("Event", 60);
    world.round(&*source).await;
    let (cursor, mut entries) = world.memory.saved();
    let token = entries[&format!("sync_token:{CAL}")].clone();
    let mut set = |key: String, text: &str| {
        entries.insert(
            key.clone(),
            inboxclaw_contract::Entry { key, value: Json::new(text).unwrap(), ..token.clone() },
        );
    };
    set(format!("pass:{CAL}"), "{\"mode\": \"waltz\"}");
    set(format!("lookahead_cursor:{CAL}"), "17");
    set(format!("config_fingerprint:{CAL}"), "[]");
    world.memory.rewind((cursor, entries));
    assert_eq!(world.told(&*source).await, [""; 0]);
    world.happen(|calendars, now| calendars.change(now, CAL, &id, &edit("There")));
    assert_eq!(world.told(&*source).await, ["updated Event"]);
    assert!(!world.memory.values().contains_key(&format!("pass:{CAL}")));
}

/// Puts entries as an import does.
async fn import(world: &World, entries: &[(String, Value)]) {
    let mut draft = OpenTurn::open(&world.memory, OWNER, TurnId(1 << 100)).await.unwrap();
    for (key, value) in entries {
        draft.put(key, value, Expiry::Never).unwrap();
    }
    draft.commit().await.unwrap();
}

/// Makes the state that the forerunner would have: its sync token, and a snapshot of each event.
async fn forerunners(world: &World, ids: &[&String]) -> Vec<(String, Value)> {
    let mut entries = Vec::new();
    let source = world.source(json!({}));
    world.round(&*source).await;
    entries.push((format!("sync_token:{CAL}"), world.value(&format!("sync_token:{CAL}")).unwrap()));
    for id in ids {
        let event = world.fake.calendar().event(CAL, id).unwrap();
        entries.push((format!("snap:{CAL}:{id}"), event));
    }
    let (_, mut saved) = world.memory.saved();
    saved.clear();
    world.memory.rewind((None, saved));
    entries
}

#[tokio::test]
async fn the_state_of_the_forerunner_goes_on() {
    let world = World::new().await;
    let (kept, other) = (world.create("Kept", 60), world.create("Other", 60));
    let mut entries = forerunners(&world, &[&kept, &other]).await;
    entries.extend([
        (format!("config_fingerprint:{CAL}"), json!("{\"max_into_future\": 31536000.0}")),
        (format!("config_max_into_future:{CAL}"), json!(31_536_000.0)),
        (format!("lookahead_cursor:{CAL}"), json!("2027-11-22T11:30:00.123456+00:00")),
        (format!("snapshot_state:{CAL}"), json!({ "complete": true, "count": 2 })),
    ]);
    import(&world, &entries).await;
    world.asked();
    world.happen(|calendars, now| calendars.change(now, CAL, &kept, &edit("There")));
    let source = world.source(json!({}));
    assert_eq!(world.told(&*source).await, ["updated Kept"]);
    assert_eq!(world.asked(), ["token"]);
}

#[tokio::test]
async fn an_older_state_that_forgot_events_reports_no_false_ones() {
    let world = World::new().await;
    let (kept, forgotten) = (world.create("Kept", 60), world.create("Forgotten", 60));
    let mut entries = forerunners(&world, &[&kept]).await;
    entries.push((format!("config_max_into_future:{CAL}"), json!(31_536_000.0)));
    import(&world, &entries).await;
    world.advance(10);
    world.happen(|calendars, now| calendars.change(now, CAL, &kept, &edit("There")));
    world.create("New", 60);
    let source = world.source(json!({}));
    let mut told = world.told(&*source).await;
    told.sort();
    assert_eq!(told, ["created New", "updated Kept"]);
    world.happen(|calendars, now| calendars.change(now, CAL, &forgotten, &edit("There")));
    assert_eq!(world.told(&*source).await, ["updated Forgotten"]);
}

#[tokio::test]
async fn snapshots_without_a_token_are_compared() {
    let world = World::new().await;
    let (kept, gone) = (world.create("Kept", 60), world.create("Gone", 60));
    let mut entries = forerunners(&world, &[&kept, &gone]).await;
    entries.remove(0);
    import(&world, &entries).await;
    world.happen(|calendars, now| {
        calendars.change(now, CAL, &kept, &edit("There"));
        calendars.cancel(now, CAL, &gone);
        calendars.forget_cancelled(CAL);
    });
    world.create("New", 60);
    let source = world.source(json!({}));
    let mut told = world.told(&*source).await;
    told.sort();
    assert_eq!(told, ["created New", "deleted Gone", "updated Kept"]);
}

#[tokio::test]
async fn snapshots_of_single_events_go_away_and_of_tombstones_too() {
    let world = World::new().await;
    let source = world.source(json!({ "max_event_age_days": 1 }));
    world.create("Event", 1);
    world.round(&*source).await;
    assert_eq!(world.snapshots(), 1);
    world.memory.advance(Duration::from_secs(2 * 3600 + 8 * 86_400));
    assert_eq!(world.snapshots(), 0);
    let kept = world.source(json!({ "max_event_age_days": null }));
    world.create("Event", 24 * 30);
    world.round(&*kept).await;
    world.memory.advance(Duration::from_secs(3650 * 86_400));
    assert_eq!(world.snapshots(), 1);
}
