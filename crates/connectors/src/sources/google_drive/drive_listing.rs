//! Silent full listing: remembers the files that are there without events, so that the first change of an old file is
//! reported as a change. It runs at the first start, when settings that decide which files are known have changed, and
//! when a shared drive appears.
//!
//! Left out: texts. They are read when a file first changes, and compared from its next change on.

use inboxclaw_contract::settings::StartAt;
use inboxclaw_contract::{Draft, Expiry, Failure};
use jiff::Timestamp;

use super::api::{File, FilePage, Log};
use super::apply_page::{Item, LogContext, Origin};
use super::classify;
use super::events::{self, EventTime};
use super::snapshot::Snapshot;
use super::state::{self, Baseline, DriveListing, LISTING, NewDriveListing, Pass, Step, Stop};
use crate::google::{Refusal, check_next, is_id, stored};

/// How often a listing begins anew before it waits for the next poll.
const GIVE_UP_AFTER: u32 = 3;

impl DriveListing {
    /// Puts it into its entry.
    pub(super) fn put(&self, draft: &mut Draft<'_>) -> Result<(), Failure> {
        draft.put(LISTING, self, Expiry::Never)
    }

    /// The log whose files are being listed.
    pub(super) fn log(&self) -> Log {
        self.drive.clone().map_or(Log::User, Log::Drive)
    }

    /// Goes on to the next shared drive, or ends.
    ///
    /// # Errors
    /// When the state cannot be read or written.
    pub(super) async fn next(mut self, draft: &mut Draft<'_>) -> Result<(), Failure> {
        if let Some(drive) = self.drives.pop() {
            (self.drive, self.page, self.again) = (Some(drive), None, 0);
            return self.put(draft);
        }
        let before = Baseline::read(draft).await?.and_then(|baseline| baseline.at());
        let at = before.map_or(self.at, |before| before.max(self.at));
        Baseline::new(at, &self.config_fingerprint, true).listed_at(draft.now()).put(draft)?;
        if let Some(pin) = self.pin.filter(|_| draft.cursor().is_none()) {
            state::set_cursor(draft, &Log::User, &pin, self.at)?;
        }
        draft.delete(LISTING)
    }
}

