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

#[test]
fn settings_that_match_nothing_are_doubtful() {
    let kind = SOURCES.iter().find(|kind| kind.name == "filesystem").unwrap();
    let warnings = |settings: Value| -> Vec<String> {
        let mut all = json!({ "path": "x" });
        all.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
        let built = (kind.build)(all, &outside("/")).unwrap();
        built.warnings.into_iter().map(|warning| format!("{}: {}", warning.path, warning.message)).collect()
    };
    for pattern in [
        "node_modules/",
        "./build",
        "{a,b}/*",
        "!keep.txt",
        "../x",
        "~/x",
        "a//b",
        "a\\b",
        " a",
        "*.a, *.b",
        "*",
    ] {
        let found = warnings(json!({ "ignore_patterns": [pattern] }));
        assert!(found.len() == 1 && found[0].starts_with("ignore_patterns: "), "{pattern}: {found:?}");
    }
    for extension in ["*.md", ".tar.gz", "md txt", "md,txt", ".m d", ".", "a/b", ".tmp"] {
        let found = warnings(json!({ "extensions": [extension] }));
        assert!(found.len() == 1 && found[0].starts_with("extensions: "), "{extension}: {found:?}");
    }
    assert_eq!(warnings(json!({ "max_hash_bytes": 0 })).len(), 1);
    let good = json!({
        "ignore_patterns": ["build", "*/build", "*.tmp", "[a-z]*", "a b/*", "[!a]x", ".*"],
        "extensions": [".md", "TXT", ""],
    });
    assert_eq!(warnings(good), Vec::<String>::new());
    assert_eq!(warnings(json!({})), Vec::<String>::new());
    assert_eq!(
        warnings(json!({ "ignore_patterns": "node_modules/" })),
        [
            "ignore_patterns: the pattern \"node_modules/\" ends with a slash and matches nothing: \"node_modules\" leaves \
             out a folder of that name at the top with all it holds, \"*/node_modules\" those below"
        ]
    );
}

#[tokio::test]
async fn the_usual_leftovers_are_ignored() {
    let mut folder = Folder::with(json!({}), &[]).await;
    for path in [".git/config", "a.tmp", "sub/b.tmp", ".trash/x", "sub/.git/config", "sub/.trash/x", ".env"] {
        folder.write(path, path);
    }
    folder.check(&["created .env"]).await;
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
