//! Owners that get another name, and owners that are forgotten.

use std::time::Duration;

use futures_util::future::join_all;
use inboxclaw_contract::coalesce::{Aggregation, CoalesceRule, PendingQuery, Strategy};
use inboxclaw_contract::store::{DeliveryQuery, HistoryLimit};
use inboxclaw_contract::turn::{DeliveryChange, DeliveryState, FactsPatch, RunFacts};
use inboxclaw_contract::{DeliveryOrigin, NewEvent, Owner, OwnerId, Seq, StoreError, Version};
use inboxclaw_settings::Patterns;
use jiff::Timestamp;

use crate::{SpacesGround, Words, json, of_type, turn};

async fn named(ground: &SpacesGround) -> Vec<(OwnerId, String)> {
    let all = ground.store.owners().await.unwrap();
    all.into_iter().map(|info| (info.id, format!("{}:{}", info.kind, info.name))).collect()
}

pub async fn a_renamed_owner_keeps_everything(ground: &SpacesGround) {
    let owner = ground.source("old").await;
    ground.commit(ground.turn(owner).await.put("k", "1").cursor("c").emit("e1", "t")).await;
    ground.commit(ground.turn(owner).await.put("k", "2")).await;
    ground.store.set_facts(owner, FactsPatch { failures: Some(3), ..FactsPatch::default() }).await.unwrap();
    let before =
        (ground.all(owner).await, ground.store.history(owner, None, HistoryLimit::turns(9)).await.unwrap());
    ground.spaces.rename(owner, &Owner::source("new")).await.unwrap();
    assert_eq!(named(ground).await, [(owner, "source:new".into())]);
    assert_eq!(ground.source("new").await, owner, "the name leads to it");
    let after =
        (ground.all(owner).await, ground.store.history(owner, None, HistoryLimit::turns(9)).await.unwrap());
    assert_eq!(after, before);
    assert_eq!(ground.store.facts(owner).await.unwrap().failures, 3);
    let snapshot = ground.store.snapshot(owner).await.unwrap();
    assert_eq!((snapshot.version, snapshot.cursor.as_deref()), (Version(2), Some("c")));
    // Its events are those of the new name, and what it reported stays known.
    assert_eq!(ground.store.event(Seq(1)).await.unwrap().unwrap().source_name, "new");
    let again = ground.commit(ground.turn(owner).await.emit("e1", "t").emit("e2", "t")).await;
    assert_eq!((again.stored, again.known), (1, 1));
    let other = ground.source("old").await;
    assert_ne!(other, owner, "the old name is free");
    assert_eq!(ground.commit(turn(other, Version(0)).emit("e1", "t")).await.stored, 1);
    // The kind is part of the name.
    ground.spaces.rename(owner, &Owner::sink("new")).await.unwrap();
    assert_eq!(named(ground).await, [(owner, "sink:new".into()), (other, "source:old".into())]);
    ground.spaces.rename(owner, &Owner::sink("new")).await.unwrap();
}

pub async fn what_is_pending_goes_with_its_source(ground: &SpacesGround) {
    let (source, other) = (ground.source("old").await, ground.source("other").await);
    let rule = CoalesceRule {
        patterns: Patterns::default(),
        strategy: Strategy::Debounce,
        window: Duration::from_secs(10),
        max_wait: Duration::from_secs(100),
        aggregation: Aggregation::List,
    };
    let event = |id: &str| NewEvent::new(id, "t", json("{}")).entity("e");
    for source in [source, other] {
        ground.store.set_coalescing(source, vec![rule.clone()]).await.unwrap();
        let mut turn = ground.turn(source).await.cursor("1");
        turn.events = vec![event("1"), event("2")];
        ground.commit(turn).await;
    }
    let pending = async || {
        let query = PendingQuery { limit: 9, bytes: usize::MAX, ..PendingQuery::default() };
        let page = ground.store.pending(&query).await.unwrap();
        page.events.into_iter().map(|pending| (pending.source_name, pending.count)).collect::<Vec<_>>()
    };
    // An undo moves the cursor back and leaves what was reported: what comes again is known.
    let mut undo = ground.turn(source).await.author("ann");
    (undo.cursor, undo.undoes) = (Some(None), Some(Version(1)));
    ground.commit(undo).await;
    let mut again = ground.turn(source).await.cursor("1");
    again.events = vec![event("2")];
    assert_eq!(ground.commit(again).await.known, 1);
    ground.spaces.rename(source, &Owner::source("new")).await.unwrap();
    assert_eq!(pending().await, [("other".to_owned(), 2), ("new".to_owned(), 2)]);
    while !ground.spaces.forget(source).await.unwrap() {}
    assert_eq!(pending().await, [("other".to_owned(), 2)]);
    ground.clock.step(10);
    assert_eq!(ground.store.promote(9).await.unwrap().events, 1);
    assert_eq!(ground.page(&of_type("*", 0)).await.events[0].source, other);
}

