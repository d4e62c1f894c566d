//! What the sources of Google's services share: one client for an account, its token, its rate limits, and what its
//! refusals mean.
//!
//! `account` keeps the token fresh in its `token_file`, `oauth` gets consent for one, both through the token
//! `endpoint`; `advice` says what a person can do when there is none. `limiter` paces requests, `refusal` reads error
//! bodies, `services` are the ones that are read, `listing` remembers what a listing in progress has shown, `filter`
//! holds content filters, `gap` the event for a stretch that may be incomplete, `timestamp` reads and writes
//! instants, `part_failure` is the failure of a part, which is reported until the part works, `retry_limit` ends with a
//! thing that the service fails at.
//!
//! A request that fails in passing is sent again within seconds, here and nowhere else, so that it does not cost its
//! turn what other requests brought. Left out: what the services' answers mean (the sources), waiting for better times
//! (the runtime).

pub mod account;
mod advice;
pub mod endpoint;
pub mod filter;
pub mod gap;
pub mod limiter;
pub mod listing;
pub mod oauth;
pub mod part_failure;
pub mod refusal;
pub mod retry_limit;
mod services;
pub mod timestamp;
pub mod token_file;

use std::net::IpAddr;
use std::sync::Arc;

use account::Account;
use anyhow::{Context as _, ensure};
use inboxclaw_contract::{Class, Clock, Draft, Failure, Outside, Warning};
use inboxclaw_settings::Interval;
use jiff::{SignedDuration, Timestamp};
use limiter::Limiter;
pub use refusal::Refusal;
use refusal::RefusalKind;
use reqwest::header::{ACCEPT, USER_AGENT};
use reqwest::{Method, StatusCode, Url};
use serde::de::DeserializeOwned;
pub use services::{Api, CALENDAR, DRIVE, GMAIL};

use crate::http::{self, Http, Reach, Reply};

/// Google packs answers only for those who say in their name that they unpack them:
/// <https://developers.google.com/workspace/drive/api/guides/performance#gzip>.
const PACKS: &str = concat!("inboxclaw/", env!("CARGO_PKG_VERSION"), " (gzip)");

/// Largest answer in JSON, unpacked, in bytes.
const ANSWER_BYTES: usize = 64 << 20;

/// Longest id of a thing of a service, in bytes: with what stands before it, it has to fit into a key. Those of events
/// in Calendar have up to 1,024, and those of a series' instances a time besides.
const ID_BYTES: usize = 1_100;

/// Requests that a source has under way at the same time.
pub(crate) const AT_ONCE: usize = 10;

/// Least units a minute: with fewer a single listing would use up the time of a turn.
const LEAST_UNITS: u32 = 600;

/// How long a turn begins requests. One that was begun may take 45 seconds, and a turn has 60.
const BEGINS: SignedDuration = SignedDuration::from_secs(10);

/// Where a client finds its account and its service, as the settings of a source say.
#[derive(Debug, Clone, Copy)]
pub struct ClientSettings<'a> {
    /// The token file.
    pub token_file: &'a str,
    /// A server that stands in for Google's.
    pub api_root: Option<&'a str>,
    /// Quota units that may be spent in a minute, where they are not those of the service.
    pub units_per_minute: Option<u32>,
}

/// A request: GET, as every request of ours.
#[derive(Debug, Clone, Default)]
pub struct ApiRequest<'a> {
    path: Vec<&'a str>,
    query: Vec<(&'static str, String)>,
    units: u32,
}

impl<'a> ApiRequest<'a> {
    /// A request for `path` below the service's own, one segment each; segments are escaped as needed.
    pub fn new(path: &[&'a str]) -> Self {
        Self { path: path.to_vec(), query: Vec::new(), units: 1 }
    }

    /// Adds a query parameter. One that is given several times is sent several times.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    /// Adds a query parameter if there is a value.
    #[must_use]
    pub fn with_some(self, name: &'static str, value: Option<impl Into<String>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// Says how many quota units it costs; 1 where nothing is said.
    #[must_use]
    pub fn units(mut self, units: u32) -> Self {
        self.units = units;
        self
    }
}

/// What came of a request: the body unless it is too large.
struct ApiResponse {
    status: u16,
    address: String,
    body: Option<Vec<u8>>,
}

/// When a turn stops to begin requests, see [`Client::deadline`].
pub struct Deadline<'a> {
    clock: &'a dyn Clock,
    at: Timestamp,
}

impl Deadline<'_> {
    /// Whether what is left to be asked is left to the next turn.
    pub fn is_over(&self) -> bool {
        self.clock.now() >= self.at
    }
}

