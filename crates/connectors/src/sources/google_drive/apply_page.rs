//! Applies a page of a log or a listing: reads the texts that are wanted, emits events, and updates the snapshots.
//!
//! What was handled shows in the snapshots: the same page again, after a turn that got only half way, emits nothing
//! twice and asks for nothing twice.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use inboxclaw_contract::{Draft, Expiry, Failure};
use jiff::Timestamp;

use super::api::{Api, File, Log};
use super::classify::{self, Kind};
use super::content;
use super::events::{self, EventTime};
use super::settings::Config;
use super::snapshot::Snapshot;
use super::state::{self, Stop};
use crate::google::{AT_ONCE, Deadline, Refusal, timestamp};

/// Most requests for parts of a page in a turn.
const MOST_FETCHES: usize = 500;
/// Most texts in a turn, in bytes.
const MOST_TEXT: usize = 32 << 20;
/// How long a reported removal is remembered: other logs list it as well.
const GONE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// What a page says of a file.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) id: String,
    /// When it changed, where the page says so.
    pub(super) time: Option<String>,
    pub(super) seen: FileState,
}

impl Item {
    /// What a listing says.
    pub(super) fn listed(file: File) -> Self {
        Self { id: file.id.clone(), time: None, seen: FileState::Present(Box::new(file)) }
    }
}

/// The state of a file.
#[derive(Debug)]
pub(super) enum FileState {
    /// It is there.
    Present(Box<File>),
    /// It is gone, or out of reach.
    Gone,
    /// It is to be asked for.
    Unknown,
}

/// Where the items are from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// A log.
    Log,
    /// A full listing.
    Listing,
}

/// How far a page was applied.
#[derive(Debug, Default)]
pub(super) struct AppliedPage {
    /// How many items were handled, from the first on.
    pub(super) handled: usize,
    /// Whether anything changed.
    pub(super) is_fresh: bool,
    /// What stopped it, if it was not the bounds of a turn.
    pub(super) refusal: Option<Refusal>,
    /// Files that had news.
    pub(super) found: u64,
    /// Files that are gone.
    pub(super) deleted: u64,
    fetches: usize,
    bytes: usize,
}

/// One log and what every step of it needs.
pub(super) struct LogContext<'a> {
    pub(super) api: &'a Api,
    pub(super) config: &'a Config,
    pub(super) log: &'a Log,
    /// The shared drives whose logs are followed.
    pub(super) tracked: &'a BTreeSet<String>,
    /// Since when files count as new by their own times.
    pub(super) baseline: Timestamp,
    /// When everything had been listed: what appears later and is not known is new, whatever its times say. `None`
    /// while something may be there that is not known.
    pub(super) all_known: Option<Timestamp>,
}

/// What is to be done about an item.
enum ItemAction {
    Nothing,
    /// Forget the file without a word.
    Forget,
    /// Report that it is gone.
    Remove,
    /// Keep its state and report what happened; read its text first, or not.
    Keep(Box<Snapshot>, bool),
    /// Ask for it first.
    Fetch,
}

/// What requests about an item came to: what is to be done about it, unless a refusal is waited for.
struct ItemResponse {
    plan: ItemAction,
    text: Option<String>,
    refusal: Option<Refusal>,
}

