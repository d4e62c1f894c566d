//! A database of an earlier layout opens with everything that it held.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::path::Path;
use std::sync::Arc;

use inboxclaw_contract::store::HistoryLimit;
use inboxclaw_contract::store::{Before, DeliveryQuery};
use inboxclaw_contract::turn::{Conflict, TurnId};
use inboxclaw_contract::{OwnerId, Selection, Seq, Turn, Version};
use inboxclaw_contract_testing::{Ground, HandClock, Words, turn};
use inboxclaw_store::{Options, SqliteStore};
use rusqlite::Connection;

const FIRST: &str = include_str!("../migrations/0001_first.sql");

/// What a program of the first layout left: a source with a live and an expired entry and a secret, a sink without
/// any state, an event and what is owed of it.
const DATA: &str = r#"
    PRAGMA application_id = 0x49434C57;
    PRAGMA user_version = 1;
    INSERT INTO spaces (id, owner) VALUES (1, 1), (2, 2);
    INSERT INTO owners (id, kind, name, connector, space, version, turn_id, history, history_bytes, failures, paused,
        announced, cursor)
    VALUES (1, 'source', 'mail', 'gmail', 1, 2, x'000102030405060708090a0b0c0d0e0f', 7, 120, 3, 1, 'unhealthy', 'c'),
        (2, 'sink', 'out', 'sse', 2, 0, NULL, NULL, 0, 0, 0, NULL, NULL);
    INSERT INTO entries VALUES (1, 'é', 1, 5, 6, NULL, 0, '"é"'), (1, 'old', 1, 5, 6, 7, 0, '12'),
        (1, 's', 2, 5, 6, NULL, 1, '"secret"');
    INSERT INTO event_types VALUES (1, 't.a');
    INSERT INTO events VALUES (4, 1, 1, 6, NULL, 'e1', NULL, '{}', '{"a":1}');
    INSERT INTO meta VALUES ('pruned', 3);
    INSERT INTO deliveries VALUES (2, 4, 0, 0, 1, 'e', NULL);
    -- Version 1 found no é; version 2, by ann, found no cursor, another é, and a secret that it could not tell from
    -- nothing.
    INSERT INTO history VALUES (3, 1, 1, NULL, 6, 53, NULL, x'010004c3a900'),
        (7, 1, 2, 3, 8, 67, 'ann', x'010104c3a901020a02043132027300');
"#;

fn ground(path: &Path) -> Ground {
    let clock = HandClock::new();
    let store = Arc::new(SqliteStore::open(path, Options::new(clock.clone())).unwrap());
    Ground::new(store, clock)
}

#[tokio::test]
async fn a_database_of_the_first_layout_keeps_everything() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let first = Connection::open(&path).unwrap();
    first.execute_batch(FIRST).and_then(|()| first.execute_batch(DATA)).unwrap();
    drop(first);
    let ground = ground(&path);
    let (source, sink) = (OwnerId(1), OwnerId(2));
    check_state(&ground, source, sink).await;
    check_history(&ground, source).await;
    let missed = async |after| ground.missed(&Selection::all(Seq(after))).await;
    assert_eq!(
        (missed(2).await, missed(3).await),
        (Some(3), None),
        "the mark of removal holds for all types"
    );
    // And it goes on from there.
    let repeated =
        Turn { turn_id: TurnId(0x0001_0203_0405_0607_0809_0a0b_0c0d_0e0f), ..turn(source, Version(1)) };
    assert_eq!(ground.commit(repeated.put("é", "3")).await.version, Version(2), "the last turn is known");
    assert_eq!(ground.conflict(turn(source, Version(1)).put("é", "3")).await, Conflict::Key("é".into()));
    ground.commit(turn(source, Version(2)).put("é", "3").delete("s").emit("e2", "t.a")).await;
    assert_eq!(
        (ground.counts(source).await, ground.event_ids().await),
        ((2, 3 + 5), vec!["e1".into(), "e2".into()])
    );
    assert_eq!(ground.last(source).await.entries[0].1, Before::Secret);
    assert_eq!(ground.source("new").await, OwnerId(3));
    let backup = Connection::open(dir.path().join("a.db.backup-v1")).unwrap();
    let found: (i64, i64) = backup
        .query_row(
            "SELECT (SELECT count(*) FROM history), user_version FROM pragma_user_version",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .unwrap();
    assert_eq!(found, (2, 1), "the backup holds it as it was");
}

async fn check_state(ground: &Ground, source: OwnerId, sink: OwnerId) {
    let owners = ground.store.owners().await.unwrap();
    let told: Vec<_> = owners
        .iter()
        .map(|owner| (owner.id, &*owner.name, &*owner.connector, owner.version.0, owner.cursor.as_deref()))
        .collect();
    assert_eq!(told, [(sink, "out", "sse", 0, None), (source, "mail", "gmail", 2, Some("c"))]);
    assert_eq!((ground.counts(source).await, ground.counts(sink).await), ((3, 6 + 5 + 9), (0, 0)));
    let all = ground.all(source).await;
    let seen: Vec<_> = all.iter().map(|entry| (&*entry.key, entry.value.as_str(), entry.secret)).collect();
    assert_eq!(seen, [("s", "\"secret\"", true), ("é", "\"é\"", false)]);
    assert_eq!((all[1].revision, all[1].updated_at.as_microsecond()), (Version(1), 6));
    let facts = ground.store.facts(source).await.unwrap();
    assert_eq!((facts.failures, facts.paused, facts.announced.as_deref()), (3, true, Some("unhealthy")));
    assert_eq!(ground.event_ids().await, ["e1"]);
    assert_eq!(ground.deliveries(sink, DeliveryQuery::all(9)).await[0].seq, Seq(4));
}

async fn check_history(ground: &Ground, source: OwnerId) {
    let history = ground.store.history(source, None, HistoryLimit::turns(9)).await.unwrap();
    let told: Vec<_> =
        history.iter().map(|past| (past.version.0, past.author.as_deref(), past.undoes)).collect();
    assert_eq!(told, [(2, Some("ann"), None), (1, None, None)]);
    assert_eq!((&history[0].cursor, &history[1].cursor), (&Some(None), &None));
    let Before::Entry(old) = &history[0].entries[0].1 else { panic!("{history:?}") };
    assert_eq!((&*old.key, old.value.as_str(), old.created_at.as_microsecond()), ("é", "12", 5));
    assert_eq!(history[0].entries[1], ("s".into(), Before::Absent));
    assert_eq!(history[1].entries, [("é".to_owned(), Before::Absent)]);
    assert!(history.iter().all(|past| past.replaced.is_none() && !past.marker));
}
