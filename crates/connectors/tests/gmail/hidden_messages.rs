//! What is not reported: drafts, spam, what filters drop, and what is gone before anybody could read it.

use std::time::Duration;

use inboxclaw_fakes::google::LoggedRequest;
use inboxclaw_fakes::google::gmail::Mail;
use serde_json::json;

use crate::world::{HOUR, World};

#[tokio::test]
async fn of_a_draft_only_what_is_sent_is_reported() {
    let mut world = World::begun(json!({})).await;
    let draft = world.mailbox(|mailbox, now| mailbox.save_draft(now, None, Mail::sent("b@x.org", "1")));
    assert_eq!(world.poll().await, [""; 0]);
    for subject in ["2", "3"] {
        world.mailbox(|mailbox, now| mailbox.save_draft(now, Some(&draft), Mail::sent("b@x.org", subject)));
        assert_eq!(world.poll().await, [""; 0]);
    }
    let sent = world.mailbox(|mailbox, now| mailbox.send_draft(now, &draft)).unwrap();
    assert_eq!(world.poll().await, [format!("sent {sent}")]);
}

#[tokio::test]
async fn drafts_and_spam_from_before_the_start_go_silently() {
    let mut world = World::new(json!({})).await;
    let (draft, spam) = world.mailbox(|mailbox, now| {
        let draft = mailbox.save_draft(now, None, Mail::default());
        (draft, mailbox.arrive(now, Mail::spam("x@x.org", "buy")))
    });
    assert_eq!(world.poll().await, [""; 0]);
    world.mailbox(|mailbox, now| {
        mailbox.save_draft(now, Some(&draft), Mail::default());
        mailbox.delete(now, &spam)
    });
    assert_eq!(world.poll().await, [""; 0]);
}

#[tokio::test]
async fn drafts_are_mail_if_they_are_included() {
    let mut world = World::begun(json!({ "include_drafts": true })).await;
    let draft = world.mailbox(|mailbox, now| mailbox.save_draft(now, None, Mail::default()));
    let first = world.mailbox(|mailbox, _| mailbox.draft_message(&draft).unwrap().to_owned());
    assert_eq!(world.poll().await, [format!("received {first}")]);
    world.mailbox(|mailbox, now| mailbox.save_draft(now, Some(&draft), Mail::default()));
    let second = world.mailbox(|mailbox, _| mailbox.draft_message(&draft).unwrap().to_owned());
    assert_eq!(world.poll().await, [format!("received {second}"), format!("deleted {first}-deleted")]);
}

#[tokio::test]
async fn spam_is_reported_when_it_is_moved_out_whether_history_names_labels_or_not() {
    for named in [true, false] {
        let mut world = World::begun(json!({})).await;
        world.mailbox(|mailbox, _| mailbox.labels_in_history = named);
        let id = world.mailbox(|mailbox, now| mailbox.arrive(now, Mail::spam("x@x.org", "buy")));
        assert_eq!(world.poll().await, [""; 0]);
        assert_eq!(world.fetched().is_empty(), named, "labels that are named save the fetch");
        world.mailbox(|mailbox, now| mailbox.relabel(now, &id, &["INBOX"], &["SPAM"]));
        assert_eq!(world.poll().await, [format!("received {id}")]);
        // There and back again is the same mail.
        world.mailbox(|mailbox, now| mailbox.relabel(now, &id, &["SPAM"], &["INBOX"]));
        assert_eq!(world.poll().await, [""; 0]);
        world.mailbox(|mailbox, now| mailbox.relabel(now, &id, &["INBOX"], &["SPAM"]));
        assert_eq!(world.poll().await, [""; 0]);
        world.mailbox(|mailbox, now| mailbox.delete(now, &id));
        assert_eq!(world.poll().await, [format!("deleted {id}-deleted")]);
    }
}