/// One service as one account sees it.
pub struct Client {
    api: &'static Api,
    http: Arc<Http>,
    account: Arc<Account>,
    limiter: Arc<Limiter>,
    clock: Arc<dyn Clock>,
    base: Url,
    reach: Reach,
}

impl Client {
    /// A client of `api` for the account of `token_file`. No I/O.
    ///
    /// # Errors
    /// When `token_file` is empty, `api_root` is no address of a server and a path, or `units_per_minute` is too small
    /// for the requests of a turn.
    pub fn new(outside: &Outside, api: &'static Api, settings: &ClientSettings<'_>) -> anyhow::Result<Self> {
        let ClientSettings { token_file, api_root, units_per_minute } = *settings;
        if let Some(units) = units_per_minute {
            ensure!(units >= LEAST_UNITS, "units_per_minute is {units}, it must be at least {LEAST_UNITS}");
        }
        let root = http::parse_url("api_root", api_root.unwrap_or(api.root))?;
        let is_plain = root.query().is_none() && root.fragment().is_none() && root.username().is_empty();
        ensure!(
            is_plain && root.password().is_none(),
            "api_root holds more than scheme, host, port and path"
        );
        let base = format!("{}{}", root.as_str().trim_end_matches('/'), api.path);
        let base = Url::parse(&base).context("api_root is no address")?;
        let account = Account::shared(outside, token_file)?;
        account.needs(api.name);
        let limiter = Limiter::shared(outside, api, &account, api_root, units_per_minute);
        let (http, clock, reach) = (Http::shared(outside), outside.clock.clone(), Reach::CONFIGURED);
        Ok(Self { api, http, account, limiter, clock, base, reach })
    }

    /// Lets this client, and the account behind it, reach servers of the local network under names that look public.
    #[must_use]
    pub fn allow_private(mut self, allow_private: bool) -> Self {
        self.reach = Reach::Configured { allow_private };
        if allow_private {
            self.account.allow_private();
        }
        self
    }

    /// Until when a turn that begins now may begin requests for parts of its page, so that a service that answers
    /// slowly delays what there is and does not use up the time of every turn.
    pub fn deadline(&self) -> Deadline<'_> {
        let now = self.clock.now();
        Deadline { clock: &*self.clock, at: now.saturating_add(BEGINS).unwrap_or(now) }
    }

    /// Asks for JSON.
    ///
    /// # Errors
    /// A [`Refusal`]: no token, no answer, an answer that is no success or cannot be read.
    pub async fn get<T: DeserializeOwned>(&self, request: &ApiRequest<'_>) -> Result<T, Refusal> {
        let ApiResponse { status, address, body } = self.send_retrying(request, ANSWER_BYTES).await?;
        let body = body.ok_or_else(|| too_large(status, &address))?;
        serde_json::from_slice(&body).map_err(|error| unreadable(status, &address, &error))
    }

    /// Asks for bytes; `None` when there are more than `limit`, of which no more are held.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn bytes(&self, request: &ApiRequest<'_>, limit: usize) -> Result<Option<Vec<u8>>, Refusal> {
        Ok(self.send_retrying(request, limit).await?.body)
    }

    /// Sends a request, and again as long as it fails in a way that may pass within seconds: one request that fails
    /// must not cost a turn what its other requests brought.
    async fn send_retrying(&self, request: &ApiRequest<'_>, limit: usize) -> Result<ApiResponse, Refusal> {
        let url = self.url(request).map_err(Failure::internal)?;
        let mut retries = self.limiter.retries();
        loop {
            // The limiter waits as long as a turn can, and fails with the wait that is left.
            self.limiter.acquire(request.units).await?;
            match self.answer(&url, request.units, limit).await {
                Err(refusal) if refusal.is_passing() && retries.again(refusal.failure.wait).await => {}
                answer => return answer,
            }
        }
    }

    async fn answer(&self, url: &Url, units: u32, limit: usize) -> Result<ApiResponse, Refusal> {
        let reply = self.send(url, units).await?;
        let (status, address) = (reply.status().as_u16(), reply.address().to_owned());
        Ok(ApiResponse { status, address, body: reply.body_within(limit).await? })
    }

    /// Sends a request, with another token once more if the first one is refused.
    async fn send(&self, url: &Url, units: u32) -> Result<Reply, Refusal> {
        let mut token = self.account.token().await?;
        let mut reply = self.send_with(url, &token).await?;
        if reply.status() == StatusCode::UNAUTHORIZED {
            token = self.account.token_besides(&token).await?;
            self.limiter.acquire(units).await?;
            reply = self.send_with(url, &token).await?;
        }
        if reply.status().is_success() {
            self.limiter.unblock();
            return Ok(reply);
        }
        Err(self.refused(reply, &token).await)
    }

    async fn send_with(&self, url: &Url, token: &str) -> Result<Reply, Failure> {
        let request = self.http.request(Method::GET, url.clone(), self.reach)?;
        let request = request.header(ACCEPT, "application/json").header(USER_AGENT, PACKS).bearer_auth(token);
        self.http.send(request).await
    }

    /// Reads a refusal, and lets everybody know what it says about the account.
    async fn refused(&self, reply: Reply, token: &str) -> Refusal {
        let (now, date) = (self.clock.now(), reply.date());
        let mut refusal = Refusal::read(reply, now, self.api, token).await;
        match refusal.kind() {
            RefusalKind::Quota | RefusalKind::Daily => {
                refusal.failure.wait = Some(self.limiter.block(refusal.failure.wait));
            }
            RefusalKind::Token => {
                let skew = date.and_then(|date| advice::skew(now, date));
                refusal.failure.action = match skew {
                    Some(action) => Some(action),
                    None => Some(self.account.repair(None).await),
                };
            }
            RefusalKind::Scope => {
                refusal.failure.action = Some(self.account.repair(Some(self.api.name)).await)
            }
            RefusalKind::Disabled | RefusalKind::Policy | RefusalKind::Other => {}
        }
        if refusal.is_answer() {
            self.limiter.unblock();
        }
        refusal
    }

    fn url(&self, request: &ApiRequest<'_>) -> anyhow::Result<Url> {
        let mut url = self.base.clone();
        let mut segments =
            url.path_segments_mut().map_err(|()| anyhow::anyhow!("api_root cannot be a base"))?;
        segments.extend(&request.path);
        drop(segments);
        if !request.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&request.query);
        }
        Ok(url)
    }
}

