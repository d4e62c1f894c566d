//! The HTTP client of all connectors: one shared client, bodies that are never buffered beyond a limit, and one reading
//! of what a status means. What it means is in `http/failures.rs`.
//!
//! - TLS by rustls with the system's root certificates; plain HTTP works without any installed.
//! - Proxies of the environment (`HTTP_PROXY` and its family) are not used.
//! - Redirects are not followed: the caller sees them and decides what to remember.
//! - Each request says how far it may reach, see `http/reach.rs`: an address of the configuration into the local
//!   network, one that was learnt from outside to public addresses only.
//! - No request goes to our own server, see `http/own_server.rs`. Each carries the header [`OUTBOUND`], which our
//!   server refuses, for the ways there that cannot be seen from here.
//!
//! Left out: retries and waiting, which are the runtime's.

mod failures;
mod own_server;
mod reach;
mod unpack;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{Context, ensure};
pub(crate) use failures::LONGEST_WAIT;
use inboxclaw_contract::outside::OUTBOUND;
use inboxclaw_contract::{Class, Clock, Failure, Outside};
use inboxclaw_settings::Interval;
use jiff::Timestamp;
use reach::{NotPublic, PublicOnly};
pub use reach::{Reach, is_same_host};
use reqwest::header::{
    ACCEPT_ENCODING, AGE, CONTENT_ENCODING, DATE, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER,
};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url};
use unpack::ContentEncoding;

/// What the program calls itself.
pub const USER_AGENT: &str = concat!("inboxclaw/", env!("CARGO_PKG_VERSION"));

/// Longest time to reach a server.
const CONNECT: Duration = Duration::from_secs(10);
/// Longest time for a request and the whole of its answer.
const TOTAL: Duration = Duration::from_secs(45);

/// The clients that all connectors share. Made when first used, because that reads the system's certificates. Each has
/// connections of its own, so that one to a local address serves no request that may not reach it.
#[derive(Default)]
pub struct Http {
    /// By whether any address may be asked, then by whether it speaks TLS.
    clients: [[OnceLock<Client>; 2]; 2],
    /// The clock that is given the time of servers.
    clock: Option<Arc<dyn Clock>>,
    /// Where the program itself listens.
    own_server: Option<SocketAddr>,
}

/// A request to be completed and given to [`Http::send`].
pub struct Request {
    builder: RequestBuilder,
    reach: Reach,
    /// For messages.
    address: String,
}

impl Request {
    /// With a header.
    #[must_use]
    pub fn header(self, name: HeaderName, value: impl AsRef<[u8]>) -> Self {
        Self { builder: self.builder.header(name, value.as_ref()), ..self }
    }

    /// With a bearer token.
    #[must_use]
    pub fn bearer_auth(self, token: &str) -> Self {
        Self { builder: self.builder.bearer_auth(token), ..self }
    }

    /// With headers in the place of those of the same names.
    #[must_use]
    pub fn headers(self, headers: HeaderMap) -> Self {
        Self { builder: self.builder.headers(headers), ..self }
    }

    /// With a body.
    #[must_use]
    pub fn body(self, body: String) -> Self {
        Self { builder: self.builder.body(body), ..self }
    }

    /// With a time of its own for the request and the whole of its answer.
    #[must_use]
    pub fn timeout(self, longest: Duration) -> Self {
        Self { builder: self.builder.timeout(longest), ..self }
    }

    /// Called by another name in messages, where even the path of its address is a secret.
    #[must_use]
    pub fn called(self, address: impl Into<String>) -> Self {
        Self { address: address.into(), ..self }
    }
}

impl Http {
    /// The one that the connectors of this `outside` share.
    pub fn shared(outside: &Outside) -> Arc<Self> {
        let (clock, own_server) = (Some(outside.clock.clone()), outside.own_server);
        let made = || Ok::<_, Infallible>(Self { clock, own_server, ..Self::default() });
        let Ok(http) = outside.shared.get_or_make("http", made);
        http
    }

