//! Long histories: pages that are small, overlap and come in disorder, and tokens that no longer hold.

use std::time::Duration;

use inboxclaw_contract::Next;
use inboxclaw_fakes::google::faults::{Fault, Rule};
use inboxclaw_fakes::google::gmail::Mail;
use inboxclaw_fakes::google::pages::Paging;
use serde_json::json;

use crate::world::{HOUR, World};

/// Twenty messages, of which every third goes again and every fifth is spam.
fn busy(world: &World) -> Vec<String> {
    let mut expected = Vec::new();
    for number in 0..20 {
        world.mailbox(|mailbox, now| {
            let spam = number % 5 == 0;
            let mail = if spam { Mail::spam("x@x.org", "buy") } else { Mail::default() };
            let id = mailbox.arrive(now, mail);
            if number % 3 == 0 {
                mailbox.delete(now, &id);
            } else if !spam {
                expected.push(format!("received {id}"));
            }
        });
    }
    expected.sort();
    expected
}

#[tokio::test]
async fn irregular_pages_report_everything_once() {
    let mut world = World::begun(json!({})).await;
    world.mailbox(|mailbox, _| mailbox.paging = Paging::irregular());
    let expected = busy(&world);
    world.poll().await;
    // What comes and goes across two pages is asked for in vain, and forgotten by its deletion.
    assert_eq!(world.all(), expected);
    assert_eq!(world.memory.cursor().unwrap(), world.fake.gmail().history_id().to_string());
    let left: Vec<String> = world.memory.values().into_keys().filter(|key| !key.contains(':')).collect();
    assert_eq!(left, ["synced"]);
    assert!(world.memory.values().keys().all(|key| !key.starts_with("retry:")));
}

#[tokio::test]
async fn a_page_in_disorder_is_reported_in_the_order_of_its_records() {
    let mut world = World::begun(json!({})).await;
    let old = world.mailbox(|mailbox, now| mailbox.arrive(now, Mail::default()));
    world.poll().await;
    let expected = world.mailbox(|mailbox, now| {
        mailbox.paging = Paging { reordered: true, ..Paging::default() };
        let first = mailbox.arrive(now, Mail::default());
        mailbox.delete(now, &old);
        // Ids that have one digit more stand before the others as texts.
        let more = [(); 20].map(|()| mailbox.arrive(now, Mail::default()));
        let mut expected = vec![format!("received {first}"), format!("deleted {old}-deleted")];
        expected.extend(more.map(|id| format!("received {id}")));
        expected
    });
    assert_eq!(world.poll().await, expected);
}

#[tokio::test]
async fn each_page_is_a_turn_and_the_cursor_moves_after_the_last_to_where_the_first_one_was() {
    let mut world = World::begun(json!({})).await;
    world.mailbox(|mailbox, _| mailbox.paging.largest_page = Some(2));
    let before = world.memory.cursor();
    let (ids, first) = world.mailbox(|mailbox, now| {
        ([(); 5].map(|()| mailbox.arrive(now, Mail::default())), mailbox.history_id())
    });
    for page in 0..2 {
        let polled = world.turn().await.unwrap();
        assert_eq!((polled.next, polled.events.len()), (Next::More, 2), "{page}");
        assert_eq!(world.memory.cursor(), before);
        // Mail that comes meanwhile is not missed by it.
        world.mailbox(|mailbox, now| mailbox.arrive(now, Mail::default()));
        world.restart();
    }
    assert_eq!(world.poll().await.len(), 3);
    assert_eq!(world.memory.cursor().unwrap(), first.to_string());
    assert_eq!(world.poll().await, [""; 0]);
    assert_eq!(world.all().len(), ids.len() + 2);
}

#[tokio::test]
async fn a_page_token_that_no_longer_holds_begins_the_pass_anew() {
    let mut world = World::begun(json!({})).await;
    world.mailbox(|mailbox, _| mailbox.paging.largest_page = Some(2));
    let before = world.memory.cursor();
    let expected = busy(&world);
    world.turn().await.unwrap();
    world.turn().await.unwrap();
    world.mailbox(|mailbox, _| mailbox.expire_pages());
    let polled = world.turn().await.unwrap();
    assert_eq!((polled.next, polled.problems.len()), (Next::Wait, 1));
    assert_eq!(world.memory.cursor(), before);
    world.forget_asked();
    world.poll().await;
    assert_eq!(world.all(), expected);
    let asked = world.fake.requests();
    assert!(asked.iter().all(|asked| !asked.path.ends_with("/profile")), "the cursor was good");
}

#[tokio::test]
async fn a_cursor_that_somebody_set_drops_the_pass() {
    let mut world = World::begun(json!({})).await;
    let (cursor, entries) = world.memory.saved();
    world.mailbox(|mailbox, _| mailbox.paging.largest_page = Some(2));
    let expected = busy(&world);
    world.turn().await.unwrap();
    let later = world.mailbox(|mailbox, now| {
        mailbox.arrive(now, Mail::default());
        mailbox.history_id()
    });
    let (_, now) = world.memory.saved();
    world.memory.rewind((Some(later.to_string()), now));
    assert_eq!(world.poll().await, [""; 0]);
    world.memory.rewind((cursor, entries));
    world.poll().await;
    assert_eq!(world.all().len(), expected.len() + 1);
}