/// The value under a key; nothing when it is absent, or of another form because somebody edited it.
///
/// # Errors
/// When the state cannot be read.
pub async fn stored<T: DeserializeOwned>(draft: &mut Draft<'_>, key: &str) -> Result<Option<T>, Failure> {
    Ok(draft.entry(key).await?.and_then(|entry| entry.parse().ok()))
}

/// What is doubtful about the settings that all sources have here: filters that drop nothing, a token file that will be
/// refused, and a server that gets the token unencrypted.
pub(crate) fn warnings<F>(
    outside: &Outside,
    api: &'static Api,
    settings: &ClientSettings<'_>,
    filters: &filter::Rules<F>,
) -> Vec<Warning> {
    let mut warnings = filter::warnings(filters);
    let account = Account::shared(outside, settings.token_file).ok();
    if let Some(failure) = account.and_then(|account| account.warning(api.name)) {
        let action = failure.action.as_deref().map(|action| format!("; {action}")).unwrap_or_default();
        warnings.push(Warning::new("token_file", format!("{failure}{action}")));
    }
    let root = settings.api_root.and_then(|root| http::parse_url("api_root", root).ok());
    if root.is_some_and(|root| !is_private(&root)) {
        let message = "the token is sent without encryption to another machine; use https";
        warnings.push(Warning::new("api_root", message));
    }
    warnings
}

/// Whether what is sent there stays on this machine or is encrypted.
fn is_private(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let is_loopback = host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback());
    url.scheme() == "https" || is_loopback || host == "localhost" || host.ends_with(".localhost")
}

/// The default of `poll_interval`: ten minutes.
pub(crate) fn default_poll_interval() -> Interval {
    Interval::from_secs(10 * 60)
}

/// Whether an id can be the end of a key and a segment of a path. The services make no others.
pub fn is_id(id: &str) -> bool {
    let fits = !id.is_empty() && id.len() <= ID_BYTES && !id.contains(char::is_control);
    fits && !matches!(id, "." | "..")
}

/// Checks that a page does not name itself as the next one, which would never end.
///
/// # Errors
/// When it does.
pub fn check_next(page: Option<&str>, next: Option<&str>) -> Result<(), Failure> {
    if next.is_some() && page == next {
        return Err(Failure::text(Class::Upstream, "the service names a page as the one that follows it"));
    }
    Ok(())
}

/// It will be as large next time.
fn too_large(status: u16, address: &str) -> Refusal {
    let cause = format!("the answer of {address} has more than the limit of {ANSWER_BYTES} bytes");
    Refusal { status: Some(status), ..Failure::text(Class::Upstream, cause).into() }
}

/// JSON that breaks off may be whole next time; JSON of another form will be of that form again.
fn unreadable(status: u16, address: &str, error: &serde_json::Error) -> Refusal {
    let error_text = refusal::cut(&error.to_string());
    let failure = Failure::text(
        Class::Upstream,
        format!("the answer of {address} is not the JSON expected: {error_text}"),
    );
    Refusal { status: error.is_data().then_some(status), ..failure.into() }
}
