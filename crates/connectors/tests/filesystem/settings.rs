//! Settings: what is refused, and what a change of them does to what is known.

use std::fs;
use std::time::Duration;

use inboxclaw_connectors::SOURCES;
use serde_json::{Value, json};

use crate::folder::Folder;
use crate::support::outside;

#[test]
fn values_that_cannot_work_are_refused() {
    let kind = SOURCES.iter().find(|kind| kind.name == "filesystem").unwrap();
    let error = |settings: Value| (kind.build)(settings, &outside("/")).err().unwrap().to_string();
    for (settings, message) in [
        (json!({}), "missing field `path`"),
        (json!({ "path": "" }), "path is empty"),
        (
            json!({ "path": "~/x" }),
            "path \"~/x\" starts with ~, which only a shell understands; write ${HOME}",
        ),
        (json!({ "path": "x", "poll_interval": 0 }), "poll_interval is 0 seconds, it must be longer"),
        (json!({ "path": "x", "ignore_patterns": ["a", ""] }), "ignore_patterns holds an empty pattern"),
        (
            json!({ "path": "x", "content_preview_length": 16_385 }),
            "content_preview_length is 16385, the limit is 16384",
        ),
        (
            json!({ "path": "x", "max_diff_bytes": 1_048_577 }),
            "max_diff_bytes is 1048577, the limit is 1048576",
        ),
    ] {
        assert_eq!(error(settings.clone()), message, "{settings}");
    }
    assert!(error(json!({ "path": "x", "watch_mode": "sometimes" })).contains("sometimes"));
    assert!(error(json!({ "path": "x", "unknown": 1 })).contains("unknown"));
    let settings = json!({ "path": "x", "poll_interval": "1m", "recursive": "no", "extensions": null, "ignore_patterns": "*" });
    let built = (kind.build)(settings, &outside("/")).unwrap();
    assert_eq!(built.interval, Some(Duration::from_secs(60)));
    assert_eq!(built.settle, Duration::from_millis(300), "a burst of writes is one look");
}

#[tokio::test]
async fn the_usual_leftovers_are_ignored() {
    let mut folder = Folder::with(json!({}), &[]).await;
    for path in [".git/config", "a.tmp", "sub/b.tmp", ".trash/x", "sub/.git/config", ".env"] {
        folder.write(path, path);
    }
    folder.check(&["created .env", "created sub/.git/config"]).await;
}

#[tokio::test]
async fn only_some_extensions_and_only_the_folder_itself() {
    let mut folder = Folder::with(json!({ "extensions": [".md"], "recursive": false }), &[]).await;
    for path in ["a.MD", "b.txt", "sub/c.md"] {
        folder.write(path, path);
    }
    folder.check(&["created a.MD"]).await;
}

#[tokio::test]
async fn files_that_the_settings_leave_out_are_forgotten_without_a_word() {
    let mut folder = Folder::with(json!({}), &[("a.md", "1"), ("b.txt", "2"), ("sub/c.md", "3")]).await;
    folder.restart(json!({ "extensions": [".md"], "recursive": false }));
    folder.check(&[]).await;
    let known: Vec<String> = folder.memory.values().into_keys().collect();
    assert_eq!(known, ["baseline", "f:a.md", "t:a.md"]);
    folder.restart(json!({ "extensions": [], "recursive": true }));
    folder.check(&["created b.txt", "created sub/c.md"]).await;
}

#[tokio::test]
async fn another_folder_has_a_baseline_of_its_own() {
    let mut folder = Folder::with(json!({}), &[("a", "1")]).await;
    folder.write("../other/b", "2");
    folder.restart(json!({ "path": "other" }));
    folder.check(&[]).await;
    folder.write("../other/c", "3");
    folder.check(&["created c"]).await;
}

#[tokio::test]
async fn a_folder_under_another_name_is_the_same_folder() {
    let mut folder = Folder::with(json!({}), &[("a", "1")]).await;
    fs::rename(folder.path(""), folder.path("../renamed")).unwrap();
    folder.write("../renamed/b", "2");
    folder.restart(json!({ "path": "renamed" }));
    folder.check(&["created b"]).await;
}
