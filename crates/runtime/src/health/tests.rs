//! Health as data: reports in, what people see out.

use inboxclaw_contract::store::{ClockState, Condition};
use inboxclaw_contract::{Class, StoreError};
use tokio::time::advance;

use super::*;

struct Time(Instant);

impl Clock for Time {
    fn now(&self) -> Timestamp {
        "2026-11-22T06:46:26Z".parse::<Timestamp>().unwrap() + self.0.elapsed()
    }
}

fn health() -> Health {
    Health::new(Arc::new(Time(Instant::now())))
}

fn source(health: &Health, name: &str, interval: u64) -> Owner {
    let owner = Owner::source(name);
    health.add(&owner, "clock", Some(Duration::from_secs(interval)));
    owner
}

fn row(health: &Health) -> OwnerReport {
    health.report().sources.remove(0)
}

/// Status, code and pending code of the first source.
fn short(health: &Health) -> (Status, Option<&'static str>, Option<&'static str>) {
    let row = row(health);
    (row.status, row.code, row.pending_failure.map(|pending| pending.code))
}

/// The report of the first test.
const REPORT: &str = r#"{
  "status": "unhealthy",
  "checked_at": "NOW",
  "sources": [
    {
      "name": "bank",
      "type": "clock",
      "status": "starting",
      "code": null,
      "message": null,
      "action": null,
      "checked_at": null,
      "last_healthy_at": null,
      "pending_failure": null
    },
    {
      "name": "mail",
      "type": "clock",
      "status": "unhealthy",
      "code": "authentication",
      "message": "token revoked",
      "action": "sign in",
      "checked_at": "2026-11-22T06:46:26+00:00",
      "last_healthy_at": null,
      "pending_failure": null
    }
  ],
  "failures": [
    {
      "name": "mail",
      "type": "clock",
      "status": "unhealthy",
      "code": "authentication",
      "message": "token revoked",
      "action": "sign in",
      "checked_at": "2026-11-22T06:46:26+00:00",
      "last_healthy_at": null,
      "pending_failure": null
    }
  ],
  "store": {
    "status": "healthy",
    "code": null,
    "message": null,
    "action": null,
    "checked_at": "NOW",
    "log_bytes": 0
  },
  "sinks": [
    {
      "name": "hook",
      "type": "webhook",
      "status": "starting",
      "code": null,
      "message": null,
      "action": null,
      "checked_at": "2026-11-22T06:46:26+00:00",
      "last_healthy_at": null,
      "pending_failure": {
        "code": "timeout",
        "message": "no answer",
        "action": null,
        "observed_at": "2026-11-22T06:46:26+00:00",
        "consecutive_failures": 1,
        "required_failures": 2
      }
    }
  ]
}"#;

#[tokio::test(start_paused = true)]
async fn the_report_has_its_fixed_keys_in_their_order() {
    let health = health();
    let (mail, _) = (source(&health, "mail", 60), source(&health, "bank", 60));
    let trouble =
        Trouble { action: Some("sign in".to_owned()), ..Trouble::new("authentication", "token revoked") };
    health.failed(&mail, trouble);
    let sink = Owner::sink("hook");
    health.add(&sink, "webhook", None);
    health.failed(&sink, Trouble::new("timeout", "no answer"));
    advance(Duration::from_micros(63_532)).await;
    health.store_works(true);
    let json = serde_json::to_string_pretty(&health.report()).unwrap();
    // Paused time moves in whole milliseconds: which fraction it is does not matter here, that it has one does.
    let stamp = iso(health.clock.now());
    assert_eq!(stamp.len(), "2026-11-22T06:46:26.063532+00:00".len(), "{stamp}");
    assert_eq!(json, REPORT.replace("NOW", &stamp));
}

