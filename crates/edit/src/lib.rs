//! What people do with states: edit, undo, rewind, import, export, copy. Over any store that keeps the contract.
//!
//! Small changes are one turn. Larger ones build a space in steps, so that turns of others go on, and put it in place
//! with one small turn. A turn that lost a race is worked out anew from the new state, some times. Every future may be
//! dropped at any await: then nothing of its change is stored, or all of it.
//!
//! - `put`: one key, the cursor. `bulk_delete`: deletion by choice.
//! - `undo`, `rewind`: what is to be put back, from the walks in `history`; `restore` puts it back.
//! - `import`, `copy`: where entries come from; `upsert`: how they come to an owner. `export` writes them.
//! - `lines`, `reader`: the format. `bulk`: spaces built in steps. `turns`: the bounds, and who signs a turn.

mod bulk;
mod bulk_delete;
mod copy;
mod error;
mod export;
mod history;
mod import;
mod lines;
mod put;
mod reader;
mod restore;
mod rewind;
mod turns;
mod undo;
mod upsert;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use inboxclaw_contract::turn::Age;
use inboxclaw_contract::{Editable, Expiry, Json, OwnerId, Random, Version};
use jiff::Timestamp;

pub use error::EditError;
pub use turns::Steps;

/// Edits states in somebody's name. Cheap to clone.
#[derive(Clone)]
pub struct Editor {
    /// Where the states are.
    pub store: Arc<dyn Editable>,
    /// Names turns.
    pub random: Arc<dyn Random>,
    /// Who edits, for history.
    pub author: String,
    /// How much is done at once.
    pub steps: Steps,
}

/// What must be so for a change of a key to happen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Condition {
    /// Nothing: whatever is there is replaced.
    #[default]
    Any,
    /// The key is absent.
    Absent,
    /// The key is there, at any revision.
    Present,
    /// The key has this revision.
    Revision(Version),
}

/// A value that was put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Put {
    /// The entry's revision now.
    pub revision: Version,
    /// The key was absent before.
    pub created: bool,
}

/// Which entries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choice {
    /// Under this literal prefix.
    pub prefix: String,
    /// Only those that are older than this.
    pub older_than: Option<(Duration, Age)>,
}

/// What a deletion by choice removed, or would remove.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deleted {
    /// Entries.
    pub entries: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
    /// The owner's version afterwards.
    pub version: Version,
}

/// Which change to take back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// The newest by a person that is still in effect and takes nothing back itself.
    Person,
    /// The newest of any kind that is still in effect and takes nothing back itself.
    Any,
    /// The one that made this version.
    Version(Version),
}

/// What an undo took back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undone {
    /// The change that was taken back, by the version that it had made.
    pub undid: Version,
    /// When that change was made.
    pub at: Timestamp,
    /// Who had made it, when a person had.
    pub author: Option<String>,
    /// The owner's version afterwards.
    pub version: Version,
    /// How many entries are as before again. All of them when a whole space came back.
    pub entries: u64,
    /// Whether the cursor is as before again.
    pub cursor: bool,
    /// Keys that are not as before: those that are or were a secret are left alone, and what has expired since does not
    /// come back.
    pub left: Vec<String>,
}

/// Where a rewind leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum To {
    /// The state as this version was.
    Version(Version),
    /// The state as it was at that time.
    Time(Timestamp),
}

/// What a rewind did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewound {
    /// The version whose state is back.
    pub to: Version,
    /// The owner's version afterwards.
    pub version: Version,
    /// How many turns were taken back.
    pub turns: u64,
    /// How many entries differ from before; all of them when a whole space came back.
    pub entries: u64,
    /// Whether the cursor differs from before.
    pub cursor: bool,
    /// Keys that are not as before: those that are or were a secret are left alone, and what has expired since does not
    /// come back.
    pub left: Vec<String>,
}

/// How entries come to those that are there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// Over those of the same key, secrets too; others and the cursor stay.
    #[default]
    Merge,
    /// In place of all, with the cursor where it is told. Secrets stay, unless a secret comes under the same key.
    Replace,
}

