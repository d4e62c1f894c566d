//! Rewind: to a version, to a time, over whole spaces that came and went, and as far as history goes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use inboxclaw_contract::{Entry, Expiry, Version};
use inboxclaw_edit::{EditError, EntryFilter, Mode, Rewound, To};
use jiff::{SignedDuration, Timestamp};
use support::{Ground, Reads as _, Words, lines, many, seconds, unseen};

async fn rewind(ground: &Ground, to: i64) -> Result<Rewound, EditError> {
    ground.editor().rewind(ground.owner, To::Version(Version(to)), &unseen).await
}

async fn rewind_time(ground: &Ground, time: Timestamp) -> Result<Rewound, EditError> {
    ground.editor().rewind(ground.owner, To::Time(time), &unseen).await
}

/// Four turns, ten seconds apart.
async fn four_turns(ground: &Ground) -> Vec<(i64, String)> {
    let mut states = vec![(0, String::new())];
    ground.put("a", "1").await;
    states.push((1, ground.state().await));
    ground.clock.step(10);
    ground
        .turn(|turn| {
            turn.puts("a", "2");
            turn.puts("b", "1");
            turn.cursor = Some(Some("x".into()));
        })
        .await;
    states.push((2, ground.state().await));
    ground.clock.step(10);
    ground
        .turn(|turn| {
            turn.deletes("a");
            turn.cursor = Some(Some("y".into()));
        })
        .await;
    states.push((3, ground.state().await));
    ground.clock.step(10);
    ground.put("a", "3").await;
    states.push((4, ground.state().await));
    states
}

#[tokio::test]
async fn every_version_can_be_reached_and_left_again() {
    let ground = Ground::new().await;
    let mut states = four_turns(&ground).await;
    for to in [2, 0, 4, 1, 3] {
        let before = ground.version().await;
        let rewound = rewind(&ground, to).await.unwrap();
        let (_, state) = &states[usize::try_from(to).unwrap()];
        assert_eq!(&ground.state().await, state, "version {to}");
        assert_eq!((rewound.to.0, rewound.version.0), (to, before + 1));
        assert_eq!(rewound.turns, u64::try_from(before - to).unwrap());
        states.push((before + 1, state.clone()));
    }
    for (version, state) in states {
        rewind(&ground, version).await.unwrap();
        assert_eq!(ground.state().await, state, "version {version}");
    }
}

#[tokio::test]
async fn a_rewind_says_what_it_did() {
    let ground = Ground::new().await;
    four_turns(&ground).await;
    let rewound = rewind(&ground, 2).await.unwrap();
    assert_eq!((rewound.turns, rewound.entries, rewound.cursor), (2, 1, true));
    let rewound = rewind(&ground, 5).await.unwrap();
    assert_eq!((rewound.turns, rewound.entries, rewound.cursor, rewound.version.0), (0, 0, false, 5));
}

#[tokio::test]
async fn a_time_means_the_last_version_made_until_then() {
    let start = Timestamp::from_second(1_700_000_000).unwrap();
    let ground = Ground::new().await;
    let states = four_turns(&ground).await;
    let error = rewind_time(&ground, start - SignedDuration::from_secs(1)).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "history begins at 2023-11-14T22:13:20Z, after 2023-11-14T22:13:19Z; version 0 is the empty state before it"
    );
    assert_eq!(ground.state().await, states[4].1, "nothing is removed");
    let nothing = Ground::new().await;
    assert_eq!(rewind_time(&nothing, start).await.unwrap().to.0, 0, "where nothing ever was");
    for (after, version) in [(0, 1), (9, 1), (10, 2), (20, 3), (29, 3), (30, 4), (99, 4)] {
        let ground = Ground::new().await;
        let states = four_turns(&ground).await;
        let time = start + SignedDuration::from_secs(after);
        assert_eq!(rewind_time(&ground, time).await.unwrap().to.0, version, "after {after} s");
        assert_eq!(ground.state().await, states[usize::try_from(version).unwrap()].1);
    }
}

#[tokio::test]
async fn rewind_goes_over_whole_spaces() {
    let ground = Ground::new().await;
    ground.put("a", "1").await;
    ground.put("a", "2").await;
    ground.secret("s", "9").await;
    let export = many(10_001, "1");
    let import = ground.editor();
    import.import(ground.owner, lines(&export), Mode::Replace, &unseen).await.unwrap();
    ground.put("k00000", "2").await;
    ground.put("new", "2").await;
    let between = ground.state().await;
    ground.editor().delete_matching(ground.owner, &EntryFilter::default(), false, &unseen).await.unwrap();
    ground.secret("s", "9").await;
    ground.put("b", "1").await;

    let rewound = rewind(&ground, 1).await.unwrap();
    assert_eq!((rewound.entries, rewound.turns), (2, 8));
    assert_eq!(ground.state().await, "a=1 s=9", "before the import");
    rewind(&ground, 6).await.unwrap();
    assert_eq!(ground.state().await, between, "between import and clear");
    rewind(&ground, 9).await.unwrap();
    assert_eq!(ground.state().await, "b=1 s=9", "after all of it");
    rewind(&ground, 5).await.unwrap();
    let found = ground.store.all(ground.owner).await;
    assert_eq!(found.len(), 10_002);
    assert_eq!(ground.store.space_count(ground.owner).await, 10_002);
    assert_eq!(ground.store.list_one("k00000", ground.owner).await.value.as_str(), "2");
    rewind(&ground, 3).await.unwrap();
    assert_eq!(ground.state().await, "a=2 s=9");
}

