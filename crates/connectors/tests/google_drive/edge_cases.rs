//! Cases in which two things happen at once: moves before anybody looked, settings that change in the middle of something,
//! and parts that fail while others do not.

use inboxclaw_contract::Next;
use inboxclaw_contract::settings::StartAt;
use inboxclaw_fakes::google::drive::{Drive, NewFile, Person};
use inboxclaw_fakes::google::faults::{Fault, Rule};
use serde_json::json;

use crate::proxy::Between;
use crate::world::{World, data, told};

const NOTHING: [&str; 0] = [];

#[tokio::test]
async fn a_file_that_moved_before_anybody_saw_it_is_not_removed() {
    for both_logs in [false, true] {
        let world = World::new().await;
        let now = world.fake.clock().now();
        let drives = ["one", "two"].map(|name| world.drive().add_drive(now, name));
        world.drive().drive_items_in_user_corpus = both_logs;
        let root = world.drive().root().to_owned();
        world.round().await;
        for (from, to) in [(&root, &drives[0]), (&drives[0], &drives[1]), (&drives[1], &drives[0])] {
            let id = world.drive().create(world.later(), NewFile::text("a", "x").inside(from));
            world.drive().move_to(world.later(), &id, to);
            assert_eq!(world.told().await, ["shared_with_you a"], "{both_logs}");
            world.is_quiet().await;
            world.drive().remove(world.later(), &id);
            assert_eq!(world.told().await, ["removed a"]);
        }
        let id = world.drive().create(world.later(), NewFile::text("b", "x").inside(&drives[0]));
        world.drive().move_to(world.later(), &id, &root);
        assert_eq!(world.told().await, ["created b"]);
        let id = world.drive().create(world.later(), NewFile::text("c", "x"));
        world.drive().remove(world.later(), &id);
        assert_eq!(world.told().await, [format!("removed {id}")], "one that is really gone");
        world.is_quiet().await;
    }
}

#[tokio::test]
async fn two_recoveries_tell_of_two_renamings() {
    let world = World::new().await;
    let id = world.drive().create(world.fake.clock().now(), NewFile::text("a", "1"));
    world.round().await;
    let mut names = Vec::new();
    for name in ["b", "c", "d"] {
        let now = world.later();
        world.drive().rename(now, &id, name);
        world.drive().expire_tokens(None, 410);
        names.extend(world.told().await);
    }
    names.retain(|event| !event.starts_with("gap"));
    assert_eq!(names, ["updated b", "updated c", "updated d"]);
}

#[tokio::test]
async fn filters_that_change_during_a_listing_list_again() {
    let filtered = json!({ "filters": [{ "f": { "in": "name", "contains": "old" } }] });
    let mut world = World::with(filtered.clone()).await;
    let long_ago = "2026-01-01T00:00:00Z".parse().unwrap();
    let now = world.fake.clock().now();
    let [old, _, _] =
        ["old", "b", "c"].map(|name| world.drive().create(now, NewFile::text(name, "1").created(long_ago)));
    world.drive().paging.largest_page = Some(2);
    world.turn().await.unwrap();
    world.turn().await.unwrap();
    assert!(world.memory.values()["gdrive:census"].contains("page"), "a page is listed, one is to come");
    world.restart_with(json!({}));
    assert_eq!(world.told().await, NOTHING);
    world.drive().edit(world.later(), &old, "22");
    assert_eq!(world.told().await, ["updated old"], "it was listed under the filters of now");
    world.is_quiet().await;
}

#[tokio::test]
async fn a_known_file_that_moves_into_a_drive_just_before_it_is_first_seen_is_moved() {
    for both_logs in [false, true] {
        let world = World::new().await;
        world.drive().drive_items_in_user_corpus = both_logs;
        let id = world.drive().create(world.fake.clock().now(), NewFile::text("a", "1"));
        world.round().await;
        let user = world.turn().await.unwrap();
        assert_eq!(user.next, Next::More, "the user's log is read, the drives are next");
        let now = world.later();
        let drive = world.drive().add_drive(now, "team");
        world.drive().move_to(now, &id, &drive);
        let mut told = world.told().await;
        told.extend(world.told().await);
        assert_eq!(told, ["moved a", "shared_with_you a"], "{both_logs}");
        world.is_quiet().await;
    }
}

