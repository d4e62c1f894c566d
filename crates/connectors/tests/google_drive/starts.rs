//! Where a source begins, how large a first listing may be, and what other settings mean for what is known.

use inboxclaw_contract::Next;
use inboxclaw_contract::settings::StartAt;
use inboxclaw_fakes::google::drive::{Drive, NewFile, Person};
use serde_json::json;

use crate::world::{World, told};

const NOTHING: [&str; 0] = [];

async fn first(start: StartAt) -> (World, Vec<String>) {
    let world = World::starting(json!({}), Some(start)).await;
    let created = |day: u32| format!("2026-11-0{day}T00:00:00Z").parse().unwrap();
    {
        let mut drive = world.drive();
        let now = world.fake.clock().now();
        drive.create(now, NewFile::text("third", "").created(created(3)));
        let trashed = drive.create(now, NewFile::text("trashed", "").created(created(5)));
        drive.trash(now, &trashed);
        drive.create(now, NewFile::text("fifth", "").created(created(5)));
        drive.share_with_me(
            now,
            NewFile::text("theirs", "").created(created(1)),
            Person::new("Ann", "a@example.com"),
        );
        let team = drive.add_drive(now, "team");
        drive.create(now, NewFile::text("ours", "").inside(&team).created(created(5)));
    }
    let mut events = world.told().await;
    events.sort();
    world.is_quiet().await;
    (world, events)
}

#[tokio::test]
async fn the_files_of_the_start() {
    assert_eq!(first(StartAt::Now).await.1, NOTHING);
    let all = ["created fifth", "created third", "shared_with_you ours", "shared_with_you theirs"];
    let (world, events) = first(StartAt::All).await;
    assert_eq!(events, all);
    let fifth = world.memory.events().into_iter().find(|event| told(event) == "created fifth").unwrap();
    assert!(
        fifth.event_id.ends_with("-google.drive.file_created-2026-11-05T00:00:00.000Z"),
        "{}",
        fifth.event_id
    );
    let since = StartAt::Since("2026-11-04T00:00:00Z".parse().unwrap());
    assert_eq!(first(since).await.1, ["created fifth", "shared_with_you ours", "shared_with_you theirs"]);
}

#[tokio::test]
async fn what_appears_during_the_first_listing_is_known_or_reported() {
    let mut world = World::new().await;
    *world.drive() = Drive::bulk(world.fake.clock().now(), 5);
    world.drive().paging.largest_page = Some(2);
    world.turn().await.unwrap();
    world.drive().create(world.later(), NewFile::text("seen", ""));
    world.restart();
    assert_eq!(world.memory.cursor(), None);
    assert_eq!(world.told().await, NOTHING, "what the listing shows belongs to the beginning");
    assert!(world.memory.cursor().is_some());
    world.drive().create(world.later(), NewFile::text("after", ""));
    assert_eq!(world.told().await, ["created after"]);
}

#[tokio::test]
async fn a_first_listing_is_a_page_each_turn() {
    let world = World::new().await;
    let now = world.fake.clock().now();
    *world.drive() = Drive::bulk(now, 3_500);
    let mut turns = 0;
    while world.turn().await.unwrap().next == Next::More {
        turns += 1;
    }
    assert!(turns <= 8, "{turns}");
    let known = world.memory.values();
    let sizes: usize =
        known.iter().filter(|(key, _)| key.starts_with("gdrive:file:")).map(|(_, value)| value.len()).sum();
    assert!(sizes < 3_500 * 900, "{} bytes each", sizes / 3_500);
    let lists = world.fake.requests().iter().filter(|asked| asked.path.ends_with("/files")).count();
    assert_eq!(lists, 4);
    world.is_quiet().await;
}

#[tokio::test]
async fn a_first_listing_gets_through_however_often_its_tokens_expire() {
    let world = World::new().await;
    *world.drive() = Drive::bulk(world.fake.clock().now(), 6);
    world.drive().paging.largest_page = Some(2);
    let (mut waits, mut problems) = (0, 0);
    for _ in 0..8 {
        for _ in 0..2 {
            let polled = world.turn().await.unwrap();
            waits += usize::from(polled.next == Next::Wait);
            problems += polled.problems.len();
        }
        world.drive().expire_listings();
    }
    assert!(waits == problems && waits > 0, "{waits} {problems}");
    assert!(world.memory.cursor().is_none());
    world.try_round().await.unwrap();
    world.round().await;
    assert!(world.memory.cursor().is_some() && world.memory.events().is_empty());
    let id = world.drive().files().next().unwrap().id.clone();
    world.drive().edit(world.later(), &id, "22");
    assert_eq!(world.round().await.len(), 1);
}

#[tokio::test]
async fn other_filters_list_again_and_lose_nothing() {
    let filtered = json!({ "filters": [{ "f": { "in": "name", "contains": "old" } }] });
    let mut world = World::with(filtered).await;
    let long_ago = "2026-01-01T00:00:00Z".parse().unwrap();
    let now = world.fake.clock().now();
    let id = world.drive().create(now, NewFile::text("old", "1").created(long_ago));
    world.round().await;
    assert!(!world.memory.values().contains_key(&format!("gdrive:file:{id}")));
    world.drive().create(world.later(), NewFile::text("new", ""));
    world.restart_with(json!({}));
    assert_eq!(world.told().await, ["created new"]);
    world.drive().edit(world.later(), &id, "22");
    assert_eq!(world.told().await, ["updated old"], "it was listed silently");
    world.is_quiet().await;
}
