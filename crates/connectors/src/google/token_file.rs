//! The file with an account's tokens: a JSON object of the "authorized user" kind, as `inboxclaw google auth` and
//! Google's own libraries write it. Reads it, checks it, and rewrites it so that nobody ever sees half of it.
//!
//! Left out: when to renew a token and how (`account`), how the first one is made (`oauth`).

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, fchown};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::endpoint::{self, TokenGrant, is_sendable};
use super::timestamp;

/// Largest file that is read, in bytes.
const FILE_BYTES: u64 = 64 << 10;
/// What an access token lasts where the endpoint does not say it: seconds, as Google's do.
const LIFETIME: u64 = 3600;

/// The form of `expiry` that every reader of the file understands.
const EXPIRY: &str = "%Y-%m-%dT%H:%M:%SZ";

/// A token file's content. Keys that nobody here knows are kept.
#[derive(Clone, PartialEq)]
pub struct TokenFile {
    keys: Map<String, Value>,
}

/// Why a text is no token file. The text goes on after the name of the file, and never shows a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// It cannot be parsed.
    #[error("is no JSON object (line {line}, column {column})")]
    Json {
        /// Counted from 1.
        line: usize,
        /// Counted from 1; 0 at the end of a line.
        column: usize,
    },
    /// The file of the client was taken for it.
    #[error("is the file of an OAuth client (it holds `{0}`), not of a token")]
    Client(&'static str),
    /// The file of a service account was taken for it.
    #[error("is the key of a service account, which has no mailbox or calendar of its own")]
    ServiceAccount,
    /// A key is missing, empty or no text.
    #[error("holds no `{0}`")]
    Missing(&'static str),
}

impl TokenFile {
    /// Reads the bytes of a file.
    ///
    /// # Errors
    /// [`Flaw`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Flaw> {
        let keys: Map<String, Value> = serde_json::from_slice(bytes)
            .map_err(|error| Flaw::Json { line: error.line(), column: error.column() })?;
        if keys.get("type").and_then(Value::as_str) == Some("service_account") {
            return Err(Flaw::ServiceAccount);
        }
        if let Some(kind) = ["installed", "web"].into_iter().find(|kind| keys.contains_key(*kind)) {
            return Err(Flaw::Client(kind));
        }
        let file = Self { keys };
        match ["refresh_token", "client_id", "client_secret"].into_iter().find(|key| file.text(key).is_none())
        {
            Some(key) => Err(Flaw::Missing(key)),
            None => Ok(file),
        }
    }

    /// The access token, if there is one that can be sent.
    pub fn token(&self) -> Option<&str> {
        self.text("token").filter(|token| is_sendable(token))
    }

    /// Until when the access token is good; `None` counts as long ago.
    pub fn expiry(&self) -> Option<Timestamp> {
        // Python writes times without an offset and means UTC.
        timestamp::read(self.text("expiry")?)
    }

    /// The refresh token.
    pub fn refresh_token(&self) -> &str {
        self.text("refresh_token").unwrap_or_default()
    }

    /// Who the tokens were made for.
    pub fn client_id(&self) -> &str {
        self.text("client_id").unwrap_or_default()
    }

    /// The client's secret.
    pub fn client_secret(&self) -> &str {
        self.text("client_secret").unwrap_or_default()
    }

    /// Where tokens are renewed.
    pub fn token_uri(&self) -> &str {
        self.text("token_uri").unwrap_or(endpoint::DEFAULT)
    }

    /// What the tokens are good for: addresses, from a list or from a text with blanks between.
    pub fn scopes(&self) -> Vec<&str> {
        match self.keys.get("scopes") {
            Some(Value::Array(scopes)) => scopes.iter().filter_map(Value::as_str).collect(),
            Some(Value::String(scopes)) => scopes.split_whitespace().collect(),
            _ => Vec::new(),
        }
    }

    /// Takes a renewed token. `asked` is when it was asked for, which is no later than when it was made.
    pub fn renew(&mut self, granted: &TokenGrant, asked: Timestamp) {
        let lifetime = granted.expires_in.unwrap_or(LIFETIME).min(i32::MAX as u64);
        let expiry = asked.checked_add(std::time::Duration::from_secs(lifetime)).unwrap_or(asked);
        self.set("token", &granted.access_token);
        self.set("expiry", &expiry.strftime(EXPIRY).to_string());
        if let Some(token) = granted.refresh_token.as_deref().filter(|token| !token.is_empty()) {
            self.set("refresh_token", token);
        }
    }

    /// The content to be written.
    ///
    /// # Errors
    /// None in practice; those of the JSON writer.
    pub fn to_bytes(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(&self.keys)
    }

    /// A value that is a text and not empty.
    fn text(&self, key: &str) -> Option<&str> {
        self.keys.get(key).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty())
    }

    fn set(&mut self, key: &str, value: &str) {
        self.keys.insert(key.to_owned(), value.into());
    }
}