pub async fn only_a_name_without_a_past_can_be_taken(ground: &SpacesGround) {
    let owner = ground.source("a").await;
    ground.commit(ground.turn(owner).await.put("k", "1")).await;
    let (stateful, reporting) = (ground.source("stateful").await, ground.source("reporting").await);
    ground.commit(ground.turn(stateful).await.put("k", "1")).await;
    ground.commit(ground.turn(reporting).await.emit("e", "t")).await;
    ground.clock.step(1);
    assert_eq!(ground.prune(0).await, 1);
    for taken in ["stateful", "reporting", "a/b", "inboxclaw"] {
        let refused = ground.spaces.rename(owner, &Owner::source(taken)).await;
        assert!(matches!(refused, Err(StoreError::Refused(_))), "{taken}: {refused:?}");
    }
    assert_eq!(ground.store.owners().await.unwrap().len(), 3);
    // One that only ran gives way.
    let fresh = ground.source("fresh").await;
    ground.store.set_facts(fresh, FactsPatch { failures: Some(3), ..FactsPatch::default() }).await.unwrap();
    ground.spaces.rename(owner, &Owner::source("fresh")).await.unwrap();
    assert_eq!(ground.source("fresh").await, owner);
    assert!(matches!(ground.store.snapshot(fresh).await, Err(StoreError::NoOwner(_))));
    assert!(matches!(
        ground.store.commit(turn(fresh, Version(0)).put("k", "1")).await,
        Err(StoreError::NoOwner(_))
    ));
    assert_eq!((ground.sweep().await, ground.get(owner, "k").await), (0, Some("1".into())));
    let next = ground.source("next").await;
    assert!(next != fresh && next != owner, "numbers are not used again");
    assert!(matches!(
        ground.spaces.rename(OwnerId(99), &Owner::source("x")).await,
        Err(StoreError::NoOwner(_))
    ));
    let internal = ground.source("inboxclaw").await;
    let refused = ground.spaces.rename(internal, &Owner::source("mine")).await;
    assert!(matches!(refused, Err(StoreError::Refused(_))));
}

/// Gives an owner something of everything, in many rows.
async fn live(ground: &SpacesGround, owner: OwnerId, source: OwnerId) {
    for round in 0..8 {
        let base = ground.version(owner).await;
        let turns = (0..300).map(|n| turn(owner, base).put(&format!("h/{n}"), &round.to_string()));
        join_all(turns.map(|turn| ground.commit(turn))).await;
    }
    let many = (0..700).fold(ground.turn(owner).await.cursor("c"), |turn, n| turn.put(&n.to_string(), "1"));
    ground.commit(many).await;
    let events = (0..2_500).fold(ground.turn(source).await, |turn, n| turn.emit(&n.to_string(), "t"));
    ground.commit(events).await;
    let mut owes = ground.turn(owner).await;
    owes.deliveries = (1..=2_500)
        .map(|seq| DeliveryChange::Owe {
            seq: Seq(seq),
            entity: None,
            state: DeliveryState::Waiting,
            due: Timestamp::UNIX_EPOCH,
            attempts: 0,
            error: None,
            tried_at: None,
            origin: DeliveryOrigin::Log,
        })
        .collect();
    ground.commit(owes).await;
    let patch = FactsPatch { failures: Some(2), paused: Some(true), ..FactsPatch::default() };
    ground.store.set_facts(owner, patch).await.unwrap();
}

