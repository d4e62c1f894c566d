//! What people do with files, and what is told of it, word for word.

use inboxclaw_fakes::google::drive::{NewFile, Person};
use serde_json::{Value, json};

use crate::world::{World, data, told};

const NOTHING: [&str; 0] = [];

fn ann() -> Person {
    Person::new("Ann", "ann@example.com")
}

#[tokio::test]
async fn a_file_is_created() {
    let world = World::new().await;
    world.round().await;
    world.is_quiet().await;
    let now = world.later();
    let (id, root) = {
        let mut drive = world.drive();
        (drive.create(now, NewFile::text("a.txt", "Hello")), drive.root().to_owned())
    };
    let events = world.round().await;
    assert_eq!(events.len(), 1);
    let event = &events[0];
    assert_eq!(event.event_id, format!("drive-{id}-google.drive.file_created-2026-11-22T12:01:00.000Z"));
    assert_eq!(event.event_type, "google.drive.file_created");
    assert_eq!(event.entity_id.as_deref(), Some(id.as_str()));
    assert_eq!(event.occurred_at, Some(now));
    let me = json!({ "displayName": "Me Myself", "emailAddress": "me@example.com" });
    let expected = json!({
        "fileId": id, "name": "a.txt", "mimeType": "text/plain", "parentIds": [root], "owners": [me],
        "modificationDate": "2026-11-22T12:01:00.000Z", "lastModifyingUser": me,
        "webViewLink": format!("https://drive.google.com/file/d/{id}/view?usp=drivesdk"), "size": "5",
        "createdTime": "2026-11-22T12:01:00.000Z",
    });
    assert_eq!(event.data.as_str(), expected.to_string(), "with the fields in their order");
    world.is_quiet().await;
    world.is_well_asked();
}

#[tokio::test]
async fn the_first_edit_of_an_old_file_is_reported() {
    let world = World::new().await;
    let id = world.drive().create(world.fake.clock().now(), NewFile::text("old.txt", "one"));
    assert_eq!(world.told().await, NOTHING);
    world.drive().edit(world.later(), &id, "one and more");
    let events = world.round().await;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].event_id, format!("drive-{id}-google.drive.file_updated-2026-11-22T12:01:00.000Z"));
    assert_eq!(
        data(&events[0])["changes"],
        json!({
            "modificationDate": { "before": "2026-11-22T12:00:00.000Z", "after": "2026-11-22T12:01:00.000Z" },
            "size": { "before": "3", "after": "12" },
        })
    );
    assert_eq!(data(&events[0]).get("contentDiff"), None, "the text was not known before");
    world.is_quiet().await;
}

#[tokio::test]
async fn what_happens_to_a_file_of_mine() {
    let world = World::new().await;
    let (id, folder, root) = {
        let mut drive = world.drive();
        let now = world.fake.clock().now();
        let folder = drive.create(now, NewFile::folder("folder"));
        (drive.create(now, NewFile::text("a", "text")), folder, drive.root().to_owned())
    };
    world.round().await;
    world.drive().move_to(world.later(), &id, &folder);
    let moved = world.round().await;
    assert_eq!(moved.len(), 1);
    assert_eq!(data(&moved[0])["parentIds"], json!({ "before": [root], "after": [folder] }));
    world.drive().trash(world.later(), &id);
    let trashed = world.round().await;
    assert_eq!(trashed.len(), 1);
    let flags = |data: Value| (data["trashedBefore"].clone(), data["trashedAfter"].clone());
    assert_eq!(flags(data(&trashed[0])), (json!(false), json!(true)));
    world.drive().restore(world.later(), &id);
    let restored = world.round().await;
    assert_eq!(flags(data(&restored[0])), (json!(true), json!(false)));
    world.drive().rename(world.later(), &id, "b");
    assert_eq!(world.told().await, ["updated b"]);
    world.drive().describe(world.later(), &id, "words");
    assert_eq!(world.told().await, ["updated b"]);
    world.drive().touch(world.later(), &id);
    assert_eq!(world.told().await, NOTHING);
    world.drive().share(world.later(), &id, "ann@example.com");
    assert_eq!(world.told().await, NOTHING);
    world.drive().give_away(world.later(), &id, ann());
    assert_eq!(world.told().await, ["shared_with_you b"]);
    world.drive().unshare(world.later(), &id);
    let removed = world.round().await;
    assert_eq!(removed[0].event_id, format!("drive-{id}-google.drive.file_removed-2026-11-22T12:09:00.000Z"));
    let expected = json!({
        "fileId": id, "lastKnownName": "b", "lastKnownMimeType": "text/plain", "lastKnownParentIds": [folder],
    });
    assert_eq!(removed[0].data.as_str(), expected.to_string());
    let left = world.memory.values();
    assert!(left.keys().all(|key| !key.contains(&id) || key.starts_with("gdrive:gone:")), "{left:?}");
    world.is_quiet().await;
    world.is_well_asked();
}

#[tokio::test]
async fn the_trash_takes_what_is_in_a_folder_along() {
    let world = World::new().await;
    let folder = world.drive().create(world.fake.clock().now(), NewFile::folder("f"));
    world.drive().create(world.fake.clock().now(), NewFile::text("a", "").inside(&folder));
    world.round().await;
    world.drive().trash(world.later(), &folder);
    assert_eq!(world.told().await, ["trashed f", "trashed a"]);
    world.drive().restore(world.later(), &folder);
    assert_eq!(world.told().await, ["untrashed f", "untrashed a"]);
    world.drive().remove(world.later(), &folder);
    assert_eq!(world.told().await, ["removed f", "removed a"]);
}

