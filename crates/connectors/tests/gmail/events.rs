//! What the events of plain mail say.

use inboxclaw_fakes::google::gmail::Mail;
use serde_json::json;

use crate::world::{DAY, World, data};

#[tokio::test]
async fn mail_that_arrives_is_reported_with_its_headers() {
    let mut world = World::begun(json!({})).await;
    let mail = Mail {
        to: "me@example.com, Bob <b@x.org>".to_owned(),
        headers: vec![("Date".to_owned(), "Sun, 22 Nov 2026 11:59:00 +0100".to_owned())],
        date: Some("2026-11-22T10:59:00.5Z".parse().unwrap()),
        text: "Tom & Jerry".to_owned(),
        ..Mail::incoming("\"Doe, Jane\" <j@x.org>", "=?UTF-8?Q?Gr=C3=BC=C3=9Fe?=")
    };
    let id = world.mailbox(|mailbox, now| mailbox.arrive(now, mail));
    assert_eq!(world.poll().await, [format!("received {id}")]);
    let event = world.memory.events().pop().unwrap();
    assert_eq!(event.event_type, "gmail.message_received");
    assert_eq!(event.entity_id.as_deref(), Some(&*id));
    assert_eq!(event.occurred_at, Some("2026-11-22T10:59:00.5Z".parse().unwrap()));
    let expected = format!(
        "{{\"threadId\":\"{id}\",\"messageId\":\"{id}\",\"snippet\":\"Tom &amp; Jerry\",\
         \"from\":{{\"name\":\"Doe, Jane\",\"email\":\"j@x.org\"}},\
         \"to\":{{\"name\":\"\",\"email\":\"me@example.com\"}},\
         \"subject\":\"=?UTF-8?Q?Gr=C3=BC=C3=9Fe?=\",\"date\":\"Sun, 22 Nov 2026 11:59:00 +0100\",\
         \"labelIds\":[\"INBOX\",\"UNREAD\"]}}"
    );
    assert_eq!(event.data.as_str(), expected);
}

#[tokio::test]
async fn header_names_have_no_case_and_missing_ones_are_null() {
    let mut world = World::begun(json!({})).await;
    let headers = [("FROM", "Jane <j@x.org>"), ("subject", "one"), ("subject", "two")];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    world.mailbox(|mailbox, now| mailbox.arrive(now, Mail { headers, ..Mail::default() }));
    world.mailbox(|mailbox, now| {
        mailbox.arrive(now, Mail { subject: String::new(), ..Mail::default() }.labelled(&[]))
    });
    world.poll().await;
    let events = world.memory.events();
    assert_eq!(data(&events[0])["from"], json!({ "name": "Jane", "email": "j@x.org" }));
    assert_eq!(data(&events[0])["subject"], "two");
    assert_eq!(data(&events[1])["labelIds"], json!([]));
}

#[tokio::test]
async fn mail_that_is_sent_is_told_apart_also_when_it_comes_back() {
    let mut world = World::begun(json!({})).await;
    let sent = world.mailbox(|mailbox, now| mailbox.arrive(now, Mail::sent("b@x.org", "one")));
    let both = world.mailbox(|mailbox, now| mailbox.arrive(now, Mail::to_oneself("two")));
    let expected = [format!("sent {sent}"), format!("sent {both}"), format!("received {both}-received")];
    assert_eq!(world.poll().await, expected);
    let events = world.memory.events();
    assert_eq!(events[1].entity_id, events[2].entity_id);
    assert_eq!(events[1].data, events[2].data);
    // One message, one deletion.
    world.mailbox(|mailbox, now| mailbox.delete(now, &both));
    assert_eq!(world.poll().await, [format!("deleted {both}-deleted")]);
}

#[tokio::test]
async fn a_deletion_names_thread_and_message_and_the_trash_is_none() {
    let mut world = World::begun(json!({})).await;
    let first = world.mailbox(|mailbox, now| mailbox.arrive(now, Mail::default()));
    let id = world.mailbox(|mailbox, now| mailbox.arrive(now, Mail::default().thread(&first)));
    world.poll().await;
    world.mailbox(|mailbox, now| mailbox.trash(now, &id));
    assert_eq!(world.poll().await, [""; 0]);
    world.mailbox(|mailbox, now| mailbox.delete(now, &id));
    world.forget_asked();
    assert_eq!(world.poll().await, [format!("deleted {id}-deleted")]);
    assert_eq!(world.fetched(), [""; 0], "a deletion costs no fetch");
    let event = world.memory.events().pop().unwrap();
    assert_eq!(event.data.as_str(), format!("{{\"threadId\":\"{first}\",\"messageId\":\"{id}\"}}"));
    assert_eq!((event.entity_id.as_deref(), event.occurred_at), (Some(&*id), None));
}

