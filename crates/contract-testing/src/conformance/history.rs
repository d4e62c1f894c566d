//! What history keeps, and how it is read: a page at a time, bounded, without secrets.

use inboxclaw_contract::store::{Before, HistoryLimit};
use inboxclaw_contract::turn::Conflict;
use inboxclaw_contract::{Entry, Expiry, OwnerId, Version};

use crate::{Ground, Words, seconds, turn};

/// The entry that history kept.
fn entry(before: &Before) -> &Entry {
    match before {
        Before::Entry(entry) => entry,
        other => panic!("{other:?}"),
    }
}

/// What history kept of a value, in a word.
fn kept(before: &Before) -> &str {
    match before {
        Before::Absent => "absent",
        Before::Entry(entry) => entry.value.as_str(),
        Before::Secret => "secret",
    }
}

pub async fn history_says_what_was_replaced(ground: &Ground) {
    let owner = ground.source("a").await;
    ground.commit(ground.turn(owner).await.put_for("a", "1", seconds(60)).cursor("c")).await;
    let first = ground.store.list(owner, "a", None, 1).await.unwrap().remove(0);
    ground.clock.step(5);
    let mut edit = ground.turn(owner).await.put("a", "2").put("b", "1");
    edit.author = Some("ann".into());
    ground.commit(edit).await;
    ground.commit(ground.turn(owner).await.touch("a", Expiry::Never).put("b", "1").emit("e", "t")).await;
    let mut clear = ground.turn(owner).await.delete("b");
    clear.cursor = Some(None);
    ground.commit(clear).await;

    let all = ground.store.history(owner, None, HistoryLimit::turns(10)).await.unwrap();
    assert_eq!(all.iter().map(|past| past.version.0).collect::<Vec<_>>(), [3, 2, 1]);
    assert_eq!(all[2].cursor, Some(None));
    assert_eq!(all[2].entries, [("a".to_owned(), Before::Absent)]);
    assert_eq!((all[1].author.as_deref(), &all[1].cursor), (Some("ann"), &None));
    assert_eq!(all[1].entries, [("a".to_owned(), Before::Entry(first)), ("b".to_owned(), Before::Absent)]);
    assert_eq!(all[0].cursor, Some(Some("c".into())));
    assert_eq!(entry(&all[0].entries[0].1).value.as_str(), "1");
    assert!(all[0].at == all[1].at && all[1].at > all[2].at);
    assert_eq!(
        ground.store.history(owner, Some(Version(3)), HistoryLimit::turns(1)).await.unwrap(),
        all[1..2]
    );
    assert!(ground.store.history(owner, Some(Version(1)), HistoryLimit::turns(1)).await.unwrap().is_empty());
}

pub async fn history_keeps_no_secret(ground: &Ground) {
    let owner = ground.source("a").await;
    ground.commit(ground.turn(owner).await.secret("a", "1").secret("b", "1").put("c", "1")).await;
    ground.commit(ground.turn(owner).await.secret("a", "2").put("b", "2").secret("c", "2")).await;
    ground.commit(ground.turn(owner).await.delete("a")).await;
    let all = ground.store.history(owner, None, HistoryLimit::turns(10)).await.unwrap();
    assert_eq!(all[0].entries, [("a".to_owned(), Before::Secret)]);
    let kept: Vec<_> = all[1].entries.iter().map(|(key, old)| (key.as_str(), kept(old))).collect();
    assert_eq!(kept, [("a", "secret"), ("b", "secret"), ("c", "1")]);
    let first: Vec<_> = all[2].entries.iter().map(|(_, old)| old.clone()).collect();
    assert_eq!(first, [Before::Absent, Before::Absent, Before::Absent]);
}

pub async fn history_is_a_marker_when_a_turn_replaces_too_much(ground: &Ground) {
    let owner = ground.source("a").await;
    let big = format!("\"{}\"", "x".repeat(9 << 20));
    ground.commit(ground.turn(owner).await.put("a", &big).put("b", &big).put("c", "1")).await;
    let base = ground.commit(ground.turn(owner).await.delete_prefix("")).await.version;
    let past = ground.store.history(owner, None, HistoryLimit::turns(1)).await.unwrap().remove(0);
    assert!(past.marker && past.entries.is_empty());
    assert!(ground.keys(owner, "").await.is_empty());
    // What was changed is no longer known, so everything older is in doubt.
    assert_eq!(ground.conflict(turn(owner, Version(1)).put("z", "1")).await, Conflict::Unknown);
    ground.commit(turn(owner, base).put("z", "1")).await;
}

pub async fn history_says_which_turn_was_taken_back(ground: &Ground) {
    let owner = ground.source("a").await;
    ground.commit(ground.turn(owner).await.put("a", "1").author("ann")).await;
    let mut undo = ground.turn(owner).await.delete("a").author("bob");
    undo.undoes = Some(Version(1));
    ground.commit(undo).await;
    let all = ground.store.history(owner, None, HistoryLimit::turns(10)).await.unwrap();
    let told: Vec<_> = all.iter().map(|past| (past.author.as_deref(), past.undoes)).collect();
    assert_eq!(told, [(Some("bob"), Some(Version(1))), (Some("ann"), None)]);
    assert!(all.iter().all(|past| past.replaced.is_none() && !past.marker));
}

/// The versions on a page of history.
async fn versions(
    ground: &Ground,
    owner: OwnerId,
    before: Option<i64>,
    limit: usize,
    bytes: usize,
) -> Vec<i64> {
    let found =
        ground.store.history(owner, before.map(Version), HistoryLimit { turns: limit, bytes }).await.unwrap();
    found.iter().map(|past| past.version.0).collect()
}

pub async fn a_page_of_history_is_bounded_in_turns_and_bytes(ground: &Ground) {
    let (owner, other) = (ground.source("a").await, ground.source("b").await);
    for n in 0..30 {
        let text = format!("\"{n}{}\"", "x".repeat(10_000));
        ground.commit(ground.turn(owner).await.put("k", &text)).await;
        ground.commit(ground.turn(other).await.put("k", &n.to_string())).await;
    }
    assert_eq!(versions(ground, owner, None, 3, usize::MAX).await, [30, 29, 28]);
    assert_eq!(versions(ground, owner, None, 10, 35_000).await, [30, 29, 28]);
    assert_eq!(versions(ground, owner, None, 10, 0).await, [30], "one turn, however large");
    assert_eq!(versions(ground, owner, Some(29), 2, usize::MAX).await, [28, 27]);
    assert_eq!(versions(ground, owner, Some(1), 2, usize::MAX).await, [0_i64; 0]);
    for (limit, bytes) in [(1, usize::MAX), (7, usize::MAX), (100, 25_000), (100, usize::MAX)] {
        let (mut found, mut before) = (Vec::new(), None);
        loop {
            let page = versions(ground, owner, before, limit, bytes).await;
            // In between somebody looks at other pages, and the owner goes on.
            versions(ground, other, Some(20), 3, usize::MAX).await;
            versions(ground, owner, Some(12), 1, usize::MAX).await;
            let Some(last) = page.last() else { break };
            before = Some(*last);
            found.extend(page);
        }
        assert!(found.into_iter().eq((1..=30).rev()), "in pages of {limit} and {bytes} bytes");
    }
}
