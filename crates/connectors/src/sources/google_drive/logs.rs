//! Incremental sync of one change log: a page each turn, and the passes that take its place where the log cannot be
//! followed.

use inboxclaw_contract::{Class, Draft, Expiry, Failure};

use super::api::{Change, ChangePage, Log};
use super::apply_page::{FileState, Item, LogContext, Origin};
use super::state::{self, Changes, Pass, Step, Stop};
use crate::google::{Refusal, check_next, is_id, stored};

impl LogContext<'_> {
    /// Takes the log one turn further.
    ///
    /// # Errors
    /// When the service refuses, or the state.
    pub(super) async fn follow(&self, draft: &mut Draft<'_>) -> Result<Step, Stop> {
        let cursor = state::cursor(draft, self.log).await?;
        let pass: Option<Pass> = stored(draft, &state::pass_key(self.log)).await?;
        let is_drive = *self.log != Log::User;
        match (cursor, pass) {
            (_, Some(Pass::Vanish(pass))) if is_drive => self.remove_files(draft, pass).await,
            (None, Some(Pass::Appear(pass))) if is_drive => {
                self.list_new_drive(draft, Some(pass), None).await
            }
            (None, _) if is_drive => self.list_new_drive(draft, None, None).await,
            (cursor, Some(Pass::Reconcile(pass))) if pass.from == cursor => self.compare(draft, pass).await,
            (None, _) => self.begin_comparison(draft, None, "there was no cursor").await,
            (Some(from), Some(Pass::Changes(pass))) if pass.from == from => {
                self.page(draft, pass, true).await
            }
            (Some(from), pass) => {
                if matches!(pass, Some(Pass::Reconcile(_))) {
                    state::listing(self.log).clear(draft)?;
                }
                self.page(draft, Changes { from, ..Changes::default() }, pass.is_some()).await
            }
        }
    }

    /// Takes a page of the log; `is_stored` says whether the pass has an entry.
    async fn page(&self, draft: &mut Draft<'_>, pass: Changes, is_stored: bool) -> Result<Step, Stop> {
        let token = pass.page.as_ref().unwrap_or(&pass.from);
        let page = match self.api.changes(self.log, token).await {
            Ok(page) => page,
            Err(refusal) if refusal.is_lost() => return self.refused(draft, pass, refusal).await,
            Err(refusal) => return Err(refusal.into()),
        };
        let ChangePage { next_page_token, new_start_page_token, changes } = page;
        check_next(pass.page.as_deref(), next_page_token.as_deref())?;
        if next_page_token.is_none() && new_start_page_token.is_none() {
            let endless =
                format!("a page of the log {} names neither a next page nor an end", self.log.name());
            return Err(Refusal::from(Failure::text(Class::Upstream, endless)).into());
        }
        let restrict = self.config.restrict;
        let items: Vec<Item> = changes.into_iter().filter_map(|change| item(change, restrict)).collect();
        // The page token moves only when the whole page is handled. Until then the same page is read again, and
        // snapshots show what of it is done, so nothing is lost and nothing is reported twice.
        let mut applied = self.apply_page(draft, &items, Origin::Log).await?;
        let is_fresh = applied.is_fresh;
        if !applied.is_all(&items, is_fresh)? {
            return Ok(Step::More);
        }
        if let Some(next) = next_page_token {
            let pass = Pass::Changes(Changes { page: Some(next), ..pass });
            draft.put(&state::pass_key(self.log), &pass, Expiry::Never)?;
            return Ok(Step::More);
        }
        if let Some(start) = new_start_page_token.filter(|start| *start != pass.from) {
            state::set_cursor(draft, self.log, &start, draft.now())?;
        }
        if is_stored {
            draft.delete(&state::pass_key(self.log))?;
        }
        Ok(Step::Done)
    }

    /// A page is refused: once, the pass begins anew; if that does not help, the log is lost.
    async fn refused(&self, draft: &mut Draft<'_>, pass: Changes, refusal: Refusal) -> Result<Step, Stop> {
        if pass.page.is_some() && !pass.again {
            let pass = Pass::Changes(Changes { page: None, again: true, ..pass });
            draft.put(&state::pass_key(self.log), &pass, Expiry::Never)?;
            return Ok(Step::More);
        }
        self.begin_comparison(draft, Some(pass.from), &refusal.failure.to_string()).await
    }
}

/// What a log says of a file; `None` for what it says of a drive. A file that left a log and is still within reach is
/// there, unless only My Drive counts.
fn item(change: Change, restrict: bool) -> Option<Item> {
    let id = change.file_id.filter(|id| is_id(id))?;
    let seen = match change.file {
        Some(_) if change.removed && restrict => FileState::Gone,
        Some(file) => FileState::Present(Box::new(file)),
        None if change.removed => FileState::Gone,
        None => FileState::Unknown,
    };
    Some(Item { id, time: change.time, seen })
}
