//! Whose turn it is: the user's log, the list of shared drives, each of their logs, and a listing where one is due.
//!
//! Memory holds only the place in the round and the troubles of parts; without it a round begins anew. A shared drive
//! in trouble does not hold up the others: its trouble is reported with every turn until it works again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Mutex;

use inboxclaw_contract::settings::StartAt;
use inboxclaw_contract::{Class, Draft, Failure, Next, Settled};

use super::api::{Api, Log};
use super::apply_page::Work;
use super::settings::Config;
use super::state::{self, Baseline, CENSUS, Census, Pass, Step, Stop};
use crate::google::part_failure::Trouble;
use crate::google::{Refusal, stored};
use crate::lock::lock;

/// The part that is the list of shared drives.
const DRIVES: &str = "the list of shared drives";
/// Passes of shared drives looked at; more are looked at later.
const PASSES: usize = 1_000;

/// The rounds of a source.
pub(super) struct Rounds {
    api: Api,
    config: Config,
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    place: Place,
    /// What the turn in progress makes of it.
    planned: Option<Place>,
    /// The part that the last turn failed at.
    failed: Option<String>,
}

#[derive(Debug, Clone, Default)]
struct Place {
    stage: Stage,
    /// Shared drives that are no longer listed.
    lost: BTreeSet<String>,
    troubles: BTreeMap<String, Trouble>,
}

#[derive(Debug, Clone, Default)]
enum Stage {
    #[default]
    User,
    Drives,
    Logs(VecDeque<String>),
    Census,
}

/// What a turn knows of state.
struct Known {
    tracked: BTreeSet<String>,
    baseline: Baseline,
    census: Option<Census>,
}

impl Rounds {
    /// At the beginning of a round.
    pub(super) fn new(api: Api, config: Config) -> Self {
        Self { api, config, memory: Mutex::default() }
    }

    /// Takes one turn.
    ///
    /// # Errors
    /// What holds up the whole source.
    pub(super) async fn turn(&self, draft: &mut Draft<'_>) -> Result<Next, Failure> {
        let (mut place, failed) = {
            let memory = lock(&self.memory);
            (memory.place.clone(), memory.failed.clone())
        };
        let part = place.part();
        // One that is in trouble already holds up nothing, however often it is tried again.
        let has_failed = failed.as_ref() == Some(&part) || place.troubles.contains_key(&part);
        match self.step(draft, &mut place, has_failed).await {
            Ok(next) => {
                place.troubles.values().for_each(|trouble| draft.problem(trouble.failure()));
                lock(&self.memory).planned = Some(place);
                Ok(next)
            }
            Err(stop) => {
                lock(&self.memory).failed = Some(part);
                Err(stop.into())
            }
        }
    }

    /// Moves on, or not.
    pub(super) fn settled(&self, settled: Settled) {
        let mut memory = lock(&self.memory);
        if let (Some(planned), Settled::Committed) = (memory.planned.take(), settled) {
            (memory.place, memory.failed) = (planned, None);
        }
    }

    async fn step(&self, draft: &mut Draft<'_>, place: &mut Place, has_failed: bool) -> Result<Next, Stop> {
        // Cursors of shared drives that were followed under other settings stay for when they are followed again.
        let tracked = if self.config.restrict { BTreeSet::new() } else { state::tracked(draft).await? };
        let census: Option<Census> = stored(draft, CENSUS).await?;
        let has_cursor = draft.cursor().is_some();
        let (baseline, is_new) = match Baseline::read(draft).await? {
            Some(baseline) => (baseline, false),
            None => (Baseline::new(state::baseline_instant(draft), &self.config.fingerprint, false), true),
        };
        let known = Known { tracked, baseline, census };
        if !has_cursor && known.census.as_ref().is_some_and(|census| census.pin.is_some()) {
            // What is to be told of a drive from before the start is told now or never.
            let may_leave_out = has_failed && matches!(self.config.start, StartAt::Now);
            return self.census(draft, place, known, may_leave_out).await;
        }
        if is_new {
            if !has_cursor {
                return self.begin(draft, place).await;
            }
            known.baseline.put(draft)?;
        }
        if !has_cursor {
            place.stage = Stage::User;
        }
        match place.stage.clone() {
            Stage::User => match self.work(&Log::User, &known).follow(draft).await? {
                Step::More => Ok(Next::More),
                // Nothing else is followed until there is a cursor.
                Step::Wait if !has_cursor => Ok(Next::Wait),
                Step::Done | Step::Wait if self.config.restrict => Ok(self.after_logs(place, &known)),
                Step::Done | Step::Wait => {
                    place.stage = Stage::Drives;
                    Ok(Next::More)
                }
            },
            Stage::Drives => self.drives(draft, place, &known, has_failed).await,
            Stage::Logs(queue) => self.logs(draft, place, &known, queue, has_failed).await,
            Stage::Census => self.census(draft, place, known, has_failed).await,
        }
    }

