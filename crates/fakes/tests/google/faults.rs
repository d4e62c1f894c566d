//! Faults as a client sees them.

use std::time::{Duration, Instant};

use inboxclaw_fakes::google::faults::{Fault, Rule};

use crate::asking::{Account, PROFILE, exchanged};

#[test]
fn a_rule_meets_the_requests_it_names() {
    let account = Account::new();
    account.fake.faults().rule(Rule::nth("profile", 2, Fault::NotFound));
    account.fake.faults().rule(Rule::next("labels", 2, Fault::Internal));
    let statuses = |target: &str, count| (0..count).map(|_| account.get(target).status).collect::<Vec<_>>();
    assert_eq!(statuses(PROFILE, 3), [200, 404, 200]);
    assert_eq!(statuses("/gmail/v1/users/me/labels", 2), [500, 500]);
    assert_ne!(account.get("/gmail/v1/users/me/labels").status, 500);
    account.fake.faults().rule(Rule::always("fields=historyId", Fault::Unavailable));
    assert_eq!(statuses(&format!("{PROFILE}?fields=historyId"), 3), [503; 3]);
    account.fake.faults().off();
    assert_eq!(account.get(&format!("{PROFILE}?fields=historyId")).status, 200);
    assert_eq!(account.fake.faults().thrown().values().sum::<u64>(), 6);
}

#[test]
fn each_refusal_looks_as_documented() {
    let account = Account::new();
    account.fake.clock().stop("2026-03-01T10:00:00Z".parse().unwrap());
    let meet = |fault: Fault| {
        account.fake.faults().rule(Rule::next(PROFILE, 1, fault));
        account.get(PROFILE)
    };
    for (fault, status, reason) in [
        (Fault::Unauthorized, 401, "authError"),
        (Fault::RateLimit, 403, "rateLimitExceeded"),
        (Fault::UserRateLimit, 403, "userRateLimitExceeded"),
        (Fault::Denied("cannotDownloadFile".to_owned()), 403, "cannotDownloadFile"),
        (Fault::Gone, 410, "fullSyncRequired"),
        (Fault::Invalid("invalid".to_owned()), 400, "invalid"),
        (Fault::FailedPrecondition, 400, "failedPrecondition"),
    ] {
        let reply = meet(fault);
        assert_eq!((reply.status, reply.reason().as_str()), (status, reason));
        assert_eq!(reply.json()["error"]["code"], status);
    }
    let reply = meet(Fault::TooMany(Some(7)));
    assert_eq!((reply.status, reply.header("retry-after")), (429, Some("7")));
    assert_eq!(meet(Fault::TooMany(None)).header("retry-after"), None);
    let reply = meet(Fault::TooManyUntil(90));
    assert_eq!(
        reply.json()["error"]["message"],
        "User-rate limit exceeded.  Retry after 2026-03-01T10:01:30.000Z"
    );
    assert_eq!(account.fake.violations(), Vec::<String>::new());
}

#[test]
fn a_cut_connection_gives_half_an_answer_or_none() {
    let account = Account::new();
    let whole = account.get(PROFILE).body;
    account.fake.faults().rule(Rule::next("profile", 1, Fault::CutBefore));
    assert_eq!(exchanged(&account.fake, &account.head(PROFILE), "").unwrap(), b"");
    account.fake.faults().rule(Rule::next("profile", 1, Fault::CutInside));
    let sent = exchanged(&account.fake, &account.head(PROFILE), "").unwrap();
    assert!(sent.starts_with(b"HTTP/1.1 200 OK"));
    let holds = |part: &[u8]| sent.windows(part.len()).any(|found| found == part);
    assert!(holds(&whole[..whole.len() / 2]) && !holds(&whole), "half a body");
    assert!(!sent.ends_with(b"\r\n0\r\n\r\n"), "the end of a body in chunks");
    assert_eq!(account.get(PROFILE).status, 200);
    assert_eq!(
        account.fake.requests().iter().map(|asked| asked.status).collect::<Vec<_>>(),
        [200, 0, 200, 200]
    );
}

#[test]
fn a_slow_answer_comes_late() {
    let account = Account::new();
    account.fake.faults().rule(Rule::next("profile", 1, Fault::Slow(Duration::from_millis(60))));
    let asked = Instant::now();
    assert_eq!(account.get(PROFILE).status, 200);
    assert!(asked.elapsed() >= Duration::from_millis(60));
}

#[test]
fn the_token_endpoint_fails_in_its_own_form() {
    let account = Account::new();
    account.fake.faults().rule(Rule::next("/token", 1, Fault::Unavailable));
    let form = format!("grant_type=refresh_token&refresh_token={}", account.refresh);
    let reply = account.token(&form);
    assert_eq!((reply.status, reply.json()["error"].as_str()), (503, Some("temporarily_unavailable")));
    assert_eq!(account.token(&form).status, 200);
}

#[test]
fn chance_is_repeatable_and_keeps_its_share() {
    let draw = |seed| {
        let account = Account::new();
        account.fake.faults().random_among(seed, 0.3, vec![Fault::Internal, Fault::NotFound]);
        (0..200).map(|_| account.get(PROFILE).status).collect::<Vec<_>>()
    };
    let first = draw(1);
    assert_eq!(first, draw(1));
    assert_ne!(first, draw(2));
    let failed = first.iter().filter(|status| **status != 200).count();
    assert!((30..90).contains(&failed), "{failed} of 200");
    assert!(first.contains(&404) && first.contains(&500));
}
