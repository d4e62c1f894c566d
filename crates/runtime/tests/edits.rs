//! Edits by people while a source polls: how often they prompt a poll, and that they never starve it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
#![allow(clippy::unimplemented, unreachable_pub, dead_code, reason = "the support serves several tests")]

mod support;

use std::time::Duration;

use inboxclaw_contract::Owner;
use support::{Act, World};
use tokio::time::{Instant, sleep};

#[tokio::test(start_paused = true)]
async fn many_edits_in_a_row_prompt_a_poll_a_second() {
    let mut world = World::new();
    world.source("mail", Some(3_600), |_| Act::Wait);
    world.run();
    world.pass(10).await;
    let (handle, store) = (world.handle.clone(), world.store.clone());
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(10) {
        store.edit_cursor(&Owner::source("mail"), Some("edited"));
        assert!(handle.wake(&Owner::source("mail")));
        sleep(Duration::from_millis(33)).await;
    }
    let polls = world.seconds("mail polls");
    assert_eq!(polls[..2], [0, 10], "the first edit is answered at once");
    assert!((10..=12).contains(&polls.len()), "{polls:?}");
}

/// Edits the cursor twice a second for a minute, while each poll takes two seconds; returns the turns that committed.
async fn turns_under_edits(polite: bool) -> u64 {
    let mut world = World::new();
    world.source("mail", Some(1), |_| Act::Work(Duration::from_secs(2)));
    world.run();
    world.pass(5).await;
    let (handle, store, owner) = (world.handle.clone(), world.store.clone(), Owner::source("mail"));
    let before = handle.stats()[0].clone();
    let begun = Instant::now();
    let mut longest = Duration::ZERO;
    while begun.elapsed() < Duration::from_secs(60) {
        let asked = Instant::now();
        let permit = if polite { Some(handle.edit_permit(&owner).await) } else { None };
        longest = longest.max(asked.elapsed());
        store.edit_cursor(&owner, Some("edited"));
        drop(permit);
        handle.wake(&owner);
        sleep(Duration::from_millis(500)).await;
    }
    assert!(longest <= Duration::from_secs(2), "an edit waits for one turn at most: {longest:?}");
    let after = handle.stats()[0].clone();
    assert!(after.conflicts > before.conflicts);
    after.turns - before.turns
}

#[tokio::test(start_paused = true)]
async fn no_rate_of_edits_starves_a_source() {
    assert_eq!(turns_under_edits(false).await, 0, "without a permit each turn loses");
    let turns = turns_under_edits(true).await;
    assert!(turns >= 5, "{turns} turns in a minute");
}

#[tokio::test(start_paused = true)]
async fn an_edit_waits_for_half_a_minute_at_most() {
    let mut world = World::new();
    world.source("mail", Some(1), |n| Act::Work(Duration::from_secs(if n < 3 { 2 } else { 100 })));
    world.run();
    world.pass(1).await;
    let (handle, store, owner) = (world.handle.clone(), world.store.clone(), Owner::source("mail"));
    let begun = Instant::now();
    let mut longest = Duration::ZERO;
    while begun.elapsed() < Duration::from_secs(90) {
        let asked = Instant::now();
        let permit = handle.edit_permit(&owner).await;
        longest = longest.max(asked.elapsed());
        store.edit_cursor(&owner, Some("edited"));
        drop(permit);
        sleep(Duration::from_millis(500)).await;
    }
    assert_eq!(longest.as_secs(), 30);
}