/// What an import or a copy brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Brought {
    /// Entries read, with those left out.
    pub entries: u64,
    /// Entries left out because they have expired.
    pub expired: u64,
    /// Entries left out because they are secrets whose value was not given.
    pub secrets: u64,
    /// The owner's version afterwards.
    pub version: Version,
}

/// Told how far a long change has come: entries done, and of how many if that is known.
pub type Progress<'a> = &'a (dyn Fn(u64, Option<u64>) + Send + Sync);

/// What an import reads: JSON Lines in pieces of any size.
pub type Lines = BoxStream<'static, std::io::Result<Bytes>>;

/// Where the pieces of an export go; it may block. `false` ends the export.
pub type Write = Box<dyn FnMut(&[u8]) -> bool + Send>;

impl Editor {
    /// Puts a value, whatever happens meanwhile: it is repeated until it wins or the condition fails. `secret`: `None`
    /// leaves it a secret or none, as it was.
    ///
    /// # Errors
    /// [`EditError::Condition`], [`EditError::Refused`] for an expiry that has passed already, a limit, or the store's.
    pub async fn put(
        &self,
        owner: OwnerId,
        key: &str,
        value: Json,
        expiry: Expiry,
        secret: Option<bool>,
        condition: Condition,
    ) -> Result<Put, EditError> {
        self.put_key(owner, key, (value, expiry, secret), condition).await
    }

    /// Deletes a key, and says whether it was there.
    ///
    /// # Errors
    /// [`EditError::Condition`], or the store's.
    pub async fn delete(&self, owner: OwnerId, key: &str, condition: Condition) -> Result<bool, EditError> {
        self.delete_key(owner, key, condition).await
    }

    /// Sets or clears the cursor; returns the version.
    ///
    /// # Errors
    /// A limit, or the store's.
    pub async fn set_cursor(&self, owner: OwnerId, cursor: Option<String>) -> Result<Version, EditError> {
        self.put_cursor(owner, cursor).await
    }

    /// Deletes the entries of a choice, any number of them; with `dry_run` only counts them.
    ///
    /// # Errors
    /// [`EditError::Busy`], or the store's.
    pub async fn delete_chosen(
        &self,
        owner: OwnerId,
        choice: &Choice,
        dry_run: bool,
        progress: Progress<'_>,
    ) -> Result<Deleted, EditError> {
        self.delete_choice(owner, choice, dry_run, progress).await
    }

    /// Takes back a change, key by key. Refused when a key was changed since, unless `force`. Of a change that replaced
    /// the whole space, the replaced one comes back: then any change since counts.
    ///
    /// # Errors
    /// [`EditError::Nothing`], [`EditError::Changed`], [`EditError::Kept`], [`EditError::Forgotten`], [`EditError::Marker`],
    /// [`EditError::Busy`], or the store's.
    pub async fn undo(
        &self,
        owner: OwnerId,
        which: Which,
        force: bool,
        progress: Progress<'_>,
    ) -> Result<Undone, EditError> {
        self.undo_change(owner, which, force, progress).await
    }

    /// Restores the state as it was, as a new turn. What turns do while that takes place is taken back too.
    ///
    /// # Errors
    /// [`EditError::Forgotten`], [`EditError::Marker`], [`EditError::Busy`], or the store's.
    pub async fn rewind(&self, owner: OwnerId, to: To, progress: Progress<'_>) -> Result<Rewound, EditError> {
        self.rewind_to(owner, to, progress).await
    }

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
    ) -> Result<Brought, EditError> {
        self.copy_entries((from, to), prefix, mode, progress).await
    }

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
    ) -> Result<Brought, EditError> {
        self.import_lines(owner, lines, mode, progress).await
    }

    /// Writes the state as JSON Lines, as of one instant: a head with the cursor, then a line for each entry with its
    /// value byte for byte, or as the string `text` when it holds line breaks. Values of secrets only with `secrets`.
    /// `name` and `connector` are told in the head. `write` takes pieces of some size. Returns the number of entries.
    ///
    /// # Errors
    /// [`EditError::Busy`] when the state kept changing as the export began, or the store's.
    pub async fn export(
        &self,
        owner: OwnerId,
        name: &str,
        connector: &str,
        secrets: bool,
        write: Write,
    ) -> Result<u64, EditError> {
        self.export_state(owner, (name, connector), secrets, write).await
    }
}
