//! What a request looks like.

use std::fs;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use inboxclaw_connectors::SINKS;
use inboxclaw_contract::{Class, Delivery, DeliveryOrigin, Receipt};
use inboxclaw_contract_testing::HandClock;
use ring::hmac;
use serde_json::{Value, json};

use crate::server::{Asked, Server, ok};
use crate::support::outside;
use crate::{first, send, sender, webhook};

/// The request that a sink makes of one event.
async fn asked(settings: Value) -> Asked {
    let server = Server::start().await;
    server.set("/hook", ok("thanks"));
    let mut settings = settings;
    settings["url"] = json!(format!("{}/hook", server.base));
    let (receipts, failure) = send(&*webhook(settings), &[first(7)]).await;
    assert_eq!((receipts, failure.is_none()), (vec![Receipt::Done], true));
    let mut asked = server.asked();
    assert_eq!(asked.len(), 1);
    asked.remove(0)
}

const ENVELOPE: &str = "{\"id\":7,\"event_id\":\"e7\",\"event_type\":\"a.b\",\"entity_id\":\"x\u{17e}\",\
    \"created_at\":\"2026-11-22T06:00:00.500000\",\"data\":{\"foo\":\"\u{e9}\",\"num\":12345678901234567890},\
    \"source\":{\"id\":4,\"name\":\"mail\"},\"meta\":{}}";

#[tokio::test]
async fn an_event_is_posted_as_its_envelope() {
    let asked = asked(json!({})).await;
    assert_eq!(asked.body, ENVELOPE);
    for (name, value) in [
        ("content-type", "application/json"),
        ("user-agent", concat!("inboxclaw/", env!("CARGO_PKG_VERSION"))),
        ("webhook-id", &first(7).message_id()),
        ("webhook-timestamp", "1795348800"),
        ("webhook-signature", ""),
        ("inboxclaw-attempt", "1"),
        ("inboxclaw-origin", "log"),
        ("x-inboxclaw-request", "1"),
        ("content-length", &ENVELOPE.len().to_string()),
    ] {
        assert_eq!(asked.header(name), value, "{name}");
    }
}

#[tokio::test]
async fn headers_of_the_configuration_win() {
    let headers =
        json!({ "CONTENT-TYPE": "application/x", "User-Agent": "me", "Host": "inner.example", "X-N": "5" });
    let asked = asked(json!({ "headers": headers })).await;
    for (name, value) in
        [("content-type", "application/x"), ("user-agent", "me"), ("host", "inner.example"), ("x-n", "5")]
    {
        let values: Vec<_> = asked.headers.get_all(name).iter().collect();
        assert_eq!(values, [value], "{name}");
    }
}

#[tokio::test]
async fn a_payload_takes_the_place_of_the_envelope() {
    let payload = json!({
        "msg": "Event #root.event_id happened with #root.data.foo",
        "raw_num": "#root.data.num",
        "full_json": "Data: $root.data",
        "fixed": [true, null, 1.5],
    });
    let asked = asked(json!({ "payload": payload })).await;
    assert_eq!(
        asked.body,
        "{\"msg\":\"Event e7 happened with \u{e9}\",\"raw_num\":12345678901234567890,\
         \"full_json\":\"Data: {\\\"foo\\\":\\\"\u{e9}\\\",\\\"num\\\":12345678901234567890}\",\
         \"fixed\":[true,null,1.5]}"
    );
    for nothing in [json!(null), json!({})] {
        assert_eq!(self::asked(json!({ "payload": nothing })).await.body, ENVELOPE);
    }
}

#[tokio::test]
async fn a_user_in_the_address_is_sent_and_never_shown() {
    let server = Server::start().await;
    server
        .set("/hook?key=secret4", crate::server::status(400).body("no user hunter22 with secret4 at /hook"));
    let base = server.base.replace("http://", "http://me:hunter22@");
    let sink = webhook(json!({ "url": format!("{base}/hook?key=secret4") }));
    let (receipts, _) = send(&*sink, &[first(1)]).await;
    assert_eq!(server.asked()[0].header("authorization"), "Basic bWU6aHVudGVyMjI=");
    let reason = format!("{} answered 400 bad request: no user *** with secret4 at /hook", server.base);
    assert_eq!(receipts, [Receipt::Again { wait: None, reason }], "a whole query is hidden, not its words");
    drop(server);
    let sink = webhook(json!({ "url": "http://me:hunter22@127.0.0.1:9/secret-path?key=secret4" }));
    let (_, failure) = send(&*sink, &[first(1)]).await;
    let told = format!("{:?} {}", failure.as_ref().unwrap(), failure.as_ref().unwrap());
    for hidden in ["hunter22", "secret"] {
        assert!(!told.contains(hidden), "{told}");
    }
}

