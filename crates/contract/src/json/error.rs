//! Why a text is no JSON.

/// Why a text is not a [`Json`](crate::Json). Offsets are bytes from the start of the text that was given.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// The text breaks the grammar of JSON (RFC 8259).
    #[error("{problem} at byte {at}")]
    Syntax {
        /// What was found or missing.
        problem: &'static str,
        /// Where.
        at: usize,
    },
    /// An object holds the same key twice; keys are compared after decoding their escapes.
    #[error("duplicate key {key:?} at byte {at}")]
    DuplicateKey {
        /// The key, decoded and cut to a length that fits a log line.
        key: String,
        /// Where its second appearance starts.
        at: usize,
    },
    /// A `\u` escape of half a surrogate pair, which is no character.
    #[error("lone surrogate at byte {at}")]
    LoneSurrogate {
        /// Where the escape starts.
        at: usize,
    },
    /// More arrays and objects are open at once than [`JSON_DEPTH`](crate::limits::JSON_DEPTH).
    #[error("nested deeper than {limit} levels at byte {at}")]
    TooDeep {
        /// The limit.
        limit: usize,
        /// Where the first bracket too many is.
        at: usize,
    },
    /// The text is longer than [`JSON_BYTES`](crate::limits::JSON_BYTES).
    #[error("{bytes} bytes, the limit is {limit}")]
    TooLarge {
        /// The length given.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// A Rust value has no form in JSON, for instance a map whose keys are lists.
    #[error("cannot be written as JSON")]
    Unwritable(#[source] serde_json::Error),
}

impl JsonError {
    /// The same error in a text that starts `lead` bytes earlier.
    pub(super) fn moved_by(mut self, lead: usize) -> Self {
        match &mut self {
            Self::Syntax { at, .. }
            | Self::DuplicateKey { at, .. }
            | Self::LoneSurrogate { at }
            | Self::TooDeep { at, .. } => *at += lead,
            Self::TooLarge { .. } | Self::Unwritable(_) => {}
        }
        self
    }
}
