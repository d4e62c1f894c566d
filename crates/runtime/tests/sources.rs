//! The loop of a source: when it polls, what a failure costs, and that nobody else is disturbed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
#![allow(clippy::unimplemented, unreachable_pub, dead_code, reason = "the support serves several tests")]

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use inboxclaw_contract::settings::BuiltSource;
use inboxclaw_contract::{Class, Draft, Failure, Next, Owner, Settled, Source};
use inboxclaw_runtime::Options;
use support::{Act, ByName, World, memory};
use tokio::sync::watch;

#[tokio::test(start_paused = true)]
async fn a_source_polls_at_once_and_then_by_its_interval() {
    let mut world = World::new();
    world.source("mail", Some(60), |_| Act::Wait);
    world.run();
    world.pass(180).await;
    assert_eq!(world.times("mail polls"), [0, 60_000, 120_000, 180_000]);
    assert_eq!(world.times("mail committed").len(), 4);
}

#[tokio::test(start_paused = true)]
async fn jitter_adds_up_to_a_tenth_of_the_interval() {
    let mut world = World::over(memory(), Options::default(), u64::MAX);
    world.source("mail", Some(60), |_| Act::Wait);
    world.source("slow", Some(3_000), |_| Act::Wait);
    world.run();
    world.pass(4_000).await;
    let mail = world.times("mail polls");
    assert_eq!(mail[0], 0);
    for pair in mail.windows(2) {
        let wait = pair[1] - pair[0];
        assert!((65_000..=66_001).contains(&wait), "{wait}");
    }
    let slow = world.times("slow polls");
    assert!((3_029_000..=3_030_001).contains(&slow[1]), "{slow:?}");
}

#[tokio::test(start_paused = true)]
async fn a_source_that_is_ready_polls_before_its_interval() {
    let mut world = World::new();
    let ready = world.source("mail", Some(60), |_| Act::Wait);
    let push = world.source("push", None, |_| Act::Wait);
    world.run();
    world.pass(10).await;
    ready.notify_one();
    push.notify_one();
    world.pass(62).await;
    assert_eq!(world.seconds("mail polls"), [0, 10, 70]);
    assert_eq!(world.seconds("push polls"), [0, 10]);
}

#[tokio::test(start_paused = true)]
async fn a_call_and_an_edit_end_the_interval() {
    let mut world = World::new();
    world.source("mail", Some(600), |_| Act::Wait);
    world.run();
    world.pass(10).await;
    assert!(world.handle.wake(&Owner::source("mail")));
    assert!(!world.handle.wake(&Owner::source("nobody")));
    world.pass(10).await;
    world.store.edit_cursor(&Owner::source("mail"), Some("elsewhere"));
    world.pass(10).await;
    assert_eq!(world.seconds("mail polls"), [0, 10, 20]);
}

#[tokio::test(start_paused = true)]
async fn more_polls_at_once_and_leaves_room_for_others() {
    let mut world = World::new();
    world.source("greedy", Some(60), |_| Act::More);
    world.source("page", Some(60), |n| if n < 4 { Act::More } else { Act::Wait });
    world.source("mail", Some(60), |_| Act::Wait);
    world.run();
    // Paused time stands still while somebody is busy: turns of others are counted instead.
    for _ in 0..2_000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.times("page polls"), [0, 0, 0, 0]);
    assert_eq!(world.times("mail polls"), [0]);
    assert!(world.times("greedy polls").len() > 20);
    let (_, result) = world.stop().await;
    assert!(result.is_ok());
}

/// One refusal with `Retry-After: 1` used to cost 63 s and to turn health red.
#[tokio::test(start_paused = true)]
async fn an_idle_source_writes_nothing() {
    let mut world = World::new();
    world.source("mail", Some(10), |_| Act::Wait);
    world.source("push", None, |_| Act::Wait);
    world.run();
    world.pass(1).await;
    let before = world.store.by.with(|faults| faults.writes);
    world.pass(7_200).await;
    assert!(world.times("mail polls").len() > 700);
    assert_eq!(world.store.by.with(|faults| faults.writes), before);
}

/// A repaired source used to stay deaf for a quarter of an hour, which no restart could end.
/// The wait used to show as `starting`, as if the program did not know what it waits for.
#[tokio::test(start_paused = true)]
async fn a_paused_source_rests_until_it_is_resumed_and_called() {
    let mut world = World::new();
    world.source("mail", Some(30), |_| Act::Wait);
    world.run();
    world.pass(10).await;
    let mail = Owner::source("mail");
    world.store.pause(&mail, true);
    world.handle.wake(&mail);
    world.pass(1_000).await;
    assert!(world.handle.is_paused(&mail));
    assert_eq!(world.seconds("mail polls"), [0]);
    assert_eq!(world.report().sources[0].message.as_deref(), Some("paused"));
    assert!(!world.report().is_unhealthy());
    world.store.pause(&mail, false);
    world.handle.wake(&mail);
    world.pass(1).await;
    assert_eq!(world.seconds("mail polls"), [0, 1_010]);
    assert!(!world.handle.is_paused(&mail));
    assert_eq!(world.report().sources[0].message, None);
}