#[tokio::test]
async fn entries_that_somebody_broke_hold_nothing_up() {
    let mut world = World::begun(json!({})).await;
    let id = world.mailbox(|mailbox, now| mailbox.arrive(now, Mail::default()));
    world.poll().await;
    for key in ["pass", "synced", "recovery", "retry:x", "hidden:y", &format!("seen:{id}")] {
        let (cursor, mut entries) = world.memory.saved();
        let mut entry = entries.values().next().unwrap().clone();
        (entry.key, entry.value) = (key.to_owned(), inboxclaw_contract::Json::new("[1]").unwrap());
        entries.insert(key.to_owned(), entry);
        world.memory.rewind((cursor, entries));
        let new = world.mailbox(|mailbox, now| {
            mailbox.relabel(now, &id, &["SPAM"], &[]);
            mailbox.relabel(now, &id, &[], &["SPAM"]);
            mailbox.arrive(now, Mail::default())
        });
        assert_eq!(world.poll().await, [format!("received {new}")], "{key}");
    }
}

#[tokio::test]
async fn more_than_a_turn_may_fetch_takes_several_turns_and_no_second_fetch() {
    let mut world = World::begun(json!({})).await;
    // One record can hold any number of messages.
    world.mailbox(|mailbox, now| {
        mailbox.together(|mailbox| (0..1_100).for_each(|_| drop(mailbox.arrive(now, Mail::default()))));
    });
    let turns = world.polled().await;
    let counts: Vec<usize> = turns.iter().map(|turn| turn.events.len()).collect();
    assert_eq!(counts, [500, 500, 100]);
    let fetched = world.fetched();
    let mut once = fetched.clone();
    once.dedup();
    assert_eq!((fetched.len(), once.len()), (1_100, 1_100));
}

#[tokio::test]
async fn a_message_that_is_refused_for_good_holds_up_nobody_and_is_not_forgotten() {
    let mut world = World::begun(json!({})).await;
    let ids = world.mailbox(|mailbox, now| [(); 3].map(|()| mailbox.arrive(now, Mail::default())));
    let refused = Fault::Denied("forbidden".to_owned());
    world.fake.faults().rule(Rule::always(&ids[1], refused));
    for _ in 0..2 {
        let polled = world.turn().await.unwrap();
        assert_eq!((polled.next, polled.problems.len()), (Next::Wait, 1));
        assert!(polled.problems[0].to_string().contains("403"), "{}", polled.problems[0]);
        world.advance(HOUR);
    }
    assert_eq!(world.all().len(), 2);
    world.fake.faults().off();
    assert_eq!(world.poll().await, [format!("received {}", ids[1])]);
}

#[tokio::test]
async fn a_page_of_nothing_but_refused_messages_holds_up_nobody() {
    let mut world = World::begun(json!({})).await;
    let ids = world.mailbox(|mailbox, now| [(); 2].map(|()| mailbox.arrive(now, Mail::default())));
    let history = world.fake.gmail().history_id().to_string();
    world.fake.faults().rule(Rule::always("/messages/", Fault::Denied("forbidden".to_owned())));
    let polled = world.turn().await.unwrap();
    assert_eq!((polled.next, polled.events.len(), polled.problems.len()), (Next::Wait, 0, 2));
    assert_eq!(world.memory.cursor(), Some(history));
    let writes = world.memory.writes();
    assert_eq!(world.turn().await.unwrap().problems.len(), 2, "they are tried again");
    assert_eq!(world.memory.writes(), writes);
    world.fake.faults().off();
    assert_eq!(world.poll().await.len(), ids.len());
}

#[tokio::test]
async fn messages_that_are_refused_again_and_again_do_not_keep_the_source_from_its_history() {
    let mut world = World::begun(json!({})).await;
    let ids = world.mailbox(|mailbox, now| [(); 40].map(|()| mailbox.arrive(now, Mail::default())));
    for id in &ids {
        world.fake.faults().rule(Rule::always(id, Fault::Denied("forbidden".to_owned())));
    }
    world.polled().await;
    let new = world.mailbox(|mailbox, now| mailbox.arrive(now, Mail::default()));
    world.drag(Duration::from_secs(1));
    world.polled().await;
    world.drag(Duration::ZERO);
    assert_eq!(world.all(), [format!("received {new}")]);
}

#[tokio::test]
async fn an_account_that_is_refused_loses_nothing() {
    let mut world = World::begun(json!({})).await;
    let denied = |reason: &str| Fault::Denied(reason.to_owned());
    let saved = world.memory.saved();
    let ids = world.mailbox(|mailbox, now| [(); 3].map(|()| mailbox.arrive(now, Mail::default())));
    world.fake.faults().rule(Rule::always("/messages/", denied("insufficientPermissions")));
    assert!(world.turn().await.is_err());
    world.fake.faults().rule(Rule::always("", denied("forbidden")));
    assert!(world.turn().await.is_err());
    assert_eq!(world.memory.saved(), saved);
    world.fake.faults().off();
    assert_eq!(world.poll().await.len(), ids.len());
}
