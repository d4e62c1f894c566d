//! Reports the files of a shared drive that vanished as removed. How a drive that appears is listed is in
//! `drive_listing`.

use inboxclaw_contract::{Draft, Expiry};

use super::apply_page::{self, LogContext};
use super::snapshot::Snapshot;
use super::state::{self, DriveRemoval, FILES, Pass, Step, Stop};
use crate::google::timestamp;

/// Snapshots looked at in a turn.
const SNAPSHOTS: usize = 2_000;

impl LogContext<'_> {
    /// Begins to remove the shared drive of this log, which is no longer listed. A list of several pages may
    /// leave one out while others come and go
    /// (<https://developers.google.com/workspace/drive/api/reference/rest/v3/drives/list>), so the drive is asked for.
    /// Answers whether it is gone; one that is still there is to be followed.
    ///
    /// # Errors
    /// When the service refuses in other words than that the drive is gone or out of reach, or the state.
    pub(super) async fn begin_removal(&self, draft: &mut Draft<'_>) -> Result<bool, Stop> {
        match self.api.start_token(self.log).await {
            Ok(_) => return Ok(false),
            Err(refusal) if matches!(refusal.status, Some(403 | 404)) && !refusal.is_transient() => {}
            Err(refusal) => return Err(refusal.into()),
        }
        state::listing(self.log).clear(draft)?;
        let pass = Pass::Vanish(DriveRemoval { at: draft.now(), after: None });
        draft.put(&state::pass_key(self.log), &pass, Expiry::Never)?;
        Ok(true)
    }

    /// Reports the files of the shared drive of this log as gone.
    ///
    /// # Errors
    /// When the state cannot be read or written.
    pub(super) async fn remove_files(&self, draft: &mut Draft<'_>, pass: DriveRemoval) -> Result<Step, Stop> {
        let entries = draft.list(FILES, pass.after.as_deref(), SNAPSHOTS).await?;
        let known = entries.iter().filter_map(|entry| entry.parse::<Snapshot>().ok());
        let time = timestamp::write(pass.at);
        for file in known.filter(|file| file.drive_id.as_deref() == self.log.drive()) {
            if self.config.filters_out(&file.file_id, Some(&file)) {
                apply_page::forget(draft, &file.file_id)?;
            } else {
                apply_page::remove(draft, &file.file_id, Some(&file), Some(&time))?;
            }
        }
        if let Some(last) = entries.last().filter(|_| entries.len() == SNAPSHOTS) {
            let pass = Pass::Vanish(DriveRemoval { after: Some(last.key.clone()), ..pass });
            draft.put(&state::pass_key(self.log), &pass, Expiry::Never)?;
            return Ok(Step::More);
        }
        if let Some(drive) = self.log.drive() {
            state::forget_cursor(draft, drive)?;
        }
        draft.delete(&state::pass_key(self.log))?;
        Ok(Step::Done)
    }
}
