//! The state API and the past: history, undo, rewind.

use inboxclaw_contract::turn::{EntryChange, Turn, TurnId};
use inboxclaw_contract::{Expiry, Json, Outcome, Owner, Random as _};
use serde_json::{Value, json};

use super::described::{Api, STATE};
use super::support::Inbox;

const OWNER: &str = "/api/sources/s";

impl Inbox {
    /// A turn of the source itself.
    async fn poll(&self, change: impl FnOnce(&mut Turn)) {
        let base = self.store.snapshot(self.source).await.unwrap().version;
        let mut turn = Turn::new(TurnId(self.random.next()), self.source, base);
        change(&mut turn);
        assert!(matches!(self.store.commit(turn).await.unwrap(), Outcome::Committed(_)));
    }

    /// A turn of the source that puts a value.
    async fn poll_put(&self, key: &str, value: &str, secret: bool) {
        let put = EntryChange::Put { value: Json::new(value).unwrap(), expiry: Expiry::Never, secret };
        self.poll(|turn| drop(turn.entries.insert(key.to_owned(), put))).await;
    }
}

impl Api {
    async fn undo(&self, body: Value) -> (u16, Value) {
        let answer = self.post(&format!("{OWNER}/undo"), body).await;
        (answer.status, answer.json())
    }

    async fn rewind(&self, to: Value) -> (u16, Value) {
        let answer = self.post(&format!("{OWNER}/rewind"), json!({ "to": to })).await;
        (answer.status, answer.json())
    }
}

#[tokio::test]
async fn history_says_who_changed_what_and_when() {
    let inbox = Inbox::new().await;
    let api = inbox.api().await;
    api.set("a", "{ \"x\": 1 }").await;
    inbox.wait(60);
    inbox.poll(|turn| turn.cursor = Some(Some("c".to_owned()))).await;
    inbox.poll_put("t", "\"hidden\"", true).await;
    inbox.poll_put("t", "\"newer\"", true).await;
    api.delete(&format!("{STATE}/a")).await;
    let path = format!("{OWNER}/history");
    let page = api.get(&path).await.json();
    assert_eq!(page["next"], Value::Null);
    let turn = |version, at: &str, author, cursor, keys: Value| {
        json!({
            "version": version, "at": at, "author": author, "undoes": null, "cursor": cursor, "keys": keys,
            "more_keys": 0, "marker": false, "replaced": false,
        })
    };
    let (early, late) = ("2026-11-22T06:46:26.063532Z", "2026-11-22T06:47:26.063532Z");
    let none = Value::Null;
    let wanted = json!([
        turn(5, late, json!("http"), none.clone(), json!([{ "key": "a", "before": "entry" }])),
        turn(4, late, none.clone(), none.clone(), json!([{ "key": "t", "before": "secret" }])),
        turn(3, late, none.clone(), none.clone(), json!([{ "key": "t", "before": "absent" }])),
        turn(2, late, none.clone(), json!({ "before": null }), json!([])),
        turn(1, early, json!("http"), none, json!([{ "key": "a", "before": "absent" }])),
    ]);
    assert_eq!(page["turns"], wanted);
    let values = api.get(&format!("{path}?values=1")).await;
    assert_eq!(values.json()["turns"][0]["keys"][0]["value"], json!({ "x": 1 }));
    assert!(!values.body.contains("hidden"), "secrets are not kept");
    let mut seen = Vec::new();
    let mut before = String::new();
    loop {
        let page = api.get(&format!("{path}?limit=2{before}")).await.json();
        seen.push(
            page["turns"].as_array().unwrap().iter().map(|turn| turn["version"].clone()).collect::<Value>(),
        );
        let Some(next) = page["next"].as_i64() else { break };
        before = format!("&before={next}");
    }
    assert_eq!(seen, [json!([5, 4]), json!([3, 2]), json!([1])]);
    for query in ["limit=0", "limit=1001", "before=x", "values=2"] {
        assert_eq!(api.get(&format!("{path}?{query}")).await.status, 422, "{query}");
    }
}

#[tokio::test]
async fn a_turn_of_many_keys_names_a_hundred() {
    let inbox = Inbox::new().await;
    let api = inbox.api().await;
    let value = Json::new("1").unwrap();
    let put = |_| EntryChange::Put { value: value.clone(), expiry: Expiry::Never, secret: false };
    inbox.poll(|turn| turn.entries = (0..250).map(|n| (format!("k{n:03}"), put(n))).collect()).await;
    let turn = api.get(&format!("{OWNER}/history")).await.json()["turns"][0].clone();
    assert_eq!((turn["keys"].as_array().unwrap().len(), &turn["more_keys"]), (100, &json!(150)));
    assert_eq!(turn["keys"][99]["key"], "k099");
}

