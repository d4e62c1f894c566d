//! A history that Google forgot: what the gap held is found in the mailbox, and the gap is told.

use inboxclaw_contract::Next;
use inboxclaw_fakes::google::gmail::Mail;
use inboxclaw_fakes::google::pages::Paging;
use serde_json::{Value, json};

use crate::world::{DAY, HOUR, World, data, told};

/// What is in the mailbox when the history is lost.
struct Gap {
    /// What has to be reported.
    expected: Vec<String>,
    /// The cursor that is lost.
    lost: String,
}

/// Reported mail; then, in the gap: new mail, a deletion, spam that comes, spam that is moved out, spam that goes.
async fn gap(settings: Value) -> (World, Gap) {
    let mut world = World::begun(settings).await;
    let (kept, gone, shown, spam) = world.mailbox(|mailbox, now| {
        let [kept, gone] = [(); 2].map(|()| mailbox.arrive(now, Mail::default()));
        let [shown, spam] = [(); 2].map(|()| mailbox.arrive(now, Mail::spam("x@x.org", "buy")));
        (kept, gone, shown, spam)
    });
    world.poll().await;
    let lost = world.memory.cursor().unwrap();
    world.advance(2 * HOUR);
    let new = world.mailbox(|mailbox, now| {
        mailbox.delete(now, &gone);
        mailbox.delete(now, &spam);
        mailbox.relabel(now, &shown, &["INBOX"], &["SPAM"]);
        mailbox.relabel(now, &kept, &["STARRED"], &[]);
        let new = [(); 3].map(|()| mailbox.arrive(now, Mail::default()));
        mailbox.arrive(now, Mail::spam("x@x.org", "buy"));
        mailbox.save_draft(now, None, Mail::default());
        mailbox.expire_history();
        new
    });
    world.advance(HOUR);
    let mut expected: Vec<String> = new.iter().map(|id| format!("received {id}")).collect();
    expected.extend([kept, gone.clone(), shown].map(|id| format!("received {id}")));
    expected.push(format!("deleted {gone}-deleted"));
    expected.push(format!("inboxclaw.source.gap gap:mailbox:{lost}:{}", world.fake.gmail().history_id()));
    expected.sort();
    (world, Gap { expected, lost })
}

#[tokio::test]
async fn what_a_gap_held_is_found_and_told() {
    let (mut world, gap) = gap(json!({})).await;
    let pinned = world.now();
    world.poll().await;
    assert_eq!(world.all(), gap.expected);
    let event = world.memory.events().pop().unwrap();
    let data = data(&event);
    assert_eq!(data["log"], "mailbox");
    assert_eq!(data["from"], (pinned - 3 * HOUR).to_string());
    assert_eq!(data["to"], pinned.to_string());
    assert_eq!((&data["complete"], &data["found"], &data["deleted"]), (&json!(true), &json!(4), &json!(1)));
    assert_eq!(world.memory.cursor().unwrap(), world.fake.gmail().history_id().to_string());
    // Spam that was not found is looked for once more.
    assert_eq!(world.poll().await, [""; 0]);
    let (all, writes) = (world.all(), world.memory.writes());
    world.poll().await;
    assert_eq!((world.all(), world.memory.writes()), (all, writes));
}

#[tokio::test]
async fn a_recovery_that_is_killed_between_any_two_turns_goes_on() {
    for paging in
        [Paging::default(), Paging { largest_page: Some(1), ..Paging::default() }, Paging::irregular()]
    {
        let (mut world, gap) = gap(json!({})).await;
        world.mailbox(|mailbox, _| mailbox.paging = paging.clone());
        let mut turns = 0;
        loop {
            world.restart();
            world.dropped_turn().await;
            world.restart();
            turns += 1;
            if world.turn().await.unwrap().next == Next::Wait {
                break;
            }
        }
        assert_eq!(world.all(), gap.expected, "{paging:?}");
        assert!(turns < 60, "{turns}");
    }
}

#[tokio::test]
async fn a_recovery_gets_through_faults_and_asks_for_each_message_once() {
    for seed in 0..4 {
        let (mut world, gap) = gap(json!({})).await;
        world.forget_asked();
        world.fake.faults().random_among(
            seed,
            0.4,
            vec![
                inboxclaw_fakes::google::faults::Fault::Unavailable,
                inboxclaw_fakes::google::faults::Fault::CutBefore,
            ],
        );
        world.endure().await;
        assert_eq!(world.all(), gap.expected, "seed {seed}");
    }
}

