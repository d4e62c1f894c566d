//! Coalescing: what a commit collects, when it is promoted, and that promise 3 and the order of an entity hold for it.

use std::time::Duration;

use inboxclaw_contract::coalesce::{
    Aggregation, CoalesceRule, LIST_BYTES, LIST_ITEMS, PendingChoice, PendingCount, PendingEnd, PendingQuery,
    Strategy,
};
use inboxclaw_contract::limits::{JSON_BYTES, JSON_DEPTH};
use inboxclaw_contract::{Event, Json, NewEvent, OwnerId, Pending, Selection, Seq};
use inboxclaw_settings::Patterns;
use jiff::{SignedDuration, Timestamp};

use crate::{Ground, Words, json};

/// A debounce of 10 s with at most 35 s of waiting, unless it is changed.
fn rule(pattern: &str) -> CoalesceRule {
    CoalesceRule {
        patterns: Patterns::new([pattern]),
        strategy: Strategy::Debounce,
        window: Duration::from_secs(10),
        max_wait: Duration::from_secs(35),
        aggregation: Aggregation::Latest,
    }
}

fn batch(pattern: &str) -> CoalesceRule {
    CoalesceRule { strategy: Strategy::Batch, ..rule(pattern) }
}

fn joining(aggregation: Aggregation) -> CoalesceRule {
    CoalesceRule { aggregation, ..rule("*") }
}

fn change(id: &str, event_type: &str, entity: &str) -> NewEvent {
    NewEvent::new(id, event_type, json(&format!("{{\"id\":{id:?}}}"))).entity(entity)
}

async fn source(ground: &Ground, rules: &[CoalesceRule]) -> OwnerId {
    let source = ground.source("a").await;
    ground.store.set_coalescing(source, rules.to_vec()).await.unwrap();
    source
}

/// Commits events; says how many were stored, collected and known.
async fn report(ground: &Ground, source: OwnerId, events: Vec<NewEvent>) -> (u64, u64, u64) {
    let mut turn = ground.turn(source).await;
    turn.events = events;
    let committed = ground.commit(turn).await;
    (committed.stored, committed.pending, committed.known)
}

async fn promote(ground: &Ground) -> u64 {
    let promoted = ground.store.promote(100).await.unwrap();
    assert!(!promoted.more);
    promoted.events
}

async fn pending(ground: &Ground) -> Vec<Pending> {
    let query = PendingQuery { limit: 100, bytes: usize::MAX, ..PendingQuery::default() };
    let page = ground.store.pending(&query).await.unwrap();
    assert_eq!(page.total, page.events.len() as u64);
    page.events
}

async fn logged(ground: &Ground) -> Vec<Event> {
    ground.page(&Selection::all(Seq(0))).await.events
}

async fn end(ground: &Ground, choice: &PendingChoice, end: PendingEnd) -> u64 {
    let (mut events, mut after) = (0, Some(0));
    while let Some(from) = after {
        let step = ground.store.end_pending(choice, end, from).await.unwrap();
        (events, after) = (events + step.events, step.next);
    }
    events
}

async fn now(ground: &Ground) -> Timestamp {
    ground.store.clock().await.unwrap().now
}

pub async fn promise_3_a_known_id_changes_nothing_that_is_pending(ground: &Ground) {
    let source = source(ground, &[rule("t")]).await;
    assert_eq!(report(ground, source, vec![change("1", "t", "e"), change("1", "t", "e")]).await, (0, 1, 1));
    assert_eq!(report(ground, source, vec![change("1", "t", "e")]).await, (0, 0, 1));
    assert_eq!(pending(ground).await[0].count, 1);
    ground.clock.step(10);
    assert_eq!(promote(ground).await, 1);
    assert_eq!(report(ground, source, vec![change("1", "t", "e")]).await, (0, 0, 1), "after its promotion");
    // Nor does a repeated event of another type promote anything.
    assert_eq!(report(ground, source, vec![change("2", "t", "e")]).await, (0, 1, 0));
    assert_eq!(report(ground, source, vec![change("1", "other", "e")]).await, (0, 0, 1));
    assert_eq!(pending(ground).await.len(), 1);
    assert_eq!(ground.event_ids().await, ["coalesced:1"]);
}

