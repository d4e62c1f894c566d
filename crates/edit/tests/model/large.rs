//! Changes too big for one turn, killed in the middle: all of it or nothing. What becomes of turns meanwhile is looked
//! at elsewhere.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use inboxclaw_contract::turn::EntryChange;
use inboxclaw_contract::{Entry, Expiry, Outcome, OwnerId, Spaces, State, Version};
use inboxclaw_edit::{EntryFilter, Mode, To, Which};

use crate::ground::{Ground, build, export, json, lines, turn, unseen, version};

/// More than fits into one turn of a person, and into a step.
const MANY: usize = 12_000;

/// The cursor, and every entry but for its revision.
type Seen = (Option<String>, BTreeMap<String, Entry>);

async fn seen(ground: &Ground, owner: OwnerId) -> Seen {
    let found = Arc::new(Mutex::new(BTreeMap::new()));
    let into = found.clone();
    let each = Box::new(move |entry: Entry| {
        let entry = Entry { revision: Version(0), ..entry };
        into.lock().unwrap().insert(entry.key.clone(), entry);
        true
    });
    let cursor = ground.store.scan(owner, "", each).await.unwrap().cursor;
    let entries = std::mem::take(&mut *found.lock().unwrap());
    let space = ground.store.space(owner).await.unwrap();
    let bytes: usize = entries.iter().map(|(key, entry)| key.len() + entry.value.len()).sum();
    assert_eq!((space.entries, space.bytes), (entries.len() as u64, bytes as u64), "counts");
    (cursor, entries)
}

fn keys(stem: &str, count: usize) -> Vec<String> {
    (0..count).map(|at| format!("{stem}{at:05}")).collect()
}

async fn put(ground: &Ground, owner: OwnerId, changes: &[(&str, &str, bool)], cursor: Option<&str>) {
    let mut turn = turn(owner, version(ground, owner).await);
    for (key, value, secret) in changes {
        let put = EntryChange::Put { value: json(value), expiry: Expiry::Keep, secret: *secret };
        turn.entries.insert((*key).to_owned(), put);
    }
    turn.cursor = cursor.map(|cursor| Some(cursor.to_owned()));
    assert!(matches!(ground.store.commit(turn).await.unwrap(), Outcome::Committed(_)));
}

/// An owner with a few entries, a secret and a cursor, and one with many.
async fn two(ground: &Ground) -> (OwnerId, OwnerId) {
    let (few, many) = (ground.source("few").await, ground.source("many").await);
    build(ground, many, &keys("k", MANY), "\"many\"").await;
    put(ground, many, &[("hidden", "1", true)], Some("of many")).await;
    let own = [("k00007", "\"own\"", false), ("own", "1", false), ("secret", "1", true)];
    put(ground, few, &own, Some("of few")).await;
    (few, many)
}

/// Copies of the store as a kill at some instants of a change would leave it.
struct Kills<'a> {
    ground: &'a Ground,
    calls: AtomicU64,
    left: Mutex<Vec<Ground>>,
}

impl<'a> Kills<'a> {
    fn new(ground: &'a Ground) -> Self {
        Self { ground, calls: AtomicU64::new(0), left: Mutex::default() }
    }

    fn progress(&self, done: u64, of: Option<u64>) {
        assert!(of.is_none_or(|of| done <= of), "{done} of {of:?}");
        if self.calls.fetch_add(1, Ordering::Relaxed).is_multiple_of(3) {
            self.left.lock().unwrap().push(self.ground.killed());
        }
    }

    /// Each copy holds `before` or `after`, and sweeps, which clean up what was being built, change nothing of it.
    async fn check(self, owner: OwnerId, before: &Seen, after: &Seen) {
        assert!(self.calls.load(Ordering::Relaxed) > 3, "no progress was shown");
        for left in self.left.into_inner().unwrap() {
            let found = seen(&left, owner).await;
            assert!(found == *before || found == *after, "neither before nor after");
            left.sweep().await;
            assert!(seen(&left, owner).await == found, "a sweep changed the state");
        }
    }
}

#[tokio::test]
async fn an_import_that_breaks_off_or_is_killed_changes_nothing() {
    let ground = Ground::new();
    let (few, many) = two(&ground).await;
    let text = export(&ground, many, false).await;
    let before = seen(&ground, few).await;
    let mut broken = text.clone();
    broken.extend_from_slice(b"{\"key\":\n");
    ground.editor().import(few, lines(&broken), Mode::Replace, &unseen).await.unwrap_err();
    assert!(seen(&ground, few).await == before, "a broken line at the end");
    let kills = Kills::new(&ground);
    let progress = |done, of| kills.progress(done, of);
    let found = ground.editor().import(few, lines(&text), Mode::Merge, &progress).await.unwrap();
    assert_eq!((found.entries, found.secrets, found.expired), (MANY as u64 + 1, 1, 0));
    let after = seen(&ground, few).await;
    let mut expected = before.clone();
    let (_, brought) = seen(&ground, many).await;
    expected.1.extend(brought.into_iter().filter(|(key, _)| key != "hidden"));
    assert!(after == expected);
    kills.check(few, &before, &after).await;
}

