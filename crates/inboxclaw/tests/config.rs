//! Configuration files in, values or findings out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail loudly")]

use std::path::Path;
use std::time::Duration;

use inboxclaw::outside::outside;
use inboxclaw_config::{Config, ConfigError, Environment, Origin, Target, load};

const REST: &str = "sources: {}\nsink: {}\n";

fn load_in(folder: &Path, text: &str, env: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let origin =
        Origin { file: "c.yaml".into(), base_dir: folder.to_owned(), text: text.to_owned(), built_in: false };
    load(&origin, Environment::new(env.iter().copied()), &outside())
}

fn read(text: &str) -> Result<Config, ConfigError> {
    read_with(text, &[])
}

fn read_with(text: &str, env: &[(&str, &str)]) -> Result<Config, ConfigError> {
    load_in(tempfile::tempdir().unwrap().path(), text, env)
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
fn the_smallest_file_has_every_default() {
    let folder = tempfile::tempdir().unwrap();
    let config = load_in(folder.path(), REST, &[]).unwrap();
    assert_eq!((config.server.host.as_str(), config.server.port), ("127.0.0.1", 8000));
    assert_eq!((config.server.token.as_deref(), config.server.allow_anonymous), (None, false));
    assert_eq!(config.database.path, folder.path().join("data/data2.db"));
    assert_eq!(config.database.retention_days, 30);
    assert_eq!(config.database.owed_max, Duration::from_secs(30 * 86_400));
    assert_eq!(config.database.dead_max, Duration::from_secs(30 * 86_400));
    assert_eq!(config.database.history_age, Duration::from_secs(7 * 86_400));
    assert_eq!((config.database.durable, config.database.history_bytes), (true, 64 << 20));
    assert!(config.sources.is_empty() && config.sinks.is_empty() && config.warnings.is_empty());
}

#[test]
fn the_program_s_own_sections() {
    let config = good(
        "$schema: x.json\nx-anything: {a: [1]}\nserver: {host: localhost, port: '8001', token: abc, allow_anonymous: no}\n\
         database: {retention_days: 7, days: 0, db_path: /tmp/x.db, durability: normal, owed_max: 2w, dead_max: 3d,\n\
         \x20 history: {age: 1d, size: 1 MiB}}\nsources: {}\nsink: {}\n",
    );
    assert_eq!((config.server.host.as_str(), config.server.port), ("localhost", 8001));
    assert_eq!(config.server.token.as_deref(), Some("abc"));
    assert_eq!(
        (config.database.retention_days, config.database.durable),
        (0, false),
        "days wins over retention_days"
    );
    assert_eq!(config.database.path, Path::new("/tmp/x.db"));
    assert_eq!(config.database.owed_max, Duration::from_secs(14 * 86_400));
    assert_eq!(config.database.dead_max, Duration::from_secs(3 * 86_400));
    assert_eq!(
        (config.database.history_age, config.database.history_bytes),
        (Duration::from_secs(86_400), 1 << 20)
    );
}

#[test]
fn kinds_come_from_the_name_or_from_type() {
    let config = good(
        "sources:\n  mock: {interval: 1m}\n  news: {type: feed, url: 'https://example.org/feed', coalesce: []}\n\
         sink:\n  sse: {heartbeat_timeout: 5}\n  inbox: {type: http_pull, match: ['a.*', '!a.b'], path: {extract: take}}\n",
    );
    let sources: Vec<_> = config.sources.iter().map(|source| (source.name.as_str(), source.kind)).collect();
    assert_eq!(sources, [("mock", "mock"), ("news", "feed")]);
    assert_eq!(config.sources[0].built.interval, Some(Duration::from_secs(60)));
    let sinks: Vec<_> = config.sinks.iter().map(|sink| (sink.name.as_str(), sink.kind)).collect();
    assert_eq!(sinks, [("sse", "sse"), ("inbox", "http_pull")]);
    let patterns = &config.sinks[1].patterns;
    assert_eq!(["a.c", "a.b", "b"].map(|kind| patterns.matches(kind)), [true, false, false]);
    let Target::Pull(settings) = &config.sinks[1].target else { panic!("not a pull sink") };
    assert_eq!(settings.path.extract, "take");
    assert_eq!(settings.path.mark_processed, "mark-processed", "a partial map keeps the other default");
}

#[test]
fn what_is_not_a_configuration() {
    refused("", &["c.yaml:1:1: the file is empty"]);
    refused("- a\n", &["c.yaml:1:1: expected a mapping with sources and sink, found a list"]);
    refused(
        "sources:\nserver: null\nsink: []\n",
        &[
            "c.yaml:1:1: sources: expected a mapping, found nothing; without settings write `sources: {}`",
            "c.yaml:2:1: server: expected a mapping, found nothing; without settings write `server: {}`",
            "c.yaml:3:1: sink: expected a mapping, found a list; without settings write `sink: {}`",
        ],
    );
    refused(
        "sinks: {}\nsources: {}\n",
        &[
            "c.yaml:1:1: unknown key `sinks`, did you mean `sink`?",
            "c.yaml:1:1: the key `sink` is missing; `sink: {}` is enough",
        ],
    );
}

#[test]
fn unknown_keys_at_every_level_with_the_nearest_one() {
    refused(
        "server: {prot: 1}\ndatabase:\n  dbpath: x\n  history:\n    agee: 1d\nsources:\n  mock:\n    intervall: 5\n\
         sink:\n  inbox:\n    type: http_pull\n    path: {extrakt: a}\n    coalesce: []\nzebra: 1\n",
        &[
            "c.yaml:1:10: server: unknown key `prot`, did you mean `port`?",
            "c.yaml:3:3: database: unknown key `dbpath`, did you mean `db_path`?",
            "c.yaml:5:5: database.history: unknown key `agee`, did you mean `age`?",
            "c.yaml:8:5: sources.mock.mock: unknown key `intervall`, did you mean `interval`?",
            "c.yaml:12:12: sink.inbox.http_pull.path: unknown key `extrakt`, did you mean `extract`?",
            "c.yaml:13:5: sink.inbox.http_pull: unknown key `coalesce`; the keys here are: format, path, match, state, \
             start, ttl_enabled, default_ttl, event_ttl",
            "c.yaml:14:1: unknown key `zebra`; the keys here are: server, database, sources, sink",
        ],
    );
}

#[test]
fn every_wrong_value_is_told_at_once() {
    refused(
        "server:\n  host: 5\n  port: 70000\n  allowed_hosts: [a, 5]\ndatabase:\n  durability: ful\n  owed_max: -5m\n\
         sources: {}\nsink:\n  inbox:\n    type: http_pull\n    match: [a, 1]\n    default_ttl: soon\n\
         \x20   event_ttl: {a.*: 1h, b.*: 1x}\n",
        &[
            "c.yaml:2:9: server.host: invalid type: integer `5`, expected a string",
            "c.yaml:3:9: server.port: expected a whole number from 0 to 65535, found 70000",
            "c.yaml:4:22: server.allowed_hosts.1: expected a string, found 5",
            "c.yaml:6:15: database.durability: unknown variant `ful`, expected `full` or `normal`",
            "c.yaml:7:13: database.owed_max: invalid interval \"-5m\": it must not be negative",
            "c.yaml:12:16: sink.inbox.http_pull.match.1: expected a string, found 1",
            "c.yaml:13:18: sink.inbox.http_pull.default_ttl: invalid interval \"soon\": \"soon\" is no number",
            "c.yaml:14:31: sink.inbox.http_pull.event_ttl.b.*: invalid interval \"1x\": \"x\" is no unit, use w, d, h, m or s",
        ],
    );
}

#[test]
fn entries_that_are_no_source_or_sink() {
    let sources = "feed, filesystem, gmail, google_calendar, google_drive, mock";
    refused(
        "sources:\n  mock:\n  a: {type: mokc}\n  fio: {token: x}\n  b: {type: null}\n  moc: {}\n  inboxclaw: {type: mock}\n\
         sink:\n  sse: 5\n  log: {type: diary, path: x}\n  api: {type: sse}\n",
        &[
            "c.yaml:2:3: sources.mock: expected a mapping of settings, found nothing; without settings write `mock: {}`",
            &format!(
                "c.yaml:3:13: sources.a.type: unknown source type `mokc` (did you mean `mock`?); there are: {sources}"
            ),
            &format!(
                "c.yaml:4:3: sources.fio: the source type `fio` is not available in this version yet; there are: {sources}"
            ),
            &format!("c.yaml:5:13: sources.b.type: expected a text, one of: {sources}"),
            &format!(
                "c.yaml:6:3: sources.moc: `type` is missing, and the name `moc` is no source type (did you mean `mock`?); \
                 there are: {sources}"
            ),
            "c.yaml:7:3: sources.inboxclaw: the name \"inboxclaw\" cannot be used: it is reserved for the program's own events",
            "c.yaml:9:3: sink.sse: expected a mapping of settings, found a number; without settings write `sse: {}`",
            "c.yaml:10:15: sink.log.type: the sink type `diary` is not available in this version yet; there are: command, \
             file, folder, http_pull, sse, webhook, win11toast",
            "c.yaml:11:3: sink.api: the name \"api\" cannot be used: the server answers under that path itself",
        ],
    );
}

#[test]
fn what_is_still_to_come_is_refused_and_says_so() {
    refused(
        "database: {url: 'postgres://u:p@h/d'}\nsources: {}\nsink: {}\n",
        &[
            "c.yaml:1:17: database.url: PostgreSQL is not available in this version yet; remove the key to use SQLite",
        ],
    );
}

#[test]
fn missing_keys_are_told_together() {
    refused(
        "sources:\n  news: {type: feed}\nsink:\n  notes: {type: folder, path: 5}\n",
        &[
            "c.yaml:2:3: sources.news.feed: the key `url` is missing",
            "c.yaml:4:31: sink.notes.folder.path: expected a string, found 5",
        ],
    );
}

#[test]
fn an_error_of_a_connector_points_at_the_key_it_names() {
    let error =
        read("sources:\n  mock:\n    interval: 0\nsink: {}\n").err().map(|error| error.problems).unwrap();
    let place = error[0].place.unwrap();
    assert_eq!(
        (place.line, place.column, error[0].path.as_str()),
        (3, 15, "sources.mock.mock.interval"),
        "{error:?}"
    );
}

#[test]
fn references_expand_in_texts_and_only_there() {
    let env = [
        ("PORT", "8001"),
        ("HOST", "localhost"),
        ("HARD", "a: b # \"c\"\nd"),
        ("NUMBER", "12345"),
        ("YES", "yes"),
    ];
    let config = read_with(
        "# $HOST\nserver: {host: $HOST, port: \"${PORT}\", token: $NUMBER, allow_anonymous: $YES}\n\
         database: {db_path: \"/x/${HARD}/$root/$UNKNOWN/$UNKNOWN\"}\nsources: {}\nsink: {}\n",
        &env,
    )
    .unwrap();
    assert_eq!(
        (config.server.host.as_str(), config.server.port, config.server.allow_anonymous),
        ("localhost", 8001, true)
    );
    assert_eq!(config.server.token.as_deref(), Some("12345"));
    assert_eq!(config.database.path, Path::new("/x/a: b # \"c\"\nd/$root/$UNKNOWN/$UNKNOWN"));
    let warnings: Vec<String> = config.warnings.iter().map(|warning| warning.line("c")).collect();
    assert_eq!(
        warnings,
        ["c:3:21: database.db_path: the environment variable UNKNOWN is not set, the text stays as it is"],
        "once for each name"
    );
}

#[test]
fn a_secret_that_is_not_set_is_no_secret() {
    refused(
        "server: {token: \"${INBOX_TOKEN}\"}\nsources: {}\nsink: {}\n",
        &["c.yaml:1:17: server.token: the environment variable INBOX_TOKEN is not set"],
    );
}

#[test]
fn dotenv_is_found_above_and_the_environment_wins() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("a/b");
    std::fs::create_dir_all(&inner).unwrap();
    std::fs::write(folder.path().join(".env"), "export P=8002\nH='local'\nfalse line\nT=${H}host\n").unwrap();
    let text = format!("server: {{port: $P, host: $T}}\n{REST}");
    let config = load_in(&inner, &text, &[("P", "8001")]).unwrap();
    assert_eq!((config.server.port, config.server.host.as_str()), (8001, "localhost"));
    assert!(config.warnings[0].message.ends_with(".env: line 3 sets nothing"), "{:?}", config.warnings);
}

