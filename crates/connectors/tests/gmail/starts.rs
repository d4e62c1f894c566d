//! Where a source without state begins.

use inboxclaw_contract::settings::StartAt;
use inboxclaw_fakes::google::faults::{Fault, Rule};
use inboxclaw_fakes::google::gmail::Mail;
use inboxclaw_fakes::google::pages::Paging;
use serde_json::json;

use crate::world::{DAY, HOUR, World, told};

/// A world with mail of two days ago, of one day ago, spam and a draft.
async fn filled() -> (World, [String; 2]) {
    let world = World::new(json!({})).await;
    let old = world.mailbox(|mailbox, now| mailbox.arrive(now, Mail::default()));
    world.advance(DAY);
    let young = world.mailbox(|mailbox, now| mailbox.arrive(now, Mail::default()));
    world.mailbox(|mailbox, now| mailbox.arrive(now, Mail::spam("x@x.org", "buy")));
    world.mailbox(|mailbox, now| mailbox.save_draft(now, None, Mail::default()));
    world.advance(DAY);
    (world, [old, young])
}

#[tokio::test]
async fn now_begins_with_what_comes() {
    let (mut world, _) = filled().await;
    assert_eq!(world.poll().await, [""; 0]);
    assert!(world.fetched().is_empty());
    let id = world.mailbox(|mailbox, now| mailbox.arrive(now, Mail::default()));
    assert_eq!(world.poll().await, [format!("received {id}")]);
}

#[tokio::test]
async fn mail_that_comes_while_the_start_is_made_is_reported() {
    let (mut world, _) = filled().await;
    world.turn().await.unwrap();
    let id = world.mailbox(|mailbox, now| mailbox.arrive(now, Mail::default()));
    assert_eq!(world.poll().await, [format!("received {id}")]);
}

#[tokio::test]
async fn all_reports_the_mail_that_is_there_and_a_time_what_came_since() {
    for paging in [Paging::default(), Paging::irregular()] {
        let (mut world, [old, young]) = filled().await;
        world.mailbox(|mailbox, _| mailbox.paging = paging.clone());
        world.start = Some(StartAt::All);
        world.restart();
        let mut all = world.poll().await;
        all.sort();
        assert_eq!(all, [format!("received {old}"), format!("received {young}")]);

        let (mut world, [_, young]) = filled().await;
        world.mailbox(|mailbox, _| mailbox.paging = paging);
        world.start = Some(StartAt::Since(world.now() - DAY - HOUR));
        world.restart();
        assert_eq!(world.poll().await, [format!("received {young}")]);
        assert_eq!(world.poll().await, [""; 0]);
    }
}

#[tokio::test]
async fn a_start_that_is_interrupted_again_and_again_is_made_once() {
    let (mut world, ids) = filled().await;
    world.mailbox(|mailbox, _| mailbox.paging.largest_page = Some(1));
    world.start = Some(StartAt::All);
    loop {
        world.restart();
        world.dropped_turn().await;
        let polled = world.turn().await.unwrap();
        if polled.next == inboxclaw_contract::Next::Wait {
            break;
        }
    }
    assert_eq!(world.memory.events().iter().map(told).count(), ids.len());
}

#[tokio::test]
async fn a_label_that_does_not_exist_is_a_problem_and_no_obstacle() {
    let mut world = World::new(json!({ "exclude_label_ids": ["Label_99"] })).await;
    let fault = Fault::Invalid("invalidArgument".to_owned());
    world.fake.faults().rule(Rule::next("labelIds=Label_99", 1, fault));
    let turns = world.polled().await;
    let problems: Vec<String> =
        turns.iter().flat_map(|turn| &turn.problems).map(ToString::to_string).collect();
    assert_eq!(problems.len(), 1);
    assert!(problems[0].contains("exclude_label_ids"), "{problems:?}");
    assert!(world.memory.cursor().is_some());
}