impl LogContext<'_> {
    /// Takes items in their order until the bounds of a turn are reached or a request fails that may succeed later.
    ///
    /// # Errors
    /// When the state cannot be read or written.
    pub(super) async fn apply_page(
        &self,
        draft: &mut Draft<'_>,
        items: &[Item],
        origin: Origin,
    ) -> Result<AppliedPage, Failure> {
        let (mut applied, mut rest, deadline) = (AppliedPage::default(), items, self.api.deadline());
        while !rest.is_empty() {
            let (batch, later) = rest.split_at(distinct(rest));
            if !self.batch(draft, batch, (origin, &deadline), &mut applied).await? {
                break;
            }
            rest = later;
        }
        Ok(applied)
    }

    /// Takes items of different files. Gives whether it took them all.
    async fn batch(
        &self,
        draft: &mut Draft<'_>,
        items: &[Item],
        (origin, deadline): (Origin, &Deadline<'_>),
        applied: &mut AppliedPage,
    ) -> Result<bool, Failure> {
        let known = state::known(draft, items.iter().map(|item| item.id.as_str())).await?;
        let gone = state::gone(draft, items.iter().map(|item| item.id.as_str())).await?;
        let is_gone = |item: &Item| gone.contains(&state::gone_key(&item.id));
        // Requests run ahead of their items, but items are handled in the order of the page: two changes of one file
        // are never in one batch, and of a turn that stops early a prefix of the page is done.
        let (mut requests, mut plans) = (Vec::new(), Vec::new());
        for item in items {
            let before = known.get(&item.id);
            let plan = self.plan(item, before, is_gone(item), origin);
            if plan.has_request() {
                requests.push(self.ask(plan, item, (before, origin), deadline));
                plans.push(None);
            } else {
                plans.push(Some(plan));
            }
        }
        let mut answers = stream::iter(requests).buffered(AT_ONCE);
        for (item, plan) in items.iter().zip(plans) {
            let (plan, text) = match plan {
                Some(plan) => (plan, None),
                None if applied.is_enough(origin, deadline) => return Ok(false),
                None => {
                    // Answers come in the order of the items that have requests.
                    let Some(answer) = answers.next().await else { return Ok(false) };
                    let Some(accepted) = self.accept(draft, item, answer, applied) else { return Ok(false) };
                    accepted
                }
            };
            let case = ItemContext { item, before: known.get(&item.id), was_gone: is_gone(item), origin };
            self.apply_item(draft, case, plan, text, applied).await?;
            applied.handled += 1;
        }
        Ok(true)
    }

    /// What is to be done, and with which text; none where the item waits for a better time, as a refusal says. One for
    /// good is a problem, and the item is applied without what was refused.
    fn accept(
        &self,
        draft: &mut Draft<'_>,
        item: &Item,
        answer: ItemResponse,
        applied: &mut AppliedPage,
    ) -> Option<(ItemAction, Option<String>)> {
        applied.fetches += 1;
        if let Some(refusal) = answer.refusal {
            if matches!(answer.plan, ItemAction::Fetch) || self.api.retry_limit.may_retry(&item.id, &refusal)
            {
                applied.refusal = Some(refusal);
                return None;
            }
            draft.problem(unreadable(item, refusal));
        } else {
            self.api.retry_limit.succeeded(&item.id);
        }
        Some((answer.plan, answer.text))
    }

    fn plan(&self, item: &Item, before: Option<&Snapshot>, was_gone: bool, origin: Origin) -> ItemAction {
        match (&item.seen, before) {
            (FileState::Unknown, _) => ItemAction::Fetch,
            (FileState::Present(file), _) => {
                let now = Snapshot::from(File::clone(file));
                if *self.log == Log::User && self.is_tracked(&now) {
                    ItemAction::Nothing
                } else {
                    self.keep(now, before, origin)
                }
            }
            (FileState::Gone, None) if was_gone || self.config.filters_out(&item.id, None) => {
                ItemAction::Nothing
            }
            (FileState::Gone, before) => self.leave(item, before),
        }
    }

    /// A file that the log says is gone. Unless only My Drive counts, it may have moved to another log, perhaps before
    /// it was ever seen, and perhaps to one that is not followed yet.
    fn leave(&self, item: &Item, before: Option<&Snapshot>) -> ItemAction {
        let is_elsewhere = |before: &Snapshot| match self.log {
            Log::User => self.is_tracked(before),
            // Old snapshots, without a version, do not say in which drive the file was.
            Log::Drive(id) => before.version.is_some() && before.drive_id.as_ref() != Some(id),
        };
        if before.is_some_and(is_elsewhere) {
            ItemAction::Nothing
        } else if self.config.filters_out(&item.id, before) {
            ItemAction::Forget
        } else if self.config.restrict {
            ItemAction::Remove
        } else {
            ItemAction::Fetch
        }
    }

    /// A file that is there.
    fn keep(&self, now: Snapshot, before: Option<&Snapshot>, origin: Origin) -> ItemAction {
        let is_out = origin == Origin::Listing && self.config.restrict && !now.is_owned();
        if is_out || !now.is_intended() || self.config.filters_out(&now.file_id, Some(&now)) {
            return if before.is_some() { ItemAction::Forget } else { ItemAction::Nothing };
        }
        let is_due = match before {
            Some(before) => classify::may_be_updated(before, &now),
            None => origin == Origin::Log,
        };
        let reads = is_due && self.config.wants_text(&now);
        ItemAction::Keep(Box::new(now), reads)
    }

    /// Asks for what a plan needs: for the file, for its text, or for one after the other.
    async fn ask(
        &self,
        plan: ItemAction,
        item: &Item,
        (before, origin): (Option<&Snapshot>, Origin),
        deadline: &Deadline<'_>,
    ) -> ItemResponse {
        let is_gone = matches!(item.seen, FileState::Gone);
        let mut answer = ItemResponse { plan, text: None, refusal: None };
        if let ItemAction::Fetch = answer.plan {
            answer.plan = match self.api.file(&item.id).await {
                // Who has the link may still see it.
                Ok(Some(file)) if is_gone && *self.log == Log::User && file.drive_id.is_none() => {
                    ItemAction::Remove
                }
                Ok(Some(file)) => self.keep(Snapshot::from(file), before, origin),
                Ok(None) if is_gone || before.is_some() => ItemAction::Remove,
                Ok(None) => ItemAction::Nothing,
                Err(refusal) => {
                    // The log says that it is gone, and nobody may look whether it is elsewhere, or not yet.
                    let plan = match is_gone {
                        true if refusal.is_transient() => ItemAction::Fetch,
                        true => ItemAction::Remove,
                        false => ItemAction::Nothing,
                    };
                    answer.refusal = Some(refusal);
                    plan
                }
            };
            // A second request that begins late may take longer than the turn has. The text is read another time.
            if deadline.is_over() {
                return answer;
            }
        }
        if let ItemAction::Keep(now, true) = &answer.plan {
            match content::read(self.api, self.config, now).await {
                Ok(text) => answer.text = text,
                Err(refusal) => answer.refusal = Some(refusal),
            }
        }
        answer
    }

    async fn apply_item(
        &self,
        draft: &mut Draft<'_>,
        case: ItemContext<'_>,
        plan: ItemAction,
        text: Option<String>,
        applied: &mut AppliedPage,
    ) -> Result<(), Failure> {
        match plan {
            ItemAction::Nothing | ItemAction::Fetch => Ok(()),
            ItemAction::Forget => {
                applied.is_fresh = true;
                forget(draft, &case.item.id)
            }
            ItemAction::Remove => {
                applied.is_fresh = true;
                applied.deleted += 1;
                remove(draft, &case.item.id, case.before, case.item.time.as_deref())
            }
            ItemAction::Keep(now, _) => self.report(draft, &case, *now, text, applied).await,
        }
    }

    /// Says what happened to a file that is there, and keeps its state.
    async fn report(
        &self,
        draft: &mut Draft<'_>,
        case: &ItemContext<'_>,
        mut now: Snapshot,
        text: Option<String>,
        applied: &mut AppliedPage,
    ) -> Result<(), Failure> {
        let (reading, bytes) = content::keep(draft, self.config.bounds, case.before, &mut now, text).await?;
        applied.bytes += bytes;
        let kinds = match case.before {
            Some(before) => classify::known(before, &now, &reading),
            None => self.first_seen(case, &now).into_iter().collect(),
        };
        for kind in &kinds {
            let when = case.when(*kind, &now, draft.now());
            let diff = reading.diff.as_ref().filter(|_| *kind == Kind::Updated);
            draft.emit(events::change(*kind, case.before, &now, diff, &when)?)?;
        }
        applied.found += u64::from(!kinds.is_empty());
        if case.was_gone {
            draft.delete(&state::gone_key(&now.file_id))?;
        }
        if case.before != Some(&now) {
            applied.is_fresh = true;
            draft.put(&state::file_key(&now.file_id), &now, Expiry::Never)?;
        }
        Ok(())
    }

    /// What a file means that is not known. One that keeps its times from before, as programs that upload do, or that
    /// was given to the user, is new all the same. A change from before the end of the listing says nothing: the file
    /// may have slipped from a page to come into one that was done.
    fn first_seen(&self, case: &ItemContext<'_>, now: &Snapshot) -> Option<Kind> {
        let time = case.item.time.as_deref().and_then(timestamp::read);
        let is_after = |listed: Timestamp| time.is_none_or(|time| time > listed);
        match self.all_known.is_some_and(is_after) {
            true => classify::appeared(now),
            false => classify::first_seen(now, self.baseline),
        }
    }

    pub(super) fn is_tracked(&self, file: &Snapshot) -> bool {
        file.drive_id.as_ref().is_some_and(|drive| self.tracked.contains(drive))
    }
}

