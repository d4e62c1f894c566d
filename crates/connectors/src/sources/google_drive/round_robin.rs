//! Round robin over the parts of the source: the user's log, the list of shared drives, each of their logs, and a
//! listing where one is due.
//!
//! Memory holds only the place in the round and the failures of parts; without it a round begins anew. A shared drive
//! that fails does not hold up the others: its failure is reported with every turn until it works again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Mutex;

use inboxclaw_contract::settings::StartAt;
use inboxclaw_contract::{Class, Draft, Failure, Next, Settled};

use super::api::{Api, Log};
use super::apply_page::LogContext;
use super::settings::Config;
use super::state::{self, Baseline, DriveListing, LISTING, Pass, Step, Stop};
use crate::google::part_failure::PartFailure;
use crate::google::{Refusal, stored};
use crate::lock::lock;

/// The part that is the list of shared drives.
const DRIVES: &str = "the list of shared drives";
/// Passes of shared drives looked at; more are looked at later.
const PASSES: usize = 1_000;

/// Whose turn it is, and what did not work.
pub(super) struct RoundRobin {
    api: Api,
    config: Config,
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    round: RoundState,
    /// What the turn in progress makes of it.
    planned: Option<RoundState>,
}

#[derive(Debug, Clone, Default)]
struct RoundState {
    stage: Stage,
    /// Shared drives that are no longer listed.
    lost: BTreeSet<String>,
    troubles: BTreeMap<String, PartFailure>,
    /// The part that the last turn failed at.
    failed: Option<String>,
}

#[derive(Debug, Clone, Default)]
enum Stage {
    #[default]
    User,
    Drives,
    Logs(VecDeque<String>),
    DriveListing,
}

/// What a turn knows of state.
struct TurnState {
    tracked: BTreeSet<String>,
    baseline: Baseline,
    listing: Option<DriveListing>,
}

impl RoundRobin {
    /// At the beginning of a round.
    pub(super) fn new(api: Api, config: Config) -> Self {
        Self { api, config, memory: Mutex::default() }
    }

    /// Takes one turn.
    ///
    /// # Errors
    /// What holds up the whole source.
    pub(super) async fn turn(&self, draft: &mut Draft<'_>) -> Result<Next, Failure> {
        let mut round = lock(&self.memory).round.clone();
        let part = round.part();
        // A part that has failed already does not fail the turn again: a source backs off once for each failure of a
        // part. Without this rule one part would keep the source in back-off, and the others would not be read.
        let has_failed = round.failed.take().as_ref() == Some(&part) || round.troubles.contains_key(&part);
        match self.step(draft, &mut round, has_failed).await {
            Ok(next) => {
                round.troubles.values().for_each(|trouble| draft.problem(trouble.failure()));
                lock(&self.memory).planned = Some(round);
                Ok(next)
            }
            Err(stop) => {
                lock(&self.memory).round.failed = Some(part);
                Err(stop.into())
            }
        }
    }

    /// Takes the planned step if the turn was committed. One that was dropped is taken again from the same place: its
    /// requests brought nothing that is stored.
    pub(super) fn turn_ended(&self, settled: Settled) {
        let mut memory = lock(&self.memory);
        if let (Some(planned), Settled::Committed) = (memory.planned.take(), settled) {
            memory.round = planned;
        }
    }

