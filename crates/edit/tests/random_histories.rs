//! Random lives of one state, with spaces swapped back and forth, and turns of the owner between the steps of each
//! large change: beside the plain states of all versions. Secrets and expiry are in the model, in the tests beside.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream;
use inboxclaw_contract::store::HistoryLimit;
use inboxclaw_contract::turn::{Age, EntryChange, TurnId};
use inboxclaw_contract::{
    Clock, Expiry, Housekeeping, Json, Outcome, Owner, OwnerId, Random, Spaces, State, Turn, Version,
};
use inboxclaw_edit::{EditError, Editor, EntryFilter, Mode, Steps, To, Undone, Which};
use inboxclaw_store::{Durability, Options, SqliteStore};
use jiff::Timestamp;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;

const KEYS: [&str; 6] = ["a", "b", "c", "d", "p/a", "p/b"];

struct HandClock(AtomicI64);

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_microsecond(self.0.fetch_add(1, Ordering::Relaxed)).unwrap()
    }
}

struct Counter(AtomicU64);

impl Random for Counter {
    fn next(&self) -> u128 {
        u128::from(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

type Changes = BTreeMap<&'static str, Option<u8>>;

#[derive(Debug, Clone)]
enum Step {
    Turn(Changes, bool),
    Cursor(u8),
    Import(Changes, Mode),
    Delete(&'static str, bool),
    Undo(Option<i64>, bool, bool),
    Rewind(i64),
    Sweep,
}

/// A step, and what turns of the owner do meanwhile: before which of its pieces of progress, and what.
type Life = Vec<(Step, Vec<(usize, Changes)>)>;

fn any_changes() -> impl Strategy<Value = Changes> {
    btree_map(prop::sample::select(KEYS.to_vec()), option::weighted(0.8, 0_u8..4), 0..5)
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (any_changes(), any::<bool>()).prop_map(|(changes, author)| Step::Turn(changes, author)),
        1 => (0_u8..3).prop_map(Step::Cursor),
        4 => (any_changes(), prop::sample::select(vec![Mode::Merge, Mode::Replace]))
            .prop_map(|(changes, mode)| Step::Import(changes, mode)),
        2 => (prop::sample::select(vec!["", "p/", "a"]), any::<bool>())
            .prop_map(|(prefix, aged)| Step::Delete(prefix, aged)),
        4 => (option::of(0_i64..6), any::<bool>(), any::<bool>())
            .prop_map(|(back, any, force)| Step::Undo(back, any, force)),
        4 => (0_i64..12).prop_map(Step::Rewind),
        1 => Just(Step::Sweep),
    ]
}

fn any_life() -> impl Strategy<Value = Life> {
    vec((any_step(), vec((0_usize..6, any_changes()), 0..3)), 1..25)
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Plain {
    entries: BTreeMap<String, String>,
    cursor: Option<String>,
}

struct Ground {
    store: Arc<SqliteStore>,
    owner: OwnerId,
    random: Counter,
    /// The state right after each version.
    then: Mutex<BTreeMap<i64, Plain>>,
    /// What was ever seen under a key at a revision.
    seen: Mutex<HashMap<(String, i64), String>>,
}

impl Ground {
    async fn now(&self) -> (i64, Plain) {
        let entries = self.store.list(self.owner, "", None, 100).await.unwrap();
        let head = self.store.snapshot(self.owner).await.unwrap();
        let mut plain = Plain { cursor: head.cursor, ..Plain::default() };
        for entry in entries {
            let value = entry.value.as_str().to_owned();
            let seen = (entry.key.clone(), entry.revision.0);
            let known = self.seen.lock().unwrap().entry(seen).or_insert_with(|| value.clone()).clone();
            assert_eq!(known, value, "another value of {} at revision {}", entry.key, entry.revision.0);
            plain.entries.insert(entry.key, value);
        }
        let info = self.store.space(self.owner).await.unwrap();
        let bytes = plain.entries.iter().map(|(key, value)| (key.len() + value.len()) as u64).sum();
        assert_eq!((info.entries, info.bytes), (plain.entries.len() as u64, bytes), "counts");
        (head.version.0, plain)
    }

    /// Notes the state, which is that of the version.
    async fn note(&self) -> (i64, Plain) {
        let (version, plain) = self.now().await;
        let known = self.then.lock().unwrap().entry(version).or_insert_with(|| plain.clone()).clone();
        assert_eq!(known, plain, "another state at version {version}");
        (version, plain)
    }

    async fn turn(&self, changes: &Changes, author: bool) {
        let base = self.store.snapshot(self.owner).await.unwrap().version;
        let mut turn = Turn::new(TurnId(self.random.next()), self.owner, base);
        turn.author = author.then(|| "cli:bob".into());
        for (key, value) in changes {
            let change = match value {
                Some(value) => EntryChange::Put { value: json(*value), expiry: Expiry::Keep, secret: false },
                None => EntryChange::Delete,
            };
            turn.entries.insert((*key).to_owned(), change);
        }
        assert!(matches!(self.store.commit(turn).await.unwrap(), Outcome::Committed(_)));
        self.note().await;
    }

    fn at(&self, version: i64) -> Plain {
        self.then.lock().unwrap()[&version].clone()
    }
}

fn json(value: u8) -> Json {
    Json::new(value.to_string()).unwrap()
}

/// Turns that come between the steps of an edit. Progress is told by a function that cannot wait, so a thread does.
struct Meanwhile<'a> {
    ground: &'a Ground,
    calls: AtomicUsize,
    turns: &'a [(usize, Changes)],
    done: Mutex<Changes>,
}

impl Meanwhile<'_> {
    fn progress(&self) {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        for (_, changes) in self.turns.iter().filter(|(when, _)| *when == call) {
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                    runtime.block_on(self.ground.turn(changes, false));
                });
            });
            self.done.lock().unwrap().extend(changes.clone());
        }
    }
}