#[tokio::test]
async fn an_import_in_place_of_all_is_undone_and_redone() {
    let ground = Ground::new();
    let (few, many) = two(&ground).await;
    let text = export(&ground, many, false).await;
    let before = seen(&ground, few).await;
    let found = ground.editor().import(few, lines(&text), Mode::Replace, &unseen).await.unwrap();
    assert_eq!(found.version, version(&ground, few).await);
    let mut expected = seen(&ground, many).await;
    expected.1.remove("hidden");
    expected.1.insert("secret".into(), before.1["secret"].clone());
    assert!(seen(&ground, few).await == expected);
    let undone = ground.editor().undo(few, Which::Person, false, &unseen).await.unwrap();
    assert_eq!(undone.undid, found.version);
    assert!(seen(&ground, few).await == before, "all as before, with the secret");
    let redone = ground.editor().undo(few, Which::Version(undone.version), false, &unseen).await.unwrap();
    assert_eq!(redone.undid, undone.version);
    ground.sweep().await;
    assert!(seen(&ground, few).await == expected, "an undo of the undo, also after a sweep");
}

#[tokio::test]
async fn a_copy_brings_all_but_secrets_or_nothing() {
    let ground = Ground::new();
    let (few, many) = two(&ground).await;
    let kills = Kills::new(&ground);
    let progress = |done, of| kills.progress(done, of);
    let before = seen(&ground, few).await;
    ground.editor().copy(many, few, "k", Mode::Replace, &progress).await.unwrap();
    let mut expected = seen(&ground, many).await;
    expected.1.remove("hidden");
    expected.1.insert("secret".into(), before.1["secret"].clone());
    let after = seen(&ground, few).await;
    assert!(after == expected);
    kills.check(few, &before, &after).await;
}

#[tokio::test]
async fn a_rewind_of_many_changes_leads_back_or_nowhere() {
    let ground = Ground::new();
    let (_, many) = two(&ground).await;
    let before = seen(&ground, many).await;
    let to = version(&ground, many).await;
    let all = keys("k", MANY);
    let changes: Vec<_> = all.iter().map(|key| (key.as_str(), "\"other\"", false)).collect();
    put(&ground, many, &changes, Some("later")).await;
    put(&ground, many, &[("new", "1", false), ("hidden", "2", true)], None).await;
    let between = seen(&ground, many).await;
    let kills = Kills::new(&ground);
    let progress = |done, of| kills.progress(done, of);
    let found = ground.editor().rewind(many, To::Version(to), &progress).await.unwrap();
    assert_eq!((found.to, found.turns, found.cursor), (to, 2, true));
    let mut expected = before.clone();
    expected.1.insert("hidden".into(), between.1["hidden"].clone());
    let after = seen(&ground, many).await;
    assert!(after == expected, "the state as it was, the secret as it is");
    kills.check(many, &between, &after).await;
    ground.editor().rewind(many, To::Version(Version(to.0 + 2)), &unseen).await.unwrap();
    assert!(seen(&ground, many).await == between, "rewound over a rewind");
}

#[tokio::test]
async fn a_deletion_of_many_is_whole_and_is_undone() {
    let ground = Ground::new();
    let (_, many) = two(&ground).await;
    build(&ground, many, &[keys("gone", MANY), keys("stays", MANY)].concat(), "1").await;
    put(&ground, many, &[("gone secret", "1", true), ("own secret", "1", true)], None).await;
    let before = seen(&ground, many).await;
    let choice = EntryFilter { prefix: "gone".into(), older_than: None };
    let wanted = ground.editor().delete_matching(many, &choice, true, &unseen).await.unwrap();
    assert_eq!(wanted.entries, MANY as u64 + 1);
    let kills = Kills::new(&ground);
    let progress = |done, of| kills.progress(done, of);
    let deleted = ground.editor().delete_matching(many, &choice, false, &progress).await.unwrap();
    assert_eq!((deleted.entries, deleted.bytes), (wanted.entries, wanted.bytes));
    let after = seen(&ground, many).await;
    let mut expected = before.clone();
    expected.1.retain(|key, _| !key.starts_with("gone"));
    assert!(after == expected);
    kills.check(many, &before, &after).await;
    ground.editor().undo(many, Which::Version(deleted.version), false, &unseen).await.unwrap();
    let mut expected = before;
    expected.1.remove("gone secret");
    assert!(seen(&ground, many).await == expected, "all but the secret, which no history keeps");
}

#[tokio::test]
async fn a_clear_of_many_is_one_turn_and_is_undone() {
    let ground = Ground::new();
    let (_, many) = two(&ground).await;
    let before = seen(&ground, many).await;
    let mut clear = turn(many, version(&ground, many).await);
    clear.deleted_prefixes.push(String::new());
    let first = EntryChange::Put { value: json("1"), expiry: Expiry::Keep, secret: false };
    clear.entries.insert("first".into(), first);
    assert!(matches!(ground.store.commit(clear).await.unwrap(), Outcome::Committed(_)));
    let after = seen(&ground, many).await;
    assert_eq!(after.1.keys().collect::<Vec<_>>(), ["first"]);
    ground.sweep().await;
    let ground = ground.reopen();
    ground.editor().undo(many, Which::Any, false, &unseen).await.unwrap();
    let mut expected = before;
    expected.1.remove("hidden");
    assert!(seen(&ground, many).await == expected);
}
