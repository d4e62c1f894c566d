//! Replays over HTTP: planned, started, listed, ended.

use inboxclaw_contract::Owner;
use inboxclaw_contract::store::StateLimits;
use inboxclaw_server::states::Configured;
use inboxclaw_settings::Patterns;
use serde_json::{Value, json};

use super::support::{Answer, Inbox, Running};

async fn ask(server: &Running, body: Value) -> Answer {
    let body = body.to_string();
    let headers = [("Content-Type", "application/json"), ("Content-Length", &*body.len().to_string())];
    server.exchange("POST", "/api/replays", &headers, &body).await
}

fn sink(name: &str, connector: &str, patterns: &[&str]) -> Configured {
    Configured {
        owner: Owner::sink(name),
        connector: connector.to_owned(),
        takes: Patterns::new(patterns),
        policy: StateLimits::default(),
    }
}

async fn serve(inbox: &Inbox) -> Running {
    inbox
        .serve_with(|app| {
            app.configured = vec![sink("hook", "webhook", &["t.*"]), sink("inbox", "http_pull", &["*"])];
        })
        .await
}

#[tokio::test]
async fn a_replay_is_planned_started_and_ended() {
    let inbox = Inbox::new().await;
    let hook = inbox.push_sink("hook").await;
    let server = serve(&inbox).await;
    inbox.emit(&["t.x", "u"]).await;
    inbox.clock.advance(std::time::Duration::from_secs(3_600));
    inbox.emit(&["t.x", "t.y", "u", "t.x"]).await;
    assert_eq!(server.get("/api/replays").await.json(), json!([]));
    let planned = ask(&server, json!({"sink": "hook", "since": "30m", "dry_run": true})).await;
    assert_eq!((planned.status, &planned.json()["events"]), (200, &json!(3)), "{planned:?}");
    assert_eq!(planned.json()["replay"], 0);
    assert_eq!(inbox.woken.take(), []);
    let all =
        ask(&server, json!({"sink": "hook", "since": "2026-11-22", "type": "t.x", "dry_run": true})).await;
    assert_eq!(all.json()["events"], 3);
    assert_eq!(server.get("/api/replays").await.json(), json!([]), "nothing was started");
    let started = ask(&server, json!({"sink": "hook", "since": "30m", "type": "t.x"})).await;
    let job = json!({
        "sink": "hook", "replay": 1, "position": 2, "until": 6, "events": 2, "sent": 0, "ended": false,
    });
    assert_eq!((started.status, started.json()), (201, job.clone()));
    assert_eq!(inbox.woken.take(), [Owner::sink("hook")]);
    assert_eq!(server.get("/api/replays?sink=hook").await.json(), json!([job]));
    let again = ask(&server, json!({"sink": "hook", "since": "1h"})).await;
    assert_eq!(again.status, 409);
    assert!(again.body.contains("replay 1 of this sink is running"), "{again:?}");
    let ended = server.request("DELETE", "/api/replays/hook", &[]).await;
    assert_eq!((ended.status, &ended.json()["ended"]), (200, &json!(true)));
    assert_eq!(server.request("DELETE", "/api/replays/hook", &[]).await.status, 404);
    assert_eq!(server.get("/api/replays").await.json()[0]["ended"], true);
    let next = ask(&server, json!({"sink": "hook", "since": "1h"})).await;
    assert_eq!((next.status, &next.json()["replay"]), (201, &json!(2)), "no two replays have one number");
    let history =
        inbox.store.history(hook, None, inboxclaw_contract::store::HistoryLimit::turns(9)).await.unwrap();
    assert!(history.iter().all(|turn| turn.author.as_deref() == Some("http")), "{history:?}");
}

#[tokio::test]
async fn what_cannot_be_replayed_is_refused() {
    let inbox = Inbox::new().await;
    inbox.push_sink("left").await;
    let server = serve(&inbox).await;
    for (body, status, said) in [
        (json!({"sink": "none", "since": "1h"}), 404, "there is no sink"),
        (json!({"sink": "left", "since": "1h"}), 409, "the configuration does not name"),
        (json!({"sink": "inbox", "since": "1h"}), 422, "http_pull"),
        (json!({"sink": "hook", "since": "soon"}), 422, "since must be"),
        (json!({"sink": "hook", "since": "1h", "until": "x"}), 422, "until must be"),
        (json!({"sink": "hook"}), 400, "since"),
        (json!({"sink": "hook", "since": "1h", "typ": "t"}), 400, "typ"),
    ] {
        let answer = ask(&server, body.clone()).await;
        assert_eq!(answer.status, status, "{body}: {answer:?}");
        assert!(answer.body.contains(said), "{body}: {answer:?}");
    }
    assert_eq!(server.get("/api/replays?sink=none").await.status, 404);
    assert_eq!(server.request("DELETE", "/api/replays/none", &[]).await.status, 404);
}
