//! The keys of sinks about when and how events are handed over: times to live of every sink that remembers how far it
//! came, and retries, rate, order and batches of those that push. Left out: keeping to them, which is the runtime's business.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use inboxclaw_contract::Order;
use inboxclaw_contract::{DeliveryPolicy, Warning};
use inboxclaw_settings::coerce::{self, Found, Lax};
use inboxclaw_settings::{Interval, Rate, Ttl};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de};

/// Most attempts of one event.
const MAX_ATTEMPTS: u32 = 1_000;
/// Most calls of a sink at a time.
const MAX_CONCURRENCY: u32 = 256;
/// Most events of one call.
const MAX_BATCH: u32 = 1_000;
/// The longest that a call waits for more events.
const MAX_WAIT: Duration = Duration::from_secs(60 * 60);

/// For how long events are worth handing over.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct SinkTtl {
    /// `false` leaves `default_ttl` and `event_ttl` without effect.
    #[serde(deserialize_with = "coerce::lax")]
    pub(super) ttl_enabled: bool,
    /// How long after it was stored an event is handed out, for types without a limit of their own. Without it, as long
    /// as the log holds the event. What outlives its time unconfirmed is counted in `/metrics`, `status` and health.
    pub(super) default_ttl: Option<Interval>,
    /// The same by event type: an exact type, a prefix such as `user.*`, or `*`. 0 is never handed out.
    pub(super) event_ttl: BTreeMap<String, Interval>,
}

/// How events are handed to a sink that pushes.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct SinkDelivery {
    /// What happens to an event that the receiver refuses, or that fails there. A receiver that is down is another matter:
    /// then everything waits and nothing counts as an attempt.
    retry: Retry,
    /// Most events per time, evenly spaced: `1/s`, `10/m`, `100/h`, or with a number in front of the unit, `1/90s`. No limit by default.
    rate: Option<Rate>,
    /// Most calls at a time, from 1 to 256; 1 by default.
    concurrency: Option<Whole<MAX_CONCURRENCY>>,
    /// Which events wait for which: by default, for the earlier ones of the same entity.
    order: Option<Order>,
    /// How many events one call takes.
    batch: Batch,
}

/// What happens to an event that fails.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Retry {
    /// After so many attempts, from 1 to 1000, an event is a dead letter; 12 by default.
    max_attempts: Option<Whole<MAX_ATTEMPTS>>,
    /// An event that still fails so long after its first attempt is a dead letter; 3 days by default.
    #[serde(deserialize_with = "above_zero")]
    max_age: Option<Interval>,
    /// The time between two attempts of an event. By default it doubles from 10 seconds to an hour.
    #[serde(deserialize_with = "above_zero")]
    interval: Option<Interval>,
}

/// How many events one call takes.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Batch {
    /// Most events of one call, from 1 to 1000; without it what suits the type of sink.
    max: Option<Whole<MAX_BATCH>>,
    /// How long a call waits for more events while it is not full, at most 1 hour; not at all by default.
    #[serde(deserialize_with = "up_to_an_hour")]
    wait: Option<Interval>,
}

impl SinkTtl {
    /// The time to live; `None` when events do not become too old.
    pub(super) fn ttl(&self) -> Option<Ttl> {
        let ttl = Ttl { default: self.default_ttl, by_type: self.event_ttl.clone() };
        (self.ttl_enabled && ttl != Ttl::default()).then_some(ttl)
    }

    /// What can be used and is probably a mistake. `enabled` says that `ttl_enabled` is given.
    pub(super) fn doubts(&self, enabled: bool) -> Vec<Warning> {
        let is_zero = |ttl: &Interval| ttl.as_duration().is_zero();
        let mut doubts = Vec::new();
        if enabled && self.ttl_enabled && self.ttl().is_none() {
            let why =
                "nothing becomes too old without `default_ttl` or `event_ttl`: set one, or remove the key";
            doubts.push(Warning::new("ttl_enabled", why));
        }
        if self.ttl_enabled
            && self.default_ttl.as_ref().is_some_and(is_zero)
            && self.event_ttl.values().all(is_zero)
        {
            let why =
                "with 0 no event is ever handed out; leave the key out for events that do not become too old";
            doubts.push(Warning::new("default_ttl", why));
        }
        doubts
    }
}

impl Default for SinkTtl {
    fn default() -> Self {
        Self { ttl_enabled: true, default_ttl: None, event_ttl: BTreeMap::new() }
    }
}

