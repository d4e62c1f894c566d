//! What an event says, and that each change has exactly one.

use std::collections::HashSet;
use std::fs;

use serde_json::json;

use crate::folder::Folder;

#[tokio::test]
async fn files_that_are_there_at_first_are_the_baseline() {
    let mut folder = Folder::with(json!({}), &[("a.md", "a"), ("sub/b.md", "b")]).await;
    folder.write("sub/c.md", "c");
    folder.check(&["created sub/c.md"]).await;
    folder.check(&[]).await;
}

#[tokio::test]
async fn with_bootstrap_all_they_are_reported() {
    let mut folder = Folder::new(json!({ "bootstrap": "all" }));
    folder.write("b.md", "b");
    folder.write("a.md", "a");
    folder.check(&["created a.md", "created b.md"]).await;
    folder.restart(json!({}));
    folder.check(&[]).await;
}

#[tokio::test]
async fn events_hold_path_type_and_size() {
    let mut folder = Folder::with(json!({}), &[]).await;
    folder.write("sub/n\u{F3}ta.md", "hello");
    folder.check(&["created sub/n\u{F3}ta.md"]).await;
    let event = &folder.events[0];
    assert_eq!(event.event_type, "fs.file_created");
    assert_eq!(event.entity_id.as_deref(), Some("sub/n\u{F3}ta.md"));
    assert_eq!(event.occurred_at, Some("2026-11-22T12:00:00Z".parse().unwrap()));
    assert_eq!(
        event.data.as_str(),
        "{\"path\":\"sub/n\u{F3}ta.md\",\"mime_type\":\"text/markdown\",\"size_bytes\":5}"
    );
    let parts: Vec<&str> = event.event_id.split(':').collect();
    assert_eq!((parts[0], parts[1], parts.len()), ("created", "sub/n\u{F3}ta.md", 5));
    assert_eq!(parts[4], "2cf24dba5fb0a30e");
}

#[tokio::test]
async fn groups_come_in_order_and_paths_within_them() {
    let files = [("a", "1"), ("b", "2"), ("c", "3"), ("d", "4"), ("e", "5"), ("f", "6")];
    let mut folder = Folder::with(json!({}), &files).await;
    for path in ["f", "a"] {
        folder.remove(path);
    }
    for path in ["d", "b"] {
        folder.write(path, &format!("{path} is another"));
    }
    for (from, to) in [("e", "x2"), ("c", "x1")] {
        folder.rename(from, to);
    }
    for path in ["z", "y"] {
        folder.write(path, path);
    }
    let expected = [
        "deleted a",
        "deleted f",
        "moved c > x1",
        "moved e > x2",
        "created y",
        "created z",
        "updated b",
        "updated d",
    ];
    folder.check(&expected).await;
}

#[tokio::test]
async fn only_the_content_makes_an_update() {
    let mut folder = Folder::with(json!({}), &[("a", "same")]).await;
    let writes = folder.memory.writes();
    folder.check(&[]).await;
    assert_eq!(folder.memory.writes(), writes, "an unchanged folder writes nothing");
    folder.write("a", "same");
    folder.chmod("a", 0o600);
    folder.check(&[]).await;
    assert_eq!(folder.memory.writes(), writes + 1, "the stat is brought up to date");
    folder.check(&[]).await;
    assert_eq!(folder.memory.writes(), writes + 1);
    folder.write("a", "SAME");
    folder.check(&["updated a"]).await;
}

#[tokio::test]
async fn what_is_written_between_two_looks_is_one_change() {
    let mut folder = Folder::with(json!({}), &[("b", "1")]).await;
    folder.write("a", "");
    folder.write("a", "text");
    folder.write("b", "2");
    folder.write("b", "3");
    folder.write("c", "soon gone");
    folder.remove("c");
    folder.check(&["created a", "updated b"]).await;
    folder.check(&[]).await;
}

