//! Sync tokens that Google no longer accepts after a while without the program, and a rewind by a person.

use std::collections::BTreeSet;

use inboxclaw_fakes::google::gmail::Mail;
use serde_json::Value;

use crate::account::{Account, text};
use crate::{calendar, drive, gmail};

/// The history is gone after a stop: mail and deletions of the meantime are found, and the gap is told.
#[test]
fn a_mailbox_whose_history_is_gone_is_recovered() {
    let mut account = Account::new("gmail", &[], 1);
    account.lived(1, |simulation, fake, now| drop(simulation.step_gmail(&mut fake.gmail(), now)));
    account.start();
    let from = account.fake.gmail().history.len();
    let now = account.now();
    let early: Vec<_> = (0..5).map(|_| account.fake.gmail().arrive(now, Mail::default())).collect();
    let wanted = gmail::wanted(&account.fake.gmail().history, from);
    account.until_reported(&wanted, false);
    account.place.stop();
    let now = account.now();
    for _ in 0..20 {
        account.fake.gmail().arrive(now, Mail::default());
    }
    account.fake.gmail().delete(now, &early[2]);
    account.fake.gmail().arrive(now, Mail::spam("thief", "win"));
    account.fake.gmail().expire_history();
    account.place.start();
    let mut wanted = gmail::wanted(&account.fake.gmail().history, from);
    wanted.must("inboxclaw.source.gap mailbox".to_owned());
    account.until_reported(&wanted, true);
    let gap = account.gap();
    assert_eq!((gap["found"].as_u64(), gap["deleted"].as_u64()), (Some(20), Some(1)), "{gap}");
    assert_eq!(gap["complete"], true, "{gap}");
    account.assert_described();
}

/// The change token is refused after a stop: every difference is found by comparing, deletions too, and told.
#[test]
fn a_drive_whose_token_is_refused_is_reconciled() {
    for status in [400, 404, 410] {
        let mut account = Account::new("google_drive", &[], 1);
        let mut simulation = account.lived(u64::from(status), |simulation, fake, now| {
            drop(simulation.step_drive(&mut fake.drive(), now))
        });
        account.start();
        account.place.stop();
        let now = account.now();
        let before = drive::look(&mut account.fake.drive(), now);
        for _ in 0..30 {
            simulation.step_drive(&mut account.fake.drive(), now);
        }
        let after = drive::look(&mut account.fake.drive(), now);
        account.fake.drive().expire_tokens(None, status);
        account.place.start();
        let mut wanted = Default::default();
        drive::add_wanted(&mut wanted, &before, &after);
        wanted.must("inboxclaw.source.gap user".to_owned());
        account.until_reported(&wanted, true);
        assert_eq!(account.gap()["complete"], true);
        account.assert_described();
    }
}

/// The sync token is gone after a stop: the calendar is compared with what is known, and told.
#[test]
fn a_calendar_whose_token_is_gone_is_reconciled() {
    let mut account = Account::new("google_calendar", &["max_into_future: 30d"], 1);
    let mut simulation =
        account.lived(5, |simulation, fake, now| drop(simulation.step_calendar(&mut fake.calendar(), now)));
    account.start();
    account.place.stop();
    let now = account.now();
    let before = calendar::look(&mut account.fake.calendar(), now);
    for _ in 0..25 {
        simulation.step_calendar(&mut account.fake.calendar(), now);
    }
    let after = calendar::look(&mut account.fake.calendar(), now);
    account.fake.calendar().expire_tokens("primary");
    account.place.start();
    let mut wanted = Default::default();
    calendar::add_wanted(&mut wanted, &before, &after, now);
    wanted.must("inboxclaw.source.gap primary".to_owned());
    account.until_reported(&wanted, true);
    assert_eq!(account.gap()["complete"], true);
    account.assert_described();
}

/// The state of a moment ago: what came since is read again, and nothing is reported twice.
#[test]
fn a_rewind_reads_again_and_repeats_nothing() {
    let mut account = Account::new("gmail", &[], 1);
    account.start();
    let before = account.command(&["state", "cursor", "google"]).trim().to_owned();
    let now = account.now();
    let ids: BTreeSet<_> = (0..30).map(|_| account.fake.gmail().arrive(now, Mail::default())).collect();
    let wanted = gmail::wanted(&account.fake.gmail().history, 0);
    account.until_reported(&wanted, false);
    let _ = account.fake.requests();
    println!("{}", account.command(&["state", "list", "google"]));
    println!("{}", account.command(&["state", "rewind", "google", "--to", "1"]));
    let mut read = Vec::new();
    account.place.until("it reads again", |_| {
        account.wake();
        let asked = account.fake.requests();
        read.extend(
            asked.iter().filter_map(|one| one.path.rsplit_once("/messages/").map(|(_, id)| id.to_owned())),
        );
        Some(read.iter().cloned().collect::<BTreeSet<_>>() == ids)
    });
    assert_ne!(account.command(&["state", "cursor", "google"]).trim(), before, "it came to the end again");
    assert_eq!(account.names(), wanted, "nothing is reported twice");
}

impl Account {
    /// What the one gap event of the source says.
    fn gap(&self) -> Value {
        let mut gaps = self.log();
        gaps.retain(|event| text(event, "event_type") == "inboxclaw.source.gap");
        assert_eq!(gaps.len(), 1, "{gaps:?}");
        println!("{}", gaps[0]);
        gaps.remove(0)["data"].take()
    }
}
