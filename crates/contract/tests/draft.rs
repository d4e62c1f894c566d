//! What a connector sees of its draft: its own changes on top of what is stored, and nothing beyond the limits.
//! Conflicts and durability are the store's and are tested there.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use inboxclaw_contract::limits::{CURSOR_BYTES, JSON_BYTES, TURN_BYTES, TURN_CHANGES};
use inboxclaw_contract::turn::{Age, EntryChange, Sweep, TurnId};
use inboxclaw_contract::{
    Draft, Entry, Evolving, Expiry, Failure, Housekeeping, Json, NewEvent, OpenTurn, Outcome, Owner, OwnerId,
    State, StoreError, Turn, Version,
};
use inboxclaw_contract_testing::{HandClock, Intercepted, Interceptor, MemoryStore, Words, committed};
use jiff::Timestamp;

/// A store with entries of revision 3, created at second 10 and changed at second 20. The owner has version 5, and it
/// is second 100.
struct Stored {
    store: Intercepted<MemoryStore, LastTurn>,
    owner: OwnerId,
}

/// Remembers the turn that was last committed.
#[derive(Default)]
struct LastTurn(Mutex<Option<Turn>>);

#[async_trait]
impl Interceptor for LastTurn {
    async fn commit(&self, turn: &Turn) -> Result<Option<Outcome>, StoreError> {
        *self.0.lock().unwrap() = Some(turn.clone());
        Ok(None)
    }
}

impl Stored {
    fn with(keys: &[&str]) -> Self {
        Self::holding(&keys.iter().map(|key| (*key, "\"stored\"")).collect::<Vec<_>>())
    }

    fn holding(entries: &[(&str, &str)]) -> Self {
        let clock = HandClock::at(at(10));
        let store = MemoryStore::new(clock.clone());
        let owner = now(store.register(&Owner::source("test"), "test")).unwrap();
        let next = |turn: fn(Turn) -> Turn, value: Option<&str>| {
            let put = |turn: Turn, (key, text): &(&str, &str)| turn.put(key, value.unwrap_or(text));
            let start =
                turn(inboxclaw_contract_testing::turn(owner, now(store.snapshot(owner)).unwrap().version));
            committed(now(store.commit(entries.iter().fold(start, put))).unwrap());
        };
        next(|turn| turn.cursor("1"), Some("\"before\""));
        next(|turn| turn.cursor("2"), Some("\"before\""));
        clock.step(10);
        next(|turn| turn.cursor("3"), None);
        next(|turn| turn.cursor("4"), None);
        next(|turn| turn.cursor("token"), None);
        clock.step(80);
        Self { store: Intercepted { store: Arc::new(store), by: LastTurn::default() }, owner }
    }

