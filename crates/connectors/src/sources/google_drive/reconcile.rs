//! Full resync where a log is lost: takes a new token first, then lists everything page by page, then asks for what is
//! known and was not listed. The new token takes the place of the lost one last.

use inboxclaw_contract::{Class, Draft, Expiry, Failure};

use super::api::Log;
use super::apply_page::{FileState, Item, LogContext, Origin};
use super::drive_listing;
use super::snapshot::Snapshot;
use super::state::{self, FILES, Pass, Reconcile, Step, Stop};
use crate::google::gap::{Gap, PASSING};
use crate::google::{Refusal, check_next, is_id};

/// Keys looked at in a turn. Each turn reads all that was listed, so there should be few.
const KEYS: usize = 20_000;
/// Most files that were not listed to be looked at in a turn.
const MISSING: usize = 5_000;

impl LogContext<'_> {
    /// Begins: takes a token for what changes from now on.
    ///
    /// # Errors
    /// When the service gives none.
    pub(super) async fn begin_comparison(
        &self,
        draft: &mut Draft<'_>,
        from: Option<String>,
        reason: &str,
    ) -> Result<Step, Stop> {
        let pin = self.api.start_token(self.log).await?;
        state::listing(self.log).clear(draft)?;
        let (at, reason) = (draft.now(), reason.to_owned());
        let synced = if from.is_some() { state::synced(draft, self.log).await? } else { None };
        self.put(draft, Reconcile { from, pin, at, synced, reason, ..Reconcile::default() })?;
        Ok(Step::More)
    }

    /// Goes on with a comparison.
    ///
    /// # Errors
    /// When the service refuses, or the state.
    pub(super) async fn compare(&self, draft: &mut Draft<'_>, pass: Reconcile) -> Result<Step, Stop> {
        if pass.listed { self.compare_unlisted(draft, pass).await } else { self.list(draft, pass).await }
    }

    async fn list(&self, draft: &mut Draft<'_>, mut pass: Reconcile) -> Result<Step, Stop> {
        let page = match self.api.list(self.log, pass.page.as_deref()).await {
            Err(refusal) if pass.page.is_some() && refusal.is_lost() => {
                return self.list_again(draft, pass, refusal);
            }
            page => page?,
        };
        check_next(pass.page.as_deref(), page.next_page_token.as_deref())?;
        if page.incomplete_search {
            let text = format!("the service could not list all files of the log {}", self.log.name());
            return Err(Refusal::from(Failure::text(Class::Upstream, text)).into());
        }
        let files = page.files.into_iter().filter(|file| is_id(&file.id));
        let items: Vec<Item> = files.map(Item::listed).collect();
        let mut applied = self.apply_page(draft, &items, Origin::Listing).await?;
        let is_fresh = applied.is_fresh;
        let is_all = applied.is_all(&items, is_fresh)?;
        pass.found += applied.found;
        if is_all {
            let ids: Vec<&str> = items.iter().map(|item| item.id.as_str()).collect();
            state::listing(self.log).add(draft, pass.pages, &ids)?;
            pass.pages += 1;
            pass.listed = page.next_page_token.is_none();
            pass.page = page.next_page_token;
        }
        self.put(draft, pass)?;
        Ok(Step::More)
    }

    fn list_again(&self, draft: &mut Draft<'_>, pass: Reconcile, refusal: Refusal) -> Result<Step, Stop> {
        state::listing(self.log).clear(draft)?;
        let times = pass.again + 1;
        self.put(draft, Reconcile { page: None, pages: 0, again: times, ..pass })?;
        Ok(drive_listing::again(draft, times, refusal))
    }

    /// Looks at files that are known and were not listed. Each is asked for: what changes while a listing is read may
    /// slip from a page to come into one that is done.
    async fn compare_unlisted(&self, draft: &mut Draft<'_>, mut pass: Reconcile) -> Result<Step, Stop> {
        let Some(listed) = state::listing(self.log).ids(draft, pass.pages).await? else {
            let (page, after) = (None, None);
            self.put(draft, Reconcile { page, pages: 0, listed: false, after, ..pass })?;
            return Ok(Step::More);
        };
        // Keys come in order, and so do the items made of them. What was handled is a prefix of both, so that the last
        // handled key says everything about where the next turn goes on.
        let keys = draft.keys(FILES, pass.after.as_deref(), KEYS).await?;
        let missing =
            keys.iter().filter_map(|key| key.strip_prefix(FILES)).filter(|id| !listed.contains(*id));
        let missing: Vec<&str> = missing.take(MISSING).collect();
        let known = state::known(draft, missing.iter().copied()).await?;
        let of_log = missing.iter().filter(|id| known.get(**id).is_some_and(|file| self.is_about(file)));
        let (mut items, mut filtered) = (Vec::new(), Vec::new());
        for id in of_log {
            if self.config.filters_out(id, known.get(*id)) {
                filtered.push(*id);
            } else {
                items.push(Item { id: (*id).to_owned(), time: None, seen: FileState::Unknown });
            }
        }
        let mut applied = self.apply_page(draft, &items, Origin::Listing).await?;
        let is_progress = applied.handled > 0;
        let is_all = applied.is_all(&items, is_progress)?;
        for id in filtered {
            super::apply_page::forget(draft, id)?;
        }
        pass.found += applied.found;
        pass.deleted += applied.deleted;
        let last = match applied.handled.checked_sub(1).and_then(|last| items.get(last)) {
            Some(item) if !is_all => Some(state::file_key(&item.id)),
            _ if !is_all => None,
            _ if missing.len() == MISSING => missing.last().map(|id| state::file_key(id)),
            _ if keys.len() < KEYS => return self.finish(draft, &pass),
            _ => keys.last().cloned(),
        };
        pass.after = last.or(pass.after);
        self.put(draft, pass)?;
        Ok(Step::More)
    }

    /// Whether a known file should be in the listing of this log.
    fn is_about(&self, file: &Snapshot) -> bool {
        match self.log {
            Log::Drive(id) => file.drive_id.as_ref() == Some(id),
            Log::User => self.config.restrict || !self.is_tracked(file),
        }
    }

    fn finish(&self, draft: &mut Draft<'_>, pass: &Reconcile) -> Result<Step, Stop> {
        state::set_cursor(draft, self.log, &pass.pin, pass.at)?;
        draft.delete(&state::pass_key(self.log))?;
        state::listing(self.log).clear(draft)?;
        let gap = Gap {
            log: self.log.name().to_owned(),
            reason: pass.reason.clone(),
            from: pass.synced,
            to: pass.at,
            recovered_from: None,
            complete: true,
            missing: vec![PASSING.to_owned()],
            found: pass.found,
            deleted: pass.deleted,
        };
        gap.emit(draft, pass.from.as_deref().unwrap_or("none"), &pass.pin)?;
        Ok(Step::More)
    }

    fn put(&self, draft: &mut Draft<'_>, pass: Reconcile) -> Result<(), Failure> {
        draft.put(&state::pass_key(self.log), &Pass::Reconcile(pass), Expiry::Never)
    }
}
