//! The keys that sinks share in configuration files: what becomes of them, and what is found.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail loudly")]

use std::time::Duration;

use inboxclaw::outside::outside;
use inboxclaw_config::{Config, ConfigError, Environment, Origin, Target, load};
use inboxclaw_contract::{DeliveryPolicy, Order};

fn read(sinks: &str) -> Result<Config, ConfigError> {
    let text = format!("sources: {{}}\nsink:\n{sinks}");
    let origin = Origin { file: "c".into(), base_dir: "/nowhere".into(), text, built_in: false };
    load(&origin, Environment::new([("RATE", "1/s")]), &outside())
}

fn good(sinks: &str) -> Config {
    read(sinks).unwrap_or_else(|error| panic!("{error}"))
}

fn policy(config: &Config, sink: usize) -> &DeliveryPolicy {
    let Target::Push(built) = &config.sinks[sink].target else { panic!("not a sink that pushes") };
    &built.policy
}

fn warned(config: &Config) -> Vec<String> {
    config.warnings.iter().map(|warning| warning.line("c")).collect()
}

#[test]
fn a_sink_that_pushes_is_told_how() {
    let config = good(
        "  plain: {type: folder, path: a}\n  told:\n    type: folder\n    path: b\n    default_ttl: 2h\n    \
         event_ttl: {a.*: 1h}\n    retry: {max_attempts: '3', max_age: 1d, interval: 1m}\n    rate: $RATE\n    \
         order: all\n    batch: {max: 10, wait: 5}\n",
    );
    assert_eq!(warned(&config), [""; 0]);
    let plain = DeliveryPolicy { batch_max: 100, ..DeliveryPolicy::default() };
    assert_eq!(policy(&config, 0), &plain, "a folder takes 100 lines at a time");
    assert_eq!(config.sinks[0].ttl, None);
    let told = policy(&config, 1);
    assert_eq!((told.max_attempts, told.max_age), (3, Duration::from_secs(86_400)));
    assert_eq!(told.retry_interval, Some(Duration::from_secs(60)));
    assert_eq!((told.pace, told.order), (Some(Duration::from_secs(1)), Order::All));
    assert_eq!((told.batch_max, told.batch_wait), (10, Duration::from_secs(5)));
    let ttl = config.sinks[1].ttl.as_ref().unwrap();
    assert_eq!(
        [ttl.of("a.b"), ttl.of("b")],
        [3_600, 7_200].map(|seconds| Some(Duration::from_secs(seconds)))
    );
}

#[test]
fn times_to_live_count_where_they_are_enabled() {
    let config = good(
        "  a: {type: http_pull, ttl_enabled: false, default_ttl: 1h, event_ttl: {a: 5}}\n  \
         b: {type: http_pull, ttl_enabled: true, event_ttl: {a.*: 5}}\n  c: {type: http_pull}\n",
    );
    assert_eq!(warned(&config), [""; 0]);
    assert_eq!((&config.sinks[0].ttl, config.sinks[0].ttl_enabled), (&None, false));
    let ttl = config.sinks[1].ttl.as_ref().unwrap();
    assert_eq!((ttl.of("a.b"), ttl.of("b")), (Some(Duration::from_secs(5)), None));
    assert_eq!((&config.sinks[2].ttl, config.sinks[2].ttl_enabled), (&None, true));
}

#[test]
fn doubtful_keys_warn_where_they_stand() {
    let config = good(
        "  a: {type: folder, path: a, concurrency: 4}\n  b: {type: folder, path: b, batch: {max: 1, wait: 5}}\n  \
         c: {type: http_pull, default_ttl: 0}\n",
    );
    assert_eq!(policy(&config, 0).concurrency, 1);
    assert_eq!(
        warned(&config),
        [
            "c:3:43: sink.a.folder.concurrency: has no effect: a sink of this type remembers what it wrote and takes one \
             batch after another",
            "c:4:52: sink.b.folder.batch.wait: has no effect where a call takes one event: set `batch.max` as well",
            "c:5:37: sink.c.http_pull.default_ttl: with 0 no event is ever handed out; leave the key out for events that do \
             not become too old",
        ]
    );
}