    /// A request to be completed and given to [`send`](Self::send).
    ///
    /// # Errors
    /// When the address is further than `reach` allows, or when the client cannot be made, for instance because no root
    /// certificates are installed.
    pub fn request(&self, method: Method, url: Url, reach: Reach) -> Result<Request, Failure> {
        reach.check(&url).map_err(|found| reach.refused(&shown(&url), &found))?;
        let (is_open, tls) = (reach.is_open(&url), url.scheme() == "https");
        let cell = &self.clients[usize::from(is_open)][usize::from(tls)];
        let client = match cell.get() {
            Some(client) => client,
            None => {
                let made = client(is_open, tls).map_err(failures::no_client)?;
                cell.get_or_init(|| made)
            }
        };
        let address = shown(&url);
        Ok(Request { builder: client.request(method, url), reach, address })
    }

    /// Sends a request. Any status is an answer; [`Reply::refused`] makes a failure of one.
    ///
    /// # Errors
    /// When the server cannot be reached, is further than it may be, or takes too long.
    pub async fn send(&self, request: Request) -> Result<Reply, Failure> {
        let (client, built) = request.builder.build_split();
        let built = built.map_err(|error| Failure::internal(error.without_url()))?;
        let address = request.address;
        if own_server::is_asked_by(built.url(), self.own_server).await {
            return Err(failures::own_server(&address));
        }
        match client.execute(built).await {
            Ok(response) => {
                self.tell_clock(&response);
                Ok(Reply { response, address })
            }
            Err(error) => Err(match NotPublic::among(&error) {
                Some(found) => request.reach.refused(&address, &found),
                None => failures::unreached(error, &address),
            }),
        }
    }

    /// Tells the clock what time the server says that it is. One on this machine has the same clock.
    fn tell_clock(&self, response: &Response) {
        let is_other = response.remote_addr().is_some_and(|it| !it.ip().to_canonical().is_loopback());
        let (Some(clock), Some(server)) = (&self.clock, response.url().host_str()) else { return };
        if let Some(present) = present(response).filter(|_| is_other) {
            clock.heard(server, present);
        }
    }
}

/// What time it is by the clock of who made an answer: one that comes from a cache was made before (RFC 9111, section
/// 5.1).
fn present(response: &Response) -> Option<Timestamp> {
    let age = response.headers().get(AGE).and_then(|age| age.to_str().ok()?.trim().parse().ok()).unwrap_or(0);
    date(response)?.checked_add(Duration::from_secs(age)).ok()
}

/// When an answer was made, by the clock of who made it (RFC 9110, section 6.6.1).
fn date(response: &Response) -> Option<Timestamp> {
    let date = response.headers().get(DATE)?.to_str().ok()?;
    Timestamp::try_from(httpdate::parse_http_date(date).ok()?).ok()
}

/// An answer whose body is still to come.
#[derive(Debug)]
pub struct Reply {
    response: Response,
    address: String,
}

impl Reply {
    /// The status.
    pub fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// The address for people, see [`shown`].
    pub fn address(&self) -> &str {
        &self.address
    }

    /// A header, if it is there and plain text.
    pub fn header(&self, name: HeaderName) -> Option<&str> {
        self.response.headers().get(name)?.to_str().ok()
    }

    /// Where a redirect leads, resolved against the address asked.
    ///
    /// # Errors
    /// When that is no HTTP address.
    pub fn location(&self) -> Result<Url, Failure> {
        let location = self.response.headers().get(LOCATION).map(readable).unwrap_or_default();
        let next = self.response.url().join(&location).ok().filter(|_| !location.is_empty());
        next.filter(is_http).ok_or_else(|| {
            let status = self.status().as_u16();
            let cause = format!("{} answered {status} without an http address to go on to", self.address);
            Failure::text(Class::Upstream, cause)
        })
    }

