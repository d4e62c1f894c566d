//! The import of the Python program's database: who comes over misses nothing and gets nothing twice.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};

use inboxclaw_contract::store::{DeliveryQuery, Find, ReadLimit};
use inboxclaw_contract::{
    Housekeeping, Intake, Json, Log, NewEvent, OwnerId, Seq, Sinks, StartAt, State, StoreError, Turn,
    turn::TurnId,
};
use inboxclaw_contract_testing::HandClock;
use inboxclaw_settings::{Interval, Patterns, Ttl};
use inboxclaw_store::{
    DeliveryTable, Forerunner, ImportPlan, ImportSurvey, Imported, ImportedSink, ImportedSource, Options,
    SqliteStore,
};
use jiff::Timestamp;
use rusqlite::Connection;

const SCHEMA: &str = include_str!("forerunner/schema.sql");
const ROWS: &str = include_str!("forerunner/rows.sql");
const MAIL: &str = "gmail.new_message";

fn now() -> Timestamp {
    "2026-11-22T09:00:00Z".parse().unwrap()
}

/// A folder with a database of the Python program, and room for one of ours.
struct Place(tempfile::TempDir);

impl Place {
    fn new(sql: &[&str]) -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        let connection = place.theirs();
        connection.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
        sql.iter().for_each(|sql| connection.execute_batch(sql).unwrap());
        place
    }

    fn full() -> Self {
        Self::new(&[SCHEMA, ROWS])
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("data2.db")
    }

    fn theirs(&self) -> Connection {
        Connection::open(self.file()).unwrap()
    }

    fn open(&self) -> SqliteStore {
        SqliteStore::open(&self.0.path().join("ours.db"), Options::new(HandClock::at(now()))).unwrap()
    }

    fn survey(&self) -> ImportSurvey {
        Forerunner::open(&self.file(), self.0.path()).unwrap().survey(&plan(), now()).unwrap()
    }

    async fn import(&self, store: &SqliteStore) -> Result<Imported, StoreError> {
        let file = Forerunner::open(&self.file(), self.0.path()).unwrap();
        let survey = file.survey(&plan(), now()).unwrap();
        store.import_forerunner(file, plan(), survey, Box::new(|_, _| {})).await
    }

    /// The files here and what they hold, but for ours.
    fn bytes(&self) -> Vec<(String, Vec<u8>)> {
        let mut files: Vec<_> = fs::read_dir(self.0.path())
            .unwrap()
            .map(|entry| entry.unwrap())
            .map(|entry| (entry.file_name().into_string().unwrap(), entry.path()))
            .filter(|(name, path)| !name.starts_with("ours") && path.is_file())
            .map(|(name, path)| (name, fs::read(path).unwrap()))
            .collect();
        files.sort();
        files
    }
}

fn plan() -> ImportPlan {
    let source = |name: &str, connector: &str, cursor, prefixes: &[&'static str]| ImportedSource {
        name: name.to_owned(),
        connector: connector.to_owned(),
        cursor,
        prefixes: prefixes.to_vec(),
    };
    let sink = |name: &str, connector: &str, table, patterns: &[&str]| ImportedSink {
        name: name.to_owned(),
        connector: connector.to_owned(),
        intake: Intake { patterns: Patterns::new(patterns), ttl: None, start: StartAt::Now },
        table,
        ttl: Some(Ttl { default: Some(Interval::from_secs(3600)), ..Ttl::default() }),
        max_attempts: 3,
    };
    ImportPlan {
        sources: vec![
            source("mail", "gmail", true, &[]),
            source("cal", "google_calendar", false, &["sync_token:", "snap:"]),
            source("new", "mock", false, &[]),
        ],
        sinks: vec![
            sink("hook", "webhook", DeliveryTable::Webhook, &["*"]),
            sink("run", "command", DeliveryTable::Command, &["gmail.*"]),
            sink("inbox", "http_pull", DeliveryTable::Pull, &["*"]),
            sink("fresh", "http_pull", DeliveryTable::Pull, &["*"]),
        ],
    }
}

