//! The client of the state API: asks the routes of the server, over HTTP where the program runs and in this process where
//! it does not. So there is one implementation, and one answer in JSON.
//!
//! `local` answers in this process, `client` asks the running program, `lock_holder` finds out who holds the lock.
//! Left out: what is asked (`state`, `source`).

mod local;
mod lock_holder;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderName, Method, Request, Response};
use inboxclaw_config::Config;
use inboxclaw_contract::{Owner, OwnerKind};
use inboxclaw_store::{OpenError, SqliteStore};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::time::{Instant, sleep};

use self::local::LocalStates;
use super::client::{BEGIN, Client};
use super::database;
use super::failed::Failed;
use crate::cli::OwnerArg;
use crate::outside::{SystemClock, outside};

/// How long a command waits for another one that holds the database.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a change of any number of entries may take whose answer comes whole.
const LONG: Duration = Duration::from_secs(600);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// Who answers requests about states.
pub(super) enum StateClient {
    /// The routes run in this process.
    Local(Box<LocalStates>),
    /// The running program.
    Remote(Client),
}

/// A request.
#[derive(Debug)]
pub(super) struct ApiRequest {
    method: Method,
    path: String,
    query: String,
    headers: Vec<(HeaderName, String)>,
    body: Body,
    /// How long the running program may take to begin its answer.
    limit: Duration,
}

/// An owner that is looked at.
pub(super) struct Seen {
    pub(super) owner: Owner,
    /// `None` when it never had any state.
    pub(super) states: Option<StateClient>,
}

impl ApiRequest {
    /// A request about an owner.
    pub(super) fn of(method: Method, owner: &Owner, segments: &[&str]) -> Self {
        let kind = match owner.kind {
            OwnerKind::Source => "sources",
            OwnerKind::Sink => "sinks",
        };
        Self::path(method, &[&[kind, owner.name.as_str()], segments].concat())
    }

    /// A request for a path below `/api`.
    pub(super) fn path(method: Method, segments: &[&str]) -> Self {
        let mut path = "/api".to_owned();
        for segment in segments {
            // Everything but letters and digits: a key may be `..`, which a path must not say openly.
            path.push('/');
            path.extend(utf8_percent_encode(segment, NON_ALPHANUMERIC));
        }
        Self::new(method, path)
    }

    /// The request for all owners.
    pub(super) fn owners() -> Self {
        Self::new(Method::GET, "/api/owners".to_owned())
    }

    /// The request for the clock, or for its being right.
    pub(super) fn clock(accepts: bool) -> Self {
        if accepts {
            Self::new(Method::POST, "/api/clock/accept".to_owned())
        } else {
            Self::new(Method::GET, "/api/clock".to_owned())
        }
    }

    /// The request to end pending events: `flush` or `drop`.
    pub(super) fn end_pending(how: &str) -> Self {
        Self::new(Method::POST, format!("/api/pending-events/{how}"))
    }

    fn new(method: Method, path: String) -> Self {
        Self { method, path, query: String::new(), headers: Vec::new(), body: Body::empty(), limit: BEGIN }
    }

    /// Adds a query parameter.
    #[must_use]
    pub(super) fn with(mut self, name: &str, value: impl AsRef<str>) -> Self {
        self.query.push(if self.query.is_empty() { '?' } else { '&' });
        self.query.push_str(name);
        self.query.push('=');
        self.query.extend(utf8_percent_encode(value.as_ref(), NON_ALPHANUMERIC));
        self
    }

    /// Adds the parameter `name=1`, if it is wanted.
    #[must_use]
    pub(super) fn flag(self, name: &str, wanted: bool) -> Self {
        if wanted { self.with(name, "1") } else { self }
    }

    /// Marks what may take as long as there are entries.
    #[must_use]
    pub(super) fn long(mut self) -> Self {
        self.limit = LONG;
        self
    }

