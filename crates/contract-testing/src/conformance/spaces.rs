//! Looking into spaces, building them in steps, and what becomes of those that nobody names.

use std::sync::Mutex;
use std::sync::mpsc;

use inboxclaw_contract::space::{Copied, Look, NewSpace};
use inboxclaw_contract::{Entry, OwnerId, SpaceId, StoreError, Turn, Version};
use jiff::{SignedDuration, Timestamp};

use crate::{SpacesGround, Words, json, seconds, turn};

/// An entry that is older than the tests.
pub fn old_entry(key: &str, value: &str) -> Entry {
    Entry {
        key: key.into(),
        value: json(value),
        revision: Version(77),
        created_at: Timestamp::from_second(1_000).unwrap(),
        updated_at: Timestamp::from_second(2_000).unwrap(),
        expires_at: None,
        secret: false,
    }
}

fn put(key: &str, value: &str) -> (String, Option<Entry>) {
    (key.to_owned(), Some(old_entry(key, value)))
}

fn look(prefix: &str, after: Option<&str>, entries: usize) -> Look {
    Look { prefix: prefix.into(), after: after.map(str::to_owned), entries, bytes: 1 << 20, values: true }
}

/// Entries and bytes.
async fn info(ground: &SpacesGround, owner: OwnerId) -> (u64, u64) {
    let info = ground.spaces.space(owner).await.unwrap();
    (info.entries, info.bytes)
}

/// Copies all that is under a prefix in steps, and says how many there were.
async fn copy_all(ground: &SpacesGround, from: SpaceId, to: &NewSpace, prefix: &str, limit: usize) -> usize {
    let mut after: Option<String> = None;
    for steps in 1..1_000 {
        let copied = ground.spaces.copy(from, to, prefix, after.as_deref(), limit).await.unwrap();
        assert!(copied.entries <= limit as u64);
        after = copied.next;
        if after.is_none() {
            return steps;
        }
    }
    panic!("copying does not come to an end");
}

async fn puts(ground: &SpacesGround, owner: OwnerId, keys: impl Iterator<Item = String>) {
    let turn = keys.fold(ground.turn(owner).await, |turn: Turn, key| turn.put(&key, "1"));
    ground.commit(turn).await;
}

pub async fn a_space_is_built_in_steps_while_others_go_on(ground: &SpacesGround) {
    let (owner, other) = (ground.source("a").await, ground.source("b").await);
    ground.commit(ground.turn(owner).await.put("before", "1").cursor("c")).await;
    let space = ground.spaces.build(owner).await.unwrap();
    for step in 0..5 {
        let changes = (0..100).map(|n| put(&format!("{step}/{n:02}"), "\"new\"")).collect();
        ground.spaces.fill(&space, changes).await.unwrap();
        ground.commit(ground.turn(other).await.put("k", &step.to_string())).await;
        assert_eq!(ground.keys(owner, "").await, ["before"], "nobody sees what is being built");
        assert_eq!(ground.sweep().await, 0, "and no sweep removes it");
    }
    // Over what is there, and out again.
    let changes = vec![put("0/00", "2"), ("0/01".into(), None), ("absent".into(), None)];
    ground.spaces.fill(&space, changes).await.unwrap();
    assert_eq!((info(ground, owner).await, ground.version(owner).await), ((1, 7), Version(1)));
    let swap = ground.turn(owner).await.swap(space.id, true).author("cli:me");
    assert_eq!(ground.commit(swap).await.version, Version(2));
    assert_eq!(info(ground, owner).await, (499, 498 * 9 + 5));
    let first = ground.store.list(owner, "0", None, 2).await.unwrap();
    let wanted = |key, value| Entry { revision: Version(2), ..old_entry(key, value) };
    assert_eq!(first, [wanted("0/00", "2"), wanted("0/02", "\"new\"")]);
    assert_eq!(ground.get(other, "k").await.as_deref(), Some("4"));
}

