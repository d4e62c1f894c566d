//! What people see when Google no longer knows them, and when its clock is not ours.

use std::process::Command;

use jiff::SignedDuration;
use serde_json::Value;

use crate::account::{Account, SOURCE, text};

/// A token that ran out is renewed without a word; the new one is in the file.
#[test]
fn an_expired_token_is_renewed_silently() {
    let mut account = Account::new("gmail", &[], 1);
    account.start();
    let before = account.token();
    account.fake.tokens().expire_access();
    let looked = account.fake.counts();
    account.place.until("it goes on", |_| {
        account.wake();
        Some(account.fake.counts() != looked && account.token() != before)
    });
    assert_eq!(account.health()["status"], "healthy");
    assert!(!account.place.log().contains("WARN"), "{}", account.place.log());
}

/// Tokens that the account revoked: the log, the health report, `status` and an event name the command that repairs
/// it; once that was done, the source goes on at once.
#[test]
fn a_revoked_token_is_told_everywhere_and_repaired() {
    let mut account = Account::new("gmail", &[], 1);
    account.start();
    account.fake.tokens().revoke();
    account.place.until("it is told", |_| {
        account.wake();
        Some(account.health()["status"] == "unhealthy")
    });
    let health = account.health();
    let source = &health["failures"][0];
    assert_eq!(text(source, "code"), "authentication", "{health}");
    assert!(text(source, "message").contains("revoked"), "{health}");
    assert!(text(source, "action").contains("inboxclaw google auth"), "{health}");
    let log = account.place.log();
    assert!(log.lines().any(|line| line.contains("WARN") && line.contains("authentication")), "{log}");
    let status = account.command(&["status"]);
    assert!(status.contains("inboxclaw google auth"), "{status}");
    let unhealthy = account.announced("inboxclaw.source.unhealthy");
    assert_eq!(text(&unhealthy["data"], "code"), "authentication", "{unhealthy}");
    println!("log: {log}\nstatus: {status}\nevent: {unhealthy}");

    account.fake.token_file(&account.place.file("token.json")).unwrap();
    account.place.until("it goes on", |_| {
        account.wake();
        Some(account.health()["status"] == "healthy")
    });
    account.announced("inboxclaw.source.recovered");
}

/// A clock two hours off in either direction: tokens are taken for good that are not, or the other way round. The
/// source goes on.
#[test]
fn a_clock_that_is_wrong_costs_requests_and_nothing_else() {
    for hours in [2, -2] {
        let mut account = Account::new("gmail", &[], 1);
        account.fake.clock().advance(SignedDuration::from_hours(hours));
        account.fake.token_file(&account.place.file("token.json")).unwrap();
        account.start();
        account.fake.clock().advance(SignedDuration::from_hours(1));
        let now = account.now();
        let id = account.fake.gmail().arrive(now, Default::default());
        account.place.until("the mail is reported", |_| {
            account.wake();
            Some(account.names().0.contains_key(&format!("gmail.message_received {id}")))
        });
        assert_eq!(account.health()["status"], "healthy");
    }
}

impl Account {
    fn token(&self) -> String {
        let file = std::fs::read_to_string(self.place.file("token.json")).unwrap();
        text(&serde_json::from_str(&file).unwrap(), "token").to_owned()
    }

    /// The first event of the program itself of this type. Health is known a moment before it is told.
    fn announced(&self, event_type: &str) -> Value {
        let mut told = Value::Null;
        self.place.until(event_type, |_| {
            let events = self.own_events();
            let found = events.iter().find(|event| text(event, "event_type") == event_type)?;
            told = found.clone();
            Some(true)
        });
        told
    }

    fn health(&self) -> Value {
        serde_json::from_str(&self.place.get("/healthcheck").unwrap().1).unwrap()
    }

    /// What a command prints, whatever its exit code.
    pub(crate) fn command(&self, arguments: &[&str]) -> String {
        let output = Command::new(env!("CARGO_BIN_EXE_inboxclaw"))
            .args(arguments)
            .arg("--config")
            .arg(self.place.file("config.yaml"))
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
    }

    /// The program's own events about this source.
    fn own_events(&self) -> Vec<Value> {
        let (_, body) = self.place.get("/api/events?limit=500&source_name=inboxclaw").unwrap();
        let Value::Array(events) = serde_json::from_str::<Value>(&body).unwrap()["events"].take() else {
            panic!("events: {body}")
        };
        events.into_iter().filter(|event| text(event, "entity_id") == SOURCE).collect()
    }
}