/// An item and what is known of its file.
struct ItemContext<'a> {
    item: &'a Item,
    before: Option<&'a Snapshot>,
    was_gone: bool,
    origin: Origin,
}

impl ItemContext<'_> {
    /// When something happened. A listing only shows when the content changed, and what leaves the content alone, such
    /// as a new name, can happen again at the same content, so that such events are told apart by the version.
    fn when(&self, kind: Kind, now: &Snapshot, at: Timestamp) -> EventTime {
        let version = now.version.as_deref();
        if self.origin == Origin::Log {
            return EventTime::of(self.item.time.as_deref(), version, at);
        }
        let time = now.modified_time.as_deref().or(now.created_time.as_deref());
        let mut when = EventTime::of(time, version, at);
        let is_of_content = match kind {
            Kind::Updated => self.before.is_none_or(|before| before.modified_time != now.modified_time),
            Kind::Created | Kind::Removed => true,
            Kind::Moved | Kind::Trashed | Kind::Untrashed | Kind::SharedWithYou => false,
        };
        if let Some(version) = version.filter(|_| !is_of_content) {
            version.clone_into(&mut when.unique);
        }
        when
    }
}

impl ItemAction {
    fn has_request(&self) -> bool {
        matches!(self, Self::Keep(_, true) | Self::Fetch)
    }
}