#[tokio::test]
async fn a_recovery_can_be_rewound_to_any_of_its_turns() {
    let (mut world, gap) = gap(json!({})).await;
    world.mailbox(|mailbox, _| mailbox.paging.largest_page = Some(2));
    let mut saved = vec![world.memory.saved()];
    while world.turn().await.unwrap().next == Next::More {
        saved.push(world.memory.saved());
    }
    for state in saved {
        world.memory.rewind(state);
        world.restart();
        world.polled().await;
        assert_eq!(world.all(), gap.expected);
    }
}

#[tokio::test]
async fn the_pages_of_a_recovery_may_lose_their_tokens() {
    let (world, gap) = gap(json!({})).await;
    world.mailbox(|mailbox, _| mailbox.paging.largest_page = Some(2));
    let mut waits = 0;
    for turn in 0..40 {
        if turn % 5 == 4 {
            world.mailbox(|mailbox, _| mailbox.expire_pages());
        }
        waits += usize::from(world.turn().await.unwrap().next == Next::Wait);
    }
    assert!(waits > 1);
    assert_eq!(world.all(), gap.expected);
}

#[tokio::test]
async fn mail_that_changes_while_the_recovery_runs_is_not_missed() {
    let (mut world, gap) = gap(json!({})).await;
    world.turn().await.unwrap();
    let new = world.mailbox(|mailbox, now| mailbox.arrive(now, Mail::default()));
    world.turn().await.unwrap();
    let late = world.mailbox(|mailbox, now| {
        let late = mailbox.arrive(now, Mail::default());
        mailbox.relabel(now, &late, &[], &["UNREAD"]);
        late
    });
    world.poll().await;
    world.poll().await;
    let pin =
        world.memory.events().iter().find(|event| event.event_id.starts_with("gap:")).map(told).unwrap();
    let mut expected = gap.expected;
    expected.retain(|event| !event.contains("gap:"));
    expected.extend([pin, format!("received {new}"), format!("received {late}")]);
    expected.sort();
    assert_eq!(world.all(), expected);
}

#[tokio::test]
async fn a_gap_longer_than_the_window_is_said_to_be_incomplete() {
    let mut world =
        World::begun(json!({ "recovery_backfill_window": "2d", "emit_label_events": true })).await;
    let early = world.mailbox(|mailbox, now| mailbox.arrive(now, Mail::default()));
    world.advance(5 * DAY);
    let late = world.mailbox(|mailbox, now| {
        let late = mailbox.arrive(now, Mail::default());
        mailbox.expire_history();
        late
    });
    world.advance(HOUR);
    world.poll().await;
    let all = world.all();
    assert!(all.contains(&format!("received {late}")));
    assert!(!all.contains(&format!("received {early}")));
    let data = data(&world.memory.events().pop().unwrap());
    assert_eq!(data["complete"], false);
    assert_eq!(data["recovered_from"], (world.now() - 2 * DAY).to_string());
    let missing = json!([
        "what came and went within the stretch, and states in between",
        "deletions of messages that were reported more than 2 days ago",
        "changes of labels"
    ]);
    assert_eq!(data["missing"], missing);
}

#[tokio::test]
async fn mail_from_before_the_start_is_no_news_after_a_gap() {
    let mut world = World::new(json!({})).await;
    world.mailbox(|mailbox, now| mailbox.arrive(now, Mail::default()));
    world.advance(HOUR);
    world.poll().await;
    world.advance(HOUR);
    world.mailbox(|mailbox, _| mailbox.expire_history());
    assert_eq!(world.poll().await.len(), 1, "only the gap");
}

#[tokio::test]
async fn a_cursor_that_means_nothing_is_a_lost_one() {
    let (mut world, gap) = gap(json!({})).await;
    for cursor in ["yesterday", "-1", "1", "99999999999999", "99999999999999999999999"] {
        let (_, entries) = world.memory.saved();
        world.memory.rewind((Some(cursor.to_owned()), entries));
        world.poll().await;
        assert_eq!(world.memory.cursor().unwrap(), world.fake.gmail().history_id().to_string(), "{cursor}");
    }
    let is_gap = |event: &String| event.contains("gap:");
    let mail = |events: Vec<String>| events.into_iter().filter(|event| !is_gap(event)).collect::<Vec<_>>();
    assert_eq!(world.all().iter().filter(|event| is_gap(event)).count(), 5);
    assert_eq!(mail(world.all()), mail(gap.expected));
    assert_ne!(gap.lost, "");
}

#[tokio::test]
async fn an_empty_cursor_begins_anew() {
    let (mut world, _) = gap(json!({})).await;
    let (_, entries) = world.memory.saved();
    world.memory.rewind((Some(String::new()), entries));
    assert_eq!(world.poll().await, [""; 0]);
    assert_eq!(world.memory.cursor().unwrap(), world.fake.gmail().history_id().to_string());
}