/// Shows which keys there are and nothing of what they hold.
impl fmt::Debug for TokenFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenFile ")?;
        f.debug_set().entries(self.keys.keys()).finish()
    }
}

/// Reads the file that `token_file` names: below `base_dir`, or below the working directory where it is not there.
/// Returns the path that was found, or would have been.
pub(super) fn find(base_dir: &Path, token_file: &Path) -> (PathBuf, io::Result<Vec<u8>>) {
    let path = base_dir.join(token_file);
    match read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && token_file.is_relative() => {
            match read(token_file) {
                Ok(bytes) => (token_file.to_path_buf(), Ok(bytes)),
                Err(_) => (path, Err(error)),
            }
        }
        result => (path, result),
    }
}

/// Reads a file that should be small.
///
/// # Errors
/// Those of the file system; [`io::ErrorKind::FileTooLarge`].
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES {
        let message = format!("it has more than the limit of {FILE_BYTES} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(bytes)
}

/// Puts `bytes` in the place of the file in one step, readable for its owner alone. A reader sees the old content or
/// the new one, also after a loss of power. What a link points to is replaced, not the link; the owner of a file that
/// was there stays its owner where we may decide that.
///
/// # Errors
/// Those of the file system; then the file is as it was.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let mut name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?.to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let beside = path.with_file_name(name);
    let written = write_beside(&path, &beside, bytes).and_then(|()| fs::rename(&beside, &path));
    if written.is_err() {
        // Nothing more can be done about it than to name the first error.
        let _ = fs::remove_file(&beside);
        return written;
    }
    // The rename is done; a file system that cannot sync a folder keeps it or not, and both contents are good.
    if let Some(folder) = path.parent().and_then(|folder| File::open(folder).ok()) {
        let _ = folder.sync_all();
    }
    Ok(())
}

/// Checks that [`replace`] would find a place for the file, by a file that is gone again at once. Folders that are
/// missing count as made.
///
/// # Errors
/// Those of the file system.
pub fn check_place(path: &Path) -> io::Result<()> {
    let path = fs::canonicalize(path).unwrap_or_else(|_| std::path::absolute(path).unwrap_or_default());
    if path.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    // Not `exists`: what stands below a file is not missing, it has no place.
    let is_there = |folder: &&Path| {
        !fs::symlink_metadata(folder).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    };
    let folder = path.ancestors().skip(1).find(is_there).unwrap_or(Path::new("/"));
    let probe = folder.join(format!(".inboxclaw.{}.tmp", std::process::id()));
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(&probe)?;
    fs::remove_file(&probe)
}

fn write_beside(path: &Path, beside: &Path, bytes: &[u8]) -> io::Result<()> {
    match fs::remove_file(beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(beside)?;
    if let Ok(before) = fs::metadata(path) {
        // Allowed to the superuser, who would otherwise lock the file's owner out.
        let _ = fchown(&file, Some(before.uid()), Some(before.gid()));
    }
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests;
