//! State that goes back: what was reported is not reported again, what was not is not lost.

use serde_json::json;

use crate::folder::Folder;

#[tokio::test]
async fn a_rewind_neither_repeats_nor_swallows() {
    let mut folder = Folder::with(json!({}), &[("a", "1"), ("b", "2"), ("c", "3")]).await;
    let before = folder.memory.saved();
    folder.write("a", "one");
    folder.write("new", "new");
    folder.remove("b");
    folder.rename("c", "d");
    folder.check(&["deleted b", "moved c > d", "created new", "updated a"]).await;
    folder.memory.rewind(before);
    folder.check(&[]).await;
    folder.write("a", "1");
    folder.write("b", "2");
    folder.remove("new");
    folder.check(&["deleted new", "created b", "updated a"]).await;
}

#[tokio::test]
async fn a_rewind_together_with_new_changes_reports_those() {
    let mut folder = Folder::with(json!({}), &[("a", "1")]).await;
    let before = folder.memory.saved();
    folder.write("a", "2");
    folder.check(&["updated a"]).await;
    folder.memory.rewind(before);
    folder.write("a", "3");
    folder.write("b", "b");
    folder.check(&["created b", "updated a"]).await;
}

#[tokio::test]
async fn metadata_moves_no_version_that_was_reported() {
    let mut folder = Folder::with(json!({}), &[]).await;
    folder.write("a", "1");
    folder.check(&["created a"]).await;
    let created = folder.events[0].event_id.clone();
    let before = folder.memory.saved();
    folder.chmod("a", 0o600);
    folder.check(&[]).await;
    folder.memory.rewind(before.clone());
    folder.check(&[]).await;
    folder.remove("a");
    folder.check(&["deleted a"]).await;
    let deleted = folder.events[0].event_id.clone();
    assert_eq!(deleted.strip_prefix("deleted"), created.strip_prefix("created"), "one version, one name");
    folder.memory.rewind(before);
    folder.check(&[]).await;
}

#[tokio::test]
async fn a_lost_turn_is_repeated_as_a_whole() {
    let mut folder = Folder::with(json!({}), &[("a", "1")]).await;
    folder.write("a", "2");
    folder.write("b", "b");
    folder.lost_poll().await;
    folder.lost_poll().await;
    folder.check(&["created b", "updated a"]).await;
}

#[tokio::test]
async fn an_entry_that_a_person_deleted_or_broke_is_made_anew() {
    let mut folder = Folder::with(json!({ "bootstrap": "all" }), &[]).await;
    folder.write("a", "1");
    folder.check(&["created a"]).await;
    let (cursor, mut entries) = folder.memory.saved();
    entries.get_mut("f:a").unwrap().value = inboxclaw_contract::Json::new("\"broken\"").unwrap();
    folder.memory.rewind((cursor.clone(), entries.clone()));
    folder.check(&[]).await;
    assert!(folder.memory.values()["f:a"].contains("sha256"));
    entries.remove("f:a");
    folder.memory.rewind((cursor, entries));
    folder.check(&[]).await;
    assert!(folder.memory.values()["f:a"].contains("sha256"));
}
