//! The program's own files in a folder that it watches: each report changes them, so to report them never ends.

use std::os::unix::fs::symlink;

use serde_json::json;

use crate::folder::Folder;

/// A folder that `way` leads to as well, and through it the configured path of the program's own file.
fn with_link(settings: serde_json::Value) -> Folder {
    let folder = Folder::new(settings);
    symlink(folder.path(""), folder.path("../way")).unwrap();
    folder
}

#[tokio::test]
async fn own_files_are_left_out_under_every_name_and_whatever_the_patterns() {
    for settings in [json!({}), json!({ "path": "way" }), json!({ "ignore_patterns": [] })] {
        let mut folder = with_link(settings);
        folder.check(&[]).await;
        for round in ["1", "2"] {
            for path in ["own.db", "own.db-wal", "own.db-shm", "own.db.lock", "own.db.run.partial"] {
                folder.write(&format!("data/{path}"), round);
            }
            folder.check(&[]).await;
        }
        // Even under the name of a link; but what only looks alike counts.
        symlink("data/own.db", folder.path("latest")).unwrap();
        folder.write("own.db", "1");
        folder.write("data/own.dbx", "2");
        folder.check(&["created data/own.dbx", "created own.db"]).await;
    }
}

#[tokio::test]
async fn where_a_link_in_the_place_of_an_own_file_leads_is_left_out_too() {
    let mut folder = with_link(json!({}));
    folder.check(&[]).await;
    folder.write("real/store", "1");
    folder.write("data/x", "1");
    symlink("../real/store", folder.path("data/own.db")).unwrap();
    folder.write("real/store-wal", "1");
    folder.check(&["created data/x"]).await;
}

#[tokio::test]
async fn own_files_that_were_known_are_forgotten_without_a_word() {
    let mut folder = Folder::with(json!({}), &[("data/own.db", "1")]).await;
    assert!(folder.memory.values().contains_key("f:data/own.db"));
    symlink(folder.path(""), folder.path("../way")).unwrap();
    folder.write("data/own.db", "2");
    folder.check(&[]).await;
    assert!(!folder.memory.values().contains_key("f:data/own.db"));
}
