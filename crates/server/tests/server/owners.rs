//! The state API and owners as a whole: which there are, pause and resume, rename, forget, and their metrics.

use inboxclaw_contract::store::StateLimits;
use inboxclaw_contract::{Owner, OwnerId, Version};
use inboxclaw_server::App;
use inboxclaw_server::states::Configured;
use serde_json::{Value, json};

use super::described::STATE;
use inboxclaw_settings::Patterns;

use super::support::Inbox;

/// A configuration with the source `s`, which may have so much, and one that never ran.
fn configured(app: &mut App) {
    let policy = StateLimits { max_entries: Some(10), max_bytes: Some(1_000), ..StateLimits::default() };
    let source = |name, policy| Configured {
        owner: Owner::source(name),
        connector: "test".to_owned(),
        takes: Patterns::default(),
        policy,
    };
    app.configured = vec![source("s", policy), source("fresh", StateLimits::default())];
    app.pulls.clear();
}

#[tokio::test]
async fn owners_are_told_with_their_state() {
    let inbox = Inbox::new().await;
    inbox.store.register(&Owner::source("orphan"), "gone").await.unwrap();
    let api = inbox.api_with(configured).await;
    api.set("key", "\"value\"").await;
    api.put("/api/sources/s/cursor", r#"{"cursor":"c"}"#).await;
    let owners = api.get("/api/owners").await.json()["owners"].clone();
    let names: Vec<Value> =
        owners.as_array().unwrap().iter().map(|owner| json!([owner["kind"], owner["name"]])).collect();
    let wanted = [["source", "fresh"], ["source", "orphan"], ["source", "s"], ["sink", "inbox"]];
    assert_eq!(json!(names), json!(wanted));
    let wanted = json!({
        "kind": "source", "name": "s", "type": "test", "configured": true, "running": true, "paused": false,
        "version": 2, "entries": 1, "bytes": 10, "max_entries": 10, "max_bytes": 1000, "cursor": true,
    });
    assert_eq!(owners[2], wanted);
    let told = |n: usize| ["configured", "running", "cursor"].map(|name| owners[n][name].as_bool().unwrap());
    assert_eq!([told(0), told(1)], [[true, true, false], [false, false, false]]);
}

#[tokio::test]
async fn an_owner_of_the_configuration_is_known_before_it_ran() {
    let inbox = Inbox::new().await;
    let api = inbox.api_with(configured).await;
    let before = inbox.store.owners().await.unwrap().len();
    for place in ["state", "state/k", "cursor", "history", "export"] {
        assert_eq!(
            api.get(&format!("/api/sources/fresh/{place}")).await.status,
            404,
            "{place}: there is nothing yet"
        );
    }
    assert_eq!(inbox.store.owners().await.unwrap().len(), before, "who only reads makes nothing");
    assert_eq!(api.put("/api/sources/fresh/state/k", "1").await.status, 201);
    assert_eq!(api.get("/api/sources/fresh/state/k").await.body, "1");
}

#[tokio::test]
async fn an_owner_is_paused_and_resumed_and_woken_each_time() {
    let inbox = Inbox::new().await;
    let api = inbox.api().await;
    for (word, paused) in [("pause", true), ("pause", true), ("resume", false)] {
        let answer = api.ask("POST", &format!("/api/sources/s/{word}"), &[], "").await;
        assert_eq!((answer.status, answer.json()), (200, json!({ "paused": paused })));
        assert_eq!(inbox.woken.take(), [Owner::source("s")]);
        let row = api.get("/api/owners").await.json()["owners"][0].clone();
        assert_eq!((&row["name"], &row["paused"]), (&json!("s"), &json!(paused)));
    }
    assert_eq!(inbox.store.snapshot(inbox.source).await.unwrap().version, Version(0), "that is no state");
    assert_eq!(api.ask("POST", "/api/sources/nobody/pause", &[], "").await.status, 404);
}

#[tokio::test]
async fn an_owner_takes_its_state_to_another_name() {
    let inbox = Inbox::new().await;
    let old = inbox.store.register(&Owner::source("old"), "test").await.unwrap();
    let taken = inbox.store.register(&Owner::source("taken"), "test").await.unwrap();
    let api = inbox.api_with(configured).await;
    for name in ["old", "taken"] {
        assert_eq!(api.put(&format!("/api/sources/{name}/state/k"), "1").await.status, 201);
    }
    let rename = async |name: &str, to: &str| {
        let answer = api.post(&format!("/api/sources/{name}/rename"), json!({ "to": to })).await;
        (answer.status, answer.json())
    };
    for (name, to, status) in [
        ("s", "other", 409),
        ("old", "s", 409),
        ("old", "taken", 409),
        ("old", "inboxclaw", 422),
        ("old", "a/b", 422),
        ("nobody", "other", 404),
    ] {
        assert_eq!(rename(name, to).await.0, status, "{name} to {to}");
    }
    assert_eq!(rename("old", "n\u{e9}w").await, (200, json!({ "name": "n\u{e9}w" })));
    assert_eq!(api.get("/api/sources/n%C3%A9w/state/k").await.body, "1");
    assert_eq!(api.get("/api/sources/old/state/k").await.status, 404);
    let ids: Vec<OwnerId> = inbox.store.owners().await.unwrap().into_iter().map(|owner| owner.id).collect();
    assert!(ids.contains(&old) && ids.contains(&taken));
}

#[tokio::test]
async fn an_orphan_can_be_forgotten() {
    let inbox = Inbox::new().await;
    inbox.store.register(&Owner::source("orphan"), "gone").await.unwrap();
    let api = inbox.api_with(configured).await;
    for n in 0..20 {
        api.put(&format!("/api/sources/orphan/state/k{n}"), "1").await;
    }
    assert_eq!(api.delete("/api/sources/s").await.status, 409, "the program runs it");
    inbox.store.register(&Owner::source("inboxclaw"), "inboxclaw").await.unwrap();
    assert_eq!(api.delete("/api/sources/inboxclaw").await.status, 409, "the program's own");
    let forgotten = api.delete("/api/sources/orphan").await;
    assert_eq!((forgotten.status, forgotten.body.as_str()), (204, ""));
    assert_eq!(api.get("/api/sources/orphan/state").await.status, 404);
    assert_eq!(api.delete("/api/sources/orphan").await.status, 404);
    assert!(!api.get("/api/owners").await.body.contains("orphan"));
}

#[tokio::test]
async fn metrics_tell_how_much_state_there_is() {
    let inbox = Inbox::new().await;
    let api = inbox.api().await;
    api.set("a", "12").await;
    api.set("b", "34").await;
    api.delete(&format!("{STATE}/a")).await;
    let metrics = api.get("/metrics").await;
    for line in [
        r#"inboxclaw_state_entries{kind="source",name="s"} 1"#,
        r#"inboxclaw_state_bytes{kind="source",name="s"} 3"#,
        r#"inboxclaw_state_version{kind="source",name="s"} 3"#,
        r#"inboxclaw_state_entries{kind="sink",name="inbox"} 0"#,
    ] {
        assert!(metrics.body.lines().any(|found| found == line), "{line}:\n{}", metrics.body);
    }
}
