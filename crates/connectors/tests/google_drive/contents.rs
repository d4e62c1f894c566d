//! Texts: which are read, what their differences say, and which cannot be read.

use inboxclaw_fakes::google::drive::NewFile;
use inboxclaw_fakes::google::faults::{Fault, Rule};
use serde_json::{Value, json};

use crate::world::{World, data};

/// The differences of a round's events.
async fn diffs(world: &World) -> Vec<Value> {
    world.round().await.iter().map(|event| data(event)["contentDiff"].clone()).collect()
}

/// How many texts were asked for since the last call.
fn reads(world: &World) -> usize {
    let is_read = |asked: &inboxclaw_fakes::google::LoggedRequest| {
        asked.path.ends_with("/export") || asked.param("alt") == Some("media")
    };
    world.fake.requests().iter().filter(|asked| is_read(asked)).count()
}

#[tokio::test]
async fn documents_and_texts_are_compared() {
    let world = World::new().await;
    let shared = world.drive().add_drive(world.fake.clock().now(), "team");
    world.round().await;
    let ids = {
        let mut drive = world.drive();
        let now = world.later();
        let new = [
            NewFile::text("t", "one\n\ntwo"),
            NewFile::doc("d", "one\n\ntwo"),
            NewFile::text("s", "one\n\ntwo").inside(&shared),
            NewFile::text("h", "one\n\ntwo").mime("text/html"),
        ];
        new.map(|file| drive.create(now, file))
    };
    world.round().await;
    assert_eq!(reads(&world), 4);
    let text = |id: &String| world.memory.values()[&format!("gdrive:text:{id}")].clone();
    assert_eq!(text(&ids[1]), r#""one\n\ntwo""#);
    ids.iter().for_each(|id| _ = world.drive().edit(world.later(), id, "one\n\ntwo more\n\nthree"));
    let expected = json!({
        "totalChangedSections": 2,
        "changes": [{ "before": "two", "after": "two more" }, { "before": null, "after": "three" }],
        "addedCharCount": 15, "removedCharCount": 3,
    });
    assert_eq!(diffs(&world).await, vec![expected; 4]);
    assert_eq!(reads(&world), 4);
    world.drive().rename(world.later(), &ids[0], "t2");
    assert_eq!(diffs(&world).await, [Value::Null]);
    world.is_quiet().await;
    world.is_well_asked();
}

#[tokio::test]
async fn what_cannot_be_compared() {
    let settings =
        json!({ "max_diffable_file_bytes": 100, "eligible_mime_types_for_content_diff": ["text/*"] });
    let world = World::with(settings).await;
    world.round().await;
    let (large, binary, image, barred) = {
        let mut drive = world.drive();
        let now = world.later();
        let large = drive.create(now, NewFile::text("large", &"x".repeat(101)));
        let binary = drive.create(now, NewFile::text("binary", ""));
        drive.edit(now, &binary, vec![0xff, 0xfe]);
        let image = drive.create(now, NewFile::text("image", "x").mime("image/png"));
        let barred = drive.create(now, NewFile::text("barred", "x"));
        drive.create(now, NewFile::doc("doc", "x"));
        drive.forbid_download(now, &barred);
        (large, binary, image, barred)
    };
    assert_eq!(
        world.told().await,
        ["created large", "created binary", "created image", "created doc", "created barred"]
    );
    assert_eq!(reads(&world), 1, "only the one that says nothing of its encoding");
    assert!(world.memory.values().keys().all(|key| !key.starts_with("gdrive:text:")));
    for id in [large, binary, image, barred] {
        world.drive().edit(world.later(), &id, vec![0xff, 0x00, 0xfe]);
    }
    let events = world.round().await;
    assert_eq!(events.len(), 4);
    assert!(events.iter().all(|event| data(event).get("contentDiff").is_none()));
}

#[tokio::test]
async fn a_text_that_is_refused_for_good_does_not_hold_up_the_rest() {
    let world = World::new().await;
    world.round().await;
    let bad = {
        let mut drive = world.drive();
        let now = world.later();
        let bad = ["cannotDownloadAbusiveFile", "exportSizeLimitExceeded", "notFound"].map(|reason| {
            let id = drive.create(now, NewFile::text(reason, "x"));
            drive.refuse_content(&id, if reason == "notFound" { 404 } else { 403 }, reason);
            id
        });
        drive.create(now, NewFile::text("good", "x"));
        bad
    };
    let (events, problems) = world.try_round().await.unwrap();
    assert_eq!(events.len(), 4);
    let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(texts.len(), 1, "one that is too large or gone is nothing to complain about: {texts:?}");
    assert!(texts[0].starts_with(&format!("cannot read the file {}", bad[0])), "{texts:?}");
    world.is_quiet().await;
    bad.iter().for_each(|id| _ = world.drive().edit(world.later(), id, "yy"));
    assert_eq!(world.try_round().await.unwrap().0.len(), 3);
}

#[tokio::test]
async fn an_old_text_stays_when_the_new_one_cannot_be_read() {
    let world = World::new().await;
    world.round().await;
    let id = world.drive().create(world.later(), NewFile::text("a", "one"));
    world.round().await;
    world.fake.faults().rule(Rule::next("alt=media", 1, Fault::Denied("cannotDownloadFile".to_owned())));
    world.drive().edit(world.later(), &id, "two");
    assert_eq!(world.try_round().await.unwrap().0.len(), 1);
    world.drive().edit(world.later(), &id, "three");
    let diffs = diffs(&world).await;
    assert_eq!(diffs[0]["changes"], json!([{ "before": "one", "after": "three" }]));
}

#[tokio::test]
async fn differences_are_bounded() {
    let settings = json!({ "max_changed_sections": 1, "max_section_chars": 3 });
    let world = World::with(settings).await;
    world.round().await;
    let id = world.drive().create(world.later(), NewFile::text("a", "long one\n\nlong two"));
    world.round().await;
    world.drive().edit(world.later(), &id, "other one\n\nother two");
    let diff = diffs(&world).await.remove(0);
    assert_eq!(diff["totalChangedSections"], 2);
    assert_eq!(diff["changes"], json!([{ "before": "lon (truncated)", "after": "oth (truncated)" }]));
}