#[tokio::test]
async fn many_turns_are_rewound_by_a_space() {
    let ground = Ground::new().await;
    ground.put("other", "1").await;
    ground.put_for("soon", "1", seconds(5)).await;
    ground.secret("s", "1").await;
    let keys: Vec<String> = (0..6_000).map(|n| format!("k{n:05}")).collect();
    ground.turn(|turn| keys.iter().for_each(|key| turn.puts(key, "1"))).await;
    let then = ground.store.all(ground.owner).await;
    ground.turn(|turn| keys.iter().for_each(|key| turn.puts(key, "2"))).await;
    ground.turn(|turn| (0..6_000).for_each(|n| turn.puts(&format!("m{n:05}"), "2"))).await;
    ground.turn(|turn| ["soon", "s"].iter().for_each(|key| turn.deletes(key))).await;
    ground.clock.step(5);
    let rewound = rewind(&ground, 4).await.unwrap();
    assert_eq!((rewound.entries, rewound.turns, rewound.version.0), (12_000, 3, 8));
    assert_eq!(rewound.left, ["s", "soon"]);
    let found = ground.store.all(ground.owner).await;
    let plain = |entries: &[Entry]| -> Vec<Entry> {
        let there = entries.iter().filter(|entry| entry.key != "soon" && entry.key != "s");
        there.map(|entry| Entry { revision: Version(0), ..entry.clone() }).collect()
    };
    assert_eq!(plain(&found), plain(&then), "with their times");
    rewind(&ground, 7).await.unwrap();
    assert_eq!(ground.store.all(ground.owner).await.len(), 12_001);
}

#[tokio::test]
async fn history_that_is_gone_names_the_oldest() {
    let ground = Ground::new().await;
    four_turns(&ground).await;
    let week = 7 * 24 * 3_600;
    ground.clock.step(week - 15);
    ground.sweep().await;
    let oldest = "the oldest that it knows is version 2 and the time 2023-11-14T22:13:40Z";
    let error = rewind(&ground, 1).await.unwrap_err();
    assert_eq!(error.to_string(), format!("history does not go back to version 1: {oldest}"));
    let error = rewind_time(&ground, Timestamp::from_second(1_700_000_010).unwrap()).await.unwrap_err();
    assert_eq!(error.to_string(), format!("history does not go back to 2023-11-14T22:13:30Z: {oldest}"));
    assert_eq!(rewind(&ground, 2).await.unwrap().to.0, 2);
    let error = rewind(&ground, 6).await.unwrap_err();
    assert_eq!(error.to_string(), "there is no version 6: the newest is version 5");
    ground.clock.step(2 * week);
    ground.sweep().await;
    let error = rewind(&ground, 4).await.unwrap_err();
    assert_eq!(error.to_string(), "history does not go back to version 4: it knows no version but 5");
}

#[tokio::test]
async fn a_turn_that_replaced_too_much_stops_it() {
    let ground = Ground::new().await;
    let large = format!("\"{}\"", "x".repeat(9 << 20));
    ground.turn(|turn| ["b", "c"].iter().for_each(|key| turn.puts(key, &large))).await;
    ground.turn(|turn| ["b", "c"].iter().for_each(|key| turn.puts(key, "1"))).await;
    ground.put("b", "2").await;
    let error = rewind(&ground, 1).await.unwrap_err();
    assert!(matches!(error, EditError::Marker { version: 2, .. }), "{error}");
    rewind(&ground, 2).await.unwrap();
    assert_eq!(ground.state().await, "b=1 c=1");
}

#[tokio::test]
async fn nothing_expired_comes_back_and_secrets_stay() {
    let ground = Ground::new().await;
    ground.put_for("a", "1", seconds(10)).await;
    ground.put("b", "1").await;
    ground.put_for("a", "2", Expiry::Never).await;
    ground.secret("b", "2").await;
    ground.clock.step(10);
    let rewound = rewind(&ground, 2).await.unwrap();
    assert_eq!((rewound.entries, rewound.left), (1, vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!(ground.state().await, "b=2");
}
