//! What a configuration says about states: rules, limits, stopped sources, and where a source begins.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail loudly")]

use std::time::Duration;

use inboxclaw::outside::outside;
use inboxclaw_config::{Config, ConfigError, Environment, Origin, load};
use inboxclaw_contract::Outside;
use inboxclaw_contract::store::{Expire, StateLimits};
use inboxclaw_contract::turn::Age;
use inboxclaw_contract_testing::HandClock;

fn read(text: &str) -> Result<Config, ConfigError> {
    let origin =
        Origin { file: "c.yaml".into(), base_dir: "/nowhere".into(), text: text.to_owned(), built_in: false };
    let env = Environment::new([("MANY", "5000"), ("WEEK", "7d")]);
    let clock = HandClock::at("2026-11-22T12:00:00Z".parse().unwrap());
    load(&origin, env, &Outside { clock, ..outside() })
}

fn good(text: &str) -> Config {
    read(text).unwrap_or_else(|error| panic!("{error}"))
}

/// Checks the findings, one line each.
fn refused(text: &str, expected: &[&str]) {
    let found = read(text).err().map(|error| error.to_string()).unwrap_or_default();
    assert_eq!(found, expected.join("\n"), "{text}");
}

#[test]
fn sources_and_sinks_have_rules_for_their_states() {
    let config = good(
        "sources:\n  a:\n    type: mock\n    stopped: yes\n    state:\n      max_entries: $MANY\n      max_bytes: 1 GiB\n      expire:\n\
         \x20     - {prefix: 'seen:', after: 30d}\n      - {prefix: '', after: $WEEK, by: created}\n  b: {type: mock, state: {}}\n\
         sink:\n  sse: {state: {max_bytes: 4096}}\n  c: {type: http_pull, state: {expire: [{prefix: x, after: 60}]}}\n  d: {type: folder, path: x}\n",
    );
    let expire = |prefix: &str, seconds: u64, by: Age| Expire {
        prefix: prefix.to_owned(),
        after: Duration::from_secs(seconds),
        by,
    };
    let a = &config.sources[0];
    let rules = vec![expire("seen:", 30 * 86_400, Age::Updated), expire("", 7 * 86_400, Age::Created)];
    assert_eq!(a.policy, StateLimits { expire: rules, max_entries: Some(5_000), max_bytes: Some(1 << 30) });
    assert!(a.stopped && !config.sources[1].stopped);
    assert_eq!(config.sources[1].policy, StateLimits::default());
    assert_eq!(config.sinks[0].policy, StateLimits { max_bytes: Some(4096), ..StateLimits::default() });
    assert_eq!(config.sinks[1].policy.expire, [expire("x", 60, Age::Updated)]);
    assert_eq!(config.sinks[2].policy, StateLimits::default());
}

#[test]
fn what_is_wrong_with_a_rule_is_told_where_it_stands() {
    refused(
        "sources:\n  mock:\n    state:\n      expires: []\n      max_entries: -1\n      max_bytes: 1 parsec\n      expire:\n\
         \x20     - {prefx: a, after: 1d}\nsink: {}\n",
        &[
            "c.yaml:4:7: sources.mock.mock.state: unknown key `expires`, did you mean `expire`?",
            "c.yaml:5:20: sources.mock.mock.state.max_entries: expected a whole number from 0 to 18446744073709551615, found -1",
            "c.yaml:6:18: sources.mock.mock.state.max_bytes: expected a number of bytes or a text such as \"64 MiB\", found \
             \"1 parsec\"",
            "c.yaml:8:9: sources.mock.mock.state.expire.0: the key `prefix` is missing",
            "c.yaml:8:10: sources.mock.mock.state.expire.0: unknown key `prefx`, did you mean `prefix`?",
        ],
    );
    for (state, found) in [
        (
            "{expire: [{prefix: a, after: 1d}, {prefix: b, after: 1d, by: touched}]}",
            "expire.1.by: unknown variant `touched`, expected `created` or `updated`",
        ),
        ("{expire: [{prefix: a, after: 0}]}", "expire.0.after: the age is 0 seconds, it must be longer"),
        (
            "{expire: [{prefix: \"a\\tb\", after: 1}]}",
            "expire.0.prefix: the prefix holds the control character U+0009 at byte 1",
        ),
        (
            "{max_entries: 0}",
            "max_entries: a limit of 0 leaves no room for anything; remove the key for none",
        ),
        (
            "{max_bytes: 0 MiB}",
            "max_bytes: a limit of 0 leaves no room for anything; remove the key for none",
        ),
    ] {
        for text in [
            format!("sources: {{mock: {{state: {state}}}}}\nsink: {{}}\n"),
            format!("sources: {{}}\nsink: {{sse: {{state: {state}}}}}\n"),
        ] {
            let error = read(&text).err().map(|error| error.to_string()).expect(&text);
            assert!(error.ends_with(&format!(".state.{found}")), "{error}");
        }
    }
}

#[test]
fn a_start_is_for_sources_that_can_choose_it() {
    for start in ["now", "all", "2026-11-01", "2026-11-01T08:00:00Z", "7d", "3600", "$WEEK"] {
        let text = format!(
            "sources:\n  feed: {{url: 'https://a.b/c', start: {start}}}\n  filesystem: {{path: x, start: {start}}}\nsink: {{}}\n"
        );
        let config = good(&text);
        assert_eq!(config.sources.len(), 2);
        assert!(config.warnings.is_empty(), "{start}: {:?}", config.warnings);
    }
    refused(
        "sources:\n  mock:\n    interval: 5\n    start: all\n  b: {type: mock, stopped: perhaps}\n  feed: {url: x, start: soon}\nsink:\n  sse: {start: now}\n",
        &[
            "c.yaml:4:5: sources.mock.mock.start: a source of type `mock` cannot choose where it begins; remove the key",
            "c.yaml:5:28: sources.b.mock.stopped: expected true or false (or yes, no, on, off, 1, 0), found \"perhaps\"",
            "c.yaml:6:15: sources.feed.feed.url: url is no address: relative URL without a base",
            "c.yaml:6:25: sources.feed.feed.start: expected `now`, `all`, a date such as 2026-01-31, a time such as \
             2026-01-31T08:00:00Z or an interval such as `7d`, found \"soon\"",
            "c.yaml:8:9: sink.sse.sse.start: a stream begins when a client connects, or after the event that it names; remove the key",
        ],
    );
}

#[test]
fn a_start_that_is_still_to_come_is_doubtful() {
    let config = good("sources:\n  filesystem:\n    path: x\n    start: 2026-11-23\nsink: {}\n");
    let warnings: Vec<String> = config.warnings.iter().map(|warning| warning.line("c")).collect();
    let told =
        "c:4:5: sources.filesystem.filesystem.start: this time is still to come: until then it means `now`";
    assert_eq!(warnings, [told]);
}

#[test]
fn a_mistyped_key_may_be_one_that_every_source_has() {
    refused(
        "sources:\n  mock: {stoped: true}\nsink: {}\n",
        &["c.yaml:2:10: sources.mock.mock: unknown key `stoped`, did you mean `stopped`?"],
    );
}
