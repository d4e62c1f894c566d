//! What the checks against discovery documents find, and what they leave alone.

use std::fs;

use inboxclaw_fakes::discovery::{Discovery, FILES};
use inboxclaw_fakes::google::Options;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::asking::{Account, PROFILE};

#[test]
fn a_request_is_checked() {
    let (_folder, discovery) = made_up();
    let check = |target: &str, expected: &[&str]| {
        let mut wrong = Vec::new();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let segments: Vec<String> = path.split('/').map(str::to_owned).collect();
        let query = query.split('&').filter_map(|part| part.split_once('='));
        let query: Vec<_> = query.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let call = discovery.request("GET", &segments, &query, &mut wrong);
        assert_eq!(call.is_some(), !target.starts_with("none"), "{target}");
        assert_eq!(wrong, expected, "{target}");
    };
    let listed = |text: &str| format!("t.list: {text}");
    check("t/v1/things?kind=red", &[]);
    check("t/v1/things?kind=red&kind=blue&max=5&since=7&deep=true&key=k&at=2026-01-01T00:00:00Z", &[]);
    check("t/v1/things/7?alt=media", &[]);
    check("t/v1/things/special", &["t.special: the parameter hint is missing"]);
    check("none/v1", &["GET /none/v1: no method has this path"]);
    check("t/v1/things", &[&listed("the parameter kind is missing")]);
    check("t/v1/things?kind=red&color=1", &[&listed("the parameter color does not exist")]);
    check("t/v1/things?kind=green", &[&listed("the parameter kind is \"green\": must be red, blue")]);
    check("t/v1/things?kind=red&max=0", &[&listed("the parameter max is \"0\": must be 1 to 9")]);
    check("t/v1/things?kind=red&max=1&max=2", &[&listed("the parameter max is given more than once")]);
    check("t/v1/things?kind=red&since=-1", &[&listed("the parameter since is \"-1\": must be uint64")]);
    check(
        "t/v1/things?kind=red&deep=yes",
        &[&listed("the parameter deep is \"yes\": must be true or false")],
    );
    check("t/v1/things?kind=red&at=today", &[&listed("the parameter at is \"today\": must be date-time")]);
    check("t/v1/things?kind=red&alt=media", &[&listed("alt=media, but there is nothing to download")]);
    check("t/v1/things?kind=red&fields=things(id,tags),next", &[]);
    check(
        "t/v1/things?kind=red&fields=things/ident",
        &[&listed("fields selects Things/things/ident, which does not exist")],
    );
    check("t/v1/things?kind=red&fields=a(b", &[&listed("fields is \"a(b\", which is no selector")]);
}

#[test]
fn an_answer_is_checked() {
    let (_folder, discovery) = made_up();
    let check = |status: u16, body: Value, expected: &str| {
        let mut wrong = Vec::new();
        let segments = ["t", "v1", "things"].map(str::to_owned);
        let query = [("kind".to_owned(), "red".to_owned())];
        let call = discovery.request("GET", &segments, &query, &mut wrong).unwrap();
        discovery.answer(call, status, Some(&body), &mut wrong);
        let found = wrong.join("\n");
        assert!(
            if expected.is_empty() { found.is_empty() } else { found.contains(expected) },
            "{body}: {found:?}"
        );
    };
    check(
        200,
        json!({"things": [{"id": "5", "color": "red", "tags": {"a": "b"}, "more": [1, {}]}], "next": "x"}),
        "",
    );
    check(200, json!({}), "");
    check(200, json!({"things": [{"name": "x"}]}), "t.list: answer 200: Things/things/0");
    check(200, json!({"things": [{"id": 5}]}), "Things/things/0/id");
    check(200, json!({"things": [{"id": "5x"}]}), "Things/things/0/id");
    check(200, json!({"things": [{"color": "green"}]}), "Things/things/0/color");
    check(200, json!({"things": [{"tags": {"a": 1}}]}), "Things/things/0/tags/a");
    check(200, json!({"next": null}), "Things/next");
    check(200, json!({"things": [{"parts": [{"id": "1"}, {"idd": "2"}]}]}), "Things/things/0/parts/1");
    let error = json!({"domain": "global", "reason": "notFound", "message": "no"});
    check(404, json!({"error": {"code": 404, "message": "no", "errors": [error]}}), "");
    check(404, json!({"error": {"code": 400, "message": "no", "errors": [error]}}), "error.code is 400");
    check(404, json!({"error": {"code": 404, "message": "no"}}), "error.errors is empty");
    check(
        404,
        json!({"error": {"code": 404, "message": "no", "errors": [{"domain": "global", "message": "no"}]}}),
        "reason is null",
    );
    check(204, json!({}), "no such status");
}

