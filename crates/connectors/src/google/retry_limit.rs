//! Counts how often a service failed at one thing: Google answers 500 for some documents for good, and one of them must
//! not hold up everything behind it.

use std::collections::HashMap;
use std::sync::Mutex;

use inboxclaw_contract::Class;

use super::refusal::Refusal;
use crate::lock::lock;

/// How often in a row a service may fail at a thing before a source goes on without it.
const GIVE_UP_AFTER: u32 = 3;
/// Most things remembered: one that is no longer asked for is never taken out.
const MOST: usize = 10_000;

/// How often in a row a service failed at each thing. In memory only: forgotten, it costs some more tries.
#[derive(Debug, Default)]
pub struct RetryLimit {
    failures: Mutex<HashMap<String, u32>>,
}

impl RetryLimit {
    /// Whether to wait for a thing that was refused: the refusal may pass, and it is not the third time in a row that
    /// the service itself failed at this very thing or took too long for it. Quotas, tokens and connections say nothing
    /// about the thing.
    pub fn may_retry(&self, id: &str, refusal: &Refusal) -> bool {
        let is_about_it = refusal.is_of_server() || refusal.failure.class == Class::Timeout;
        if !is_about_it {
            return refusal.is_transient();
        }
        let mut failures = lock(&self.failures);
        if failures.len() >= MOST {
            failures.clear();
        }
        let count = failures.entry(id.to_owned()).or_default();
        *count += 1;
        if *count < GIVE_UP_AFTER {
            return true;
        }
        failures.remove(id);
        false
    }

    /// The service answered for a thing.
    pub fn succeeded(&self, id: &str) {
        lock(&self.failures).remove(id);
    }
}

#[cfg(test)]
mod tests {
    use inboxclaw_contract::Failure;

    use super::*;

    fn refusal(status: u16) -> Refusal {
        Refusal { status: Some(status), ..Failure::text(Class::Upstream, "no").into() }
    }

    #[test]
    fn the_third_failure_of_a_thing_ends_it_and_others_are_counted_apart() {
        let limit = RetryLimit::default();
        let waits = |id: &str| limit.may_retry(id, &refusal(500));
        assert_eq!(["a", "a", "b", "a", "b", "a"].map(waits), [true, true, true, false, true, true]);
    }

    #[test]
    fn an_answer_between_two_failures_begins_the_row_anew() {
        let limit = RetryLimit::default();
        let waits = || limit.may_retry("a", &refusal(503));
        assert!(waits() && waits());
        limit.succeeded("a");
        assert!(waits() && waits() && !waits());
    }

    #[test]
    fn a_thing_that_takes_too_long_each_time_is_gone_on_without() {
        let limit = RetryLimit::default();
        let slow = || Failure::text(Class::Timeout, "no").into();
        assert_eq!([0; 3].map(|_| limit.may_retry("a", &slow())), [true, true, false]);
    }

    #[test]
    fn what_says_nothing_about_the_thing_is_waited_for_without_end() {
        let limit = RetryLimit::default();
        assert!((0..9).all(|_| limit.may_retry("a", &refusal(429))));
        assert!((0..9).all(|_| limit.may_retry("a", &Failure::text(Class::Connectivity, "no").into())));
        assert!(!limit.may_retry("a", &refusal(404)));
    }
}
