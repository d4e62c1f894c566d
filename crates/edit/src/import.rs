//! Import: what an export wrote comes to an owner, all of it or nothing.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use inboxclaw_contract::OwnerId;

use crate::editor::{Editor, Progress};
use crate::error::EditError;
use crate::lines::{self, Line};
use crate::reader::{Lines, Reader};
use crate::upsert::{ImportSummary, Mode, Upsert};

/// The keys that came so far, in 16 bytes each: a million entries are to fit into little memory.
#[derive(Default)]
struct Seen {
    keys: HashSet<u128>,
    hashers: [RandomState; 2],
}

impl Seen {
    /// Whether the key is new. The hashes are keyed at random, so that nobody can make two keys look alike.
    fn insert(&mut self, key: &str) -> bool {
        let [high, low] = self.hashers.each_ref().map(|hasher| u128::from(hasher.hash_one(key)));
        self.keys.insert(high << 64 | low)
    }
}

impl Editor {
    /// Reads what [`Editor::export`] wrote, of this or another owner: all of it or nothing. Of a line, only `key` and
    /// `value` are needed; the head may be missing, then a replacement leaves the cursor. What a turn changes while the
    /// import is put in place wins over it.
    ///
    /// # Errors
    /// [`EditError::Line`] with the number of the line and what is wrong there, [`EditError::Input`],
    /// [`EditError::Empty`] for a replacement by nothing but blank lines, [`EditError::Busy`], or the store's.
    pub async fn import(
        &self,
        owner: OwnerId,
        lines: Lines,
        mode: Mode,
        progress: Progress<'_>,
    ) -> Result<ImportSummary, EditError> {
        let now = self.store.snapshot(owner).await?.now;
        let mut reader = Reader::new(lines);
        let mut upsert = Upsert::new(self, owner, mode, progress);
        let mut seen = Seen::default();
        let (mut entries, mut expired, mut secrets) = (0, 0, 0);
        let mut cursor = None;
        let mut first = true;
        while let Some(line) = reader.next().await? {
            let line = lines::parse(&line, now).map_err(|reason| reader.wrong(reason))?;
            let key = match &line {
                Line::Head { cursor: found } if first => {
                    cursor.clone_from(found);
                    None
                }
                Line::Head { .. } => return Err(reader.wrong("inboxclaw: a head can only be the first line")),
                Line::Entry(entry) => Some(&entry.key),
                Line::Hidden(key) => Some(key),
            };
            first = false;
            let Some(key) = key else { continue };
            if !seen.insert(key) {
                return Err(reader.wrong(format!("key: {key:?} came on a line before")));
            }
            entries += 1;
            upsert.read();
            match line {
                Line::Entry(entry) if entry.expires_at.is_some_and(|at| at <= now) => expired += 1,
                Line::Entry(entry) => upsert.add(entry).await?,
                _ => secrets += 1,
            }
        }
        if first && mode == Mode::Replace {
            return Err(EditError::Empty);
        }
        let cursor = cursor.filter(|_| mode == Mode::Replace);
        let version = upsert.finish(cursor).await?.ok_or(EditError::Busy)?;
        Ok(ImportSummary { entries, expired, secrets, version })
    }
}
