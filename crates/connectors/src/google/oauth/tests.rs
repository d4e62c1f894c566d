//! Tests of a request for consent: its address, the answers to it, and the file that comes of it. The exchange is
//! tried with the command line.

use std::collections::HashMap;

use super::*;

/// Bytes that differ from call to call.
struct Counting(std::sync::atomic::AtomicU8);

impl Random for Counting {
    fn next(&self) -> u128 {
        u128::from_le_bytes([self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed); 16])
    }
}

fn consent() -> Consent {
    Consent::new(&Counting(1.into()), PORT, "gmail,calendar".parse().unwrap())
}

fn credentials() -> Credentials {
    let client = json!({
        "client_id": "the id", "client_secret": "secret",
        "auth_uri": "https://accounts.google.com/o/oauth2/auth?hl=en", "token_uri": "https://oauth2.googleapis.com/token",
    });
    Credentials::read(&json!({ "installed": client }).to_string()).unwrap()
}

#[test]
fn the_address_asks_for_everything_and_gives_no_secret_away() {
    let consent = consent();
    let url = consent.url(&credentials());
    assert!(
        url.as_str().starts_with("https://accounts.google.com/o/oauth2/auth?hl=en&response_type=code&"),
        "{url}"
    );
    let found: HashMap<_, _> = url.query_pairs().into_owned().collect();
    assert_eq!(found["client_id"], "the id");
    assert_eq!(found["redirect_uri"], "http://127.0.0.1:8765/");
    assert_eq!(found["code_challenge"].len(), 43, "SHA-256 in base64 without padding");
    assert_eq!(consent.verifier.len(), 128);
    assert_eq!(found["state"].len(), 43);
    assert!(
        consent
            .verifier
            .bytes()
            .chain(consent.state.bytes())
            .all(|c| c.is_ascii_alphanumeric() || b"-_".contains(&c))
    );
    assert!(!url.as_str().contains("secret") && !url.as_str().contains(&consent.verifier));
    let other = Consent::new(&Counting(99.into()), PORT, consent.scopes().clone());
    assert!(other.state != consent.state && other.verifier != consent.verifier);
}

/// RFC 7636, appendix B.
#[test]
fn the_challenge_is_the_one_of_the_standard() {
    let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".to_owned();
    let url = Consent { verifier, ..consent() }.url(&credentials());
    assert!(url.as_str().contains("code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&"), "{url}");
}

#[test]
fn only_the_answer_to_this_request_gives_a_code() {
    let consent = consent();
    let state = &consent.state;
    let own = format!("http://127.0.0.1:8765/?state={state}");
    for good in [
        format!("{own}&code=4/0A&scope=x"),
        format!("{own}&code=4%2F0A#fragment"),
        format!("  '{own}&code=4/0A'\n"),
        format!("HTTP://127.0.0.1:8765?code=4/0A&state={state}"),
    ] {
        assert_eq!(consent.code(&good), Ok("4/0A".to_owned()), "{good}");
    }
    let refused = |error: &str, description: Option<&str>| NoCode::Refused {
        error: error.to_owned(),
        description: description.map(str::to_owned),
    };
    let begin = consent.redirect();
    for (bad, why) in [
        (String::new(), NoCode::NoAddress(begin.clone())),
        ("4/0A".to_owned(), NoCode::NoAddress(begin.clone())),
        ("mailto:me@example.com".to_owned(), NoCode::NoAddress(begin.clone())),
        (own.replace("http:", "https:") + "&code=1", NoCode::Elsewhere(begin.clone())),
        (own.replace("127.0.0.1", "localhost") + "&code=1", NoCode::Elsewhere(begin.clone())),
        (own.replace("8765", "8766") + "&code=1", NoCode::Elsewhere(begin.clone())),
        (own.replace("/?", "/a?") + "&code=1", NoCode::Elsewhere(begin)),
        (own.clone(), NoCode::Missing),
        (format!("{own}&code="), NoCode::Missing),
        (format!("{own}x&code=1"), NoCode::Foreign),
        ("http://127.0.0.1:8765/?code=1".to_owned(), NoCode::Foreign),
        ("http://127.0.0.1:8765/?code=1&state=".to_owned(), NoCode::Foreign),
        (format!("{own}x&error=access_denied"), NoCode::Foreign),
        (format!("{own}&error=access_denied"), refused("access_denied", None)),
        ("http://127.0.0.1:8765/?error=access_denied".to_owned(), refused("access_denied", None)),
        (format!("{own}&error=a&error_description=b+c&code=1"), refused("a", Some("b c"))),
    ] {
        assert_eq!(consent.code(&bad), Err(why), "{bad}");
    }
    let why = refused("a", Some("b c")).to_string();
    assert_eq!(why, "Google answered with the error a: b c");
    assert_eq!(refused("access_denied", None).to_string(), "consent was refused (access_denied)");
}

#[test]
fn the_file_holds_what_was_granted() {
    let (consent, credentials) = (consent(), credentials());
    let asked = "2026-11-22T10:00:00Z".parse().unwrap();
    let granted = |scope: Option<&str>, refresh: Option<&str>| TokenGrant {
        access_token: "a".to_owned(),
        refresh_token: refresh.map(str::to_owned),
        expires_in: Some(3599),
        scope: scope.map(str::to_owned),
    };
    let file = consent.token_file(&credentials, &granted(Some("x y"), Some("r")), asked).unwrap();
    let text = String::from_utf8(file.to_bytes().unwrap()).unwrap();
    assert_eq!(
        text,
        "{\"token\":\"a\",\"refresh_token\":\"r\",\"token_uri\":\"https://oauth2.googleapis.com/token\",\
         \"client_id\":\"the id\",\"client_secret\":\"secret\",\"scopes\":[\"x\",\"y\"],\
         \"universe_domain\":\"googleapis.com\",\"account\":\"\",\"expiry\":\"2026-11-22T10:59:59Z\"}"
    );
    for unsaid in [None, Some(" ")] {
        let file = consent.token_file(&credentials, &granted(unsaid, Some("r")), asked).unwrap();
        assert_eq!(file.scopes(), consent.scopes().each().collect::<Vec<_>>());
    }
    for none in [None, Some("")] {
        let flaw = consent.token_file(&credentials, &granted(Some("x"), none), asked).unwrap_err();
        assert_eq!(flaw, Flaw::Missing("refresh_token"));
    }
}
