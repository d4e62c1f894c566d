//! News from the operating system: which polls they cause, and what those find.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

use inboxclaw_contract::Next;
use serde_json::json;
use tokio::time::timeout;

use crate::folder::Folder;

/// Nothing here takes so long; a test that waits for news which never come fails instead of hanging.
const PATIENCE: Duration = Duration::from_secs(20);

/// A folder under `watch`, where only news lead to changes, after its baseline.
async fn watched(files: &[(&str, &str)]) -> Folder {
    let mut folder = Folder::new(json!({ "watch_mode": "watch" }));
    for (path, content) in files {
        folder.write(path, content);
    }
    news(&folder).await;
    folder.check(&[]).await;
    folder
}

async fn news(folder: &Folder) {
    timeout(PATIENCE, folder.source.ready()).await.unwrap();
}

/// Puts a file there in one step: half of a write would be news of its own.
fn put(folder: &Folder, path: &str, content: &str) {
    folder.write("../staged", content);
    fs::create_dir_all(folder.path(path).parent().unwrap()).unwrap();
    folder.rename("../staged", path);
}

/// Follows the news until everything expected was reported, in whatever order and number of polls.
async fn reports(folder: &mut Folder, expected: &[&str]) {
    let mut reported = Vec::new();
    while reported.len() < expected.len() {
        news(folder).await;
        // The timer of this mode is long over, so that only news are followed.
        folder.memory.advance(Duration::from_secs(3600));
        reported.extend(folder.poll().await.unwrap().0);
    }
    reported.sort_unstable();
    let mut expected = expected.to_vec();
    expected.sort_unstable();
    assert_eq!(reported, expected);
}

#[tokio::test]
async fn changes_wake_the_source() {
    let mut folder = watched(&[("a", "1"), ("sub/b", "2")]).await;
    put(&folder, "c", "3");
    reports(&mut folder, &["created c"]).await;
    put(&folder, "sub/b", "two");
    reports(&mut folder, &["updated sub/b"]).await;
    folder.remove("a");
    reports(&mut folder, &["deleted a"]).await;
}

#[tokio::test]
async fn ignored_paths_do_not_wake_it() {
    let mut folder = watched(&[]).await;
    put(&folder, "a.tmp", "1");
    put(&folder, ".git/x", "2");
    put(&folder, "b", "3");
    reports(&mut folder, &["created b"]).await;
}

#[tokio::test]
async fn new_folders_are_watched_with_what_they_hold() {
    let mut folder = watched(&[]).await;
    put(&folder, "d/e/f/a", "1");
    reports(&mut folder, &["created d/e/f/a"]).await;
    put(&folder, "d/e/f/b", "2");
    reports(&mut folder, &["created d/e/f/b"]).await;
    folder.rename("d/e", "x");
    reports(&mut folder, &["moved d/e/f/a > x/f/a", "moved d/e/f/b > x/f/b"]).await;
    put(&folder, "x/f/a", "one");
    reports(&mut folder, &["updated x/f/a"]).await;
    folder.rename("x", "../elsewhere");
    reports(&mut folder, &["deleted x/f/a", "deleted x/f/b"]).await;
    folder.rename("../elsewhere", "back");
    reports(&mut folder, &["created back/f/a", "created back/f/b"]).await;
    put(&folder, "back/f/c", "3");
    reports(&mut folder, &["created back/f/c"]).await;
}

#[tokio::test]
async fn both_halves_of_a_rename_are_seen_together() {
    let mut folder = watched(&[("f0", "text")]).await;
    for round in 0..100 {
        let (from, to) = (format!("f{round}"), format!("f{}", round + 1));
        fs::rename(folder.path(&from), folder.path(&to)).unwrap();
        reports(&mut folder, &[&format!("moved {from} > {to}")]).await;
    }
}

#[tokio::test]
async fn news_of_a_lost_turn_are_kept() {
    let mut folder = watched(&[("a", "1"), ("b", "2")]).await;
    put(&folder, "a", "one");
    news(&folder).await;
    folder.memory.advance(Duration::from_secs(3600));
    folder.lost_poll().await;
    folder.memory.advance(Duration::from_secs(3600));
    folder.check(&["updated a"]).await;
}

#[tokio::test]
async fn the_timer_finds_nothing_to_do_under_watch_but_a_person_does() {
    let mut folder = watched(&[("a", "1")]).await;
    let before = folder.memory.saved();
    put(&folder, "b", "2");
    reports(&mut folder, &["created b"]).await;
    folder.memory.rewind(before);
    folder.memory.advance(Duration::from_secs(300));
    folder.check(&[]).await;
    assert!(!folder.memory.values().contains_key("f:b"), "the timer leaves it to the watcher");
    // An edit wakes the source at once, long before the timer.
    folder.memory.advance(Duration::from_secs(10));
    folder.check(&[]).await;
    assert!(folder.memory.values().contains_key("f:b"));
}