/// The forerunner compared prefixes as SQL's `LIKE` does.
#[test]
fn a_prefix_that_took_more_before_is_told() {
    let config = good(
        "  a: {type: http_pull, match: [Gmail.*, 'fs.*', Gmail.x], event_ttl: {'a%.*': 1h, 'A.b': 1h}}\n  \
         b: {type: sse, match: '!a%b.*'}\n  c: {type: folder, path: c, match: Gmail.*}\n  \
         d: {type: sse, match: ['a_b.*', '*', '*.X']}\n",
    );
    let found = warned(&config);
    let starts = [
        "c:3:31: sink.a.http_pull.match: \"Gmail.*\" is compared letter by letter: ",
        "c:3:79: sink.a.http_pull.event_ttl.a%.*: \"a%.*\" is compared letter by letter: ",
        "c:4:25: sink.b.sse.match: \"a%b.*\" is compared letter by letter: ",
    ];
    assert_eq!(found.len(), starts.len(), "{found:#?}");
    for (found, start) in found.iter().zip(starts) {
        assert!(found.starts_with(start), "{found}");
    }
}

#[test]
fn every_wrong_value_and_key_is_told_at_once() {
    let found = read(
        "  a:\n    type: folder\n    path: a\n    retry: {max_attempts: 0, max_age: 0, intervall: 5}\n    rate: 1\n    \
         concurrency: -1\n    order: none\n    batch: {max: 5000, wait: inf}\n    rates: 1/s\n  \
         b: {type: http_pull, retry: {}, start: now}\n  c: {type: sse, default_ttl: 1h}\n",
    );
    let found = found.err().map(|error| error.to_string()).unwrap_or_default();
    let expected = [
        "c:6:27: sink.a.folder.retry.max_attempts: expected a whole number from 1 to 1000, found 0",
        "c:6:39: sink.a.folder.retry.max_age: it is 0 seconds, it must be longer",
        "c:6:42: sink.a.folder.retry: unknown key `intervall`, did you mean `interval`?",
        "c:7:11: sink.a.folder.rate: expected a whole number of events from 1 per time, such as \"1/s\", \"10/m\" or \
         \"100/h\", found 1",
        "c:8:18: sink.a.folder.concurrency: expected a whole number from 1 to 256, found -1",
        "c:10:18: sink.a.folder.batch.max: expected a whole number from 1 to 1000, found 5000",
        "c:10:30: sink.a.folder.batch.wait: invalid interval \"inf\": it must be finite",
        "c:11:5: sink.a.folder: unknown key `rates`, did you mean `rate`?",
        "c:12:24: sink.b.http_pull: unknown key `retry`; the keys here are: format, path, match, state, start, ttl_enabled, \
         default_ttl, event_ttl",
        "c:13:18: sink.c.sse: unknown key `default_ttl`; the keys here are: path, heartbeat_timeout, format, match, state, \
         where",
    ];
    assert_eq!(found, expected.join("\n"));
}

#[test]
fn a_condition_is_compiled_and_told_where_it_is_wrong() {
    let config = good(
        "  a: {type: folder, path: a, where: data.amount > 100}\n  b: {type: sse, where: \"source.name == 'mail'\"}\n  \
         c: {type: folder, path: c}\n",
    );
    let conditions: Vec<Option<&str>> = config
        .sinks
        .iter()
        .map(|sink| match &sink.target {
            Target::Push(built) => built.condition.as_ref(),
            Target::Sse(_, condition) => condition.as_ref(),
            Target::Pull(_) => None,
        })
        .map(|condition| condition.map(|condition| condition.text()))
        .collect();
    assert_eq!(conditions, [Some("data.amount > 100"), Some("source.name == 'mail'"), None]);
    let found = read(
        "  a: {type: folder, path: a, where: data.amount >}\n  b: {type: sse, where: dta.x}\n  \
         c: {type: http_pull, where: data.x}\n  d: {type: sse, where: 5}\n",
    );
    let found = found.err().map(|error| error.to_string()).unwrap_or_default();
    let lines: Vec<&str> = found.lines().collect();
    for (line, start, end) in [
        (0, "c:3:37: sink.a.folder.where: unexpected end of input", "of the expression)"),
        (1, "c:4:25: sink.b.sse.where: unknown name `dta`, did you mean `data`?", ""),
        (2, "c:5:24: sink.c.http_pull.where: a pull sink cannot choose by data", ""),
        (3, "c:6:25: sink.d.sse.where: invalid type: integer `5`, expected a string", ""),
    ] {
        assert!(lines[line].starts_with(start) && lines[line].ends_with(end), "{}", lines[line]);
    }
    assert_eq!(lines.len(), 4);
}
