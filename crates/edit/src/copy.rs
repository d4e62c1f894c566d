//! Copy: entries of another owner, as of one instant of its state.

use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use inboxclaw_contract::space::Look;
use inboxclaw_contract::{Entry, OwnerId, Version, limits};

use crate::editor::{Editor, Progress, READ_KEYS, STEP_BYTES, Steps, TRIES};
use crate::error::EditError;
use crate::history::Changed;
use crate::upsert::{ImportSummary, Mode, Upsert};

/// What is asked.
#[derive(Clone, Copy)]
struct Copying<'a> {
    from: OwnerId,
    to: OwnerId,
    prefix: &'a str,
    mode: Mode,
    progress: Progress<'a>,
}

/// What is copied while it is little.
#[derive(Default)]
struct Little {
    entries: Vec<Entry>,
    bytes: usize,
    secrets: u64,
    /// There is more than fits into one turn.
    too_much: bool,
}

impl Editor {
    /// Copies entries of another owner as of one instant, without secrets; with [`Mode::Replace`] also the cursor.
    ///
    /// # Errors
    /// [`EditError::Refused`] when a prefix under which nothing is would replace all, [`EditError::Busy`], or the store's.
    pub async fn copy(
        &self,
        from: OwnerId,
        to: OwnerId,
        prefix: &str,
        mode: Mode,
        progress: Progress<'_>,
    ) -> Result<ImportSummary, EditError> {
        limits::check_prefix(prefix).map_err(|error| EditError::Refused(error.to_string()))?;
        if from == to {
            return Err(EditError::Refused("a state cannot be copied onto itself".into()));
        }
        let copying = Copying { from, to, prefix, mode, progress };
        for _ in 0..TRIES {
            let copied = match self.copy_little(copying).await? {
                None => self.copy_much(copying).await?,
                summary => summary,
            };
            if let Some(summary) = copied {
                return Ok(summary);
            }
        }
        Err(EditError::Busy)
    }

    /// Copies what fits into one turn; `None` when it does not.
    async fn copy_little(&self, copying: Copying<'_>) -> Result<Option<ImportSummary>, EditError> {
        let Copying { from, to, prefix, mode, progress } = copying;
        let little = Arc::new(Mutex::new(Little::default()));
        let into = little.clone();
        let steps = self.steps;
        let each =
            Box::new(move |entry| into.lock().unwrap_or_else(PoisonError::into_inner).take(entry, steps));
        let snapshot = self.store.scan(from, prefix, each).await?;
        let little = mem::take(&mut *little.lock().unwrap_or_else(PoisonError::into_inner));
        if little.too_much {
            return Ok(None);
        }
        let mut upsert = Upsert::new(self, to, mode, progress);
        let entries = little.entries.len() as u64 + little.secrets;
        if entries == 0 && mode == Mode::Replace && !prefix.is_empty() {
            let nothing = format!("no key begins with {prefix:?}; what removes everything is a deletion");
            return Err(EditError::Refused(nothing));
        }
        (0..entries).for_each(|_| upsert.read());
        for entry in little.entries {
            upsert.add(entry).await?;
        }
        let cursor = (mode == Mode::Replace).then_some(snapshot.cursor);
        let version = upsert.finish(cursor).await?;
        Ok(version.map(|version| ImportSummary { entries, expired: 0, secrets: little.secrets, version }))
    }

    /// Copies by a space; `None` when it is to be worked out anew.
    async fn copy_much(&self, copying: Copying<'_>) -> Result<Option<ImportSummary>, EditError> {
        let Copying { from, to, prefix, mode, progress } = copying;
        let base = self.store.space(from).await?;
        let mut upsert = Upsert::new(self, to, mode, progress);
        upsert.begin_many().await?;
        let mut look = Look {
            prefix: prefix.to_owned(),
            after: None,
            entries: self.steps.step_entries,
            bytes: STEP_BYTES,
            values: true,
        };
        let (mut entries, mut secrets) = (0, 0);
        loop {
            let page = self.store.look(from, &look).await?;
            for info in page.entries {
                entries += 1;
                upsert.read();
                secrets += u64::from(info.secret);
                if let (false, Some(value)) = (info.secret, info.value) {
                    let entry = Entry {
                        key: info.key,
                        value,
                        revision: info.revision,
                        created_at: info.created_at,
                        updated_at: info.updated_at,
                        expires_at: info.expires_at,
                        secret: false,
                    };
                    upsert.add(entry).await?;
                }
            }
            look.after = page.next;
            if look.after.is_none() {
                break;
            }
        }
        let Some(cursor) = self.follow(from, prefix, base.version, &mut upsert).await? else {
            return Ok(None);
        };
        let version = upsert.finish((mode == Mode::Replace).then_some(cursor)).await?;
        Ok(version.map(|version| ImportSummary { entries, expired: 0, secrets, version }))
    }

    /// Catches up with what changed at the source after `base`, and returns its cursor then; `None` when that is not
    /// known key by key.
    async fn follow(
        &self,
        from: OwnerId,
        prefix: &str,
        mut base: Version,
        upsert: &mut Upsert<'_>,
    ) -> Result<Option<Option<String>>, EditError> {
        for _ in 0..TRIES {
            let now = self.store.snapshot(from).await?;
            if now.version == base {
                return Ok(Some(now.cursor));
            }
            let Some(changed) = Changed::between(self, from, base, now.version).await? else {
                return Ok(None);
            };
            let keys: Vec<String> = changed.keys.into_iter().filter(|key| key.starts_with(prefix)).collect();
            for keys in keys.chunks(READ_KEYS) {
                let present = self.store.entries(from, keys).await?;
                for (key, entry) in keys.iter().zip(present) {
                    upsert.amend(key.clone(), entry.filter(|entry| !entry.secret)).await?;
                }
            }
            base = now.version;
        }
        Err(EditError::Busy)
    }
}

impl Little {
    /// Takes an entry; `false` once there is too much.
    fn take(&mut self, entry: Entry, steps: Steps) -> bool {
        if entry.secret {
            self.secrets += 1;
            return true;
        }
        self.bytes += entry.key.len() + entry.value.len();
        self.entries.push(entry);
        self.too_much = !steps.is_small(self.entries.len(), self.bytes);
        !self.too_much
    }
}