#[tokio::test(start_paused = true)]
async fn codes_count_at_once_or_after_two_failures() {
    use Class::*;
    let classes = [
        Connectivity,
        Timeout,
        Upstream,
        Unavailable,
        RateLimited,
        Authentication,
        Authorization,
        Configuration,
        Expired,
        Internal,
    ];
    for class in classes {
        let health = health();
        let mail = source(&health, "mail", 60);
        let code = crate::schedule::policy(class).code;
        health.failed(&mail, Trouble::new(code, "first"));
        let at_once =
            !matches!(class, Connectivity | Timeout | Upstream | Unavailable | RateLimited | Internal);
        let expected = match at_once {
            true => (Status::Unhealthy, Some(code), None),
            false => (Status::Starting, None, Some(code)),
        };
        assert_eq!(short(&health), expected, "{class}");
        health.failed(&mail, Trouble::new("partial_failure", "second"));
        assert_eq!(short(&health), (Status::Unhealthy, Some("partial_failure"), None), "{class}");
        health.failed(&mail, Trouble::new(code, "third"));
        assert_eq!(short(&health), (Status::Unhealthy, Some(code), None), "{class}");
        health.succeeded(&mail);
        assert_eq!(short(&health), (Status::Healthy, None, None), "{class}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_success_clears_a_pending_failure_silently() {
    let health = health();
    let mail = source(&health, "mail", 60);
    health.succeeded(&mail);
    health.failed(&mail, Trouble::new("timeout", "slow"));
    assert_eq!(short(&health), (Status::Healthy, None, Some("timeout")));
    health.succeeded(&mail);
    assert_eq!(short(&health), (Status::Healthy, None, None));
    health.failed(&mail, Trouble::new("timeout", "slow"));
    assert_eq!(short(&health), (Status::Healthy, None, Some("timeout")));
}

#[tokio::test(start_paused = true)]
async fn the_watchdog_waits_for_two_intervals_and_at_least_a_minute() {
    for (interval, silence) in [(1, 60), (15, 60), (16, 62), (600, 1230)] {
        let health = health();
        let mail = source(&health, "mail", interval);
        advance(Duration::from_secs(silence - 1)).await;
        health.watch();
        assert_eq!(row(&health).status, Status::Starting, "interval {interval}");
        advance(Duration::from_secs(2)).await;
        health.watch();
        assert_eq!(short(&health), (Status::Unhealthy, Some("not_reporting"), None), "interval {interval}");
        health.succeeded(&mail);
        assert_eq!(short(&health), (Status::Healthy, None, None), "interval {interval}");
        advance(Duration::from_secs(silence - 1)).await;
        health.watch();
        assert_eq!(short(&health), (Status::Healthy, None, None), "interval {interval}");
        advance(Duration::from_secs(2)).await;
        health.watch();
        assert_eq!(short(&health), (Status::Unhealthy, Some("stale"), None), "interval {interval}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_watchdog_leaves_those_alone_that_rest_or_have_no_interval() {
    let health = health();
    let push = Owner::source("push");
    health.add(&push, "webhook", None);
    let paused = source(&health, "a_paused", 10);
    health.resting(&paused, Some("paused"));
    let backing_off = source(&health, "backing_off", 10);
    health.quiet_for(&backing_off, Duration::from_secs(900));
    advance(Duration::from_secs(900)).await;
    health.watch();
    let report = health.report();
    assert!(report.failures.is_empty(), "{:?}", report.failures);
    assert_eq!(row(&health).message.as_deref(), Some("paused"));
    advance(Duration::from_secs(61)).await;
    health.watch();
    let failures = health.report().failures;
    assert_eq!(failures.iter().map(|row| &*row.name).collect::<Vec<_>>(), ["backing_off"]);
}

#[tokio::test(start_paused = true)]
async fn the_whole_is_as_ill_as_its_illest_part() {
    let health = health();
    assert_eq!(health.report().status, Status::Healthy);
    let mail = source(&health, "mail", 60);
    assert_eq!(health.report().status, Status::Starting);
    health.resting(&mail, Some("paused"));
    assert_eq!(health.report().status, Status::Healthy);
    health.resting(&mail, None);
    health.succeeded(&mail);
    assert_eq!(health.report().status, Status::Healthy);
    health.store_failed(Trouble::new("full", "no room"));
    assert!(health.report().is_unhealthy());
    assert_eq!(health.report().store.code, Some("full"));
    health.store_works(false);
    assert_eq!(health.report().store.code, Some("full"));
    health.store_works(true);
    assert_eq!(health.report().status, Status::Healthy);
    health.store_failed(Trouble::new("unreadable", "no answer"));
    health.store_works(false);
    assert_eq!(health.report().status, Status::Healthy);
    let pull = Owner::sink("pull");
    health.add_still(&pull, "http_pull", Status::Healthy);
    health.owing(&pull, Some("much".to_owned()));
    health.lapsed(&pull, "some".to_owned());
    let sink = health.report().sinks.remove(0);
    assert_eq!((sink.status, sink.message.as_deref()), (Status::Healthy, Some("much; some")));
    assert_eq!(health.report().status, Status::Healthy);
    health.stopped(&mail);
    assert_eq!(short(&health), (Status::Unhealthy, Some("runner_stopped"), None));
    assert!(health.report().is_unhealthy());
}

#[tokio::test(start_paused = true)]
async fn what_the_store_noticed_itself_counts() {
    let found = Arc::new(std::sync::Mutex::new(Condition::default()));
    let asked = found.clone();
    let health = health().asking(move || asked.lock().unwrap().clone());
    assert_eq!(health.report().store.message, None);
    found.lock().unwrap().log_bytes = 600 << 20;
    health.look_at_store();
    let store = health.report().store;
    assert_eq!((store.status, store.log_bytes), (Status::Healthy, 600 << 20));
    assert!(store.message.unwrap().starts_with("the write-ahead log has 600 MiB"));
    found.lock().unwrap().trouble = Some(StoreError::Damaged("page 7".into()));
    health.store_works(true);
    let report = health.report();
    assert_eq!((report.status, report.store.code), (Status::Unhealthy, Some("damaged")));
    assert!(report.store.message.unwrap().starts_with("the database is damaged: page 7; "));
    *found.lock().unwrap() = Condition::default();
    assert_eq!((health.report().status, health.report().store.message), (Status::Healthy, None));
}

#[test]
fn a_clock_in_doubt_is_no_failure_and_says_what_to_do() {
    let found = Arc::new(std::sync::Mutex::new(Condition::default()));
    let asked = found.clone();
    let health = health().asking(move || asked.lock().unwrap().clone());
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let (now, wall) = (at("2026-01-01T00:00:00Z"), at("2027-02-05T00:00:00Z"));
    let doubted = Some(Duration::from_secs(3_541));
    found.lock().unwrap().clock = Some(ClockState { now, wall, doubted });
    let store = health.report().store;
    assert_eq!((store.status, store.code), (Status::Healthy, Some("clock")));
    let told = "the clock is in doubt: it is 400 d ahead of the last time that is known (2026-01-01T00:00:00+00:00); \
                nothing is removed because of it for 60 more minutes at most";
    assert_eq!(store.message.as_deref(), Some(told));
    assert!(store.action.unwrap().contains("`inboxclaw clock accept`"));
    assert_eq!(health.report().status, Status::Healthy);
    found.lock().unwrap().clock = Some(ClockState { now: wall, wall, doubted: None });
    assert_eq!((health.report().store.code, health.report().store.action), (None, None));
}

#[test]
fn times_have_six_digits_or_none() {
    assert_eq!(iso("2026-01-02T03:04:05Z".parse().unwrap()), "2026-01-02T03:04:05+00:00");
    assert_eq!(iso("2026-01-02T03:04:05.0001Z".parse().unwrap()), "2026-01-02T03:04:05.000100+00:00");
}

#[tokio::test(start_paused = true)]
async fn time_in_which_the_process_stood_still_is_no_silence() {
    let health = health();
    let mail = source(&health, "mail", 10);
    health.succeeded(&mail);
    advance(Duration::from_secs(900)).await;
    health.stood_still(Duration::from_secs(895));
    health.watch();
    assert_eq!(short(&health), (Status::Healthy, None, None));
    advance(Duration::from_secs(61)).await;
    health.watch();
    assert_eq!(short(&health), (Status::Unhealthy, Some("stale"), None), "and silent from then on");
}
