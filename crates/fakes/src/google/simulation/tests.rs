//! Simulations of several rounds.

#![allow(clippy::unwrap_used, reason = "a test may fail this way")]

use std::collections::BTreeSet;
use std::mem::discriminant;

use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::google::{calendar, drive, gmail};

fn at(step: i64) -> Timestamp {
    "2026-03-23T08:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(step)
}

/// What a simulation said, and the models after it.
struct Simulated {
    texts: Vec<String>,
    mailbox: Mailbox,
    drive: Drive,
    calendars: Calendars,
}

/// Rounds of so many steps for each service, with a check after each round.
fn simulate(seed: u64, rounds: i64, steps: i64, mut check: impl FnMut(&Simulation)) -> Simulated {
    let mut simulation = Simulation::new(seed);
    let mut simulated = Simulated {
        texts: Vec::new(),
        mailbox: Mailbox::default(),
        drive: Drive::default(),
        calendars: Calendars::default(),
    };
    simulated.calendars.add_calendar("team@example.com", "Team");
    for round in 0..rounds {
        for step in 0..steps {
            let now = at(round * 1000 + step);
            simulated.texts.push(simulation.step_gmail(&mut simulated.mailbox, now));
            simulated.texts.push(simulation.step_drive(&mut simulated.drive, now));
            simulated.texts.push(simulation.step_calendar(&mut simulated.calendars, now));
        }
        check(&simulation);
        simulation.end_round();
    }
    simulated
}

#[test]
fn the_same_seed_gives_the_same_changes() {
    let simulations = [1, 1, 2].map(|seed| simulate(seed, 20, 5, |_| {}));
    assert_eq!(simulations[0].texts, simulations[1].texts);
    assert_eq!(simulations[0].mailbox.history, simulations[1].mailbox.history);
    assert_eq!(simulations[0].calendars.history, simulations[1].calendars.history);
    assert_ne!(simulations[0].texts, simulations[2].texts);
}

#[test]
fn every_action_happens() {
    let simulated = simulate(7, 200, 5, |_| {});
    let mails: BTreeSet<_> = simulated.mailbox.history.iter().map(|change| kind(&change.what)).collect();
    assert_eq!(mails.len(), 4, "{mails:?}");
    let dates: Vec<_> = simulated.calendars.history.iter().map(|change| discriminant(&change.what)).collect();
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
    let files: Vec<_> = simulated.drive.history.iter().map(|change| change.what).collect();
    let never: Vec<_> = every.iter().filter(|what| !files.contains(what)).collect();
    assert!(never.is_empty(), "{never:?}");
    assert!(files.len() >= 1000 && dates.len() == 1000 && simulated.mailbox.history.len() >= 1000);
    assert!(simulated.texts.iter().all(|text| !text.is_empty()));
}

#[test]
fn old_files_come_folders_are_renamed_and_i_write_to_myself() {
    let simulated = simulate(8, 100, 5, |_| {});
    let old = |change: &drive::Change| {
        let days = change.at.duration_since(change.after.as_ref().unwrap().created).as_hours() / 24;
        matches!(change.what, drive::What::Created | drive::What::SharedWithMe) && days > 0
    };
    let files = &simulated.drive.history;
    let made = |what| files.iter().filter(|change| change.what == what && old(change)).count();
    assert!(made(drive::What::Created) > 0 && made(drive::What::SharedWithMe) > 0);
    let is_folder = |change: &drive::Change| change.after.as_ref().is_some_and(drive::File::is_folder);
    assert!(files.iter().any(|change| change.what == drive::What::Renamed && is_folder(change)));
    for start in ["calendar: new, whole days: ", "mail: I write to myself: "] {
        assert!(simulated.texts.iter().any(|text| text.starts_with(start)), "{start}");
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
    let simulated = simulate(3, 60, 12, |simulation| rounds.push(simulation.changed.len()));
    for (round, changed) in (0i64..).zip(&rounds) {
        let within = |at: Timestamp| at.duration_since(super::tests::at(0)).as_secs() / 1000 == round;
        let dates = simulated.calendars.history.iter().filter(|change| within(change.at));
        let dates: Vec<&String> = dates.map(|change| &change.id).collect();
        let once: BTreeSet<&String> = dates.iter().copied().collect();
        assert_eq!(dates.len(), once.len());
        let series =
            dates.iter().filter_map(|id| id.split_once('_')).find(|(id, _)| dates.iter().any(|of| of == id));
        assert_eq!(series, None, "changed as a whole and in part");
        let files = simulated.drive.history.iter().filter(|change| within(change.at));
        let files: Vec<&String> = files.map(|change| &change.id).collect();
        assert_eq!(files.len(), files.iter().collect::<BTreeSet<_>>().len());
        // A change of labels that adds and removes is two entries of one record.
        let mails = simulated.mailbox.history.iter().filter(|change| within(change.at));
        let mails: BTreeSet<_> = mails.map(|change| (&change.message, change.record)).collect();
        let once: BTreeSet<_> = mails.iter().map(|(message, _)| message).collect();
        assert_eq!(mails.len(), once.len());
        assert_eq!(*changed, dates.len() + files.len() + mails.len());
    }
}
