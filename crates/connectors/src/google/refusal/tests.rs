//! Tests of what a refusal means: recorded forms of errors in, decisions out.

use serde_json::json;

use super::*;

fn now() -> Timestamp {
    "2026-11-22T06:00:00Z".parse().unwrap()
}

fn refusal(status: u16, reason: &str) -> Refusal {
    let failure = Failure::text(Class::Upstream, "no");
    Refusal { status: Some(status), reasons: vec![reason.to_owned()], failure }
}

#[test]
fn trouble_is_told_by_status_and_reason() {
    for (status, reason, trouble, transient) in [
        (403, "rateLimitExceeded", RefusalKind::Quota, true),
        (403, "userRateLimitExceeded", RefusalKind::Quota, true),
        (403, "quotaExceeded", RefusalKind::Quota, true),
        (403, "RESOURCE_EXHAUSTED", RefusalKind::Quota, true),
        (429, "rateLimitExceeded", RefusalKind::Quota, true),
        (429, "", RefusalKind::Quota, true),
        (403, "dailyLimitExceeded", RefusalKind::Daily, true),
        (429, "dailyLimitExceeded", RefusalKind::Daily, true),
        (403, "accessNotConfigured", RefusalKind::Disabled, true),
        (403, "SERVICE_DISABLED", RefusalKind::Disabled, true),
        (403, "domainPolicy", RefusalKind::Policy, true),
        (403, "insufficientPermissions", RefusalKind::Scope, false),
        (403, "ACCESS_TOKEN_SCOPE_INSUFFICIENT", RefusalKind::Scope, false),
        (403, "insufficientFilePermissions", RefusalKind::Other, false),
        (403, "exportSizeLimitExceeded", RefusalKind::Other, false),
        (403, "", RefusalKind::Other, false),
        (401, "authError", RefusalKind::Token, true),
        (400, "invalid", RefusalKind::Other, false),
        (400, "failedPrecondition", RefusalKind::Other, true),
        (400, "FAILED_PRECONDITION", RefusalKind::Other, true),
        (404, "notFound", RefusalKind::Other, false),
        (410, "fullSyncRequired", RefusalKind::Other, false),
        (416, "", RefusalKind::Other, false),
        (302, "", RefusalKind::Other, true),
        (408, "", RefusalKind::Other, true),
        (500, "internalError", RefusalKind::Other, true),
        // A word of quota in an answer about something else is no quota.
        (404, "rateLimitExceeded", RefusalKind::Other, false),
        (503, "rateLimitExceeded", RefusalKind::Other, true),
    ] {
        let refusal = refusal(status, reason);
        assert_eq!((refusal.kind(), refusal.is_transient()), (trouble, transient), "{status} {reason}");
    }
}

/// It used to count as a lost history, and the mailbox was listed.
#[test]
fn a_failed_precondition_is_the_services_own_trouble_and_no_lost_point() {
    let passing = refusal(400, "failedPrecondition");
    assert!(!passing.is_lost() && !passing.is_invalid() && passing.is_of_server() && passing.is_passing());
    let invalid = refusal(400, "invalidArgument");
    assert!(invalid.is_lost() && !invalid.is_of_server() && !invalid.is_passing());
    assert!(!refusal(412, "failedPrecondition").is_of_server());
}

#[test]
fn without_an_answer_nothing_is_said_about_the_thing() {
    for class in
        [Class::Connectivity, Class::Timeout, Class::RateLimited, Class::Authentication, Class::Configuration]
    {
        let refusal = Refusal::from(Failure::text(class, "no"));
        assert!(refusal.is_transient() && !refusal.is_missing() && !refusal.is_invalid(), "{class}");
        assert_eq!(Failure::from(refusal).class, class);
    }
}

#[test]
fn both_forms_of_errors_are_read() {
    for (body, reasons, message) in [
        (
            json!({"error": {"code": 403, "message": "Slow down.", "errors": [
                {"domain": "usageLimits", "reason": "userRateLimitExceeded", "message": "Slow down."},
                {"domain": "usageLimits", "reason": "userRateLimitExceeded"}]}}),
            vec!["userRateLimitExceeded"],
            "Slow down.",
        ),
        (
            json!({"error": {"code": 403, "status": "PERMISSION_DENIED", "message": "Not enough.",
                "errors": [{"reason": "insufficientPermissions"}],
                "details": [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "ACCESS_TOKEN_SCOPE_INSUFFICIENT"},
                    {"@type": "type.googleapis.com/google.rpc.Help", "links": []}]}}),
            vec!["insufficientPermissions", "ACCESS_TOKEN_SCOPE_INSUFFICIENT"],
            "Not enough.",
        ),
        (
            json!({"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "Quota"}}),
            vec!["RESOURCE_EXHAUSTED"],
            "Quota",
        ),
        (json!({"error": "invalid_grant"}), vec![], ""),
        (json!(["error"]), vec![], ""),
    ] {
        let said = ErrorDetails::read(body.to_string().as_bytes());
        assert_eq!(
            (said.reasons, said.message.as_str()),
            (reasons.into_iter().map(str::to_owned).collect(), message)
        );
    }
    assert!(ErrorDetails::read(b"<html>").reasons.is_empty());
}

#[test]
fn a_time_in_the_message_counts_if_it_can_be_true() {
    for (message, seconds) in [
        ("User-rate limit exceeded.  Retry after 2026-11-22T06:15:00.000Z", Some(900)),
        ("Rate limit. retry after 2026-11-22T06:00:01Z.", Some(1)),
        ("Retry after 2026-11-22T08:15:00+02:00 (Mail)", Some(900)),
        ("Retry after 2026-11-22T05:59:59Z", None),
        ("Retry after 2026-11-22T06:00:00Z", None),
        ("Retry after 2026-11-23T06:00:00Z", Some(86_400)),
        ("Retry after 2026-11-23T06:00:01Z", None),
        ("Retry after 9999-99-99", None),
        ("Retry after ", None),
        ("İİ retry after 2026-11-22T06:00:01Z", Some(1)),
        ("", None),
    ] {
        assert_eq!(time_in(message, now()), seconds.map(Duration::from_secs), "{message}");
    }
}

#[test]
fn foreign_texts_are_on_one_line_and_short() {
    assert_eq!(cut(" a\n\tb\u{7}c  "), "a b c");
    assert_eq!(cut(&"ü".repeat(300)), "ü".repeat(300));
    assert_eq!(cut(&"ü".repeat(301)), format!("{}…", "ü".repeat(300)));
    let status = StatusCode::FORBIDDEN;
    assert_eq!(text(status, "http://h/p", &[], ""), "http://h/p answered 403 forbidden");
    let reasons = ["a".to_owned(), "b".to_owned()];
    assert_eq!(
        text(status, "http://h/p", &reasons, "no way"),
        "http://h/p answered 403 forbidden (a, b): no way"
    );
}
