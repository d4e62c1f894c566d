//! Consent, tokens, and who may ask what.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use inboxclaw_fakes::google::{Fake, Options};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::asking::{Account, PROFILE, Reply};

const MAIL: &str = "https://www.googleapis.com/auth/gmail.readonly";
const BACK: &str = "http://127.0.0.1:8765/";
/// A verifier and its S256 challenge: <https://datatracker.ietf.org/doc/html/rfc7636#appendix-B>.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

#[test]
fn a_token_lasts_an_hour_and_is_renewed() {
    let mut account = Account::new();
    account.fake.clock().stop("2026-03-01T10:00:00Z".parse().unwrap());
    let form = format!("grant_type=refresh_token&refresh_token={}", account.refresh);
    account.access = access(&account.token(&form));
    account.fake.clock().advance(SignedDuration::from_secs(3_599));
    assert_eq!(account.get(PROFILE).status, 200);
    account.fake.clock().advance(SignedDuration::from_secs(1));
    let refused = account.get(PROFILE);
    assert_eq!((refused.status, refused.reason().as_str()), (401, "authError"));
    assert_eq!(refused.json()["error"]["status"], "UNAUTHENTICATED");
    assert!(refused.header("www-authenticate").unwrap().contains("invalid_token"));
    assert_eq!(refused.header("date"), Some("Sun, 01 Mar 2026 11:00:00 GMT"));
    let given = account.token(&form);
    assert_eq!(given.json()["expires_in"], 3_600);
    account.access = access(&given);
    assert_eq!(account.get(PROFILE).status, 200);
    account.fake.tokens().expire_access();
    assert_eq!(account.get(PROFILE).status, 401);
    assert_eq!(account.fake.tokens().refreshed(), 2);
}

#[test]
fn a_revoked_grant_is_over() {
    let account = Account::new();
    account.fake.tokens().revoke();
    let refused = account.token(&format!("grant_type=refresh_token&refresh_token={}", account.refresh));
    assert_eq!(refused.status, 400);
    assert_eq!(refused.json()["error"], "invalid_grant");
    assert_eq!(refused.json()["error_description"], "Token has been expired or revoked.");
    assert_eq!(account.get(PROFILE).status, 401);
}

#[test]
fn the_token_endpoint_names_what_is_wrong() {
    let account = Account::new();
    let refresh = &account.refresh;
    let check = |reply: Reply, status, error: &str| {
        assert_eq!((reply.status, &reply.json()["error"]), (status, &error.into()))
    };
    check(account.form(&format!("grant_type=refresh_token&refresh_token={refresh}")), 401, "invalid_client");
    check(account.token("grant_type=password"), 400, "unsupported_grant_type");
    check(account.token("grant_type=authorization_code&code=4%2Fnone"), 400, "invalid_grant");
    let wider = "https://www.googleapis.com/auth/contacts.readonly";
    check(
        account.token(&format!("grant_type=refresh_token&refresh_token={refresh}&scope={wider}")),
        400,
        "invalid_scope",
    );
}

#[test]
fn a_narrowed_grant_refuses_the_rest() {
    let account = Account::new();
    account.fake.tokens().narrow(&[MAIL]);
    assert_eq!(account.get(PROFILE).status, 200);
    let refused = account.get("/drive/v3/changes/startPageToken");
    assert_eq!((refused.status, refused.reason().as_str()), (403, "insufficientPermissions"));
    let form = format!("grant_type=refresh_token&refresh_token={}", account.refresh);
    assert_eq!(account.token(&form).json()["scope"], MAIL);
}

#[test]
fn a_rotated_refresh_token_works_once() {
    let account = Account::new();
    account.fake.tokens().rotate = true;
    let form = |refresh: &str| format!("grant_type=refresh_token&refresh_token={refresh}");
    let next = account.token(&form(&account.refresh)).json()["refresh_token"].as_str().unwrap().to_owned();
    assert_eq!(account.token(&form(&account.refresh)).status, 400);
    assert_eq!(account.token(&form(&next)).status, 200);
}

#[test]
fn a_code_is_exchanged_once_by_whoever_knows_the_verifier() {
    let account = Account::new();
    let form = |code: &str, verifier: &str| {
        format!("grant_type=authorization_code&code={code}&redirect_uri={BACK}&code_verifier={verifier}")
    };
    let code = consent(&account, "access_type=offline").1;
    let wrong = account.token(&form(&code, "somebody-else"));
    assert_eq!((wrong.status, &wrong.json()["error"]), (400, &"invalid_grant".into()));
    let code = consent(&account, "access_type=offline").1;
    let given = account.token(&form(&code, VERIFIER));
    assert_eq!(given.status, 200);
    assert_eq!(given.json()["scope"], MAIL);
    assert!(given.json()["refresh_token"].is_string());
    assert_eq!(account.token(&form(&code, VERIFIER)).json()["error"], "invalid_grant");
    let online = account.token(&form(&consent(&account, "access_type=online").1, VERIFIER));
    assert_eq!((online.status, online.json().get("refresh_token")), (200, None));
    let code = consent(&account, "access_type=offline").1;
    account.fake.clock().advance(SignedDuration::from_mins(11));
    assert_eq!(account.token(&form(&code, VERIFIER)).status, 400);
}

#[test]
fn the_consent_page_can_refuse() {
    let account = Account::new();
    account.fake.tokens().refuse_consent = true;
    let (location, _) = consent(&account, "");
    assert_eq!(location, format!("{BACK}?state=a%20state&error=access%5Fdenied"));
    assert_eq!(account.get("/o/oauth2/v2/auth?client_id=other").status, 400);
}

#[test]
fn the_files_name_this_server_and_are_private() {
    let fake = Fake::spawn(Options { prefix: "google".to_owned(), ..Options::default() }).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let read = |name: &str| {
        let path = folder.path().join(name);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        serde_json::from_slice::<Value>(&fs::read(path).unwrap()).unwrap()
    };
    fake.token_file(&folder.path().join("token")).unwrap();
    let token = read("token");
    assert_eq!(token["token_uri"], fake.token_uri());
    let left =
        token["expiry"].as_str().unwrap().parse::<Timestamp>().unwrap().duration_since(fake.clock().now());
    assert!((3_590..=3_600).contains(&left.as_secs()), "{left}");
    fake.credentials_file(&folder.path().join("client")).unwrap();
    let client = read("client");
    assert_eq!(client["installed"]["auth_uri"], fake.auth_uri());
    assert_eq!(client["installed"]["client_id"], token["client_id"]);
}

fn access(reply: &Reply) -> String {
    reply.json()["access_token"].as_str().unwrap().to_owned()
}

/// Where the consent page leads, and the code in it.
fn consent(account: &Account, more: &str) -> (String, String) {
    let client = inboxclaw_fakes::google::oauth::CLIENT_ID;
    let reply = account.get(&format!(
        "/o/oauth2/v2/auth?response_type=code&client_id={client}&redirect_uri={BACK}&scope={MAIL}&state=a+state\
         &code_challenge={CHALLENGE}&code_challenge_method=S256&{more}"
    ));
    assert_eq!(reply.status, 302);
    let location = reply.header("location").unwrap().to_owned();
    let code =
        location.split(['?', '&']).find_map(|part| part.strip_prefix("code=")).unwrap_or_default().to_owned();
    (location, code)
}