impl SinkDelivery {
    /// Sets what the file says over what suits the type of sink. `one_at_a_time` says that the sink takes one call after
    /// another in any case, `own` whether a key of its type is given. Returns what is doubtful.
    pub(super) fn apply(
        &self,
        policy: &mut DeliveryPolicy,
        one_at_a_time: bool,
        own: impl Fn(&str) -> bool,
    ) -> Vec<Warning> {
        let mut doubts = Vec::new();
        self.set(policy);
        if self.retry.max_attempts.is_some() && own("max_retries") {
            doubts.push(Warning::new(
                "max_retries",
                "has no effect beside `retry.max_attempts`: remove one of them",
            ));
        }
        if self.retry.interval.is_some() && own("retry_interval") {
            doubts.push(Warning::new(
                "retry_interval",
                "has no effect beside `retry.interval`: remove one of them",
            ));
        }
        if self.concurrency.is_some() && policy.concurrency > 1 {
            if one_at_a_time {
                policy.concurrency = 1;
                let why = "has no effect: a sink of this type remembers what it wrote and takes one batch after another";
                doubts.push(Warning::new("concurrency", why));
            } else if policy.order == Order::All {
                doubts.push(Warning::new(
                    "concurrency",
                    "has no effect with `order: all`: each event waits for the one before",
                ));
            }
        }
        if self.batch.wait.is_some() && policy.batch_max == 1 {
            doubts.push(Warning::new(
                "batch.wait",
                "has no effect where a call takes one event: set `batch.max` as well",
            ));
        }
        doubts
    }

    fn set(&self, policy: &mut DeliveryPolicy) {
        let whole = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
        let Retry { max_attempts, max_age, interval } = &self.retry;
        if let Some(Whole(attempts)) = *max_attempts {
            policy.max_attempts = attempts;
        }
        if let Some(age) = max_age {
            policy.max_age = age.as_duration();
        }
        if let Some(interval) = interval {
            policy.retry_interval = Some(interval.as_duration());
        }
        if let Some(rate) = self.rate {
            policy.pace = Some(rate.pace());
        }
        if let Some(Whole(calls)) = self.concurrency {
            policy.concurrency = whole(calls);
        }
        if let Some(order) = self.order {
            policy.order = order;
        }
        if let Some(Whole(events)) = self.batch.max {
            policy.batch_max = whole(events);
        }
        if let Some(wait) = self.batch.wait {
            policy.batch_wait = wait.as_duration();
        }
    }
}

/// A whole number from 1 to `MAX`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
struct Whole<const MAX: u32>(u32);

impl<const MAX: u32> Lax for Whole<MAX> {
    fn lax(found: Found<'_>) -> Result<Self, String> {
        let number = u32::lax(found.clone()).ok().filter(|number| (1..=MAX).contains(number));
        number.map(Self).ok_or_else(|| found.instead_of(format_args!("a whole number from 1 to {MAX}")))
    }
}

impl<'de, const MAX: u32> Deserialize<'de> for Whole<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        coerce::lax(deserializer)
    }
}

impl<const MAX: u32> JsonSchema for Whole<MAX> {
    fn schema_name() -> Cow<'static, str> {
        format!("WholeTo{MAX}").into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": 1, "maximum": MAX })
    }
}

fn above_zero<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Interval>, D::Error> {
    let interval: Option<Interval> = coerce::lax(deserializer)?;
    if interval.is_some_and(|interval| interval.as_duration().is_zero()) {
        return Err(de::Error::custom("it is 0 seconds, it must be longer"));
    }
    Ok(interval)
}

fn up_to_an_hour<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Interval>, D::Error> {
    let interval: Option<Interval> = coerce::lax(deserializer)?;
    match interval.filter(|interval| interval.as_duration() > MAX_WAIT) {
        Some(found) => Err(de::Error::custom(format!("expected an interval up to 1h, found {found}"))),
        None => Ok(interval),
    }
}

#[cfg(test)]
mod tests {
    use inboxclaw_contract::settings::parse;
    use serde_json::json;

    use super::*;

    /// The policy and the doubtful keys of a sink whose type wants calls of 5 events.
    fn apply(keys: serde_json::Value, one_at_a_time: bool, own: &[&str]) -> (DeliveryPolicy, Vec<String>) {
        let mut policy = DeliveryPolicy { batch_max: 5, ..DeliveryPolicy::default() };
        let keys = parse::<SinkDelivery>(keys).unwrap_or_else(|error| panic!("{}: {error}", error.path));
        let doubts = keys.apply(&mut policy, one_at_a_time, |key| own.contains(&key));
        (policy, doubts.into_iter().map(|doubt| doubt.path).collect())
    }