async fn owner(store: &SqliteStore, name: &str) -> OwnerId {
    store.owners().await.unwrap().into_iter().find(|owner| owner.name == name).unwrap().id
}

/// Everything that a sink owes: behind its place, and out of order.
async fn owed(store: &SqliteStore, name: &str) -> Vec<i64> {
    let (id, plan) = (owner(store, name).await, plan());
    let intake = &plan.sinks.iter().find(|sink| sink.name == name).unwrap().intake;
    // As the next start does it.
    let began = store.set_intake(id, intake).await.unwrap();
    let cursor = store.snapshot(id).await.unwrap().cursor;
    let standing = began.standing_at(cursor.as_deref()).unwrap();
    let limit = ReadLimit { events: 100, bytes: usize::MAX, count: false };
    let behind = store.read(&standing, limit).await.unwrap().events;
    let rows = store.deliveries(id, DeliveryQuery::all(100)).await.unwrap().deliveries;
    let mut seqs: Vec<i64> =
        behind.iter().map(|event| event.seq.0).chain(rows.iter().map(|row| row.seq.0)).collect();
    seqs.sort_unstable();
    seqs
}

#[tokio::test]
async fn each_sink_owes_exactly_what_it_owed() {
    let place = Place::full();
    let store = place.open();
    assert_eq!(place.import(&store).await.unwrap(), Imported::Now);
    // 12 and 13 were still coalesced.
    assert_eq!(owed(&store, "hook").await, [8, 9, 10, 12, 13]);
    assert_eq!(owed(&store, "run").await, [10, 12]);
    assert_eq!(owed(&store, "inbox").await, [5, 8, 9, 12, 13]);
    let survey = place.survey();
    let counts = survey
        .sinks
        .iter()
        .map(|sink| (sink.name.as_str(), [sink.owed, sink.delivered, sink.given_up, sink.expired]));
    let counts: Vec<_> = counts.collect();
    assert_eq!(
        counts,
        [("hook", [5, 1, 1, 1]), ("run", [2, 3, 0, 0]), ("inbox", [5, 2, 0, 1])],
        "who is new in the configuration begins there"
    );
    let debts = store.debts().await.unwrap();
    for (name, [count, ..]) in counts {
        let id = owner(&store, name).await;
        let debt = debts.iter().find(|debt| debt.sink == id).unwrap();
        assert_eq!(debt.types.iter().map(|debt| debt.count).sum::<u64>(), count, "{name}");
    }
}

#[tokio::test]
async fn attempts_are_counted_on() {
    let place = Place::full();
    let store = place.open();
    place.import(&store).await.unwrap();
    let hook = owner(&store, "hook").await;
    let rows = store.deliveries(hook, DeliveryQuery::all(100)).await.unwrap().deliveries;
    let [row] = rows.as_slice() else { panic!("{rows:?}") };
    assert_eq!((row.seq, row.attempts, row.entity_id.as_deref()), (Seq(8), 1, Some("thread 2")));
    assert!(row.due <= now());
    assert_eq!(row.tried_at, Some("2026-11-22T06:34:01Z".parse().unwrap()));
    assert_eq!(store.snapshot(hook).await.unwrap().cursor.as_deref(), Some("8"));
}

