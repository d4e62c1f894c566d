//! Shared drives that appear, which are listed silently, and those that vanish, whose files are gone.

use inboxclaw_contract::{Draft, Expiry, Failure};
use jiff::Timestamp;

use super::api::{File, FilePage, Log};
use super::census;
use super::logs::Step;
use super::snapshot::Snapshot;
use super::state::{self, Appear, FILES, Pass, Stop, Vanish};
use super::take::{self, Item, Origin, Work};
use crate::google::{check_next, stamp};

/// Snapshots looked at in a turn.
const SNAPSHOTS: usize = 2_000;

impl Work<'_> {
    /// Lists the shared drive of this log, silently but for files that are new since `start` and for those that were known
    /// already, such as the ones that moved into it; its log is followed from before the listing.
    ///
    /// # Errors
    /// When the service refuses, or the state.
    pub(super) async fn appear(
        &self,
        draft: &mut Draft<'_>,
        pass: Option<Appear>,
        start: Option<Timestamp>,
    ) -> Result<Step, Stop> {
        let Some(pass) = pass else {
            let pin = self.api.start_token(self.log).await?;
            self.put_appear(draft, Appear { pin, page: None, again: 0 })?;
            return Ok(Step::More);
        };
        let FilePage { files, next_page_token, .. } =
            match self.api.list(self.log, pass.page.as_deref()).await {
                Err(refusal) if pass.page.is_some() && refusal.is_lost() => {
                    let times = pass.again + 1;
                    self.put_appear(draft, Appear { page: None, again: times, ..pass })?;
                    return Ok(census::again(draft, times, refusal));
                }
                page => page?,
            };
        check_next(pass.page.as_deref(), next_page_token.as_deref())?;
        let ids = state::known(draft, files.iter().map(|file| file.id.as_str())).await?;
        let (known, unknown): (Vec<File>, Vec<File>) =
            files.into_iter().partition(|file| ids.contains_key(&file.id));
        let items: Vec<Item> = known.into_iter().map(Item::listed).collect();
        let mut taken = self.take(draft, &items, Origin::Listing).await?;
        let is_fresh = taken.is_fresh;
        if !taken.is_all(&items, is_fresh)? {
            return Ok(Step::More);
        }
        self.learn(draft, unknown, None, start).await?;
        if next_page_token.is_some() {
            self.put_appear(draft, Appear { page: next_page_token, ..pass })?;
            return Ok(Step::More);
        }
        state::set_cursor(draft, self.log, &pass.pin, draft.now())?;
        draft.delete(&state::pass_key(self.log))?;
        Ok(Step::Done)
    }

    /// Begins to take leave of the shared drive of this log, which is no longer listed. A list of several pages may leave one
    /// out while others come and go (<https://developers.google.com/workspace/drive/api/reference/rest/v3/drives/list>),
    /// so the drive is asked for: one that is still there is followed.
    ///
    /// # Errors
    /// When the service refuses in other words than that the drive is gone or out of reach, or the state.
    pub(super) async fn begin_vanish(&self, draft: &mut Draft<'_>) -> Result<Step, Stop> {
        match self.api.start_token(self.log).await {
            Ok(_) => return self.follow(draft).await,
            Err(refusal) if matches!(refusal.status, Some(403 | 404)) && !refusal.is_transient() => {}
            Err(refusal) => return Err(refusal.into()),
        }
        state::listing(self.log).clear(draft)?;
        let pass = Pass::Vanish(Vanish { at: draft.now(), after: None });
        draft.put(&state::pass_key(self.log), &pass, Expiry::Never)?;
        Ok(Step::More)
    }

    /// Reports the files of the shared drive of this log as gone.
    ///
    /// # Errors
    /// When the state cannot be read or written.
    pub(super) async fn vanish(&self, draft: &mut Draft<'_>, pass: Vanish) -> Result<Step, Stop> {
        let entries = draft.list(FILES, pass.after.as_deref(), SNAPSHOTS).await?;
        let known = entries.iter().filter_map(|entry| entry.parse::<Snapshot>().ok());
        let time = stamp::write(pass.at);
        for file in known.filter(|file| file.drive_id.as_deref() == self.log.drive()) {
            if self.config.filters_out(&file.file_id, Some(&file)) {
                take::forget(draft, &file.file_id)?;
            } else {
                take::remove(draft, &file.file_id, Some(&file), Some(&time))?;
            }
        }
        if let Some(last) = entries.last().filter(|_| entries.len() == SNAPSHOTS) {
            let pass = Pass::Vanish(Vanish { after: Some(last.key.clone()), ..pass });
            draft.put(&state::pass_key(self.log), &pass, Expiry::Never)?;
            return Ok(Step::More);
        }
        if let Some(drive) = self.log.drive() {
            state::forget_cursor(draft, drive)?;
        }
        draft.delete(&state::pass_key(self.log))?;
        Ok(Step::Done)
    }

    fn put_appear(&self, draft: &mut Draft<'_>, pass: Appear) -> Result<(), Failure> {
        debug_assert_ne!(*self.log, Log::User);
        draft.put(&state::pass_key(self.log), &Pass::Appear(pass), Expiry::Never)
    }
}
