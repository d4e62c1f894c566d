//! The mailbox, data in and data out: scripts and requests in, answers out.

use super::*;
use crate::google::api::{Body, Request};
use serde_json::Value;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

fn try_get(mailbox: &mut Mailbox, path: &str, query: &[(&str, &str)]) -> (u16, Value) {
    try_get_at(at(0), mailbox, path, query)
}

fn try_get_at(now: Timestamp, mailbox: &mut Mailbox, path: &str, query: &[(&str, &str)]) -> (u16, Value) {
    let answer = mailbox.answer(&Request::new(&format!("users/me/{path}"), query), now);
    let Body::Json(body) = answer.body else { panic!("no JSON") };
    (answer.status, body)
}

fn get(mailbox: &mut Mailbox, path: &str, query: &[(&str, &str)]) -> Value {
    let (status, body) = try_get(mailbox, path, query);
    assert_eq!(status, 200, "{body}");
    body
}

/// Every page of a listing: the items under `name`.
fn pages(mailbox: &mut Mailbox, path: &str, query: &[(&str, &str)], name: &str) -> Vec<Vec<Value>> {
    let (mut all, mut token) = (Vec::new(), String::new());
    loop {
        let page = get(mailbox, path, &[query, &[("pageToken", &token)]].concat());
        all.push(page[name].as_array().cloned().unwrap_or_default());
        let Some(next) = page["nextPageToken"].as_str() else { return all };
        token = next.to_owned();
    }
}

