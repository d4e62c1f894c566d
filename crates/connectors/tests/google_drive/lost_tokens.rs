//! Tokens that are refused: everything is compared, what changed meanwhile is reported once, and the gap is announced.

use inboxclaw_contract::{Event, Expiry, Next};
use inboxclaw_fakes::google::drive::NewFile;
use inboxclaw_fakes::google::faults::{Fault, Rule};
use serde_json::json;

use crate::world::{World, data, told};

/// Changes a Drive of four files while nobody looks, and loses the token. What is to be told, in order of names.
async fn changed(status: u16) -> (World, Vec<&'static str>) {
    let world = World::new().await;
    let now = world.fake.clock().now();
    let ids = ["edited", "moved", "removed", "same"]
        .map(|name| world.drive().create(now, NewFile::text(name, "1")));
    let folder = world.drive().create(now, NewFile::folder("folder"));
    world.round().await;
    let now = world.later();
    {
        let mut drive = world.drive();
        drive.edit(now, &ids[0], "22");
        drive.move_to(now, &ids[1], &folder);
        drive.remove(now, &ids[2]);
        drive.create(now, NewFile::text("new", ""));
        drive.expire_tokens(None, status);
    }
    (world, vec!["created new", "gap user", "moved moved", "removed removed", "updated edited"])
}

/// What was told, by the alphabet.
fn sorted(events: &[Event]) -> Vec<String> {
    let mut told: Vec<String> = events.iter().map(told).collect();
    told.sort();
    told
}

#[tokio::test]
async fn a_lost_token_loses_nothing() {
    for status in [400, 404, 410] {
        let (world, expected) = changed(status).await;
        let lost = world.memory.cursor().unwrap();
        let events = world.round().await;
        let gap = events.iter().find(|event| event.event_type == "inboxclaw.source.gap").unwrap();
        assert_eq!(gap.event_id, format!("gap:user:{lost}:{}", world.memory.cursor().unwrap()));
        let data = data(gap);
        assert_eq!(
            (&data["complete"], &data["found"], &data["deleted"]),
            (&json!(true), &json!(3), &json!(1))
        );
        assert_eq!(sorted(&events), expected, "{status}");
        world.is_quiet().await;
        let left = world.memory.values();
        assert!(left.keys().all(|key| !key.starts_with("gdrive:listed:") && !key.starts_with("gdrive:pass")));
        world.is_well_asked();
    }
}

#[tokio::test]
async fn a_recovery_survives_an_end_at_any_turn() {
    // Turn by turn, each in a new program, and each lost once before it is stored.
    let (mut world, expected) = changed(410).await;
    world.drive().paging.largest_page = Some(2);
    let mut turns = 0;
    loop {
        world.lose_turn().await;
        world.restart();
        let polled = world.turn().await.unwrap();
        turns += 1;
        assert!(turns < 100);
        let is_over = world.memory.events().iter().any(|event| event.event_type == "inboxclaw.source.gap");
        if is_over {
            assert_eq!(polled.next, Next::More);
            break;
        }
    }
    assert!(turns >= 5, "a pin, three pages and a look at the rest: {turns}");
    assert_eq!(sorted(&world.memory.events()), expected);
    world.is_quiet().await;
}

#[tokio::test]
async fn what_changes_during_a_recovery_is_told_once() {
    let (world, mut expected) = changed(400).await;
    world.drive().paging.largest_page = Some(2);
    world.turn().await.unwrap();
    let late = {
        let mut drive = world.drive();
        let now = world.fake.clock().now();
        let same = drive.files().find(|file| file.name == "same").unwrap().id.clone();
        drive.remove(now, &same);
        drive.create(now, NewFile::text("late", ""))
    };
    world.turn().await.unwrap();
    world.drive().edit(world.later(), &late, "text");
    world.round().await;
    expected.extend(["created late", "removed same"]);
    let mut events = sorted(&world.memory.events());
    events.retain(|event| event != "updated late");
    expected.sort_unstable();
    assert_eq!(events, expected);
}

