//! A service that fails most of the time: everything gets through, nothing is asked for twice.

use std::time::Duration;

use inboxclaw_contract::Next;
use inboxclaw_fakes::google::faults::{Fault, Rule};
use inboxclaw_fakes::google::gmail::{Mail, UNITS_PER_MINUTE};
use serde_json::json;

use crate::world::World;

#[tokio::test]
async fn a_page_gets_through_when_every_second_request_fails() {
    let mut world = World::begun(json!({})).await;
    world.mailbox(|mailbox, now| (0..300).for_each(|_| drop(mailbox.arrive(now, Mail::default()))));
    {
        let mut faults = world.fake.faults();
        // Each rule leaves as many alone as it has to before its only hit.
        for nth in 1..600 {
            let fault = [Fault::Internal, Fault::Unavailable, Fault::CutBefore][nth % 3].clone();
            faults.rule(Rule::nth("/messages/", nth as u64, fault));
        }
    }
    let turns = world.endure().await;
    assert!(turns < 200, "{turns} turns");
    // Those that the service failed at three times in a row are tried again with the next poll.
    world.fake.faults().off();
    assert!(world.poll().await.len() < 100);
    assert_eq!(world.all().len(), 300);
    let fetched = world.fetched();
    let mut once = fetched.clone();
    once.dedup();
    assert_eq!(once.len(), 300);
    assert_eq!(fetched.len(), 300, "nothing is asked for again after it was committed");
}

#[tokio::test]
async fn a_turn_that_handled_nothing_is_the_failure_that_it_met() {
    let mut world = World::begun(json!({})).await;
    world.mailbox(|mailbox, now| mailbox.arrive(now, Mail::default()));
    let writes = world.memory.writes();
    world.fake.faults().rule(Rule::always("/messages/", Fault::Unavailable));
    assert!(world.turn().await.is_err());
    assert!(world.turn().await.is_err());
    assert_eq!(world.memory.writes(), writes);
    world.fake.faults().off();
    assert_eq!(world.poll().await.len(), 1);
}

#[tokio::test]
async fn one_message_that_the_service_fails_at_holds_up_nothing() {
    let mut world = World::begun(json!({})).await;
    let broken = world.mailbox(|mailbox, now| mailbox.arrive(now, Mail::default()));
    world.mailbox(|mailbox, now| (0..20).for_each(|_| drop(mailbox.arrive(now, Mail::default()))));
    world.fake.faults().rule(Rule::always(&format!("/messages/{broken}"), Fault::Internal));
    world.endure().await;
    assert_eq!(world.all().len(), 20);
    world.mailbox(|mailbox, now| mailbox.arrive(now, Mail::default()));
    let polled = world.turn().await.unwrap();
    assert_eq!((polled.next, polled.events.len(), polled.problems.len()), (Next::Wait, 1, 1));
    world.fake.faults().off();
    assert_eq!(world.poll().await.len(), 1, "it comes once it can be read");
}

#[tokio::test]
async fn what_came_of_a_turn_is_committed_and_the_next_one_goes_on() {
    let mut world = World::begun(json!({})).await;
    world.mailbox(|mailbox, now| (0..40).for_each(|_| drop(mailbox.arrive(now, Mail::default()))));
    world.fake.faults().rule(Rule::nth("/messages/", 15, Fault::Internal));
    let polled = world.turn().await.unwrap();
    let first = polled.events.len();
    assert_eq!(polled.next, Next::More);
    assert!((14..40).contains(&first), "{first}");
    world.restart();
    let polled = world.turn().await.unwrap();
    assert_eq!((polled.next, polled.events.len()), (Next::Wait, 40 - first));
}

#[tokio::test]
async fn a_slow_service_delays_mail_and_does_not_use_up_the_time_of_a_turn() {
    let mut world = World::begun(json!({})).await;
    world.mailbox(|mailbox, now| (0..100).for_each(|_| drop(mailbox.arrive(now, Mail::default()))));
    world.drag(Duration::from_millis(500));
    let turns = world.polled().await;
    world.drag(Duration::ZERO);
    assert!(turns.len() > 5 && turns.iter().all(|turn| !turn.events.is_empty()), "{} turns", turns.len());
    assert_eq!((world.all().len(), world.fetched().len()), (100, 100));
}

#[tokio::test]
async fn a_dropped_turn_is_repeated_whole() {
    let mut world = World::begun(json!({})).await;
    world.mailbox(|mailbox, now| mailbox.arrive(now, Mail::default()));
    let saved = world.memory.saved();
    world.dropped_turn().await;
    assert_eq!(world.memory.saved(), saved);
    assert_eq!(world.poll().await.len(), 1);
}

#[tokio::test]
async fn random_faults_of_all_kinds_delay_and_lose_nothing() {
    for seed in 0..4 {
        let mut world = World::begun(json!({ "emit_label_events": true })).await;
        let ids: Vec<String> = world.mailbox(|mailbox, now| {
            let ids: Vec<String> = (0..60).map(|_| mailbox.arrive(now, Mail::default())).collect();
            ids.iter().for_each(|id| assert!(mailbox.relabel(now, id, &["STARRED"], &[])));
            ids
        });
        world.fake.faults().random(seed, 0.3);
        world.endure().await;
        world.fake.faults().off();
        assert_eq!(world.all().len(), 2 * ids.len(), "seed {seed}");
        assert_eq!(world.fake.violations(), [""; 0]);
    }
}

/// It is no lost history: no gap, and no event of a label less.
#[tokio::test]
async fn a_passing_precondition_costs_nothing() {
    for part in ["/history", "/messages/"] {
        let mut world = World::begun(json!({ "emit_label_events": true })).await;
        let id = world.mailbox(|mailbox, now| mailbox.arrive(now, Mail::default()));
        world.poll().await;
        world.mailbox(|mailbox, now| mailbox.relabel(now, &id, &["STARRED"], &[]));
        world.mailbox(|mailbox, now| mailbox.arrive(now, Mail::default()));
        world.fake.faults().rule(Rule::next(part, 1, Fault::FailedPrecondition));
        world.endure().await;
        assert_eq!(world.fake.faults().thrown()["400 failedPrecondition"], 1, "{part}");
        let all = world.all();
        let kinds: Vec<&str> = all.iter().filter_map(|told| told.split(' ').next()).collect();
        assert_eq!(kinds, ["label_added", "received", "received"], "{part}");
        assert_eq!(world.fake.violations(), [""; 0]);
    }
}

/// 400 messages are 8,000 units, and the source does not pace itself here.
#[tokio::test]
async fn a_quota_delays_mail_and_loses_none() {
    let mut world = World::begun(json!({})).await;
    world.mailbox(|mailbox, now| {
        (0..400).for_each(|_| drop(mailbox.arrive(now, Mail::default())));
        mailbox.units_per_minute = Some(UNITS_PER_MINUTE);
    });
    let begun = world.now();
    world.endure().await;
    assert_eq!((world.all().len(), world.fetched().len()), (400, 400));
    assert!(world.now() >= begun + Duration::from_secs(60), "the minute after");
    assert_eq!(world.fake.violations(), [""; 0]);
}