    /// The failure that this answer stands for, whatever its status. `now` is for a `Retry-After` with a date.
    pub fn refused(&self, now: Timestamp) -> Failure {
        failures::refused(self.status(), &self.address).wait(self.retry_after(now))
    }

    /// The wait that a `Retry-After` asks for. `now` is for one with a date.
    pub fn retry_after(&self, now: Timestamp) -> Option<Duration> {
        self.header(RETRY_AFTER).and_then(|value| failures::retry_after(value, now))
    }

    /// When the answer was made, by the clock of who made it (RFC 9110, section 6.6.1).
    pub fn date(&self) -> Option<Timestamp> {
        date(&self.response)
    }

    /// What comes of the body `within` that time, at most `limit` bytes, as it is. A connection whose body was read to its
    /// end serves the next request.
    pub async fn beginning(mut self, limit: usize, within: Duration) -> Vec<u8> {
        let mut body = Vec::new();
        let reading = async {
            while body.len() < limit {
                let Ok(Some(chunk)) = self.response.chunk().await else { break };
                body.extend_from_slice(&chunk[..chunk.len().min(limit - body.len())]);
            }
        };
        // What came until then is there in both cases.
        let _ = tokio::time::timeout(within, reading).await;
        body
    }

    /// The body, unpacked.
    ///
    /// # Errors
    /// When it is longer than `limit` bytes, of which no more are held, or breaks off.
    pub async fn body(self, limit: usize) -> Result<Vec<u8>, Failure> {
        let too_large = failures::too_large(&self.address, limit);
        self.body_within(limit).await?.ok_or(too_large)
    }

    /// The body, unpacked; `None` when it is longer than `limit` bytes, of which no more are held.
    ///
    /// # Errors
    /// When it breaks off or cannot be unpacked.
    pub async fn body_within(mut self, limit: usize) -> Result<Option<Vec<u8>>, Failure> {
        let packing = self.header(CONTENT_ENCODING).map_or(Ok(None), ContentEncoding::of);
        let packing = packing.map_err(|name| failures::unasked(&self.address, &name))?;
        if self.response.content_length().is_some_and(|length| length > limit as u64) {
            return Ok(None);
        }
        let mut body = Vec::new();
        loop {
            match self.response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() > limit => return Ok(None),
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => break,
                Err(error) => return Err(failures::broken_off(error, &self.address)),
            }
        }
        match packing {
            Some(packing) => unpacked(body, packing, limit, &self.address).await,
            None => Ok(Some(body)),
        }
    }
}

/// The failure of a body that is longer than `limit` bytes. `address` is for messages.
pub fn too_large(address: &str, limit: usize) -> Failure {
    failures::too_large(address, limit)
}

/// Unpacks what is packed by gzip although nothing says so; anything else is given back as it is. `None` when it is
/// longer than `limit` bytes. `address` is for messages.
///
/// # Errors
/// When it breaks off or cannot be unpacked.
pub async fn unpacked_file(body: Vec<u8>, limit: usize, address: &str) -> Result<Option<Vec<u8>>, Failure> {
    if unpack::is_gzip(&body) {
        unpacked(body, ContentEncoding::Gzip, limit, address).await
    } else {
        Ok(Some(body))
    }
}

/// Unpacks on a thread where that may take a while.
async fn unpacked(
    body: Vec<u8>,
    packing: ContentEncoding,
    limit: usize,
    address: &str,
) -> Result<Option<Vec<u8>>, Failure> {
    let unpacking = tokio::task::spawn_blocking(move || unpack::unpack(body, packing, limit));
    let unpacked = unpacking.await.map_err(Failure::internal)?;
    unpacked.map_err(|error| failures::not_unpacked(error, address))
}

/// Reads an address from a setting.
///
/// # Errors
/// When it is no http or https address. The text names the setting, and never the address, which may hold a secret.
pub fn parse_url(setting: &str, text: &str) -> anyhow::Result<Url> {
    let url = Url::parse(text.trim()).with_context(|| format!("{setting} is no address"))?;
    ensure!(is_http(&url), "{setting} is no http or https address but one of {:?}", url.scheme());
    Ok(url)
}

