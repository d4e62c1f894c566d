//! Spaces: the entries of an owner as people see them, and changes too big for one turn.
//!
//! Entries belong to a space, and an owner names the space that it has. A change of a million entries builds a new
//! space in steps while turns go on, and one small turn ([`Swap`](crate::turn::Swap)) puts it in place. The space that
//! was replaced stays as long as history names it, so that undo and rewind can put it back. Connectors know nothing
//! of this: they only see a [`Draft`](crate::Draft).

use std::any::Any;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::json::Json;
use crate::owner::{Owner, OwnerId, SpaceId};
use crate::state::{Entry, Snapshot, Version};
use crate::store::{Store, StoreError};

/// What people need of a store: to look into states, to edit them, to move them, and to act on what sinks owe.
pub trait Editable: Store + Spaces {}

impl<T: Store + Spaces> Editable for T {}

/// The space that an owner has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpaceInfo {
    /// Its number.
    pub id: SpaceId,
    /// The owner's version.
    pub version: Version,
    /// How many entries it holds, with those that have expired and are not swept yet.
    pub entries: u64,
    /// The bytes of their keys and values.
    pub bytes: u64,
}

/// A space that is being built. Once this value and its clones are gone and no turn has put the space in place,
/// sweeps remove it.
#[derive(Clone)]
pub struct NewSpace {
    /// Its number.
    pub id: SpaceId,
    /// Who is to get it.
    pub owner: OwnerId,
    /// What the store watches to know that somebody still builds.
    pub alive: Arc<dyn Any + Send + Sync>,
}

/// A listing for people.
#[derive(Debug, Clone)]
pub struct Look {
    /// A literal, case-sensitive prefix.
    pub prefix: String,
    /// Only keys after this one.
    pub after: Option<String>,
    /// Most entries.
    pub entries: usize,
    /// Most bytes of values; one entry is given even when it is larger.
    pub bytes: usize,
    /// Whether to read the values at all.
    pub values: bool,
}

/// A page of a listing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Looked {
    /// The entries, in the order of their keys' bytes.
    pub entries: Vec<EntryInfo>,
    /// Where the next page starts, as its `after`; `None` when there is no more.
    pub next: Option<String>,
}

/// What is known of an entry without its value, and the value where it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryInfo {
    /// See [`Entry::key`].
    pub key: String,
    /// See [`Entry::revision`].
    pub revision: Version,
    /// See [`Entry::created_at`].
    pub created_at: Timestamp,
    /// See [`Entry::updated_at`].
    pub updated_at: Timestamp,
    /// See [`Entry::expires_at`].
    pub expires_at: Option<Timestamp>,
    /// See [`Entry::secret`].
    pub secret: bool,
    /// Bytes of the value.
    pub size: u64,
    /// The value, where it was asked for.
    pub value: Option<Json>,
}

impl From<Entry> for EntryInfo {
    fn from(entry: Entry) -> Self {
        Self {
            key: entry.key,
            revision: entry.revision,
            created_at: entry.created_at,
            updated_at: entry.updated_at,
            expires_at: entry.expires_at,
            secret: entry.secret,
            size: entry.value.len() as u64,
            value: Some(entry.value),
        }
    }
}

/// What a step of [`Spaces::copy`] did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Copied {
    /// How many entries it looked at.
    pub entries: u64,
    /// Where the next step starts, as its `after`; `None` when all are copied.
    pub next: Option<String>,
}

/// Called with each entry of a scan; `false` ends it.
pub type EachEntry = Box<dyn FnMut(Entry) -> bool + Send>;

/// Spaces, and what people do with the owners that have them.
#[async_trait]
pub trait Spaces: Send + Sync {
    /// The space that `owner` has now.
    async fn space(&self, owner: OwnerId) -> Result<SpaceInfo, StoreError>;

    /// A page of live entries under a prefix, with their sizes.
    async fn look(&self, owner: OwnerId, look: &Look) -> Result<Looked, StoreError>;

    /// Calls `each` for every live entry under a prefix, in key order and as of one instant, which is returned.
    /// `each` may block: it runs where that holds nobody up.
    async fn scan(&self, owner: OwnerId, prefix: &str, each: EachEntry) -> Result<Snapshot, StoreError>;

    /// The live entries of a space under `keys`, in the order asked. A space that is gone has none.
    async fn entries_in(&self, space: SpaceId, keys: &[String]) -> Result<Vec<Option<Entry>>, StoreError>;

    /// The entries of `owner` that expire after that instant, the first to expire first, up to `limit`.
    async fn expiring(
        &self,
        owner: OwnerId,
        after: Timestamp,
        limit: usize,
    ) -> Result<Vec<(String, Timestamp)>, StoreError>;

    /// The latest expiry of entries of `owner` that are removed already because they had expired; `None` while there was
    /// none. A space that was put in place brings its own.
    async fn swept_until(&self, owner: OwnerId) -> Result<Option<Timestamp>, StoreError>;

    /// Begins a new, empty space for `owner`. While it is built, what history does not tell of the owner's entries
    /// (touches, what goes because of its age) happens to copies of them in it too. Once another built space of
    /// the owner is put in place, a turn that wants this one conflicts.
    async fn build(&self, owner: OwnerId) -> Result<NewSpace, StoreError>;

    /// Puts entries into a space that is being built, over what is there; `None` removes the key. Times, expiry and
    /// secrecy come from the entry, the revision is one that the key has not had: that which the owner's next turn
    /// would give, or a later one; what has expired is left out. Turns wait for one call at a time: some thousand entries, about a megabyte, at most.
    async fn fill(&self, space: &NewSpace, changes: Vec<(String, Option<Entry>)>) -> Result<(), StoreError>;

    /// Copies up to `limit` live entries without secrets, under a prefix and after a key, from a space into one that
    /// is being built, with their revisions and times. A key that is there already stays as it is.
    async fn copy(
        &self,
        from: SpaceId,
        to: &NewSpace,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Copied, StoreError>;

    /// Gives an owner another name (kind included), with all that it has: state, history, run facts, its events and
    /// what it ever reported. An owner of that name that never had any state goes.
    ///
    /// # Errors
    /// [`StoreError::Refused`] when an owner of that name has changed its state or reported events.
    async fn rename(&self, owner: OwnerId, to: &Owner) -> Result<(), StoreError>;

    /// Removes some of everything that an owner has, until the answer is `true`: state, history, run facts,
    /// deliveries. Its events stay, and what it ever reported: should the name come back, it repeats nothing.
    async fn forget(&self, owner: OwnerId) -> Result<bool, StoreError>;
}
