//! Random lives of a store, step by step beside a plain model of what was promised.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "model/model.rs"]
mod model;
#[path = "model/steps.rs"]
mod steps;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use inboxclaw_contract::turn::Conflict;
use inboxclaw_contract::{Intake, Outcome, Selection, Seq, StartAt};
use inboxclaw_contract_testing::{Ground, HandClock};
use inboxclaw_settings::Patterns;
use inboxclaw_store::{Durability, Options, SqliteStore};
use model::{Expected, Model};
use proptest::prelude::*;
use steps::Step;

fn open(path: &Path, clock: &Arc<HandClock>) -> Ground {
    // A kill is the business of other tests; without fsync there are more lives.
    let options = Options { durability: Durability::Normal, ..Options::new(clock.clone()) };
    Ground::new(Arc::new(SqliteStore::open(path, options).unwrap()), clock.clone())
}

/// In memory where there is such a place: a life opens its store several times, and each time waits for the disk.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

async fn live(steps: Vec<Step>) {
    let dir = folder();
    let path = dir.path().join("a.db");
    let clock = HandClock::new();
    let mut ground = open(&path, &clock);
    let mut model = Model::new(&*clock);
    for name in ["a", "b"] {
        ground.sink(name).await;
    }
    for step in steps {
        match &step {
            Step::Turn(plan) => {
                let turn = plan.turn(&model);
                let found = ground.store.commit(turn.clone()).await.unwrap();
                let doubts = found == Outcome::Conflict(Conflict::Unknown) && model.has_forgotten(&turn);
                if !doubts {
                    let expected = model.turn(&turn);
                    check_outcome(&expected, found, &step);
                    if let Expected::Done(_) = expected {
                        let again =
                            inboxclaw_contract_testing::committed(ground.store.commit(turn).await.unwrap());
                        assert_eq!((again.stored, again.known), (0, 0), "a repeat stores nothing");
                    }
                }
            }
            Step::Clock(seconds) => clock.step(*seconds),
            Step::Sweep => while ground.store.sweep().await.unwrap().more {},
            Step::Prune { older_than, owed_max, after, keep } => {
                if *keep {
                    // What the first owner owes out of order counts, and what the retaining sink wants of the log.
                    ground.owing("r", &Selection::all(Seq(*after))).await;
                    let nothing = Intake { patterns: Patterns::new([""; 0]), ttl: None, start: StartAt::All };
                    ground.store.set_intake(model::owner(0), &nothing).await.unwrap();
                } else {
                    for sink in [model::owner(0), ground.sink("r").await] {
                        ground.store.release(sink).await.unwrap();
                    }
                }
                let pruned = ground.prune_all(*older_than, *owed_max).await;
                let ages = [*older_than, *owed_max].map(Duration::from_secs);
                assert_eq!(pruned, model.prune(&*clock, ages, keep.then_some(*after)), "{step:?}");
            }
            Step::Reopen => {
                drop(ground);
                ground = open(&path, &clock);
            }
        }
        model.tick(&*clock, matches!(step, Step::Sweep));
        model.compare(&ground).await;
    }
}

fn check_outcome(expected: &Expected, found: Outcome, step: &Step) {
    match (expected, found) {
        (Expected::Done(expected), Outcome::Committed(found)) => assert_eq!(*expected, found, "{step:?}"),
        (Expected::Conflict, Outcome::Conflict(_)) => {}
        (expected, found) => panic!("{expected:?} but {found:?} after {step:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_store_does_what_the_model_says(steps in prop::collection::vec(steps::any_step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(live(steps));
    }
}
