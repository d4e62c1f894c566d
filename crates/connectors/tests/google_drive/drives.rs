//! Shared drives: logs of their own, drives that appear and vanish, files that move between them.

use inboxclaw_fakes::google::drive::NewFile;
use inboxclaw_fakes::google::faults::{Fault, Rule};
use serde_json::json;

use crate::world::{World, data, told};

const NOTHING: [&str; 0] = [];

/// Two shared drives, in the order of their ids.
fn two(world: &World) -> [String; 2] {
    let now = world.fake.clock().now();
    let mut ids = ["one", "two"].map(|name| world.drive().add_drive(now, name));
    ids.sort();
    ids
}

#[tokio::test]
async fn a_file_that_is_gone_and_may_not_be_looked_for_is_removed() {
    let world = World::new().await;
    two(&world);
    let id = world.drive().create(world.fake.clock().now(), NewFile::text("a", ""));
    world.round().await;
    world.drive().remove(world.later(), &id);
    let denied = Fault::Denied("insufficientFilePermissions".to_owned());
    world.fake.faults().rule(Rule::always(&format!("/files/{id}"), denied));
    let (events, problems) = world.try_round().await.unwrap();
    assert_eq!(events.iter().map(told).collect::<Vec<_>>(), ["removed a"]);
    assert_eq!(problems.len(), 1);
    world.is_quiet().await;
}

#[tokio::test]
async fn files_of_a_shared_drive_are_followed_from_the_start() {
    let world = World::new().await;
    let drive = world.drive().add_drive(world.fake.clock().now(), "team");
    let old = world.drive().create(world.fake.clock().now(), NewFile::text("old", "").inside(&drive));
    world.drive().drive_items_in_user_corpus = true;
    world.drive().drive_id_on_file_changes = true;
    assert_eq!(world.told().await, NOTHING);
    world.is_quiet().await;
    world.drive().edit(world.later(), &old, "x");
    world.drive().create(world.later(), NewFile::text("new", "").inside(&drive));
    assert_eq!(
        world.told().await,
        ["updated old", "shared_with_you new"],
        "once, though both logs show them"
    );
    world.drive().remove(world.later(), &old);
    assert_eq!(world.told().await, ["removed old"]);
    world.is_quiet().await;
    world.is_well_asked();
}

#[tokio::test]
async fn a_shared_drive_appears_and_vanishes() {
    let world = World::with(json!({ "filters": [{ "f": { "in": "name", "contains": "secret" } }] })).await;
    world.round().await;
    let now = world.later();
    let drive = world.drive().add_drive(now, "team");
    world.drive().create(now, NewFile::text("there", "").inside(&drive));
    assert_eq!(world.told().await, NOTHING, "what a new drive holds is silent");
    let now = world.later();
    let a = world.drive().create(now, NewFile::text("a", "").inside(&drive));
    world.drive().create(now, NewFile::text("secret", "").inside(&drive));
    assert_eq!(world.told().await, ["shared_with_you a"]);
    world.later();
    let gone = world.fake.clock().now();
    world.drive().remove_drive(gone, &drive);
    let events = world.round().await;
    let mut names: Vec<String> = events.iter().map(told).collect();
    names.sort();
    assert_eq!(names, ["removed a", "removed there"]);
    let removed = events.iter().find(|event| event.entity_id.as_ref() == Some(&a)).unwrap();
    assert_eq!(removed.event_id, format!("drive-{a}-google.drive.file_removed-2026-11-22T12:03:00+00:00"));
    let left = world.memory.values();
    assert!(left.keys().all(|key| !key.contains(&drive) && !key.starts_with("gdrive:file:")), "{left:?}");
    world.is_quiet().await;
    world.is_well_asked();
}

