//! Requests that fail in passing: which are sent again within their turn, how often, and which are not.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use inboxclaw_connectors::google::{ApiRequest, Client, GMAIL, Refusal};
use inboxclaw_contract::Class;
use serde_json::{Value, json};

use crate::server::{Answer, Google, answer, error};

async fn get(client: &Client) -> Result<Value, Refusal> {
    client.get(&ApiRequest::new(&["x"])).await
}

async fn patient() -> (Google, Client) {
    let mut google = Google::start().await;
    google.patient();
    let client = google.client(&GMAIL);
    (google, client)
}

fn precondition() -> Answer {
    let errors = json!([{ "domain": "global", "reason": "failedPrecondition", "message": "no" }]);
    let body = json!({ "code": 400, "status": "FAILED_PRECONDITION", "message": "no", "errors": errors });
    answer(400, &json!({ "error": body }))
}

/// What used to cost a whole turn, and the next minute, costs a second.
#[tokio::test]
async fn one_passing_failure_costs_a_second() {
    let failures: [(&str, Answer); 9] = [
        ("named", error(429, "rateLimitExceeded", "").header("retry-after", "1")),
        ("quota", error(403, "userRateLimitExceeded", "")),
        ("named by 503", error(503, "backendError", "").header("retry-after", "1")),
        ("500", error(500, "internalError", "")),
        ("a proxy", answer(502, &json!({})).body("<html>")),
        ("precondition", precondition()),
        ("precondition by its status", answer(400, &json!({ "error": { "status": "FAILED_PRECONDITION" } }))),
        ("not yet", answer(425, &json!({}))),
        ("too slow for itself", answer(408, &json!({}))),
    ];
    // All at once, because each takes its second.
    join_all(failures.map(async |(name, failure)| {
        let (google, client) = patient().await;
        google.answer(failure);
        let (took, answer) = timed(get(&client)).await;
        assert_eq!(answer.unwrap(), json!({}), "{name}");
        assert!(took >= Duration::from_secs(1), "{name}: {took:?}");
        assert_eq!(google.counted().0.len(), 2, "{name}");
    }))
    .await;
}

#[expect(clippy::disallowed_methods, reason = "the test measures how long a request takes")]
async fn timed<T>(work: impl Future<Output = T>) -> (Duration, T) {
    let begun = Instant::now();
    let done = work.await;
    (begun.elapsed(), done)
}

#[tokio::test]
async fn a_token_that_is_not_known_yet_is_given_a_second() {
    let (google, client) = patient().await;
    google.refuse_all();
    google.grant(answer(200, &json!({ "access_token": "unknown", "expires_in": 3599 })));
    get(&client).await.unwrap();
    // Two with it and the one before, one after a second, one with the next token.
    assert_eq!(google.counted(), (vec!["/gmail/v1/users/me/x".to_owned(); 4], 2));
}

#[tokio::test]
async fn an_endpoint_of_tokens_that_fails_once_costs_a_second() {
    let (google, client) = patient().await;
    google.at("13:00:00");
    google.grant(answer(503, &json!({ "error": "temporarily_unavailable" })));
    get(&client).await.unwrap();
    assert_eq!(google.counted(), (vec!["/gmail/v1/users/me/x".to_owned()], 2));
}

/// The turn ends, and the runtime waits on.
#[tokio::test]
async fn a_failure_that_does_not_pass_within_seconds_ends_the_turn() {
    let (google, client) = patient().await;
    for _ in 0..4 {
        google.answer(error(503, "backendError", ""));
    }
    let refusal = get(&client).await.unwrap_err();
    assert_eq!((refusal.failure.class, refusal.failure.wait), (Class::Upstream, None));
    assert_eq!(google.counted().0.len(), 3, "after one and after two seconds, not after four more");
}

#[tokio::test]
async fn what_will_be_the_same_next_time_is_asked_once() {
    for (refused, is_transient) in [
        (error(404, "notFound", ""), false),
        (error(400, "invalid", ""), false),
        (error(410, "fullSyncRequired", ""), false),
        (error(403, "insufficientPermissions", ""), false),
        (error(403, "accessNotConfigured", ""), true),
        (error(403, "dailyLimitExceeded", ""), true),
        (error(429, "rateLimitExceeded", "").header("retry-after", "6"), true),
        (error(503, "backendError", "").header("retry-after", "6"), true),
        (answer(200, &json!("")).body("{"), true),
    ] {
        let (google, client) = patient().await;
        google.answer(refused);
        let refusal = get(&client).await.unwrap_err();
        assert_eq!(refusal.is_transient(), is_transient, "{}", refusal.failure);
        assert_eq!(google.counted().0.len(), 1, "{}", refusal.failure);
    }
}

/// Requests that are refused together wait together, and each is sent once more.
#[tokio::test]
async fn requests_refused_together_are_answered_together() {
    let (google, client) = patient().await;
    for _ in 0..5 {
        google.answer(error(429, "rateLimitExceeded", "").header("retry-after", "1"));
    }
    let (took, all) = timed(join_all((0..5).map(|_| get(&client)))).await;
    assert!(all.iter().all(Result::is_ok));
    assert!(took < Duration::from_millis(4_500), "not one after the other: {took:?}");
    assert_eq!(google.counted().0.len(), 10);
}
