//! Promises 6 and 7, deliveries, run facts, owners, and what is removed when.

use std::collections::BTreeMap;
use std::time::Duration;

use inboxclaw_contract::store::{DeliveryQuery, DeliveryRow, HistoryLimit, Prune, Retention};
use inboxclaw_contract::turn::{DeliveryChange, DeliveryState, FactsPatch, RunFacts};
use inboxclaw_contract::{
    DeliveryOrigin, Expiry, NewEvent, Owner, OwnerId, OwnerKind, Selection, Seq, StoreError, Version,
};
use inboxclaw_settings::{Interval, Ttl};
use jiff::Timestamp;

use crate::{Ground, Words, json, of_type, prune, seconds, turn};

fn owe(seq: i64, state: DeliveryState, due: Timestamp) -> DeliveryChange {
    DeliveryChange::Owe {
        seq: Seq(seq),
        entity: Some("e".into()),
        state,
        due,
        attempts: 2,
        error: Some("why".into()),
        tried_at: Some(Timestamp::UNIX_EPOCH),
        origin: DeliveryOrigin::Replay(3),
    }
}

async fn seqs(ground: &Ground) -> Vec<i64> {
    ground.page(&Selection::all(Seq(0))).await.events.iter().map(|event| event.seq.0).collect()
}

pub async fn promise_6_retention_removes_only_what_nobody_owes(ground: &Ground) {
    let source = ground.source("a").await;
    for n in 1..=10 {
        ground.commit(ground.turn(source).await.emit(&n.to_string(), ["t.even", "t.odd"][n % 2])).await;
        ground.clock.step(10);
    }
    // Events 1 to 8 are older than 20 s, event 9 is not. One sink has confirmed odd ones up to 3 and wants no others; another wants
    // even ones for 45 s only.
    let by_age = Ttl { default: Some(Interval::from_secs(45)), by_type: BTreeMap::new() };
    let owed = vec![of_type("t.odd", 3), Selection { ttl: Some(by_age), ..of_type("t.even", 0) }];
    for (name, selection) in ["odd", "even"].iter().zip(&owed) {
        ground.owing(name, selection).await;
    }
    let step = ground.store.prune(&prune(20, 1_000, 1)).await.unwrap();
    assert_eq!((step.events, step.more), (1, true), "in small steps");
    assert_eq!(ground.prune(20).await, 4);
    assert_eq!(seqs(ground).await, [5, 7, 8, 9, 10]);
    assert_eq!(ground.prune(20).await, 0);
    assert_eq!(ground.missed(&Selection::all(Seq(0))).await, Some(6));
    for sink in ["odd", "even"] {
        ground.store.release(ground.sink(sink).await).await.unwrap();
    }
    assert_eq!(ground.prune(20).await, 3);
    assert_eq!(seqs(ground).await, [9, 10]);
}

pub async fn each_type_is_kept_for_as_long_as_it_says(ground: &Ground) {
    let source = ground.source("a").await;
    for id in 1..=2 {
        let turn = ["t.a", "t.b", "t.b.c", "u"]
            .iter()
            .fold(ground.turn(source).await, |turn, name| turn.emit(&format!("{id} {name}"), name));
        ground.commit(turn).await;
        ground.clock.step(10);
    }
    let age = |seconds: u64| Some(Duration::from_secs(seconds));
    let by_type = [("t.*", age(15)), ("t.b", None), ("t.b.*", age(5))];
    let by_type: BTreeMap<_, _> = by_type.map(|(pattern, age)| (pattern.to_owned(), age)).into();
    let pass = async |default: Option<Duration>| {
        let keep = Retention { by_type: by_type.clone(), default };
        let prune = Prune { keep, owed_max: Duration::from_secs(1_000), limit: 100 };
        let step = ground.store.prune(&prune).await.unwrap();
        (step.events, step.more)
    };
    ground.owing("keeper", &of_type("t.b.c", 3)).await;
    assert_eq!(pass(None).await, (2, false), "one t.a by its prefix, and the t.b.c that nobody owes");
    assert_eq!(ground.event_ids().await, ["1 t.b", "1 u", "2 t.a", "2 t.b", "2 t.b.c", "2 u"]);
    // A reader of one type hears nothing of what went of others.
    assert_eq!(ground.missed(&of_type("t.a", 0)).await, Some(1));
    assert_eq!(ground.missed(&of_type("t.b.c", 0)).await, Some(3));
    for kept in ["t.b", "u"] {
        assert_eq!(ground.missed(&of_type(kept, 0)).await, None, "{kept}");
    }
    assert_eq!(pass(age(15)).await, (1, false), "the default is for types that no pattern matches");
    ground.clock.step(1_000);
    assert_eq!(pass(None).await.0, 2, "owed for long enough");
    assert_eq!(ground.event_ids().await, ["1 t.b", "2 t.b", "2 u"]);
}

