//! The promises of ARCHITECTURE.md as tests, run on every store. A promise is a plain function over the traits and
//! a clock; a new store adds one line at the end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod common;
#[path = "conformance/housekeeping.rs"]
mod housekeeping;
#[path = "conformance/log.rs"]
mod log;
#[path = "conformance/state.rs"]
mod state;
#[path = "conformance/turns.rs"]
mod turns;

macro_rules! promises {
    ($ground:path, $store:ident: $($module:ident { $($name:ident)* })*) => {
        mod $store {
            $($(
                #[tokio::test]
                async fn $name() {
                    let dir = tempfile::tempdir().unwrap();
                    crate::$module::$name(&$ground(dir.path())).await;
                }
            )*)*
        }
    };
}

/// Every promise, on one kind of store.
macro_rules! on {
    ($store:ident, $ground:path) => {
        promises! { $ground, $store:
            turns {
                promise_1_a_turn_is_all_or_nothing
                promise_1_a_turn_beyond_a_limit_stores_nothing
                promise_1_a_repeated_commit_stores_nothing
                promise_2_a_turn_conflicts_when_what_it_read_changed
                promise_2_a_turn_conflicts_when_what_it_writes_changed
                promise_2_other_changes_do_not_conflict
                promise_2_holds_for_a_base_far_behind
                promise_2_holds_between_turns_that_commit_together
                promise_2_a_check_sees_the_revision_now
                promise_4a_owners_cannot_touch_each_other
            }
            state {
                promise_8_an_expired_entry_is_gone_for_everybody
                promise_8_expiry_and_sweep_change_no_version
                promise_8_small_steps_back_are_absorbed
                promise_9_a_prefix_is_literal
                promise_9_a_list_resumes_after_a_key
                promise_10_json_comes_back_as_it_went_in
                a_put_of_what_is_there_changes_nothing
                deletions_by_prefix_come_first
                history_says_what_was_replaced
                history_keeps_no_secret
                history_is_a_marker_when_a_turn_replaces_too_much
                a_change_wakes_those_who_wait
            }
            log {
                promise_3_an_event_is_logged_once
                promise_3_holds_after_the_event_was_pruned
                promise_5_a_reader_never_misses_an_event
                promise_5_a_reader_behind_retention_is_told
                promise_8_a_time_to_live_follows_the_clock
                a_page_is_bounded_and_counts_the_rest
                every_type_has_its_own_position
                people_find_events
            }
            housekeeping {
                promise_6_retention_removes_only_what_nobody_owes
                promise_6_a_delivery_keeps_its_event
                promise_7_a_claim_is_held_by_one
                deliveries_are_owed_until_done
                facts_are_no_state
                owners_are_known_by_kind_and_name
                history_goes_by_age
            }
        }
    };
}

/// A store on SQLite.
fn on_sqlite(dir: &std::path::Path) -> common::Ground {
    let clock = common::HandClock::new();
    let options = inboxclaw_store::Options::new(clock.clone());
    let store = inboxclaw_store::SqliteStore::open(&dir.join("a.db"), options).unwrap();
    common::Ground { store: std::sync::Arc::new(store), clock }
}

on!(sqlite, crate::on_sqlite);