async fn live(life: Life) {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(HandClock(AtomicI64::new(1_700_000_000_000_000)));
    let options = Options { durability: Durability::Normal, ..Options::new(clock) };
    let store = Arc::new(SqliteStore::open(&dir.path().join("a.db"), options).unwrap());
    let owner = store.register(&Owner::source("a"), "test").await.unwrap();
    let random = Counter(AtomicU64::new(1));
    let ground = Ground { store, owner, random, then: Mutex::default(), seen: Mutex::default() };
    ground.note().await;
    for (step, turns) in &life {
        let meanwhile =
            Meanwhile { ground: &ground, calls: AtomicUsize::new(0), turns, done: Mutex::default() };
        take(&ground, step, &meanwhile).await;
        ground.note().await;
    }
}

async fn take(ground: &Ground, step: &Step, meanwhile: &Meanwhile<'_>) {
    let random = Arc::new(Counter(AtomicU64::new(u64::from(u32::MAX) + ground.random.next() as u64 * 1_000)));
    let editor = Editor {
        store: ground.store.clone(),
        random,
        author: "cli:ada".into(),
        steps: Steps { turn_changes: 2, step_entries: 2 },
    };
    let progress = |_, _| meanwhile.progress();
    let (owner, (version, before)) = (ground.owner, ground.note().await);
    match step {
        Step::Turn(changes, author) => ground.turn(changes, *author).await,
        Step::Cursor(value) => drop(editor.set_cursor(owner, Some(value.to_string())).await.unwrap()),
        Step::Import(changes, mode) => {
            import(ground, &editor, (changes, *mode), before, meanwhile).await;
        }
        Step::Delete(prefix, aged) => {
            let older_than = aged.then_some((Duration::ZERO, Age::Updated));
            let choice = EntryFilter { prefix: (*prefix).into(), older_than };
            editor.delete_matching(owner, &choice, false, &progress).await.unwrap();
            let mut wanted = before;
            wanted.entries.retain(|key, _| !key.starts_with(prefix));
            // What a turn put before the deletion looked there went with the rest.
            let found = ground.now().await.1;
            let done = meanwhile.done.lock().unwrap().clone();
            for (key, value) in done {
                let may = key.starts_with(prefix) && !found.entries.contains_key(key);
                put(&mut wanted, key, value.filter(|_| !may));
            }
            assert_eq!(found, wanted, "a deletion under {prefix:?}");
        }
        Step::Undo(back, any, force) => {
            let which = match back {
                Some(back) => Which::Version(Version(version - back)),
                None if *any => Which::Any,
                None => Which::Person,
            };
            let undone = editor.undo(owner, which, *force, &progress).await;
            undo(ground, undone, version, meanwhile).await;
        }
        Step::Rewind(back) => {
            let to = version - back;
            let found = editor.rewind(owner, To::Version(Version(to)), &progress).await;
            if to < 0 {
                assert!(matches!(found, Err(EditError::Forgotten(_))));
                return;
            }
            let found = found.unwrap();
            ground.note().await;
            assert_eq!(found.to.0, to);
            assert_eq!(ground.at(found.version.0), ground.at(to), "rewound to {to}");
        }
        Step::Sweep => while ground.store.sweep().await.unwrap().more {},
    }
}

fn put(plain: &mut Plain, key: &str, value: Option<u8>) {
    match value {
        Some(value) => drop(plain.entries.insert(key.to_owned(), value.to_string())),
        None => drop(plain.entries.remove(key)),
    }
}