pub async fn a_forgotten_owner_leaves_nothing_but_what_it_reported(ground: &SpacesGround) {
    let (source, owner) = (ground.source("a").await, ground.sink("b").await);
    live(ground, owner, source).await;
    ground.commit(ground.turn(source).await.put("k", "1")).await;
    let flying = ground.turn(owner).await.put("late", "1");
    assert!(!ground.spaces.forget(owner).await.unwrap(), "in steps");
    assert_eq!(named(ground).await, [(source, "source:a".into())], "but at once it is nobody any more");
    for answer in [
        ground.store.snapshot(owner).await.err(),
        ground.spaces.space(owner).await.err(),
        ground.store.commit(flying).await.err(),
        ground.store.facts(owner).await.err(),
    ] {
        assert!(matches!(answer, Some(StoreError::NoOwner(_))), "{answer:?}");
    }
    while !ground.spaces.forget(owner).await.unwrap() {}
    assert_eq!(ground.sweep().await, 1_000);
    // Should the name come back, it starts from nothing.
    assert_eq!(ground.sink("b").await, owner);
    assert!(
        ground.all(owner).await.is_empty()
            && ground.deliveries(owner, DeliveryQuery::all(9)).await.is_empty()
    );
    assert!(ground.store.history(owner, None, HistoryLimit::turns(9)).await.unwrap().is_empty());
    assert_eq!(ground.store.snapshot(owner).await.unwrap().cursor, None);
    assert_eq!(ground.store.facts(owner).await.unwrap(), RunFacts::default());
    ground.commit(ground.turn(owner).await.put("k", "1")).await;
    assert_eq!((ground.counts(owner).await, ground.get(source, "k").await), ((1, 2), Some("1".into())));
    assert_eq!(ground.store.history(owner, None, HistoryLimit::turns(9)).await.unwrap().len(), 1);
    assert!(matches!(ground.spaces.forget(OwnerId(99)).await, Err(StoreError::NoOwner(_))));
}

pub async fn a_forgotten_source_repeats_nothing(ground: &SpacesGround) {
    let (source, other) = (ground.source("a").await, ground.source("b").await);
    ground.commit(ground.turn(source).await.emit("e1", "t")).await;
    ground.commit(ground.turn(other).await.put("k", "1")).await;
    while !ground.spaces.forget(source).await.unwrap() {}
    assert_eq!(ground.store.event(Seq(1)).await.unwrap().unwrap().source_name, "a", "its events stay");
    let taken = ground.spaces.rename(other, &Owner::source("a")).await;
    assert!(matches!(taken, Err(StoreError::Refused(_))), "and its name, which they need");
    assert_eq!(ground.source("a").await, source);
    let again = ground.commit(ground.turn(source).await.emit("e1", "t").emit("e2", "t")).await;
    assert_eq!((again.stored, again.known), (1, 1));
}

pub async fn an_owner_that_comes_back_early_starts_from_nothing_too(ground: &SpacesGround) {
    let (source, owner) = (ground.source("a").await, ground.sink("b").await);
    live(ground, owner, source).await;
    let base = ground.version(owner).await;
    assert!(!ground.spaces.forget(owner).await.unwrap());
    assert_eq!(ground.sink("b").await, owner);
    assert!(ground.store.history(owner, None, HistoryLimit::turns(9)).await.unwrap().is_empty());
    let late = turn(owner, base).put("h/1", "1");
    ground.conflict(late).await;
    ground.commit(ground.turn(owner).await.put("x", "1")).await;
    ground.commit(ground.turn(owner).await.put("x", "2")).await;
    assert_eq!(ground.store.history(owner, None, HistoryLimit::turns(9)).await.unwrap().len(), 2);
    assert_eq!(ground.keys(owner, "").await, ["x"]);
    ground.sweep().await;
    assert_eq!((ground.keys(owner, "").await, ground.counts(owner).await), (vec!["x".into()], (1, 2)));
}

pub async fn what_is_forgotten_owes_nothing(ground: &SpacesGround) {
    let (source, sink) = (ground.source("s").await, ground.owing("k", &of_type("t", 0)).await);
    ground.commit(ground.turn(source).await.emit("1", "t").emit("2", "t")).await;
    ground.clock.step(200);
    assert_eq!((ground.prune_all(5, 1_000).await, ground.prune_all(5, 100).await), (0, 2));
    ground.commit(ground.turn(source).await.emit("3", "t")).await;
    assert!(
        !ground.store.debts().await.unwrap().is_empty() && !ground.store.lapses().await.unwrap().is_empty()
    );
    ground.spaces.forget(sink).await.unwrap();
    assert!(
        ground.store.debts().await.unwrap().is_empty() && ground.store.lapses().await.unwrap().is_empty()
    );
    ground.clock.step(10);
    assert_eq!(ground.prune(5).await, 1);
}
