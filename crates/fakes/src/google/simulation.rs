//! Changes an account at random: mails come in, files are edited, meetings are moved. The same seed gives the same changes.
//! `gmail`, `drive` and `calendar` hold the actions on each service, `round` what they share, `texts` the texts that they
//! write. Left out: when the changes happen, which callers decide, and faults.

mod calendar;
mod drive;
mod gmail;
mod round;
#[cfg(test)]
mod tests;
mod texts;

use jiff::Timestamp;

use super::api::Service;
use super::calendar::Calendars;
use super::drive::Drive;
use super::gmail::Mailbox;
pub use round::Simulation;

impl Simulation {
    /// Changes a mailbox, and says what changed.
    pub fn step_gmail(&mut self, mailbox: &mut Mailbox, now: Timestamp) -> String {
        let (before, text) = (mailbox.history.len(), self.step(gmail::ACTIONS, mailbox, now));
        self.mark(Service::Gmail, mailbox.history.iter().skip(before).map(|change| &change.message));
        text
    }

    /// Changes the files, and says what changed.
    pub fn step_drive(&mut self, drive: &mut Drive, now: Timestamp) -> String {
        let (before, text) = (drive.history.len(), self.step(drive::ACTIONS, drive, now));
        self.mark(Service::Drive, drive.history.iter().skip(before).map(|change| &change.id));
        text
    }

    /// Changes the calendars, and says what changed.
    pub fn step_calendar(&mut self, calendars: &mut Calendars, now: Timestamp) -> String {
        let (before, text) = (calendars.history.len(), self.step(calendar::ACTIONS, calendars, now));
        self.mark(Service::Calendar, calendars.history.iter().skip(before).map(|change| &change.id));
        text
    }
}