#[tokio::test(start_paused = true)]
async fn a_panic_stays_within_its_source() {
    let mut world = World::new();
    world.source("mail", Some(30), |n| if n < 3 { Act::Panic } else { Act::Wait });
    world.source("other", Some(30), |_| Act::Wait);
    world.run();
    world.pass(11).await;
    let report = world.report();
    let mail = report.failures[0].clone();
    assert_eq!((mail.code, mail.message.as_deref()), (Some("internal"), Some("the source panicked: poll 2")));
    world.pass(29).await;
    assert_eq!(world.seconds("mail polls"), [0, 10, 30]);
    assert_eq!(world.seconds("mail dropped"), [0, 10]);
    assert_eq!(world.seconds("mail committed"), [30]);
    assert_eq!(world.seconds("other polls"), [0, 30]);
    assert_eq!(world.code("mail"), "healthy");
}

#[tokio::test(start_paused = true)]
async fn a_poll_that_hangs_is_dropped_at_the_turn_timeout() {
    let mut world = World::new();
    world.source("mail", Some(30), |_| Act::Hang);
    world.source("other", Some(30), |_| Act::Wait);
    world.run();
    world.pass(131).await;
    assert_eq!(world.seconds("mail polls"), [0, 70]);
    assert_eq!(world.seconds("mail dropped"), [60, 130]);
    assert_eq!(world.seconds("other polls"), [0, 30, 60, 90, 120]);
    let mail = world.report().failures[0].clone();
    assert_eq!(mail.message.as_deref(), Some("the poll took longer than 60 s and was dropped"));
}

#[tokio::test(start_paused = true)]
async fn a_part_that_fails_counts_after_two_turns_and_the_rest_commits() {
    let mut world = World::new();
    world.source("mail", Some(30), |n| match n {
        1 | 2 => Act::Problem(Failure::text(Class::Authorization, "calendar two").action("share it")),
        _ => Act::Wait,
    });
    world.run();
    world.pass(1).await;
    assert_eq!(world.code("mail"), "(partial_failure)");
    world.pass(30).await;
    let mail = world.report().failures[0].clone();
    assert_eq!((mail.code, mail.message.as_deref()), (Some("partial_failure"), Some("calendar two")));
    assert_eq!(mail.action.as_deref(), Some("share it"));
    assert_eq!(world.seconds("mail committed"), [0, 30]);
    world.pass(30).await;
    assert_eq!(world.code("mail"), "healthy");
}

#[tokio::test(start_paused = true)]
async fn a_source_can_name_the_longest_wait() {
    let mut world = World::new();
    world.source("files", Some(300), |n| match n {
        1 => Act::Within(Duration::from_secs(20)),
        // Longer than the interval, and so short that it would spin.
        2 => Act::Within(Duration::from_secs(4000)),
        3 => Act::Within(Duration::ZERO),
        _ => Act::Wait,
    });
    world.source("pushed", None, |n| if n == 1 { Act::Within(Duration::from_secs(7)) } else { Act::Wait });
    world.run();
    world.pass(400).await;
    assert_eq!(world.seconds("files polls"), [0, 20, 320, 320]);
    assert_eq!(world.seconds("pushed polls"), [0, 7]);
}

#[tokio::test(start_paused = true)]
async fn a_notice_shows_while_it_is_said_and_is_no_failure() {
    let mut world = World::new();
    world.source("files", Some(30), |n| if n == 1 { Act::Notice("2 links") } else { Act::Wait });
    world.run();
    world.pass(1).await;
    let files = world.report().sources[0].clone();
    assert_eq!((world.code("files").as_str(), files.message.as_deref()), ("healthy", Some("2 links")));
    world.pass(30).await;
    assert_eq!(world.report().sources[0].message, None);
}

#[tokio::test(start_paused = true)]
async fn running_polls_get_a_grace_at_the_end() {
    let mut world = World::new();
    world.source("hangs", Some(30), |_| Act::Hang);
    world.source("slow", Some(30), |_| Act::Slow(Duration::from_secs(2)));
    world.source("idle", Some(30), |_| Act::Wait);
    world.run();
    world.pass(1).await;
    let (took, result) = world.stop().await;
    assert!(result.is_ok());
    assert!(took >= Duration::from_secs(3) && took < Duration::from_secs(4), "{took:?}");
    assert_eq!(world.happened().iter().filter(|what| *what == "slow committed").count(), 1);
    assert_eq!(world.happened().last().map(String::as_str), Some("hangs dropped"));
}

