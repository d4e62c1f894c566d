//! Changes that are built in steps: they come to the same as small ones, lose no turn that comes in between, and
//! leave nothing half done when nobody waits for them any more.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use std::sync::{Arc, Mutex};

use inboxclaw_contract::store::StateLimits;
use inboxclaw_contract::{Entry, Housekeeping, OwnerId, Turn, Version};
use inboxclaw_edit::{EditError, Editor, EntryFilter, Mode, To, Which};
use support::meddler::{Meddler, Step, before};
use support::{Ground, Reads as _, Words, lines, many, seconds, unseen};

const MANY: usize = 20_000;

/// What is under some keys, as text.
async fn some(ground: &Ground, keys: &[&str]) -> String {
    let all = ground.store.all(ground.owner).await;
    let value =
        |key: &str| all.iter().find(|entry| entry.key == key).map(|entry| entry.value.as_str().to_owned());
    keys.iter().map(|key| value(key).unwrap_or_else(|| "-".into())).collect::<Vec<_>>().join(" ")
}

async fn prepared() -> Ground {
    let ground = Ground::new().await;
    ground.turn(|turn| ["a", "k00000", "z"].iter().for_each(|key| turn.puts(key, "1"))).await;
    ground.secret("k00001", "1").await;
    ground.secret("s", "1").await;
    ground.put_for("soon", "1", seconds(100)).await;
    ground.editor().set_cursor(ground.owner, Some("old".into())).await.unwrap();
    ground
}

#[tokio::test]
async fn a_large_import_comes_to_the_same_as_small_ones() {
    let head = "{\"inboxclaw\":\"state\",\"format\":1,\"cursor\":\"new\"}\n";
    let tail = "{\"key\":\"t\",\"value\":2,\"secret\":true}\n{\"key\":\"s\",\"value\":2,\"secret\":true}\n\
                {\"key\":\"u\",\"secret\":true}\n\
                {\"key\":\"v\",\"value\":2,\"expires_at\":\"2023-01-01T00:00:00Z\"}\n";
    for mode in [Mode::Merge, Mode::Replace] {
        let lines_of = |from: usize, to: usize| -> String {
            many(MANY, "2").lines().skip(from).take(to - from).map(|line| format!("{line}\n")).collect()
        };
        let large = prepared().await;
        let seen = Mutex::new(Vec::new());
        let progress = |done, of: Option<u64>| seen.lock().unwrap().push((done, of));
        let text = format!("{head}{}{tail}", lines_of(0, MANY));
        let brought = large.editor().import(large.owner, lines(&text), mode, &progress).await.unwrap();
        assert_eq!((brought.entries, brought.expired, brought.secrets), (MANY as u64 + 4, 1, 1));
        assert_eq!(brought.version.0, 6);
        let seen = seen.into_inner().unwrap();
        assert!(seen.windows(2).all(|pair| pair[1].0 <= pair[0].0 + 2_100), "{seen:?}");

        let small = prepared().await;
        small
            .editor()
            .import(small.owner, lines(&format!("{head}{}{tail}", lines_of(0, 5_000))), mode, &unseen)
            .await
            .unwrap();
        for part in [5_000, 10_000, 15_000] {
            let text = lines_of(part, part + 5_000);
            small.editor().import(small.owner, lines(&text), Mode::Merge, &unseen).await.unwrap();
        }
        let plain = |entries: Vec<Entry>| -> Vec<Entry> {
            entries.into_iter().map(|entry| Entry { revision: Version(0), ..entry }).collect()
        };
        let (found, expected) = (large.store.all(large.owner).await, small.store.all(small.owner).await);
        assert_eq!(found.len(), expected.len());
        assert!(plain(found) == plain(expected), "{mode:?}");
        let wanted = if mode == Mode::Merge { "@old" } else { "@new" };
        assert!(large.state().await.ends_with(wanted) && small.state().await.ends_with(wanted));
        let count = large.store.all(large.owner).await.len() as u64;
        assert_eq!(large.store.space_count(large.owner).await, count);
    }
}