pub async fn promise_6_room_is_made_of_what_nobody_owes_first(ground: &Ground) {
    let source = ground.source("a").await;
    let sink = ground.owing("b", &of_type("owed", 0)).await;
    let text = format!("{{\"text\":\"{}\"}}", "x".repeat(20_000));
    for id in 1..=40 {
        let mut turn = ground.turn(source).await;
        let event_type = if id % 2 == 0 { "owed" } else { "free" };
        turn.events.push(NewEvent::new(id.to_string(), event_type, json(&text)));
        ground.commit(turn).await;
    }
    let make_room = async |max_bytes: u64| {
        let mut steps = vec![ground.store.make_room(max_bytes, 5).await.unwrap()];
        while steps.last().unwrap().more {
            assert!(steps.len() < 100, "it comes to an end");
            steps.push(ground.store.make_room(max_bytes, 5).await.unwrap());
        }
        assert!(steps.iter().all(|step| step.events <= 5));
        (steps.iter().map(|step| step.events).sum::<u64>(), steps.last().unwrap().bytes)
    };
    let (removed, bytes) = make_room(u64::MAX).await;
    assert!(removed == 0 && bytes >= 40 * 20_000, "{removed} {bytes}");
    // Room for about ten events: of those that nobody owes, the oldest go.
    let max = bytes - 10 * 20_000;
    let (removed, bytes) = make_room(max).await;
    assert!((8..=13).contains(&removed) && bytes <= max, "{removed} {bytes}");
    let ids = ground.event_ids().await;
    let last = 2 * removed;
    let expected: Vec<String> =
        (1..=40_u64).filter(|id| id % 2 == 0 || *id > last).map(|id| id.to_string()).collect();
    assert_eq!(ids, expected);
    assert_eq!(make_room(max).await, (0, bytes), "there is room now");
    assert!(ground.store.lapses().await.unwrap().is_empty());
    // Then what is owed.
    let max = max - 15 * 20_000;
    let (more, bytes) = make_room(max).await;
    assert!(bytes <= max, "{bytes}");
    let dropped = more - (20 - removed);
    let lapse = ground.store.lapses().await.unwrap().remove(0);
    let told = lapse.untold.unwrap();
    assert_eq!((lapse.sink, &*lapse.event_type, lapse.dropped), (sink, "owed", dropped));
    assert_eq!((told.count, told.first.0, told.last.0), (dropped, Seq(2), Seq(2 * dropped as i64)));
    let left: Vec<String> = (dropped + 1..=20).map(|n| (2 * n).to_string()).collect();
    assert_eq!(ground.event_ids().await, left);
    assert_eq!(ground.missed(&of_type("owed", 0)).await, Some(2 * dropped as i64));
}

pub async fn promise_6_a_delivery_keeps_its_event(ground: &Ground) {
    let (source, gone) = (ground.source("a").await, ground.sink("gone").await);
    let sink = ground.owing("b", &Selection::all(Seq(9))).await;
    ground.commit(ground.turn(source).await.emit("1", "t").emit("2", "t").emit("3", "t")).await;
    for (owner, seq) in [(sink, 2), (gone, 3)] {
        let mut owes = ground.turn(owner).await;
        owes.deliveries.push(owe(seq, DeliveryState::Dead, Timestamp::UNIX_EPOCH));
        ground.commit(owes).await;
    }
    ground.clock.step(10);
    assert_eq!(ground.prune_all(5, 5).await, 2, "dead ones wait for a person");
    assert_eq!(seqs(ground).await, [2]);
    assert!(ground.deliveries(gone, DeliveryQuery::all(10)).await.is_empty());
    let mut done = ground.turn(sink).await;
    done.deliveries.push(DeliveryChange::Done { seq: Seq(2) });
    ground.commit(done).await;
    assert_eq!(ground.prune(5).await, 1);
}

