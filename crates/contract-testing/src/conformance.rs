//! The promises of ARCHITECTURE.md as tests that every store runs. A case is a function over a store that is open and
//! empty, and its clock. A store's test file names the modules that it keeps:
//!
//! ```text
//! inboxclaw_contract_testing::conformance!(sqlite, crate::on_sqlite, turns, state, log);
//! ```
#![allow(missing_docs, reason = "the name of a case is its sentence")]

pub mod building_spaces;
pub mod clock;
pub mod coalescing;
pub mod counts;
pub mod history;
pub mod housekeeping;
pub mod log;
pub mod owners;
pub mod sinks;
pub mod spaces;
pub mod state;
pub mod swaps;
pub mod sweeps;
pub mod turns;

/// The cases of some modules as tests of their own, in a module named after the store. `open` gives an open, empty
/// store: a [`Ground`](crate::Ground), or for the modules from `owners` on a [`SpacesGround`](crate::SpacesGround).
#[macro_export]
macro_rules! conformance {
    ($store:ident, $open:path, $($module:ident),+ $(,)?) => {
        mod $store {
            $($crate::conformance! { @$module $open })+
        }
    };
    (@cases $open:path, $module:ident: $($name:ident)+) => {$(
        #[tokio::test]
        async fn $name() {
            $crate::conformance::$module::$name(&$open()).await;
        }
    )+};
    (@turns $open:path) => {
        $crate::conformance! { @cases $open, turns:
            promise_1_a_turn_is_all_or_nothing
            promise_1_a_turn_beyond_a_limit_stores_nothing
            promise_1_a_refused_turn_sweeps_nothing
            promise_1_a_repeated_commit_stores_nothing
            promise_2_a_turn_conflicts_when_what_it_read_changed
            promise_2_a_turn_conflicts_when_what_it_writes_changed
            promise_2_other_changes_do_not_conflict
            promise_2_holds_for_a_base_far_behind
            promise_2_holds_between_turns_that_commit_together
            promise_2_a_check_sees_the_revision_now
            promise_4a_owners_cannot_touch_each_other
        }
    };
    (@state $open:path) => {
        $crate::conformance! { @cases $open, state:
            promise_8_an_expired_entry_is_gone_for_everybody
            promise_8_expiry_and_sweep_change_no_version
            promise_8_small_steps_back_are_absorbed
            promise_9_a_prefix_is_literal
            promise_9_no_character_stands_for_others
            promise_9_a_list_resumes_after_a_key
            promise_10_json_comes_back_as_it_went_in
            a_put_of_what_is_there_changes_nothing
            promise_8_a_persons_change_of_expiry_is_a_change
            deletions_by_prefix_come_first
            keys_are_those_that_a_list_would_give
            a_restored_entry_is_as_it_was_under_a_new_revision
            a_change_wakes_those_who_wait
        }
    };
    (@history $open:path) => {
        $crate::conformance! { @cases $open, history:
            history_says_what_was_replaced
            history_keeps_no_secret
            history_is_a_marker_when_a_turn_replaces_too_much
            history_says_which_turn_was_taken_back
            a_page_of_history_is_bounded_in_turns_and_bytes
        }
    };
    (@counts $open:path) => {
        $crate::conformance! { @cases $open, counts:
            what_an_owner_has_is_counted
            what_has_expired_counts_until_it_is_swept
            deletions_by_overlapping_prefixes_count_once
            a_turn_that_makes_more_than_the_limit_is_refused
            less_is_welcome_when_there_is_too_much
            a_limit_holds_between_turns_that_commit_together
        }
    };
    (@log $open:path) => {
        $crate::conformance! { @cases $open, log:
            promise_3_an_event_is_logged_once
            promise_3_holds_after_the_event_was_pruned
            promise_5_a_reader_never_misses_an_event
            promise_5_a_reader_behind_retention_is_told
            promise_5_retention_of_one_type_truncates_no_other
            promise_5_a_position_beyond_the_end_is_told
            promise_8_a_time_to_live_follows_the_clock
            a_page_is_bounded_and_counts_the_rest
            what_is_left_is_counted_over_thousands_of_events
            every_type_has_its_own_position
            people_find_events
            events_are_read_by_seq
        }
    };
    (@sweeps $open:path) => {
        $crate::conformance! { @cases $open, sweeps:
            turns_that_ask_again_and_again_hold_up_no_rule
            a_sweep_finds_what_has_expired_in_every_space
            a_turn_removes_entries_by_their_age
            what_a_sweeping_turn_puts_is_new
            a_sweep_by_age_works_in_steps
            rules_remove_entries_by_their_age
            several_rules_go_over_many_entries
        }
    };
    (@clock $open:path) => {
        $crate::conformance! { @cases $open, clock:
            promise_8_a_clock_far_ahead_removes_nothing
            promise_8_what_becomes_old_in_doubt_goes
            promise_8_after_an_hour_the_clock_is_followed
            promise_8_a_person_may_say_that_the_clock_is_right
            history_of_a_wrong_clock_goes_with_what_follows_it
        }
    };
    (@sinks $open:path) => {
        $crate::conformance! { @cases $open, sinks:
            promise_6_a_new_sink_begins_where_it_is_told
            promise_6_a_sink_begins_at_a_time_also_where_the_clock_went_back
            promise_6_a_type_that_is_taken_later_begins_at_the_end
            promise_6_each_type_is_owed_for_as_long
            promise_6_what_waits_out_of_order_is_owed_for_as_long
            promise_6_a_sink_that_left_the_configuration_goes_on_owing
            promise_6_a_cursor_that_cannot_be_read_keeps_everything
            promise_6_what_outlives_its_time_is_counted_once
            promise_6_that_it_is_told_of_drops_is_not_told
            promise_6_a_dead_letter_goes_when_nobody_acts_on_it
            a_retried_delivery_is_due_at_once
            deliveries_are_counted_by_state
            debts_are_counted_up_to_a_bound
            retention_goes_on_where_it_stopped
        }
    };
    (@coalescing $open:path) => {
        $crate::conformance! { @cases $open, coalescing:
            promise_3_a_known_id_changes_nothing_that_is_pending
            what_was_collected_is_promoted_as_one
            a_debounce_starves_nobody
            a_batch_ends_a_window_after_its_first_event
            objects_merge_shallow_and_byte_for_byte
            a_list_keeps_all_in_order_and_is_bounded
            what_has_no_room_is_stored_as_it_is
            another_type_of_an_entity_comes_after_what_is_pending
            the_first_rule_that_takes_a_type_counts
            an_event_without_an_entity_is_stored_at_once
            what_is_pending_outlives_its_rules
            a_promoted_id_is_unlike_any_other
            promise_8_pending_events_follow_the_clock
            promotion_goes_in_steps_and_wakes_those_who_wait
            people_see_flush_and_drop_what_is_pending
            ending_goes_over_more_than_one_step
        }
    };
    (@housekeeping $open:path) => {
        $crate::conformance! { @cases $open, housekeeping:
            promise_6_retention_removes_only_what_nobody_owes
            each_type_is_kept_for_as_long_as_it_says
            promise_6_a_delivery_keeps_its_event
            promise_6_room_is_made_of_what_nobody_owes_first
            promise_7_a_claim_is_held_by_one
            deliveries_are_owed_until_done
            deliveries_are_bounded_in_rows_and_bytes
            facts_are_no_state
            owners_are_known_by_kind_and_name
            history_goes_by_age
        }
    };
    (@owners $open:path) => {
        $crate::conformance! { @cases $open, owners:
            a_renamed_owner_keeps_everything
            what_is_pending_goes_with_its_source
            only_a_name_without_a_past_can_be_taken
            a_forgotten_owner_leaves_nothing_but_what_it_reported
            a_forgotten_source_repeats_nothing
            an_owner_that_comes_back_early_starts_from_nothing_too
            what_is_forgotten_owes_nothing
        }
    };
    (@spaces $open:path) => {
        $crate::conformance! { @cases $open, spaces:
            a_space_is_built_in_steps_while_others_go_on
            only_what_is_being_built_can_be_filled
            a_space_that_nobody_builds_any_more_goes
            a_copy_takes_live_entries_without_secrets
            a_step_of_copying_is_bounded_in_bytes
            what_has_expired_does_not_come_back_with_a_space
            a_replaced_space_stays_as_long_as_history_names_it
            a_look_goes_page_by_page
            a_look_is_bounded_in_bytes_of_values
            a_scan_sees_one_instant_and_holds_nobody_up
            what_expires_is_told_in_order
            what_has_just_expired_is_left_to_those_who_watch
            what_expired_and_is_gone_leaves_a_mark
        }
    };
    (@swaps $open:path) => {
        $crate::conformance! { @cases $open, swaps:
            deleting_many_entries_leaves_their_space_to_history
            deleting_few_entries_is_told_key_by_key
            clearing_away_what_has_expired_is_no_change
            a_swap_conflicts_with_every_change_since_its_base
            a_space_of_somebody_else_is_refused
            a_swap_happens_before_everything_else_in_its_turn
            a_swap_that_clears_leaves_what_the_turn_puts
            secrets_move_with_a_swap_and_never_stay_behind
            a_built_space_keeps_the_secrets_that_it_came_with
            a_limit_holds_for_swaps
        }
    };
    (@building_spaces $open:path) => {
        $crate::conformance! { @cases $open, building_spaces:
            no_revision_stands_for_two_values
            of_two_built_spaces_one_comes_in_place
            a_touch_reaches_the_copies
            what_goes_because_of_its_age_goes_from_the_copies
            what_comes_in_place_is_counted_once
        }
    };
}
