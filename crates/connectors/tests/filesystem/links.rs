//! Links: those within the folder are followed, nothing outside is looked at unless asked for.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::{Value, json};

use crate::folder::Folder;

fn link(folder: &Folder, target: &str, path: &str) {
    fs::create_dir_all(folder.path(path).parent().unwrap()).unwrap();
    symlink(target, folder.path(path)).unwrap();
}

/// The absolute path of a file in or beside the folder.
fn whole(folder: &Folder, path: &str) -> String {
    folder.path(path).to_str().unwrap().to_owned()
}

#[tokio::test]
async fn links_that_stay_within_are_followed_however_they_are_written() {
    let mut folder = Folder::new(json!({ "bootstrap": "all", "include_content_preview": true }));
    folder.write("sub/own", "text");
    symlink("root", folder.path("../another name")).unwrap();
    symlink("root/sub", folder.path("../way in")).unwrap();
    link(&folder, "sub/own", "relative");
    link(&folder, "../sub/../sub/own", "sub/dots");
    link(&folder, &whole(&folder, "sub/own"), "absolute");
    link(&folder, &whole(&folder, "../another name/sub/own"), "other name");
    link(&folder, "../root/sub/own", "out and in");
    link(&folder, "../way in/own", "through a link outside");
    link(&folder, "chain 2", "chain");
    link(&folder, "absolute", "chain 2");
    link(&folder, "sub", "folder");
    link(&folder, "folder/own", "through a folder");
    let names = [
        "absolute",
        "chain",
        "chain 2",
        "other name",
        "out and in",
        "relative",
        "sub/dots",
        "sub/own",
        "through a folder",
        "through a link outside",
    ];
    let expected = names.map(|name| format!("created {name}"));
    folder.check(&expected.each_ref().map(String::as_str)).await;
    assert!((0..names.len()).all(|at| folder.data(at)["content_preview"] == json!("text")));
    assert_eq!(folder.notices, Vec::<String>::new());
    folder.write("sub/own", "other");
    folder
        .check(&expected.map(|name| name.replace("created", "updated")).each_ref().map(String::as_str))
        .await;
    folder.remove("relative");
    link(&folder, "sub/none", "relative");
    folder.check(&["deleted relative"]).await;
}

/// Links out of the folder in all their forms; the word is in what they lead to.
fn leading_out(folder: &Folder) {
    folder.write("../outside/secret", "the word");
    symlink("outside", folder.path("../way")).unwrap();
    link(folder, &whole(folder, "../outside/secret"), "absolute");
    link(folder, "../outside/secret", "relative");
    link(folder, "../../outside/secret", "sub/relative");
    link(folder, "../way/secret", "through a link");
    link(folder, "relative", "chain");
    link(folder, "../outside", "folder");
    link(folder, "folder/secret", "through a folder");
    link(folder, "../outside/nothing", "dangling");
    link(folder, "/proc/self/environ", "environ");
    link(folder, &format!("/proc/self/root{}", whole(folder, "../outside/secret")), "magic");
    link(folder, "/dev/zero", "zero");
    link(folder, "circle", "circle");
    link(folder, "nowhere", "nowhere at all");
}

#[tokio::test]
async fn nothing_outside_is_looked_at_and_health_says_so() {
    let mut folder = Folder::new(json!({ "bootstrap": "all", "include_content_preview": true }));
    leading_out(&folder);
    folder.write("own", "x");
    folder.check(&["created own"]).await;
    assert_eq!(
        folder.notices,
        [
            "11 links (\"absolute\", \"chain\", \"dangling\", and 8 more): these lead out of the folder and are not \
             followed; `follow_links: all` follows those to files (follow_links: inside)"
        ]
    );
    assert!(!format!("{:?}", folder.memory.values()).contains("word"));
    folder.write("../outside/secret", "the word again");
    folder.check(&[]).await;
}

#[tokio::test]
async fn all_follows_out_of_the_folder_and_never_into_the_kernel() {
    let mut folder = Folder::new(json!({ "bootstrap": "all", "follow_links": "all" }));
    leading_out(&folder);
    let names =
        ["absolute", "chain", "magic", "relative", "sub/relative", "through a folder", "through a link"];
    folder.check(&names.map(|name| format!("created {name}")).each_ref().map(String::as_str)).await;
    assert!(folder.notices[0].starts_with("2 links (\"environ\", \"zero\")"), "{:?}", folder.notices);
}

#[tokio::test]
async fn none_follows_none() {
    let mut folder = Folder::new(json!({ "bootstrap": "all", "follow_links": "none" }));
    folder.write("own", "x");
    link(&folder, "own", "link");
    folder.check(&["created own"]).await;
    assert_eq!(folder.notices, ["1 link (\"link\"): these are not followed (follow_links: none)"]);
}

#[tokio::test]
async fn what_the_rule_hides_leaves_the_state_without_a_word() {
    let mut folder = Folder::new(json!({ "bootstrap": "all", "follow_links": "all" }));
    folder.write("../outside/secret", "the word");
    link(&folder, "../outside/secret", "link");
    folder.write("own", "x");
    folder.check(&["created link", "created own"]).await;
    // A state from before there was such a setting.
    let (cursor, mut entries) = folder.memory.saved();
    let mark = entries.get_mut("baseline").unwrap();
    let mut value: Value = mark.value.parse().unwrap();
    value.as_object_mut().unwrap().remove("follow_links");
    mark.value = inboxclaw_contract::Json::from_value(&value).unwrap();
    let old = (cursor, entries);
    for setting in ["inside", "none"] {
        folder.memory.rewind(old.clone());
        folder.restart(json!({ "follow_links": setting }));
        folder.lost_poll().await;
        folder.check(&[]).await;
        assert!(
            !folder.memory.values().keys().any(|key| key.contains("link")),
            "{:?}",
            folder.memory.values()
        );
    }
}

#[tokio::test]
async fn a_file_that_gives_way_to_a_link_is_deleted() {
    let mut folder = Folder::with(json!({}), &[("a", "1"), ("d/b", "2")]).await;
    folder.write("../outside/b", "the word");
    folder.remove("a");
    link(&folder, "../outside/b", "a");
    folder.rename("d", "../old");
    link(&folder, "../outside", "d");
    folder.check(&["deleted a", "deleted d/b"]).await;
    folder.remove("a");
    folder.write("a", "back");
    folder.check(&["created a"]).await;
}
