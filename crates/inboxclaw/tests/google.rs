//! The Google sources on the real binary, beside a stand-in of Google: long random runs under faults and kills, expired
//! cursors, and what people see of trouble. `INBOXCLAW_SECONDS` says how long each random run lasts, `INBOXCLAW_SEED`
//! where its randomness begins.
#![allow(clippy::unwrap_used, clippy::panic, dead_code, reason = "a test may panic; the program is shared")]
#![allow(clippy::print_stdout, reason = "what a run met is worth reading")]

#[path = "google/account.rs"]
mod account;
#[path = "google/calendar.rs"]
mod calendar;
#[path = "google/drive.rs"]
mod drive;
#[path = "google/gmail.rs"]
mod gmail;
#[path = "google/lost.rs"]
mod lost;
#[path = "e2e/program.rs"]
mod program;
#[path = "google/trouble.rs"]
mod trouble;

use std::collections::BTreeSet;

use account::{Account, seed};
use inboxclaw_fakes::google::calendar::Switches;

/// Mail arrives, goes and is sorted while requests fail and the program is killed: each change is reported once.
#[test]
fn a_mailbox_is_reported_once_through_faults_and_kills() {
    let mut account = Account::new("gmail", &["emit_label_events: true"], seed());
    let mut simulation =
        account.lived(seed(), |simulation, fake, now| drop(simulation.step_gmail(&mut fake.gmail(), now)));
    account.start();
    let from = account.fake.gmail().history.len();
    account.endures(|account, wanted| {
        account.fake.gmail().paging = account.any_paging();
        for _ in 0..account.random.usize(1..20) {
            simulation.step_gmail(&mut account.fake.gmail(), account.now());
        }
        simulation.end_round();
        *wanted = gmail::wanted(&account.fake.gmail().history, from);
        BTreeSet::new()
    });
}

/// Files come, change, move and go while requests fail and the program is killed: each change is reported once.
#[test]
fn a_drive_is_reported_once_through_faults_and_kills() {
    let mut account = Account::new("google_drive", &[], seed());
    let mut simulation =
        account.lived(seed(), |simulation, fake, now| drop(simulation.step_drive(&mut fake.drive(), now)));
    account.start();
    account.endures(|account, wanted| {
        let (now, steps, paging) = (account.now(), account.random.usize(1..20), account.any_paging());
        // A round at once, so that what is between two states does not depend on when the source looks.
        let mut drive = account.fake.drive();
        drive.paging = paging;
        let before = drive::look(&mut drive, now);
        (0..steps).for_each(|_| drop(simulation.step_drive(&mut drive, now)));
        let after = drive::look(&mut drive, now);
        simulation.end_round();
        drive::add_wanted(wanted, &before, &after);
        after.drives
    });
}

/// Events come, move, are answered and cancelled while requests fail and the program is killed: each change is reported
/// once.
#[test]
fn a_calendar_is_reported_once_through_faults_and_kills() {
    let mut account = Account::new("google_calendar", &["max_into_future: 30d"], seed());
    let mut simulation = account
        .lived(seed(), |simulation, fake, now| drop(simulation.step_calendar(&mut fake.calendar(), now)));
    account.start();
    let mut moved = BTreeSet::new();
    account.endures(|account, wanted| {
        let (now, steps) = (account.now(), account.random.usize(1..12));
        // A change of a daily series is some hundred items.
        let (page, rough) = (account.random.bool().then_some(25), account.random.bool());
        let mut calendars = account.fake.calendar();
        calendars.switches = Switches { page, empty_pages: rough, overlap: rough, ..Switches::default() };
        let mut before = calendar::look(&mut calendars, now);
        calendar::follow(&mut before, &calendars, moved.iter().cloned());
        (0..steps).for_each(|_| drop(simulation.step_calendar(&mut calendars, now)));
        let mut after = calendar::look(&mut calendars, now);
        moved.extend(calendar::follow(&mut after, &calendars, before.keys().cloned()));
        // What was cancelled is unknown, and told again only once it lies ahead.
        moved.retain(|id| after.contains_key(id));
        simulation.end_round();
        calendar::add_wanted(wanted, &before, &after, now);
        BTreeSet::new()
    });
}
