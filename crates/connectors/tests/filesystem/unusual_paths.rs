//! Strange names, links, special files, and places that cannot be read.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, symlink};

use inboxclaw_contract::{Class, Json};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
use serde_json::json;

use crate::folder::Folder;

#[tokio::test]
async fn names_that_are_not_text_are_reported_without_loss() {
    let mut folder = Folder::with(json!({}), &[]).await;
    let bad = folder.path("").join(OsStr::from_bytes(b"b\xFFd%\x07.txt"));
    fs::write(&bad, "x").unwrap();
    fs::write(folder.path("100%\n.txt"), "y").unwrap();
    folder.check(&["created 100%\n.txt", "created b\u{FFFD}d%\u{7}.txt"]).await;
    assert_eq!(folder.data(0).get("path_bytes"), None);
    assert_eq!(folder.data(1)["path_bytes"], json!("b%FFd%25%07.txt"));
    assert_eq!(folder.events[1].entity_id.as_deref(), Some("b%FFd%25%07.txt"));
    fs::rename(bad, folder.path("good.txt")).unwrap();
    folder.check(&["moved b\u{FFFD}d%\u{7}.txt > good.txt"]).await;
    assert_eq!(folder.data(0)["old_path_bytes"], json!("b%FFd%25%07.txt"));
}

#[tokio::test]
async fn paths_longer_than_a_key_are_known_too() {
    let mut folder = Folder::with(json!({}), &[]).await;
    let parent = vec!["p".repeat(200); 12].join("/");
    let (file, other) = (format!("{parent}/file"), format!("{parent}/other"));
    folder.write(&file, "1");
    folder.check(&[&format!("created {file}")]).await;
    folder.write(&file, "2");
    folder.check(&[&format!("updated {file}")]).await;
    assert_eq!(folder.data(0)["content_diff"]["totalChangedSections"], json!(1));
    folder.rename(&file, &other);
    folder.check(&[&format!("moved {file} > {other}")]).await;
    folder.remove(&other);
    folder.check(&[&format!("deleted {other}")]).await;
}

#[tokio::test]
async fn pipes_and_sockets_are_left_alone() {
    let mut folder = Folder::with(json!({}), &[("a", "1")]).await;
    mknodat(CWD, folder.path("pipe"), FileType::Fifo, Mode::RWXU, 0).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(folder.path("socket")).unwrap();
    symlink("pipe", folder.path("link")).unwrap();
    folder.check(&[]).await;
    // A pipe in the place of a file: the file is gone.
    folder.remove("a");
    mknodat(CWD, folder.path("a"), FileType::Fifo, Mode::RWXU, 0).unwrap();
    folder.check(&["deleted a"]).await;
}

#[tokio::test]
async fn a_folder_in_the_place_of_a_file_and_back() {
    let mut folder = Folder::with(json!({}), &[("a", "1")]).await;
    folder.remove("a");
    folder.write("a/b", "2");
    folder.check(&["deleted a", "created a/b"]).await;
    folder.remove("a/b");
    fs::remove_dir(folder.path("a")).unwrap();
    folder.write("a", "3");
    folder.check(&["deleted a/b", "created a"]).await;
}

#[tokio::test]
async fn a_missing_folder_is_a_failure_and_no_deletion() {
    let mut folder = Folder::with(json!({}), &[("a", "1"), ("b", "2")]).await;
    folder.rename("", "../away");
    folder.fails(Class::Unavailable, "path: cannot read the folder").await;
    fs::write(folder.path("../root"), "a file").unwrap();
    folder.fails(Class::Unavailable, "Not a directory").await;
    fs::remove_file(folder.path("../root")).unwrap();
    folder.restart(json!({}));
    folder.fails(Class::Unavailable, "No such file").await;
    folder.rename("../away", "../root");
    folder.write("a", "one");
    folder.check(&["updated a"]).await;
}

#[tokio::test]
async fn a_folder_that_was_never_there_is_looked_for_too() {
    let mut folder = Folder::with(json!({}), &[("a", "1")]).await;
    folder.restart(json!({ "path": "elsewhere" }));
    folder.fails(Class::Unavailable, "No such file").await;
    folder.restart(json!({ "path": "root" }));
    folder.check(&[]).await;
}

#[tokio::test]
async fn an_empty_folder_on_another_device_is_a_disk_that_is_not_mounted() {
    let mut folder = Folder::with(json!({}), &[("a", "1")]).await;
    let (_, entries) = folder.memory.saved();
    let mut mark: serde_json::Value = entries["baseline"].value.parse().unwrap();
    mark["dev"] = json!(mark["dev"].as_u64().unwrap() + 1);
    put_entry(&folder, "baseline", &mark);
    folder.rename("a", "../a");
    folder.fails(Class::Unavailable, "is empty and on another device").await;
    folder.write("b", "2");
    folder.check(&["deleted a", "created b"]).await;
}