#[tokio::test]
async fn spam_that_comes_and_is_moved_out_between_two_polls_is_reported_once() {
    let mut world = World::begun(json!({ "emit_label_events": true })).await;
    let (id, record) = world.mailbox(|mailbox, now| {
        let id = mailbox.arrive(now, Mail::spam("x@x.org", "buy"));
        mailbox.relabel(now, &id, &["STARRED"], &[]);
        mailbox.relabel(now, &id, &["INBOX"], &["SPAM"]);
        (id, mailbox.history_id())
    });
    let expected = [
        format!("received {id}"),
        format!("label_added {id}-{record}-lab-add"),
        format!("label_removed {id}-{record}-lab-rem"),
    ];
    assert_eq!(world.poll().await, expected);
    assert_eq!(world.fetched(), [id]);
}

#[tokio::test]
async fn the_last_hiding_label_counts() {
    let mut world = World::begun(json!({ "exclude_label_ids": ["SPAM", "Label_1"] })).await;
    let mail = || Mail::default().labelled(&["SPAM", "Label_1"]);
    let id = world.mailbox(|mailbox, now| {
        mailbox.add_label("Muted");
        mailbox.arrive(now, mail())
    });
    assert_eq!(world.poll().await, [""; 0]);
    world.mailbox(|mailbox, now| mailbox.relabel(now, &id, &[], &["SPAM"]));
    assert_eq!(world.poll().await, [""; 0]);
    world.mailbox(|mailbox, now| mailbox.relabel(now, &id, &[], &["Label_1"]));
    assert_eq!(world.poll().await, [format!("received {id}")]);
}

#[tokio::test]
async fn labels_of_hidden_mail_and_its_deletion_are_silent() {
    let mut world = World::begun(json!({ "emit_label_events": true })).await;
    let id = world.mailbox(|mailbox, now| {
        mailbox.labels_in_history = false;
        mailbox.arrive(now, Mail::spam("x@x.org", "buy"))
    });
    world.poll().await;
    world.mailbox(|mailbox, now| mailbox.relabel(now, &id, &["STARRED"], &["UNREAD"]));
    assert_eq!(world.poll().await, [""; 0]);
    world.mailbox(|mailbox, now| mailbox.delete(now, &id));
    assert_eq!(world.poll().await, [""; 0]);
}

#[tokio::test]
async fn filters_drop_by_subject_snippet_and_sender() {
    let filters = json!([
        { "bills": { "in": "subject", "contains": "INVOICE" }, "far": { "in_field": "sender", "regex": "@far\\.org>$" } },
        { "coupons": { "in": "snippet", "contains": "50 % off & more" } },
    ]);
    let mut world = World::begun(json!({ "filters": filters })).await;
    let (dropped, kept) = world.mailbox(|mailbox, now| {
        let coupon = Mail { text: "50 % off & more".to_owned(), ..Mail::default() };
        let dropped =
            [Mail::incoming("x@x.org", "Your invoice"), Mail::incoming("X <x@far.org>", "hi"), coupon];
        let dropped = dropped.map(|mail| mailbox.arrive(now, mail));
        (dropped, mailbox.arrive(now, Mail::incoming("X <x@far.org.uk>", "hi")))
    });
    assert_eq!(world.poll().await, [format!("received {kept}")]);
    world.forget_asked();
    world.mailbox(|mailbox, now| {
        mailbox.relabel(now, &dropped[0], &["STARRED"], &[]);
        dropped.iter().for_each(|id| assert!(mailbox.delete(now, id)));
    });
    assert_eq!(world.poll().await, [""; 0]);
    assert_eq!(world.fetched(), [""; 0]);
}

#[tokio::test]
async fn mail_that_comes_and_goes_between_two_polls_is_neither_asked_for_nor_reported() {
    let mut world = World::begun(json!({ "emit_label_events": true })).await;
    world.mailbox(|mailbox, now| {
        let id = mailbox.arrive(now, Mail::default());
        mailbox.relabel(now, &id, &["STARRED"], &[]);
        mailbox.delete(now, &id);
    });
    assert_eq!(world.poll().await, [""; 0]);
    let asked = world.fake.requests();
    assert_eq!(asked.len(), 1, "only the history");
}

