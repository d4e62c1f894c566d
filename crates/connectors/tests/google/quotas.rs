//! Quotas: who stops asking, and for how long.

use std::time::Duration;

use inboxclaw_connectors::google::{ApiRequest, CALENDAR, Client, GMAIL, Refusal};
use inboxclaw_contract::Class;
use serde_json::Value;

use crate::server::{Answer, Google, error};

async fn get(client: &Client) -> Result<Value, Refusal> {
    client.get(&ApiRequest::new(&["x"])).await
}

/// The wait in seconds, rounded up, of a refusal by a quota.
fn wait(refusal: Refusal) -> u64 {
    assert_eq!(refusal.failure.class, Class::RateLimited, "{}", refusal.failure);
    assert!(refusal.is_transient());
    refusal.failure.wait.unwrap().as_millis().div_ceil(1000) as u64
}

#[tokio::test]
async fn a_quota_stops_all_sources_of_the_account_at_that_service() {
    let google = Google::start().await;
    google.write("other.json", "first", "2026-11-22T13:00:00Z");
    let (one, two) = (google.client(&GMAIL), google.client_of(&GMAIL, "./token.json"));
    google
        .answer(error(403, "userRateLimitExceeded", "User Rate Limit Exceeded").header("retry-after", "30"));
    assert_eq!(wait(get(&one).await.unwrap_err()), 30);
    assert_eq!(google.counted().0.len(), 1);

    for client in [&one, &two] {
        let refusal = get(client).await.unwrap_err();
        assert_eq!(refusal.failure.to_string(), "gmail asked for a pause, of which 30s are left");
        assert_eq!(wait(refusal), 30);
    }
    assert_eq!(google.counted().0.len(), 0, "nobody sends");
    get(&google.client(&CALENDAR)).await.unwrap();
    get(&google.client_of(&GMAIL, "other.json")).await.unwrap();

    pass(30).await;
    get(&two).await.unwrap();
}

#[tokio::test]
async fn the_wait_is_the_one_that_was_named() {
    let message = "User-rate limit exceeded.  Retry after 2026-11-22T12:15:00.000Z";
    for (answer, seconds) in [
        (error(429, "rateLimitExceeded", "").header("retry-after", "0"), 1),
        (error(429, "rateLimitExceeded", "").header("retry-after", "1"), 1),
        (error(429, "rateLimitExceeded", "").header("retry-after", "120"), 120),
        (error(403, "rateLimitExceeded", "").header("retry-after", "Sun, 22 Nov 2026 12:01:30 GMT"), 90),
        (error(429, "rateLimitExceeded", message), 900),
        (error(403, "userRateLimitExceeded", message).header("retry-after", "5"), 5),
        (error(403, "rateLimitExceeded", "Retry after 2026-11-22T11:00:00Z"), 1),
        (error(403, "quotaExceeded", ""), 1),
        (error(403, "dailyLimitExceeded", ""), 3600),
        (error(429, "", "").body("<html>"), 1),
    ] {
        let google = Google::start().await;
        google.answer(answer);
        assert_eq!(wait(get(&google.client(&GMAIL)).await.unwrap_err()), seconds);
    }
}

#[tokio::test]
async fn without_a_time_the_pause_doubles_until_an_answer() {
    let google = Google::start().await;
    let client = google.client(&GMAIL);
    let quota: fn() -> Answer = || error(403, "rateLimitExceeded", "");
    for seconds in [1, 2, 4] {
        google.answer(quota());
        assert_eq!(wait(get(&client).await.unwrap_err()), seconds);
        pass(seconds).await;
    }
    get(&client).await.unwrap();
    google.answer(quota());
    assert_eq!(wait(get(&client).await.unwrap_err()), 1);
}

/// A named second that is not enough is two, then four; a longer named time counts.
#[tokio::test]
async fn who_is_refused_again_waits_longer_than_was_named() {
    let google = Google::start().await;
    let client = google.client(&GMAIL);
    for (named, seconds) in [("1", 1), ("1", 2), ("1", 4), ("30", 30), ("1", 16)] {
        google.answer(error(429, "rateLimitExceeded", "").header("retry-after", named));
        assert_eq!(wait(get(&client).await.unwrap_err()), seconds);
        pass(seconds).await;
    }
    // An answer that is no success keeps the quota as well as one that is.
    google.answer(error(404, "notFound", ""));
    assert!(get(&client).await.unwrap_err().is_missing());
    google.answer(error(429, "rateLimitExceeded", "").header("retry-after", "1"));
    assert_eq!(wait(get(&client).await.unwrap_err()), 1);
}

/// Lets time pass for the limiter, while no request is under way whose timeout it would reach.
async fn pass(seconds: u64) {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(seconds)).await;
    tokio::time::resume();
}
