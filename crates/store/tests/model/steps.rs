//! What can happen to a store, at random.

use std::time::Duration;

use inboxclaw_contract::turn::{DeliveryChange, DeliveryState, EntryChange};
use inboxclaw_contract::{DeliveryOrigin, Entry, Expiry, Seq, Turn, Version};
use jiff::Timestamp;
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use crate::model::{Model, owner};
use inboxclaw_contract_testing::{Words, json, turn};

const KEYS: [&str; 7] = ["A/1", "a", "a/1", "a/2", "a\u{10FFFF}", "b", "\u{10FFFF}"];
const PREFIXES: [&str; 6] = ["", "a", "a/", "A", "a\u{10FFFF}", "\u{10FFFF}"];
const VALUES: [&str; 3] = ["1", "{\"a\":1}", "\"x\""];

#[derive(Debug, Clone)]
pub(crate) enum Step {
    Turn(Plan),
    /// By so many seconds.
    Clock(i64),
    Sweep,
    Prune {
        older_than: u64,
        owed_max: u64,
        /// Where the one sink stands.
        after: i64,
        /// Whether that sink counts.
        keep: bool,
    },
    Reopen,
}

/// A turn before its base is known.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    owner: usize,
    /// How many versions its base is behind.
    behind: i64,
    read_keys: Vec<&'static str>,
    read_prefixes: Vec<&'static str>,
    read_cursor: bool,
    cursor: Option<Option<String>>,
    deleted_prefixes: Vec<&'static str>,
    entries: Vec<(&'static str, EntryChange)>,
    events: Vec<(&'static str, &'static str)>,
    /// A key, and how far its wanted revision is from the one that is there.
    check: Option<(&'static str, i64)>,
    owed: Option<(i64, bool)>,
}

impl Plan {
    pub(crate) fn turn(&self, model: &Model) -> Turn {
        let base = Version((model.version(self.owner) - self.behind).max(0));
        let mut turn =
            turn(owner(self.owner), base).reads(&self.read_keys, &self.read_prefixes, self.read_cursor);
        turn.cursor.clone_from(&self.cursor);
        for prefix in &self.deleted_prefixes {
            turn = turn.delete_prefix(prefix);
        }
        for (key, change) in &self.entries {
            let mut change = change.clone();
            if let EntryChange::Restore(entry) = &mut change {
                entry.key = (*key).to_owned();
            }
            turn.entries.insert((*key).to_owned(), change);
        }
        for (id, event_type) in &self.events {
            turn = turn.emit(id, event_type);
        }
        if let Some((key, off)) = self.check {
            let revision = model.revision(self.owner, key).map(|revision| revision + off);
            turn = turn.check(key, revision);
        }
        if let Some((seq, done)) = self.owed {
            let seq = Seq(seq);
            turn.deliveries.push(if done {
                DeliveryChange::Done { seq }
            } else {
                let state = DeliveryState::Waiting;
                DeliveryChange::Owe {
                    seq,
                    entity: None,
                    state,
                    due: model.now(),
                    attempts: 1,
                    error: None,
                    tried_at: None,
                    origin: DeliveryOrigin::Log,
                }
            });
        }
        turn
    }
}

pub(crate) fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => any_plan().prop_map(Step::Turn),
        4 => select(vec![1, 10, 100, 3_000, -10, -59, -61, -4_000, 4 * 24 * 3_600]).prop_map(Step::Clock),
        1 => Just(Step::Sweep),
        1 => (select(vec![0, 5, 100]), select(vec![0, 50, 1_000_000]), 0_i64..8, any::<bool>()).prop_map(
            |(older_than, owed_max, after, keep)| Step::Prune { older_than, owed_max, after, keep }
        ),
        1 => Just(Step::Reopen),
    ]
}

fn any_plan() -> impl Strategy<Value = Plan> {
    let reads =
        (btree_set(select(KEYS.to_vec()), 0..3), btree_set(select(PREFIXES.to_vec()), 0..2), any::<bool>());
    let cursor = option::weighted(0.3, option::of(select(vec!["c".to_owned(), "d".to_owned()])));
    let prefixes = vec(select(PREFIXES.to_vec()), 0..2).prop_filter("mostly none", |all| all.len() < 2);
    let entries = btree_map(select(KEYS.to_vec()), any_change(), 0..4);
    let events = vec((select(vec!["1", "2", "3", "4", "5", "6"]), select(vec!["t.a", "t.b", "u"])), 0..3);
    let check = option::weighted(0.2, (select(KEYS.to_vec()), prop_oneof![3 => Just(0), 1 => Just(1)]));
    let owed = option::weighted(0.2, (1_i64..6, any::<bool>()));
    let behind = prop_oneof![4 => Just(0), 2 => 1_i64..4];
    (0_usize..2, behind, reads, cursor, prefixes, entries, events, check, owed).prop_map(
        |(
            owner,
            behind,
            (keys, prefixes, read_cursor),
            cursor,
            deleted_prefixes,
            entries,
            events,
            check,
            owed,
        )| Plan {
            owner,
            behind,
            read_keys: keys.into_iter().collect(),
            read_prefixes: prefixes.into_iter().collect(),
            read_cursor,
            cursor,
            deleted_prefixes,
            entries: entries.into_iter().collect(),
            events,
            check,
            owed,
        },
    )
}

fn any_change() -> impl Strategy<Value = EntryChange> {
    let expiry = || {
        select(vec![
            Expiry::Keep,
            Expiry::Never,
            Expiry::For(Duration::ZERO),
            Expiry::For(Duration::from_secs(10)),
            Expiry::For(Duration::from_secs(100)),
            Expiry::Until(Timestamp::from_second(1_700_000_050).unwrap()),
        ])
    };
    prop_oneof![
        6 => (select(VALUES.to_vec()), expiry(), prop_oneof![4 => Just(false), 1 => Just(true)])
            .prop_map(|(value, expiry, secret)| EntryChange::Put { value: json(value), expiry, secret }),
        2 => expiry().prop_map(|expiry| EntryChange::Touch { expiry }),
        2 => (select(VALUES.to_vec()), option::of(1_700_000_000_i64..1_700_000_100), any::<bool>())
            .prop_map(|(value, expires, secret)| EntryChange::Restore(old(value, expires, secret))),
        2 => Just(EntryChange::Delete),
    ]
}

/// An entry as history may have kept it; its key is told later.
fn old(value: &str, expires: Option<i64>, secret: bool) -> Entry {
    let at = |second| Timestamp::from_second(second).unwrap();
    Entry {
        key: String::new(),
        value: json(value),
        revision: Version(1),
        created_at: at(1_600_000_000),
        updated_at: at(1_600_000_001),
        expires_at: expires.map(at),
        secret,
    }
}