#[test]
fn a_server_lists_what_was_wrong() {
    let (folder, _) = made_up();
    let discovery = Some(folder.path().to_owned());
    let account = Account::with(Options { discovery, ..Options::default() });
    account.get(PROFILE);
    assert_eq!(account.fake.violations(), ["GET /gmail/v1/users/me/profile: no method has this path"]);
}

#[test]
fn documents_that_are_named_must_be_there() {
    let folder = tempfile::tempdir().unwrap();
    let error = Discovery::found(Some(folder.path())).unwrap_err().to_string();
    assert!(error.contains("gmail.v1.json"), "{error}");
    fs::write(folder.path().join("gmail.v1.json"), "{}").unwrap();
    assert!(Discovery::load(folder.path()).unwrap_err().to_string().contains("is no discovery document"));
}

/// Google's own documents, where they were fetched.
#[test]
fn the_real_documents_know_the_real_requests() {
    let account = Account::new();
    account.get(&format!("{PROFILE}?fields=historyId,emailAddress"));
    account.get("/drive/v3/changes/startPageToken?supportsAllDrives=true");
    account.get("/calendar/v3/users/me/calendarList?maxResults=250&fields=items(id,summary),nextPageToken");
    assert_eq!(account.fake.violations(), Vec::<String>::new());
    account.get("/gmail/v1/users/me/history?startHistoryId=1&historyType=messageAdded");
    let found = account.fake.violations();
    assert_eq!(found, ["gmail.users.history.list: the parameter historyType does not exist"]);
}

/// A service of our own making, and two that describe nothing.
fn made_up() -> (TempDir, Discovery) {
    let folder = tempfile::tempdir().unwrap();
    let query = |more: Value| {
        let mut parameter = json!({"location": "query"});
        parameter.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        parameter
    };
    let list = json!({
        "id": "t.list", "httpMethod": "GET", "path": "v1/things", "response": {"$ref": "Things"},
        "parameters": {
            "kind": query(json!({"type": "string", "enum": ["red", "blue"], "required": true, "repeated": true})),
            "max": query(json!({"type": "integer", "format": "int32", "minimum": "1", "maximum": "9"})),
            "since": query(json!({"type": "string", "format": "uint64"})),
            "at": query(json!({"type": "string", "format": "date-time"})),
            "deep": query(json!({"type": "boolean"})),
        },
    });
    let get = json!({
        "id": "t.get", "httpMethod": "GET", "path": "v1/things/{id}", "flatPath": "v1/things/{thingsId}",
        "response": {"$ref": "Thing"}, "supportsMediaDownload": true,
        "parameters": {"id": {"location": "path", "type": "string", "required": true}},
    });
    let special = json!({
        "id": "t.special", "httpMethod": "GET", "path": "v1/things/special",
        "parameters": {"hint": query(json!({"type": "string", "required": true}))},
    });
    let thing = json!({"id": "Thing", "type": "object", "properties": {
        "id": {"type": "string", "format": "int64"},
        "color": {"type": "string", "enum": ["red", "blue"]},
        "tags": {"type": "object", "additionalProperties": {"type": "string"}},
        "more": {"type": "array", "items": {"type": "any"}},
        "parts": {"type": "array", "items": {"$ref": "Thing"}},
    }});
    let things = json!({"id": "Things", "type": "object", "properties": {
        "things": {"type": "array", "items": {"$ref": "Thing"}},
        "next": {"type": "string"},
    }});
    let described = json!({
        "servicePath": "t/",
        "parameters": {
            "key": query(json!({"type": "string"})),
            "fields": query(json!({"type": "string"})),
            "alt": query(json!({"type": "string", "enum": ["json", "media"]})),
        },
        "schemas": {"Thing": thing, "Things": things},
        "resources": {"things": {"methods": {"list": list, "get": get}, "resources": {"x": {"methods": {"special": special}}}}},
    });
    for (place, name) in FILES.iter().enumerate() {
        let document = if place == 0 { described.clone() } else { json!({"servicePath": "nothing/"}) };
        fs::write(folder.path().join(name), document.to_string()).unwrap();
    }
    let discovery = Discovery::load(folder.path()).unwrap();
    (folder, discovery)
}
