//! Export, import and copy: what comes back, what is refused, and what a merge and a replacement leave.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use inboxclaw_contract::{Entry, Expiry, Version};
use inboxclaw_edit::{EditError, ImportSummary, Lines, Mode};
use support::{Ground, Reads as _, Words, json, lines, seconds, unseen};

async fn import(ground: &Ground, text: &str, mode: Mode) -> Result<ImportSummary, EditError> {
    ground.editor().import(ground.owner, lines(text), mode, &unseen).await
}

/// Entries without what another owner gives them anew.
fn plain(entries: Vec<Entry>) -> Vec<Entry> {
    entries.into_iter().map(|entry| Entry { revision: Version(0), ..entry }).collect()
}

#[tokio::test]
async fn what_is_exported_comes_back_byte_for_byte() {
    let ground = Ground::new().await;
    let longest = "\u{1F600}".repeat(512);
    for (key, value) in [
        ("a_b", "{\"b\": 1e400, \"a\":[ -0.0, 123456789012345678901234567890 ]}"),
        ("A_B", "\"\\u0000\\ud83d\\ude00\""),
        ("50%\\\"'\u{2028}", "{\n  \"pretty\": true\r\n}"),
        (&longest, "null"),
        ("\u{10FFFF}", "[]"),
    ] {
        ground.put(key, value).await;
        ground.clock.step(1);
    }
    ground.put_for("soon", "1", seconds(60)).await;
    ground.put_for("gone", "1", seconds(1)).await;
    ground.secret("s", "\"hidden\"").await;
    ground.editor().set_cursor(ground.owner, Some("line\nbreak".into())).await.unwrap();
    ground.clock.step(1);
    let text = ground.export(ground.owner, true).await;
    assert_eq!(text.lines().count(), 8);
    let other = ground.other().await;
    let brought = ground.editor().import(other, lines(&text), Mode::Replace, &unseen).await.unwrap();
    assert_eq!(brought, ImportSummary { entries: 7, expired: 0, secrets: 0, version: Version(1) });
    assert_eq!(plain(ground.store.all(other).await), plain(ground.store.all(ground.owner).await));
    let again = ground.export(other, true).await;
    let values = |text: &str| -> Vec<String> {
        text.lines().skip(1).map(|line| line.split(",\"revision\"").next().unwrap().to_owned()).collect()
    };
    assert_eq!(values(&again), values(&text));
    let masked = ground.export(ground.owner, false).await;
    assert!(!masked.contains("hidden") && masked.contains("\"secret\":true"), "{masked}");
    ground.clock.step(60);
    let brought = import(&ground, &masked, Mode::Replace).await.unwrap();
    assert_eq!((brought.entries, brought.expired, brought.secrets), (7, 1, 1));
    assert_eq!(ground.store.list_one("s", ground.owner).await.value, json("\"hidden\""), "it stays");
}

#[tokio::test]
async fn nothing_is_exported_of_nothing() {
    let ground = Ground::new().await;
    let text = ground.export(ground.owner, false).await;
    let expected = "{\"inboxclaw\":\"state\",\"format\":1,\"owner\":\"source:a\",\"connector\":\"test\",\
                    \"version\":0,\"cursor\":null,\"at\":\"2023-11-14T22:13:20Z\"}\n";
    assert_eq!(text, expected);
    let brought = import(&ground, &text, Mode::Replace).await.unwrap();
    assert_eq!(brought, ImportSummary { entries: 0, expired: 0, secrets: 0, version: Version(0) });
}

#[tokio::test]
async fn a_large_export_is_whole_and_ends_when_nobody_reads() {
    let ground = Ground::new().await;
    let value = format!("\"{}\"", "x".repeat(10_000));
    ground.turn(|turn| (0..500).for_each(|n| turn.puts(&format!("k{n:03}"), &value))).await;
    let text = ground.export(ground.owner, false).await;
    assert!(text.len() > 5_000_000 && text.lines().count() == 501);
    let brought = import(&ground, &text, Mode::Replace).await.unwrap();
    assert_eq!((brought.entries, ground.store.all(ground.owner).await.len()), (500, 500));
    let mut pieces = 0;
    let write = Box::new(move |piece: &[u8]| {
        pieces += 1;
        assert!(piece.len() <= 65_536 && pieces <= 3);
        pieces < 3
    });
    ground.editor().export(ground.owner, "source:a", "test", false, write).await.unwrap();
}

