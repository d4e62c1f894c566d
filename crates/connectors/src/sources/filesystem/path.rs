//! Paths below the root as bytes, since a file name need not be UTF-8, and the keys and texts made of them.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use inboxclaw_contract::limits::{EVENT_TEXT_BYTES, KEY_BYTES};
use sha2::{Digest, Sha256};

use crate::hex::hex;

/// Longest path within an event id, in bytes; the rest is for what follows it there.
const ID_PATH_BYTES: usize = EVENT_TEXT_BYTES - 200;

/// A path relative to the root, `/` between its parts; empty for the root itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct RelPath(Box<[u8]>);

/// Which entry of a file. Each has two prefixes, one for paths that fit into a key and one for their digests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyFamily {
    /// What is known of the file.
    File,
    /// Its text, for the next difference.
    Text,
    /// The last version of a file that is gone.
    Gone,
}

impl KeyFamily {
    /// All of them.
    pub(super) const ALL: [Self; 3] = [Self::File, Self::Text, Self::Gone];

    /// The prefix before escaped paths and the prefix before digests.
    pub(super) const fn prefixes(self) -> [&'static str; 2] {
        match self {
            Self::File => ["f:", "h:"],
            Self::Text => ["t:", "u:"],
            Self::Gone => ["g:", "k:"],
        }
    }
}

impl RelPath {
    /// The root.
    pub(super) fn root() -> Self {
        Self(Box::default())
    }

    /// The part of `path` below `root`; `None` when it is not there.
    pub(super) fn below(root: &Path, path: &Path) -> Option<Self> {
        let rest = path.strip_prefix(root).ok()?;
        Some(Self(rest.as_os_str().as_bytes().into()))
    }

    /// The path of `name` in this folder.
    pub(super) fn join(&self, name: &OsStr) -> Self {
        let mut path = self.0.to_vec();
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(name.as_bytes());
        Self(path.into())
    }

    /// The folder around and the name in it; `None` for the root.
    pub(super) fn split(&self) -> Option<(Self, &OsStr)> {
        if self.is_root() {
            return None;
        }
        let (folder, name) = match self.0.iter().rposition(|byte| *byte == b'/') {
            Some(at) => (&self.0[..at], &self.0[at + 1..]),
            None => (&[][..], &*self.0),
        };
        Some((Self(folder.into()), OsStr::from_bytes(name)))
    }

    /// The folder around; that of the root is the root.
    pub(super) fn parent(&self) -> Self {
        self.split().map_or_else(Self::root, |(folder, _)| folder)
    }

    /// The names on the way, none for the root.
    pub(super) fn parts(&self) -> impl Iterator<Item = &OsStr> {
        self.0.split(|byte| *byte == b'/').filter(|_| !self.is_root()).map(OsStr::from_bytes)
    }

    /// As a relative path of the system.
    pub(super) fn as_os_str(&self) -> &OsStr {
        OsStr::from_bytes(&self.0)
    }

    /// The whole path.
    pub(super) fn under(&self, root: &Path) -> PathBuf {
        if self.is_root() { root.to_owned() } else { root.join(OsStr::from_bytes(&self.0)) }
    }

    /// Whether it is the root.
    pub(super) fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it is `folder` or lies below it.
    pub(super) fn is_within(&self, folder: &Self) -> bool {
        folder.is_root()
            || self.0.strip_prefix(&*folder.0).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
    }

    /// Whether it is the file `own`, or one beside it that is named after it: `own-wal`, `own.lock`.
    pub(super) fn belongs_to(&self, own: &Self) -> bool {
        self.0.strip_prefix(&*own.0).is_some_and(|rest| match rest {
            [] => true,
            [b'-' | b'.', ..] => !rest.contains(&b'/'),
            _ => false,
        })
    }

    /// For people: what is not UTF-8 becomes U+FFFD.
    pub(super) fn shown(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }

