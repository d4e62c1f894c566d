//! Promises 3 and 5, and what else is said about reading the log.

use std::collections::BTreeMap;

use inboxclaw_contract::store::{EventRow, Find, ReadLimit, Truncation, TruncationCause};
use inboxclaw_contract::{Event, Selection, Seq, Turn};
use inboxclaw_settings::{Interval, Patterns, Ttl};

use crate::{Ground, Words, of_type, turn};

const ALL: ReadLimit = ReadLimit { events: 1_000, bytes: 1 << 30, count: false };

fn ttl(seconds: u64) -> Option<Ttl> {
    Some(Ttl { default: Some(Interval::from_secs(seconds)), by_type: BTreeMap::new() })
}

pub async fn promise_3_an_event_is_logged_once(ground: &Ground) {
    let (a, b) = (ground.source("a").await, ground.source("b").await);
    let first = ground.commit(ground.turn(a).await.emit("1", "t").emit("2", "t").emit("1", "other")).await;
    assert_eq!((first.stored, first.known), (2, 1));
    let again = ground.commit(ground.turn(a).await.emit("2", "t").emit("3", "t")).await;
    assert_eq!((again.stored, again.known), (1, 1));
    assert_eq!(
        ground.commit(ground.turn(b).await.emit("1", "t")).await.stored,
        1,
        "ids belong to their source"
    );
    let events = ground.page(&Selection::all(Seq(0))).await.events;
    let found: Vec<_> =
        events.iter().map(|event| (event.source_name.as_str(), event.event_id.as_str())).collect();
    assert_eq!(found, [("a", "1"), ("a", "2"), ("a", "3"), ("b", "1")]);
    assert!(events.iter().all(|event| event.event_type == "t"), "the first report counts");
}

pub async fn promise_3_holds_after_the_event_was_pruned(ground: &Ground) {
    let source = ground.source("a").await;
    ground.commit(ground.turn(source).await.emit("1", "t")).await;
    ground.clock.step(10);
    assert_eq!(ground.prune(10).await, 0);
    assert_eq!(ground.prune(9).await, 1);
    let again = ground.commit(ground.turn(source).await.emit("1", "t")).await;
    assert_eq!((again.stored, again.known), (0, 1));
    // Nor does a seq come back when the log is empty.
    assert_eq!(ground.store.head().await.unwrap(), Seq(1));
    ground.commit(ground.turn(source).await.emit("2", "t")).await;
    assert_eq!(ground.page(&Selection::all(Seq(0))).await.events[0].seq, Seq(2));
}

pub async fn promise_5_a_reader_never_misses_an_event(ground: &Ground) {
    let write = |writer: usize| async move {
        let source = ground.source(&format!("s{writer}")).await;
        for n in 0..25 {
            ground.commit(turn(source, ground.version(source).await).emit(&n.to_string(), "t")).await;
        }
    };
    let read = async {
        let mut seen: Vec<Seq> = Vec::new();
        while seen.len() < 200 {
            let last = seen.last().copied().unwrap_or_default();
            ground.store.grown(last).await.unwrap();
            let page =
                ground.store.read(&Selection::all(last), ReadLimit { events: 7, ..ALL }).await.unwrap();
            assert!(page.events.iter().all(|event| event.seq <= page.head));
            seen.extend(page.events.iter().map(|event| event.seq));
        }
        seen
    };
    let (seen, _) = tokio::join!(read, futures_util::future::join_all((0..8).map(write)));
    assert_eq!(seen, (1..=200).map(Seq).collect::<Vec<_>>());
}

pub async fn promise_5_a_reader_behind_retention_is_told(ground: &Ground) {
    let source = ground.source("a").await;
    for id in ["1", "2"] {
        ground.commit(ground.turn(source).await.emit(id, "t")).await;
    }
    ground.clock.step(10);
    ground.commit(ground.turn(source).await.emit("3", "t")).await;
    assert_eq!(ground.missed(&Selection::all(Seq(1))).await, None);
    assert_eq!(ground.prune(5).await, 2);
    let page = ground.page(&Selection::all(Seq(1))).await;
    let truncation = Truncation { up_to: Seq(2), cause: TruncationCause::Retention };
    assert_eq!((page.truncation, page.head, page.events.len()), (Some(truncation), Seq(3), 1));
    assert_eq!(ground.missed(&Selection::all(Seq(2))).await, None, "who stands at the mark has had it all");
}