async fn import(
    ground: &Ground,
    editor: &Editor,
    (changes, mode): (&Changes, Mode),
    before: Plain,
    meanwhile: &Meanwhile<'_>,
) {
    let progress = |_, _| meanwhile.progress();
    let line = |(key, value): (&&str, &Option<u8>)| {
        value.map(|value| Ok(Bytes::from(format!("{{\"key\":\"{key}\",\"value\":{value}}}\n"))))
    };
    // Nothing at all is refused as a replacement.
    let head = Ok(Bytes::from_static(b"{\"inboxclaw\":\"state\",\"format\":1}\n"));
    let lines: Vec<_> = std::iter::once(head).chain(changes.iter().filter_map(line)).collect();
    editor.import(ground.owner, stream::iter(lines).boxed(), mode, &progress).await.unwrap();
    let found = ground.now().await.1;
    let done = meanwhile.done.lock().unwrap().clone();
    if mode == Mode::Merge {
        for (key, value) in &before.entries {
            if !changes.contains_key(key.as_str()) && !done.contains_key(key.as_str()) {
                assert_eq!(found.entries.get(key), Some(value), "{key} was lost");
            }
        }
        for (key, value) in done.iter().filter(|(key, _)| changes.get(*key).copied().flatten().is_none()) {
            assert_eq!(found.entries.get(*key).cloned(), value.map(|value| value.to_string()), "{key}");
        }
    }
    for (key, value) in changes.iter().filter(|(key, value)| value.is_some() && !done.contains_key(*key)) {
        assert_eq!(found.entries.get(*key).cloned(), value.map(|value| value.to_string()), "{key}");
    }
    assert_eq!(found.cursor, before.cursor);
}

async fn undo(ground: &Ground, undone: Result<Undone, EditError>, version: i64, meanwhile: &Meanwhile<'_>) {
    let found = ground.now().await.1;
    let done = meanwhile.done.lock().unwrap().clone();
    match undone {
        Ok(undone) => {
            let history = ground.store.history(ground.owner, None, HistoryLimit::turns(1_000)).await.unwrap();
            let turn = history.iter().find(|turn| turn.version == undone.undid).unwrap();
            let before = ground.at(undone.undid.0 - 1);
            if turn.replaced.is_some() {
                // Where all is as it was, nothing is committed, and what comes right after that stays.
                ground.note().await;
                let after = ground.at(undone.version.0);
                assert_eq!(after.entries, before.entries, "undid {}", undone.undid.0);
                return;
            }
            let mut wanted = ground.at(version);
            done.iter().for_each(|(key, value)| put(&mut wanted, key, *value));
            for (key, _) in &turn.entries {
                wanted.entries.remove(key);
                if let Some(value) = before.entries.get(key) {
                    wanted.entries.insert(key.clone(), value.clone());
                }
            }
            for (key, _) in turn.entries.iter().filter(|(key, _)| done.contains_key(key.as_str())) {
                // A turn that came before the undo was taken back with it, one that came after was not.
                if found.entries.get(key) != wanted.entries.get(key) {
                    put(&mut wanted, key, done[key.as_str()]);
                }
            }
            assert_eq!(found.entries, wanted.entries, "undid {}", undone.undid.0);
        }
        Err(EditError::Changed { version: then, keys, cursor, .. }) => {
            let all = keys.is_empty() && !cursor;
            assert!(all || found != ground.at(then), "nothing changed since");
        }
        Err(EditError::Nothing | EditError::Forgotten(_)) => {}
        Err(error) => panic!("{error:?}"),
    }
}

fn cases() -> u32 {
    std::env::var("INBOXCLAW_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(40)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: cases(), max_shrink_iters: 1_000, failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn states_come_back_as_they_were_whatever_was_swapped(life in any_life()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(live(life));
    }
}

/// Lives that random ones once found wrong.
#[test]
fn what_turns_do_during_a_large_change_does_not_outlive_it() {
    let changes = |of: &[(&'static str, Option<u8>)]| of.iter().copied().collect::<Changes>();
    let turn = |of| (Step::Turn(changes(of), false), vec![]);
    let lives: [Life; 2] = [
        vec![
            turn(&[("a", Some(0)), ("b", Some(0)), ("c", Some(0))]),
            turn(&[("a", Some(1)), ("b", Some(1)), ("d", Some(1))]),
            turn(&[("d", None)]),
            // The key is absent then and now, and comes while the copy is built.
            (Step::Rewind(2), vec![(0, changes(&[("d", Some(0))]))]),
        ],
        vec![
            turn(&[("a", Some(0)), ("b", Some(0)), ("c", Some(2))]),
            (Step::Undo(None, true, false), vec![]),
            turn(&[("a", Some(0))]),
            (Step::Undo(Some(1), false, true), vec![]),
            turn(&[("d", Some(0))]),
            // The space is in place already; a key that is taken back by no change since goes meanwhile.
            (Step::Undo(Some(3), false, true), vec![(0, changes(&[("a", None)]))]),
        ],
    ];
    for life in lives {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(live(life));
    }
}
