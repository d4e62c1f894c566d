//! Random lives of states: turns, edits by people, undo, rewind, imports, sweeps, steps of the clock and kills, step
//! by step beside a plain model of what was promised. `INBOXCLAW_CASES=10000 cargo test` tries more lives than usual.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "model/compare.rs"]
mod compare;
#[path = "model/edits.rs"]
mod edits;
#[path = "model/ground.rs"]
mod ground;
#[path = "model/large.rs"]
mod large;
#[path = "model/life.rs"]
mod life;
#[path = "model/state.rs"]
mod state;
#[path = "model/steps.rs"]
mod steps;
#[path = "model/turns.rs"]
mod turns;

use proptest::prelude::*;

fn cases() -> u32 {
    std::env::var("INBOXCLAW_CASES")
        .ok()
        .map_or(100, |cases| cases.parse().expect("INBOXCLAW_CASES: a number"))
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: cases(), max_shrink_iters: 3_000, failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn states_do_what_the_model_says(steps in prop::collection::vec(steps::any_step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(life::live(steps));
    }
}