pub async fn only_what_is_being_built_can_be_filled(ground: &SpacesGround) {
    let (owner, other) = (ground.source("a").await, ground.source("b").await);
    let space = ground.spaces.build(owner).await.unwrap();
    let kept = ground.spaces.space(owner).await.unwrap().id;
    let foreign = turn(other, Version(0)).swap(space.id, true);
    assert!(matches!(ground.store.commit(foreign).await, Err(StoreError::Refused(_))), "it is for its owner");
    ground.commit(ground.turn(owner).await.swap(space.id, true)).await;
    let in_place = ground.spaces.fill(&space, vec![put("k", "1")]).await;
    assert!(matches!(in_place, Err(StoreError::Refused(_))), "only turns write what is in place");
    let replaced = NewSpace { id: kept, ..space.clone() };
    assert!(matches!(ground.spaces.fill(&replaced, vec![put("k", "1")]).await, Err(StoreError::Refused(_))));
    let copied = ground.spaces.copy(kept, &replaced, "", None, 9).await;
    assert!(matches!(copied, Err(StoreError::Refused(_))));
    let space = ground.spaces.build(owner).await.unwrap();
    let bad = ground.spaces.fill(&space, vec![put("", "1")]).await;
    assert!(matches!(bad, Err(StoreError::Refused(_))), "keys keep their limits");
    assert_eq!(info(ground, owner).await, (0, 0));
    assert!(matches!(ground.spaces.build(OwnerId(99)).await, Err(StoreError::NoOwner(_))));
}

pub async fn a_space_that_nobody_builds_any_more_goes(ground: &SpacesGround) {
    let owner = ground.source("a").await;
    let space = ground.spaces.build(owner).await.unwrap();
    for step in 0..3 {
        let changes = (0..400).map(|n| put(&format!("{step}/{n}"), "1")).collect();
        ground.spaces.fill(&space, changes).await.unwrap();
    }
    let dropped = NewSpace { alive: std::sync::Arc::new(()), ..space.clone() };
    drop(space);
    assert!(ground.store.sweep().await.unwrap().more);
    // Half gone is as good as gone.
    assert_eq!(ground.spaces.entries_in(dropped.id, &["2/99".into()]).await.unwrap(), [None]);
    let other = ground.spaces.build(owner).await.unwrap();
    let copied = ground.spaces.copy(dropped.id, &other, "", None, 9).await;
    assert!(matches!(copied, Err(StoreError::Refused(_))));
    assert!(matches!(ground.spaces.fill(&dropped, vec![put("k", "1")]).await, Err(StoreError::Refused(_))));
    let swap = ground.store.commit(ground.turn(owner).await.swap(dropped.id, true)).await;
    assert!(matches!(swap, Err(StoreError::Refused(_))));
    assert_eq!(ground.sweep().await, 700);
    assert_eq!(ground.sweep().await, 0);
    assert_eq!(ground.version(owner).await, Version(0));
}

pub async fn a_copy_takes_live_entries_without_secrets(ground: &SpacesGround) {
    let (owner, other) = (ground.source("a").await, ground.source("b").await);
    puts(ground, owner, (0..250).map(|n| format!("k/{n:03}"))).await;
    let more = ground.turn(owner).await.put("k/005", "5").put_for("k/006", "6", seconds(10));
    ground.commit(more.put_for("k/007", "7", seconds(9)).secret("k/008", "8").put("l", "1")).await;
    ground.clock.step(9);
    let (from, to) =
        (ground.spaces.space(owner).await.unwrap().id, ground.spaces.build(owner).await.unwrap());
    ground.spaces.fill(&to, vec![put("k/000", "\"stays\"")]).await.unwrap();
    let halfway = ground.spaces.copy(from, &to, "k/", None, 100).await.unwrap();
    assert_eq!(halfway, Copied { entries: 100, next: Some("k/099".into()) });
    // A turn meanwhile, behind the copy: whoever copies catches up.
    ground.commit(ground.turn(other).await.put("x", "1")).await;
    assert_eq!(copy_all(ground, from, &to, "k/", 100).await, 3, "what is there already does no harm");
    let before = ground.all(owner).await;
    ground.commit(ground.turn(owner).await.swap(to.id, false)).await;
    let after = ground.all(owner).await;
    assert_eq!(after[0], Entry { revision: Version(3), ..old_entry("k/000", "\"stays\"") });
    let plain = before.into_iter().filter(|entry| !entry.secret && entry.key.starts_with("k/")).skip(1);
    assert_eq!(after[1..], plain.collect::<Vec<_>>(), "with revisions, times and expiry");
    assert_eq!((after.len(), info(ground, owner).await), (248, (248, 247 * 6 + 5 + 7)));
}

