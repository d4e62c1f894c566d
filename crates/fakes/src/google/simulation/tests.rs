//! Lives of several rounds.

#![allow(clippy::unwrap_used, reason = "a test may fail this way")]

use std::collections::BTreeSet;
use std::mem::discriminant;

use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::google::{calendar, drive, gmail};

fn at(step: i64) -> Timestamp {
    "2026-03-23T08:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(step)
}

/// What a life did, and what became of the models.
struct Lived {
    texts: Vec<String>,
    mailbox: Mailbox,
    drive: Drive,
    calendars: Calendars,
}

/// Rounds of so many steps for each service, with a check after each round.
fn live(seed: u64, rounds: i64, steps: i64, mut check: impl FnMut(&Life)) -> Lived {
    let mut life = Life::new(seed);
    let mut lived = Lived {
        texts: Vec::new(),
        mailbox: Mailbox::default(),
        drive: Drive::default(),
        calendars: Calendars::default(),
    };
    lived.calendars.add_calendar("team@example.com", "Team");
    for round in 0..rounds {
        for step in 0..steps {
            let now = at(round * 1000 + step);
            lived.texts.push(life.step_gmail(&mut lived.mailbox, now));
            lived.texts.push(life.step_drive(&mut lived.drive, now));
            lived.texts.push(life.step_calendar(&mut lived.calendars, now));
        }
        check(&life);
        life.rest();
    }
    lived
}

#[test]
fn the_same_seed_gives_the_same_life() {
    let lives = [1, 1, 2].map(|seed| live(seed, 20, 5, |_| {}));
    assert_eq!(lives[0].texts, lives[1].texts);
    assert_eq!(lives[0].mailbox.history, lives[1].mailbox.history);
    assert_eq!(lives[0].calendars.history, lives[1].calendars.history);
    assert_ne!(lives[0].texts, lives[2].texts);
}

#[test]
fn all_that_can_happen_does() {
    let lived = live(7, 200, 5, |_| {});
    let mails: BTreeSet<_> = lived.mailbox.history.iter().map(|change| kind(&change.what)).collect();
    assert_eq!(mails.len(), 4, "{mails:?}");
    let dates: Vec<_> = lived.calendars.history.iter().map(|change| discriminant(&change.what)).collect();
    let nobody = String::new;
    let every = [
        calendar::What::Created,
        calendar::What::Changed,
        calendar::What::Moved,
        calendar::What::Cancelled,
        calendar::What::Restored,
        calendar::What::Responded { attendee: nobody(), status: nobody() },
        calendar::What::Invited { attendee: nobody() },
        calendar::What::Uninvited { attendee: nobody() },
        calendar::What::Reminders,
    ];
    assert!(every.iter().all(|what| dates.contains(&discriminant(what))));
    use drive::What::{
        Created, Described, DriveAdded, DriveRemoved, Edited, GivenAway, Moved, Removed, Renamed, Restored,
        Shared, SharedWithMe, Touched, Trashed, Unshared,
    };
    let every = [
        Created,
        Edited,
        Renamed,
        Described,
        Moved,
        Trashed,
        Restored,
        Touched,
        Shared,
        SharedWithMe,
        GivenAway,
        Unshared,
        Removed,
        DriveAdded,
        DriveRemoved,
    ];
    let files: Vec<_> = lived.drive.history.iter().map(|change| change.what).collect();
    let never: Vec<_> = every.iter().filter(|what| !files.contains(what)).collect();
    assert!(never.is_empty(), "{never:?}");
    assert!(files.len() >= 1000 && dates.len() == 1000 && lived.mailbox.history.len() >= 1000);
    assert!(lived.texts.iter().all(|text| !text.is_empty()));
}

#[test]
fn old_files_come_folders_are_renamed_and_i_write_to_myself() {
    let lived = live(8, 100, 5, |_| {});
    let old = |change: &drive::Change| {
        let days = change.at.duration_since(change.after.as_ref().unwrap().created).as_hours() / 24;
        matches!(change.what, drive::What::Created | drive::What::SharedWithMe) && days > 0
    };
    let files = &lived.drive.history;
    let made = |what| files.iter().filter(|change| change.what == what && old(change)).count();
    assert!(made(drive::What::Created) > 0 && made(drive::What::SharedWithMe) > 0);
    let is_folder = |change: &drive::Change| change.after.as_ref().is_some_and(drive::File::is_folder);
    assert!(files.iter().any(|change| change.what == drive::What::Renamed && is_folder(change)));
    for start in ["calendar: new, whole days: ", "mail: I write to myself: "] {
        assert!(lived.texts.iter().any(|text| text.starts_with(start)), "{start}");
    }
}

fn kind(what: &gmail::What) -> &'static str {
    match what {
        gmail::What::Arrived => "arrived",
        gmail::What::LabelsAdded(_) => "labels added",
        gmail::What::LabelsRemoved(_) => "labels removed",
        gmail::What::Deleted => "deleted",
    }
}

#[test]
fn within_a_round_each_item_is_changed_once() {
    let mut rounds = Vec::new();
    let lived = live(3, 60, 12, |life| rounds.push(life.touched().to_vec()));
    for (round, touched) in (0i64..).zip(&rounds) {
        let within = |at: Timestamp| at.duration_since(super::tests::at(0)).as_secs() / 1000 == round;
        let dates = lived.calendars.history.iter().filter(|change| within(change.at));
        let dates: Vec<&String> = dates.map(|change| &change.id).collect();
        let once: BTreeSet<&String> = dates.iter().copied().collect();
        assert_eq!(dates.len(), once.len());
        let series =
            dates.iter().filter_map(|id| id.split_once('_')).find(|(id, _)| dates.iter().any(|of| of == id));
        assert_eq!(series, None, "changed as a whole and in part");
        let files = lived.drive.history.iter().filter(|change| within(change.at));
        let files: Vec<&String> = files.map(|change| &change.id).collect();
        assert_eq!(files.len(), files.iter().collect::<BTreeSet<_>>().len());
        // A change of labels that adds and removes is two entries of one record.
        let mails = lived.mailbox.history.iter().filter(|change| within(change.at));
        let mails: BTreeSet<_> = mails.map(|change| (&change.message, change.record)).collect();
        let once: BTreeSet<_> = mails.iter().map(|(message, _)| message).collect();
        assert_eq!(mails.len(), once.len());
        assert_eq!(touched.len(), dates.len() + files.len() + mails.len());
    }
}

#[test]
fn what_is_to_be_spared_is() {
    let mut mailbox = Mailbox::bulk(at(0), 3);
    let ids: Vec<String> = mailbox.messages().map(|message| message.id.clone()).collect();
    let before = mailbox.history.len();
    let mut life = Life::new(5);
    for id in &ids {
        life.spare(Service::Gmail, id);
    }
    for step in 0..200 {
        life.step_gmail(&mut mailbox, at(step));
    }
    assert!(mailbox.history[before..].iter().all(|change| !ids.contains(&change.message)));
    life.rest();
    for step in 200..400 {
        life.step_gmail(&mut mailbox, at(step));
    }
    assert!(mailbox.history[before..].iter().any(|change| ids.contains(&change.message)));
}