#[tokio::test(start_paused = true)]
async fn a_poll_whose_task_is_aborted_is_settled_once() {
    let mut world = World::new();
    world.source("mail", Some(30), |_| Act::Hang);
    world.run();
    world.pass(1).await;
    world.abort();
    world.pass(100).await;
    assert_eq!(world.happened(), ["mail polls", "mail dropped"]);
}

#[tokio::test(start_paused = true)]
async fn a_panic_while_getting_ready_or_settling_stays_within_its_source() {
    struct Rude;
    #[async_trait::async_trait]
    impl Source for Rude {
        async fn ready(&self) {
            panic!("not ready");
        }
        async fn poll(&self, _: &mut Draft<'_>) -> Result<Next, Failure> {
            Ok(Next::Wait)
        }
        fn settled(&self, _: Settled) {
            panic!("not settled");
        }
    }
    let mut world = World::new();
    let interval = Some(Duration::from_secs(30));
    let built =
        BuiltSource { source: Box::new(Rude), interval, settle: Duration::ZERO, warnings: Vec::new() };
    world.runtime.as_mut().unwrap().add_source("rude", "rude", built);
    world.source("other", Some(30), |_| Act::Wait);
    world.run();
    world.pass(61).await;
    assert_eq!(world.seconds("other polls"), [0, 30, 60]);
    // Each failure to get ready costs a back-off, each poll in between succeeds.
    let row = world.report().sources[1].clone();
    assert_eq!(row.pending_failure.unwrap().message, "the source panicked: not ready");
    let stats = world.handle.stats()[1].clone();
    assert_eq!((stats.turns, stats.failures), (7, 7));
}

#[tokio::test(start_paused = true)]
async fn an_idle_program_ends_at_once() {
    let mut world = World::new();
    world.source("mail", Some(30), |_| Act::Wait);
    world.run();
    world.pass(1).await;
    let (took, result) = world.stop().await;
    assert!(result.is_ok() && took < Duration::from_millis(10), "{took:?}");
}

/// A source that is ready while there is news, and notes how much each poll took.
struct Inbox {
    news: watch::Receiver<usize>,
    taken: Arc<Mutex<Vec<usize>>>,
}

#[async_trait::async_trait]
impl Source for Inbox {
    async fn ready(&self) {
        let taken = self.taken.lock().unwrap().iter().sum();
        self.news.clone().wait_for(|news| *news > taken).await.unwrap();
    }
    async fn poll(&self, _: &mut Draft<'_>) -> Result<Next, Failure> {
        let mut taken = self.taken.lock().unwrap();
        let before: usize = taken.iter().sum();
        taken.push(*self.news.borrow() - before);
        Ok(Next::Wait)
    }
}

/// How much news each poll took, when one comes each millisecond.
async fn taken(settle: Duration, news: usize) -> Vec<usize> {
    let mut world = World::new();
    let (sender, receiver) = watch::channel(0);
    let taken = Arc::new(Mutex::default());
    let source = Box::new(Inbox { news: receiver, taken: taken.clone() });
    let built = BuiltSource { source, interval: Some(Duration::from_secs(60)), settle, warnings: Vec::new() };
    world.runtime.as_mut().unwrap().add_source("files", "inbox", built);
    world.run();
    world.pass(1).await;
    for _ in 0..news {
        sender.send_modify(|news| *news += 1);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    world.pass(5).await;
    taken.lock().unwrap().clone()
}

/// A program that writes all the time used to make a turn of each of its writes.
#[tokio::test(start_paused = true)]
async fn a_burst_of_news_settles_into_one_turn_and_a_stream_into_few() {
    let settle = Duration::from_millis(300);
    assert_eq!(taken(settle, 200).await, [0, 200]);
    let stream = taken(settle, 3_000).await;
    assert_eq!(stream.iter().sum::<usize>(), 3_000);
    assert!((10..=12).contains(&stream.len()), "{stream:?}");
    assert_eq!(taken(Duration::ZERO, 20).await.len(), 21, "without a time to settle, each is a turn");
}

#[tokio::test(start_paused = true)]
async fn a_call_and_the_end_cut_the_settling_short() {
    let mut world = World::new();
    let ready = world.settling_source("mail", Some(600), Duration::from_secs(30), |_| Act::Wait);
    world.run();
    world.pass(10).await;
    ready.notify_one();
    world.pass(10).await;
    assert_eq!(world.seconds("mail polls"), [0]);
    world.handle.wake(&Owner::source("mail"));
    world.pass(10).await;
    assert_eq!(world.seconds("mail polls"), [0, 20]);
    ready.notify_one();
    world.pass(10).await;
    let (took, result) = world.stop().await;
    assert!(result.is_ok() && took < Duration::from_millis(10), "{took:?}");
    assert_eq!(world.seconds("mail polls"), [0, 20]);
}