pub async fn a_step_of_copying_is_bounded_in_bytes(ground: &SpacesGround) {
    let owner = ground.source("a").await;
    let value = format!("\"{}\"", "x".repeat(300_000));
    let many = (0..8).fold(ground.turn(owner).await, |turn, n| turn.put(&n.to_string(), &value));
    ground.commit(many.put("9", &format!("\"{}\"", "y".repeat(3 << 20)))).await;
    let (from, to) =
        (ground.spaces.space(owner).await.unwrap().id, ground.spaces.build(owner).await.unwrap());
    let first = ground.spaces.copy(from, &to, "", None, 1_000).await.unwrap();
    assert!((1..=4).contains(&first.entries) && first.next.is_some(), "{first:?}");
    assert!(copy_all(ground, from, &to, "", 1_000).await >= 4, "the largest goes alone");
    let all = ground.all(owner).await;
    ground.commit(ground.turn(owner).await.swap(to.id, true)).await;
    assert_eq!(ground.all(owner).await, all);
}

pub async fn what_has_expired_does_not_come_back_with_a_space(ground: &SpacesGround) {
    let owner = ground.source("a").await;
    ground.commit(ground.turn(owner).await.put_for("soon", "1", seconds(5)).put("stays", "1")).await;
    let now = ground.store.snapshot(owner).await.unwrap().now;
    let at = |seconds| Some(now.checked_add(SignedDuration::from_secs(seconds)).unwrap());
    let space = ground.spaces.build(owner).await.unwrap();
    let entry = |key: &str, expires_at| (key.to_owned(), Some(Entry { expires_at, ..old_entry(key, "1") }));
    ground.spaces.fill(&space, vec![entry("was", None), entry("will", at(9))]).await.unwrap();
    ground
        .spaces
        .fill(&space, vec![entry("now", at(0)), entry("was", at(-1)), entry("late", at(10))])
        .await
        .unwrap();
    ground.commit(ground.turn(owner).await.swap(space.id, true)).await;
    assert_eq!(ground.keys(owner, "").await, ["late", "will"]);
    assert_eq!(ground.all(owner).await[0].expires_at, at(10));
    ground.clock.step(9);
    assert_eq!(ground.keys(owner, "").await, ["late"]);
    // Nor with the space that was replaced.
    let replaced = ground.last(owner).await.replaced.unwrap();
    let keys = ["soon".to_owned(), "stays".into()];
    let found = ground.spaces.entries_in(replaced, &keys).await.unwrap();
    assert_eq!(found.iter().map(Option::is_some).collect::<Vec<_>>(), [false, true]);
    ground.commit(ground.turn(owner).await.swap(replaced, true)).await;
    assert_eq!(ground.keys(owner, "").await, ["stays"]);
}

pub async fn a_replaced_space_stays_as_long_as_history_names_it(ground: &SpacesGround) {
    let owner = ground.source("a").await;
    puts(ground, owner, (0..600).map(|n| n.to_string())).await;
    ground.commit(ground.turn(owner).await.secret("token", "\"t\"").put_for("e", "1", seconds(1))).await;
    let all = ground.all(owner).await;
    let empty = ground.spaces.build(owner).await.unwrap();
    ground.commit(ground.turn(owner).await.swap(empty.id, true)).await;
    let replaced = ground.last(owner).await.replaced.unwrap();
    ground.clock.step(24 * 60 * 60);
    assert_eq!(ground.sweep().await, 1, "only what has expired in it");
    let keys: Vec<String> = all.iter().map(|entry| entry.key.clone()).collect();
    let kept = ground.spaces.entries_in(replaced, &keys).await.unwrap();
    let plain = all.into_iter().map(|entry| Some(entry).filter(|it| it.key != "e" && !it.secret));
    assert_eq!(kept, plain.collect::<Vec<_>>(), "without the secret");
    ground.commit(ground.turn(owner).await.swap(replaced, true)).await;
    assert_eq!((ground.keys(owner, "").await.len(), info(ground, owner).await.0), (601, 601));
    ground.commit(ground.turn(owner).await.swap(empty.id, true)).await;
    assert_eq!(ground.keys(owner, "").await, ["token"]);
    // History of a week.
    ground.clock.step(8 * 24 * 60 * 60);
    assert_eq!(ground.sweep().await, 600);
    assert!(ground.spaces.entries_in(replaced, &keys).await.unwrap().iter().all(Option::is_none));
    let back = ground.store.commit(ground.turn(owner).await.swap(replaced, true)).await;
    assert!(matches!(back, Err(StoreError::Refused(_))));
    assert_eq!((ground.keys(owner, "").await, info(ground, owner).await), (vec!["token".into()], (1, 8)));
}