pub async fn promise_5_retention_of_one_type_truncates_no_other(ground: &Ground) {
    let source = ground.source("a").await;
    ground.commit(ground.turn(source).await.emit("1", "t.keep").emit("2", "t.go").emit("3", "t.keep")).await;
    ground.clock.step(10);
    ground.commit(ground.turn(source).await.emit("4", "t.go").emit("5", "t.keep")).await;
    ground.owing("keeper", &of_type("t.keep", 0)).await;
    assert_eq!(ground.prune(5).await, 1);
    assert_eq!(ground.missed(&of_type("t.keep", 0)).await, None);
    assert_eq!(ground.missed(&of_type("t.go", 0)).await, Some(2));
    assert_eq!(ground.missed(&of_type("t.none", 0)).await, None);
    assert_eq!(ground.missed(&Selection::all(Seq(1))).await, Some(2));
    let stands = |keep: i64, go: i64| {
        let positions = [("t.keep".to_owned(), Seq(keep)), ("t.go".to_owned(), Seq(go))];
        Selection { positions: positions.into(), ..Selection::default() }
    };
    assert_eq!(ground.missed(&stands(0, 2)).await, None, "a position for each type");
    assert_eq!(ground.missed(&stands(3, 1)).await, Some(2));
    // It had outlived its time to live: nobody would have got it.
    assert_eq!(ground.missed(&Selection { ttl: ttl(9), ..of_type("t.go", 0) }).await, None);
    assert_eq!(ground.missed(&Selection { ttl: ttl(11), ..of_type("t.go", 0) }).await, Some(2));
    let find = async |event_type: Option<&str>, after| {
        let event_type = event_type.map(str::to_owned);
        let find = Find { event_type, after: Some(Seq(after)), limit: 9, ..Find::default() };
        let found = ground.store.find(&find).await.unwrap();
        let seqs: Vec<_> = found.events.iter().map(|event| event.seq.0).collect();
        (seqs, found.total, found.truncation.map(|truncation| truncation.up_to.0))
    };
    assert_eq!(find(None, 1).await, (vec![5, 4, 3], 3, Some(2)));
    assert_eq!(find(None, 3).await, (vec![5, 4], 2, None));
    assert_eq!(find(Some("t.go"), 1).await, (vec![4], 1, Some(2)));
    assert_eq!(find(Some("t.keep"), 1).await, (vec![5, 3], 2, None));
}

pub async fn promise_5_a_position_beyond_the_end_is_told(ground: &Ground) {
    let source = ground.source("a").await;
    assert_eq!(ground.missed(&Selection::all(Seq(0))).await, None);
    assert_eq!(ground.missed(&Selection::all(Seq(1))).await, Some(0));
    ground.commit(ground.turn(source).await.emit("1", "t").emit("2", "t")).await;
    let page = ground.page(&Selection::all(Seq(3))).await;
    let truncation = Truncation { up_to: Seq(0), cause: TruncationCause::Restore };
    assert_eq!(page.truncation, Some(truncation));
    let places = [("t".to_owned(), Seq(3))];
    assert_eq!(ground.missed(&Selection { positions: places.into(), ..Selection::default() }).await, Some(0));
    assert_eq!(ground.missed(&Selection::all(Seq(2))).await, None);
}

pub async fn promise_8_a_time_to_live_follows_the_clock(ground: &Ground) {
    let source = ground.source("a").await;
    let selection = Selection { ttl: ttl(100), ..Selection::all(Seq(0)) };
    let ids = async || {
        let page = ground.page(&selection).await;
        page.events.into_iter().map(|event| event.event_id).collect::<Vec<_>>()
    };
    for id in ["1", "2", "3"] {
        ground.commit(ground.turn(source).await.emit(id, "t.a").emit(&format!("{id}b"), "t.b")).await;
        ground.clock.step(50);
    }
    assert_eq!(ids().await, ["3", "3b"], "an event of exactly its time to live is gone");
    // The clock goes back by more than is absorbed: what was too old is young again, and nothing is lost.
    ground.clock.step(-140);
    ground.commit(ground.turn(source).await.emit("4", "t.a")).await;
    assert_eq!(ids().await, ["1", "1b", "2", "2b", "3", "3b", "4"]);
    ground.clock.step(95);
    assert_eq!(ids().await, ["2", "2b", "3", "3b", "4"]);
    ground.clock.step(5);
    assert_eq!(ids().await, ["2", "2b", "3", "3b"], "places up to the step back are looked at one by one");
    let page = ground.page(&Selection { ttl: ttl(0), ..Selection::all(Seq(0)) }).await;
    assert!(page.events.is_empty() && page.complete);
}