#[test]
fn secrets_are_never_shown() {
    let secret = "s3cret-value-that-is-longer-than-forty-characters-to-be-cut";
    let env = [("SECRET", secret)];
    for text in [
        format!("server: {{token: [{secret}]}}\n{REST}"),
        format!("server: {{port: $SECRET}}\n{REST}"),
        format!("server: {{token: {secret}\\\"é}}\n{REST}"),
        format!("database: {{durability: $SECRET, owed_max: $SECRET, retention_days: $SECRET}}\n{REST}"),
        "sources:\n  a: {type: feed, url: $SECRET}\nsink: {}\n".to_owned(),
        "sources: {}\nsink:\n  a: {type: http_pull, event_ttl: {x: $SECRET}}\n".to_owned(),
    ] {
        let message = read_with(&text, &env).err().map(|error| error.to_string()).expect(&text);
        assert!(!message.contains(&secret[..12]), "{message}");
    }
    refused(
        &format!("server: {{token: 90210}}\n{REST}"),
        &["c.yaml:1:17: server.token: invalid type: integer `***`, expected a string"],
    );
}

#[test]
fn an_address_that_others_can_reach_needs_a_token() {
    for host in ["0.0.0.0", "\"::\"", "192.168.1.5", "\"[::]\""] {
        let error = read(&format!("server: {{host: {host}}}\n{REST}"))
            .err()
            .map(|error| error.to_string())
            .expect(host);
        assert!(error.starts_with("c.yaml:1:16: server.host: "), "{error}");
        assert!(error.contains("server.token") && error.contains("server.allow_anonymous: true"), "{error}");
        assert!(read(&format!("server: {{host: {host}, token: abc}}\n{REST}")).is_ok());
        assert!(read(&format!("server: {{host: {host}, allow_anonymous: true}}\n{REST}")).is_ok());
    }
    for host in ["127.0.0.1", "127.1.2.3", "\"::1\"", "\"[::1]\"", "localhost"] {
        assert!(read(&format!("server: {{host: {host}}}\n{REST}")).is_ok(), "{host}");
    }
}