#[tokio::test]
async fn undo_takes_back_what_a_person_did_and_goes_on_with_each_time() {
    let inbox = Inbox::new().await;
    let api = inbox.api().await;
    assert_eq!(api.undo(json!({})).await.0, 409, "there is nothing yet");
    api.set("a", "1").await;
    api.set("a", "2").await;
    inbox.poll_put("b", "1", false).await;
    inbox.woken.take();
    let (status, undone) = api.undo(json!({})).await;
    let wanted = json!({
        "undid": 2, "at": "2026-11-22T06:46:26.063532Z", "author": "http", "version": 4, "entries": 1,
        "cursor": false, "left": [],
    });
    assert_eq!((status, undone), (200, wanted));
    assert_eq!(inbox.woken.take(), [Owner::source("s")]);
    assert_eq!(api.all().await, json!({ "a": 1, "b": 1 }));
    assert_eq!(api.get(&format!("{OWNER}/history")).await.json()["turns"][0]["undoes"], 2);
    assert_eq!(api.undo(json!({})).await.1["undid"], 1);
    assert_eq!(api.all().await, json!({ "b": 1 }));
    assert_eq!(api.undo(json!({})).await.0, 409);
    let (status, undone) = api.undo(json!({ "turn": true })).await;
    assert_eq!((status, &undone["undid"], &undone["author"]), (200, &json!(3), &Value::Null));
    assert_eq!(api.all().await, json!({}));
    assert_eq!(api.undo(json!({ "turn": true, "version": 1 })).await.0, 422);
    assert_eq!(api.undo(json!({ "versoin": 1 })).await.0, 400);
    let empty = api.ask("POST", &format!("{OWNER}/undo"), &[], "").await;
    assert_eq!(empty.status, 409, "no body is the default");
}

#[tokio::test]
async fn what_was_changed_since_is_named_and_left_alone_unless_forced() {
    let inbox = Inbox::new().await;
    let api = inbox.api().await;
    api.set("a", "1").await;
    inbox.poll_put("a", "2", false).await;
    let (status, refused) = api.undo(json!({})).await;
    assert_eq!((status, &refused["keys"], &refused["cursor"]), (409, &json!(["a"]), &json!(false)));
    assert_eq!(api.all().await, json!({ "a": 2 }));
    assert_eq!(api.undo(json!({ "force": true })).await.0, 200);
    assert_eq!(api.all().await, json!({}));
}

#[tokio::test]
async fn rewind_leads_to_a_version_a_time_or_so_long_ago() {
    let inbox = Inbox::new().await;
    let api = inbox.api().await;
    for n in 1..=4 {
        api.set("a", &n.to_string()).await;
        inbox.wait(60);
    }
    inbox.woken.take();
    let (status, rewound) = api.rewind(json!(2)).await;
    let wanted = json!({ "to": 2, "version": 5, "turns": 2, "entries": 1, "cursor": false, "left": [] });
    assert_eq!((status, rewound), (200, wanted));
    assert_eq!(inbox.woken.take(), [Owner::source("s")]);
    assert_eq!(api.all().await, json!({ "a": 2 }));
    assert_eq!(api.rewind(json!("4")).await.1["to"], 4, "digits are a version, whatever their type");
    assert_eq!(api.rewind(json!("2026-11-22T06:46:30Z")).await.1["to"], 1);
    assert_eq!(api.all().await, json!({ "a": 1 }));
    assert_eq!(api.rewind(json!("150s")).await.1["to"], 2, "150 s ago");
    assert_eq!(api.all().await, json!({ "a": 2 }));
    for (to, status) in
        [(json!(99), 409), (json!("soon"), 422), (json!("-1h"), 422), (json!({}), 400), (json!(1.5), 400)]
    {
        assert_eq!(api.rewind(to.clone()).await.0, status, "{to}");
    }
    let lines = [("Accept", "application/x-ndjson")];
    let streamed = api.ask("POST", &format!("{OWNER}/rewind"), &lines, r#"{"to":1}"#).await;
    let last: Value = serde_json::from_str(streamed.body.lines().last().unwrap()).unwrap();
    assert_eq!((streamed.status, &last["result"]["to"]), (200, &json!(1)), "{}", streamed.body);
    let failed = api.ask("POST", &format!("{OWNER}/rewind"), &lines, r#"{"to":99}"#).await;
    let last: Value = serde_json::from_str(failed.body.lines().last().unwrap()).unwrap();
    assert_eq!((failed.status, &last["error"]["status"]), (200, &json!(409)), "{}", failed.body);
}
