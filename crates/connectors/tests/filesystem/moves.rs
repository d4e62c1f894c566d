//! Renames: what is one, and what only looks like one.

use std::fs;

use serde_json::json;

use crate::folder::Folder;

#[tokio::test]
async fn a_rename_is_a_move() {
    let mut folder = Folder::with(json!({}), &[("a.md", "text"), ("empty", "")]).await;
    folder.rename("a.md", "b.txt");
    folder.rename("empty", "still empty");
    folder.check(&["moved a.md > b.txt", "moved empty > still empty"]).await;
    assert_eq!(
        folder.data(0),
        json!({ "path": "b.txt", "mime_type": "text/plain", "size_bytes": 4, "old_path": "a.md" })
    );
    assert_eq!(folder.events[0].entity_id.as_deref(), Some("b.txt"));
    folder.write("b.txt", "text\n\nmore");
    folder.check(&["updated b.txt"]).await;
    assert_eq!(folder.data(0)["content_diff"]["totalChangedSections"], json!(1), "the text moved along");
}

#[tokio::test]
async fn a_renamed_folder_moves_its_files() {
    let mut folder = Folder::with(json!({}), &[("d/a", "1"), ("d/e/b", "2"), ("other", "3")]).await;
    folder.rename("d", "x");
    folder.check(&["moved d/a > x/a", "moved d/e/b > x/e/b"]).await;
}

#[tokio::test]
async fn moved_and_changed_are_two_events() {
    let mut folder = Folder::with(json!({}), &[("a", "old")]).await;
    folder.rename("a", "b");
    folder.write("b", "old\n\nnew");
    folder.write("c", "c");
    folder.check(&["moved a > b", "created c", "updated b"]).await;
    assert_eq!(folder.data(2)["content_diff"]["addedCharCount"], json!(3));
    folder.check(&[]).await;
}

#[tokio::test]
async fn a_copy_that_replaces_its_original_is_a_move() {
    let mut folder = Folder::with(json!({}), &[("a", "text"), ("n", "")]).await;
    for (from, to) in [("a", "b"), ("n", "m")] {
        folder.write(to, &fs::read_to_string(folder.path(from)).unwrap());
        folder.remove(from);
    }
    // An empty content says nothing about where it came from.
    folder.check(&["deleted n", "moved a > b", "created m"]).await;
}

#[tokio::test]
async fn equal_contents_that_could_be_several_files_are_no_move() {
    let mut folder = Folder::with(json!({}), &[("a", "same"), ("b", "same"), ("c", "other")]).await;
    folder.write("x", "same");
    folder.write("y", "other");
    folder.write("z", "other");
    for path in ["a", "b", "c"] {
        folder.remove(path);
    }
    folder.check(&["deleted a", "deleted b", "deleted c", "created x", "created y", "created z"]).await;
}

#[tokio::test]
async fn a_reused_inode_is_no_move() {
    let mut folder = Folder::with(json!({}), &[("a", "1")]).await;
    for round in 0..20 {
        let (old, new) = if round % 2 == 0 { ("a", "b") } else { ("b", "a") };
        folder.remove(old);
        folder.write(new, &format!("content {round}"));
        folder.check(&[&format!("deleted {old}"), &format!("created {new}")]).await;
    }
}

#[tokio::test]
async fn hard_links_are_files_of_their_own() {
    let mut folder = Folder::with(json!({}), &[("a", "text")]).await;
    fs::hard_link(folder.path("a"), folder.path("b")).unwrap();
    folder.check(&["created b"]).await;
    folder.write("a", "both change");
    folder.check(&["updated a", "updated b"]).await;
    folder.remove("a");
    folder.check(&["deleted a"]).await;
    fs::hard_link(folder.path("b"), folder.path("c")).unwrap();
    folder.remove("b");
    folder.check(&["moved b > c"]).await;
}

#[tokio::test]
async fn a_file_moved_over_another_leaves_one() {
    let mut folder = Folder::with(json!({}), &[("a", "new"), ("b", "old")]).await;
    folder.rename("a", "b");
    folder.check(&["deleted a", "updated b"]).await;
}

#[tokio::test]
async fn a_move_to_an_ignored_path_is_a_deletion() {
    let mut folder = Folder::with(json!({}), &[("a.md", "text")]).await;
    folder.rename("a.md", "a.tmp");
    folder.check(&["deleted a.md"]).await;
    folder.rename("a.tmp", "b.md");
    folder.check(&["created b.md"]).await;
}

#[tokio::test]
async fn a_folder_moved_away_and_back_is_reported_each_time() {
    // Its files keep inode and ctime, so only what is remembered of their leaving tells the rounds apart.
    let mut folder = Folder::with(json!({}), &[]).await;
    folder.write("d/f", "text");
    folder.check(&["created d/f"]).await;
    for _ in 0..3 {
        folder.rename("d", "../elsewhere");
        folder.check(&["deleted d/f"]).await;
        folder.rename("../elsewhere", "d");
        folder.check(&["created d/f"]).await;
    }
    for _ in 0..3 {
        folder.rename("d", "e");
        folder.check(&["moved d/f > e/f"]).await;
        folder.rename("e", "d");
        folder.check(&["moved e/f > d/f"]).await;
    }
}
