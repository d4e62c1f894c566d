//! Configuration files whose secrets are no secrets, or would show in messages.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail loudly")]

use std::path::Path;

use inboxclaw::outside::outside;
use inboxclaw_config::{Config, ConfigError, Environment, Origin, Target, load};
use inboxclaw_contract::{Delivery, Event, Json, OwnerId, Push, Receipt, Seq};

fn load_in(folder: &Path, text: &str, env: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let origin =
        Origin { file: "c.yaml".into(), base_dir: folder.to_owned(), text: text.to_owned(), built_in: false };
    load(&origin, Environment::new(env.iter().copied()), &outside())
}

fn read(text: &str, env: &[(&str, &str)]) -> Result<Config, ConfigError> {
    load_in(tempfile::tempdir().unwrap().path(), text, env)
}

#[test]
fn a_reference_that_stays_is_no_secret_however_it_is_written() {
    for (written, name) in
        [("${NO_TOKEN:-hunter2}", "NO_TOKEN"), ("$no_token", "no_token"), ("x${NO_TOKEN", "NO_TOKEN")]
    {
        let error = read(&format!("server: {{token: \"{written}\"}}\nsources: {{}}\nsink: {{}}\n"), &[]);
        let error = error.err().map(|error| error.to_string()).expect(written);
        assert!(
            error.starts_with(&format!("c.yaml:1:17: server.token: the reference to `{name}` ")),
            "{error}"
        );
        assert!(!error.contains("hunter2"), "{error}");
    }
    // Also somewhere below such a key, and not because of the name of a source.
    let text =
        "x-a: {headers: {X-Key: [\"$NO\"]}}\nsources: {token_watch: {type: mock, x: \"$no\"}}\nsink: {}\n";
    let error = read(text, &[]).err().map(|error| error.to_string()).unwrap();
    assert!(
        error.starts_with("c.yaml:1:25: x-a.headers.X-Key.0: the environment variable NO is not set\n"),
        "{error}"
    );
    assert!(!error.contains("`no`"), "{error}");
    // A password may hold a dollar sign, above all one that comes from a variable.
    for (written, env) in [("pa$$word", ""), ("$2b$10$abc", ""), ("$SECRET", "${x"), ("$SECRET", "$abc")] {
        let text = format!("server: {{token: \"{written}\"}}\nsources: {{}}\nsink: {{}}\n");
        assert!(read(&text, &[("SECRET", env)]).is_ok(), "{written} {env}");
    }
}

#[test]
fn values_of_the_environment_do_not_show_in_messages() {
    let env = [("TOK", "s3cret/value")];
    for (text, told) in [
        ("sources: {a: {type: $TOK}}\nsink: {}\n", "c.yaml:1:21: sources.a.type: unknown source type `***`"),
        (
            "server: {allowed_hosts: [a, $TOK]}\nsources: {}\nsink: {}\n",
            "c.yaml:1:25: server.allowed_hosts: holds \"***\", which is no host name",
        ),
    ] {
        let error = read(text, &env).err().map(|error| error.to_string()).expect(text);
        assert!(error.starts_with(told), "{error}");
        assert!(!error.contains("s3cret"), "{error}");
    }
}

#[test]
fn doubts_are_told_beside_problems() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(".env"), b"TOKEN=\xff\n").unwrap();
    let error =
        load_in(folder.path(), "server: {token: $TOKEN}\nsources: {}\nsink: {}\n", &[]).err().unwrap();
    assert_eq!(error.problems[0].message, "the environment variable TOKEN is not set");
    assert!(error.warnings[0].message.contains(".env: cannot be read: "), "{:?}", error.warnings);
}

#[tokio::test]
async fn a_command_gets_no_variable_that_the_configuration_refers_to() {
    let folder = tempfile::tempdir().unwrap();
    // Cargo sets these for every test; the text refers to one of them, and to one that every process has.
    let text = format!(
        "x-a: [$CARGO_MANIFEST_DIR, $HOME]\nsources: {{}}\nsink:\n  command: {{command: \"env > {}/out\"}}\n",
        folder.path().display()
    );
    let variables = [("CARGO_MANIFEST_DIR", "x"), ("HOME", "/"), ("INBOXCLAW_TOKEN", "secret")];
    let config = load_in(folder.path(), &text, &variables).unwrap();
    let Target::Push(sink) = &config.sinks[0].target else { panic!("it pushes") };
    let Push::Sender(sender) = &sink.push else { panic!("it remembers nothing") };
    let event = Event {
        seq: Seq(1),
        source: OwnerId(1),
        source_name: "s".to_owned(),
        event_id: "e".to_owned(),
        event_type: "t".to_owned(),
        entity_id: None,
        created_at: jiff::Timestamp::UNIX_EPOCH,
        occurred_at: None,
        data: Json::empty_object(),
        meta: Json::empty_object(),
    };
    let mut receipts = Vec::new();
    sender.send(&[Delivery::first(event)], &mut receipts).await.unwrap();
    assert_eq!(receipts, [Receipt::Done]);
    let out = std::fs::read_to_string(folder.path().join("out")).unwrap();
    let has = |name: &str| out.lines().any(|line| line.starts_with(&format!("{name}=")));
    assert!(has("CARGO_PKG_NAME") && !has("CARGO_MANIFEST_DIR"), "{out}");
    assert_eq!(has("HOME"), std::env::var_os("HOME").is_some());
    assert!(has("INBOXCLAW_EVENT_ID") && !has("INBOXCLAW_EVENT_ENTITY"), "{out}");
}
