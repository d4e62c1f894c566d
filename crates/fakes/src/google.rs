//! A stand-in for a Google account: a server, a log of its requests, and faults on demand.
//!
//! - `gmail`, `drive`, `calendar`: models of the services, which answer requests as functions; `simulation` changes them
//!   at random. `api`: requests and answers as the models see them, `pages`: page tokens, `fields`: partial answers.
//! - `server`: HTTP, `http_request`: reading it, `dispatch`: which model answers, `oauth`: tokens, `faults`: which requests
//!   fail, `request_log`: the requests so far.
//! - `account`: all of it together, `clock`: the time of all.
//!
//! Left out: writing through the API.

mod account;
pub mod api;
pub mod calendar;
mod clock;
mod dispatch;
pub mod drive;
pub mod faults;
pub mod fields;
pub mod gmail;
mod http_request;
pub mod oauth;
pub mod pages;
mod request_log;
mod server;
pub mod simulation;

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, MutexGuard};

use serde_json::{Value, json};

use crate::discovery::{Discovery, is_unchecked};
use crate::lock::locked;
use account::Account;
pub use clock::Clock;
pub use request_log::LoggedRequest;
use server::Server;

/// How a stand-in is set up.
#[derive(Debug, Clone)]
pub struct Options {
    /// The port on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// A path such as `/google` that precedes those of the services; empty for none. The pages of the authorization
    /// server are reached with and without it.
    pub prefix: String,
    /// The folder with the discovery documents to check against. Without one the environment variable
    /// `INBOXCLAW_DISCOVERY` names it, or the folder `discovery` in the build folder is taken if it is there; otherwise
    /// nothing is checked.
    pub discovery: Option<PathBuf>,
    /// The scopes that [`Fake::token_file`] grants.
    pub scopes: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        let scopes = ["gmail.readonly", "drive.readonly", "calendar.readonly"];
        let scopes = scopes.map(|scope| format!("https://www.googleapis.com/auth/{scope}"));
        Self { port: 0, prefix: String::new(), discovery: None, scopes: scopes.to_vec() }
    }
}

/// The account and its server, which serves until this is dropped.
#[derive(Debug)]
pub struct Fake {
    account: Arc<Account>,
    address: SocketAddr,
    _server: Server,
}

impl Fake {
    /// Starts one that serves on the runtime of the caller.
    ///
    /// # Errors
    /// When the port is taken, or the discovery documents that were named cannot be read.
    pub async fn start(options: Options) -> io::Result<Self> {
        Self::serve(options, Server::task)
    }

    /// Starts one that serves on a thread of its own, for callers without a runtime or with a stopped clock.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn spawn(options: Options) -> io::Result<Self> {
        Self::serve(options, Server::thread)
    }

    fn serve(
        options: Options,
        start: impl FnOnce(TcpListener, Arc<Account>) -> io::Result<Server>,
    ) -> io::Result<Self> {
        let (account, listener) = prepare(options)?;
        let address = listener.local_addr()?;
        let server = start(listener, account.clone())?;
        Ok(Self { account, address, _server: server })
    }

    /// The address that goes where a service's own root would stand: `http://127.0.0.1:PORT` and the prefix.
    #[must_use]
    pub fn base(&self) -> String {
        format!("{}{}", self.origin(), self.account.prefix)
    }

    /// The address of the token endpoint.
    #[must_use]
    pub fn token_uri(&self) -> String {
        format!("{}/token", self.origin())
    }

    /// The address of the consent page.
    #[must_use]
    pub fn auth_uri(&self) -> String {
        format!("{}/o/oauth2/v2/auth", self.origin())
    }

    /// The mailbox.
    pub fn gmail(&self) -> MutexGuard<'_, gmail::Mailbox> {
        locked(&self.account.gmail)
    }

    /// The files.
    pub fn drive(&self) -> MutexGuard<'_, drive::Drive> {
        locked(&self.account.drive)
    }

    /// The calendars.
    pub fn calendar(&self) -> MutexGuard<'_, calendar::Calendars> {
        locked(&self.account.calendar)
    }

    /// The faults.
    pub fn faults(&self) -> MutexGuard<'_, faults::Faults> {
        locked(&self.account.faults)
    }

    /// The grants and tokens.
    pub fn tokens(&self) -> MutexGuard<'_, oauth::Tokens> {
        locked(&self.account.tokens)
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.account.clock.clone()
    }

    /// The requests since the last call, in the order of their answers; of very many the latest.
    #[must_use]
    pub fn requests(&self) -> Vec<LoggedRequest> {
        locked(&self.account.log).drain()
    }

    /// How many requests there were from the start, by method and path with `{}` in the place of ids.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<String, u64> {
        locked(&self.account.log).counts()
    }

    /// What requests and answers did that Google's descriptions of its services do not allow, from the start. Without
    /// the descriptions it says that nothing was checked, so that no test takes silence for approval, unless the
    /// environment says that this is known.
    #[must_use]
    pub fn violations(&self) -> Vec<String> {
        if !self.is_checking() && !is_unchecked() {
            return vec![
                "nothing was checked: scripts/discovery.sh fetches what to check against".to_owned(),
            ];
        }
        locked(&self.account.violations).clone()
    }

    /// Whether requests and answers are checked at all.
    #[must_use]
    pub fn is_checking(&self) -> bool {
        self.account.discovery.is_some()
    }

    /// Grants the scopes of the options and writes the tokens as an authorized user's file, readable to its owner only.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn token_file(&self, path: &Path) -> io::Result<()> {
        let grant = self.tokens().grant(self.account.clock.now(), &self.account.scopes);
        let file = json!({
            "token": grant.access,
            "refresh_token": grant.refresh,
            "token_uri": self.token_uri(),
            "client_id": oauth::CLIENT_ID,
            "client_secret": oauth::CLIENT_SECRET,
            "scopes": self.account.scopes,
            "universe_domain": "googleapis.com",
            "account": "",
            "expiry": format!("{:.6}", grant.until),
        });
        write_private(path, &file)
    }

    /// Writes a client's file, as the console gives it for a desktop program.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn credentials_file(&self, path: &Path) -> io::Result<()> {
        let installed = json!({
            "client_id": oauth::CLIENT_ID,
            "project_id": "inboxclaw-fake",
            "auth_uri": self.auth_uri(),
            "token_uri": self.token_uri(),
            "client_secret": oauth::CLIENT_SECRET,
            "redirect_uris": ["http://localhost"],
        });
        write_private(path, &json!({ "installed": installed }))
    }

    fn origin(&self) -> String {
        format!("http://{}", self.address)
    }
}

fn prepare(options: Options) -> io::Result<(Arc<Account>, TcpListener)> {
    let discovery = Discovery::found(options.discovery.as_deref()).map_err(io::Error::other)?;
    let prefix = options.prefix.trim_matches('/');
    let prefix = if prefix.is_empty() { String::new() } else { format!("/{prefix}") };
    let account = Account { prefix, scopes: options.scopes, discovery, ..Account::default() };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port))?;
    listener.set_nonblocking(true)?;
    Ok((Arc::new(account), listener))
}

fn write_private(path: &Path, content: &Value) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(content.to_string().as_bytes())
}