    /// The first turn of all: a token for what changes from now on, and the list of what is to be listed.
    async fn begin(&self, draft: &mut Draft<'_>, place: &mut Place) -> Result<Next, Stop> {
        let pin = self.api.start_token(&Log::User).await?;
        let mut drives = Vec::new();
        if !self.config.restrict {
            match self.api.drives().await {
                Ok(listed) => drives = listed,
                Err(refusal) if refusal.is_transient() => return Err(refusal.into()),
                Err(refusal) => place.trouble(DRIVES, refusal),
            }
        }
        self.begin_census(draft, Some(pin), drives)
    }

    fn begin_census(
        &self,
        draft: &mut Draft<'_>,
        pin: Option<String>,
        mut drives: Vec<String>,
    ) -> Result<Next, Stop> {
        drives.reverse();
        let at = state::baseline_instant(draft);
        let config_fingerprint = self.config.fingerprint.clone();
        Census { at, config_fingerprint, pin, drive: None, drives, page: None, again: 0 }.put(draft)?;
        Ok(Next::More)
    }

    /// Sees shared drives appear and vanish.
    async fn drives(
        &self,
        draft: &mut Draft<'_>,
        place: &mut Place,
        known: &Known,
        has_failed: bool,
    ) -> Result<Next, Stop> {
        let listed = match self.api.drives().await {
            Ok(listed) => BTreeSet::from_iter(listed),
            Err(refusal) if is_for_all(&refusal, has_failed) => return Err(refusal.into()),
            Err(refusal) => {
                place.trouble(DRIVES, refusal);
                return Ok(self.after_logs(place, known));
            }
        };
        let passes = draft.keys("gdrive:pass:", None, PASSES).await?;
        let begun = passes.iter().filter_map(|key| key.strip_prefix("gdrive:pass:")).map(str::to_owned);
        let ours: BTreeSet<String> = known.tracked.iter().cloned().chain(begun).collect();
        place.troubles.retain(|part, _| listed.contains(part) || ours.contains(part));
        place.lost = ours.difference(&listed).cloned().collect();
        // Those that are there first: files may have moved into them from one that is gone.
        let queue: VecDeque<String> = listed.iter().chain(&place.lost).cloned().collect();
        Ok(self.go_through(place, known, queue))
    }

    /// Takes the log of the next shared drive a turn further.
    async fn logs(
        &self,
        draft: &mut Draft<'_>,
        place: &mut Place,
        known: &Known,
        mut queue: VecDeque<String>,
        has_failed: bool,
    ) -> Result<Next, Stop> {
        let Some(drive) = queue.front().cloned() else { return Ok(self.after_logs(place, known)) };
        let log = Log::Drive(drive.clone());
        let work = self.work(&log, known);
        let is_leaving = matches!(stored(draft, &state::pass_key(&log)).await?, Some(Pass::Vanish(_)));
        let may_be_gone = place.lost.contains(&drive) && !is_leaving;
        let gone = if may_be_gone { work.begin_vanish(draft).await } else { Ok(false) };
        let step = match gone {
            Ok(true) => Ok(Step::More),
            Ok(false) => work.follow(draft).await,
            Err(stop) => Err(stop),
        };
        match step {
            Ok(step) => {
                place.troubles.remove(&drive);
                if step == Step::More {
                    return Ok(Next::More);
                }
            }
            Err(Stop::Refused(refusal)) if !is_for_all(&refusal, has_failed) => {
                place.trouble(&drive, refusal)
            }
            Err(stop) => return Err(stop),
        }
        queue.pop_front();
        Ok(self.go_through(place, known, queue))
    }

