//! The one door to the network for connectors that speak HTTP: a shared client, answers that are never buffered
//! beyond a limit, and one reading of what a status means. What it means is in `http/failures.rs`.
//!
//! - TLS by rustls with the system's root certificates; plain HTTP works without any installed.
//! - Proxies of the environment (`HTTP_PROXY` and its family) are not used.
//! - Redirects are not followed: the caller sees them and decides what to remember.
//! - Any address may be asked, also one of the local network: addresses come from the configuration, whose author
//!   may reach them anyway. A connector that asks addresses found in data has to think again.
//!
//! Left out: retries and waiting, which are the runtime's.

mod failures;

use std::convert::Infallible;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{Context, ensure};
use inboxclaw_contract::{Class, Failure, Interval, Outside};
use jiff::Timestamp;
use reqwest::header::{DATE, HeaderName, LOCATION, RETRY_AFTER};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url};

/// What the program calls itself.
pub const USER_AGENT: &str = concat!("inboxclaw/", env!("CARGO_PKG_VERSION"));

/// Longest time to reach a server.
const CONNECT: Duration = Duration::from_secs(10);
/// Longest time for a request and the whole of its answer.
const TOTAL: Duration = Duration::from_secs(45);

/// The clients that all connectors share. Made when first used, because that reads the system's certificates.
#[derive(Default)]
pub struct Http {
    plain: OnceLock<Client>,
    tls: OnceLock<Client>,
}

impl Http {
    /// The one that the connectors of this `outside` share.
    pub fn shared(outside: &Outside) -> Arc<Self> {
        let Ok(http) = outside.shared.get_or_make("http", || Ok::<_, Infallible>(Self::default()));
        http
    }

    /// A request to be completed and given to [`send`](Self::send).
    ///
    /// # Errors
    /// When the client cannot be made, for instance because no root certificates are installed.
    pub fn request(&self, method: Method, url: Url) -> Result<RequestBuilder, Failure> {
        let cell = if url.scheme() == "https" { &self.tls } else { &self.plain };
        let client = match cell.get() {
            Some(client) => client,
            None => {
                let made = client(url.scheme() == "https").map_err(failures::no_client)?;
                cell.get_or_init(|| made)
            }
        };
        Ok(client.request(method, url))
    }

    /// Sends a request. Any status is an answer; [`Reply::refused`] makes a failure of one.
    ///
    /// # Errors
    /// When the server cannot be reached, or takes too long.
    pub async fn send(&self, request: RequestBuilder) -> Result<Reply, Failure> {
        let (client, request) = request.build_split();
        let request = request.map_err(|error| Failure::internal(error.without_url()))?;
        let address = shown(request.url());
        match client.execute(request).await {
            Ok(response) => Ok(Reply { response, address }),
            Err(error) => Err(failures::unreached(error, &address)),
        }
    }
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
        let location = self.header(LOCATION).unwrap_or_default();
        let next = self.response.url().join(location).ok().filter(|_| !location.is_empty());
        next.filter(is_http).ok_or_else(|| {
            let status = self.status().as_u16();
            let cause = format!("{} answered {status} without an http address to go on to", self.address);
            Failure::text(Class::Upstream, cause)
        })
    }

    /// The failure that this answer stands for, whatever its status. `now` is for a `Retry-After` with a date.
    pub fn refused(&self, now: Timestamp) -> Failure {
        let wait = self.header(RETRY_AFTER).and_then(|value| failures::retry_after(value, now));
        failures::refused(self.status(), &self.address).wait(wait)
    }

    /// When the answer was made, by the clock of who made it (RFC 9110, section 6.6.1).
    pub fn date(&self) -> Option<Timestamp> {
        let date = httpdate::parse_http_date(self.header(DATE)?).ok()?;
        Timestamp::try_from(date).ok()
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
    /// When it breaks off.
    pub async fn body_within(mut self, limit: usize) -> Result<Option<Vec<u8>>, Failure> {
        if self.response.content_length().is_some_and(|length| length > limit as u64) {
            return Ok(None);
        }
        let mut body = Vec::new();
        loop {
            match self.response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() > limit => return Ok(None),
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => return Ok(Some(body)),
                Err(error) => return Err(failures::unreached(error, &self.address)),
            }
        }
    }
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
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path())
}

fn is_http(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https") && url.has_host()
}

fn client(tls: bool) -> reqwest::Result<Client> {
    // An error only says that a provider is installed already, by whoever embeds us.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = Client::builder()
        .user_agent(USER_AGENT)
        .connect_timeout(CONNECT)
        .timeout(TOTAL)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy();
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
    fn shown_addresses_hold_no_secret() {
        let shown = |text: &str| super::shown(&Url::parse(text).unwrap());
        assert_eq!(
            shown("https://me:secret@example.org:8443/a/b?token=secret#x"),
            "https://example.org:8443/a/b"
        );
        assert_eq!(shown("http://[::1]/"), "http://[::1]/");
    }
}
