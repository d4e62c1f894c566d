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

use std::time::Instant;

use inboxclaw_fakes::google::calendar::Switches;
use inboxclaw_fakes::google::life::Life;

use account::{Account, Wanted, seconds, seed};

/// How many requests of a hundred meet a fault.
const FAULTS: u8 = 20;

/// Mail arrives, goes and is sorted while requests fail and the program is killed: each change is reported once.
#[test]
fn a_mailbox_is_reported_once_through_faults_and_kills() {
    let mut account = Account::new("gmail", &["emit_label_events: true"], seed());
    let mut life = Life::new(seed());
    for _ in 0..30 {
        life.step_gmail(&mut account.fake.gmail(), account.earlier());
    }
    life.rest();
    account.start();
    let from = account.fake.gmail().history.len();
    account.faults(FAULTS);
    let (begun, mut rounds) = (Instant::now(), 0);
    while begun.elapsed() < seconds() {
        account.fake.gmail().manners = account.manners();
        for _ in 0..account.random.usize(1..20) {
            life.step_gmail(&mut account.fake.gmail(), account.now());
        }
        life.rest();
        let wanted = gmail::wanted(&account.fake.gmail().history, from);
        account.until_reported(&wanted, true);
        rounds += 1;
    }
    account.ends(rounds);
}

/// Files come, change, move and go while requests fail and the program is killed: each change is reported once.
#[test]
fn a_drive_is_reported_once_through_faults_and_kills() {
    let mut account = Account::new("google_drive", &[], seed());
    let mut life = Life::new(seed());
    for _ in 0..30 {
        life.step_drive(&mut account.fake.drive(), account.earlier());
    }
    life.rest();
    account.start();
    account.faults(FAULTS);
    let (begun, mut rounds, mut wanted) = (Instant::now(), 0, Wanted::default());
    while begun.elapsed() < seconds() {
        let now = account.now();
        let steps = account.random.usize(1..20);
        // A round at once, so that what is between two states does not depend on when the source looks.
        let manners = account.manners();
        let mut drive = account.fake.drive();
        drive.manners = manners;
        let before = drive::look(&mut drive, now);
        (0..steps).for_each(|_| drop(life.step_drive(&mut drive, now)));
        let after = drive::look(&mut drive, now);
        drop(drive);
        life.rest();
        drive::add_wanted(&mut wanted, &before, &after);
        account.until_reported(&wanted, true);
        // What appears in a new drive before it is known belongs to its baseline.
        account.until_followed(&after.drives);
        rounds += 1;
    }
    account.ends(rounds);
}

/// Events come, move, are answered and cancelled while requests fail and the program is killed: each change is reported
/// once.
#[test]
fn a_calendar_is_reported_once_through_faults_and_kills() {
    let mut account = Account::new("google_calendar", &["max_into_future: 30d"], seed());
    let mut life = Life::new(seed());
    for _ in 0..30 {
        life.step_calendar(&mut account.fake.calendar(), account.earlier());
    }
    life.rest();
    account.start();
    account.faults(FAULTS);
    let (begun, mut rounds, mut wanted) = (Instant::now(), 0, Wanted::default());
    while begun.elapsed() < seconds() {
        let now = account.now();
        let steps = account.random.usize(1..12);
        // A change of a daily series is some hundred items.
        let (page, rough) = (account.random.bool().then_some(25), account.random.bool());
        let mut calendars = account.fake.calendar();
        calendars.switches = Switches { page, empty_pages: rough, overlap: rough, ..Switches::default() };
        let before = calendar::look(&mut calendars, now);
        (0..steps).for_each(|_| drop(life.step_calendar(&mut calendars, now)));
        let after = calendar::look(&mut calendars, now);
        drop(calendars);
        life.rest();
        calendar::add_wanted(&mut wanted, &before, &after, now);
        account.until_reported(&wanted, true);
        rounds += 1;
    }
    account.ends(rounds);
}
