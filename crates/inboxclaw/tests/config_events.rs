//! What the configuration says about events: how a source's are joined, and how long each type is kept.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail loudly")]

use std::path::Path;
use std::time::Duration;

use inboxclaw::outside::outside;
use inboxclaw_config::{Config, ConfigError, Environment, Origin, load};
use inboxclaw_contract::coalesce::{Aggregation, Strategy};

fn read(text: &str) -> Result<Config, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let base_dir = folder.path().to_owned();
    let origin = Origin { file: "c.yaml".into(), base_dir, text: text.to_owned(), built_in: false };
    let none: [(&str, &str); 0] = [];
    load(&origin, Environment::new(none), &outside())
}

/// The findings for a source with these rules.
fn refused(rules: &str) -> String {
    let text = format!("sources:\n  mock:\n    coalesce: {rules}\nsink: {{}}\n");
    read(&text).err().map(|error| error.to_string()).unwrap_or_default()
}

#[test]
fn rules_keep_fractions_and_have_defaults() {
    let config = read(
        "sources:\n  mock:\n    coalesce:\n\
         \x20     - {match: [mock.*, '!mock.x'], strategy: debounce, window: 0.5}\n\
         \x20     - {match: a, strategy: batch, window: 1m, aggregation: list}\n\
         \x20     - {match: b, strategy: debounce, window: '1.5s', max_wait: 2s, aggregation: merge}\n\
         sink: {}\n",
    )
    .unwrap();
    let rules = &config.sources[0].coalescing;
    assert!(rules[0].patterns.matches("mock.a") && !rules[0].patterns.matches("mock.x"));
    let found: Vec<_> =
        rules.iter().map(|rule| (rule.strategy, rule.window, rule.max_wait, rule.aggregation)).collect();
    let millis = Duration::from_millis;
    assert_eq!(
        found,
        [
            (Strategy::Debounce, millis(500), millis(5_000), Aggregation::Latest),
            (Strategy::Batch, millis(60_000), millis(600_000), Aggregation::List),
            (Strategy::Debounce, millis(1_500), millis(2_000), Aggregation::Merge),
        ]
    );
    assert!(refused("[]").is_empty());
}

#[test]
fn rules_that_cannot_work_are_refused_with_their_place() {
    for (rule, finding) in [
        ("{match: a, strategy: debounce, window: 0}", "sources.mock.mock.coalesce.0.window: "),
        ("{match: a, strategy: debounce, window: -5}", "sources.mock.mock.coalesce.0.window: "),
        ("{match: a, strategy: Debounce, window: 5}", "sources.mock.mock.coalesce.0.strategy: "),
        (
            "{match: a, strategy: batch, window: 5, aggregation: sum}",
            "sources.mock.mock.coalesce.0.aggregation: ",
        ),
        (
            "{match: a, strategy: batch, window: 5, max_wait: 9}",
            "coalesce.0.max_wait: a batch ends a window after",
        ),
        ("{match: a, strategy: debounce, window: 5, max_wait: 4}", "coalesce.0.max_wait: it is shorter than"),
        ("{match: a, strategy: batch}", "the key `window` is missing"),
        (
            "{match: a, strategy: batch, window: 5, windows: 6}",
            "unknown key `windows`, did you mean `window`?",
        ),
    ] {
        let found = refused(&format!("[{rule}]"));
        assert!(found.starts_with("c.yaml:3:") && found.contains(finding), "{rule}: {found}");
    }
}

#[test]
fn retention_is_said_by_type() {
    let text = |retention: &str| format!("database: {{retention: {retention}}}\nsources: {{}}\nsink: {{}}\n");
    let config = read(&text("{mock.*: 1d, a.b: 2, '*': '30d', c: never, d: 0}")).unwrap();
    let days = |days: u64| Some(Duration::from_secs(days * 86_400));
    let expected = [("*", days(30)), ("a.b", days(2)), ("c", None), ("d", None), ("mock.*", days(1))];
    let expected = expected.map(|(pattern, age)| (pattern.to_owned(), age));
    assert_eq!(config.database.retention, expected.into());
    for (retention, finding) in [
        ("{a: soon}", "database.retention.a: expected a number of days, an interval such as `12h`"),
        ("{'!a': 1}", "database.retention: \"!a\" is no pattern here"),
        ("{'*.a': 1}", "database.retention: \"*.a\" is no pattern here"),
    ] {
        let found = read(&text(retention)).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(found.starts_with("c.yaml:1:") && found.contains(finding), "{retention}: {found}");
    }
    assert!(Path::new(&config.file).ends_with("c.yaml"));
}
