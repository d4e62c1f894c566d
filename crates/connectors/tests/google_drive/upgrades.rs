//! State that the forerunner left, in both of its shapes.

use inboxclaw_fakes::google::drive::NewFile;
use serde_json::{Value, json};

use crate::world::{World, data};

/// A source that takes over from the forerunner, which knew one file, now of three characters.
async fn taken_over(baseline: Option<Value>, snapshot: Value) -> (World, String) {
    let world = World::new().await;
    let id = world.drive().create(world.fake.clock().now(), NewFile::text("a", "one"));
    // Its token is as good as ours.
    world.round().await;
    let cursor = world.memory.cursor();
    world.edit_all(|draft| draft.clear().unwrap()).await;
    assert_eq!(world.memory.cursor(), cursor);
    if let Some(baseline) = baseline {
        world.edit("gdrive:baseline", Some(baseline)).await;
    }
    let mut known = json!({
        "file_id": id, "name": "a", "mime_type": "text/plain", "parents": [world.drive().root().to_owned()],
        "trashed": false, "modified_time": "2026-11-22T12:00:00.000Z", "owners": null, "sharing_user": null,
    });
    for (key, value) in snapshot.as_object().unwrap() {
        known[key] = value.clone();
    }
    world.edit(&format!("gdrive:file:{id}"), Some(known)).await;
    (world, id)
}

#[tokio::test]
async fn texts_of_the_forerunner_are_compared() {
    let sha_of_one = "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed";
    let snapshot = json!({ "content_hash": sha_of_one, "content_snapshot": "one", "owned_by_me": null });
    let (world, id) = taken_over(None, snapshot).await;
    assert!(world.round().await.is_empty());
    let baseline: Value = serde_json::from_str(&world.memory.values()["gdrive:baseline"]).unwrap();
    assert_eq!((&baseline["trusted"], &baseline["listed"]), (&json!(true), &json!(true)));
    world.is_quiet().await;
    world.drive().edit(world.later(), &id, "two");
    let events = world.round().await;
    assert_eq!(events.len(), 1);
    assert_eq!(data(&events[0])["contentDiff"]["changes"], json!([{ "before": "one", "after": "two" }]));
    let values = world.memory.values();
    assert!(!values[&format!("gdrive:file:{id}")].contains("content_snapshot"));
    assert_eq!(values[&format!("gdrive:text:{id}")], r#""two""#);
}

#[tokio::test]
async fn a_text_of_the_forerunner_moves_to_its_own_entry() {
    let snapshot = json!({ "content_hash": "h", "content_snapshot": "one" });
    let (world, id) = taken_over(None, snapshot).await;
    world.drive().trash(world.later(), &id);
    world.round().await;
    let values = world.memory.values();
    assert_eq!(values[&format!("gdrive:text:{id}")], r#""one""#);
}

#[tokio::test]
async fn files_that_the_forerunner_never_listed_are_listed_once() {
    let baseline = json!({
        "trusted": true, "established_at": "2026-11-22T11:00:00.123456+00:00",
        "config_fingerprint": r#"{"filters": [], "restrict_to_my_drive": false}"#,
    });
    let (world, _) = taken_over(Some(baseline), json!({})).await;
    let old = "2026-01-01T00:00:00Z".parse().unwrap();
    let other = world.drive().create(world.fake.clock().now(), NewFile::text("b", "").created(old));
    assert!(world.round().await.is_empty());
    assert!(world.memory.values().contains_key(&format!("gdrive:file:{other}")));
    world.is_quiet().await;
    world.drive().edit(world.later(), &other, "x");
    assert_eq!(world.told().await, ["updated b"]);
}
