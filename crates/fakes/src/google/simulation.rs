//! What happens in an account as time goes by: mails come in, files are edited, meetings are moved, at random and the
//! same for the same seed. `gmail`, `drive` and `calendar` hold what can happen to each service, `texts` the words for it.
//! Left out: when things happen, which callers decide, and faults.

mod calendar;
mod drive;
mod gmail;
#[cfg(test)]
mod tests;
mod texts;

use std::collections::BTreeSet;

use fastrand::Rng;
use jiff::Timestamp;

use super::calendar::Calendars;
use super::drive::Drive;
use super::gmail::Mailbox;

/// A service of the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Service {
    /// Mail.
    Gmail,
    /// Files.
    Drive,
    /// Dates.
    Calendar,
}

/// A message, a file, an event, a series or an instance.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Touched {
    /// Where it is.
    pub service: Service,
    /// Its id.
    pub id: String,
}

/// The course of things. Within a round each item is changed at most once, so that a reader who looks between two rounds
/// can see every single change.
#[derive(Debug, Clone)]
pub struct Life {
    random: Rng,
    touched: Vec<Touched>,
    /// Those touched in this round, and those to be spared.
    busy: BTreeSet<Touched>,
    drafts: Vec<String>,
}

/// Something that can happen to a model, with its weight; `None` when there is nothing it could happen to.
type Kind<Model> = (u32, fn(&mut Life, &mut Model, Timestamp) -> Option<String>);

impl Life {
    /// The same seed and the same models give the same life.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { random: Rng::with_seed(seed), touched: Vec::new(), busy: BTreeSet::new(), drafts: Vec::new() }
    }

    /// One change of a mailbox, and what it was in plain words.
    pub fn step_gmail(&mut self, mailbox: &mut Mailbox, now: Timestamp) -> String {
        let before = mailbox.history.len();
        let text = self.step(gmail::KINDS, mailbox, now);
        let ids: Vec<String> =
            mailbox.history.iter().skip(before).map(|change| change.message.clone()).collect();
        self.touch(Service::Gmail, ids);
        text
    }

    /// One change of the files, and what it was in plain words.
    pub fn step_drive(&mut self, drive: &mut Drive, now: Timestamp) -> String {
        let before = drive.history.len();
        let text = self.step(drive::KINDS, drive, now);
        let ids: Vec<String> = drive.history.iter().skip(before).map(|change| change.id.clone()).collect();
        self.touch(Service::Drive, ids);
        text
    }

    /// One change of the calendars, and what it was in plain words.
    pub fn step_calendar(&mut self, calendars: &mut Calendars, now: Timestamp) -> String {
        let before = calendars.history.len();
        let text = self.step(calendar::KINDS, calendars, now);
        let ids: Vec<String> =
            calendars.history.iter().skip(before).map(|change| change.id.clone()).collect();
        self.touch(Service::Calendar, ids);
        text
    }

    /// The items of this round in the order in which they were changed.
    #[must_use]
    pub fn touched(&self) -> &[Touched] {
        &self.touched
    }

    /// Leaves an item alone until the round is over.
    pub fn spare(&mut self, service: Service, id: &str) {
        self.busy.insert(Touched { service, id: id.to_owned() });
    }

    /// Ends a round.
    pub fn rest(&mut self) {
        self.touched.clear();
        self.busy.clear();
    }

    fn step<Model>(&mut self, kinds: &[Kind<Model>], model: &mut Model, now: Timestamp) -> String {
        let total: u32 = kinds.iter().map(|(weight, _)| weight).sum();
        for _ in 0..100 {
            let mut left = self.random.u32(0..total);
            let chosen = kinds.iter().find(|(weight, _)| {
                let found = left < *weight;
                left = left.saturating_sub(*weight);
                found
            });
            if let Some(text) = chosen.and_then(|(_, happen)| happen(self, model, now)) {
                return text;
            }
        }
        // The first kind of each service is something new, for which there is always room.
        kinds.first().and_then(|(_, happen)| happen(self, model, now)).unwrap_or_default()
    }

    fn touch(&mut self, service: Service, ids: Vec<String>) {
        let fresh = ids.into_iter().map(|id| Touched { service, id });
        for touched in fresh {
            if self.busy.insert(touched.clone()) {
                self.touched.push(touched);
            }
        }
    }

    fn free(&self, service: Service, id: &str) -> bool {
        !self.busy.contains(&Touched { service, id: id.to_owned() })
    }

    /// One of several; `None` of none.
    fn one_of<T>(&mut self, several: Vec<T>) -> Option<T> {
        self.random.choice(several)
    }

    /// Something from a pool.
    fn word<'a>(&mut self, pool: &[&'a str]) -> &'a str {
        self.random.choice(pool).copied().unwrap_or_default()
    }
}
