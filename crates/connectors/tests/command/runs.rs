//! What a command is given: events one by one or together, standard input, environment, arguments.

use inboxclaw_contract::{Delivery, DeliveryOrigin, Outside, Receipt};
use serde_json::{Value, json};

use crate::{built_with, event, events, read, reason, sender, sender_of, sent, support::outside};

#[tokio::test]
async fn an_event_comes_by_input_environment_and_arguments() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let show = "cat > \"$0\"; printf '%s|' \"$@\" \"$INBOXCLAW_EVENT_SEQ\" \"$INBOXCLAW_EVENT_ID\" \"$INBOXCLAW_EVENT_TYPE\" \
                \"$INBOXCLAW_EVENT_SOURCE\" \"$INBOXCLAW_EVENT_ENTITY\" \"$INBOXCLAW_EVENT_MESSAGE_ID\" \
                \"$INBOXCLAW_EVENT_ATTEMPT\" \"$INBOXCLAW_EVENTS\" \"$INBOXCLAW_SINK\" >> \"$0\"";
    let command = json!([
        "sh",
        "-c",
        show,
        out,
        "#root.id",
        "#root.data.big",
        "#root.entity_id",
        "#root.data.none",
        "$root.data"
    ]);
    let sender = sender(json!({ "command": command }));
    let mut event = event(17, &json!({ "x": [true, null] }));
    event.data = inboxclaw_contract::Json::new("{\"big\": 123456789012345678901, \"f\": 1.0}").unwrap();
    let delivery = Delivery { event, attempt: 3, origin: DeliveryOrigin::Log };
    let mut receipts = Vec::new();
    sender.send(std::slice::from_ref(&delivery), &mut receipts).await.unwrap();
    assert_eq!(receipts, [Receipt::Done]);
    let envelope = "{\"id\":17,\"event_id\":\"e17\",\"event_type\":\"a.b\",\"entity_id\":\"x17\",\
                    \"created_at\":\"2026-11-22T06:00:00\",\"data\":{\"big\":123456789012345678901,\"f\":1.0},\
                    \"source\":{\"id\":4,\"name\":\"mail\"},\"meta\":{}}";
    let shown = format!(
        "{envelope}\n17|123456789012345678901|x17||{{\"big\": 123456789012345678901, \"f\": 1.0}}|17|e17|a.b|mail|x17|{}|3|1|test|",
        delivery.message_id()
    );
    assert_eq!(read(&out), shown);
}

/// Settings whose runs write a line of the ids that they have, and that all runs write into `out`.
fn counting(out: &std::path::Path, threshold: i64) -> Value {
    let line = format!(
        "printf '%s:%s ' one \"$INBOXCLAW_EVENTS\" >> {0}; grep -o '^{{\"id\":[0-9]*' | tr -d '\\n' >> {0}; echo >> {0}",
        out.display()
    );
    json!({ "command": line, "batch_command": line.replace("one", "all"), "batch_threshold": threshold })
}

#[tokio::test]
async fn from_the_threshold_on_events_go_together() {
    for (threshold, count, runs) in [
        (10, 2, "one:1 {\"id\":1\none:1 {\"id\":2\n"),
        (3, 3, "all:3 {\"id\":1{\"id\":2{\"id\":3\n"),
        (1, 1, "all:1 {\"id\":1\n"),
        (0, 1, "all:1 {\"id\":1\n"),
        (-3, 2, "all:2 {\"id\":1{\"id\":2\n"),
        (101, 2, "one:1 {\"id\":1\none:1 {\"id\":2\n"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        let receipts = sent(&*sender(counting(&out, threshold)), &events(1..=count)).await;
        assert!(receipts.len() == count as usize && receipts.iter().all(|receipt| *receipt == Receipt::Done));
        assert_eq!(read(&out), runs, "{threshold}");
    }
}

#[tokio::test]
async fn the_result_of_a_run_is_that_of_all_its_events() {
    let sender = sender(json!({ "command": "exit 3", "batch_threshold": 2 }));
    let receipts = sent(&*sender, &events(1..=3)).await;
    assert_eq!(receipts, vec![Receipt::Again { wait: None, reason: "exit code 3".to_owned() }; 3]);
}

#[tokio::test]
async fn a_large_batch_goes_by_input_at_once_and_by_arguments_in_parts() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let text = "x".repeat(3_000);
    let many: Vec<_> = (1..=100).map(|seq| event(seq, &json!({ "text": text }))).collect();
    let show = format!("wc -l | tr -d ' ' >> {}", out.display());
    let by_input = sender(json!({ "command": show }));
    assert_eq!(sent(&*by_input, &many).await, vec![Receipt::Done; 100]);
    assert_eq!(read(&out), "100\n");
    std::fs::remove_file(&out).unwrap();
    let by_argument = sender(json!({ "command": ["sh", "-c", show, "sh", "$root"] }));
    assert_eq!(sent(&*by_argument, &many).await, vec![Receipt::Done; 100]);
    assert_eq!(read(&out), "25\n25\n25\n25\n");
    // One that is too long by itself is the only one that fails.
    let mut mixed = events(1..=10);
    mixed[4] = event(5, &json!({ "text": "x".repeat(200_000) }));
    let receipts = sent(&*by_argument, &mixed).await;
    for (at, receipt) in receipts.iter().enumerate() {
        assert_eq!(matches!(receipt, Receipt::Never { .. }), at == 4, "{at}: {receipt:?}");
    }
    assert!(reason(&receipts[4]).ends_with("take the event from standard input"), "{receipts:?}");
}

#[tokio::test]
async fn the_environment_is_ours_without_what_is_hidden() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    // Cargo gives every test both of them.
    let show = format!("printf '%s|' \"$CARGO_PKG_NAME\" \"$CARGO_MANIFEST_DIR\" > {}", out.display());
    let hidden_variables = vec!["CARGO_MANIFEST_DIR".to_owned()];
    let outside = Outside { hidden_variables, ..outside("/") };
    let sender = sender_of(built_with(json!({ "command": show }), &outside).unwrap());
    assert_eq!(sent(&*sender, &events([1])).await, [Receipt::Done]);
    assert_eq!(read(&out), "inboxclaw-connectors||");
}