#[tokio::test]
async fn mail_that_cannot_be_read_at_once_is_reported_by_the_next_poll() {
    let mut world = World::begun(json!({})).await;
    let ids = world.mailbox(|mailbox, now| {
        let ids = [(); 2].map(|()| mailbox.arrive(now, Mail::default()));
        mailbox.hold_back(&ids[0], 1);
        ids
    });
    assert_eq!(world.poll().await, [format!("received {}", ids[1])]);
    assert_eq!(world.poll().await, [format!("received {}", ids[0])]);
    let writes = world.memory.writes();
    assert_eq!(world.poll().await, [""; 0]);
    assert_eq!(world.memory.writes(), writes);
}

/// It used to be given up after two polls, which with a short interval was a second.
#[tokio::test]
async fn mail_that_is_late_is_given_up_by_age_and_its_deletion_is_silent() {
    let mut world = World::begun(json!({})).await;
    let [late, never] = world.mailbox(|mailbox, now| {
        let ids = [(); 2].map(|()| mailbox.arrive(now, Mail::default()));
        ids.iter().for_each(|id| mailbox.hold_back(id, 1_000));
        ids
    });
    world.forget_asked();
    for _ in 0..25 {
        assert_eq!(world.poll().await, [""; 0]);
        world.advance(Duration::from_secs(1));
        world.restart();
    }
    let asked = world.fake.requests();
    let count =
        |asked: &[LoggedRequest], id: &str| asked.iter().filter(|asked| asked.path.ends_with(id)).count();
    // With the history, and after 1, 2, 4, 8 and 16 seconds.
    assert_eq!((count(&asked, &late), count(&asked, &never)), (6, 6));
    world.mailbox(|mailbox, _| mailbox.hold_back(&late, 0));
    world.advance(Duration::from_secs(7));
    assert_eq!(world.poll().await, [format!("received {late}")]);
    world.advance(HOUR);
    assert_eq!(world.poll().await, [""; 0]);
    assert!(world.memory.values().contains_key(&format!("hidden:{never}")));
    world.mailbox(|mailbox, now| mailbox.delete(now, &never));
    assert_eq!(world.poll().await, [""; 0]);
}

/// As the former version wrote it.
#[tokio::test]
async fn mail_that_a_former_version_waits_for_is_waited_for() {
    let mut world = World::begun(json!({})).await;
    let id = world.mailbox(|mailbox, now| {
        let id = mailbox.arrive(now, Mail::default());
        mailbox.hold_back(&id, 3);
        id
    });
    world.poll().await;
    let key = format!("retry:{id}");
    let (cursor, mut entries) = world.memory.saved();
    let upto =
        serde_json::from_str::<serde_json::Value>(&world.memory.values()[&key]).unwrap()["upto"].clone();
    let entry = entries.get_mut(&key).unwrap();
    entry.value = inboxclaw_contract::Json::from_value(&json!({ "upto": upto })).unwrap();
    world.memory.rewind((cursor, entries));
    assert_eq!(world.poll().await, [""; 0]);
    assert_eq!(world.poll().await, [""; 0]);
    assert_eq!(world.poll().await, [format!("received {id}")]);
}

#[tokio::test]
async fn mail_that_can_be_read_only_later_holds_up_nothing_and_survives_a_restart() {
    let mut world = World::begun(json!({})).await;
    let late = world.mailbox(|mailbox, now| {
        let id = mailbox.arrive(now, Mail::default());
        mailbox.find_from(&id, now + Duration::from_secs(25));
        id
    });
    assert_eq!(world.poll().await, [""; 0]);
    world.advance(Duration::from_secs(3));
    let other = world.mailbox(|mailbox, now| mailbox.arrive(now, Mail::default()));
    assert_eq!(world.poll().await, [format!("received {other}")]);
    world.restart();
    for _ in 0..21 {
        world.advance(Duration::from_secs(1));
        assert_eq!(world.poll().await, [""; 0]);
    }
    world.advance(Duration::from_secs(60));
    assert_eq!(world.poll().await, [format!("received {late}")]);
}
