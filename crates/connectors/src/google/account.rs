//! An account: the token file and the access token that it gives. Shared by all sources that name the same file, so
//! that a token is renewed once for all of them.
//!
//! The file is read again for every request: it is small, and others write it too, `inboxclaw google auth` or another
//! program that shares it. Nobody reads it while it is being renewed here. Left out: the form of the file
//! (`token_file`), the endpoint (`endpoint`), words for people (`advice`).

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{anyhow, ensure};
use inboxclaw_contract::{Class, Clock, Failure, Outside};
use jiff::Timestamp;
use tokio::sync;

use super::advice;
use super::endpoint::{self, TokenDenied};
use super::token_file::{self, Flaw, TokenFile};
use crate::http::{self, Http, Reach};
use crate::lock::lock;

/// A token counts as expired this long before it is: a request under way must not meet its end. Google's own libraries
/// use the same.
const MARGIN: Duration = Duration::from_secs(3 * 60 + 45);

/// The account behind a token file.
pub struct Account {
    base_dir: PathBuf,
    token_file: PathBuf,
    http: Arc<Http>,
    clock: Arc<dyn Clock>,
    /// The short words for the scopes that the sources here need.
    needs: Mutex<BTreeSet<&'static str>>,
    /// Whether a source here set `allow_private`.
    allow_private: AtomicBool,
    /// How often the endpoint said no.
    denials: AtomicU64,
    held: sync::Mutex<Option<HeldToken>>,
}

/// What the file held when it was last looked at, and what has become of it since.
struct HeldToken {
    path: PathBuf,
    /// What the file holds. While this does not change, `file` is at least as new.
    bytes: Vec<u8>,
    file: TokenFile,
    /// Whether `file` holds a refresh token that the file does not.
    is_ahead: bool,
    denied: Option<Denial>,
}

/// What the endpoint said, for those who wanted the same at the same time, and until the time that it named.
struct Denial {
    /// Counted from 1.
    number: u64,
    since: Timestamp,
    until: Timestamp,
    class: Class,
    text: String,
    action: Option<String>,
}

impl Account {
    /// The one that all connectors of this `outside` share for the file.
    ///
    /// # Errors
    /// When the path is empty.
    pub fn shared(outside: &Outside, token_file: &str) -> anyhow::Result<Arc<Self>> {
        ensure!(!token_file.trim().is_empty(), "token_file is empty");
        let token_file = PathBuf::from(token_file);
        let key = format!("google:{}", joined(&outside.base_dir, &token_file).display());
        // Made outside, because what is shared is made by one at a time.
        let http = Http::shared(outside);
        outside.shared.get_or_make(&key, || {
            Ok(Self {
                base_dir: outside.base_dir.clone(),
                token_file,
                http,
                clock: outside.clock.clone(),
                needs: Mutex::default(),
                allow_private: AtomicBool::default(),
                denials: AtomicU64::default(),
                held: sync::Mutex::default(),
            })
        })
    }

    /// Notes that a source here needs the scope behind this word, for the command that an action names.
    pub(super) fn needs(&self, word: &'static str) {
        lock(&self.needs).insert(word);
    }

    /// Lets the token endpoint be in the local network under a name that looks public.
    pub(super) fn allow_private(&self) {
        self.allow_private.store(true, Ordering::Relaxed);
    }

    /// What would keep a source that needs the scope behind `word` from getting a token, as far as the file shows it.
    /// Reads the file; blocks meanwhile.
    pub(super) fn warning(&self, word: &'static str) -> Option<Failure> {
        self.needs(word);
        let (path, found) = token_file::find(&self.base_dir, &self.token_file);
        let bytes = match found {
            Ok(bytes) => bytes,
            Err(error) => return Some(self.unreadable(&path, error)),
        };
        TokenFile::parse(&bytes).err().map(|flaw| self.unusable(&path, &flaw))
    }

    /// Names the account for the limiter.
    pub(super) fn key(&self) -> String {
        self.path().display().to_string()
    }

    /// A token that is good for a request now.
    ///
    /// # Errors
    /// When there is none to be had.
    pub(super) async fn token(&self) -> Result<String, Failure> {
        self.token_besides("").await
    }