    /// Lists silently what there is, if that is due.
    async fn census(
        &self,
        draft: &mut Draft<'_>,
        place: &mut Place,
        known: Known,
        has_failed: bool,
    ) -> Result<Next, Stop> {
        let Some(mut census) = known.census.clone() else {
            if known.baseline.is_of(&self.config.fingerprint) {
                return Ok(self.after_logs(place, &known));
            }
            return self.begin_census(draft, None, known.tracked.into_iter().collect());
        };
        let log = census.log();
        match self.work(&log, &known).count(draft, &mut census).await {
            Ok(Step::More) => {}
            Ok(Step::Done) => census.next(draft).await?,
            // Meanwhile the logs are followed.
            Ok(Step::Wait) => {
                place.stage = Stage::User;
                return Ok(Next::Wait);
            }
            // A drive that was lost meanwhile, or that may not be listed.
            Err(Stop::Refused(refusal)) if log != Log::User && !is_for_all(&refusal, has_failed) => {
                place.trouble(log.name(), refusal);
                census.next(draft).await?;
            }
            Err(Stop::Refused(refusal)) if census.pin.is_none() && has_failed => {
                draft.problem(refusal.into());
                place.stage = Stage::User;
                return Ok(Next::Wait);
            }
            Err(stop) => return Err(stop),
        }
        Ok(Next::More)
    }

    /// Goes on with the logs of these shared drives.
    fn go_through(&self, place: &mut Place, known: &Known, queue: VecDeque<String>) -> Next {
        if queue.is_empty() {
            return self.after_logs(place, known);
        }
        place.stage = Stage::Logs(queue);
        Next::More
    }

    /// The end of a round, unless there is something to list.
    fn after_logs(&self, place: &mut Place, known: &Known) -> Next {
        if known.census.is_none() && known.baseline.is_of(&self.config.fingerprint) {
            place.stage = Stage::User;
            Next::Wait
        } else {
            place.stage = Stage::Census;
            Next::More
        }
    }

    fn work<'a>(&'a self, log: &'a Log, known: &'a Known) -> Work<'a> {
        let baseline = known.baseline.at().unwrap_or_default();
        let is_listed = known.census.is_none() && known.baseline.is_of(&self.config.fingerprint);
        let all_known = is_listed.then(|| known.baseline.all_known());
        Work { api: &self.api, config: &self.config, log, tracked: &known.tracked, baseline, all_known }
    }
}

impl Place {
    /// The part that is next, in a word.
    fn part(&self) -> String {
        match &self.stage {
            Stage::User => "user".to_owned(),
            Stage::Drives => DRIVES.to_owned(),
            Stage::Logs(queue) => queue.front().cloned().unwrap_or_default(),
            Stage::Census => "census".to_owned(),
        }
    }

    fn trouble(&mut self, part: &str, refusal: Refusal) {
        let what = if part == DRIVES {
            format!("no shared drives are followed, because {part} is refused")
        } else {
            format!("the shared drive {part} is not followed")
        };
        self.troubles.insert(part.to_owned(), Trouble::of(&what, refusal.into()));
    }
}

/// Whether a part that is refused holds up the whole source: what concerns the account does, and what may pass, once.
fn is_for_all(refusal: &Refusal, has_failed: bool) -> bool {
    let is_account = matches!(refusal.failure.class, Class::RateLimited | Class::Authentication);
    refusal.is_transient() && (is_account || !has_failed)
}