#[tokio::test]
async fn turns_during_a_large_import_are_not_lost() {
    let ground = prepared().await;
    let meddler = Meddler::planned(
        ground.store.clone(),
        ground.owner,
        vec![
            before(Step::Fill, |turn| turn.puts("a", "3")),
            before(Step::Copy, |turn| {
                turn.puts("b", "3");
                turn.puts("k00007", "3");
                turn.cursor = Some(Some("moved".into()));
            }),
            before(Step::Swap, |turn| {
                turn.puts("k00008", "3");
                turn.deletes("z");
            }),
            before(Step::Fill, |turn| turn.puts("z", "4")),
            before(Step::Swap, |turn| turn.deletes("s")),
        ],
    );
    let editor = ground.editor_over(meddler.clone());
    let brought = editor.import(ground.owner, lines(&many(MANY, "2")), Mode::Merge, &unseen).await.unwrap();
    assert_eq!((meddler.by.left(), brought.version.0), (0, 11));
    let keys = ["a", "b", "k00000", "k00001", "k00007", "k00008", "s", "z", "soon"];
    assert_eq!(some(&ground, &keys).await, "3 3 2 2 3 3 - 4 1");
    assert!(ground.state().await.ends_with("@moved"));
    // All of it comes off again, and what turns did meanwhile stays.
    let undone = ground.editor().undo(ground.owner, Which::Person, false, &unseen).await.unwrap();
    assert_eq!(ground.state().await, "a=3 b=3 k00000=1 k00007=3 k00008=3 soon=1 z=4 @moved");
    assert_eq!(undone.left, ["k00001"], "a secret that the import replaced does not come back");
}

#[tokio::test]
async fn turns_during_a_large_deletion_and_copy_are_not_lost() {
    let ground = Ground::new().await;
    ground.editor().import(ground.owner, lines(&many(MANY, "2")), Mode::Merge, &unseen).await.unwrap();
    let other = ground.other().await;
    let plan = vec![
        before(Step::Look, |turn| turn.puts("k00003", "3")),
        before(Step::Fill, |turn| turn.puts("k00004", "3")),
        before(Step::Fill, |turn| turn.deletes("k00005")),
    ];
    let meddler = Meddler::planned(ground.store.clone(), ground.owner, plan);
    let editor = ground.editor_over(meddler.clone());
    let copied = editor.copy(ground.owner, other, "k", Mode::Replace, &unseen).await.unwrap();
    assert_eq!((meddler.by.left(), copied.version.0), (0, 1));
    let plain = |entries: Vec<Entry>| -> Vec<Entry> {
        entries.into_iter().map(|entry| Entry { revision: Version(0), ..entry }).collect()
    };
    let (from, to) = (ground.store.all(ground.owner).await, ground.store.all(other).await);
    assert!(plain(from) == plain(to), "the state of one instant");

    let plan = vec![
        before(Step::Copy, |turn| turn.puts("a", "4")),
        before(Step::Swap, |turn| turn.puts("k00009", "4")),
        before(Step::Swap, |turn| turn.cursor = Some(Some("moved".into()))),
    ];
    ground.put("a", "1").await;
    let meddler = Meddler::planned(ground.store.clone(), ground.owner, plan);
    let editor = ground.editor_over(meddler.clone());
    let choice = EntryFilter { prefix: "k".into(), older_than: None };
    let deleted = editor.delete_matching(ground.owner, &choice, false, &unseen).await.unwrap();
    assert_eq!((meddler.by.left(), deleted.entries), (0, MANY as u64 - 1));
    assert_eq!(ground.state().await, "a=4 k00009=4 @moved");
}

#[tokio::test]
async fn turns_during_a_large_rewind_are_taken_back_with_the_rest() {
    let ground = prepared().await;
    let (version, state) = (ground.version().await, ground.state().await);
    ground.turn(|turn| (0..11_000).for_each(|n| turn.puts(&format!("n{n:05}"), "1"))).await;
    let plan = vec![
        before(Step::Copy, |turn| {
            turn.puts("a", "3");
            turn.puts("n00001", "3");
            turn.puts("later", "3");
        }),
        before(Step::Swap, |turn| turn.deletes("z")),
        before(Step::Swap, |turn| turn.cursor = Some(Some("moved".into()))),
    ];
    let meddler = Meddler::planned(ground.store.clone(), ground.owner, plan);
    let editor = ground.editor_over(meddler.clone());
    let rewound = editor.rewind(ground.owner, To::Version(Version(version)), &unseen).await.unwrap();
    assert_eq!((meddler.by.left(), rewound.turns, rewound.version.0), (0, 4, version + 5));
    assert_eq!(ground.state().await, state);
    // They are in history: nothing is lost.
    ground.editor().rewind(ground.owner, To::Version(Version(version + 4)), &unseen).await.unwrap();
    assert_eq!(some(&ground, &["a", "later", "n00001", "z"]).await, "3 3 3 -");
    assert!(ground.state().await.ends_with("@moved"));
}

