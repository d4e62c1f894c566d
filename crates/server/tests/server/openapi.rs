//! The served description: it holds every route, and nothing else, and says something about all of it.

use std::collections::BTreeSet;

use serde_json::Value;

use super::support::Inbox;

const METHODS: [&str; 4] = ["GET", "PUT", "POST", "DELETE"];

/// Whatever is described answers, and no other method of the same path does.
#[tokio::test]
async fn the_description_and_the_server_know_the_same_routes() {
    let inbox = Inbox::new().await;
    let api = inbox.api().await;
    let paths = api.document()["paths"].as_object().unwrap();
    for (template, methods) in paths {
        let path = template.replace("{kind}", "sources").replace("{name}", "nobody").replace("{key}", "k");
        let path = path.replace("{id}", "0");
        let described: BTreeSet<&str> =
            METHODS.into_iter().filter(|method| methods[method.to_lowercase()].is_object()).collect();
        for method in METHODS {
            if path == "/live/" && method == "GET" {
                api.server.stream(&path, "").await;
                continue;
            }
            let answer = api.server.request(method, &path, &[]).await;
            let is_known = answer.status != 405 && answer.body != r#"{"detail":"Not Found"}"#;
            assert_eq!(is_known, described.contains(method), "{method} {template}: {answer:?}");
            if answer.status == 405 {
                let mut allowed: BTreeSet<&str> = answer.header("allow").unwrap().split(", ").collect();
                // A HEAD is a GET without a body, and not described.
                let is_safe = allowed.remove("HEAD");
                assert_eq!(allowed, described, "{template}");
                let never =
                    template.ends_with("extract") || template.ends_with("watch") || template == "/live/";
                assert_eq!(is_safe, allowed.contains("GET") && !never, "{template}");
            }
        }
    }
}

/// The paths by name: one that is taken out of the table is noticed.
#[tokio::test]
async fn every_route_is_there() {
    let inbox = Inbox::new().await;
    let api = inbox.api().await;
    let owner = |rest: &str| format!("/api/{{kind}}/{{name}}{rest}");
    let mut wanted: Vec<String> = [
        "",
        "/state",
        "/state/{key}",
        "/cursor",
        "/history",
        "/undo",
        "/rewind",
        "/import",
        "/export",
        "/copy",
        "/rename",
        "/watch",
        "/pause",
        "/resume",
    ]
    .map(owner)
    .to_vec();
    let fixed = [
        "/",
        "/healthcheck",
        "/healthcheck/live",
        "/metrics",
        "/openapi.json",
        "/api/events",
        "/api/events/{id}",
        "/api/events/recent",
        "/api/pending-events",
        "/api/pending-events/flush",
        "/api/pending-events/drop",
        "/api/sources",
        "/api/sinks",
        "/api/clock",
        "/api/clock/accept",
        "/api/owners",
        "/api/deliveries",
        "/api/deliveries/retry",
        "/api/deliveries/drop",
        "/api/deliveries/{sink}/{id}",
        "/api/deliveries/{sink}/{id}/retry",
        "/api/deliveries/{sink}/{id}/drop",
        "/api/replays",
        "/api/replays/{sink}",
        "/live/",
        "/inbox/ack",
        "/inbox/extend",
        "/inbox/extract",
        "/inbox/mark-processed",
    ];
    wanted.extend(fixed.map(str::to_owned));
    wanted.sort();
    let mut found: Vec<String> = api.document()["paths"].as_object().unwrap().keys().cloned().collect();
    found.sort();
    assert_eq!(found, wanted);
}

#[tokio::test]
async fn everything_is_described() {
    let inbox = Inbox::new().await;
    let api = inbox.api().await;
    let document = api.document();
    assert_eq!(document["openapi"], "3.1.0");
    let mut ids = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let place = format!("{method} {path}");
            assert!(said(&operation["summary"]), "{place}");
            assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()), "{place}");
            for parameter in operation["parameters"].as_array().unwrap() {
                assert!(
                    said(&parameter["description"]) && parameter["schema"].is_object(),
                    "{place}: {parameter}"
                );
            }
            let in_path =
                operation["parameters"].as_array().unwrap().iter().filter(|one| one["in"] == "path");
            assert_eq!(in_path.count(), path.matches('{').count(), "{place}");
            let responses = operation["responses"].as_object().unwrap();
            assert!(responses.keys().any(|status| status.starts_with('2')), "{place}");
            assert!(responses.values().all(|response| said(&response["description"])), "{place}");
            if !operation["requestBody"].is_null() {
                assert!(said(&operation["requestBody"]["description"]), "{place}");
            }
        }
    }
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        assert!(said(&schema["description"]), "{name}: {schema}");
        for (property, schema) in schema["properties"].as_object().into_iter().flatten() {
            let is_said = said(&schema["description"]) || schema["$ref"].is_string();
            assert!(is_said, "{name}.{property}: {schema}");
        }
    }
    all_references_lead_somewhere(document, document);
}

fn said(text: &Value) -> bool {
    text.as_str().is_some_and(|text| !text.is_empty())
}

fn all_references_lead_somewhere(document: &Value, part: &Value) {
    match part {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get("$ref") {
                let place = reference.strip_prefix('#').unwrap();
                assert!(document.pointer(place).is_some(), "{reference}");
            }
            members.values().for_each(|member| all_references_lead_somewhere(document, member));
        }
        Value::Array(items) => items.iter().for_each(|item| all_references_lead_somewhere(document, item)),
        _ => {}
    }
}

/// What the forerunner's routes answer is as described, too.
#[tokio::test]
async fn the_answers_of_all_other_routes_are_as_described() {
    let inbox = Inbox::new().await;
    let api = inbox.api().await;
    inbox.emit(&["a", "b"]).await;
    for path in [
        "/",
        "/healthcheck",
        "/healthcheck/live",
        "/metrics",
        "/openapi.json",
        "/api/events",
        "/api/events?limit=x",
        "/api/events/1",
        "/api/events/9",
        "/api/events/recent",
        "/api/pending-events",
        "/api/sources",
        "/api/sinks",
        "/inbox/extract?batch_size=0",
    ] {
        api.get(path).await;
    }
    let batch = api.get("/inbox/extract").await.json();
    assert_eq!(batch["events"].as_array().unwrap().len(), 2);
    api.get("/inbox/extract").await;
    let confirm = format!("/inbox/mark-processed?batch_id={}", batch["batch_id"]);
    assert_eq!(api.ask("POST", &confirm, &[], "").await.status, 200);
    assert_eq!(api.ask("POST", "/inbox/extract?lease=1m", &[], "").await.status, 200);
    assert_eq!(api.ask("POST", "/inbox/extract", &[], "").await.status, 422);
    assert_eq!(api.get("/inbox/extract?lease=1m").await.status, 405);
    assert_eq!(api.ask("POST", "/inbox/mark-processed?batch_id=1", &[], "").await.status, 404);
}
