//! Every limit of the contract, and the checks that name them. What lives elsewhere: limits of HTTP (`server`), of pull sinks (`runtime`) and of a single connector.

use crate::owner::OwnerKind;

/// Longest key of an entry, in bytes of UTF-8.
pub const KEY_BYTES: usize = 2_048;
/// Longest cursor, in bytes. A cursor is one token; richer state belongs in entries.
pub const CURSOR_BYTES: usize = 1 << 20;
/// Longest JSON text of a value, of event data or of event meta, in bytes.
pub const JSON_BYTES: usize = 16 << 20;
/// Deepest nesting of a JSON text, in levels.
pub const JSON_DEPTH: usize = 128;
/// Most changes (events and entry changes together) in one turn.
pub const TURN_CHANGES: usize = 100_000;
/// Largest turn: keys, values, events and the cursor together, in bytes.
pub const TURN_BYTES: usize = 256 << 20;
/// Longest name of a source or sink, in characters.
pub const NAME_CHARS: usize = 64;
/// Longest event id, event type or entity id, in bytes.
pub const EVENT_TEXT_BYTES: usize = 2_048;

/// Names that a sink cannot have, because the server answers there itself.
pub const RESERVED_SINKS: [&str; 10] =
    ["-", ".well-known", "api", "docs", "healthcheck", "hooks", "mcp", "metrics", "openapi.json", "redoc"];
/// Those of them that sinks could have until they were reserved.
pub const NEWLY_RESERVED_SINKS: [&str; 3] = [".well-known", "hooks", "mcp"];
/// The source that reports on the program itself; no configured source can have its name.
pub const INTERNAL_SOURCE: &str = "inboxclaw";

/// Something larger or of another form than the contract allows. Nothing was stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// A key, cursor, event text or JSON text is too long.
    #[error("{what} has {found} bytes, the limit is {limit}")]
    TooLong {
        /// What was given.
        what: &'static str,
        /// Its size in bytes.
        found: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// A text that must not be empty is.
    #[error("{what} is empty")]
    Empty {
        /// What was given.
        what: &'static str,
    },
    /// A key, name or event text holds a control character.
    #[error("{what} holds the control character U+{code:04X} at byte {at}")]
    Control {
        /// What was given.
        what: &'static str,
        /// The character.
        code: u32,
        /// Its offset in bytes.
        at: usize,
    },
    /// A new key is `.` or `..`.
    #[error(
        "the key {key:?} cannot be used: clients take it for a folder in an address; put something beside the dots"
    )]
    Dots {
        /// The key.
        key: String,
    },
    /// A turn holds too many changes.
    #[error("the turn would hold {found} changes, the limit is {limit}; split the work into several turns")]
    TooMany {
        /// How many there would be.
        found: usize,
        /// The limit.
        limit: usize,
    },
    /// A source or sink has a name that cannot be used.
    #[error("the name {name:?} cannot be used: {reason}")]
    Name {
        /// The name given.
        name: String,
        /// Why not, and what would do.
        reason: &'static str,
    },
}

/// Checks the key of an entry: 1 to [`KEY_BYTES`] bytes, no control characters.
///
/// # Errors
/// [`LimitError`] naming what is wrong.
pub fn check_key(key: &str) -> Result<(), LimitError> {
    check_text("the key", key, KEY_BYTES)
}

/// Checks the key of an entry that is put: also not `.` or `..`, which no client that tidies up addresses can name.
/// Entries of that key from before can be read and deleted.
///
/// # Errors
/// [`LimitError`] naming what is wrong.
pub fn check_new_key(key: &str) -> Result<(), LimitError> {
    if matches!(key, "." | "..") {
        return Err(LimitError::Dots { key: key.to_owned() });
    }
    check_key(key)
}

/// Checks a prefix of keys: as a key, but it may be empty.
///
/// # Errors
/// [`LimitError`] naming what is wrong.
pub fn check_prefix(prefix: &str) -> Result<(), LimitError> {
    if prefix.is_empty() { Ok(()) } else { check_text("the prefix", prefix, KEY_BYTES) }
}

/// Checks a short text of the contract: not empty, at most `limit` bytes, no control characters.
///
/// # Errors
/// [`LimitError`] naming `what` and what is wrong with it.
pub fn check_text(what: &'static str, text: &str, limit: usize) -> Result<(), LimitError> {
    if text.is_empty() {
        return Err(LimitError::Empty { what });
    }
    check_size(what, text.len(), limit)?;
    match text.char_indices().find(|(_, c)| c.is_control()) {
        Some((at, c)) => Err(LimitError::Control { what, code: u32::from(c), at }),
        None => Ok(()),
    }
}

/// Checks a size in bytes against its limit.
///
/// # Errors
/// [`LimitError::TooLong`].
pub fn check_size(what: &'static str, found: usize, limit: usize) -> Result<(), LimitError> {
    if found > limit { Err(LimitError::TooLong { what, found, limit }) } else { Ok(()) }
}

/// Checks the configured name of a source or sink.
///
/// # Errors
/// [`LimitError::Name`] with the reason.
pub fn check_name(kind: OwnerKind, name: &str) -> Result<(), LimitError> {
    let reason = if name.is_empty() {
        "it is empty"
    } else if name.chars().count() > NAME_CHARS {
        "it is longer than 64 characters"
    } else if name.contains(['/', '\\']) || name.chars().any(char::is_control) {
        "it holds a slash, a backslash or a control character"
    } else if name == "." || name == ".." {
        "it would be a relative path"
    } else if kind == OwnerKind::Sink && RESERVED_SINKS.contains(&name) {
        "the server answers under that path itself"
    } else if kind == OwnerKind::Source && name == INTERNAL_SOURCE {
        "it is reserved for the program's own events"
    } else {
        return Ok(());
    };
    Err(LimitError::Name { name: name.to_owned(), reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_bounded_and_plain() {
        assert_eq!(check_key(""), Err(LimitError::Empty { what: "the key" }));
        assert!(check_key(&"k".repeat(KEY_BYTES)).is_ok());
        assert_eq!(
            check_key(&"k".repeat(KEY_BYTES + 1)).unwrap_err().to_string(),
            "the key has 2049 bytes, the limit is 2048"
        );
        assert_eq!(
            check_key("a\u{7}b").unwrap_err().to_string(),
            "the key holds the control character U+0007 at byte 1"
        );
        assert!(check_key("50%_\\ \u{1F600}").is_ok());
        for dots in [".", ".."] {
            assert!(check_key(dots).is_ok() && check_new_key(dots).is_err(), "{dots}");
        }
        assert!(check_new_key("...").is_ok() && check_new_key("./a").is_ok() && check_new_key("").is_err());
    }

    #[test]
    fn names_leave_the_fixed_routes_alone() {
        for bad in ["", ".", "..", "a/b", "a\\b", "a\nb", &"n".repeat(65)] {
            assert!(check_name(OwnerKind::Source, bad).is_err(), "{bad:?}");
            assert!(check_name(OwnerKind::Sink, bad).is_err(), "{bad:?}");
        }
        for name in RESERVED_SINKS {
            assert!(check_name(OwnerKind::Sink, name).is_err(), "{name}");
        }
        assert!(NEWLY_RESERVED_SINKS.iter().all(|name| RESERVED_SINKS.contains(name)));
        assert!(check_name(OwnerKind::Source, "api").is_ok());
        assert!(check_name(OwnerKind::Source, INTERNAL_SOURCE).is_err());
        assert!(check_name(OwnerKind::Sink, "{z}").is_ok());
    }
}
