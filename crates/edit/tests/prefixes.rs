//! A prefix is literal: case-sensitive, without wildcards, in the order of bytes, and a listing goes on where the last
//! page ended. `INBOXCLAW_KEYS=1000000` lists more keys than usual.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "model/ground.rs"]
mod ground;

use std::collections::BTreeSet;

use ground::{Ground, build, json, turn, unseen, version};
use inboxclaw_contract::limits::KEY_BYTES;
use inboxclaw_contract::space::Look;
use inboxclaw_contract::turn::EntryChange;
use inboxclaw_contract::{Expiry, Outcome, OwnerId, Spaces, State, Turn};
use inboxclaw_edit::EntryFilter;

/// Keys on both sides of every border that a range of bytes, a wildcard or a comparison of letters could get wrong.
fn odd_keys() -> BTreeSet<String> {
    let plain = [
        "a",
        "A",
        "a_b",
        "aXb",
        "A_B",
        "a%b",
        "a%",
        "aYYb",
        "a\\",
        "a\\_b",
        "a\\%b",
        "a_",
        "a__",
        "_",
        "%",
        "\\",
        "a b",
        "a~",
        "a*",
        "a?b",
        "a[b",
        "'",
        "\"",
        "a'b",
        "é",
        "e\u{301}",
        "É",
        "ß",
        "ss",
        "\u{1F600}",
        "\u{1F600}a",
        "\u{1F601}",
        "a\u{1F600}",
        "\u{7FF}",
        "\u{800}",
        "\u{D7FF}",
        "\u{D7FF}a",
        "\u{E000}",
        "\u{FFFF}",
        "\u{FFFF}a",
        "\u{10000}",
        "\u{10FFFE}",
        "\u{10FFFF}",
        "\u{10FFFF}a",
        "\u{10FFFF}\u{10FFFF}",
        "a\u{10FFFF}",
        "a\u{10FFFF}a",
        "b",
        "10",
        "9",
    ];
    let long = ["k".repeat(KEY_BYTES), "k".repeat(KEY_BYTES - 1), "\u{10FFFF}".repeat(KEY_BYTES / 4)];
    plain.into_iter().map(str::to_owned).chain(long).collect()
}

/// Every beginning of every key.
fn prefixes(keys: &BTreeSet<String>) -> BTreeSet<String> {
    let short = keys.iter().filter(|key| key.len() < 100);
    let beginnings = short.flat_map(|key| key.char_indices().map(|(end, _)| key[..end].to_owned()));
    let more = ["a_%", "%%", "a\\_", "A_", "B", "aX", "k", "\u{10FFFE}a", "\u{10FFFF}\u{10FFFF}\u{10FFFF}"];
    beginnings.chain(keys.iter().cloned()).chain(more.map(str::to_owned)).collect()
}

async fn commit(ground: &Ground, turn: Turn) {
    let found = ground.store.commit(turn).await.unwrap();
    assert!(matches!(found, Outcome::Committed(_)), "{found:?}");
}

async fn put_all(ground: &Ground, owner: OwnerId, keys: &BTreeSet<String>) {
    let mut turn = turn(owner, version(ground, owner).await);
    for key in keys {
        let put = EntryChange::Put { value: json("1"), expiry: Expiry::Keep, secret: false };
        turn.entries.insert(key.clone(), put);
    }
    commit(ground, turn).await;
}

fn under<'a>(keys: &'a BTreeSet<String>, prefix: &str) -> Vec<&'a String> {
    keys.iter().filter(|key| key.as_bytes().starts_with(prefix.as_bytes())).collect()
}

/// All pages of a listing by [`State::list`].
async fn listed(ground: &Ground, owner: OwnerId, prefix: &str, limit: usize) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    loop {
        let page = ground.store.list(owner, prefix, all.last().map(String::as_str), limit).await.unwrap();
        let last = page.len() < limit;
        all.extend(page.into_iter().map(|entry| entry.key));
        if last {
            return all;
        }
    }
}

#[tokio::test]
async fn a_prefix_matches_its_own_bytes_only() {
    let ground = Ground::new();
    let owner = ground.source("a").await;
    let keys = odd_keys();
    put_all(&ground, owner, &keys).await;
    for prefix in prefixes(&keys) {
        let expected = under(&keys, &prefix);
        let found = listed(&ground, owner, &prefix, 3).await;
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "listed under {prefix:?}");
        let found = ground.store.keys(owner, &prefix, None, 1_000).await.unwrap();
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "keys under {prefix:?}");
        let look =
            Look { prefix: prefix.clone(), after: None, entries: 1_000, bytes: 1 << 20, values: false };
        let found = ground.store.look(owner, &look).await.unwrap().entries;
        assert_eq!(
            found.iter().map(|entry| &entry.key).collect::<Vec<_>>(),
            expected,
            "seen under {prefix:?}"
        );
    }
}