pub async fn promise_7_a_claim_is_held_by_one(ground: &Ground) {
    let owner = ground.source("a").await;
    let claim = async |holder| ground.store.claim(owner, holder, Duration::from_secs(10)).await.unwrap();
    assert!(claim("one").await);
    assert!(!claim("two").await);
    ground.clock.step(9);
    assert!(claim("one").await, "the holder extends its claim");
    ground.clock.step(9);
    assert!(!claim("two").await);
    ground.clock.step(1);
    assert!(claim("two").await);
    assert!(!claim("one").await);
    // What is stored never depends on it.
    ground.commit(ground.turn(owner).await.put("a", "1")).await;
    assert!(matches!(ground.store.claim(OwnerId(9), "x", Duration::ZERO).await, Err(StoreError::NoOwner(_))));
}

pub async fn deliveries_are_owed_until_done(ground: &Ground) {
    let (source, sink) = (ground.source("a").await, ground.sink("b").await);
    ground.commit((1..=4).fold(ground.turn(source).await, |turn, n| turn.emit(&n.to_string(), "t"))).await;
    let now = ground.store.snapshot(sink).await.unwrap().now;
    let later = Expiry::resolve(seconds(10), now, None).unwrap();
    let mut owes = ground.turn(sink).await;
    owes.deliveries = vec![
        owe(3, DeliveryState::Waiting, now),
        owe(1, DeliveryState::Waiting, later),
        owe(2, DeliveryState::Dead, now),
        owe(99, DeliveryState::Waiting, now),
    ];
    assert_eq!(ground.commit(owes).await.version, Version(0), "what is owed is no state");
    let owed = async |query| {
        let owed = ground.deliveries(sink, query).await;
        owed.iter().map(|delivery| delivery.seq.0).collect::<Vec<_>>()
    };
    let all = DeliveryQuery::all(10);
    let waiting = DeliveryQuery { state: Some(DeliveryState::Waiting), ..all };
    let dead = DeliveryQuery { state: Some(DeliveryState::Dead), ..all };
    assert_eq!(owed(all).await, [1, 2, 3], "a delivery without its event is none");
    assert_eq!((owed(waiting).await, owed(dead).await), (vec![1, 3], vec![2]));
    assert_eq!(owed(DeliveryQuery { after: Seq(1), ..waiting }).await, [3]);
    let first = ground.deliveries(sink, all).await.remove(0);
    let expected = DeliveryRow {
        seq: Seq(1),
        source,
        event_type: "t".into(),
        entity_id: None,
        created_at: now,
        bytes: 2 * "{}".len(),
        state: DeliveryState::Waiting,
        due: later,
        attempts: 2,
        error: Some("why".into()),
        tried_at: Some(Timestamp::UNIX_EPOCH),
        origin: DeliveryOrigin::Replay(3),
    };
    assert_eq!(first, expected);
    let mut moves = ground.turn(sink).await;
    moves.deliveries = vec![DeliveryChange::Done { seq: Seq(3) }, owe(1, DeliveryState::Dead, now)];
    ground.commit(moves).await;
    assert_eq!((owed(waiting).await, owed(dead).await), (vec![], vec![1, 2]));
    assert!(ground.deliveries(source, all).await.is_empty());
}

pub async fn deliveries_are_bounded_in_rows_and_bytes(ground: &Ground) {
    let (source, sink) = (ground.source("a").await, ground.sink("b").await);
    ground.commit((1..=4).fold(ground.turn(source).await, |turn, n| turn.emit(&n.to_string(), "t"))).await;
    let mut owes = ground.turn(sink).await;
    owes.deliveries = (1..=4).map(|seq| owe(seq, DeliveryState::Waiting, Timestamp::UNIX_EPOCH)).collect();
    ground.commit(owes).await;
    for state in [None, Some(DeliveryState::Waiting)] {
        let read = async |rows, bytes| {
            let page = ground
                .store
                .deliveries(sink, DeliveryQuery { state, rows, bytes, after: Seq(0) })
                .await
                .unwrap();
            (page.deliveries.iter().map(|delivery| delivery.seq.0).collect::<Vec<_>>(), page.complete)
        };
        assert_eq!(read(4, usize::MAX).await, (vec![1, 2, 3, 4], true));
        assert_eq!(read(3, usize::MAX).await, (vec![1, 2, 3], false));
        assert_eq!(read(0, usize::MAX).await, (vec![], false));
        // Each has a type of one byte and a reason of three.
        assert_eq!(read(9, 8).await, (vec![1, 2], false));
        assert_eq!(read(9, 0).await, (vec![1], false), "one is always given");
        assert_eq!(read(usize::MAX, 16).await, (vec![1, 2, 3, 4], true));
    }
}

