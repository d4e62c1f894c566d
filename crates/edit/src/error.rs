//! Why an edit was not made. Whatever the reason, nothing of it is stored.

use inboxclaw_contract::{StoreError, Version};
use jiff::Timestamp;

/// Why an edit was not made.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// The condition does not hold.
    #[error("the key {key:?} has {}", revision(.found))]
    Condition {
        /// The key.
        key: String,
        /// Its revision; `None` when it is absent.
        found: Option<Version>,
    },
    /// There is no change to take back.
    #[error("there is no change to take back")]
    Nothing,
    /// What the change to be taken back did was changed since.
    #[error("changed since version {version}: {}", changed(.keys, *.more, *.cursor))]
    Changed {
        /// The change that was to be taken back.
        version: i64,
        /// Keys that have another value than after that change; the first hundred. None, and no cursor either, when
        /// another whole space is in place.
        keys: Vec<String>,
        /// How many keys there are in all.
        more: usize,
        /// Whether the cursor is another.
        cursor: bool,
    },
    /// The change did nothing that can be taken back. An older one goes by its version.
    #[error(
        "version {version} did nothing that can be taken back, what it changed is a secret or has expired: {}; an \
         older change goes by its version",
        changed(.keys, .keys.len(), false)
    )]
    Kept {
        /// The version that it made.
        version: i64,
        /// The keys.
        keys: Vec<String>,
    },
    /// History does not go back so far, or does not know that version.
    #[error("{0}")]
    Forgotten(String),
    /// A turn on the way replaced more than history keeps of one turn.
    #[error(
        "version {version} of {at} replaced more than history keeps of one turn, it cannot be taken back"
    )]
    Marker {
        /// The version that it made.
        version: i64,
        /// When.
        at: Timestamp,
    },
    /// A line of an import is not what it must be.
    #[error("line {line}: {reason}")]
    Line {
        /// Its number, from 1.
        line: u64,
        /// What is wrong.
        reason: String,
    },
    /// The input of an import broke off.
    #[error("cannot read the import: {0}")]
    Input(String),
    /// A replacement by an import that holds not one line but blank ones: what an export that failed leaves in a pipe.
    #[error("there is nothing to import; what removes everything is a deletion")]
    Empty,
    /// The state changed again and again meanwhile.
    #[error("the state changed meanwhile, again and again: pause the owner first")]
    Busy,
    /// A limit, or something else that the store will never take.
    #[error("{0}")]
    Refused(String),
    /// The store.
    #[error(transparent)]
    Store(StoreError),
}

impl From<StoreError> for EditError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Refused(reason) | StoreError::OverLimit(reason) => Self::Refused(reason),
            other => Self::Store(other),
        }
    }
}

fn revision(found: &Option<Version>) -> String {
    found.map_or_else(|| "no value".to_owned(), |found| format!("revision {}", found.0))
}

fn changed(keys: &[String], more: usize, cursor: bool) -> String {
    if keys.is_empty() && !cursor {
        return "all of it".to_owned();
    }
    let named = keys.iter().map(|key| format!("{key:?}"));
    let all = named.chain((more > keys.len()).then(|| format!("{} keys more", more - keys.len())));
    all.chain(cursor.then(|| "the cursor".to_owned())).collect::<Vec<_>>().join(", ")
}