#[tokio::test]
async fn a_folder_that_is_renamed_is_updated() {
    let world = World::new().await;
    let folder = world.drive().create(world.fake.clock().now(), NewFile::folder("old"));
    world.round().await;
    world.drive().rename(world.later(), &folder, "new");
    let events = world.round().await;
    assert_eq!(events.iter().map(told).collect::<Vec<_>>(), ["updated new"]);
    assert_eq!(data(&events[0])["changes"]["name"], json!({ "before": "old", "after": "new" }));
    world.is_quiet().await;
}

/// Programs that upload keep the times that a file has on the disk. It used to be taken for one that was there.
#[tokio::test]
async fn a_new_file_is_new_however_old_it_says_to_be() {
    let old = || "2018-01-01T00:00:00Z".parse().unwrap();
    let world = World::new().await;
    let known = world.drive().create(world.fake.clock().now(), NewFile::text("known", "").created(old()));
    world.round().await;
    let now = world.later();
    world.drive().create(now, NewFile::text("uploaded", "").created(old()));
    world.drive().touch(now, &known);
    assert_eq!(world.told().await, ["created uploaded"]);
    // As one that a former version knew everything with.
    let mut baseline: Value = serde_json::from_str(&world.memory.values()["gdrive:baseline"]).unwrap();
    baseline.as_object_mut().unwrap().remove("listed_at").unwrap();
    world.edit("gdrive:baseline", Some(baseline)).await;
    world.drive().touch(world.later(), &known);
    assert_eq!(world.told().await, NOTHING);
    // After its removal it is new again, and in a log that is lost a new one is found.
    world.drive().remove(world.later(), &known);
    assert_eq!(world.told().await, ["removed known"]);
    world.drive().create(world.later(), NewFile::text("found", "").created(old()));
    world.drive().expire_tokens(None, 410);
    assert_eq!(world.told().await, ["created found", "gap user"]);
    world.is_quiet().await;
}

#[tokio::test]
async fn a_file_is_shared_with_me() {
    let world = World::new().await;
    world.round().await;
    let created = "2020-01-01T00:00:00Z".parse().unwrap();
    let id = world.drive().share_with_me(world.later(), NewFile::text("a", "").created(created), ann());
    let events = world.round().await;
    assert_eq!(events.len(), 1);
    let ann = json!({ "displayName": "Ann", "emailAddress": "ann@example.com" });
    let data = data(&events[0]);
    assert_eq!(
        events[0].event_id,
        format!("drive-{id}-google.drive.file_shared_with_you-2026-11-22T12:01:00.000Z")
    );
    assert_eq!(data["sharedWithMeTime"], "2026-11-22T12:01:00.000Z");
    assert_eq!(
        (&data["sharingUser"], &data["owners"], &data["parentIds"]),
        (&ann, &json!([ann]), &json!([]))
    );
    world.drive().edit(world.later(), &id, "news");
    assert_eq!(world.told().await, ["updated a"]);
}

#[tokio::test]
async fn what_comes_and_goes_between_two_polls_is_a_removal_of_something_unknown() {
    let world = World::new().await;
    world.round().await;
    let id = world.drive().create(world.later(), NewFile::text("a", ""));
    world.drive().remove(world.later(), &id);
    let events = world.round().await;
    let expected = json!({
        "fileId": id, "lastKnownName": null, "lastKnownMimeType": null, "lastKnownParentIds": [],
    });
    assert_eq!(events.iter().map(data).collect::<Vec<_>>(), [expected]);
}

#[tokio::test]
async fn filters_leave_files_out() {
    let filters = json!([{ "drafts": { "in": "name", "contains": "DRAFT" } }, { "b": { "in": "name", "regex": "^tmp" } }]);
    let world = World::with(json!({ "filters": filters })).await;
    world.round().await;
    let (a, b, folder) = {
        let mut drive = world.drive();
        let now = world.later();
        let a = drive.create(now, NewFile::text("a draft", ""));
        (a, drive.create(now, NewFile::text("b", "")), drive.create(now, NewFile::folder("tmpfolder")))
    };
    assert_eq!(world.told().await, ["created b"]);
    // Let in under another name, and left out again.
    world.drive().rename(world.later(), &a, "a");
    assert_eq!(world.told().await, ["created a"]);
    world.drive().rename(world.later(), &b, "b draft");
    assert_eq!(world.told().await, NOTHING);
    assert!(!world.memory.values().contains_key(&format!("gdrive:file:{b}")));

    // By a folder, also when all that is known is what was known.
    let filters = json!([{ "f": { "in": "parent_id", "contains": folder } }]);
    let world2 = World::with(json!({ "filters": filters })).await;
    *world2.fake.drive() = world.drive().clone();
    world2.round().await;
    world2.drive().move_to(world2.later(), &a, &folder);
    assert_eq!(world2.told().await, NOTHING);
    assert!(!world2.memory.values().contains_key(&format!("gdrive:file:{a}")));
}

#[tokio::test]
async fn my_drive_alone() {
    let world = World::with(json!({ "restrict_to_my_drive": true })).await;
    let shared = world.drive().add_drive(world.fake.clock().now(), "team");
    world.drive().share_with_me(world.fake.clock().now(), NewFile::text("theirs", ""), ann());
    assert_eq!(world.told().await, NOTHING);
    assert!(world.memory.values().keys().all(|key| !key.starts_with("gdrive:file:")));
    let now = world.later();
    world.drive().create(now, NewFile::text("mine", ""));
    world.drive().create(now, NewFile::text("ours", "").inside(&shared));
    world.drive().share_with_me(now, NewFile::text("theirs too", ""), ann());
    assert_eq!(world.told().await, ["created mine"]);
    let asked = world.fake.requests();
    assert!(asked.iter().all(|asked| !asked.path.ends_with("/drives")), "{asked:?}");
    world.is_well_asked();
}
