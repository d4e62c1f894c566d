//! Any key and any prefix, through the limits of the contract and a store, beside a sorted map.
#![no_main]

mod ground;

use std::collections::BTreeMap;

use arbitrary::Arbitrary;
use ground::{Ground, json};
use inboxclaw_contract::limits::{check_key, check_prefix};
use inboxclaw_contract::turn::EntryChange;
use inboxclaw_contract::{Expiry, Outcome, State, StoreError};
use libfuzzer_sys::fuzz_target;

/// A text that shares its beginning with an earlier one, so that prefixes match something.
#[derive(Debug, Arbitrary)]
struct Text {
    earlier: u8,
    cut: u8,
    tail: String,
    repeat: Option<u16>,
}

#[derive(Debug, Arbitrary)]
enum Op {
    Put(Text),
    Delete(Text),
    DeletePrefix(Text),
    List { prefix: Text, after: Option<Text>, limit: u8 },
    Keys { prefix: Text, after: Option<Text>, limit: u8 },
}

fn text(text: &Text, known: &mut Vec<String>) -> String {
    let base = known.get(usize::from(text.earlier) % known.len().max(1)).map_or("", String::as_str);
    let cut = base.char_indices().map(|(at, _)| at).nth(usize::from(text.cut)).unwrap_or(base.len());
    let tail =
        text.repeat.map_or_else(|| text.tail.clone(), |times| text.tail.repeat(usize::from(times % 300)));
    let found = format!("{}{tail}", &base[..cut]);
    known.push(found.clone());
    found
}

/// The rule in other words: 1 to 2,048 bytes, neither C0 nor C1 nor DEL.
fn is_key(text: &str) -> bool {
    let plain = |c: char| c > '\u{1f}' && !('\u{7f}'..='\u{9f}').contains(&c);
    (1..=2_048).contains(&text.len()) && text.chars().all(plain)
}

async fn commit(ground: &Ground, change: impl FnOnce(&mut inboxclaw_contract::Turn), allowed: bool) {
    let mut turn = ground.turn(0).await;
    change(&mut turn);
    match ground.store.commit(turn).await {
        Ok(Outcome::Committed(_)) => assert!(allowed, "stored beyond the limits"),
        Err(StoreError::Refused(reason)) => assert!(!allowed, "refused: {reason}"),
        other => panic!("{other:?}"),
    }
}

async fn run(ground: &Ground, ops: &[Op]) {
    ground.clear().await;
    let mut model: BTreeMap<String, u32> = BTreeMap::new();
    let mut known = Vec::new();
    for (number, op) in (0..).zip(ops) {
        step(ground, &mut model, &mut known, number, op).await;
    }
    let all = ground.store.list(ground.owners[0], "", None, 100_000).await.unwrap();
    let all: Vec<_> = all.iter().map(|entry| (entry.key.as_str(), entry.value.as_str().to_owned())).collect();
    let expected: Vec<_> = model.iter().map(|(key, number)| (key.as_str(), number.to_string())).collect();
    assert_eq!(all, expected);
}

async fn step(
    ground: &Ground,
    model: &mut BTreeMap<String, u32>,
    known: &mut Vec<String>,
    number: u32,
    op: &Op,
) {
    let owner = ground.owners[0];
    match op {
        Op::Put(key) => {
            let key = text(key, known);
            assert_eq!(check_key(&key).is_ok(), is_key(&key), "{key:?}");
            let put =
                EntryChange::Put { value: json(&number.to_string()), expiry: Expiry::Keep, secret: false };
            commit(ground, |turn| drop(turn.entries.insert(key.clone(), put)), is_key(&key)).await;
            if is_key(&key) {
                model.insert(key, number);
            }
        }
        Op::Delete(key) => {
            let key = text(key, known);
            commit(ground, |turn| drop(turn.entries.insert(key.clone(), EntryChange::Delete)), is_key(&key))
                .await;
            model.remove(&key);
        }
        Op::DeletePrefix(prefix) => {
            let prefix = text(prefix, known);
            let allowed = prefix.is_empty() || is_key(&prefix);
            assert_eq!(check_prefix(&prefix).is_ok(), allowed, "{prefix:?}");
            commit(ground, |turn| turn.deleted_prefixes.push(prefix.clone()), allowed).await;
            if allowed {
                model.retain(|key, _| !key.starts_with(&prefix));
            }
        }
        Op::List { prefix, after, limit } | Op::Keys { prefix, after, limit } => {
            let prefix = text(prefix, known);
            let after = after.as_ref().map(|after| text(after, known));
            let (after, limit) = (after.as_deref(), usize::from(*limit) + 1);
            let found = if matches!(op, Op::Keys { .. }) {
                ground.store.keys(owner, &prefix, after, limit).await
            } else {
                let found = ground.store.list(owner, &prefix, after, limit).await;
                found.map(|found| found.into_iter().map(|entry| entry.key).collect())
            };
            let wanted =
                |key: &&String| key.starts_with(&prefix) && after.is_none_or(|after| key.as_str() > after);
            let expected: Vec<_> = model.keys().filter(wanted).take(limit).cloned().collect();
            assert_eq!(found.unwrap(), expected, "under {prefix:?} after {after:?}");
        }
    }
}

fuzz_target!(|ops: Vec<Op>| Ground::with(|ground, runtime| runtime.block_on(run(ground, &ops))));