#[test]
fn keys_without_meaning_warn_and_do_no_harm() {
    let config = good(
        "database: {echo: true}\nsources: {}\nsink:\n  win11toast: {max_body_length: 220, match: 'a.*'}\n",
    );
    assert!(config.sinks.is_empty());
    let warnings: Vec<String> = config.warnings.iter().map(|warning| warning.line("c")).collect();
    assert_eq!(
        warnings,
        [
            "c:1:12: database.echo: this key has no meaning any more and is ignored",
            "c:4:3: sink.win11toast.win11toast: this sink has no effect: notifications need Windows",
        ]
    );
}

#[test]
fn anchors_are_shared_between_entries() {
    let config = good(
        "x-ttl: &ttl {default_ttl: 2h, ttl_enabled: yes}\nsources: {}\nsink:\n  a: {type: http_pull, <<: *ttl}\n",
    );
    let ttl = config.sinks[0].ttl.as_ref().and_then(|ttl| ttl.of("x"));
    assert_eq!(ttl, Some(Duration::from_secs(7200)));
}

#[test]
fn doubtful_settings_warn_where_they_stand() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("client.json"), "{\"installed\": {}}").unwrap();
    let text = "sources:\n  mail:\n    type: gmail\n    token_file: nowhere.json\n    api_root: 'http://192.0.2.1/x'\n    \
                filters:\n      - all: {in: subject}\n      - none: {in: sender, contains: a}\n  \
                more: {type: gmail, token_file: client.json, api_root: 'http://[::1]:80'}\n  \
                times: {type: google_calendar, token_file: client.json, calendar_overrides: {a@b.c: {max_into_future: 1d}}}\n\
                sink:\n  old: {type: http_pull, ttl_enabled: yes}\n  new: {type: http_pull, ttl_enabled: yes, event_ttl: {a: 1h}}\n";
    let config = load_in(folder.path(), text, &[]).unwrap();
    let warnings: Vec<String> = config.warnings.iter().map(|warning| warning.line("c")).collect();
    let told = |index: usize, parts: &[&str]| {
        assert!(parts.iter().all(|part| warnings[index].contains(part)), "{}", warnings[index]);
    };
    assert_eq!(warnings.len(), 7, "{warnings:#?}");
    told(0, &["c:4:17: sources.mail.gmail.token_file: ", "nowhere.json", "No such file", "--scopes gmail"]);
    told(1, &["c:5:15: sources.mail.gmail.api_root: ", "without encryption"]);
    told(2, &["c:7:14: sources.mail.gmail.filters.0.all: ", "drops nothing"]);
    told(3, &["sources.more.gmail.token_file: ", "is the file of an OAuth client"]);
    told(4, &["sources.times.google_calendar.token_file: "]);
    told(5, &["sources.times.google_calendar.calendar_overrides.a@b.c: ", "not in calendar_ids"]);
    told(6, &["c:12:39: sink.old.http_pull.ttl_enabled: ", "without `default_ttl`"]);
}
