//! Large files and files that are never at rest: they hold up nobody, and are reported all the same.

use std::fs::{self, File};
use std::time::Duration;

use inboxclaw_contract::Next;
use serde_json::json;

use crate::folder::Folder;
use crate::support::poll;

/// A file of zeros that takes no place.
fn sparse(folder: &Folder, path: &str, size: u64) {
    folder.tick();
    File::create(folder.path(path)).unwrap().set_len(size).unwrap();
}

#[tokio::test]
async fn small_files_are_reported_before_large_ones_are_read() {
    let mut folder = Folder::with(json!({}), &[]).await;
    sparse(&folder, "a large", 12 << 20);
    folder.write("note", "n");
    let first = poll(&*folder.source, &folder.memory).await.unwrap();
    assert_eq!((first.events.len(), first.next), (1, Next::More));
    assert_eq!(first.events[0].entity_id.as_deref(), Some("note"));
    folder.check(&["created a large"]).await;
    folder.check(&[]).await;
}

#[tokio::test]
async fn of_files_above_the_limit_size_and_time_decide() {
    let mut folder = Folder::with(json!({ "max_hash_bytes": 1000 }), &[]).await;
    sparse(&folder, "huge.img", 30 << 30);
    folder.check(&["created huge.img"]).await;
    assert!(folder.events[0].event_id.ends_with(":32212254720b"), "{}", folder.events[0].event_id);
    folder.chmod("huge.img", 0o600);
    folder.check(&[]).await;
    folder.rename("huge.img", "moved.img");
    folder.check(&["moved huge.img > moved.img"]).await;
    folder.date("moved.img", 1_000_000);
    folder.pass(60);
    folder.check(&["updated moved.img"]).await;
    folder.check(&[]).await;
    folder.remove("moved.img");
    folder.check(&["deleted moved.img"]).await;
}

#[tokio::test]
async fn a_raised_limit_reads_without_a_word() {
    let mut folder = Folder::with(json!({ "max_hash_bytes": 2 }), &[("a", "text")]).await;
    assert!(!folder.memory.values()["f:a"].contains("sha256"));
    folder.restart(json!({ "max_hash_bytes": 100 }));
    folder.check(&[]).await;
    assert!(folder.memory.values()["f:a"].contains("sha256"));
    folder.restart(json!({ "max_hash_bytes": 2 }));
    folder.write("a", "other");
    folder.check(&["updated a"]).await;
}

#[tokio::test]
async fn a_baseline_does_not_wait_for_large_files() {
    let mut folder = Folder::new(json!({}));
    sparse(&folder, "a large", 12 << 20);
    poll(&*folder.source, &folder.memory).await.unwrap();
    assert!(folder.memory.values()["baseline"].contains("\"complete\":true"));
    folder.write("note", "n");
    folder.check(&[]).await;
    folder.check(&["created note"]).await;
    assert!(folder.memory.values()["f:a large"].contains("sha256"), "it is read afterwards");
}

#[tokio::test]
async fn a_file_that_is_written_all_the_time_is_reported_ever_more_rarely() {
    for (size, most) in [(10, 70), (2 << 20, 14)] {
        let mut folder = Folder::with(json!({ "max_hash_bytes": 0 }), &[]).await;
        let mut reported = 0;
        for second in 0..600 {
            let file = File::options().create(true).append(true).open(folder.path("log")).unwrap();
            file.set_len(size + second).unwrap();
            folder.pass(1);
            let (events, _) = folder.poll().await.unwrap();
            reported += events.len();
        }
        assert!((5..=most).contains(&reported), "{reported}");
        // What came last is reported without any news.
        let Next::Within(wait) = folder.next else { panic!("{:?}", folder.next) };
        assert!(wait <= Duration::from_secs(300), "{wait:?}");
        folder.memory.advance(wait);
        folder.check(&["updated log"]).await;
        assert_eq!(folder.data(0)["size_bytes"], json!(size + 599));
    }
}

#[tokio::test]
async fn what_cannot_be_read_has_its_reason_in_the_message() {
    let mut folder = Folder::with(json!({}), &[]).await;
    let mut path = folder.path("");
    // Deeper than a path can say: each is made from within the one before.
    let mut at = File::open(&path).unwrap();
    for _ in 0..22 {
        let name = "d".repeat(200);
        rustix::fs::mkdirat(&at, name.as_str(), rustix::fs::Mode::RWXU).unwrap();
        let flags = rustix::fs::OFlags::DIRECTORY;
        at = rustix::fs::openat(&at, name.as_str(), flags, rustix::fs::Mode::empty()).unwrap().into();
        path.push(&name);
    }
    folder.write("note", "n");
    let (events, problems) = folder.poll().await.unwrap();
    assert_eq!((events, problems.len()), (vec!["created note".to_owned()], 1));
    assert!(problems[0].len() < 400 && problems[0].contains("File name too long"), "{problems:?}");
    let Next::Within(wait) = folder.next else { panic!("{:?}", folder.next) };
    assert!(wait < Duration::from_secs(60), "it is looked at again: {wait:?}");
    assert!(fs::symlink_metadata(path).is_err());
}