#[tokio::test]
async fn without_a_cursor_a_listing_that_is_always_refused_waits() {
    let world = World::new().await;
    *world.drive() = Drive::bulk(world.fake.clock().now(), 6);
    world.round().await;
    world.drive().paging.largest_page = Some(2);
    world.edit_all(|draft| draft.set_cursor(None).unwrap()).await;
    let mut waits = 0;
    for _ in 0..30 {
        let polled = world.turn().await.unwrap();
        waits += usize::from(polled.next == Next::Wait);
        world.drive().expire_listings();
    }
    assert!(waits > 0, "it would ask for ever");
}

#[tokio::test]
async fn my_drive_alone_leaves_shared_drives_that_were_followed_before() {
    let mut world = World::new().await;
    let now = world.fake.clock().now();
    let drive = world.drive().add_drive(now, "team");
    let mine = world.drive().create(now, NewFile::text("mine", "1"));
    world.drive().create(now, NewFile::text("ours", "1").inside(&drive));
    world.round().await;
    let _ = world.fake.requests();
    world.restart_with(json!({ "restrict_to_my_drive": true }));
    assert_eq!(world.told().await, NOTHING);
    let asked = world.fake.requests();
    assert!(asked.iter().all(|asked| asked.param("driveId").is_none()), "{asked:?}");
    world.drive().move_to(world.later(), &mine, &drive);
    assert_eq!(world.told().await, ["removed mine"], "it left My Drive");
    world.is_quiet().await;
    // Followed again, from where they were left.
    world.drive().create(world.later(), NewFile::text("new", "1").inside(&drive));
    world.restart_with(json!({}));
    let mut told = world.told().await;
    told.sort();
    assert!(told.contains(&"shared_with_you new".to_owned()), "{told:?}");
    world.is_quiet().await;
}

#[tokio::test]
async fn a_shared_drive_that_cannot_be_listed_does_not_hold_up_the_beginning() {
    let world = World::new().await;
    let now = world.fake.clock().now();
    let mut drives = ["one", "two"].map(|name| world.drive().add_drive(now, name));
    drives.sort();
    world.fake.faults().rule(Rule::always(&format!("driveId={}", drives[0]), Fault::Internal));
    let mut failed = 0;
    while world.memory.cursor().is_none() {
        failed += usize::from(world.turn().await.is_err());
        assert!(failed < 5);
    }
    world.drive().create(world.later(), NewFile::text("mine", ""));
    world.drive().create(world.later(), NewFile::text("ours", "").inside(&drives[1]));
    let problems = loop {
        match world.try_round().await {
            Ok((_, problems)) => break problems,
            Err(_) => failed += 1,
        }
        assert!(failed < 9);
    };
    assert!(!problems.is_empty());
    let events: Vec<String> = world.memory.events().iter().map(told).collect();
    assert_eq!(events, ["created mine", "shared_with_you ours"]);
}

#[tokio::test]
async fn a_beginning_that_reports_files_waits_for_each_drive() {
    let world = World::starting(json!({}), Some(StartAt::All)).await;
    let now = world.fake.clock().now();
    let drive = world.drive().add_drive(now, "team");
    world.drive().create(now, NewFile::text("ours", "").inside(&drive));
    world.fake.faults().rule(Rule::next(&format!("driveId={drive}"), 4, Fault::Internal));
    let mut failed = 0;
    while world.memory.cursor().is_none() {
        failed += usize::from(world.turn().await.is_err());
        assert!(failed < 9);
    }
    world.round().await;
    assert_eq!(world.memory.events().iter().map(told).collect::<Vec<_>>(), ["shared_with_you ours"]);
}

#[tokio::test]
async fn a_file_that_is_gone_before_its_text_is_read_is_no_problem() {
    let world = World::new().await;
    world.round().await;
    let id = world.drive().create(world.later(), NewFile::text("a", "x"));
    world.fake.faults().rule(Rule::next(&format!("/files/{id}"), 1, Fault::NotFound));
    assert_eq!(world.told().await, ["created a"]);
}

#[tokio::test]
async fn a_file_that_moves_into_a_drive_and_is_edited_has_both_told() {
    let world = World::new().await;
    let drive = world.drive().add_drive(world.fake.clock().now(), "team");
    world.round().await;
    let id = world.drive().create(world.later(), NewFile::doc("a", "one"));
    world.round().await;
    world.drive().move_to(world.later(), &id, &drive);
    world.drive().edit(world.later(), &id, "two");
    let events = world.round().await;
    let names: Vec<String> = events.iter().map(told).collect();
    assert_eq!(names, ["moved a", "shared_with_you a", "updated a"]);
    assert_eq!(data(&events[2])["contentDiff"]["changes"], json!([{ "before": "one", "after": "two" }]));
    world.is_quiet().await;
}

