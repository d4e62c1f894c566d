//! Addresses and answers: what is asked, what is unpacked, and what a refusal says.

use inboxclaw_connectors::google::{ApiRequest, CALENDAR, Client, ClientSettings, DRIVE, GMAIL, Refusal};
use inboxclaw_contract::Class;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::server::{Google, answer, error};

async fn get(client: &Client) -> Result<Value, Refusal> {
    client.get(&ApiRequest::new(&["x"])).await
}

#[tokio::test]
async fn an_address_is_built_from_its_parts() {
    let google = Google::start().await;
    let root = format!("{}/proxy/x/", google.base);
    let at = ClientSettings { token_file: "token.json", api_root: Some(&root), units_per_minute: None };
    let client = Client::new(&google.outside, &CALENDAR, &at).unwrap();
    let ask = ApiRequest::new(&["calendars", "a/b#c@d e%", "events"])
        .with("fields", "items(id),nextPageToken")
        .with("eventTypes", "a&b")
        .with("eventTypes", "c")
        .with_some("pageToken", Some("=+"))
        .with_some("syncToken", None::<&str>)
        .units(3);
    let _: Value = client.get(&ask).await.unwrap();
    let asked = google.asked();
    assert_eq!(
        asked[0].path,
        "/proxy/x/calendar/v3/calendars/a%2Fb%23c@d%20e%25/events?fields=items%28id%29%2CnextPageToken&eventTypes=a%26b&eventTypes=c&pageToken=%3D%2B"
    );
    assert_eq!(asked[0].headers["authorization"], "Bearer first");
}

#[tokio::test]
async fn a_root_is_checked_without_showing_it() {
    let google = Google::start().await;
    for (root, message) in [
        ("", "api_root is no address"),
        ("ftp://h/", "api_root is no http or https address but one of \"ftp\""),
        ("http://me:secret@h/", "api_root holds more than scheme, host, port and path"),
        ("http://h/?secret", "api_root holds more than scheme, host, port and path"),
        ("http://h/#secret", "api_root holds more than scheme, host, port and path"),
    ] {
        let at = ClientSettings { token_file: "token.json", api_root: Some(root), units_per_minute: None };
        let error = Client::new(&google.outside, &DRIVE, &at).err().unwrap().to_string();
        assert_eq!(error, message, "{root}");
    }
    for (token_file, units_per_minute, message) in [
        (" ", None, "token_file is empty"),
        ("token.json", Some(599), "units_per_minute is 599, it must be at least 600"),
    ] {
        let at = ClientSettings { token_file, api_root: None, units_per_minute };
        assert_eq!(Client::new(&google.outside, &DRIVE, &at).err().unwrap().to_string(), message);
    }
}

#[tokio::test]
async fn packed_answers_are_asked_for_and_unpacked() {
    // {"unpacked":true}, packed by gzip.
    const PACKED: [u8; 37] = [
        0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0xab, 0x56, 0x2a, 0xcd, 0x2b, 0x48, 0x4c,
        0xce, 0x4e, 0x4d, 0x51, 0xb2, 0x2a, 0x29, 0x2a, 0x4d, 0xad, 0x05, 0x00, 0x0d, 0xe8, 0x17, 0x05, 0x11,
        0x00, 0x00, 0x00,
    ];
    let google = Google::start().await;
    google.answer(answer(200, &json!({})).header("content-encoding", "gzip").body(PACKED));
    let read: Value = google.client(&DRIVE).get(&ApiRequest::new(&["about"])).await.unwrap();
    assert_eq!(read, json!({ "unpacked": true }));
    let asked = google.asked();
    assert!(asked[0].headers["user-agent"].to_str().unwrap().contains("gzip"));
    assert!(asked[0].headers["accept-encoding"].to_str().unwrap().contains("gzip"));

    // The limit is of what is held, so it counts what is unpacked.
    google.answer(answer(200, &json!({})).header("content-encoding", "gzip").body(PACKED));
    assert_eq!(google.client(&DRIVE).bytes(&ApiRequest::new(&["x"]), 16).await.unwrap(), None);
}

#[tokio::test]
async fn bytes_come_whole_or_not_at_all() {
    let google = Google::start().await;
    let client = google.client(&DRIVE);
    let ask = ApiRequest::new(&["files", "id"]).with("alt", "media");
    for (limit, expected) in [(5, Some(b"12345".to_vec())), (4, None), (0, None)] {
        google.answer(answer(200, &json!({})).body("12345"));
        assert_eq!(client.bytes(&ask, limit).await.unwrap(), expected, "{limit}");
    }
    google.answer(error(403, "exportSizeLimitExceeded", "This file is too large to be exported."));
    let refusal = client.bytes(&ask, 5).await.unwrap_err();
    assert!(refusal.has("exportSizeLimitExceeded") && !refusal.is_transient());
}

#[tokio::test]
async fn a_refusal_says_what_it_is_about_and_what_to_do() {
    let google = Google::start().await;
    let client = google.client(&CALENDAR);
    let sign_in = format!(
        "run `inboxclaw google auth --credentials-file CLIENT.json --scopes gmail,https://example.org/other,calendar --token {}`",
        google.path("token.json").display()
    );
    for (status, reason, class, action, text) in [
        (404, "notFound", Class::Upstream, None, "answered 404 not found (notFound): No"),
        (410, "fullSyncRequired", Class::Upstream, None, "answered 410 gone (fullSyncRequired): No"),
        (400, "invalid", Class::Upstream, None, "answered 400 bad request (invalid): No"),
        (403, "forbidden", Class::Authorization, None, "answered 403 forbidden (forbidden): No"),
        (
            403,
            "insufficientPermissions",
            Class::Authorization,
            Some(sign_in.as_str()),
            "(insufficientPermissions): No",
        ),
        (
            403,
            "accessNotConfigured",
            Class::Configuration,
            Some("https://console.cloud.google.com/apis/library/calendar-json.googleapis.com"),
            "(accessNotConfigured): No",
        ),
        (503, "backendError", Class::Upstream, None, "answered 503 service unavailable (backendError): No"),
    ] {
        google.answer(error(status, reason, " No\n"));
        let refusal = get(&client).await.unwrap_err();
        assert_eq!(
            (refusal.is_missing(), refusal.is_gone(), refusal.is_invalid()),
            (status == 404, status == 410, status == 400)
        );
        let failure = refusal.failure;
        let shown = failure.to_string();
        assert!(shown.starts_with(&google.base) && shown.ends_with(text), "{shown}");
        assert_eq!(failure.class, class, "{shown}");
        match action {
            Some(action) => assert!(failure.action.unwrap().contains(action), "{shown}"),
            None => assert_eq!(failure.action, None, "{shown}"),
        }
    }
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_may_be_whole_next_time_or_never() {
    #[derive(Debug, Deserialize)]
    struct Profile {
        #[serde(rename = "historyId")]
        history: String,
    }
    let google = Google::start().await;
    let client = google.client(&GMAIL);
    for (body, transient) in [("{\"historyId\": \"1", true), ("<html>", true), ("{\"historyId\": 5}", false)]
    {
        google.answer(answer(200, &json!({})).body(body));
        let refusal = client
            .get::<Profile>(&ApiRequest::new(&["profile"]))
            .await
            .map(|profile| profile.history)
            .unwrap_err();
        assert_eq!((refusal.is_transient(), refusal.failure.class), (transient, Class::Upstream), "{body}");
    }
}
