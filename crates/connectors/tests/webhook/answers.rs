//! What an answer means.

use std::time::Duration;

use inboxclaw_contract::{Class, Receipt};
use serde_json::json;

use crate::server::{Answer, Server, ok, status};
use crate::{first, send, webhook};

/// What one answer makes of an event: the text of the receipt or the class of the failure, and the wait.
async fn outcome(answer: Answer) -> (Result<Receipt, Class>, Option<Duration>, String) {
    let server = Server::start().await;
    server.set("/hook", answer);
    let sink = webhook(json!({ "url": format!("{}/hook", server.base) }));
    let (receipts, failure) = send(&*sink, &[first(1)]).await;
    assert_eq!(server.asked().len(), 1, "one request, whatever the answer");
    match (receipts.as_slice(), failure) {
        ([receipt], None) => {
            let (wait, reason) = match receipt {
                Receipt::Again { wait, reason } => (*wait, reason.clone()),
                Receipt::Done => (None, String::new()),
                Receipt::Never { .. } => panic!("the runtime gives up, not the sink"),
            };
            (Ok(receipt.clone()), wait, reason.replace(&server.base, "BASE"))
        }
        ([], Some(failure)) => {
            (Err(failure.class), failure.wait, failure.to_string().replace(&server.base, "BASE"))
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_status_from_200_to_299_is_a_yes() {
    for code in [200, 201, 202, 204, 299] {
        assert_eq!(outcome(status(code)).await.0, Ok(Receipt::Done), "{code}");
    }
    assert_eq!(outcome(ok("x".repeat(300_000))).await.0, Ok(Receipt::Done));
}

#[tokio::test]
async fn a_receiver_that_is_down_is_no_event_that_fails() {
    for (code, class) in [
        (401, Class::Authentication),
        (408, Class::Timeout),
        (410, Class::Gone),
        (429, Class::RateLimited),
        (502, Class::Upstream),
        (503, Class::Upstream),
        (504, Class::Upstream),
        (521, Class::Upstream),
        (530, Class::Upstream),
    ] {
        let (result, wait, told) = outcome(status(code).body("go away")).await;
        assert_eq!((result, wait), (Err(class), None), "{code}");
        assert!(told.starts_with(&format!("BASE answered {code} ")) && told.ends_with(": go away"), "{told}");
    }
}

#[tokio::test]
async fn any_other_status_is_about_the_event() {
    for code in [
        400, 402, 403, 404, 405, 406, 409, 411, 413, 414, 415, 422, 431, 451, 499, 500, 501, 505, 507, 599,
        999,
    ] {
        let (result, wait, told) = outcome(status(code).body("{\"error\":\n \"no\u{1b}[2J\"}")).await;
        assert!(matches!(result, Ok(Receipt::Again { .. })) && wait.is_none(), "{code}");
        assert!(told.starts_with(&format!("BASE answered {code} ")), "{told}");
        assert!(told.ends_with(": {\"error\": \"no\\u001b[2J\"}"), "{told}");
    }
}

#[tokio::test]
async fn a_wait_that_is_asked_for_is_kept() {
    for (value, seconds) in [
        ("7", Some(7)),
        ("Sun, 22 Nov 2026 12:01:30 GMT", Some(90)),
        ("Sun, 22 Nov 2026 11:00:00 GMT", Some(0)),
        ("soon", None),
    ] {
        for code in [429, 503, 500, 413] {
            let (_, wait, _) = outcome(status(code).header("retry-after", value)).await;
            assert_eq!(wait, seconds.map(Duration::from_secs), "{code} {value}");
        }
    }
}

#[tokio::test]
async fn a_redirect_is_named_and_not_followed() {
    for code in [301, 302, 303, 307, 308] {
        let answer = status(code).header("location", "https://me:hunter22@other.example:8443/secret?key=1");
        let (result, _, told) = outcome(answer).await;
        assert!(matches!(result, Ok(Receipt::Again { .. })));
        assert!(told.contains(", a redirect to https://other.example:8443, which is not followed"), "{told}");
        assert!(!told.contains("hunter22") && !told.contains("secret"), "{told}");
    }
    let (_, _, told) = outcome(status(302).header("location", "/hook/")).await;
    assert!(told.contains("a redirect to BASE, which"), "{told}");
    for odd in ["", "javascript:alert(1)", "http://[::"] {
        let (result, _, told) = outcome(status(302).header("location", odd)).await;
        assert!(matches!(result, Ok(Receipt::Again { .. })));
        assert!(told.ends_with(", and redirects are not followed"), "{told}");
    }
}