pub async fn a_page_is_bounded_and_counts_the_rest(ground: &Ground) {
    let source = ground.source("a").await;
    let emit =
        (0..100).fold(ground.turn(source).await, |turn, n| turn.emit(&n.to_string(), ["t.a", "t.b"][n % 2]));
    ground.commit(emit).await;
    let read = async |selection: &Selection, events, bytes| {
        let page = ground.store.read(selection, ReadLimit { events, bytes, count: true }).await.unwrap();
        (page.events.iter().map(|event| event.seq.0).collect::<Vec<_>>(), page.remaining, page.complete)
    };
    let all = Selection::all(Seq(0));
    assert_eq!(read(&all, 3, 1 << 20).await, (vec![1, 2, 3], 97, false));
    assert_eq!(read(&all, 10, 8).await, (vec![1, 2], 98, false), "data and meta are two bytes each");
    assert_eq!(read(&all, 10, 0).await, (vec![1], 99, false), "one event is always given");
    assert_eq!(read(&of_type("t.b", 95), 10, 1 << 20).await, (vec![96, 98, 100], 0, true));
    assert_eq!(read(&of_type("t.b", 95), 3, 1 << 20).await, (vec![96, 98, 100], 0, true));
    assert_eq!(read(&of_type("t.b", 95), 2, 1 << 20).await, (vec![96, 98], 1, false));
    assert_eq!(read(&of_type("none", 0), 10, 1 << 20).await, (vec![], 0, true));
    let narrowed = Selection { selector: Patterns::selector("t.a"), ..of_type("t.*", 97) };
    assert_eq!(read(&narrowed, 10, 1 << 20).await, (vec![99], 0, true));
    for (events, bytes) in [(3, 1 << 20), (10, 8), (10, 0)] {
        let limit = ReadLimit { events, bytes, count: true };
        let (page, rows) = (ground.store.read(&all, limit).await, ground.store.rows(&all, limit).await);
        let (page, rows) = (page.unwrap(), rows.unwrap());
        let known: Vec<_> = page.events.iter().map(known_of).collect();
        assert_eq!((rows.events, rows.remaining, rows.complete), (known, page.remaining, page.complete));
    }
    let uncounted = ground.store.read(&all, ReadLimit { events: 1, bytes: 1, count: false }).await.unwrap();
    assert_eq!(uncounted.remaining, 0);
}

/// What a row says of an event.
fn known_of(event: &Event) -> EventRow {
    EventRow {
        seq: event.seq,
        event_type: event.event_type.clone(),
        entity_id: event.entity_id.clone(),
        bytes: event.data.len() + event.meta.len(),
    }
}

/// Counts are kept for about a thousand events of a type together, and retention takes from the midst of them.
pub async fn what_is_left_is_counted_over_thousands_of_events(ground: &Ground) {
    let source = ground.source("a").await;
    let types = ["t.many", "t.many", "t.gone", "t.some", "t.many"];
    for round in 0..6 {
        let emit = |turn: Turn, n: usize| turn.emit(&format!("{round}/{n}"), types[n % types.len()]);
        ground.commit((0..1_500).fold(ground.turn(source).await, emit)).await;
        ground.clock.step(10);
        if round == 3 {
            // Of the events so far, one type goes, of another one all but the last four hundred.
            ground.owing("some", &of_type("t.some", 0)).await;
            ground.owing("many", &of_type("t.many", 5_000)).await;
            assert!(ground.prune(1).await > 4_000);
        }
    }
    let limit = ReadLimit { events: 100_000, bytes: usize::MAX, count: false };
    for event_type in ["t.many", "t.gone", "t.some", "t.*"] {
        let all = ground.store.rows(&of_type(event_type, 0), limit).await.unwrap().events;
        for after in [0, 1, 1_023, 1_024, 2_500, 4_999, 5_001, 6_000, 6_001, 7_777, 8_998, 8_999, 9_000] {
            let one = ReadLimit { events: 1, bytes: 0, count: true };
            let page = ground.store.rows(&of_type(event_type, after), one).await.unwrap();
            let left = all.iter().filter(|row| row.seq.0 > after).count();
            assert_eq!(page.events.len() + page.remaining as usize, left, "{event_type} after {after}");
        }
    }
}