pub async fn facts_are_no_state(ground: &Ground) {
    let (owner, other) = (ground.source("a").await, ground.sink("b").await);
    assert_eq!(ground.store.facts(owner).await.unwrap(), RunFacts::default());
    let patch = FactsPatch {
        failures: Some(2),
        next_in: Some(Duration::from_secs(10)),
        announced: Some("unhealthy".into()),
        ..FactsPatch::default()
    };
    ground.store.set_facts(owner, patch).await.unwrap();
    let now = ground.store.snapshot(owner).await.unwrap().now;
    let expected = RunFacts {
        failures: 2,
        next_at: Expiry::resolve(seconds(10), now, None),
        announced: Some("unhealthy".into()),
        ..RunFacts::default()
    };
    assert_eq!(ground.store.facts(owner).await.unwrap(), expected);
    // With a turn, of its owner and of another.
    let mut poll = turn(owner, Version(0));
    poll.facts = vec![
        (owner, FactsPatch { failures: Some(0), next_in: Some(Duration::ZERO), ..FactsPatch::default() }),
        (other, FactsPatch { seen: true, paused: Some(true), ..FactsPatch::default() }),
    ];
    assert_eq!(ground.commit(poll).await.version, Version(0));
    let healed = RunFacts { failures: 0, next_at: None, ..expected };
    assert_eq!(ground.store.facts(owner).await.unwrap(), healed);
    let seen = RunFacts { seen_at: Some(now), paused: true, ..RunFacts::default() };
    assert_eq!(ground.store.facts(other).await.unwrap(), seen);
    assert!(ground.store.history(owner, None, HistoryLimit::turns(10)).await.unwrap().is_empty());
    assert!(matches!(ground.store.facts(OwnerId(9)).await, Err(StoreError::NoOwner(_))));
    assert!(matches!(
        ground.store.set_facts(OwnerId(9), FactsPatch::default()).await,
        Err(StoreError::NoOwner(_))
    ));
}

pub async fn owners_are_known_by_kind_and_name(ground: &Ground) {
    let a = ground.store.register(&Owner::source("a"), "old").await.unwrap();
    ground.commit(ground.turn(a).await.put("k", "1").cursor("c")).await;
    let sink = ground.store.register(&Owner::sink("a"), "sse").await.unwrap();
    assert_eq!(ground.store.register(&Owner::source("a"), "new").await.unwrap(), a);
    assert_eq!(ground.get(a, "k").await.as_deref(), Some("1"), "the state stays");
    let all = ground.store.owners().await.unwrap();
    assert_eq!(
        all.iter().map(|owner| (owner.id, owner.kind)).collect::<Vec<_>>(),
        [(sink, OwnerKind::Sink), (a, OwnerKind::Source)]
    );
    assert_eq!((all[1].name.as_str(), all[1].connector.as_str()), ("a", "new"));
    assert_eq!((all[1].version, all[1].cursor.as_deref()), (Version(1), Some("c")));
    assert!(matches!(ground.store.register(&Owner::sink("a/b"), "x").await, Err(StoreError::Refused(_))));
    assert!(ground.store.register(&Owner::source("inboxclaw"), "internal").await.is_ok());
    assert!(matches!(ground.store.snapshot(OwnerId(99)).await, Err(StoreError::NoOwner(OwnerId(99)))));
    assert!(matches!(ground.store.list(OwnerId(99), "", None, 1).await, Err(StoreError::NoOwner(_))));
    assert!(matches!(ground.store.entries(OwnerId(99), &["k".into()]).await, Err(StoreError::NoOwner(_))));
}

pub async fn history_goes_by_age(ground: &Ground) {
    let (a, b) = (ground.source("a").await, ground.source("b").await);
    for owner in [a, b, a] {
        let value = ground.version(owner).await.0.to_string();
        ground.commit(ground.turn(owner).await.put("k", &value)).await;
        ground.clock.step(24 * 60 * 60);
    }
    ground.clock.step(5 * 24 * 60 * 60);
    let swept = ground.store.sweep().await.unwrap();
    assert_eq!((swept.history, swept.more), (2, false));
    assert_eq!(ground.store.history(a, None, HistoryLimit::turns(10)).await.unwrap().len(), 1);
    assert!(ground.store.history(b, None, HistoryLimit::turns(10)).await.unwrap().is_empty());
    assert_eq!(ground.version(a).await, Version(2));
    // The owner goes on as before.
    ground.commit(ground.turn(b).await.put("k", "2")).await;
    assert_eq!(ground.store.history(b, None, HistoryLimit::turns(10)).await.unwrap().len(), 1);
}
