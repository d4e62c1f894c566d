//! The settings that the source takes and refuses.

use inboxclaw_connectors::SOURCES;
use serde_json::{Value, json};

use crate::support::outside;

fn build(settings: Value) -> Result<(), String> {
    let kind = SOURCES.iter().find(|kind| kind.name == "gmail").unwrap();
    (kind.build)(settings, &outside("/")).map(drop).map_err(|error| format!("{}: {error}", error.path))
}

#[test]
fn every_setting_of_earlier_versions_is_taken() {
    let settings = json!({
        "token_file": "data/token.json",
        "poll_interval": "5m",
        "exclude_label_ids": ["SPAM", "TRASH"],
        "emit_label_events": "yes",
        "recovery_backfill_window": "2d",
        "filters": [{ "news": { "in": "subject", "contains": "news", "why": "noise" } }],
    });
    // What a filter holds besides is the filters' own business.
    let mut plain = settings.clone();
    plain["filters"][0]["news"].as_object_mut().unwrap().remove("why");
    assert_eq!(build(plain), Ok(()));
    assert_eq!(build(json!({ "token_file": "t.json", "exclude_label_ids": "SPAM" })), Ok(()));
    assert_eq!(
        build(json!({ "token_file": "t.json", "exclude_label_ids": [], "include_drafts": true })),
        Ok(())
    );
}

#[test]
fn what_cannot_work_is_refused_by_name() {
    for (settings, part) in [
        (json!({}), "token_file"),
        (json!({ "token_file": " " }), "token_file"),
        (json!({ "token_file": "t.json", "poll_interval": "0s" }), "poll_interval"),
        (json!({ "token_file": "t.json", "api_root": "ftp://x" }), "api_root"),
        (json!({ "token_file": "t.json", "filters": [{ "a": { "in": "body", "contains": "x" } }] }), "body"),
        (json!({ "token_file": "t.json", "filters": [{ "a": { "in": "subject", "regex": "(" } }] }), "a"),
        (json!({ "token_file": "t.json", "label": "x" }), "label"),
    ] {
        let error = build(settings.clone()).unwrap_err();
        assert!(error.contains(part), "{settings}: {error}");
    }
}