pub async fn every_type_has_its_own_position(ground: &Ground) {
    let source = ground.source("a").await;
    let emit =
        (1..=9).fold(ground.turn(source).await, |turn, n| turn.emit(&n.to_string(), ["a", "b", "c"][n % 3]));
    ground.commit(emit).await;
    let positions = BTreeMap::from([("a".to_owned(), Seq(6)), ("b".to_owned(), Seq(1))]);
    let selection = Selection { positions, ..Selection::all(Seq(7)) };
    let seqs: Vec<_> = ground.page(&selection).await.events.iter().map(|event| event.seq.0).collect();
    assert_eq!(seqs, [4, 7, 8, 9]);
}

pub async fn people_find_events(ground: &Ground) {
    let (a, b) = (ground.source("a").await, ground.source("b").await);
    ground.sink("a").await;
    for id in ["1", "2", "3"] {
        ground.commit(ground.turn(a).await.emit(id, "t.x").emit(&format!("{id}y"), "t.y")).await;
        ground.commit(ground.turn(b).await.emit(id, "t.x")).await;
    }
    let find = async |find: Find| {
        let found = ground.store.find(&find).await.unwrap();
        (found.events.iter().map(|event| event.seq.0).collect::<Vec<_>>(), found.total)
    };
    let text = |text: &str| Some(text.to_owned());
    let all = Find { limit: 100, ..Find::default() };
    assert_eq!(find(Find { limit: 2, offset: 1, ..all.clone() }).await, (vec![8, 7], 9));
    assert_eq!(find(Find { event_type: text("t.x"), limit: 2, ..all.clone() }).await, (vec![9, 7], 6));
    assert_eq!(find(Find { source: text("b"), ..all.clone() }).await, (vec![9, 6, 3], 3));
    assert_eq!(
        find(Find { event_type: text("t.x"), source: text("a"), ..all.clone() }).await,
        (vec![7, 4, 1], 3)
    );
    assert_eq!(find(Find { event_type: text("t"), ..all.clone() }).await, (vec![], 0));
    assert_eq!(find(Find { source: text("none"), ..all.clone() }).await, (vec![], 0));
    let some = Find { seqs: Some([2, 99, 1, 3, 2].map(Seq).to_vec()), ..all };
    assert_eq!(find(some.clone()).await, (vec![3, 2, 1], 3));
    assert_eq!(find(Find { event_type: text("t.x"), limit: 1, offset: 1, ..some }).await, (vec![1], 2));
    let bytes = async |bytes| find(Find { bytes, limit: 100, ..Find::default() }).await;
    assert_eq!(bytes(8).await, (vec![9, 8], 9), "data and meta are two bytes each");
    assert_eq!(bytes(0).await, (vec![9], 9), "one event is always given");
    let page = ground.store.find(&Find { bytes: 8, limit: 5, offset: 1, ..Find::default() }).await.unwrap();
    assert_eq!(page.events.iter().map(|event| event.seq.0).collect::<Vec<_>>(), [8, 7]);
    assert_eq!(page.rest, [6, 5, 4].map(Seq), "the rest of the page is named");
    let event = ground.store.event(Seq(2)).await.unwrap().unwrap();
    assert_eq!(
        (event.event_id.as_str(), event.event_type.as_str(), event.source_name.as_str()),
        ("1y", "t.y", "a")
    );
    assert_eq!(ground.store.event(Seq(99)).await.unwrap(), None);
}

pub async fn events_are_read_by_seq(ground: &Ground) {
    let source = ground.source("a").await;
    ground.commit((1..=5).fold(ground.turn(source).await, |turn, n| turn.emit(&n.to_string(), "t"))).await;
    let read = async |seqs: &[i64], bytes| {
        let seqs: Vec<Seq> = seqs.iter().copied().map(Seq).collect();
        let events = ground.store.events(&seqs, bytes).await.unwrap();
        events.iter().map(|event| event.seq.0).collect::<Vec<_>>()
    };
    assert_eq!(read(&[4, 99, 2, 5], 100).await, [4, 2, 5]);
    assert_eq!(read(&[4, 99, 2, 5], 8).await, [4, 2], "data and meta are two bytes each");
    assert_eq!(read(&[99, 2, 5], 0).await, [2], "one event is always given");
    assert_eq!(read(&[], 100).await, [0; 0]);
    let whole = ground.store.events(&[Seq(3)], 0).await.unwrap().pop();
    assert_eq!(whole, ground.store.event(Seq(3)).await.unwrap());
}
