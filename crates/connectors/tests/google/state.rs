//! What is kept in state: listings over several turns, and the event that tells of a gap.

use std::collections::HashSet;

use inboxclaw_connectors::google::gap::{EVENT, Gap};
use inboxclaw_connectors::google::listing::Listing;
use inboxclaw_contract::{Expiry, OpenTurn, Outcome};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::support::Recorder;

async fn commit(draft: OpenTurn<'_>) {
    assert!(matches!(draft.commit().await.unwrap(), Outcome::Committed(_)));
}

#[tokio::test]
async fn a_listing_is_remembered_over_turns_until_it_is_cleared() {
    let (memory, listing) = (Recorder::new(), Listing::new("listed:a:"));
    let mut expected = HashSet::new();
    // More pages than are read at once, the last ones of which have no ids or known ones.
    for page in 0..120_u64 {
        let mut turn = memory.draft().await;
        let ids = if page < 118 { vec![format!("{page}-1"), format!("{page}-2")] } else { Vec::new() };
        listing.add(&mut turn, page, &ids.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
        expected.extend(ids);
        commit(turn).await;
    }
    let mut turn = memory.draft().await;
    // A page that is handled once more takes the place of the first time; what is not ours stays apart.
    listing.add(&mut turn, 0, &["0-1", "0-2"]).unwrap();
    turn.put("listed:ab:00000000", &["other"], Expiry::Never).unwrap();
    assert_eq!(listing.ids(&mut turn, 120).await.unwrap(), Some(expected));
    commit(turn).await;

    let mut turn = memory.draft().await;
    listing.clear(&mut turn).unwrap();
    assert_eq!(listing.ids(&mut turn, 120).await.unwrap(), None);
    commit(turn).await;
    assert_eq!(memory.values().into_keys().collect::<Vec<_>>(), ["listed:ab:00000000"]);
}

#[tokio::test]
async fn a_page_that_somebody_took_away_or_edited_does_not_pass_for_empty() {
    let (memory, listing) = (Recorder::new(), Listing::new("listed:"));
    let mut turn = memory.draft().await;
    listing.add(&mut turn, 0, &["a"]).unwrap();
    listing.add(&mut turn, 1, &["b"]).unwrap();
    turn.put("listed:note", &json!({ "by": "hand" }), Expiry::Never).unwrap();
    assert_eq!(listing.ids(&mut turn, 2).await.unwrap().unwrap().len(), 2);
    turn.put("listed:00000001", &json!({ "by": "hand" }), Expiry::Never).unwrap();
    assert_eq!(listing.ids(&mut turn, 2).await.unwrap(), None);
    turn.delete("listed:00000001").unwrap();
    assert_eq!(listing.ids(&mut turn, 2).await.unwrap(), None);
}

fn gap() -> Gap {
    let time = |text: &str| text.parse::<Timestamp>().unwrap();
    Gap {
        log: "mailbox".to_owned(),
        reason: "forgotten".to_owned(),
        from: Some(time("2026-11-01T00:00:00Z")),
        to: time("2026-11-22T00:00:00Z"),
        recovered_from: None,
        complete: false,
        missing: vec!["labels".to_owned()],
        found: 3,
        deleted: 1,
    }
}

#[tokio::test]
async fn a_gap_is_told_once() {
    let memory = Recorder::new();
    for _ in 0..2 {
        let mut turn = memory.draft().await;
        gap().emit(&mut turn, "5", "9").unwrap();
        commit(turn).await;
    }
    let events = memory.events();
    assert_eq!(events.len(), 1);
    let event = &events[0];
    assert_eq!((event.event_id.as_str(), event.event_type.as_str()), ("gap:mailbox:5:9", EVENT));
    assert_eq!((event.entity_id.as_deref(), event.occurred_at), (Some("mailbox"), Some(gap().to)));
    let data: Value = serde_json::from_str(event.data.as_str()).unwrap();
    assert_eq!(
        data,
        json!({
            "log": "mailbox", "reason": "forgotten", "from": "2026-11-01T00:00:00Z", "to": "2026-11-22T00:00:00Z",
            "recovered_from": null, "complete": false, "missing": ["labels"], "found": 3, "deleted": 1,
        })
    );
}

#[tokio::test]
async fn a_cursor_that_somebody_edited_does_not_hide_a_gap() {
    let memory = Recorder::new();
    for lost in ["line\nbreak", "other\nbreak", &"x".repeat(5000), ""] {
        let mut turn = memory.draft().await;
        gap().emit(&mut turn, lost, "9").unwrap();
        commit(turn).await;
    }
    assert_eq!(memory.events().len(), 4);
}