    #[test]
    fn what_the_file_says_goes_before_what_suits_the_type() {
        let kept = DeliveryPolicy { batch_max: 5, ..DeliveryPolicy::default() };
        assert_eq!(apply(json!({}), false, &["max_retries", "retry_interval"]), (kept, vec![]));
        let keys = json!({
            "retry": { "max_attempts": "3", "max_age": "1h", "interval": 0.5 },
            "rate": "10/m",
            "concurrency": 256,
            "order": "none",
            "batch": { "max": 1000, "wait": "1h" },
        });
        let set = DeliveryPolicy {
            max_attempts: 3,
            max_age: Duration::from_secs(3_600),
            retry_interval: Some(Duration::from_millis(500)),
            pace: Some(Duration::from_secs(6)),
            concurrency: 256,
            order: Order::None,
            batch_max: 1_000,
            batch_wait: Duration::from_secs(3_600),
        };
        assert_eq!(apply(keys, false, &[]), (set, vec![]));
    }

    #[test]
    fn keys_without_effect_are_doubtful() {
        for (keys, one_at_a_time, own, doubtful) in [
            (
                json!({ "retry": { "max_attempts": 3 } }),
                false,
                vec!["max_retries", "retry_interval"],
                vec!["max_retries"],
            ),
            (
                json!({ "retry": { "interval": 3 } }),
                false,
                vec!["max_retries", "retry_interval"],
                vec!["retry_interval"],
            ),
            (json!({ "concurrency": 2 }), false, vec![], vec![]),
            (json!({ "concurrency": 2 }), true, vec![], vec!["concurrency"]),
            (json!({ "concurrency": 1, "order": "all" }), true, vec![], vec![]),
            (json!({ "concurrency": 2, "order": "all" }), false, vec![], vec!["concurrency"]),
            (json!({ "batch": { "max": 1, "wait": 5 } }), false, vec![], vec!["batch.wait"]),
            (json!({ "batch": { "wait": 5 } }), false, vec![], vec![]),
        ] {
            let (policy, found) = apply(keys.clone(), one_at_a_time, &own);
            assert_eq!(found, doubtful, "{keys}");
            assert!(!one_at_a_time || policy.concurrency == 1, "{keys}");
        }
    }

    #[test]
    fn what_cannot_work_is_refused_with_its_limit() {
        let whole =
            |most: u32, found: &str| format!("expected a whole number from 1 to {most}, found {found}");
        let interval = |found: &str, why: &str| format!("invalid interval {found}: it must {why}");
        let rate = || "expected a whole number of events from 1 per time".to_owned();
        let zero = || "it is 0 seconds, it must be longer".to_owned();
        for (path, value, message) in [
            ("retry.max_attempts", json!(0), whole(1_000, "0")),
            ("retry.max_attempts", json!(1_001), whole(1_000, "1001")),
            ("retry.max_attempts", json!(-3), whole(1_000, "-3")),
            ("retry.max_age", json!(0), zero()),
            ("retry.max_age", json!("nan"), interval("\"nan\"", "be finite")),
            ("retry.interval", json!("0s"), zero()),
            ("retry.interval", json!(-1), interval("-1", "not be negative")),
            ("retry.interval", json!("inf"), interval("\"inf\"", "be finite")),
            ("rate", json!("0/s"), rate()),
            ("rate", json!(5), rate()),
            ("concurrency", json!(0), whole(256, "0")),
            ("concurrency", json!(257), whole(256, "257")),
            (
                "order",
                json!("both"),
                "unknown variant `both`, expected one of `none`, `entity`, `all`".into(),
            ),
            ("batch.max", json!(0), whole(1_000, "0")),
            ("batch.wait", json!("61m"), "expected an interval up to 1h, found 1h 1m".into()),
        ] {
            let keys = match path.split_once('.') {
                Some((outer, inner)) => json!({ outer: { inner: value } }),
                None => json!({ path: value }),
            };
            let error = parse::<SinkDelivery>(keys.clone()).map(drop).unwrap_err();
            assert_eq!(error.path, path, "{keys}");
            assert!(error.to_string().starts_with(&message), "{keys}: {error}");
        }
    }

    #[test]
    fn a_time_to_live_that_changes_nothing_or_all_is_doubtful() {
        for (keys, doubtful) in [
            (json!({}), None),
            (json!({ "ttl_enabled": true }), Some("ttl_enabled")),
            (json!({ "ttl_enabled": false }), None),
            (json!({ "ttl_enabled": false, "default_ttl": 0 }), None),
            (json!({ "default_ttl": 5 }), None),
            (json!({ "default_ttl": 0 }), Some("default_ttl")),
            (json!({ "default_ttl": 0, "event_ttl": { "a": 0 } }), Some("default_ttl")),
            (json!({ "default_ttl": 0, "event_ttl": { "a": 1 } }), None),
            (json!({ "event_ttl": { "a": 0 } }), None),
        ] {
            let ttl = parse::<SinkTtl>(keys.clone()).unwrap_or_else(|error| panic!("{error}"));
            let doubts = ttl.doubts(keys.get("ttl_enabled").is_some());
            assert_eq!(doubts.first().map(|doubt| doubt.path.as_str()), doubtful, "{keys}");
        }
    }
}
