//! What the server does with every answer, and what it remembers.

use std::io::Read as _;

use flate2::read::GzDecoder;
use inboxclaw_fakes::google::{Fake, Options};

use crate::asking::{Account, PROFILE};

#[test]
fn fields_cut_an_answer_down() {
    let account = Account::new();
    let whole = account.get(PROFILE).json();
    assert!(whole.as_object().unwrap().len() > 1);
    let part = account.get(&format!("{PROFILE}?fields=historyId")).json();
    assert_eq!(part.as_object().unwrap().keys().collect::<Vec<_>>(), ["historyId"]);
    let refused = account.get(&format!("{PROFILE}?fields=a(b"));
    assert_eq!((refused.status, refused.reason().as_str()), (400, "invalidParameter"));
}

#[test]
fn an_answer_is_packed_only_if_asked_for() {
    let account = Account::new();
    let packed = account.try_get(PROFILE, "accept-encoding: gzip, deflate\r\n").unwrap();
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    let mut body = Vec::new();
    GzDecoder::new(packed.body.as_slice()).read_to_end(&mut body).unwrap();
    let plain = account.get(PROFILE);
    assert_eq!(plain.header("content-encoding"), None);
    assert_eq!(body, plain.body);
}

#[test]
fn a_prefix_stands_before_the_services() {
    let account = Account::with(Options { prefix: "/a/google/".to_owned(), ..Options::default() });
    assert!(account.fake.base().ends_with("/a/google"));
    assert_eq!(account.get(&format!("/a/google{PROFILE}")).status, 200);
    assert_eq!(account.get(PROFILE).status, 404);
    assert_eq!(
        account.token(&format!("grant_type=refresh_token&refresh_token={}", account.refresh)).status,
        200
    );
}

#[test]
fn what_was_asked_is_remembered_until_it_is_read() {
    let account = Account::new();
    account
        .try_get("/calendar/v3/calendars/a%40b%2Fc/events?maxResults=5&q=a+b", "accept: application/json\r\n")
        .unwrap();
    account.get(PROFILE);
    let asked = account.fake.requests();
    assert_eq!(asked[0].path, "/calendar/v3/calendars/a@b/c/events");
    assert_eq!((asked[0].param("q"), asked[0].header("accept")), (Some("a b"), Some("application/json")));
    assert_eq!((asked[1].status, asked.len()), (200, 2));
    assert!(account.fake.requests().is_empty());
    let counts = account.fake.counts();
    assert_eq!(counts["GET /calendar/v3/calendars/{}/events"], 1);
    assert_eq!(counts["GET /gmail/v1/users/me/profile"], 1);
}

#[tokio::test]
async fn a_server_ends_with_its_fake() {
    let fake = Fake::start(Options::default()).await.unwrap();
    let base = fake.base();
    let authority = base.strip_prefix("http://").unwrap();
    tokio::net::TcpStream::connect(authority).await.unwrap();
    drop(fake);
    tokio::task::yield_now().await;
    tokio::net::TcpStream::connect(authority).await.unwrap_err();
}