#[tokio::test]
async fn a_folder_made_anew_is_watched_again() {
    let mut folder = watched(&[("a", "1")]).await;
    folder.rename("", "../old");
    news(&folder).await;
    folder.fails(inboxclaw_contract::Class::Unavailable, "No such file").await;
    fs::create_dir(folder.path("")).unwrap();
    folder.write("b", "2");
    folder.check(&["deleted a", "created b"]).await;
    put(&folder, "c", "3");
    reports(&mut folder, &["created c"]).await;
}

#[tokio::test]
async fn hybrid_also_looks_at_everything_at_its_interval() {
    let mut folder =
        Folder::with(json!({ "watch_mode": "hybrid", "follow_links": "all" }), &[("sub/a", "1")]).await;
    folder.write("../x", "x");
    std::os::unix::fs::symlink(folder.path("../x"), folder.path("link")).unwrap();
    reports(&mut folder, &["created link"]).await;
    // No news tell of what a link leads to.
    folder.write("../x", "y");
    folder.memory.advance(Duration::from_secs(300));
    folder.check(&["updated link"]).await;
    // A busy folder does not put it off.
    folder.write("../x", "z");
    put(&folder, "busy", "1");
    news(&folder).await;
    folder.memory.advance(Duration::from_secs(300));
    folder.check(&["created busy", "updated link"]).await;
}

#[tokio::test]
async fn a_file_that_grows_ends_with_its_last_content() {
    let mut folder = watched(&[]).await;
    folder.write("a", "");
    for round in 0..50 {
        folder.write("a", &"x".repeat(round));
    }
    let mut kinds = Vec::new();
    while folder.memory.values().get("t:a").is_none_or(|text| text.len() != 49 + 2) {
        news(&folder).await;
        folder.pass(60);
        kinds.extend(folder.poll().await.unwrap().0);
    }
    assert_eq!(kinds[0], "created a");
    assert!(kinds[1..].iter().all(|kind| kind == "updated a"), "{kinds:?}");
}

#[tokio::test]
async fn news_from_behind_a_link_that_replaced_a_folder_are_not_followed() {
    let mut folder = watched(&[("d/a", "1")]).await;
    folder.rename("d", "d2");
    std::os::unix::fs::symlink("d2", folder.path("d")).unwrap();
    reports(&mut folder, &["moved d/a > d2/a"]).await;
    put(&folder, "d/b", "2");
    reports(&mut folder, &["created d2/b"]).await;
    put(&folder, "d2/a", "one");
    reports(&mut folder, &["updated d2/a"]).await;
}

#[tokio::test]
async fn a_link_to_the_folder_that_leads_elsewhere_is_noticed() {
    for path in ["current", "above/page", "chain"] {
        let mut folder = Folder::new(json!({ "watch_mode": "watch", "path": path }));
        for name in ["r1", "r2"] {
            folder.write(&format!("../{name}/page/only {name}"), &format!("{name} below"));
            folder.write(&format!("../{name}/only {name}"), name);
        }
        symlink("r1", folder.path("../current")).unwrap();
        symlink("r1", folder.path("../above")).unwrap();
        symlink(folder.path("../current"), folder.path("../chain")).unwrap();
        news(&folder).await;
        folder.check(&[]).await;
        for link in ["current", "above"] {
            symlink("r2", folder.path("../next")).unwrap();
            folder.rename("../next", &format!("../{link}"));
        }
        news(&folder).await;
        folder.pass(3600);
        let (events, _) = folder.poll().await.unwrap();
        assert!(events.contains(&"created only r2".to_owned()), "{path}: {events:?}");
        assert!(events.contains(&"deleted only r1".to_owned()), "{path}: {events:?}");
    }
}

#[tokio::test]
async fn another_folder_in_the_place_of_one_above_is_noticed_without_news() {
    let mut folder = Folder::new(json!({ "watch_mode": "watch", "path": "above/root" }));
    folder.write("../above/root/a", "1");
    folder.check(&[]).await;
    let Next::Within(wait) = folder.next else { panic!("{:?}", folder.next) };
    assert!(wait <= Duration::from_secs(30));
    folder.rename("../above", "../aside");
    folder.write("../above/root/b", "2");
    folder.memory.advance(wait);
    folder.check(&["deleted a", "created b"]).await;
}