#[tokio::test]
async fn a_key_that_changes_during_a_large_undo_is_named() {
    let ground = prepared().await;
    ground
        .turn(|turn| {
            turn.author = Some("cli:ada".into());
            (0..11_000).for_each(|n| turn.puts(&format!("n{n:05}"), "1"));
        })
        .await;
    let plan = vec![
        before(Step::Copy, |turn| turn.puts("a", "3")),
        before(Step::Swap, |turn| turn.puts("n00009", "3")),
    ];
    let meddler = Meddler::planned(ground.store.clone(), ground.owner, plan);
    let error =
        ground.editor_over(meddler).undo(ground.owner, Which::Person, false, &unseen).await.unwrap_err();
    assert_eq!(error.to_string(), "changed since version 6: \"n00009\"");
    let plan = vec![before(Step::Swap, |turn| turn.puts("b", "3"))];
    ground.turn(|turn| turn.puts("n00009", "1")).await;
    let meddler = Meddler::planned(ground.store.clone(), ground.owner, plan);
    ground.editor_over(meddler).undo(ground.owner, Which::Person, false, &unseen).await.unwrap();
    assert_eq!(ground.state().await, "a=3 b=3 k00000=1 k00001=1 s=1 soon=1 z=1 @old");
}

#[tokio::test]
async fn an_export_is_of_one_instant() {
    for count in [10, MANY] {
        let ground = prepared().await;
        let import = many(count, "2");
        ground.editor().import(ground.owner, lines(&import), Mode::Merge, &unseen).await.unwrap();
        let moved = |turn: &mut Turn| {
            turn.puts("a", "3");
            turn.cursor = Some(Some("moved".into()));
        };
        let plan = vec![before(Step::Scan, moved), before(Step::Scan, |turn| turn.puts("b", "3"))];
        let meddler = Meddler::planned(ground.store.clone(), ground.owner, plan);
        let editor = ground.editor_over(meddler.clone());
        let text = support::export(&editor, ground.owner, true).await;
        assert_eq!((meddler.by.left(), &text), (0, &ground.export(ground.owner, true).await));
        assert!(text.lines().next().unwrap().contains("\"cursor\":\"moved\""));
    }
}

#[tokio::test]
async fn limits_hold_for_what_is_built() {
    let ground = prepared().await;
    let policy = StateLimits { max_entries: Some(MANY as u64), ..StateLimits::default() };
    ground.store.set_limits(ground.owner, policy).await.unwrap();
    let before = ground.state().await;
    let text = many(MANY, "2");
    let error = ground.editor().import(ground.owner, lines(&text), Mode::Merge, &unseen).await.unwrap_err();
    assert!(matches!(error, EditError::Refused(_)), "{error}");
    assert_eq!(ground.state().await, before);
    assert!(ground.sweep().await > MANY as u64 - 1, "nothing of it remains");
}

async fn with_eleven_thousand() -> Ground {
    let ground = prepared().await;
    ground.turn(|turn| (0..11_000).for_each(|n| turn.puts(&format!("n{n:05}"), "1"))).await;
    ground
}

/// Gives an edit up after so many answers of the store, and says whether it was finished before.
async fn give_up(calls: usize, after: &str, edit: impl AsyncFn(&Editor, OwnerId)) -> bool {
    let ground = with_eleven_thousand().await;
    let before = ground.state().await;
    let meddler = Meddler::stopping(ground.store.clone(), ground.owner, calls);
    let editor = ground.editor_over(meddler.clone());
    let finished = tokio::select! {
        () = edit(&editor, ground.owner) => true,
        () = meddler.by.stopped() => false,
    };
    drop((editor, meddler));
    ground.sweep().await;
    let found = ground.state().await;
    assert!(found == before || found == after, "half of it after {calls} calls");
    assert!(!finished || found == after);
    let count = ground.store.all(ground.owner).await.len() as u64;
    assert_eq!(ground.store.space_count(ground.owner).await, count);
    assert_eq!(Arc::strong_count(&ground.store), 1, "nobody goes on behind");
    finished
}

/// Gives an edit up at every so many answers until it is finished; returns how often that was.
async fn give_up_everywhere(step: usize, edit: impl AsyncFn(&Editor, OwnerId)) -> usize {
    let whole = with_eleven_thousand().await;
    edit(&whole.editor(), whole.owner).await;
    let after = whole.state().await;
    let mut places = 0;
    while !give_up(places * step, &after, &edit).await {
        places += 1;
    }
    places
}

#[tokio::test]
async fn nothing_is_half_done_when_nobody_waits_for_an_import() {
    let text = many(11_000, "2");
    let places = give_up_everywhere(3, async |editor: &Editor, owner| {
        editor.import(owner, lines(&text), Mode::Merge, &unseen).await.unwrap();
    });
    assert!(places.await > 6);
}

#[tokio::test]
async fn nothing_is_half_done_when_nobody_waits_for_a_rewind() {
    let places = give_up_everywhere(9, async |editor: &Editor, owner| {
        editor.rewind(owner, To::Version(Version(2)), &unseen).await.unwrap();
    });
    assert!(places.await > 4);
}