#[tokio::test]
async fn a_page_that_is_refused_begins_the_pass_anew() {
    let world = World::new().await;
    world.round().await;
    world.drive().paging.largest_page = Some(2);
    let names = ["a", "b", "c", "d", "e"];
    for name in names {
        world.drive().create(world.later(), NewFile::text(name, name));
    }
    let first = world.turn().await.unwrap();
    assert_eq!((first.events.len(), first.next), (2, Next::More));
    let pass = world.memory.values()["gdrive:pass"].clone();
    assert!(pass.contains(r#""task":"changes""#), "{pass}");
    world.fake.faults().rule(Rule::next("/changes?", 1, Fault::Invalid("invalid".to_owned())));
    assert_eq!(world.told().await, ["created c", "created d", "created e"]);
    world.is_quiet().await;
    // A pass from elsewhere is none.
    world.edit("gdrive:pass", Some(json!({ "task": "changes", "from": "x", "page": "y" }))).await;
    assert!(world.told().await.is_empty());
    assert!(!world.memory.values().contains_key("gdrive:pass"));
    world.edit("gdrive:pass", Some(json!(7))).await;
    assert!(world.told().await.is_empty());
}

#[tokio::test]
async fn a_listing_that_is_refused_begins_anew() {
    let (world, expected) = changed(404).await;
    world.drive().paging.largest_page = Some(2);
    world.turn().await.unwrap();
    world.turn().await.unwrap();
    world.drive().expire_listings();
    world.round().await;
    assert_eq!(sorted(&world.memory.events()), expected);
}

#[tokio::test]
async fn a_gap_begins_when_the_cursor_moved_last() {
    let world = World::new().await;
    let shared = world.drive().add_drive(world.fake.clock().now(), "team");
    world.round().await;
    let mut moved = Vec::new();
    for (parent, name) in [("", "a"), (&*shared, "b")] {
        let now = world.later();
        world.drive().create(now, NewFile::text(name, "").inside(parent));
        assert_eq!(world.round().await.len(), 1);
        moved.push(now.to_string());
    }
    world.later();
    world.is_quiet().await;
    for log in [None, Some(&*shared)] {
        world.drive().expire_tokens(log, 410);
    }
    let events = world.round().await;
    let from: Vec<_> = events.iter().map(|event| data(event)["from"].clone()).collect();
    assert_eq!(from, moved);
}

#[tokio::test]
async fn many_that_were_not_listed_are_looked_at_over_several_turns() {
    let world =
        World::with(json!({ "filters": [{ "ghosts": { "in": "name", "contains": "ghost" } }] })).await;
    let now = world.fake.clock().now();
    let ids = ["a", "b"].map(|name| world.drive().create(now, NewFile::text(name, "")));
    world.round().await;
    world
        .edit_all(|draft| {
            for number in 0..12_000 {
                let (id, end) = (format!("{number:05}"), if number % 2 == 0 { "" } else { "~" });
                let ghost = json!({ "file_id": id, "name": "ghost" });
                draft.put(&format!("gdrive:file:{end}{id}"), &ghost, Expiry::Never).unwrap();
            }
        })
        .await;
    ids.iter().for_each(|id| _ = world.drive().remove(world.later(), id));
    world.drive().expire_tokens(None, 410);
    let mut told = world.told().await;
    told.sort();
    assert_eq!(told, ["gap user", "removed a", "removed b"]);
    assert!(world.memory.values().keys().all(|key| !key.starts_with("gdrive:file:")));
}

#[tokio::test]
async fn a_listing_that_somebody_took_away_is_made_again() {
    let (world, expected) = changed(404).await;
    while !world.memory.values().get("gdrive:pass").is_some_and(|pass| pass.contains(r#""listed":true"#)) {
        world.turn().await.unwrap();
    }
    world.edit("gdrive:listed:user:00000000", None).await;
    world.turn().await.unwrap();
    let pass = world.memory.values()["gdrive:pass"].clone();
    assert!(pass.contains(r#""listed":false"#), "{pass}");
    world.round().await;
    assert_eq!(sorted(&world.memory.events()), expected);
}

#[tokio::test]
async fn a_recovery_whose_cursor_somebody_set_leaves_nothing_behind() {
    let (world, _) = changed(404).await;
    let (cursor, _) = world.memory.saved();
    while !world.memory.values().keys().any(|key| key.starts_with("gdrive:listed:")) {
        world.turn().await.unwrap();
    }
    let pin: serde_json::Value = serde_json::from_str(&world.memory.values()["gdrive:pass"]).unwrap();
    let pin = pin["pin"].as_str().unwrap().to_owned();
    assert_ne!(Some(&pin), cursor.as_ref());
    world.edit_all(|draft| draft.set_cursor(Some(pin)).unwrap()).await;
    world.round().await;
    let left = world.memory.values();
    assert!(left.keys().all(|key| !key.starts_with("gdrive:listed:") && !key.starts_with("gdrive:pass")));
}

#[tokio::test]
async fn a_cursor_that_somebody_cleared_is_no_reason_to_forget() {
    let (world, expected) = changed(410).await;
    world.edit_all(|draft| draft.set_cursor(None).unwrap()).await;
    let mut events = world.told().await;
    events.sort();
    assert_eq!(events, expected);
    assert!(world.memory.cursor().is_some());
}

#[tokio::test]
async fn an_incomplete_listing_changes_nothing() {
    let (world, _) = changed(410).await;
    world.drive().incomplete_search = true;
    world.turn().await.unwrap();
    let before = world.memory.values();
    let failure = world.turn().await.unwrap_err();
    assert!(failure.to_string().contains("could not list all files"), "{failure}");
    assert_eq!(world.memory.values(), before);
}

#[tokio::test]
async fn two_recoveries_tell_of_the_same_move_and_back_and_again() {
    let world = World::new().await;
    let id = world.drive().create(world.fake.clock().now(), NewFile::text("a", "1"));
    world.round().await;
    let mut told = Vec::new();
    for step in 0..4 {
        let now = world.later();
        {
            let mut drive = world.drive();
            if step % 2 == 0 {
                drive.trash(now, &id)
            } else {
                drive.restore(now, &id)
            };
            drive.expire_tokens(None, 410);
        }
        told.extend(world.told().await);
    }
    told.retain(|event| !event.starts_with("gap"));
    assert_eq!(told, ["trashed a", "untrashed a", "trashed a", "untrashed a"]);
}