#[tokio::test]
async fn after_is_any_key_also_one_that_is_not_there() {
    let ground = Ground::new();
    let owner = ground.source("a").await;
    let keys = odd_keys();
    put_all(&ground, owner, &keys).await;
    for after in prefixes(&keys).iter().filter(|after| !after.is_empty()) {
        for prefix in ["", "a", "\u{10FFFF}", after] {
            let expected: Vec<_> = under(&keys, prefix).into_iter().filter(|key| *key > after).collect();
            let found = ground.store.list(owner, prefix, Some(after), 1_000).await.unwrap();
            let found: Vec<_> = found.iter().map(|entry| &entry.key).collect();
            assert_eq!(found, expected, "under {prefix:?} after {after:?}");
        }
    }
}

#[tokio::test]
async fn a_deletion_by_prefix_takes_its_own_bytes_only() {
    let ground = Ground::new();
    let (by_turn, by_person) = (ground.source("a").await, ground.source("b").await);
    let keys = odd_keys();
    for prefix in
        ["a_", "a%", "%", "_", "A", "a\\", "\u{D7FF}", "\u{FFFF}", "\u{10FFFF}", "a\u{10FFFF}", "k", "É"]
    {
        put_all(&ground, by_turn, &keys).await;
        put_all(&ground, by_person, &keys).await;
        let mut turn = turn(by_turn, version(&ground, by_turn).await);
        turn.deleted_prefixes.push(prefix.to_owned());
        commit(&ground, turn).await;
        let choice = EntryFilter { prefix: prefix.to_owned(), older_than: None };
        let deleted = ground.editor().delete_matching(by_person, &choice, false, &unseen).await.unwrap();
        assert_eq!(deleted.entries, under(&keys, prefix).len() as u64, "{prefix:?}");
        let left: Vec<_> = keys.iter().filter(|key| !key.starts_with(prefix)).collect();
        for owner in [by_turn, by_person] {
            let found = listed(&ground, owner, "", 1_000).await;
            assert_eq!(found.iter().collect::<Vec<_>>(), left, "{prefix:?} of {owner:?}");
        }
    }
}

#[tokio::test]
async fn a_turn_conflicts_over_a_listed_prefix_by_its_own_bytes_only() {
    let ground = Ground::new();
    let owner = ground.source("a").await;
    put_all(&ground, owner, &BTreeSet::from(["a_b".to_owned()])).await;
    let base = version(&ground, owner).await;
    for (key, conflicts) in [("aXb", false), ("A_B", false), ("a", false), ("a_", true)] {
        put_all(&ground, owner, &BTreeSet::from([key.to_owned()])).await;
        let mut turn = turn(owner, base);
        turn.reads.prefixes.insert("a_".to_owned());
        turn.entries.insert("new".to_owned(), EntryChange::Touch { expiry: Expiry::Never });
        let found = ground.store.commit(turn).await.unwrap();
        assert_eq!(matches!(found, Outcome::Conflict(_)), conflicts, "{key:?}: {found:?}");
    }
}

/// Keys that are in another order as numbers, as letters and as UTF-16 than as bytes.
fn many_keys(count: usize) -> Vec<String> {
    let stems = ["a_", "aX", "A_", "%", "\u{1F600}", "\u{FFFF}", "\u{10FFFF}", "a\u{10FFFF}"];
    let mut keys: Vec<_> = (0..count).map(|at| format!("{}{at:x}", stems[at % stems.len()])).collect();
    keys.sort_unstable();
    keys
}

#[tokio::test]
async fn a_long_listing_has_each_key_once_and_in_order() {
    let count = std::env::var("INBOXCLAW_KEYS").map_or(200_000, |count| count.parse().unwrap());
    let ground = Ground::new();
    let owner = ground.source("a").await;
    let keys = many_keys(count);
    build(&ground, owner, &keys, "1").await;
    let space = ground.store.space(owner).await.unwrap();
    assert_eq!(space.entries, count as u64);
    assert!(listed(&ground, owner, "", 1_000).await == keys, "every key once, in the order of bytes");
    for prefix in ["a_", "aX", "a", "\u{10FFFF}", "a\u{10FFFF}", "A_f"] {
        let expected: Vec<_> = keys.iter().filter(|key| key.starts_with(prefix)).cloned().collect();
        let mut found: Vec<String> = Vec::new();
        loop {
            let after = found.last().map(String::as_str);
            let page = ground.store.keys(owner, prefix, after, 1_000).await.unwrap();
            let last = page.len() < 1_000;
            found.extend(page);
            if last {
                break;
            }
        }
        assert!(found == expected, "every key under {prefix:?} once, in the order of bytes");
    }
}