fn ids(items: &[Value]) -> Vec<String> {
    items.iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

/// The records after `start` in short: what happened to which message.
fn story(mailbox: &mut Mailbox, start: u64, query: &[(&str, &str)]) -> Vec<(String, String)> {
    let start = start.to_string();
    let query = [&[("startHistoryId", start.as_str())], query].concat();
    let records = pages(mailbox, "history", &query, "history").concat();
    let mut story = Vec::new();
    for record in &records {
        for kind in ["messagesAdded", "messagesDeleted", "labelsAdded", "labelsRemoved"] {
            for entry in record[kind].as_array().into_iter().flatten() {
                story.push((kind.to_owned(), entry["message"]["id"].as_str().unwrap().to_owned()));
            }
        }
    }
    story
}

fn told(story: &[(&str, &str)]) -> Vec<(String, String)> {
    story.iter().map(|(kind, id)| ((*kind).to_owned(), (*id).to_owned())).collect()
}

#[test]
fn the_history_tells_what_happened_since() {
    let mut mailbox = Mailbox::default();
    let old = mailbox.arrive(at(0), Mail::incoming("a@example.org", "old"));
    let start = mailbox.history_id();
    assert_eq!(story(&mut mailbox, start, &[]), []);
    let new = mailbox.arrive(at(1), Mail::incoming("b@example.org", "new"));
    assert!(mailbox.relabel(at(2), &new, &["STARRED"], &["UNREAD", "SPAM"]));
    assert!(!mailbox.relabel(at(2), &new, &["STARRED"], &["UNREAD"]), "nothing left to change");
    assert!(mailbox.trash(at(3), &old));
    assert!(mailbox.delete(at(4), &old));
    let all = [
        ("messagesAdded", &*new),
        ("labelsAdded", &*new),
        ("labelsRemoved", &*new),
        ("labelsAdded", &*old),
        ("labelsRemoved", &*old),
        ("messagesDeleted", &*old),
    ];
    assert_eq!(story(&mut mailbox, start, &[]), told(&all));
    let some = [("historyTypes", "messageAdded"), ("historyTypes", "messageDeleted")];
    assert_eq!(story(&mut mailbox, start, &some), told(&[all[0], all[5]]));
    assert_eq!(story(&mut mailbox, start, &[("labelId", "TRASH")]), told(&all[3..]));
    let page = get(&mut mailbox, "history", &[("startHistoryId", &start.to_string())]);
    assert_eq!(page["historyId"], mailbox.history_id().to_string());
    let trash = &page["history"][2];
    let bare = serde_json::json!({ "id": old, "threadId": old });
    assert_eq!(trash["messages"], serde_json::json!([bare]));
    assert_eq!(trash["labelsAdded"][0]["labelIds"], serde_json::json!(["TRASH"]));
    assert_eq!(trash["labelsAdded"][0]["message"]["labelIds"], serde_json::json!(["UNREAD", "TRASH"]));
    assert_eq!(page["history"][3]["messagesDeleted"][0]["message"], bare);
    assert_eq!(try_get(&mut mailbox, &format!("messages/{old}"), &[]).0, 404);
    mailbox.labels_in_history = false;
    let page = get(&mut mailbox, "history", &[("startHistoryId", &start.to_string())]);
    assert_eq!(page["history"][2]["labelsAdded"][0]["message"], bare);
}

#[test]
fn record_ids_grow_with_gaps_and_may_be_shared() {
    let mut mailbox = Mailbox::default();
    let start = mailbox.history_id();
    let one = mailbox.arrive(at(0), Mail::default());
    mailbox.together(|mailbox| {
        mailbox.relabel(at(1), &one, &["STARRED"], &[]);
        mailbox.relabel(at(1), &one, &["IMPORTANT"], &[]);
    });
    mailbox.arrive(at(2), Mail::default());
    let page = get(&mut mailbox, "history", &[("startHistoryId", &start.to_string())]);
    let numbers: Vec<u64> =
        ids(page["history"].as_array().unwrap()).iter().map(|id| id.parse().unwrap()).collect();
    assert_eq!(numbers.len(), 3);
    assert!(numbers.is_sorted_by(|one, two| one < two), "{numbers:?}");
    assert!(numbers[2] - numbers[0] > 2, "{numbers:?}");
    assert_eq!(page["history"][1]["labelsAdded"].as_array().unwrap().len(), 2);
    assert_eq!(page["history"][1]["messages"].as_array().unwrap().len(), 1);
}

#[test]
fn pages_hold_everything_in_order_and_tokens_belong_to_their_query() {
    let mut mailbox = Mailbox::bulk(at(0), 1100);
    let arrived: Vec<String> = mailbox.messages().map(|message| message.id.clone()).collect();
    let history = pages(&mut mailbox, "history", &[("startHistoryId", "9900")], "history");
    assert_eq!(history.len(), 11, "100 without maxResults");
    let query = [("startHistoryId", "9900"), ("maxResults", "5000")];
    let history = pages(&mut mailbox, "history", &query, "history");
    assert_eq!(history.iter().map(Vec::len).collect::<Vec<_>>(), [500, 500, 100]);
    let added: Vec<Value> =
        history.concat().iter().map(|record| record["messagesAdded"][0]["message"].clone()).collect();
    assert_eq!(ids(&added), arrived);
    let listed = pages(&mut mailbox, "messages", &[("maxResults", "500")], "messages").concat();
    assert_eq!(ids(&listed), arrived.iter().rev().cloned().collect::<Vec<_>>(), "newest first");

    let page = get(&mut mailbox, "history", &[("startHistoryId", "9900")]);
    let token = page["nextPageToken"].as_str().unwrap();
    let other = mailbox.history[3].record.to_string();
    let moved = try_get(&mut mailbox, "history", &[("startHistoryId", &other), ("pageToken", token)]);
    assert_eq!((moved.0, &moved.1["error"]["errors"][0]["reason"]), (400, &"invalidArgument".into()));
    mailbox.expire_pages();
    assert_eq!(try_get(&mut mailbox, "history", &[("startHistoryId", "9900"), ("pageToken", token)]).0, 400);
}

#[test]
fn irregular_pages_lose_nothing() {
    let mut mailbox = Mailbox::bulk(at(0), 20);
    let arrived: BTreeSet<String> = mailbox.messages().map(|message| message.id.clone()).collect();
    mailbox.paging = Paging::irregular();
    let history = pages(&mut mailbox, "history", &[("startHistoryId", "9900")], "history");
    assert!(history.iter().any(Vec::is_empty));
    assert!(history.concat().len() > 20);
    let added = history.concat().iter().map(|record| record["messages"][0].clone()).collect::<Vec<_>>();
    assert_eq!(ids(&added).into_iter().collect::<BTreeSet<_>>(), arrived);
    let listed = pages(&mut mailbox, "messages", &[], "messages").concat();
    assert_eq!(ids(&listed).into_iter().collect::<BTreeSet<_>>(), arrived);
}

#[test]
fn a_listing_knows_times_labels_spam_and_trash() {
    let mut mailbox = Mailbox::default();
    let old = mailbox.arrive(at(0), Mail::default());
    let sent = mailbox.arrive(at(10), Mail::sent("x@example.org", "sent"));
    let spam = mailbox.arrive(at(20), Mail::spam("x@example.org", "spam"));
    let late = mailbox.arrive(at(30), Mail { date: Some(at(-5)), ..Mail::default() });
    let list = |mailbox: &mut Mailbox, query: &[(&str, &str)]| {
        ids(&pages(mailbox, "messages", query, "messages").concat())
    };
    assert_eq!(list(&mut mailbox, &[]), [&*sent, &*old, &*late]);
    assert_eq!(
        list(&mut mailbox, &[("includeSpamTrash", "true"), ("q", "after:1700000001")]),
        [&*spam, &*sent]
    );
    assert_eq!(list(&mut mailbox, &[("q", "after:1700000000 before:1700000010")]), [&*old]);
    assert_eq!(list(&mut mailbox, &[("labelIds", "SENT")]), [&*sent]);
    assert_eq!(list(&mut mailbox, &[("labelIds", "UNREAD"), ("labelIds", "INBOX")]), [&*old, &*late]);
    assert_eq!(list(&mut mailbox, &[("labelIds", "UNREAD"), ("labelIds", "SENT")]), [""; 0]);
    mailbox.relabel(at(40), &old, &[], &["UNREAD"]);
    mailbox.delete(at(40), &late);
    assert_eq!(list(&mut mailbox, &[("labelIds", "UNREAD")]), [""; 0]);
    let profile = get(&mut mailbox, "profile", &[]);
    assert_eq!((&profile["messagesTotal"], &profile["threadsTotal"]), (&3.into(), &3.into()));
    assert_eq!(try_get(&mut mailbox, "messages", &[("q", "from:x")]).0, 400);
}

#[test]
fn a_message_shows_the_headers_asked_for_as_the_sender_wrote_them() {
    let mut mailbox = Mailbox::default();
    let mut mail = Mail::incoming("a@example.org", "Tea & cake");
    mail.headers = vec![("SUBJECT".to_owned(), "Loud".to_owned()), ("X-Other".to_owned(), "1".to_owned())];
    mail.text = "one & two".to_owned();
    let id = mailbox.arrive(at(1), mail);
    let path = format!("messages/{id}");
    let query = [("format", "metadata"), ("metadataHeaders", "From"), ("metadataHeaders", "Subject")];
    let message = get(&mut mailbox, &path, &query);
    let headers = serde_json::json!([
        { "name": "From", "value": "a@example.org" },
        { "name": "SUBJECT", "value": "Loud" },
    ]);
    assert_eq!(message["payload"]["headers"], headers);
    assert_eq!(message["internalDate"], "1700000001000");
    assert_eq!(message["snippet"], "one &amp; two");
    assert_eq!(message["labelIds"], serde_json::json!(["INBOX", "UNREAD"]));
    assert_eq!(get(&mut mailbox, &path, &[])["payload"]["headers"].as_array().unwrap().len(), 6);
    let minimal = get(&mut mailbox, &path, &[("format", "minimal")]);
    assert_eq!(minimal.get("payload"), None);
    mailbox.relabel(at(2), &id, &[], &["INBOX", "UNREAD"]);
    assert_eq!(get(&mut mailbox, &path, &[("format", "minimal")]).get("labelIds"), None);
    mailbox.hold_back(&id, 2);
    let statuses = [(); 3].map(|()| try_get(&mut mailbox, &path, &[]).0);
    assert_eq!(statuses, [404, 404, 200]);
}

#[test]
fn saving_a_draft_replaces_its_message_and_sending_makes_another() {
    let mut mailbox = Mailbox::default();
    let start = mailbox.history_id();
    let draft = mailbox.save_draft(at(0), None, Mail::sent("x@example.org", "one"));
    let first = mailbox.draft_message(&draft).unwrap().to_owned();
    assert_eq!(mailbox.save_draft(at(1), Some(&draft), Mail::sent("x@example.org", "two")), draft);
    let second = mailbox.draft_message(&draft).unwrap().to_owned();
    assert_eq!(mailbox.message(&second).unwrap().thread, first);
    let sent = mailbox.send_draft(at(2), &draft).unwrap();
    let told = told(&[
        ("messagesAdded", &first),
        ("messagesAdded", &second),
        ("messagesDeleted", &first),
        ("messagesAdded", &sent),
        ("messagesDeleted", &second),
    ]);
    assert_eq!(story(&mut mailbox, start, &[]), told);
    let labels: Vec<_> = mailbox.history.iter().map(|change| change.labels.join(" ")).collect();
    assert_eq!(labels, ["DRAFT", "DRAFT", "DRAFT", "SENT", "DRAFT"]);
    let message = get(&mut mailbox, &format!("messages/{sent}"), &[("metadataHeaders", "Subject")]);
    let subject = message["payload"]["headers"].as_array().unwrap().iter().find(|it| it["name"] == "Subject");
    assert_eq!(subject.unwrap()["value"], "two");
    assert_eq!(mailbox.send_draft(at(3), &draft), None);
}

#[test]
fn an_expired_history_begins_now() {
    let mut mailbox = Mailbox::bulk(at(0), 3);
    let before = mailbox.history_id();
    mailbox.expire_history();
    let (status, body) = try_get(&mut mailbox, "history", &[("startHistoryId", &before.to_string())]);
    assert_eq!((status, &body["error"]["errors"][0]["reason"]), (404, &"notFound".into()));
    let start = get(&mut mailbox, "profile", &[])["historyId"].as_str().unwrap().parse().unwrap();
    let id = mailbox.arrive(at(1), Mail::default());
    assert_eq!(story(&mut mailbox, start, &[]), told(&[("messagesAdded", &id)]));
    for wrong in [&[][..], &[("startHistoryId", "soon")], &[("startHistoryId", "-1")]] {
        assert_eq!(try_get(&mut mailbox, "history", wrong).0, 400);
    }
    assert_eq!(try_get(&mut mailbox, "history", &[("startHistoryId", "99999999")]).0, 404);
}

#[test]
fn a_message_may_be_in_the_history_before_it_can_be_read() {
    let mut mailbox = Mailbox::default();
    let start = mailbox.history_id();
    let id = mailbox.arrive(at(0), Mail::default());
    mailbox.find_from(&id, at(25));
    assert_eq!(story(&mut mailbox, start, &[]), told(&[("messagesAdded", &id)]));
    let path = format!("messages/{id}");
    let statuses = [0, 24, 25, 60].map(|second| try_get_at(at(second), &mut mailbox, &path, &[]).0);
    assert_eq!(statuses, [404, 404, 200, 200]);
}

#[test]
fn mail_to_oneself_is_one_message_both_sent_and_in_the_inbox() {
    let mut mailbox = Mailbox::default();
    let start = mailbox.history_id();
    let id = mailbox.arrive(at(0), Mail::to_oneself("note"));
    assert_eq!(story(&mut mailbox, start, &[("labelId", "INBOX")]), told(&[("messagesAdded", &id)]));
    assert_eq!(story(&mut mailbox, start, &[("labelId", "SENT")]), told(&[("messagesAdded", &id)]));
    let message = get(&mut mailbox, &format!("messages/{id}"), &[("metadataHeaders", "To")]);
    assert_eq!(message["labelIds"], serde_json::json!(["UNREAD", "SENT", "INBOX"]));
}

#[test]
fn a_minute_holds_so_many_units_and_refusals_cost_none() {
    let mut mailbox = Mailbox::default();
    let id = mailbox.arrive(at(0), Mail::default());
    let (path, start) = (format!("messages/{id}"), mailbox.history_id().to_string());
    let message = |mailbox: &mut Mailbox, second| try_get_at(at(second), mailbox, &path, &[]).0;
    mailbox.units_per_minute = Some(48);
    // The clock of these tests begins 20 seconds into a minute.
    assert_eq!([0, 1, 2, 39].map(|second| message(&mut mailbox, second)), [200, 200, 429, 403]);
    assert_eq!(try_get(&mut mailbox, "messages", &[]).0, 200, "5 of the 8 that are left");
    assert_eq!(try_get(&mut mailbox, "history", &[("startHistoryId", &start)]).0, 200, "2");
    assert_eq!(try_get(&mut mailbox, "profile", &[]).0, 200, "1");
    let (status, body) = try_get(&mut mailbox, "profile", &[]);
    assert_eq!((status, &body["error"]["errors"][0]["domain"]), (403, &"usageLimits".into()));
    assert_eq!(body["error"]["errors"][0]["reason"], "rateLimitExceeded");
    assert_eq!([40, 41, 42].map(|second| message(&mut mailbox, second)), [200, 200, 429]);
    mailbox.units_per_minute = None;
    assert_eq!(message(&mut mailbox, 43), 200);
}