    /// The path without loss, when [`shown`](Self::shown) loses something.
    pub(super) fn lossless(&self) -> Option<Cow<'_, str>> {
        if std::str::from_utf8(&self.0).is_ok() { None } else { Some(self.escaped()) }
    }

    /// The path with control characters, `%` and what is not UTF-8 as `%XX`.
    pub(super) fn escaped(&self) -> Cow<'_, str> {
        match std::str::from_utf8(&self.0) {
            Ok(text) if !text.contains(needs_escape) => Cow::Borrowed(text),
            _ => Cow::Owned(escape(&self.0)),
        }
    }

    /// Reads back what [`escaped`](Self::escaped) wrote.
    pub(super) fn from_escaped(text: &str) -> Option<Self> {
        let mut parts = text.split('%');
        let mut path = parts.next()?.as_bytes().to_vec();
        for part in parts {
            path.push(u8::from_str_radix(part.get(..2)?, 16).ok()?);
            path.extend_from_slice(&part.as_bytes()[2..]);
        }
        Some(Self(path.into()))
    }

    /// The key of an entry, and whether the path can be read back from it.
    pub(super) fn key(&self, family: KeyFamily) -> (String, bool) {
        let [plain, hashed] = family.prefixes();
        let path = self.escaped();
        if plain.len() + path.len() <= KEY_BYTES {
            (format!("{plain}{path}"), true)
        } else {
            (format!("{hashed}{}", self.digest()), false)
        }
    }

    /// What events are about: the path, unless it loses something or is too long.
    pub(super) fn entity(&self) -> Cow<'_, str> {
        let path = self.lossless().unwrap_or_else(|| self.shown());
        if path.len() <= EVENT_TEXT_BYTES { path } else { Cow::Owned(format!("sha256:{}", self.digest())) }
    }

    /// The path as it stands in event ids.
    pub(super) fn in_id(&self) -> Cow<'_, str> {
        let path = self.escaped();
        if path.len() <= ID_PATH_BYTES { path } else { Cow::Owned(format!("sha256:{}", self.digest())) }
    }

    fn digest(&self) -> String {
        hex(&Sha256::digest(&self.0))
    }
}

fn needs_escape(c: char) -> bool {
    c == '%' || c.is_control()
}

fn escape(path: &[u8]) -> String {
    let mut text = String::with_capacity(path.len() + 8);
    let push = |text: &mut String, bytes: &[u8]| {
        for byte in bytes {
            let _ = write!(text, "%{byte:02X}");
        }
    };
    for chunk in path.utf8_chunks() {
        for c in chunk.valid().chars() {
            if needs_escape(c) {
                push(&mut text, c.encode_utf8(&mut [0; 4]).as_bytes());
            } else {
                text.push(c);
            }
        }
        push(&mut text, chunk.invalid());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rel(bytes: &[u8]) -> RelPath {
        RelPath(bytes.into())
    }

    #[test]
    fn keys_hold_any_path_without_loss() {
        for (path, key) in [
            (b"a/b.md".as_slice(), "f:a/b.md"),
            ("\u{17D}lut\u{FD} k\u{16F}\u{148}".as_bytes(), "f:\u{17D}lut\u{FD} k\u{16F}\u{148}"),
            (b"100%\n", "f:100%25%0A"),
            (b"bad\xFF\xC3.txt", "f:bad%FF%C3.txt"),
            ("\u{85}".as_bytes(), "f:%C2%85"),
        ] {
            let path = rel(path);
            assert_eq!(path.key(KeyFamily::File), (key.to_owned(), true));
            assert_eq!(RelPath::from_escaped(&key[2..]), Some(path));
        }
        assert_eq!(RelPath::from_escaped("%G0"), None);
        assert_eq!(RelPath::from_escaped("%2"), None);
    }

    #[test]
    fn long_paths_are_named_by_their_digest() {
        let fits = rel(&[b'a'; KEY_BYTES - 2]);
        assert_eq!(fits.key(KeyFamily::Text).0.len(), KEY_BYTES);
        let long = rel(&[b'a'; KEY_BYTES - 1]);
        let (key, readable) = long.key(KeyFamily::Text);
        assert!(key.starts_with("u:") && key.len() == 66 && !readable, "{key}");
        assert!(rel(&[b'a'; EVENT_TEXT_BYTES]).entity().starts_with('a'));
        assert!(rel(&[b'a'; EVENT_TEXT_BYTES + 1]).entity().starts_with("sha256:"));
        assert!(rel(&[0xFF; ID_PATH_BYTES]).in_id().starts_with("sha256:"));
    }

    #[test]
    fn what_is_named_after_a_file_belongs_to_it() {
        let own = rel(b"a/data.db");
        for (path, belongs) in [
            ("a/data.db", true),
            ("a/data.db-wal", true),
            ("a/data.db.run.partial", true),
            ("a/data.dbx", false),
            ("a/data.d", false),
            ("a/data.db.d/x", false),
            ("data.db", false),
        ] {
            assert_eq!(rel(path.as_bytes()).belongs_to(&own), belongs, "{path}");
        }
    }

    #[test]
    fn within_looks_at_whole_parts() {
        let folder = rel(b"a/b");
        for (path, within) in [("a/b", true), ("a/b/c", true), ("a/bc", false), ("a", false), ("", false)] {
            assert_eq!(rel(path.as_bytes()).is_within(&folder), within, "{path}");
            assert!(rel(path.as_bytes()).is_within(&RelPath::root()));
        }
    }
}
