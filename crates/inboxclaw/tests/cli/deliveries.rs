//! `deliveries` and `replay` on the real binary: beside a program and without one.

use std::sync::Arc;

use inboxclaw_contract::turn::{DeliveryChange, DeliveryState, TurnId};
use inboxclaw_contract::{Clock, DeliveryOrigin, Housekeeping as _, Json, NewEvent, OpenTurn, Owner, Seq};
use inboxclaw_store::{Options, SqliteStore};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::support::{Place, Ran};

const CONFIG: &str = "server: {port: 0}\nsources: {m: {type: mock, stopped: true}}\n\
    sink: {notes: {type: folder, path: ./notes}, inbox: {type: http_pull}}\n";

struct Now;

impl Clock for Now {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// Stores events `t.0` to `t.3` and a delivery of each of them that `notes` could not be given: the last one waits.
fn fill(place: &Place) {
    let path = place.path("data/data2.db");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let store = SqliteStore::open(&path, Options::new(Arc::new(Now))).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let source = store.register(&Owner::source("m"), "mock").await.unwrap();
        let sink = store.register(&Owner::sink("notes"), "folder").await.unwrap();
        let mut turn = OpenTurn::open(&store, source, TurnId(1)).await.unwrap();
        for n in 0..4 {
            let data = Json::from_value(&json!({ "n": n })).unwrap();
            turn.emit(NewEvent::new(format!("e{n}"), format!("t.{n}"), data)).unwrap();
        }
        turn.commit().await.unwrap();
        let mut turn = OpenTurn::open(&store, sink, TurnId(2)).await.unwrap();
        let now = turn.now();
        turn.turn_mut().deliveries.extend((1..=4).map(|seq| DeliveryChange::Owe {
            seq: Seq(seq),
            entity: None,
            state: if seq == 4 { DeliveryState::Waiting } else { DeliveryState::Dead },
            due: now + jiff::SignedDuration::from_hours(if seq == 4 { 1 } else { 0 }),
            attempts: 12,
            error: Some("no \u{1b}[31mroom".to_owned()),
            tried_at: Some(now),
            origin: DeliveryOrigin::Log,
        }));
        turn.commit().await.unwrap();
    });
}

fn rows(ran: &Ran) -> Vec<(i64, String)> {
    assert_eq!(ran.code, 0, "{ran:?}");
    let rows: Vec<Value> = serde_json::from_str(&ran.out).unwrap();
    rows.iter().map(|row| (row["id"].as_i64().unwrap(), row["state"].as_str().unwrap().to_owned())).collect()
}

fn owed(rows: &[(i64, &str)]) -> Vec<(i64, String)> {
    rows.iter().map(|(id, state)| (*id, (*state).to_owned())).collect()
}

#[test]
fn there_is_nothing_where_nothing_ran() {
    let place = Place::with(CONFIG);
    for args in [
        &["deliveries", "list", "--json"][..],
        &["deliveries", "list", "--sink", "notes", "--json"],
        &["replay", "--json"],
        &["replay", "--sink", "notes", "--json"],
    ] {
        let ran = place.run(args);
        assert_eq!((ran.code, ran.out.trim()), (0, "[]"), "{args:?}: {ran:?}");
    }
    assert_eq!(place.run(&["deliveries", "drop", "--all"]).code, 1);
    assert_eq!(place.names(), ["config.yaml"], "looking makes no file");
    let wrong = place.run(&["deliveries", "list", "--sink", "note"]);
    assert_eq!((wrong.code, wrong.err.trim()), (1, "there is no sink \"note\", did you mean \"notes\"?"));
    let old = place.run(&["webhook-deliveries"]);
    assert_eq!(old.code, 2);
    assert!(old.err.contains("inboxclaw deliveries list"), "{old:?}");
}