#[tokio::test]
async fn a_merge_leaves_the_rest_and_a_replacement_does_not() {
    let text = "\u{FEFF}{\"inboxclaw\":\"state\",\"format\":1,\"owner\":\"sink:z\",\"cursor\":\"new\"}\r\n\r\n  \n\
                {\"key\":\"a\",\"value\":2}\n{\"key\":\"s\",\"value\":2}\n\
                {\"key\":\"t\",\"value\":2,\"secret\":true}\n{\"key\":\"c\",\"value\":2,\"expires_at\":\"2023-01-01T00:00:00Z\"}";
    for (mode, text, state) in [
        (Mode::Merge, text, "a=2 b=1 c=1 s=2 t=2 @old"),
        (Mode::Replace, text, "a=2 s=1 t=2 @new"),
        (Mode::Replace, "{\"inboxclaw\":\"state\",\"format\":1,\"cursor\":null}", "s=1 t=1"),
        (Mode::Replace, "{\"inboxclaw\":\"state\",\"format\":1}", "s=1 t=1 @old"),
        (Mode::Merge, "", "a=1 b=1 c=1 s=1 t=1 @old"),
    ] {
        let ground = Ground::new().await;
        ground.turn(|turn| ["a", "b", "c"].iter().for_each(|key| turn.puts(key, "1"))).await;
        ground.secret("s", "1").await;
        ground.secret("t", "1").await;
        ground.editor().set_cursor(ground.owner, Some("old".into())).await.unwrap();
        let brought = import(&ground, text, mode).await.unwrap();
        assert_eq!(ground.state().await, state, "{mode:?} {text}");
        assert_eq!(brought.version.0, ground.version().await);
        if text.contains("expires_at") {
            assert_eq!((brought.entries, brought.expired, brought.secrets), (4, 1, 0));
        }
    }
}

#[tokio::test]
async fn times_are_kept_also_those_to_come() {
    let ground = Ground::new().await;
    import(
        &ground,
        "{\"key\":\"a\",\"value\":1,\"created_at\":\"2020-01-01T00:00:00Z\",\"updated_at\":\"2040-01-01T00:00:00+01:00\"}\n\
         {\"key\":\"b\",\"value\":1,\"expires_at\":\"2023-11-14T22:13:21Z\"}",
        Mode::Merge,
    )
    .await
    .unwrap();
    let a = ground.store.list_one("a", ground.owner).await;
    assert_eq!(a.created_at.to_string(), "2020-01-01T00:00:00Z");
    assert_eq!(a.updated_at.to_string(), "2039-12-31T23:00:00Z");
    let b = ground.store.list_one("b", ground.owner).await;
    assert_eq!((b.created_at.to_string().as_str(), b.revision.0), ("2023-11-14T22:13:20Z", 1));
    ground.clock.step(1);
    assert_eq!(ground.state().await, "a=1");
}

#[tokio::test]
async fn a_broken_line_is_named_and_nothing_comes() {
    let ok = "{\"key\":\"a\",\"value\":1}\n";
    for (text, error) in [
        (format!("{ok}\n{ok}"), "line 3: key: \"a\" came on a line before"),
        (format!("{ok}{{\"key\":\"b\",\"value\":}}"), "line 2: expected value at column 20"),
        (
            format!("{ok}{{\"inboxclaw\":\"state\",\"format\":1}}"),
            "line 2: inboxclaw: a head can only be the first line",
        ),
        (
            format!("{ok}{{\"key\":\"b\",\"value\":1,\"ttl\":5}}"),
            "line 2: unknown field \"ttl\" at column 26",
        ),
        (format!("{ok}{{\"key\":\"b\",\"value\":NaN}}"), "line 2: expected value at column 20"),
        ("{\"inboxclaw\":\"state\",\"format\":9}".into(), "line 1: format: this program reads 1, found 9"),
    ] {
        let ground = Ground::new().await;
        let found = import(&ground, &text, Mode::Merge).await.unwrap_err();
        assert_eq!(found.to_string(), error);
        assert_eq!(ground.version().await, 0);
    }
}