    /// Adds a header.
    #[must_use]
    pub(super) fn header(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Sets the body.
    #[must_use]
    pub(super) fn body(mut self, body: impl Into<Body>) -> Self {
        self.body = body.into();
        self
    }

    fn into_request(self) -> Result<Request<Body>, Failed> {
        let request = Request::builder().method(self.method).uri(format!("{}{}", self.path, self.query));
        let request = self.headers.iter().fold(request, |request, (name, value)| request.header(name, value));
        request.body(self.body).map_err(|error| Failed::plain(format!("cannot be asked: {error}")))
    }
}

impl StateClient {
    /// Opens the database for reading, which makes no file and disturbs nobody.
    pub(super) async fn look(config: &Config, who: &OwnerArg) -> Result<Seen, Failed> {
        let Some(store) = read(config)? else {
            let owner = find(&configured(config), who)?;
            return Ok(Seen { owner, states: None });
        };
        let stored = local::owners(&store).await?;
        let owner = find(&union(config, &stored), who)?;
        let states = stored.contains(&owner).then(|| Self::Local(Box::new(LocalStates::over(store, config))));
        Ok(Seen { owner, states })
    }

    /// The client for a look at all owners; `None` when there is no database. The running program is asked where it
    /// answers: it alone knows what runs.
    pub(super) async fn survey(config: &Config) -> Result<Option<Self>, Failed> {
        if let Some(program) = Client::of_running(&config.database.path)
            && program.answers().await
        {
            return Ok(Some(Self::Remote(program)));
        }
        Ok(read(config)?.map(|store| Self::Local(Box::new(LocalStates::over(store, config)))))
    }

    /// The way to change states: through the running program, or by holding the database for a moment.
    pub(super) async fn change(config: &Config, who: &OwnerArg) -> Result<(Self, Owner), Failed> {
        if !config.database.path.exists() {
            // A name that is wrong makes no database.
            find(&configured(config), who)?;
        }
        match open(config).await? {
            Self::Local(here) => {
                let stored = here.owners().await?;
                let owner = find(&union(config, &stored), who)?;
                here.set_limits(&owner, &stored).await?;
                Ok((Self::Local(here), owner))
            }
            there @ Self::Remote(_) => Ok((there, Self::look(config, who).await?.owner)),
        }
    }

    /// The way to change what belongs to no owner.
    pub(super) async fn hold(config: &Config) -> Result<Self, Failed> {
        open(config).await
    }

    /// The running program, for what only it can do.
    pub(super) async fn running(config: &Config, who: &OwnerArg) -> Result<Option<(Self, Owner)>, Failed> {
        let owner = Self::look(config, who).await?.owner;
        let Some(program) = Client::of_running(&config.database.path) else { return Ok(None) };
        Ok(program.answers().await.then_some((Self::Remote(program), owner)))
    }