#[tokio::test]
async fn there_and_back_again_is_never_swallowed() {
    let mut folder = Folder::with(json!({}), &[("a", "A")]).await;
    let mut ids = HashSet::new();
    for (content, expected) in [
        (Some("B"), "updated a"),
        (Some("A"), "updated a"),
        (Some("B"), "updated a"),
        (None, "deleted a"),
        (Some("B"), "created a"),
        (None, "deleted a"),
        (Some("B"), "created a"),
    ] {
        match content {
            Some(content) => folder.write("a", content),
            None => folder.remove("a"),
        }
        folder.check(&[expected]).await;
        assert!(ids.insert(folder.events[0].event_id.clone()), "{ids:?}");
    }
}

#[tokio::test]
async fn contents_of_one_tick_and_one_size_are_told_apart() {
    let mut folder = Folder::with(json!({}), &[]).await;
    folder.tick();
    for round in 0..50_u32 {
        fs::write(folder.path("a"), round.to_be_bytes()).unwrap();
        // Else it is reported ever more rarely.
        folder.pass(60);
        folder.check(&[if round == 0 { "created a" } else { "updated a" }]).await;
    }
}

#[tokio::test]
async fn changes_made_while_the_program_was_down_are_reported() {
    let mut folder = Folder::with(json!({}), &[("a", "1"), ("b", "2"), ("c", "3")]).await;
    folder.write("a", "one");
    folder.remove("b");
    folder.rename("c", "d");
    folder.restart(json!({}));
    folder.check(&["deleted b", "moved c > d", "updated a"]).await;
}

#[tokio::test]
async fn previews_show_the_beginning_of_texts() {
    let mut folder =
        Folder::with(json!({ "include_content_preview": true, "content_preview_length": 4 }), &[]).await;
    fs::write(folder.path("a.txt"), b"\xFF\xC5\xBDlut\xC3\xBD").unwrap();
    fs::write(folder.path("b.png"), "png").unwrap();
    folder.check(&["created a.txt", "created b.png"]).await;
    assert_eq!(folder.data(0)["content_preview"], json!("\u{FFFD}\u{17D}lu"));
    assert_eq!(folder.data(1).get("content_preview"), None);
    folder.remove("a.txt");
    folder.remove("b.png");
    folder.check(&["deleted a.txt", "deleted b.png"]).await;
    assert_eq!(folder.data(0)["content_preview"], json!(""));
    assert_eq!(folder.data(0)["size_bytes"], json!(8));
    assert_eq!(folder.data(1).get("content_preview"), None);
}

#[tokio::test]
async fn updates_of_texts_show_what_changed() {
    let mut folder =
        Folder::with(json!({ "max_diff_bytes": 20 }), &[("a.md", "one\n\ntwo"), ("b.pdf", "x")]).await;
    folder.write("a.md", "one\n\n2");
    folder.write("b.pdf", "y");
    folder.check(&["updated a.md", "updated b.pdf"]).await;
    let diff = json!({
        "totalChangedSections": 1, "changes": [{ "before": "two", "after": "2" }], "addedCharCount": 1, "removedCharCount": 3
    });
    assert_eq!(folder.data(0)["content_diff"], diff);
    assert_eq!(folder.data(1).get("content_diff"), None);
    // Larger than what is kept: no difference, neither then nor with the next version.
    folder.write("a.md", &"x".repeat(21));
    folder.check(&["updated a.md"]).await;
    assert_eq!(folder.data(0).get("content_diff"), None);
    folder.write("a.md", "small");
    folder.check(&["updated a.md"]).await;
    assert_eq!(folder.data(0).get("content_diff"), None);
    folder.write("a.md", "smaller");
    folder.check(&["updated a.md"]).await;
    assert_eq!(folder.data(0)["content_diff"]["totalChangedSections"], json!(1));
    assert_eq!(folder.memory.values()["t:a.md"], "\"smaller\"");
    folder.remove("a.md");
    folder.check(&["deleted a.md"]).await;
    assert!(!folder.memory.values().contains_key("t:a.md"), "the text goes with its file");
}