#[tokio::test]
async fn events_keep_their_numbers_times_and_bodies() {
    let place = Place::full();
    let store = place.open();
    place.import(&store).await.unwrap();
    let found = store.find(&Find { limit: 100, ..Find::default() }).await.unwrap();
    let seqs: Vec<i64> = found.events.iter().map(|event| event.seq.0).collect();
    assert_eq!(seqs, [13, 12, 10, 9, 8, 5, 4, 3]);
    let five = store.event(Seq(5)).await.unwrap().unwrap();
    assert_eq!((five.source_name.as_str(), five.event_id.as_str()), ("cal", "c1"));
    assert_eq!(five.created_at, "2026-11-22T06:32:00.047621Z".parse().unwrap());
    assert_eq!((five.data.as_str(), five.meta.as_str()), (r#"{"n": 3, "s": "\u00e9"}"#, r#"{"k": [1]}"#));
    let four = store.event(Seq(4)).await.unwrap().unwrap();
    assert_eq!(four.occurred_at, Some("2026-11-22T08:31:00Z".parse().unwrap()));
    assert_eq!((four.meta.as_str(), four.entity_id.as_deref()), ("{}", Some("thread 1")));
    assert_eq!(store.event(Seq(8)).await.unwrap().unwrap().data.as_str(), "{}");
    assert_eq!(store.event(Seq(9)).await.unwrap().unwrap().source_name, "gone");
    let pending = store.event(Seq(13)).await.unwrap().unwrap();
    assert_eq!(pending.event_id, "coalesced:calendar.updated:e1:1795329900");
    assert_eq!(pending.occurred_at, Some("2026-11-22T06:46:00.5Z".parse().unwrap()));
    let meta: serde_json::Value = pending.meta.parse().unwrap();
    assert_eq!(
        meta,
        serde_json::json!({
            "k": 1, "coalesced_count": 3, "first_seen_at": "2026-11-22T06:45:00",
            "last_seen_at": "2026-11-22T06:46:00.500000", "coalesced": true,
        })
    );
    assert_eq!(store.event(Seq(12)).await.unwrap().unwrap().meta.as_str(), "{}");
    assert_eq!(store.head().await.unwrap(), Seq(13));
}

#[tokio::test]
async fn what_was_reported_is_not_reported_again() {
    let place = Place::full();
    let store = place.open();
    place.import(&store).await.unwrap();
    let mail = owner(&store, "mail").await;
    let snapshot = store.snapshot(mail).await.unwrap();
    let mut turn = Turn::new(TurnId(77), mail, snapshot.version);
    turn.events = ["m1", "m2", "m4", "m6"].map(|id| NewEvent::new(id, MAIL, Json::empty_object())).into();
    let inboxclaw_contract::Outcome::Committed(committed) = store.commit(turn).await.unwrap() else {
        panic!("a conflict")
    };
    assert_eq!((committed.stored, committed.known), (1, 3));
    assert_eq!(store.head().await.unwrap(), Seq(14));
}

#[tokio::test]
async fn sources_go_on_with_what_means_the_same() {
    let place = Place::full();
    let store = place.open();
    place.import(&store).await.unwrap();
    let (mail, cal) = (owner(&store, "mail").await, owner(&store, "cal").await);
    assert_eq!(store.snapshot(mail).await.unwrap().cursor.as_deref(), Some("4711"));
    let entries = store.list(cal, "", None, 100).await.unwrap();
    let values: Vec<(&str, &str)> =
        entries.iter().map(|entry| (entry.key.as_str(), entry.value.as_str())).collect();
    assert_eq!(
        values,
        [
            ("snap:primary:e1", r#"{"id": "e1", "n": 1.0}"#),
            ("snap:primary:int", "5"),
            ("snap:primary:real", "1.5"),
            ("sync_token:primary", r#""tok""#),
        ]
    );
    let token = entries.last().unwrap();
    assert_eq!(token.created_at, "2026-11-01T00:00:00Z".parse().unwrap());
    assert_eq!(token.updated_at, "2026-11-22T06:30:00.000001Z".parse().unwrap());
    for (id, announced) in [(mail, "healthy"), (cal, "unhealthy")] {
        assert_eq!(store.facts(id).await.unwrap().announced.as_deref(), Some(announced));
    }
    let survey = place.survey();
    let found: Vec<_> = survey
        .sources
        .iter()
        .map(|source| (source.name.as_str(), source.cursor, source.entries, source.left))
        .collect();
    assert_eq!(found, [("cal", false, 4, 1), ("mail", true, 0, 0)]);
    let refused: Vec<&str> = survey.refusals.iter().map(|refusal| refusal.what.as_str()).collect();
    assert_eq!(
        (survey.refused, refused),
        (3, vec!["event 7", "event 11", "the key \"snap:primary:nan\" of cal"])
    );
    assert_eq!(survey.unnamed, ["sink:live (sse)", "sink:old (http_pull)", "source:gone"]);
}

#[tokio::test]
async fn a_second_import_brings_nothing_and_another_one_is_refused() {
    let place = Place::full();
    let before = place.bytes();
    let store = place.open();
    place.import(&store).await.unwrap();
    assert_eq!(place.bytes(), before, "the file was touched");
    let (head, commits) = (store.head().await.unwrap(), store.commits());
    assert_eq!(place.import(&store).await.unwrap(), Imported::Before);
    assert_eq!((store.head().await.unwrap(), store.commits()), (head, commits));
    place.theirs().execute_batch("UPDATE http_webhook_deliveries SET tries = 2 WHERE id = 3").unwrap();
    let error = place.import(&store).await.unwrap_err();
    assert!(
        matches!(&error, StoreError::Refused(why) if why.contains("an earlier state of this one")),
        "{error}"
    );
}

#[tokio::test]
async fn a_database_in_use_is_refused_whole() {
    let place = Place::full();
    let store = place.open();
    assert_eq!(store.holds().await.unwrap(), None);
    let mock = store.register(&inboxclaw_contract::Owner::source("mail"), "gmail").await.unwrap();
    assert_eq!(store.holds().await.unwrap(), None, "a start without any news");
    let mut turn = Turn::new(TurnId(1), mock, inboxclaw_contract::Version(0));
    turn.cursor = Some(Some("5".to_owned()));
    store.commit(turn).await.unwrap();
    let error = place.import(&store).await.unwrap_err();
    assert!(matches!(&error, StoreError::Refused(why) if why.contains("remember")), "{error}");
    assert_eq!((store.head().await.unwrap(), store.owners().await.unwrap().len()), (Seq(0), 1));
}

/// Before there were metas, coalescing and commands.
#[tokio::test]
async fn an_older_database_comes_over() {
    let place = Place::new(&[
        SCHEMA,
        "DROP TABLE pending_events; DROP TABLE command_sink_deliveries; DROP TABLE source_kv;
         ALTER TABLE events DROP COLUMN meta;
         INSERT INTO sources VALUES (1, 'mail', 'gmail', '');
         INSERT INTO sinks VALUES (1, 'run', 'command');
         INSERT INTO events VALUES (1, 'a', 1, 'gmail.x', NULL, '2026-11-22 06:00:00.000000', NULL, '{}')",
    ]);
    let store = place.open();
    assert_eq!(place.import(&store).await.unwrap(), Imported::Now);
    assert_eq!(owed(&store, "run").await, [1]);
    let mail = owner(&store, "mail").await;
    assert_eq!(store.snapshot(mail).await.unwrap().cursor, None, "an empty cursor is none");
}

#[tokio::test]
async fn what_a_crash_left_in_a_journal_is_worked_up_elsewhere() {
    let place = Place::full();
    // A transaction that has written into the file, and whose program is killed here.
    let dying = place.theirs();
    dying
        .execute_batch("PRAGMA cache_size = 1; PRAGMA cache_spill = 1; BEGIN; DELETE FROM pending_events;")
        .unwrap();
    dying
        .execute_batch(
            "WITH RECURSIVE n(i) AS (SELECT 20 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
             INSERT INTO events SELECT i, 'e' || i, 1, 'gmail.x', NULL, NULL, NULL, '{}', '{}' FROM n;",
        )
        .unwrap();
    let after = Place(tempfile::tempdir().unwrap());
    for (name, bytes) in place.bytes() {
        fs::write(after.0.path().join(name), bytes).unwrap();
    }
    drop(dying);
    let before = after.bytes();
    assert_eq!(before.len(), 2, "no journal");
    let store = after.open();
    after.import(&store).await.unwrap();
    assert_eq!(store.head().await.unwrap(), Seq(13), "half a transaction was read");
    assert_eq!(after.bytes(), before, "the file was touched");
}

#[tokio::test]
async fn what_is_still_in_a_write_ahead_log_comes_over() {
    let place = Place::full();
    let open = place.theirs();
    open.execute_batch(
        "PRAGMA journal_mode = WAL;
         INSERT INTO events VALUES (20, 'late', 1, 'gmail.x', NULL, '2026-11-22 06:49:00.000000', NULL, '{}', '{}')",
    )
    .unwrap();
    let store = place.open();
    place.import(&store).await.unwrap();
    assert_eq!(store.event(Seq(20)).await.unwrap().unwrap().event_id, "late");
    drop(open);
}

#[test]
fn another_database_is_refused() {
    let place = Place::new(&["CREATE TABLE events (id INTEGER)"]);
    let refused = |path: &Path| Forerunner::open(path, path.parent().unwrap()).err().unwrap().to_string();
    assert!(refused(&place.file()).ends_with("is not the database of the Python program"));
    drop(place.open());
    let ours = place.0.path().join("ours.db");
    assert!(refused(&ours).ends_with("is a database of this program already, not of the Python program"));
    fs::write(place.0.path().join("text"), "no database at all, but long enough to be read as one".repeat(9))
        .unwrap();
    assert!(refused(&place.0.path().join("text")).ends_with("is no SQLite database"));
    assert!(refused(&place.0.path().join("none")).contains("cannot use"));
}

/// So that a person sees what to do instead of what cannot be done.
#[test]
fn the_place_of_the_python_programs_database_names_the_import() {
    let place = Place::full();
    let error = SqliteStore::prepare(&place.file()).unwrap_err().to_string();
    assert!(error.contains("`database.db_path` to a new file"), "{error}");
    assert!(error.contains("`inboxclaw store import-forerunner "), "{error}");
}

#[tokio::test]
async fn counts_are_those_of_the_windows() {
    let place = Place::full();
    let store = place.open();
    place.import(&store).await.unwrap();
    let stats = store.stats().await.unwrap();
    let counts = |all: &[inboxclaw_store::EventCounts]| -> Vec<(String, [u64; 3])> {
        all.iter().map(|counts| (counts.name.clone(), counts.recent)).collect()
    };
    let expected = [("cal", 2), ("gone", 1), ("mail", 5)].map(|(name, count)| (name.to_owned(), [count; 3]));
    assert_eq!(counts(&stats.sources), expected);
    let mail = stats.types.iter().find(|counts| counts.name == MAIL).unwrap();
    assert_eq!(mail.recent, [4, 4, 4]);
    let size = stats.sizes.iter().find(|size| size.name == MAIL).unwrap();
    // 8, 8, 2 and 8 bytes.
    assert_eq!((size.events, size.sample, size.average), (4, 4, 7));
}

/// The windows end to the microsecond, also where the times do not grow with the numbers.
#[tokio::test]
async fn windows_hold_where_the_clock_was_set_back() {
    let times = [
        "2026-11-21 10:00:00.000000",
        "2026-11-16 09:00:00.000000",
        "2026-10-30 09:00:00.000000",
        "2026-11-22 08:00:00.000000",
        "2026-10-20 09:00:00.000000",
        "2026-11-21 09:00:00.000000",
    ];
    let rows: Vec<String> = times
        .iter()
        .enumerate()
        .map(|(at, time)| {
            format!(
                "INSERT INTO events VALUES ({}, 'e{at}', 1, 't', NULL, '{time}', NULL, '{{}}', '{{}}');",
                at + 1
            )
        })
        .collect();
    let place = Place::new(&[SCHEMA, "INSERT INTO sources VALUES (1, 'mail', 'gmail', '')", &rows.concat()]);
    let store = place.open();
    place.import(&store).await.unwrap();
    let stats = store.stats().await.unwrap();
    assert_eq!(stats.types[0].recent, [2, 4, 5]);
}