#[tokio::test]
async fn a_file_moves_between_drives() {
    for both_logs in [false, true] {
        let world = World::new().await;
        let now = world.fake.clock().now();
        let [one, two] = two(&world);
        world.drive().drive_items_in_user_corpus = both_logs;
        let file = world.drive().create(now, NewFile::text("a", "x"));
        world.round().await;
        let root = world.drive().root().to_owned();
        let mut before = root.clone();
        for place in [&one, &two, &root, &two, &one, &root] {
            world.drive().move_to(world.later(), &file, place);
            let events = world.round().await;
            let moved: Vec<String> =
                events.iter().map(told).filter(|event| event.starts_with("moved")).collect();
            assert_eq!(moved, ["moved a"], "{:?}", events.iter().map(told).collect::<Vec<_>>());
            assert!(events.iter().all(|event| !event.event_type.ends_with("removed")));
            let data = data(events.iter().find(|event| event.event_type.ends_with("moved")).unwrap());
            assert_eq!(data["parentIds"], json!({ "before": [before], "after": [place] }));
            before.clone_from(place);
            world.is_quiet().await;
        }
        world.is_well_asked();
    }
}

#[tokio::test]
async fn a_drive_in_trouble_does_not_stop_the_others() {
    let world = World::new().await;
    let ids = two(&world);
    world.round().await;
    for denied in [Fault::Denied("forbidden".to_owned()), Fault::NotFound] {
        world.fake.faults().rule(Rule::always(&format!("driveId={}", ids[0]), denied));
        let now = world.later();
        world.drive().create(now, NewFile::text("first", "").inside(&ids[0]));
        world.drive().create(now, NewFile::text("second", "").inside(&ids[1]));
        let (events, problems) = world.try_round().await.unwrap();
        assert_eq!(events.iter().map(told).collect::<Vec<_>>(), ["shared_with_you second"]);
        assert!(!problems.is_empty());
        // Every turn of the next round says so, until it works.
        for _ in 0..2 {
            let polled = world.turn().await.unwrap();
            let texts: Vec<String> = polled.problems.iter().map(ToString::to_string).collect();
            assert_eq!(texts.len(), 1);
            assert!(
                texts[0].starts_with(&format!("the shared drive {} is not followed", ids[0])),
                "{texts:?}"
            );
        }
        world.fake.faults().off();
        let (events, _) = world.try_round().await.unwrap();
        assert_eq!(events.iter().map(told).collect::<Vec<_>>(), ["shared_with_you first"]);
        world.is_quiet().await;
    }
}

#[tokio::test]
async fn a_drive_that_fails_for_now_is_tried_again_at_once_and_then_left_for_the_next_round() {
    let world = World::new().await;
    let ids = two(&world);
    world.round().await;
    world.drive().create(world.later(), NewFile::text("second", "").inside(&ids[1]));
    world.fake.faults().rule(Rule::always(&format!("driveId={}", ids[0]), Fault::Internal));
    assert!(world.try_round().await.is_err());
    let (events, problems) = world.try_round().await.unwrap();
    assert_eq!(events.iter().map(told).collect::<Vec<_>>(), ["shared_with_you second"]);
    assert!(!problems.is_empty());
}

#[tokio::test]
async fn without_the_right_to_list_shared_drives_there_are_none() {
    let world = World::new().await;
    world.drive().drives_denied = true;
    let (events, problems) = world.try_round().await.unwrap();
    assert!(events.is_empty() && !problems.is_empty());
    world.drive().create(world.later(), NewFile::text("a", ""));
    let (events, problems) = world.try_round().await.unwrap();
    assert_eq!(events.iter().map(told).collect::<Vec<_>>(), ["created a"]);
    assert!(problems[0].to_string().starts_with("no shared drives are followed"), "{problems:?}");
    world.drive().drives_denied = false;
    world.try_round().await.unwrap();
    world.is_quiet().await;
}

#[tokio::test]
async fn a_drive_whose_log_is_lost_is_compared() {
    let world = World::new().await;
    let now = world.fake.clock().now();
    let drive = world.drive().add_drive(now, "team");
    let [a, b] = ["a", "b"].map(|name| world.drive().create(now, NewFile::text(name, "").inside(&drive)));
    world.drive().create(now, NewFile::text("mine", ""));
    world.round().await;
    for status in [400, 404, 410] {
        let now = world.later();
        world.drive().edit(now, &a, format!("{status}"));
        world.drive().expire_tokens(Some(&drive), status);
        assert_eq!(world.told().await, ["updated a".to_owned(), format!("gap {drive}")]);
    }
    world.drive().remove(world.later(), &b);
    world.drive().expire_tokens(Some(&drive), 404);
    assert_eq!(world.told().await, ["removed b".to_owned(), format!("gap {drive}")]);
    world.is_quiet().await;
}