impl LogContext<'_> {
    /// Takes the listing of one log a page further; `Done` when the log is listed.
    ///
    /// # Errors
    /// When the service refuses, or the state.
    pub(super) async fn list_page(
        &self,
        draft: &mut Draft<'_>,
        listing: &mut DriveListing,
    ) -> Result<Step, Stop> {
        let is_first = listing.pin.is_some();
        let start = is_first.then(|| since(self.config.start)).flatten();
        if *self.log != Log::User && state::cursor(draft, self.log).await?.is_none() {
            let pass = match stored(draft, &state::pass_key(self.log)).await? {
                Some(Pass::Appear(pass)) => Some(pass),
                _ => None,
            };
            return self.list_new_drive(draft, pass, start).await;
        }
        // The log's token is older than the listing, so what changes while it is listed is in the log, too: a file that
        // slips from a page to come into one that is done is seen there, and one that both show is reported once.
        let page = match self.api.list(self.log, listing.page.as_deref()).await {
            Err(refusal) if listing.page.is_some() && refusal.is_lost() => {
                (listing.page, listing.again) = (None, listing.again + 1);
                listing.put(draft)?;
                return Ok(again(draft, listing.again, refusal));
            }
            page => page?,
        };
        check_next(listing.page.as_deref(), page.next_page_token.as_deref())?;
        let before = (!is_first).then_some(listing.at);
        self.remember_unknown(draft, page.files, before, start).await?;
        listing.page = page.next_page_token;
        if listing.page.is_none() {
            return Ok(Step::Done);
        }
        listing.put(draft)?;
        Ok(Step::More)
    }

    /// Lists the shared drive of this log, silently but for files that are new since `start` and for those that were
    /// known already, such as the ones that moved into it; its log is followed from before the listing.
    ///
    /// # Errors
    /// When the service refuses, or the state.
    pub(super) async fn list_new_drive(
        &self,
        draft: &mut Draft<'_>,
        pass: Option<NewDriveListing>,
        start: Option<Timestamp>,
    ) -> Result<Step, Stop> {
        let Some(pass) = pass else {
            let pin = self.api.start_token(self.log).await?;
            self.put_appear(draft, NewDriveListing { pin, page: None, again: 0 })?;
            return Ok(Step::More);
        };
        let FilePage { files, next_page_token, .. } =
            match self.api.list(self.log, pass.page.as_deref()).await {
                Err(refusal) if pass.page.is_some() && refusal.is_lost() => {
                    let times = pass.again + 1;
                    self.put_appear(draft, NewDriveListing { page: None, again: times, ..pass })?;
                    return Ok(again(draft, times, refusal));
                }
                page => page?,
            };
        check_next(pass.page.as_deref(), next_page_token.as_deref())?;
        // A file that is known moved here from another log: it is compared, and its changes are reported. One that is
        // not known is remembered silently. The drive's cursor is set last, so an interrupted listing begins where its
        // pass is.
        let ids = state::known(draft, files.iter().map(|file| file.id.as_str())).await?;
        let (known, unknown): (Vec<File>, Vec<File>) =
            files.into_iter().partition(|file| ids.contains_key(&file.id));
        let items: Vec<Item> = known.into_iter().map(Item::listed).collect();
        let mut applied = self.apply_page(draft, &items, Origin::Listing).await?;
        let is_fresh = applied.is_fresh;
        if !applied.is_all(&items, is_fresh)? {
            return Ok(Step::More);
        }
        self.remember_unknown(draft, unknown, None, start).await?;
        if next_page_token.is_some() {
            self.put_appear(draft, NewDriveListing { page: next_page_token, ..pass })?;
            return Ok(Step::More);
        }
        state::set_cursor(draft, self.log, &pass.pin, draft.now())?;
        draft.delete(&state::pass_key(self.log))?;
        Ok(Step::Done)
    }

    /// Remembers files that are not known. What was created after `before` is left to the log; what is new since
    /// `start` is reported.
    ///
    /// # Errors
    /// When the state cannot be read or written.
    pub(super) async fn remember_unknown(
        &self,
        draft: &mut Draft<'_>,
        files: Vec<File>,
        before: Option<Timestamp>,
        start: Option<Timestamp>,
    ) -> Result<(), Failure> {
        let known = state::known(draft, files.iter().map(|file| file.id.as_str())).await?;
        let unknown = files.into_iter().filter(|file| is_id(&file.id) && !known.contains_key(&file.id));
        for file in unknown.map(Snapshot::from) {
            let is_elsewhere = *self.log == Log::User && self.is_tracked(&file);
            if is_elsewhere || !file.is_intended() || self.config.filters_out(&file.file_id, Some(&file)) {
                continue;
            }
            if before.is_some_and(|before| classify::first_seen(&file, before).is_some()) {
                continue;
            }
            let kind = start.filter(|_| !file.trashed).and_then(|start| classify::first_seen(&file, start));
            if let Some(kind) = kind {
                let time = file.shared_with_me_time.as_ref().or(file.created_time.as_ref());
                let when = EventTime::of(time.map(String::as_str), file.version.as_deref(), draft.now());
                draft.emit(events::change(kind, None, &file, None, &when)?)?;
            }
            draft.put(&state::file_key(&file.file_id), &file, Expiry::Never)?;
        }
        Ok(())
    }

    fn put_appear(&self, draft: &mut Draft<'_>, pass: NewDriveListing) -> Result<(), Failure> {
        debug_assert_ne!(*self.log, Log::User);
        draft.put(&state::pass_key(self.log), &Pass::Appear(pass), Expiry::Never)
    }
}

/// How to go on after a listing has begun anew so many times because a page was refused.
pub(super) fn again(draft: &mut Draft<'_>, times: u32, refusal: Refusal) -> Step {
    if !times.is_multiple_of(GIVE_UP_AFTER) {
        return Step::More;
    }
    draft.problem(refusal.into());
    Step::Wait
}

/// Since when files are reported at the first start.
fn since(start: StartAt) -> Option<Timestamp> {
    match start {
        StartAt::Now => None,
        StartAt::All => Some(Timestamp::MIN),
        StartAt::Since(at) => Some(at),
    }
}