#[tokio::test]
async fn a_drive_that_a_list_leaves_out_and_that_is_still_there_is_followed() {
    let mut world = World::new().await;
    let now = world.fake.clock().now();
    let drive = world.drive().add_drive(now, "team");
    let id = world.drive().create(now, NewFile::text("a", "").inside(&drive));
    let between = Between::start(&world.fake.base()).await;
    world.restart_with(json!({ "api_root": between.base() }));
    world.round().await;
    between.answer("/drive/v3/drives?", &json!({ "drives": [] }));
    assert_eq!(world.told().await, NOTHING);
    world.drive().rename(world.later(), &id, "b");
    assert_eq!(world.told().await, ["updated b"]);
    world.is_quiet().await;
    world.drive().remove_drive(world.later(), &drive);
    assert_eq!(world.told().await, ["removed b"]);
    world.is_quiet().await;
}

#[tokio::test]
async fn a_file_that_is_taken_away_and_still_open_to_all_is_removed() {
    for with_drives in [false, true] {
        let mut world = World::new().await;
        if with_drives {
            world.drive().add_drive(world.fake.clock().now(), "team");
        }
        let between = Between::start(&world.fake.base()).await;
        world.restart_with(json!({ "api_root": between.base() }));
        world.round().await;
        let ann = Person::new("Ann", "ann@example.com");
        let id = world.drive().share_with_me(world.later(), NewFile::text("a", ""), ann);
        assert_eq!(world.told().await, ["shared_with_you a"]);
        let open = json!({ "id": id, "name": "a", "permissions": [{ "type": "anyone" }] });
        between.answer(&format!("/drive/v3/files/{id}?"), &open);
        world.drive().unshare(world.later(), &id);
        assert_eq!(world.told().await, ["removed a"], "{with_drives}");
        world.is_quiet().await;
    }
}

#[tokio::test]
async fn a_file_that_is_gone_is_not_removed_before_it_can_be_looked_for() {
    let world = World::new().await;
    let drive = world.drive().add_drive(world.fake.clock().now(), "team");
    let id = world.drive().create(world.fake.clock().now(), NewFile::text("a", ""));
    world.round().await;
    world.drive().move_to(world.later(), &id, &drive);
    world.fake.faults().rule(Rule::next(&format!("/files/{id}"), 5, Fault::Internal));
    let mut failed = 0;
    while world.try_round().await.is_err() {
        failed += 1;
    }
    assert_eq!(failed, 5);
    let told: Vec<String> = world.memory.events().iter().map(told).collect();
    assert_eq!(told, ["moved a", "shared_with_you a"]);
}

#[tokio::test]
async fn files_that_move_away_before_their_drive_is_gone_are_moved() {
    for keep in [0, 1] {
        let world = World::new().await;
        let now = world.fake.clock().now();
        let mut drives = ["one", "two"].map(|name| world.drive().add_drive(now, name));
        drives.sort();
        let id = world.drive().create(now, NewFile::text("a", "").inside(&drives[1 - keep]));
        world.round().await;
        let now = world.later();
        world.drive().move_to(now, &id, &drives[keep]);
        world.drive().remove_drive(now, &drives[1 - keep]);
        assert_eq!(world.told().await, ["moved a"]);
        // Into one that is new.
        let now = world.later();
        let third = world.drive().add_drive(now, "three");
        world.drive().move_to(now, &id, &third);
        world.drive().remove_drive(now, &drives[keep]);
        assert_eq!(world.told().await, ["moved a"]);
        world.is_quiet().await;
    }
}

#[tokio::test]
async fn a_file_that_moves_into_the_first_shared_drive_is_moved() {
    let world = World::new().await;
    let id = world.drive().create(world.fake.clock().now(), NewFile::text("a", ""));
    world.round().await;
    let now = world.later();
    let drive = world.drive().add_drive(now, "team");
    world.drive().move_to(now, &id, &drive);
    assert_eq!(world.told().await, ["moved a", "shared_with_you a"]);
    world.is_quiet().await;
}

#[tokio::test]
async fn a_shared_drive_whose_cursor_somebody_deleted_is_no_new_one() {
    let world = World::new().await;
    let now = world.fake.clock().now();
    let drive = world.drive().add_drive(now, "team");
    let id = world.drive().create(now, NewFile::text("a", "1").inside(&drive));
    world.round().await;
    world.drive().edit(world.later(), &id, "22");
    world.edit(&format!("gdrive:shared-drive-cursor:{drive}"), None).await;
    assert_eq!(world.told().await, ["updated a"]);
    world.is_quiet().await;
}