#[tokio::test]
async fn input_that_breaks_off_or_never_ends_a_line_is_refused() {
    let ground = Ground::new().await;
    let whole = || Ok(Bytes::from_static(b"{\"key\":\"a\",\"value\":1}\n"));
    let broken: Lines = stream::iter([whole(), Err(std::io::Error::other("gone"))]).boxed();
    let error = ground.editor().import(ground.owner, broken, Mode::Merge, &unseen).await.unwrap_err();
    assert_eq!(error.to_string(), "cannot read the import: gone");
    let endless: Lines = stream::repeat(Bytes::from(vec![b' '; 1 << 20])).map(Ok).boxed();
    let error = ground.editor().import(ground.owner, endless, Mode::Merge, &unseen).await.unwrap_err();
    assert_eq!(error.to_string(), "line 1: the line has more than 33619968 bytes");
    let latin: Lines = stream::iter([whole(), Ok(Bytes::from_static(b"{\"key\":\"\xe9\"}"))]).boxed();
    let error = ground.editor().import(ground.owner, latin, Mode::Merge, &unseen).await.unwrap_err();
    assert_eq!(error.to_string(), "line 2: no UTF-8 at byte 8");
    assert_eq!(ground.version().await, 0);
}

#[tokio::test]
async fn the_largest_value_comes_back() {
    let ground = Ground::new().await;
    let value = format!("[\n\"\\\"{}\"]", "x".repeat((16 << 20) - 8));
    ground.put("a", &value).await;
    let text = ground.export(ground.owner, false).await;
    let other = ground.other().await;
    ground.editor().import(other, lines(&text), Mode::Merge, &unseen).await.unwrap();
    assert!(ground.store.list_one("a", other).await.value == json(&value));
    let too_long = format!("{{\"key\":\"a\",\"value\":\"{}\"}}", "x".repeat((16 << 20) - 1));
    let error = ground.editor().import(other, lines(&too_long), Mode::Merge, &unseen).await.unwrap_err();
    assert_eq!(error.to_string(), "line 1: value: 16777217 bytes, the limit is 16777216");
}

#[tokio::test]
async fn a_copy_takes_a_prefix_without_secrets() {
    for (mode, state) in
        [(Mode::Merge, "a/1=1 a/2=1 a/s=8 own=1 @mine"), (Mode::Replace, "a/1=1 a/2=1 a/s=8 @theirs")]
    {
        let ground = Ground::new().await;
        ground.turn(|turn| ["a/1", "a/2", "b", "a"].iter().for_each(|key| turn.puts(key, "1"))).await;
        ground.secret("a/s", "9").await;
        ground.put_for("a/3", "1", Expiry::For(Duration::from_secs(1))).await;
        ground.clock.step(1);
        ground.editor().set_cursor(ground.owner, Some("theirs".into())).await.unwrap();
        let other = ground.other().await;
        support::commit(&*ground.store, other, |turn| {
            turn.puts("own", "1");
            turn.puts("a/1", "0");
            turn.cursor = Some(Some("mine".into()));
        })
        .await;
        let editor = ground.editor();
        let secret =
            editor.put(other, "a/s", json("8"), Expiry::Keep, Some(true), inboxclaw_edit::Condition::Any);
        secret.await.unwrap();
        let copied = editor.copy(ground.owner, other, "a/", mode, &unseen).await.unwrap();
        assert_eq!(copied, ImportSummary { entries: 3, expired: 0, secrets: 1, version: Version(3) });
        assert_eq!(ground.state_of(other).await, state);
        let none = editor.copy(ground.owner, other, "b/", mode, &unseen).await;
        let refused = mode == Mode::Replace;
        assert_eq!(
            none.is_err_and(|error| error.to_string().starts_with("no key begins with \"b/\"")),
            refused
        );
        assert_eq!(ground.state_of(other).await, state, "nothing does not replace a state");
        let error = editor.copy(other, other, "", mode, &unseen).await.unwrap_err();
        assert_eq!(error.to_string(), "a state cannot be copied onto itself");
    }
}
