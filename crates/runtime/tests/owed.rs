//! Promise 6 over the real store and the real loops: random lives of sinks that pull and that are pushed to, beside a model of
//! what each of them owes. `INBOXCLAW_CASES=1000 cargo test` tries more lives than usual.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "owed/model.rs"]
mod model;
#[path = "owed/world.rs"]
mod world;

use proptest::prelude::*;
use world::{SinkPlan, Step, World};

fn any_plan() -> impl Strategy<Value = SinkPlan> {
    let patterns = prop::sample::select(vec!["t.a", "t.b", "t.*"]);
    let ttl = prop::option::weighted(0.3, prop::sample::select(vec![3_u64, 40]));
    (0..3_usize, prop::bool::weighted(0.8), patterns, ttl, any::<bool>())
        .prop_map(|(sink, present, pattern, ttl, all)| SinkPlan { sink, present, pattern, ttl, all })
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => prop::collection::vec((0..3_u8, prop::option::of(0..2_u8)), 1..6).prop_map(Step::Emit),
        4 => (any::<u64>(), prop::bool::weighted(0.8)).prop_map(|(seed, clean)| Step::Live { seed, clean }),
        3 => (prop::sample::select(vec![1_usize, 3, 100]), any::<bool>())
            .prop_map(|(size, lease)| Step::Extract { size, lease }),
        3 => (any::<usize>(), prop::option::weighted(0.3, any::<usize>()))
            .prop_map(|(batch, up_to)| Step::Confirm { batch, up_to }),
        3 => prop::sample::select(vec![1_u64, 5, 30, 80]).prop_map(Step::Hours),
        2 => any_plan().prop_map(Step::Configure),
        1 => Just(Step::Reopen),
        1 => (0..3_usize).prop_map(Step::Forget),
    ]
}

fn cases() -> u32 {
    std::env::var("INBOXCLAW_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(24)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: cases(), max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn promise_6_an_event_leaves_what_a_sink_owes_for_a_reason_only(
        steps in prop::collection::vec(any_step(), 4..25),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let mut world = World::new();
            world.configure().await;
            for step in &steps {
                world.step(step).await;
                world.check(step).await;
            }
        });
    }
}