    /// Another token than one that was refused before its time: what somebody else renewed meanwhile, or a new one.
    ///
    /// # Errors
    /// As [`token`](Self::token).
    pub(super) async fn token_besides(&self, refused: &str) -> Result<String, Failure> {
        let known = self.denials.load(Ordering::Acquire);
        let mut held = self.held.lock().await;
        self.look(&mut held).await?;
        let Some(held) = held.as_mut() else {
            return Err(Failure::internal(anyhow!("the token file was not read")));
        };
        if held.is_ahead {
            self.save(held).await?;
        }
        let now = self.clock.now();
        let is_good = held.file.expiry().is_some_and(|expiry| is_before(now, MARGIN, expiry));
        match held.file.token().filter(|token| is_good && *token != refused) {
            Some(token) => Ok(token.to_owned()),
            None => match held.denied.as_ref().filter(|denial| denial.holds(known, now)) {
                Some(denial) => Err(denial.again(now)),
                None => self.renew(held, now).await,
            },
        }
    }

    /// What a person can do to get a token that is accepted, with the scope behind `missing` if one is known to be.
    pub(super) async fn repair(&self, missing: Option<&'static str>) -> String {
        let held = self.held.lock().await;
        let scopes = held.as_ref().map(|held| held.file.scopes()).unwrap_or_default();
        self.advice(&scopes, missing)
    }

    /// Reads the file, and takes what it holds if it is not what it held before.
    async fn look(&self, held: &mut Option<HeldToken>) -> Result<(), Failure> {
        let (base_dir, token_file) = (self.base_dir.clone(), self.token_file.clone());
        let looking = tokio::task::spawn_blocking(move || token_file::find(&base_dir, &token_file));
        let (path, found) = looking.await.map_err(Failure::internal)?;
        let bytes = found.map_err(|error| self.unreadable(&path, error))?;
        if held.as_ref().is_some_and(|held| held.path == path && held.bytes == bytes) {
            return Ok(());
        }
        let file = TokenFile::parse(&bytes).map_err(|flaw| self.unusable(&path, &flaw))?;
        *held = Some(HeldToken { path, bytes, file, is_ahead: false, denied: None });
        Ok(())
    }

    /// Gets a new access token and writes it into the file.
    async fn renew(&self, held: &mut HeldToken, now: Timestamp) -> Result<String, Failure> {
        let uri = http::parse_url("token_uri", held.file.token_uri());
        let uri = uri.map_err(|error| {
            Failure::new(Class::Configuration, error.context(held.path.display().to_string()))
        })?;
        let form = [
            ("grant_type", "refresh_token"),
            ("client_id", held.file.client_id()),
            ("client_secret", held.file.client_secret()),
            // Without `scope`: the token gets what was granted, which may be less than what was asked for then.
            ("refresh_token", held.file.refresh_token()),
        ];
        let reach = Reach::Configured { allow_private: self.allow_private.load(Ordering::Relaxed) };
        let granted = match endpoint::post(&self.http, &uri, reach, &form).await {
            Ok(granted) => granted,
            Err(denied) => return Err(self.denied(held, denied, now)),
        };
        let before = held.file.refresh_token().to_owned();
        held.file.renew(&granted, now);
        held.denied = None;
        held.is_ahead = held.file.refresh_token() != before;
        self.save(held).await?;
        Ok(granted.access_token)
    }

    /// Writes the file, unless somebody else wrote it since it was read: then theirs is the newer one.
    ///
    /// # Errors
    /// Only when a refresh token would be lost with this process. An access token is good without being written, and
    /// is simply renewed again after a restart.
    async fn save(&self, held: &mut HeldToken) -> Result<(), Failure> {
        let (path, expected) = (held.path.clone(), held.bytes.clone());
        let bytes = held.file.to_bytes().map_err(Failure::internal)?;
        let saving = tokio::task::spawn_blocking(move || {
            if token_file::read(&path)? == expected {
                token_file::replace(&path, &bytes)?;
                return Ok(Some(bytes));
            }
            Ok(None)
        });
        let saved: io::Result<_> = saving.await.map_err(Failure::internal)?;
        match saved {
            Ok(written) => {
                held.bytes = written.unwrap_or_else(|| held.bytes.clone());
                held.is_ahead = false;
                Ok(())
            }
            Err(error) if held.is_ahead => Err(unsaved(&held.path, error)),
            Err(_) => Ok(()),
        }
    }