    /// Runs one turn against it and returns what was committed.
    fn turn(&self, write: impl AsyncFnOnce(&mut OpenTurn<'_>) -> Result<(), Failure>) -> Turn {
        now(async {
            let mut draft = OpenTurn::open(&self.store, self.owner, TurnId(1)).await.unwrap();
            write(&mut draft).await.unwrap();
            assert!(matches!(draft.commit().await.unwrap(), Outcome::Committed(_)));
            self.store.by.0.lock().unwrap().take().unwrap()
        })
    }
}

/// The answer of a store in memory, which is there at once.
fn now<T>(answer: impl Future<Output = T>) -> T {
    answer.now_or_never().unwrap()
}

fn entry(key: &str, value: &str) -> Entry {
    Entry {
        key: key.to_owned(),
        value: Json::new(value).unwrap(),
        revision: Version(3),
        created_at: at(10),
        updated_at: at(20),
        expires_at: None,
        secret: false,
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

async fn keys(draft: &mut Draft<'_>, prefix: &str, after: Option<&str>, limit: usize) -> Vec<String> {
    draft.list(prefix, after, limit).await.unwrap().into_iter().map(|entry| entry.key).collect()
}

#[test]
fn reads_see_the_drafts_own_changes() {
    let turn = Stored::with(&["a", "b", "c"]).turn(async |draft| {
        assert_eq!(draft.get::<String>("a").await?.as_deref(), Some("stored"));
        draft.put("a", "mine", Expiry::Never)?;
        draft.delete("b")?;
        assert_eq!(draft.get::<String>("a").await?.as_deref(), Some("mine"));
        assert_eq!(draft.get::<String>("b").await?, None);
        let keys = ["c".to_owned(), "b".to_owned(), "nothing".to_owned()];
        assert_eq!(draft.get_many::<String>(&keys).await?, [Some("stored".to_owned()), None, None]);
        assert_eq!(draft.cursor(), Some("token"));
        draft.set_cursor(None)?;
        assert_eq!(draft.cursor(), None);
        Ok(())
    });
    assert_eq!(turn.base, Version(5));
    assert_eq!(turn.cursor, Some(None));
    assert!(turn.reads.cursor);
    assert!(["a", "b", "c", "nothing"].iter().all(|key| turn.reads.keys.contains(*key)));
}

#[test]
fn a_list_merges_stored_and_pending_keys_in_order_with_resume() {
    Stored::with(&["p:1", "p:3", "p:5", "q:1"]).turn(async |draft| {
        draft.put("p:0", "new", Expiry::Never)?;
        draft.put("p:4", "new", Expiry::Never)?;
        draft.put("p:9", "new", Expiry::Never)?;
        draft.delete("p:3")?;
        assert_eq!(keys(draft, "p:", None, 2).await, ["p:0", "p:1"]);
        assert_eq!(keys(draft, "p:", Some("p:1"), 2).await, ["p:4", "p:5"]);
        assert_eq!(keys(draft, "p:", Some("p:5"), 2).await, ["p:9"]);
        assert_eq!(keys(draft, "", None, 100).await, ["p:0", "p:1", "p:4", "p:5", "p:9", "q:1"]);
        Ok(())
    });
}

#[test]
fn deleting_a_prefix_hides_what_is_stored_and_keeps_later_puts() {
    let turn = Stored::with(&["p:1", "p:2", "q:1"]).turn(async |draft| {
        draft.put("p:3", "lost", Expiry::Never)?;
        draft.delete_prefix("p:")?;
        draft.put("p:2", "again", Expiry::Keep)?;
        assert_eq!(keys(draft, "", None, 100).await, ["p:2", "q:1"]);
        Ok(())
    });
    assert_eq!(turn.deleted_prefixes, ["p:"]);
    assert_eq!(turn.entries.keys().collect::<Vec<_>>(), ["p:2"]);
}

#[test]
fn keep_means_the_expiry_that_the_key_has_at_that_moment() {
    let turn = Stored::with(&["gone", "stays"]).turn(async |draft| {
        draft.put("new", "1", Expiry::For(Duration::from_secs(5)))?;
        draft.put("new", "2", Expiry::Keep)?;
        assert_eq!(draft.entry("new").await?.unwrap().expires_at, Some(at(105)));
        draft.delete("gone")?;
        draft.put("gone", "back", Expiry::Keep)?;
        draft.touch("stays", Expiry::Until(at(100)))?;
        assert_eq!(draft.entry("stays").await?, None, "expired at its instant");
        Ok(())
    });
    let EntryChange::Put { expiry, .. } = &turn.entries["gone"] else { panic!("a put") };
    assert_eq!(*expiry, Expiry::Never, "a deleted key has no expiry to keep");
}

#[test]
fn limits_are_named_before_anything_is_stored() {
    Stored::with(&[]).turn(async |draft| {
        let long = draft.put(&"k".repeat(2049), "v", Expiry::Keep).unwrap_err();
        assert_eq!(long.to_string(), "the key has 2049 bytes, the limit is 2048");
        assert!(draft.set_cursor(Some("c".repeat(CURSOR_BYTES + 1))).is_err());
        let list = draft.emit(NewEvent::new("id", "a.b", Json::new("[]").unwrap())).unwrap_err();
        assert_eq!(list.to_string(), "data of the event \"id\" is not a JSON object");
        for n in 0..TURN_CHANGES {
            draft.put(&n.to_string(), &n, Expiry::Keep)?;
        }
        assert_eq!(draft.room(), 0);
        assert!(draft.put("0", "again", Expiry::Keep).is_ok(), "a key that is already there needs no room");
        let full = draft.put("more", "v", Expiry::Keep).unwrap_err();
        assert!(full.to_string().contains("100001 changes, the limit is 100000"), "{full}");
        Ok(())
    });
}

#[test]
fn a_value_of_another_type_is_an_error_that_names_the_key() {
    Stored::with(&["a"]).turn(async |draft| {
        let error = draft.get::<u64>("a").await.unwrap_err().to_string();
        assert!(error.starts_with("the value of \"a\" does not fit: it cannot be read as "), "{error}");
        Ok(())
    });
}

#[test]
fn keys_are_those_that_a_list_gives_with_and_without_pending_changes() {
    let turn = Stored::with(&["p:1", "p:2", "p:3", "q:1"]).turn(async |draft| {
        assert_eq!(draft.keys("p:", None, 2).await?, ["p:1", "p:2"]);
        assert_eq!(draft.keys("p:", Some("p:2"), 2).await?, ["p:3"]);
        draft.put("p:0", &1, Expiry::Never)?;
        draft.delete("p:2")?;
        assert_eq!(draft.keys("p:", None, 2).await?, ["p:0", "p:1"]);
        assert_eq!(draft.keys("p:", Some("p:1"), 2).await?, ["p:3"]);
        assert_eq!(draft.keys("none", None, 2).await?, [""; 0]);
        Ok(())
    });
    assert!(turn.reads.prefixes.contains("p:") && turn.reads.prefixes.contains("none"));
}

#[test]
fn clear_leaves_what_is_put_afterwards_and_the_cursor() {
    let turn = Stored::with(&["a", "b"]).turn(async |draft| {
        draft.put("c", "lost", Expiry::Never)?;
        draft.clear()?;
        draft.delete_prefix("a")?;
        assert_eq!(keys(draft, "", None, 10).await, [""; 0]);
        draft.put("b", "stored", Expiry::Keep)?;
        draft.touch("a", Expiry::Never)?;
        assert_eq!(keys(draft, "", None, 10).await, ["b"]);
        let anew = draft.entry("b").await?.unwrap();
        assert_eq!((anew.revision, anew.created_at), (Version(6), at(100)), "the old one is gone");
        assert_eq!(draft.entry("a").await?, None);
        assert_eq!(draft.cursor(), Some("token"));
        Ok(())
    });
    assert_eq!(turn.deleted_prefixes, [""], "all is deleted already");
    assert_eq!(turn.cursor, None);
}

#[test]
fn a_put_of_the_stored_value_keeps_revision_and_times() {
    Stored::with(&["a", "b"]).turn(async |draft| {
        draft.put("a", "stored", Expiry::For(Duration::from_secs(5)))?;
        let same = draft.entry("a").await?.unwrap();
        assert_eq!((same.revision, same.updated_at, same.expires_at), (Version(3), at(20), Some(at(105))));
        draft.put_secret("b", "stored", Expiry::Never)?;
        let hidden = draft.entry("b").await?.unwrap();
        assert_eq!((hidden.revision, hidden.updated_at, hidden.secret), (Version(6), at(100), true));
        assert_eq!(hidden.created_at, at(10));
        Ok(())
    });
}

#[test]
fn a_sweep_hides_what_is_older_after_this_turn() {
    let turn = Stored::with(&["p:old", "p:new", "q:old"]).turn(async |draft| {
        // Stored entries were created 90 and updated 80 seconds ago.
        draft.sweep("p:", Age::Updated, Duration::from_secs(80))?;
        assert_eq!(keys(draft, "", None, 10).await, ["p:new", "p:old", "q:old"], "not older, but as old");
        draft.sweep("p:", Age::Updated, Duration::from_secs(79))?;
        assert_eq!(keys(draft, "", None, 10).await, ["q:old"]);
        assert_eq!(draft.keys("p:", None, 10).await?, [""; 0]);
        draft.put("p:new", "another value", Expiry::Never)?;
        draft.put("p:old", "stored", Expiry::Never)?;
        assert_eq!(keys(draft, "", None, 10).await, ["p:new", "p:old", "q:old"], "what it puts is new");
        draft.sweep("q:", Age::Created, Duration::from_secs(89))?;
        assert_eq!(keys(draft, "", None, 10).await, ["p:new", "p:old"]);
        draft.put("q:old", "another value", Expiry::Never)?;
        assert_eq!(draft.entry("q:old").await?.map(|entry| entry.created_at), Some(draft.now()));
        draft.sweep("", Age::Created, Duration::MAX)?;
        Ok(())
    });
    let last = Sweep { prefix: "q:".to_owned(), by: Age::Created, before: at(11) };
    assert_eq!(turn.sweeps.last(), Some(&last), "older than time itself is nothing");
    assert_eq!(turn.sweeps.len(), 3);
}

#[test]
fn a_restored_entry_is_seen_as_it_was_and_can_be_touched() {
    let restored =
        Entry { created_at: at(1), updated_at: at(2), expires_at: Some(at(150)), ..entry("a", "1") };
    let turn = Stored::with(&["a"]).turn(async |draft| {
        let past = Entry { key: "b".to_owned(), expires_at: Some(at(100)), ..restored.clone() };
        let entries = &mut draft.turn_mut().entries;
        entries.insert("a".to_owned(), EntryChange::Restore(restored.clone()));
        entries.insert("b".to_owned(), EntryChange::Restore(past));
        assert_eq!(draft.entry("a").await?.as_ref(), Some(&restored));
        assert_eq!(draft.entry("b").await?, None, "nothing expired comes back");
        draft.touch("a", Expiry::Keep)?;
        draft.touch("b", Expiry::Never)?;
        assert_eq!(keys(draft, "", None, 10).await, ["a"], "nor does a touch revive it");
        assert_eq!(draft.entry("a").await?.unwrap().expires_at, Some(at(150)));
        draft.touch("a", Expiry::For(Duration::from_secs(7)))?;
        Ok(())
    });
    let EntryChange::Restore(last) = &turn.entries["a"] else { panic!("still a restored entry") };
    assert_eq!(*last, Entry { expires_at: Some(at(107)), ..restored });
}

#[test]
fn what_has_expired_within_the_draft_stays_gone() {
    let turn = Stored::with(&["c"]).turn(async |draft| {
        draft.put("a", "1", Expiry::Until(at(100)))?;
        draft.touch("a", Expiry::Never)?;
        assert_eq!(draft.entry("a").await?, None);
        draft.put("b", "1", Expiry::For(Duration::ZERO))?;
        draft.put("b", "2", Expiry::Keep)?;
        assert_eq!(draft.entry("b").await?.unwrap().expires_at, None, "absent, so that nothing is kept");
        draft.put("d", "1", Expiry::For(Duration::from_secs(5)))?;
        draft.touch("d", Expiry::Keep)?;
        draft.touch("c", Expiry::Keep)?;
        Ok(())
    });
    let EntryChange::Put { expiry, .. } = &turn.entries["d"] else { panic!("a put") };
    assert_eq!(*expiry, Expiry::For(Duration::from_secs(5)));
    assert!(!turn.entries.contains_key("c"), "to keep what is there is no change");
}

/// A number that was once a text.
#[derive(Debug, PartialEq, serde::Deserialize)]
struct Page {
    number: u32,
}

impl Evolving for Page {
    fn migrate(old: &Json) -> Option<Self> {
        Some(Self { number: old.parse::<String>().ok()?.parse().ok()? })
    }
}

#[test]
fn a_value_of_an_earlier_shape_is_read_by_its_migration() {
    let entries = [("neither", "\"stored\""), ("now", r#"{"number": 7}"#), ("then", r#""8""#)];
    let store = Stored::holding(&entries);
    store.turn(async |draft| {
        assert_eq!(draft.get_evolving("now").await?, Some(Page { number: 7 }));
        assert_eq!(draft.get_evolving("then").await?, Some(Page { number: 8 }));
        assert_eq!(draft.get_evolving::<Page>("nothing").await?, None);
        let without = draft.get::<Page>("then").await.unwrap_err();
        assert!(without.to_string().starts_with("the value of \"then\" does not fit: "), "{without}");
        let failure = draft.get_evolving::<Page>("neither").await.unwrap_err();
        let text = failure.to_string();
        assert!(text.starts_with("the value of \"neither\" does not fit: it cannot be read as "), "{text}");
        assert!(text.ends_with("Page at line 1 column 8"), "{text}");
        assert!(failure.action.is_some_and(|action| action.contains("inboxclaw state")));
        let many = draft.get_many::<Page>(&["now".to_owned(), "neither".to_owned()]).await.unwrap_err();
        assert_eq!(many.to_string(), failure.cause.to_string());
        Ok(())
    });
}

#[test]
fn a_value_written_over_counts_once_and_a_deleted_one_not_at_all() {
    let most = "v".repeat(JSON_BYTES - 1_000);
    let event = Json::from_value(&BTreeMap::from([("data", &most)])).unwrap();
    Stored::with(&[]).turn(async |draft| {
        for n in 1..TURN_BYTES / JSON_BYTES {
            draft.emit(NewEvent::new(n.to_string(), "a.b", event.clone()))?;
        }
        draft.put("k", &most, Expiry::Never)?;
        draft.put("k", &most, Expiry::Never)?;
        draft.put("small", "", Expiry::Never)?;
        let full = draft.put("small", &most, Expiry::Never).unwrap_err().to_string();
        assert!(full.starts_with("the turn has ") && full.ends_with(", the limit is 268435456"), "{full}");
        assert_eq!(
            draft.get::<String>("small").await?.as_deref(),
            Some(""),
            "what was refused changed nothing"
        );
        draft.delete_prefix("k")?;
        draft.put("small", &most, Expiry::Never)
    });
}

#[test]
fn the_cursor_takes_no_room_and_other_changes_do() {
    Stored::with(&[]).turn(async |draft| {
        draft.delete_prefix("p:")?;
        draft.sweep("q:", Age::Created, Duration::ZERO)?;
        assert_eq!(draft.room(), TURN_CHANGES - 2);
        for n in 0..draft.room() {
            draft.delete(&n.to_string())?;
        }
        assert!(
            draft.delete_prefix("more").is_err() && draft.sweep("", Age::Updated, Duration::ZERO).is_err()
        );
        assert!(draft.delete_prefix("p:1").is_ok(), "deleted already");
        draft.set_cursor(Some("last".to_owned()))
    });
}