    async fn step(
        &self,
        draft: &mut Draft<'_>,
        round: &mut RoundState,
        has_failed: bool,
    ) -> Result<Next, Stop> {
        // Cursors of shared drives that were followed under other settings stay for when they are followed again.
        let tracked = if self.config.restrict { BTreeSet::new() } else { state::tracked(draft).await? };
        let listing: Option<DriveListing> = stored(draft, LISTING).await?;
        let has_cursor = draft.cursor().is_some();
        let (baseline, is_new) = match Baseline::read(draft).await? {
            Some(baseline) => (baseline, false),
            None => (Baseline::new(state::baseline_instant(draft), &self.config.fingerprint, false), true),
        };
        // What is stored decides, the place in memory comes second: a person may have edited or rewound the state since
        // the last turn, and after a restart there is no place.
        let known = TurnState { tracked, baseline, listing };
        if !has_cursor && known.listing.as_ref().is_some_and(|listing| listing.pin.is_some()) {
            // What is to be reported of a drive from before the start is reported now or never.
            let may_leave_out = has_failed && matches!(self.config.start, StartAt::Now);
            return self.listing(draft, round, known, may_leave_out).await;
        }
        if is_new {
            if !has_cursor {
                return self.begin(draft, round).await;
            }
            known.baseline.put(draft)?;
        }
        if !has_cursor {
            round.stage = Stage::User;
        }
        match round.stage.clone() {
            Stage::User => match self.work(&Log::User, &known).follow(draft).await? {
                Step::More => Ok(Next::More),
                // Nothing else is followed until there is a cursor.
                Step::Wait if !has_cursor => Ok(Next::Wait),
                Step::Done | Step::Wait if self.config.restrict => Ok(self.after_logs(round, &known)),
                Step::Done | Step::Wait => {
                    round.stage = Stage::Drives;
                    Ok(Next::More)
                }
            },
            Stage::Drives => self.drives(draft, round, &known, has_failed).await,
            Stage::Logs(queue) => self.logs(draft, round, &known, queue, has_failed).await,
            Stage::DriveListing => self.listing(draft, round, known, has_failed).await,
        }
    }