    fn unreadable(&self, path: &Path, error: io::Error) -> Failure {
        let is_missing = error.kind() == io::ErrorKind::NotFound;
        let class = match error.kind() {
            io::ErrorKind::PermissionDenied => Class::Authorization,
            _ => Class::Configuration,
        };
        let cause =
            anyhow::Error::new(error).context(format!("cannot read the token file {}", path.display()));
        let failure = Failure::new(class, cause);
        match class {
            _ if is_missing => failure.action(self.advice(&[], None)),
            Class::Authorization => failure.action("let the user who runs inboxclaw read and write the file"),
            _ => failure,
        }
    }

    fn unusable(&self, path: &Path, flaw: &Flaw) -> Failure {
        let cause = format!("the token file {} {flaw}", path.display());
        Failure::text(Class::Configuration, cause).action(self.advice(&[], None))
    }

    /// Makes of the endpoint's answer what the sources say, and remembers it for a while.
    fn denied(&self, held: &mut HeldToken, denied: TokenDenied, now: Timestamp) -> Failure {
        let TokenDenied { code, description: _, mut failure } = denied;
        let advice = || self.advice(&held.file.scopes(), None);
        let path = held.path.display();
        let told = match (code.as_deref(), failure.class) {
            (Some("invalid_grant"), _) => Some((format!("{} of {path}", advice::REVOKED), advice())),
            (Some("invalid_client" | "deleted_client" | "disabled_client" | "unauthorized_client"), _) => {
                Some((format!("the client of {path} is not known or not allowed"), advice::client(&advice())))
            }
            (_, Class::Configuration) => Some((
                format!("the token of {path} cannot be renewed"),
                format!("check `token_uri` there, or {}", advice()),
            )),
            (_, Class::Authorization) => Some((format!("the token of {path} cannot be renewed"), advice())),
            _ => None,
        };
        if let Some((context, action)) = told {
            failure.cause = failure.cause.context(context);
            failure.action = Some(action);
        }
        let until = now.checked_add(failure.wait.unwrap_or_default()).unwrap_or(now);
        let (text, action) = (failure.to_string(), failure.action.clone());
        let number = self.denials.fetch_add(1, Ordering::AcqRel) + 1;
        held.denied = Some(Denial { number, since: now, until, class: failure.class, text, action });
        failure
    }

    fn advice(&self, scopes: &[&str], missing: Option<&'static str>) -> String {
        let needs = lock(&self.needs);
        advice::sign_in(&self.path(), scopes, &needs, missing)
    }

    /// The path as the configuration means it.
    fn path(&self) -> PathBuf {
        joined(&self.base_dir, &self.token_file)
    }
}

impl Denial {
    /// Whether it is the answer to who knew of `known` denials when they asked.
    fn holds(&self, known: u64, now: Timestamp) -> bool {
        self.number > known || (self.since <= now && now < self.until)
    }

    fn again(&self, now: Timestamp) -> Failure {
        let left = Duration::try_from(self.until.duration_since(now)).ok().filter(|left| !left.is_zero());
        let failure = Failure { action: self.action.clone(), ..Failure::text(self.class, &self.text) };
        failure.wait(left)
    }
}

/// The path by its components, so that `./token.json` is `token.json`.
fn joined(base_dir: &Path, token_file: &Path) -> PathBuf {
    base_dir.join(token_file).components().collect()
}

/// Whether `now` is more than `margin` before `end`.
fn is_before(now: Timestamp, margin: Duration, end: Timestamp) -> bool {
    now.checked_add(margin).is_ok_and(|now| now < end)
}

fn unsaved(path: &Path, error: io::Error) -> Failure {
    let cause = anyhow::Error::new(error);
    let cause =
        cause.context(format!("cannot write the new refresh token into the token file {}", path.display()));
    Failure::new(Class::Configuration, cause).action(
        "let the user who runs inboxclaw write the file and its folder, before a restart: the new refresh token is only \
         in memory, and the one in the file may be dead",
    )
}