    /// Asks, and returns with the head of the answer.
    pub(super) async fn send(&self, request: ApiRequest) -> Result<Response<Body>, Failed> {
        let limit = request.limit;
        let request = request.into_request()?;
        match self {
            Self::Local(here) => Ok(here.answer(request).await),
            Self::Remote(program) => {
                let lost = |error: super::client::Unreachable| {
                    Failed::plain(format!("the running program does not answer: {}", error.0))
                };
                program.send(request, limit).await.map_err(lost)
            }
        }
    }
}

/// Everything that the configuration names.
pub(super) fn configured(config: &Config) -> Vec<Owner> {
    config.owners().into_iter().map(|configured| configured.owner).collect()
}

/// Opens the database for reading; `None` when there is none.
pub(super) fn read(config: &Config) -> Result<Option<SqliteStore>, Failed> {
    let path = &config.database.path;
    if !path.exists() {
        return Ok(None);
    }
    let store = SqliteStore::read_only(path, Arc::new(SystemClock));
    store.map(Some).map_err(|error| Failed::plain(error.to_string()))
}

/// Who is meant, of all that there are.
pub(super) fn find(known: &[Owner], who: &OwnerArg) -> Result<Owner, Failed> {
    let name = &who.name;
    let is_kind = |owner: &&Owner| who.kind.is_none_or(|kind| owner.kind == kind);
    let found: Vec<&Owner> = known.iter().filter(is_kind).filter(|owner| owner.name == *name).collect();
    match found[..] {
        [owner] => return Ok(owner.clone()),
        [_, _, ..] => {
            let message = format!("{name:?} is both a source and a sink: write source:{name} or sink:{name}");
            return Err(Failed::plain(message));
        }
        [] => {}
    }
    let kind = who.kind.map_or("source or sink", OwnerKind::as_str);
    let names: BTreeSet<&str> = known.iter().filter(is_kind).map(|owner| owner.name.as_str()).collect();
    let hint = match inboxclaw_config::nearest(name, names.iter().copied()) {
        Some(near) => format!(", did you mean {near:?}?"),
        None if names.is_empty() => "; there is none at all".to_owned(),
        None => format!("; there are: {}", names.into_iter().collect::<Vec<_>>().join(", ")),
    };
    Err(Failed::plain(format!("there is no {kind} {name:?}{hint}")))
}

fn union(config: &Config, stored: &[Owner]) -> Vec<Owner> {
    let mut known = configured(config);
    known.extend_from_slice(stored);
    known.sort();
    known.dedup();
    known
}

/// Takes the database, or finds the program that has it. Who holds it for a moment is waited for.
async fn open(config: &Config) -> Result<StateClient, Failed> {
    let path = &config.database.path;
    let deadline = Instant::now() + PATIENCE;
    loop {
        match SqliteStore::prepare(path) {
            Ok(prepared) => {
                let store = database::open(prepared, &config.database, &outside());
                let store = store.map_err(|error| Failed::plain(error.to_string()))?;
                return Ok(StateClient::Local(Box::new(LocalStates::over(store, config))));
            }
            Err(OpenError::Locked { .. }) => {}
            Err(error) => return Err(Failed::plain(error.to_string())),
        }
        // A program that has just begun says where it is a moment later; one that was killed never takes it back.
        if let Some(program) = Client::of_running(path)
            && program.answers().await
        {
            return Ok(StateClient::Remote(program));
        }
        if Instant::now() >= deadline {
            return Err(held(path));
        }
        sleep(PAUSE).await;
    }
}

fn held(path: &Path) -> Failed {
    let lock = inboxclaw_store::resolved(path).map(|path| inboxclaw_store::lock::Lock::path(&path));
    let holder = lock.ok().and_then(|lock: PathBuf| lock_holder::of(&lock));
    let holder = holder.map_or_else(String::new, |pid| format!(" (process {pid})"));
    Failed::plain(format!(
        "{} is in use by another inboxclaw{holder}, which does not answer: nothing was changed after {} s of waiting",
        path.display(),
        PATIENCE.as_secs()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(who: &str) -> Result<String, String> {
        let known = [Owner::source("mail"), Owner::source("both"), Owner::sink("both"), Owner::sink("notes")];
        let who: OwnerArg = who.parse().map_err(|_| String::new())?;
        find(&known, &who).map(|owner| owner.to_string()).map_err(|failed| failed.message)
    }

    #[test]
    fn a_name_means_one_owner() {
        for (who, owner) in [
            ("mail", "source mail"),
            ("source:mail", "source mail"),
            ("source:both", "source both"),
            ("sink:both", "sink both"),
        ] {
            assert_eq!(found(who).as_deref(), Ok(owner));
        }
        for (who, message) in [
            ("both", "\"both\" is both a source and a sink: write source:both or sink:both"),
            ("mial", "there is no source or sink \"mial\", did you mean \"mail\"?"),
            ("sink:mail", "there is no sink \"mail\"; there are: both, notes"),
        ] {
            assert_eq!(found(who), Err(message.to_owned()));
        }
        let nobody = find(&[], &OwnerArg { kind: None, name: "a".into() }).unwrap_err();
        assert_eq!(nobody.message, "there is no source or sink \"a\"; there is none at all");
    }

    #[test]
    fn keys_are_one_segment_whatever_they_hold() {
        for (key, path) in [
            ("a/b", "/api/sources/my%20mail/state/a%2Fb"),
            ("..", "/api/sources/my%20mail/state/%2E%2E"),
            ("50%?#é", "/api/sources/my%20mail/state/50%25%3F%23%C3%A9"),
        ] {
            let request = ApiRequest::of(Method::GET, &Owner::source("my mail"), &["state", key]);
            let request = request.with("prefix", "a&b").flag("keys", true).flag("no", false).into_request();
            assert_eq!(request.unwrap().uri().to_string(), format!("{path}?prefix=a%26b&keys=1"));
        }
    }
}