    /// The first turn of all: a token for what changes from now on, and the list of what is to be listed.
    async fn begin(&self, draft: &mut Draft<'_>, round: &mut RoundState) -> Result<Next, Stop> {
        let pin = self.api.start_token(&Log::User).await?;
        let mut drives = Vec::new();
        if !self.config.restrict {
            match self.api.drives().await {
                Ok(listed) => drives = listed,
                Err(refusal) if refusal.is_transient() => return Err(refusal.into()),
                Err(refusal) => round.trouble(DRIVES, refusal),
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
        DriveListing { at, config_fingerprint, pin, drive: None, drives, page: None, again: 0 }.put(draft)?;
        Ok(Next::More)
    }

    /// Sees shared drives appear and vanish.
    async fn drives(
        &self,
        draft: &mut Draft<'_>,
        round: &mut RoundState,
        known: &TurnState,
        has_failed: bool,
    ) -> Result<Next, Stop> {
        let listed = match self.api.drives().await {
            Ok(listed) => BTreeSet::from_iter(listed),
            Err(refusal) if is_for_all(&refusal, has_failed) => return Err(refusal.into()),
            Err(refusal) => {
                round.trouble(DRIVES, refusal);
                return Ok(self.after_logs(round, known));
            }
        };
        let passes = draft.keys("gdrive:pass:", None, PASSES).await?;
        let begun = passes.iter().filter_map(|key| key.strip_prefix("gdrive:pass:")).map(str::to_owned);
        let ours: BTreeSet<String> = known.tracked.iter().cloned().chain(begun).collect();
        round.troubles.retain(|part, _| listed.contains(part) || ours.contains(part));
        round.lost = ours.difference(&listed).cloned().collect();
        // Those that are there first: files may have moved into them from one that is gone.
        let queue: VecDeque<String> = listed.iter().chain(&round.lost).cloned().collect();
        Ok(self.go_through(round, known, queue))
    }

    /// Takes the log of the next shared drive a turn further.
    async fn logs(
        &self,
        draft: &mut Draft<'_>,
        round: &mut RoundState,
        known: &TurnState,
        mut queue: VecDeque<String>,
        has_failed: bool,
    ) -> Result<Next, Stop> {
        let Some(drive) = queue.front().cloned() else { return Ok(self.after_logs(round, known)) };
        let log = Log::Drive(drive.clone());
        let work = self.work(&log, known);
        // Whether a drive is gone is asked once. From then on the pass in its entry goes on, over turns and restarts.
        let is_leaving = matches!(stored(draft, &state::pass_key(&log)).await?, Some(Pass::Vanish(_)));
        let may_be_gone = round.lost.contains(&drive) && !is_leaving;
        let gone = if may_be_gone { work.begin_removal(draft).await } else { Ok(false) };
        let step = match gone {
            Ok(true) => Ok(Step::More),
            Ok(false) => work.follow(draft).await,
            Err(stop) => Err(stop),
        };
        match step {
            Ok(step) => {
                round.troubles.remove(&drive);
                if step == Step::More {
                    return Ok(Next::More);
                }
            }
            Err(Stop::Refused(refusal)) if !is_for_all(&refusal, has_failed) => {
                round.trouble(&drive, refusal)
            }
            Err(stop) => return Err(stop),
        }
        queue.pop_front();
        Ok(self.go_through(round, known, queue))
    }

    /// Lists silently what there is, if that is due.
    async fn listing(
        &self,
        draft: &mut Draft<'_>,
        round: &mut RoundState,
        known: TurnState,
        has_failed: bool,
    ) -> Result<Next, Stop> {
        let Some(mut listing) = known.listing.clone() else {
            if known.baseline.is_of(&self.config.fingerprint) {
                return Ok(self.after_logs(round, &known));
            }
            return self.begin_census(draft, None, known.tracked.into_iter().collect());
        };
        let log = listing.log();
        match self.work(&log, &known).list_page(draft, &mut listing).await {
            Ok(Step::More) => {}
            Ok(Step::Done) => listing.next(draft).await?,
            // Meanwhile the logs are followed.
            Ok(Step::Wait) => {
                round.stage = Stage::User;
                return Ok(Next::Wait);
            }
            // A drive that was lost meanwhile, or that may not be listed.
            Err(Stop::Refused(refusal)) if log != Log::User && !is_for_all(&refusal, has_failed) => {
                round.trouble(log.name(), refusal);
                listing.next(draft).await?;
            }
            Err(Stop::Refused(refusal)) if listing.pin.is_none() && has_failed => {
                draft.problem(refusal.into());
                round.stage = Stage::User;
                return Ok(Next::Wait);
            }
            Err(stop) => return Err(stop),
        }
        Ok(Next::More)
    }

    /// Goes on with the logs of these shared drives.
    fn go_through(&self, round: &mut RoundState, known: &TurnState, queue: VecDeque<String>) -> Next {
        if queue.is_empty() {
            return self.after_logs(round, known);
        }
        round.stage = Stage::Logs(queue);
        Next::More
    }

    /// The end of a round, unless there is something to list.
    fn after_logs(&self, round: &mut RoundState, known: &TurnState) -> Next {
        if known.listing.is_none() && known.baseline.is_of(&self.config.fingerprint) {
            round.stage = Stage::User;
            Next::Wait
        } else {
            round.stage = Stage::DriveListing;
            Next::More
        }
    }

    fn work<'a>(&'a self, log: &'a Log, known: &'a TurnState) -> LogContext<'a> {
        let baseline = known.baseline.at().unwrap_or_default();
        let is_listed = known.listing.is_none() && known.baseline.is_of(&self.config.fingerprint);
        let all_known = is_listed.then(|| known.baseline.all_known());
        LogContext { api: &self.api, config: &self.config, log, tracked: &known.tracked, baseline, all_known }
    }
}

impl RoundState {
    /// The part that is next, in a word.
    fn part(&self) -> String {
        match &self.stage {
            Stage::User => "user".to_owned(),
            Stage::Drives => DRIVES.to_owned(),
            Stage::Logs(queue) => queue.front().cloned().unwrap_or_default(),
            Stage::DriveListing => "census".to_owned(),
        }
    }

    fn trouble(&mut self, part: &str, refusal: Refusal) {
        let what = if part == DRIVES {
            format!("no shared drives are followed, because {part} is refused")
        } else {
            format!("the shared drive {part} is not followed")
        };
        self.troubles.insert(part.to_owned(), PartFailure::new(&what, refusal.into()));
    }
}

/// Whether a part that is refused holds up the whole source: what concerns the account does, and what may pass, once.
fn is_for_all(refusal: &Refusal, has_failed: bool) -> bool {
    let is_account = matches!(refusal.failure.class, Class::RateLimited | Class::Authentication);
    refusal.is_transient() && (is_account || !has_failed)
}