#[tokio::test]
async fn deletions_of_mail_from_before_the_start_are_reported() {
    let mut world = World::new(json!({})).await;
    let id = world.mailbox(|mailbox, now| mailbox.arrive(now, Mail::default()));
    assert_eq!(world.poll().await, [""; 0]);
    world.mailbox(|mailbox, now| mailbox.delete(now, &id));
    assert_eq!(world.poll().await, [format!("deleted {id}-deleted")]);
}

#[tokio::test]
async fn a_quiet_poll_asks_once_and_writes_nothing() {
    let mut world = World::begun(json!({})).await;
    world.mailbox(|mailbox, now| mailbox.arrive(now, Mail::default()));
    world.poll().await;
    world.forget_asked();
    let (writes, saved) = (world.memory.writes(), world.memory.saved());
    for _ in 0..3 {
        assert_eq!(world.poll().await, [""; 0]);
        world.restart();
    }
    assert_eq!(world.memory.writes(), writes);
    assert_eq!(world.memory.saved(), saved);
    assert_eq!(world.fake.requests().len(), 3);
}

#[tokio::test]
async fn what_is_remembered_of_reported_mail_goes_after_the_window() {
    let mut world = World::begun(json!({ "recovery_backfill_window": "3d" })).await;
    let id = world.mailbox(|mailbox, now| mailbox.arrive(now, Mail::default()));
    world.poll().await;
    assert!(world.memory.values().contains_key(&format!("seen:{id}")));
    world.advance(3 * DAY);
    assert!(!world.memory.values().contains_key(&format!("seen:{id}")));
    world.mailbox(|mailbox, now| mailbox.delete(now, &id));
    assert_eq!(world.poll().await, [format!("deleted {id}-deleted")]);
}

#[tokio::test]
async fn changes_of_labels_are_reported_on_request_once_for_each_record() {
    let mut world = World::begun(json!({ "emit_label_events": true })).await;
    let id = world.mailbox(|mailbox, now| mailbox.arrive(now, Mail::default()));
    world.poll().await;
    let record = world.mailbox(|mailbox, now| {
        mailbox.together(|mailbox| {
            mailbox.relabel(now, &id, &["STARRED"], &["UNREAD"]);
            mailbox.relabel(now, &id, &["IMPORTANT"], &[]);
        });
        mailbox.history_id()
    });
    let expected =
        [format!("label_added {id}-{record}-lab-add"), format!("label_removed {id}-{record}-lab-rem")];
    assert_eq!(world.poll().await, expected);
    let events = world.memory.events();
    assert_eq!(data(&events[1])["labelIds"], json!(["STARRED", "IMPORTANT"]));
    let expected = format!(
        "{{\"threadId\":\"{id}\",\"messageId\":\"{id}\",\"labelIds\":[\"UNREAD\"],\
         \"allLabelIds\":[\"INBOX\",\"STARRED\"]}}"
    );
    assert_eq!(events[2].data.as_str(), expected);
    assert_eq!((events[2].entity_id.as_deref(), events[2].occurred_at), (Some(&*id), None));
}

#[tokio::test]
async fn labels_that_history_does_not_name_are_an_empty_list() {
    let mut world = World::begun(json!({ "emit_label_events": true })).await;
    let id = world.mailbox(|mailbox, now| {
        mailbox.labels_in_history = false;
        let id = mailbox.arrive(now, Mail::default());
        mailbox.relabel(now, &id, &["STARRED"], &[]);
        id
    });
    world.poll().await;
    assert_eq!(data(&world.memory.events()[1])["allLabelIds"], json!([]));
    assert_eq!(data(&world.memory.events()[0])["messageId"], json!(id));
}

#[tokio::test]
async fn a_rewind_to_yesterday_repeats_nothing() {
    let mut world = World::begun(json!({ "emit_label_events": true })).await;
    let kept = world.mailbox(|mailbox, now| mailbox.arrive(now, Mail::default()));
    world.poll().await;
    let yesterday = world.memory.saved();
    world.advance(DAY);
    let gone = world.mailbox(|mailbox, now| {
        let gone = mailbox.arrive(now, Mail::default());
        mailbox.arrive(now, Mail::spam("x@x.org", "buy"));
        mailbox.relabel(now, &kept, &["STARRED"], &[]);
        gone
    });
    world.poll().await;
    world.mailbox(|mailbox, now| mailbox.delete(now, &gone));
    world.poll().await;
    let (all, today) = (world.all(), world.memory.values());
    world.memory.rewind(yesterday);
    assert_eq!(world.poll().await, [""; 0]);
    assert_eq!(world.all(), all);
    assert_eq!(world.memory.cursor().unwrap(), world.fake.gmail().history_id().to_string());
    assert_eq!(world.memory.values().len(), today.len());
}