#[tokio::test]
async fn an_empty_folder_that_held_a_disk_is_no_deletion() {
    let mut folder = Folder::with(json!({}), &[("disk/a", "1"), ("b", "2")]).await;
    put_entry(&folder, "mounts", &json!(["disk"]));
    folder.rename("disk/a", "../a");
    folder.restart(json!({}));
    folder.write("c", "3");
    let (events, problems) = folder.poll().await.unwrap();
    assert_eq!((events.as_slice(), problems.len()), (&["created c".to_owned()][..], 1));
    assert!(problems[0].contains("\"disk\": another file system was mounted here"), "{problems:?}");
    // In use again, though not as a disk: now what is missing is gone.
    folder.write("disk/new", "4");
    folder.check(&["deleted disk/a", "created disk/new"]).await;
    folder.remove("disk/new");
    folder.check(&["deleted disk/new"]).await;
}

#[tokio::test]
async fn a_removed_folder_that_held_a_disk_is_gone() {
    let mut folder = Folder::with(json!({}), &[("disk/a", "1"), ("b", "2")]).await;
    put_entry(&folder, "mounts", &json!(["disk"]));
    fs::remove_dir_all(folder.path("disk")).unwrap();
    folder.check(&["deleted disk/a"]).await;
}

#[tokio::test]
async fn another_folder_with_the_same_inode_number_is_another_folder() {
    let mut folder = Folder::with(json!({}), &[("a", "1")]).await;
    folder.write("../other/b", "2");
    let (_, entries) = folder.memory.saved();
    let mut mark: serde_json::Value = entries["baseline"].value.parse().unwrap();
    mark["ino"] = json!(fs::metadata(folder.path("../other")).unwrap().ino());
    mark["dev"] = json!(mark["dev"].as_u64().unwrap() + 1);
    put_entry(&folder, "baseline", &mark);
    folder.restart(json!({ "path": "other" }));
    folder.check(&[]).await;
    folder.write("../other/c", "3");
    folder.check(&["created c"]).await;
}

#[tokio::test]
async fn a_link_in_the_place_of_a_folder_is_not_followed() {
    let mut folder = Folder::with(json!({}), &[("d/a", "1"), ("e/a", "2"), ("e/b", "3")]).await;
    folder.rename("d", "d2");
    symlink("d2", folder.path("d")).unwrap();
    folder.write("../else/a", "2");
    fs::remove_dir_all(folder.path("e")).unwrap();
    symlink("../else", folder.path("e")).unwrap();
    folder.check(&["deleted e/a", "deleted e/b", "moved d/a > d2/a"]).await;
    folder.write("d2/a", "one");
    folder.check(&["updated d2/a"]).await;
}

/// Puts an entry into the state as if a person had edited it.
fn put_entry(folder: &Folder, key: &str, value: &serde_json::Value) {
    let (cursor, mut entries) = folder.memory.saved();
    let mut entry = entries["baseline"].clone();
    entry.key = key.to_owned();
    entry.value = Json::from_value(value).unwrap();
    entries.insert(key.to_owned(), entry);
    folder.memory.rewind((cursor, entries));
}

/// Root may read everything; without these two capabilities it is a user like any other.
fn become_ordinary() {
    let mut sets = capabilities(None).unwrap();
    let special = CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH;
    sets.effective.remove(special);
    sets.permitted.remove(special);
    set_capabilities(None, sets).unwrap();
}

/// Runs a test on threads that may not read everything.
fn as_ordinary_user(test: impl Future<Output = ()> + Send + 'static) {
    let run = move || {
        become_ordinary();
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
    };
    std::thread::spawn(run).join().unwrap();
}

#[test]
fn what_cannot_be_read_is_named_and_kept() {
    as_ordinary_user(async {
        let mut folder = Folder::with(json!({}), &[("d/a", "1"), ("d/e/b", "2"), ("c", "3")]).await;
        folder.chmod("d", 0);
        folder.chmod("c", 0);
        folder.write("new", "4");
        let unreadable = "authorization: cannot read \"c\": Permission denied (os error 13), \
                          \"d\": Permission denied (os error 13)";
        let (events, problems) = folder.poll().await.unwrap();
        assert_eq!((events, problems), (vec!["created new".to_owned()], vec![unreadable.to_owned()]));
        let (events, problems) = folder.poll().await.unwrap();
        assert_eq!((events.len(), problems), (0, vec![unreadable.to_owned()]));
        folder.chmod("d", 0o755);
        folder.chmod("c", 0o644);
        folder.write("d/a", "one");
        folder.check(&["updated d/a"]).await;
    });
}

#[test]
fn a_folder_that_cannot_be_read_is_a_failure() {
    as_ordinary_user(async {
        let mut folder = Folder::with(json!({}), &[("a", "1")]).await;
        folder.chmod("", 0);
        folder.fails(Class::Unavailable, "path: cannot read the folder").await;
        folder.chmod("", 0o755);
        folder.check(&[]).await;
    });
}
