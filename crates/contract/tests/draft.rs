//! What a connector sees of its draft: its own changes on top of what is stored, and nothing beyond the limits.
//! Conflicts and durability are the store's and are tested there.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use inboxclaw_contract::limits::{CURSOR_BYTES, TURN_CHANGES};
use inboxclaw_contract::store::PastTurn;
use inboxclaw_contract::turn::{Committed, Conflict, EntryChange, TurnId};
use inboxclaw_contract::{
    Draft, Entry, Expiry, Failure, Json, NewEvent, Outcome, OwnerId, Snapshot, State, StoreError, Turn,
    Version,
};
use jiff::Timestamp;

const OWNER: OwnerId = OwnerId(7);

/// A store that only remembers: fixed entries to read, and the turn that was committed.
#[derive(Default)]
struct Fixed {
    entries: BTreeMap<String, Entry>,
    committed: Mutex<Option<Turn>>,
}

impl Fixed {
    fn with(keys: &[&str]) -> Self {
        let entries = keys.iter().map(|key| ((*key).to_owned(), entry(key, "\"stored\""))).collect();
        Self { entries, ..Self::default() }
    }

    /// Runs one turn against it and returns what was committed.
    fn turn(&self, write: impl AsyncFnOnce(&mut Draft<'_>) -> Result<(), Failure>) -> Turn {
        let run = async {
            let mut draft = Draft::open(self, OWNER, TurnId(1)).await.unwrap();
            write(&mut draft).await.unwrap();
            draft.commit().await.unwrap();
            self.committed.lock().unwrap().take().unwrap()
        };
        run.now_or_never().unwrap()
    }
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

#[async_trait]
impl State for Fixed {
    async fn snapshot(&self, _: OwnerId) -> Result<Snapshot, StoreError> {
        Ok(Snapshot { version: Version(5), cursor: Some("token".into()), now: at(100) })
    }

    async fn entries(&self, _: OwnerId, keys: &[String]) -> Result<Vec<Option<Entry>>, StoreError> {
        Ok(keys.iter().map(|key| self.entries.get(key).cloned()).collect())
    }

    async fn list(
        &self,
        _: OwnerId,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        let matching = self.entries.values().filter(|entry| {
            entry.key.starts_with(prefix) && after.is_none_or(|after| entry.key.as_str() > after)
        });
        Ok(matching.take(limit).cloned().collect())
    }

    async fn commit(&self, turn: Turn) -> Result<Outcome, StoreError> {
        if turn.owner != OWNER {
            return Ok(Outcome::Conflict(Conflict::Unknown));
        }
        *self.committed.lock().unwrap() = Some(turn);
        Ok(Outcome::Committed(Committed { version: Version(6), stored: 0, known: 0 }))
    }

    async fn history(&self, _: OwnerId, _: Option<Version>, _: usize) -> Result<Vec<PastTurn>, StoreError> {
        Ok(Vec::new())
    }

    async fn changed(&self, _: OwnerId, _: Version) -> Result<Version, StoreError> {
        std::future::pending().await
    }
}

async fn keys(draft: &mut Draft<'_>, prefix: &str, after: Option<&str>, limit: usize) -> Vec<String> {
    draft.list(prefix, after, limit).await.unwrap().into_iter().map(|entry| entry.key).collect()
}

#[test]
fn reads_see_the_drafts_own_changes() {
    let turn = Fixed::with(&["a", "b", "c"]).turn(async |draft| {
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
    Fixed::with(&["p:1", "p:3", "p:5", "q:1"]).turn(async |draft| {
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
    let turn = Fixed::with(&["p:1", "p:2", "q:1"]).turn(async |draft| {
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
    let turn = Fixed::with(&["gone", "stays"]).turn(async |draft| {
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
    Fixed::default().turn(async |draft| {
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
    Fixed::with(&["a"]).turn(async |draft| {
        let error = draft.get::<u64>("a").await.unwrap_err().to_string();
        assert!(error.starts_with("the value of \"a\" does not fit: invalid type: string"), "{error}");
        Ok(())
    });
}