pub async fn a_look_goes_page_by_page(ground: &SpacesGround) {
    let owner = ground.source("a").await;
    puts(ground, owner, (0..2_500).map(|n| format!("a_b/{n:04}"))).await;
    let others = ground.turn(owner).await.put("aXb/1", "1").put("A_B/1", "1").put("a_b", "1");
    ground.commit(others.put_for("a_b/0001x", "1", seconds(5)).secret("a_b/t", "\"é\"")).await;
    ground.clock.step(5);
    let (mut after, mut keys, mut pages) = (None, Vec::new(), 0);
    loop {
        let page = ground.spaces.look(owner, &look("a_b/", after.as_deref(), 999)).await.unwrap();
        keys.extend(page.entries.iter().map(|entry| entry.key.clone()));
        pages += 1;
        assert_eq!(page.next.is_some(), pages < 3);
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    let wanted = (0..2_500).map(|n| format!("a_b/{n:04}")).chain(["a_b/t".to_owned()]);
    assert_eq!(keys, wanted.collect::<Vec<_>>());
    let listed = ground.store.list(owner, "a_b/t", None, 9).await.unwrap();
    let mut page = ground.spaces.look(owner, &look("a_b/t", None, 1)).await.unwrap();
    assert_eq!((page.next, page.entries.len()), (None, 1), "a full page that is the last one says so");
    let entry = page.entries.remove(0);
    assert_eq!((entry.size, entry.secret), (4, true), "in bytes");
    assert_eq!(entry, listed[0].clone().into());
    assert!(matches!(ground.spaces.look(OwnerId(99), &look("", None, 1)).await, Err(StoreError::NoOwner(_))));
    assert!(matches!(ground.spaces.space(OwnerId(99)).await, Err(StoreError::NoOwner(_))));
}

pub async fn a_look_is_bounded_in_bytes_of_values(ground: &SpacesGround) {
    let owner = ground.source("a").await;
    let value = |length: usize| format!("\"{}\"", "x".repeat(length - 2));
    let turn = ground.turn(owner).await.put("a", &value(40)).put("b", &value(60)).put("c", &value(500));
    ground.commit(turn.put("d", "1")).await;
    let page = async |after: Option<&str>, values| {
        let page = Look { bytes: 100, values, ..look("", after, 100) };
        let page = ground.spaces.look(owner, &page).await.unwrap();
        let entries = page.entries.into_iter().map(|it| (it.key, it.size, it.value.is_some()));
        (entries.collect::<Vec<_>>(), page.next)
    };
    let entry = |key: &str, size, value| (key.to_owned(), size, value);
    let first = vec![entry("a", 40, true), entry("b", 60, true)];
    assert_eq!(page(None, true).await, (first, Some("b".into())));
    assert_eq!(page(Some("b"), true).await, (vec![entry("c", 500, true)], Some("c".into())));
    assert_eq!(page(Some("c"), true).await, (vec![entry("d", 1, true)], None));
    let all =
        vec![entry("a", 40, false), entry("b", 60, false), entry("c", 500, false), entry("d", 1, false)];
    assert_eq!(page(None, false).await, (all, None), "values that are not read do not count");
}

pub async fn a_scan_sees_one_instant_and_holds_nobody_up(ground: &SpacesGround) {
    let owner = ground.source("a").await;
    puts(ground, owner, (0..100).map(|n| format!("k/{n:02}"))).await;
    ground.commit(ground.turn(owner).await.cursor("c").put("l", "1").put_for("k/e", "1", seconds(1))).await;
    ground.clock.step(1);
    // More scans than there are connections, each stuck in its first entry.
    let mut scans = Vec::new();
    for _ in 0..8 {
        let (go, gate) = mpsc::channel::<()>();
        let (started, mut begun) = tokio::sync::mpsc::unbounded_channel();
        let (sender, found) = mpsc::channel();
        let spaces = ground.spaces.clone();
        let each = move |entry: Entry| {
            if started.send(()).is_ok() && entry.key == "k/00" {
                gate.recv().unwrap();
            }
            sender.send(entry.key).is_ok()
        };
        let scan = tokio::spawn(async move { spaces.scan(owner, "k/", Box::new(each)).await });
        begun.recv().await.unwrap();
        scans.push((scan, go, found, begun));
    }
    ground.commit(ground.turn(owner).await.delete_prefix("k/").put("k/new", "1").cursor("d")).await;
    assert_eq!(ground.store.list(owner, "", None, 1_000).await.unwrap().len(), 2);
    assert_eq!(ground.spaces.look(owner, &look("", None, 1_000)).await.unwrap().entries.len(), 2);
    for (scan, go, found, _begun) in scans {
        go.send(()).unwrap();
        let snapshot = scan.await.unwrap().unwrap();
        assert_eq!((snapshot.version, snapshot.cursor.as_deref()), (Version(2), Some("c")));
        let wanted = (0..100).map(|n| format!("k/{n:02}"));
        assert_eq!(found.iter().collect::<Vec<_>>(), wanted.collect::<Vec<_>>());
    }
    let seen = std::sync::Arc::new(Mutex::new(0));
    let each = {
        let seen = seen.clone();
        move |_| {
            *seen.lock().unwrap() += 1;
            false
        }
    };
    ground.spaces.scan(owner, "", Box::new(each)).await.unwrap();
    assert_eq!(*seen.lock().unwrap(), 1, "it ends when told");
    let nobody = ground.spaces.scan(OwnerId(99), "", Box::new(|_| true)).await;
    assert!(matches!(nobody, Err(StoreError::NoOwner(_))));
}

pub async fn what_expires_is_told_in_order(ground: &SpacesGround) {
    let (owner, other) = (ground.source("a").await, ground.source("b").await);
    let turn = ground.turn(owner).await.put_for("c", "1", seconds(10)).put_for("a", "1", seconds(30));
    ground.commit(turn.put_for("b", "1", seconds(20)).put("never", "1").put_for("d", "1", seconds(10))).await;
    ground.commit(ground.turn(other).await.put_for("x", "1", seconds(15))).await;
    let now = ground.store.snapshot(owner).await.unwrap().now;
    let at = |seconds| now.checked_add(SignedDuration::from_secs(seconds)).unwrap();
    let expiring = async |after, limit| ground.spaces.expiring(owner, after, limit).await.unwrap();
    let all = [("c", 10), ("d", 10), ("b", 20), ("a", 30)].map(|(key, s)| (key.to_owned(), at(s)));
    assert_eq!(expiring(now, 9).await, all);
    assert_eq!(expiring(now, 100).await, all);
    assert_eq!(expiring(now, 2).await, all[..2]);
    assert_eq!(expiring(at(10), 1).await, all[2..3]);
    ground.clock.step(20);
    assert_eq!(expiring(at(9), 3).await, all[..3], "also what has just expired");
    assert!(expiring(at(30), 9).await.is_empty());
    assert!(matches!(ground.spaces.expiring(OwnerId(99), now, 1).await, Err(StoreError::NoOwner(_))));
}

pub async fn what_has_just_expired_is_left_to_those_who_watch(ground: &SpacesGround) {
    let owner = ground.source("a").await;
    ground.commit(ground.turn(owner).await.put_for("k", "1", seconds(100)).put("stays", "1")).await;
    let from = ground.store.snapshot(owner).await.unwrap().now;
    ground.clock.step(109);
    assert_eq!((ground.get(owner, "k").await, ground.sweep().await), (None, 0));
    assert_eq!(ground.spaces.expiring(owner, from, 9).await.unwrap().len(), 1);
    ground.clock.step(1);
    assert_eq!(ground.sweep().await, 1);
    assert!(ground.spaces.expiring(owner, from, 9).await.unwrap().is_empty());
    assert_eq!((ground.counts(owner).await, ground.version(owner).await), ((1, 6), Version(1)));
}

pub async fn what_expired_and_is_gone_leaves_a_mark(ground: &SpacesGround) {
    let (owner, other) = (ground.source("a").await, ground.source("b").await);
    let swept = async |owner| ground.spaces.swept_until(owner).await.unwrap();
    let put = ground.turn(owner).await.put_for("a", "1", seconds(5)).put_for("b", "1", seconds(9));
    ground.commit(put.put_for("p/a", "1", seconds(30)).put_for("p/b", "1", seconds(60))).await;
    let start = ground.store.snapshot(owner).await.unwrap().now;
    let at = |seconds: i64| Some(start + SignedDuration::from_secs(seconds));
    assert_eq!(swept(owner).await, None);
    ground.clock.step(15);
    ground.sweep().await;
    assert_eq!(swept(owner).await, at(5), "the other is left to those who watch");
    ground.clock.step(10);
    ground.sweep().await;
    assert_eq!((swept(owner).await, swept(other).await), (at(9), None));
    ground.clock.step(10);
    assert_eq!(ground.commit(ground.turn(owner).await.delete_prefix("p/a")).await.version, Version(1));
    assert_eq!(swept(owner).await, at(30), "a deletion takes along what has expired");
    ground.commit(ground.turn(owner).await.delete_prefix("p/")).await;
    assert_eq!(swept(owner).await, at(30), "what is deleted before it expires has a version");
    assert!(matches!(ground.spaces.swept_until(OwnerId(99)).await, Err(StoreError::NoOwner(_))));
}