#[test]
fn dead_letters_are_listed_shown_retried_and_dropped() {
    let place = Place::with(CONFIG);
    fill(&place);
    let list = |args: &[&str]| rows(&place.run(&[&["deliveries", "list", "--json"], args].concat()));
    assert_eq!(list(&[]), owed(&[(1, "dead"), (2, "dead"), (3, "dead"), (4, "waiting")]));
    assert_eq!(list(&["--state", "dead", "--limit", "2"]), owed(&[(1, "dead"), (2, "dead")]));
    assert_eq!(list(&["--sink", "notes", "--type", "t.3"]), owed(&[(4, "waiting")]));
    assert_eq!(list(&["--older-than", "1h"]), []);
    let table = place.run(&["deliveries", "list"]).out;
    assert!(table.starts_with("SINK   ID  TYPE  STATE"), "{table}");
    assert!(table.contains("no \\u001b[31mroom") && !table.contains('\u{1b}'), "{table}");
    let shown = place.run(&["deliveries", "show", "--sink", "notes", "2"]).out;
    assert!(shown.starts_with("sink: notes\nstate: dead since ") && shown.contains("\"n\": 1"), "{shown}");
    assert!(!shown.contains('\u{1b}'), "{shown}");
    let shown: Value =
        serde_json::from_str(&place.run(&["deliveries", "show", "--sink", "notes", "2", "--json"]).out)
            .unwrap();
    assert_eq!((&shown["event"]["data"], &shown["attempts"]), (&json!({"n": 1}), &json!(12)));
    for wrong in [&["--sink", "notes", "9"][..], &["--sink", "inbox", "2"]] {
        let ran = place.run(&[&["deliveries", "show"], wrong].concat());
        assert_eq!(ran.code, 1);
        assert!(ran.err.contains("has no delivery of the event"), "{ran:?}");
    }
    let vague = place.run(&["deliveries", "retry"]);
    assert_eq!(vague.code, 2);
    assert!(vague.err.contains("--all"), "{vague:?}");
    assert_eq!(place.run(&["deliveries", "retry", "2"]).code, 2, "of which sink");
    let dropped = place.run(&["deliveries", "drop", "--sink", "notes", "1", "2"]);
    assert_eq!((dropped.code, dropped.out.as_str()), (0, "2 deliveries dropped (notes 2)\n"), "{dropped:?}");
    let retried = place.run(&["deliveries", "retry", "--all"]);
    assert_eq!(retried.out, "1 delivery to be tried again at once (notes 1)\n", "{retried:?}");
    assert_eq!(list(&[]), owed(&[(3, "waiting"), (4, "waiting")]));
    let none = place.run(&["deliveries", "drop", "--sink", "notes", "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&none.out).unwrap(), json!({"count": 0, "sinks": {}}));
}

/// The sink looks at once: a dead letter lands in its folder.
#[test]
fn the_running_program_delivers_what_is_retried_and_replayed() {
    let place = Place::with(CONFIG);
    fill(&place);
    let running = place.listen(&[]);
    place.await_health();
    let status = place.run(&["status"]).out;
    assert!(status.contains("waiting=1, dead=3"), "{status}");
    let retried = place.run(&["deliveries", "retry", "--sink", "notes"]);
    assert_eq!(retried.out, "3 deliveries to be tried again at once (notes 3)\n", "{retried:?}");
    let written = || {
        let files = std::fs::read_dir(place.path("notes")).into_iter().flatten();
        let texts = files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap_or_default());
        texts.map(|text| text.lines().count()).sum::<usize>()
    };
    let await_lines = |lines: usize| {
        for _ in 0..2_000 {
            if written() == lines {
                return;
            }
            assert_eq!(place.run(&["deliveries", "list"]).code, 0);
        }
        panic!("{} of {lines} lines", written());
    };
    await_lines(3);
    let rest = rows(&place.run(&["deliveries", "list", "--json"]));
    assert_eq!(rest, owed(&[(4, "waiting")]));
    let planned = place.run(&["replay", "--sink", "notes", "--since", "1h", "--type", "t.0", "--dry-run"]);
    assert_eq!(planned.out, "1 event would be sent to \"notes\"\n", "{planned:?}");
    let started = place.run(&["replay", "--sink", "notes", "--since", "1h", "--type", "t.0"]);
    assert_eq!(started.out, "notes: replay 1 running, 0 of 1 event sent\n", "{started:?}");
    await_lines(4);
    let shown = place.run(&["replay", "--sink", "notes", "--json"]);
    let jobs: Vec<Value> = serde_json::from_str(&shown.out).unwrap();
    assert_eq!((&jobs[0]["replay"], &jobs[0]["events"]), (&json!(1), &json!(1)));
    let refused = place.run(&["replay", "--sink", "inbox", "--since", "1h"]);
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("http_pull"), "{refused:?}");
    assert_eq!(running.stop("-TERM").0, 0);
}