pub async fn what_was_collected_is_promoted_as_one(ground: &Ground) {
    let source = source(ground, &[rule("t")]).await;
    let begin = now(ground).await;
    assert_eq!(report(ground, source, vec![change("1", "t", "e"), change("x", "t", "f")]).await, (0, 2, 0));
    ground.clock.step(4);
    report(ground, source, vec![change("2", "t", "e")]).await;
    assert!(logged(ground).await.is_empty());
    ground.clock.step(6);
    assert_eq!(promote(ground).await, 1, "the other one waits for its last event");
    ground.clock.step(4);
    assert_eq!(promote(ground).await, 1);
    let all = logged(ground).await;
    let (one, two) = (&all[0], &all[1]);
    assert_eq!((one.event_id.as_str(), two.event_id.as_str()), ("coalesced:x", "coalesced:1"));
    assert_eq!((one.data.as_str(), two.data.as_str()), (r#"{"id":"x"}"#, r#"{"id":"2"}"#));
    assert_eq!((one.meta.as_str(), one.occurred_at), ("{}", Some(begin)));
    let after = |seconds| begin + SignedDuration::from_secs(seconds);
    assert_eq!((two.created_at, two.occurred_at), (after(14), Some(after(4))));
    assert!(two.meta.as_str().starts_with("{\"coalesced\":true,\"coalesced_count\":2,\"first_seen_at\":"));
    assert_eq!(two.entity_id.as_deref(), Some("e"));
    assert!(pending(ground).await.is_empty());
    assert_eq!(ground.store.promote(100).await.unwrap().next, None);
}

pub async fn a_debounce_starves_nobody(ground: &Ground) {
    let source = source(ground, &[rule("t")]).await;
    let mut promoted = Vec::new();
    for second in 0..80 {
        report(ground, source, vec![change(&second.to_string(), "t", "e")]).await;
        ground.clock.step(1);
        promoted.push(promote(ground).await);
    }
    // Each 35 s after its first event, although another one came every second.
    assert_eq!(promoted.iter().sum::<u64>(), 2);
    assert_eq!((promoted[34], promoted[69]), (1, 1));
    assert_eq!(pending(ground).await[0].count, 10);
}

pub async fn a_batch_ends_a_window_after_its_first_event(ground: &Ground) {
    let half = CoalesceRule { window: Duration::from_millis(2_500), ..batch("t") };
    let source = source(ground, &[half]).await;
    let begin = now(ground).await;
    report(ground, source, vec![change("1", "t", "e")]).await;
    ground.clock.step(2);
    report(ground, source, vec![change("2", "t", "e")]).await;
    assert_eq!(pending(ground).await[0].flush_at, begin + SignedDuration::from_millis(2_500));
    assert_eq!(promote(ground).await, 0);
    ground.clock.step(1);
    // A window that is over is over, also when nobody has promoted it yet.
    assert_eq!(report(ground, source, vec![change("3", "t", "e")]).await, (1, 1, 0));
    assert_eq!(ground.event_ids().await, ["coalesced:1"]);
    assert_eq!(pending(ground).await[0].first_id, "3");
}

pub async fn objects_merge_shallow_and_byte_for_byte(ground: &Ground) {
    let source = source(ground, &[joining(Aggregation::Merge)]).await;
    let data = [
        r#"{"n": 12345678901234567890, "a":{"x":1,"y":2} ,"s":"\u0061"}"#,
        r#"{"b":1.0e0,"a":{"z":3}}"#,
        r#"{"\u006e":1e999,"b":[ ]}"#,
    ];
    let mut events = Vec::new();
    for (id, data) in data.iter().enumerate() {
        let mut event = NewEvent::new(id.to_string(), "t", json(data)).entity("e");
        event.meta = json(&format!("{{\"m\":{id},\"k{id}\":0}}"));
        events.push(event);
    }
    report(ground, source, events).await;
    ground.clock.step(10);
    promote(ground).await;
    let event = &logged(ground).await[0];
    assert_eq!(event.data.as_str(), r#"{"n":1e999,"a":{"z":3},"s":"\u0061","b":[ ]}"#);
    assert!(event.meta.as_str().starts_with(r#"{"m":2,"k0":0,"k1":0,"k2":0,"coalesced":true"#));
}

pub async fn a_list_keeps_all_in_order_and_is_bounded(ground: &Ground) {
    let source = source(ground, &[joining(Aggregation::List)]).await;
    report(ground, source, vec![change("1", "t", "e"), change("2", "t", "e")]).await;
    assert_eq!(pending(ground).await[0].data.as_str(), r#"[{"id":"1"},{"id":"2"}]"#);
    ground.clock.step(10);
    promote(ground).await;
    assert_eq!(logged(ground).await[0].data.as_str(), r#"[{"id":"1"},{"id":"2"}]"#);
    // By the number of items.
    let many = (0..=LIST_ITEMS).map(|n| change(&format!("n{n}"), "t", "f")).collect();
    assert_eq!(report(ground, source, many).await, (1, LIST_ITEMS + 1, 0));
    let items: Vec<Json> = logged(ground).await[1].data.parse().unwrap();
    assert_eq!(items.len() as u64, LIST_ITEMS);
    // By bytes: three do not fit together.
    let wide = |id: &str| {
        let text = format!("{{\"x\":\"{}\"}}", "x".repeat(LIST_BYTES * 2 / 5));
        NewEvent::new(id, "t", json(&text)).entity("g")
    };
    assert_eq!(report(ground, source, vec![wide("w1"), wide("w2"), wide("w3")]).await, (1, 3, 0));
    assert_eq!(ground.event_ids().await.pop().unwrap(), "coalesced:w1");
}

pub async fn what_has_no_room_is_stored_as_it_is(ground: &Ground) {
    let source = source(ground, &[joining(Aggregation::List)]).await;
    let deep = format!("{{\"x\":{}{}}}", "[".repeat(JSON_DEPTH - 1), "]".repeat(JSON_DEPTH - 1));
    let large = format!("{{\"x\":\"{}\"}}", "x".repeat(JSON_BYTES - 8));
    report(ground, source, vec![change("1", "t", "e")]).await;
    for (id, text) in [("deep", deep), ("large", large)] {
        let event = NewEvent::new(id, "t", json(&text)).entity("e");
        report(ground, source, vec![event]).await;
        assert_eq!(logged(ground).await.pop().unwrap().data.as_str(), text, "{id}");
    }
    assert_eq!(ground.event_ids().await, ["coalesced:1", "deep", "large"], "in order");
    // Two that are too large together are two.
    ground.store.set_coalescing(source, vec![joining(Aggregation::Merge)]).await.unwrap();
    let half = |id: &str| {
        let text = format!("{{\"{id}\":\"{}\"}}", "x".repeat(JSON_BYTES / 2));
        NewEvent::new(id, "t", json(&text)).entity("e")
    };
    assert_eq!(report(ground, source, vec![half("m1"), half("m2")]).await, (1, 2, 0));
}

pub async fn another_type_of_an_entity_comes_after_what_is_pending(ground: &Ground) {
    let source = source(ground, &[rule("t.updated"), rule("t.moved")]).await;
    report(ground, source, vec![change("1", "t.updated", "e"), change("2", "t.updated", "f")]).await;
    assert_eq!(report(ground, source, vec![change("3", "t.deleted", "e")]).await, (2, 0, 0));
    assert_eq!(report(ground, source, vec![change("4", "t.moved", "f")]).await, (1, 1, 0));
    assert_eq!(report(ground, source, vec![change("5", "t.updated", "f")]).await, (1, 1, 0));
    assert_eq!(ground.event_ids().await, ["coalesced:1", "3", "coalesced:2", "coalesced:4"]);
    // Another source has entities of its own.
    let other = ground.source("b").await;
    assert_eq!(report(ground, other, vec![change("1", "t.deleted", "f")]).await, (1, 0, 0));
    assert_eq!(pending(ground).await[0].first_id, "5");
}

pub async fn the_first_rule_that_takes_a_type_counts(ground: &Ground) {
    let merge = CoalesceRule { patterns: Patterns::new(["t.*", "!t.b"]), ..joining(Aggregation::Merge) };
    let source = source(ground, &[merge, joining(Aggregation::List)]).await;
    report(ground, source, vec![change("1", "t.a", "a"), change("2", "t.b", "b")]).await;
    let data: Vec<_> = pending(ground).await.into_iter().map(|it| (it.entity_id, it.data)).collect();
    assert_eq!(data, [("b".into(), json(r#"[{"id":"2"}]"#)), ("a".into(), json(r#"{"id":"1"}"#))]);
}

pub async fn an_event_without_an_entity_is_stored_at_once(ground: &Ground) {
    let source = source(ground, &[rule("*")]).await;
    ground.commit(ground.turn(source).await.emit("1", "t").emit("2", "t")).await;
    assert_eq!(ground.event_ids().await, ["1", "2"]);
    assert_eq!(report(ground, source, vec![change("3", "t", "")]).await, (0, 1, 0), "an empty one is one");
}

pub async fn what_is_pending_outlives_its_rules(ground: &Ground) {
    let source = source(ground, &[rule("*")]).await;
    report(ground, source, vec![change("1", "t", "e"), change("2", "t", "f")]).await;
    ground.store.set_coalescing(source, Vec::new()).await.unwrap();
    assert_eq!(report(ground, source, vec![change("3", "t", "e")]).await, (2, 0, 0), "and keeps its place");
    ground.clock.step(10);
    assert_eq!(promote(ground).await, 1);
    assert_eq!(ground.event_ids().await, ["coalesced:1", "3", "coalesced:2"]);
}

pub async fn a_promoted_id_is_unlike_any_other(ground: &Ground) {
    let source = source(ground, &[rule("t")]).await;
    let theirs = change("coalesced:1", "other", "x");
    report(ground, source, vec![theirs, change("1", "t", "e")]).await;
    ground.clock.step(10);
    promote(ground).await;
    assert_eq!(ground.event_ids().await, ["coalesced:1", "coalesced:coalesced:1"]);
    let late = change("coalesced:coalesced:1", "other", "x");
    assert_eq!(report(ground, source, vec![late]).await, (0, 0, 1));
}

pub async fn promise_8_pending_events_follow_the_clock(ground: &Ground) {
    let source = source(ground, &[rule("t")]).await;
    report(ground, source, vec![change("1", "t", "e")]).await;
    // A clock that is in doubt ends no window before its time.
    ground.clock.jump(40 * 24 * 60 * 60);
    assert_eq!(promote(ground).await, 0);
    report(ground, source, vec![change("2", "t", "e")]).await;
    ground.clock.step(9);
    assert_eq!(promote(ground).await, 0);
    ground.clock.step(1);
    assert_eq!(promote(ground).await, 1, "windows go on with the time that passes");
    // One that was set back is followed: nothing waits until that time comes again.
    ground.clock.jump(-40 * 24 * 60 * 60);
    report(ground, source, vec![change("3", "t", "e")]).await;
    ground.clock.jump(-2 * 60 * 60);
    assert_eq!(promote(ground).await, 1);
    assert_eq!(logged(ground).await.len(), 2);
}

pub async fn promotion_goes_in_steps_and_wakes_those_who_wait(ground: &Ground) {
    let source = source(ground, &[batch("t")]).await;
    let waiting = ground.store.pending_before(None);
    let reporting = report(ground, source, vec![change("1", "t", "a")]);
    let (due, _) = tokio::join!(waiting, reporting);
    let due = due.unwrap();
    assert_eq!(due, now(ground).await + SignedDuration::from_secs(10));
    ground.clock.step(1);
    report(ground, source, (2..=3).map(|n| change(&n.to_string(), "t", &n.to_string())).collect()).await;
    assert_eq!(ground.store.promote(2).await.unwrap().next, Some(due), "none is due");
    // Only an earlier one is news.
    let mut earlier = rule("t");
    earlier.window = Duration::from_secs(2);
    ground.store.set_coalescing(source, vec![earlier]).await.unwrap();
    let reporting = report(ground, source, vec![change("4", "t", "d")]);
    let (due, _) = tokio::join!(ground.store.pending_before(Some(due)), reporting);
    assert_eq!(due.unwrap(), now(ground).await + SignedDuration::from_secs(2));
    ground.clock.step(10);
    let (head, step) = tokio::join!(ground.store.grown(Seq(0)), ground.store.promote(3));
    let step = step.unwrap();
    assert_eq!((head.unwrap(), step.events, step.more), (Seq(3), 3, true));
    let step = ground.store.promote(3).await.unwrap();
    assert_eq!((step.events, step.more, step.next), (1, false, None));
    assert_eq!(ground.event_ids().await, ["coalesced:4", "coalesced:1", "coalesced:2", "coalesced:3"]);
}

pub async fn people_see_flush_and_drop_what_is_pending(ground: &Ground) {
    let source = source(ground, &[rule("*")]).await;
    let other = ground.source("b").await;
    ground.store.set_coalescing(other, vec![batch("*")]).await.unwrap();
    for (source, id, event_type, entity) in [
        (source, "1", "t.a", "x"),
        (source, "2", "t.b", "y"),
        (other, "1", "t.a", "x"),
        (other, "2", "u", "z"),
    ] {
        report(ground, source, vec![change(id, event_type, entity)]).await;
        ground.clock.step(1);
    }
    let find = async |choice: PendingChoice, limit, offset, bytes| {
        let page = ground.store.pending(&PendingQuery { choice, limit, offset, bytes }).await.unwrap();
        let names =
            page.events.iter().map(|it| format!("{} {} {}", it.source_name, it.event_type, it.entity_id));
        (names.collect::<Vec<_>>(), page.total)
    };
    let of = |source: Option<&str>, pattern: Option<&str>, entity: Option<&str>| PendingChoice {
        source: source.map(str::to_owned),
        patterns: pattern.map(|pattern| Patterns::new([pattern])),
        entity: entity.map(str::to_owned),
    };
    let all = PendingChoice::default();
    assert_eq!(
        find(all.clone(), 9, 0, usize::MAX).await,
        (vec!["b u z".into(), "b t.a x".into(), "a t.b y".into(), "a t.a x".into()], 4)
    );
    assert_eq!(find(all.clone(), 1, 1, 0).await, (vec!["b t.a x".into()], 4));
    assert_eq!(find(all.clone(), 9, 0, 20).await.0.len(), 1, "bounded in bytes, but one is always given");
    assert_eq!(find(of(Some("a"), Some("t.*"), None), 1, 0, 99).await.1, 2);
    assert_eq!(find(of(Some("nobody"), None, None), 9, 0, 99).await, (vec![], 0));
    let counts = ground.store.pending_counts().await.unwrap();
    let expected = [source, other].map(|source| PendingCount { source, count: 2 });
    assert_eq!(counts, expected);
    assert_eq!(end(ground, &of(Some("nobody"), None, None), PendingEnd::Drop).await, 0);
    assert_eq!(end(ground, &of(None, Some("t.*"), Some("x")), PendingEnd::Flush).await, 2);
    assert_eq!(ground.event_ids().await, ["coalesced:1", "coalesced:1"]);
    assert_eq!(end(ground, &of(Some("a"), None, None), PendingEnd::Drop).await, 1);
    assert_eq!(report(ground, source, vec![change("2", "t.b", "y")]).await, (0, 0, 1), "it was reported");
    assert_eq!(end(ground, &all, PendingEnd::Flush).await, 1);
    assert!(pending(ground).await.is_empty() && ground.store.pending_counts().await.unwrap().is_empty());
}

pub async fn ending_goes_over_more_than_one_step(ground: &Ground) {
    let source = source(ground, &[rule("*")]).await;
    let of = |n: usize| if n.is_multiple_of(2) { "t.even" } else { "t.odd" };
    let many = (0..1_500).map(|n| change(&n.to_string(), of(n), &n.to_string())).collect();
    assert_eq!(report(ground, source, many).await, (0, 1_500, 0));
    let odd = PendingChoice { patterns: Some(Patterns::new(["t.odd"])), ..PendingChoice::default() };
    assert_eq!(end(ground, &odd, PendingEnd::Flush).await, 750);
    assert_eq!(end(ground, &PendingChoice::default(), PendingEnd::Drop).await, 750);
    assert_eq!(logged(ground).await.len(), 750);
}