#[tokio::test]
async fn every_attempt_is_signed_anew_under_the_same_id() {
    let server = Server::start().await;
    server.set("/", ok(""));
    let clock = HandClock::at("2026-11-22T12:00:00Z".parse().unwrap());
    let kind = SINKS.iter().find(|kind| kind.name == "webhook").unwrap();
    let settings =
        json!({ "url": server.base, "secret": ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "an old one"] });
    let mut outside = outside("/");
    outside.clock = clock.clone();
    let sink = sender((kind.build)(settings, &outside).unwrap());
    for attempt in 1..=2 {
        send(&*sink, &[Delivery { attempt, ..first(1) }]).await;
        clock.advance(Duration::from_secs(61));
    }
    let asked = server.asked();
    let secret = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
    for (asked, (timestamp, attempt)) in asked.iter().zip([("1795348800", "1"), ("1795348861", "2")]) {
        assert_eq!(asked.header("webhook-id"), first(1).message_id());
        assert_eq!(
            (asked.header("webhook-timestamp"), asked.header("inboxclaw-attempt")),
            (timestamp, attempt)
        );
        let signed = format!("{}.{timestamp}.{}", first(1).message_id(), asked.body);
        let signatures: Vec<_> = asked.header("webhook-signature").split(' ').collect();
        assert_eq!(signatures.len(), 2);
        for (signature, key) in signatures.iter().zip([secret.as_slice(), b"an old one"]) {
            let key = hmac::Key::new(hmac::HMAC_SHA256, key);
            let signature = STANDARD.decode(signature.strip_prefix("v1,").unwrap()).unwrap();
            hmac::verify(&key, signed.as_bytes(), &signature).unwrap();
        }
    }
    assert_eq!(asked.len(), 2);
}

#[tokio::test]
async fn a_secret_in_a_file_is_replaced_without_a_restart() {
    let server = Server::start().await;
    server.set("/", ok(""));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    let kind = SINKS.iter().find(|kind| kind.name == "webhook").unwrap();
    let settings = json!({ "url": server.base, "secret_file": "secret" });
    let built = (kind.build)(settings, &outside(folder.path())).unwrap();
    assert!(built.warnings[0].message.starts_with("cannot be read"), "{:?}", built.warnings);
    let sink = sender(built);
    let (receipts, failure) = send(&*sink, &[first(1)]).await;
    let failure = failure.unwrap();
    assert_eq!((receipts.len(), failure.class), (0, Class::Configuration));
    assert!(failure.to_string().starts_with(&format!("secret_file {} ", file.display())), "{failure}");
    for (text, signatures) in [("one\n", 1), ("\n two \r\none\n", 2), ("two", 1)] {
        fs::write(&file, text).unwrap();
        send(&*sink, &[first(1)]).await;
        assert_eq!(server.asked()[0].header("webhook-signature").split(' ').count(), signatures);
    }
    for text in ["", "a\nb\nc", "whsec_!", &"x".repeat(5_000)] {
        fs::write(&file, text).unwrap();
        let (_, failure) = send(&*sink, &[first(1)]).await;
        assert_eq!(failure.unwrap().class, Class::Configuration, "{text}");
    }
    assert_eq!(server.asked().len(), 0, "nothing goes unsigned");
}

#[tokio::test]
async fn what_comes_out_of_order_says_so() {
    let server = Server::start().await;
    server.set("/", ok(""));
    let sink = webhook(json!({ "url": server.base }));
    for (origin, word, ending) in [
        (DeliveryOrigin::Log, "log", ""),
        (DeliveryOrigin::Retry, "retry", ""),
        (DeliveryOrigin::Replay(3), "replay", ".r3"),
    ] {
        send(&*sink, &[Delivery { origin, ..first(1) }]).await;
        let asked = server.asked();
        assert_eq!(asked[0].header("inboxclaw-origin"), word);
        assert_eq!(asked[0].header("webhook-id"), format!("{}{ending}", first(1).message_id()));
    }
}

#[tokio::test]
async fn an_event_as_a_cloud_event() {
    let asked = asked(json!({ "format": "cloudevents" })).await;
    assert_eq!(asked.header("content-type"), "application/cloudevents+json");
    assert_eq!(
        asked.body,
        "{\"specversion\":\"1.0\",\"id\":\"e7\",\"source\":\"/inboxclaw/sources/mail\",\"type\":\"a.b\",\
         \"subject\":\"x\u{17e}\",\"time\":\"2026-11-22T06:00:00.5Z\",\"datacontenttype\":\"application/json\",\
         \"inboxclawid\":\"7\",\"recordedtime\":\"2026-11-22T06:00:00.5Z\",\
         \"data\":{\"foo\":\"\u{e9}\",\"num\":12345678901234567890}}"
    );
    let asked = self::asked(json!({ "format": "cloudevents", "mode": "binary" })).await;
    assert_eq!(asked.body, "{\"foo\":\"\u{e9}\",\"num\":12345678901234567890}");
    for (name, value) in [
        ("content-type", "application/json"),
        ("ce-specversion", "1.0"),
        ("ce-id", "e7"),
        ("ce-source", "/inboxclaw/sources/mail"),
        ("ce-type", "a.b"),
        ("ce-subject", "x%C5%BE"),
        ("ce-time", "2026-11-22T06:00:00.5Z"),
        ("ce-datacontenttype", ""),
    ] {
        assert_eq!(asked.header(name), value, "{name}");
    }
}