/// Checks the time between two polls of a server.
///
/// # Errors
/// When it is below a second.
pub fn check_interval(interval: Interval) -> anyhow::Result<()> {
    ensure!(
        interval.as_duration() >= Duration::from_secs(1),
        "poll_interval is {interval}, it must be at least 1s"
    );
    Ok(())
}

/// An address for messages: without user name, password and query, where secrets live.
pub fn shown(url: &Url) -> String {
    format!("{}{}", origin(url), url.path())
}

/// Where an address leads, for messages, without its path.
pub fn origin(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}", url.scheme(), url.host_str().unwrap_or_default())
}

fn is_http(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https") && url.has_host()
}

/// The text of a header that should be ASCII and often is not. What is not even UTF-8 is escaped as it came.
fn readable(value: &HeaderValue) -> String {
    let escaped = |bytes: &[u8]| {
        let escape = |byte: &u8| {
            if byte.is_ascii() { char::from(*byte).to_string() } else { format!("%{byte:02X}") }
        };
        bytes.iter().map(escape).collect()
    };
    str::from_utf8(value.as_bytes()).map_or_else(|_| escaped(value.as_bytes()), str::to_owned)
}

fn client(is_open: bool, tls: bool) -> reqwest::Result<Client> {
    // An error only says that a provider is installed already, by whoever embeds us.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let outbound = (HeaderName::from_static(OUTBOUND), HeaderValue::from_static("1"));
    let packed = (ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
    let mut builder = Client::builder()
        .user_agent(USER_AGENT)
        .default_headers(HeaderMap::from_iter([outbound, packed]))
        .connect_timeout(CONNECT)
        .timeout(TOTAL)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy();
    if !is_open {
        builder = builder.dns_resolver(Arc::new(PublicOnly { lookup: reach::lookup }));
    }
    if tls { builder.build() } else { builder.tls_certs_only([]).build() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked_without_showing_them() {
        assert!(parse_url("url", " https://example.org/feed ").is_ok());
        assert!(parse_url("url", "http://192.168.1.2:8080/").is_ok());
        for (bad, message) in [
            ("", "url is no address: relative URL without a base"),
            ("/feed?token=secret", "url is no address: relative URL without a base"),
            ("https://", "url is no address: empty host"),
            ("file:///etc/secret", "url is no http or https address but one of \"file\""),
        ] {
            assert_eq!(format!("{:#}", parse_url("url", bad).unwrap_err()), message);
        }
    }

    #[test]
    fn a_header_that_is_no_ascii_is_readable() {
        for (bytes, text) in
            [(b"/a".as_slice(), "/a"), ("/é".as_bytes(), "/é"), (b"/caf\xe9?a b", "/caf%E9?a b")]
        {
            assert_eq!(readable(&HeaderValue::from_bytes(bytes).unwrap()), text);
        }
    }

    #[tokio::test]
    async fn a_name_is_judged_by_what_it_stands_for() {
        let http = Http::default();
        let url = Url::parse("http://localhost:9/").unwrap();
        let request = http.request(Method::GET, url.clone(), Reach::Public).unwrap();
        let failure = http.send(request).await.unwrap_err();
        assert_eq!(failure.class, Class::Upstream);
        assert!(failure.to_string().contains("/ is not asked: it leads to "), "{failure}");
        let request = http.request(Method::GET, url, Reach::CONFIGURED).unwrap();
        assert_eq!(http.send(request).await.unwrap_err().class, Class::Connectivity);
    }

    #[test]
    fn shown_addresses_hold_no_secret() {
        let shown = |text: &str| super::shown(&Url::parse(text).unwrap());
        assert_eq!(
            shown("https://me:secret@example.org:8443/a/b?token=secret#x"),
            "https://example.org:8443/a/b"
        );
        assert_eq!(shown("http://[::1]/"), "http://[::1]/");
    }
}
