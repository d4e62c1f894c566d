//! Which settings can be used.

use std::time::Duration;

use inboxclaw_contract::DeliveryPolicy;
use serde_json::{Value, json};

use crate::built;

fn with(more: Value) -> Value {
    let mut settings = json!({ "url": "https://hooks.example.org/x" });
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    settings
}

#[test]
fn what_cannot_work_is_refused_where_it_stands() {
    for (settings, path, says) in [
        (json!({}), "", "missing field `url`"),
        (json!({ "url": "" }), "", "url is no address"),
        (json!({ "url": "ftp://h/hunter22" }), "", "url is no http or https address"),
        (with(json!({ "headers": { "X Y": "hunter22" } })), "headers.X Y", "no name of a header"),
        (with(json!({ "headers": { "X": "hunter22\n" } })), "headers.X", "line end"),
        (with(json!({ "headers": { "Webhook-ID": "1" } })), "headers.Webhook-ID", "by inboxclaw itself"),
        (with(json!({ "headers": { "TE": "1" } })), "headers.TE", "about the connection"),
        (with(json!({ "headers": { "X": [1] } })), "headers.X", "found a list"),
        (with(json!({ "headers": { "X": "1", "x": "2" } })), "headers.x", "twice"),
        (with(json!({ "headers": [] })), "headers", "a mapping of names"),
        (with(json!({ "payload": ["#root"] })), "payload", "expected a mapping, found a list"),
        (with(json!({ "payload": "#root" })), "payload", "expected a mapping, found a text"),
        (
            with(json!({ "payload": { "a": 1 }, "format": "cloudevents" })),
            "",
            "payload and `format: cloudevents`",
        ),
        (
            with(json!({ "headers": { "Content-Type": "x" }, "format": "cloudevents" })),
            "",
            "headers: Content-Type",
        ),
        (with(json!({ "mode": "binary" })), "", "mode: binary goes with"),
        (with(json!({ "mode": "some" })), "mode", "unknown variant"),
        (with(json!({ "timeout": 0 })), "", "timeout is 0s, it must be from 1s to 5m"),
        (with(json!({ "timeout": "6m" })), "", "timeout is 6m"),
        (with(json!({ "retry_interval": 0 })), "", "retry_interval is 0s"),
        (with(json!({ "max_retries": -1 })), "max_retries", "whole number from 0"),
        (with(json!({ "secret": [] })), "", "secret cannot be used: there is none"),
        (with(json!({ "secret": ["a", "b", "hunter22"] })), "", "secret cannot be used: there are 3"),
        (
            with(json!({ "secret": "whsec_hunter22!" })),
            "",
            "secret cannot be used: what follows whsec_ is no base64",
        ),
        (with(json!({ "secret": "a", "secret_file": "b" })), "", "secret and secret_file cannot both be set"),
    ] {
        let error = built(settings.clone()).map(drop).unwrap_err();
        assert_eq!(error.path, path, "{settings}");
        assert!(error.to_string().contains(says), "{settings}: {error}");
        assert!(!error.to_string().contains("hunter22"), "{error}");
    }
}

#[test]
fn older_keys_mean_attempts_and_the_time_between_them() {
    let policy = |more| built(with(more)).unwrap().policy;
    assert_eq!(policy(json!({})), DeliveryPolicy::default());
    for (given, attempts) in [(0, 1), (1, 1), (3, 3), (20, 20)] {
        assert_eq!(policy(json!({ "max_retries": given })).max_attempts, attempts);
    }
    let interval = policy(json!({ "retry_interval": "10s" })).retry_interval;
    assert_eq!(interval, Some(Duration::from_secs(10)));
}

#[test]
fn what_is_probably_a_mistake_is_told() {
    for (settings, path, says) in [
        (with(json!({ "url": "http://hooks.example.org/" })), "url", "not encrypted"),
        (with(json!({ "payload": { "channel": "#general" } })), "payload.channel", "leads nowhere"),
        (with(json!({ "secret": "short" })), "secret", "can be guessed"),
        (with(json!({ "secret": "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" })), "secret", "looks like base64"),
        (
            with(
                json!({ "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "format": "cloudevents", "mode": "binary" }),
            ),
            "mode",
            "in headers",
        ),
    ] {
        let warnings = built(settings.clone()).unwrap().warnings;
        assert_eq!(warnings.len(), 1, "{settings}: {warnings:?}");
        assert_eq!(warnings[0].path, path);
        assert!(warnings[0].message.contains(says), "{warnings:?}");
    }
    for plain in
        ["https://hooks.example.org/", "http://localhost:8123/", "http://nas.lan/", "http://192.168.1.2/"]
    {
        assert_eq!(built(json!({ "url": plain })).unwrap().warnings, []);
    }
}