impl AppliedPage {
    /// Whether the bounds of a turn are reached. A turn must get somewhere: a page of a log is read again as a whole.
    fn is_enough(&self, origin: Origin, deadline: &Deadline<'_>) -> bool {
        let is_full = self.fetches >= MOST_FETCHES || self.bytes >= MOST_TEXT || deadline.is_over();
        is_full && (self.is_fresh || origin == Origin::Listing)
    }

    /// Whether all of `items` were handled.
    ///
    /// # Errors
    /// What stopped it, when it got nowhere: the draft holds nothing.
    pub(super) fn is_all(&mut self, items: &[Item], is_progress: bool) -> Result<bool, Stop> {
        match self.refusal.take() {
            Some(refusal) if !is_progress => Err(refusal.into()),
            _ => Ok(self.handled == items.len()),
        }
    }
}

/// Reports that a file is gone, and forgets it.
///
/// # Errors
/// When the state cannot be written.
pub(super) fn remove(
    draft: &mut Draft<'_>,
    id: &str,
    before: Option<&Snapshot>,
    time: Option<&str>,
) -> Result<(), Failure> {
    let when = EventTime::of(time, before.and_then(|before| before.version.as_deref()), draft.now());
    draft.emit(events::removal(id, before, &when)?)?;
    draft.put(&state::gone_key(id), &true, Expiry::For(GONE))?;
    forget(draft, id)
}

/// Forgets a file.
///
/// # Errors
/// When the state cannot be written.
pub(super) fn forget(draft: &mut Draft<'_>, id: &str) -> Result<(), Failure> {
    draft.delete(&state::text_key(id))?;
    draft.delete(&state::file_key(id))
}

/// How many of the first items are of different files.
fn distinct(items: &[Item]) -> usize {
    let mut ids = HashSet::new();
    items.iter().take_while(|item| ids.insert(item.id.as_str())).count()
}

fn unreadable(item: &Item, refusal: Refusal) -> Failure {
    let mut failure = Failure::from(refusal);
    failure.cause = failure.cause.context(format!("cannot read the file {}", item.id));
    failure
}
