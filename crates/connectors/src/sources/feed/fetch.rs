//! Asks for the feed if it changed, and follows redirects: those that are for good (301, 308) are remembered.
//!
//! A redirect is a stranger's word, and so is what is remembered of it: it leads to public addresses, or to the host
//! of the configuration. A chain that left that host does not come back to it if it is a local one.

use std::sync::Arc;

use inboxclaw_contract::{Class, Failure};
use jiff::Timestamp;
use reqwest::header::{
    ACCEPT, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED,
    USER_AGENT,
};
use reqwest::{Method, StatusCode, Url};

use crate::http::{self, Http, Reach, Reply, is_same_host};

const ACCEPTED: HeaderValue = HeaderValue::from_static(
    "application/atom+xml, application/rss+xml, application/feed+json, application/xml;q=0.9, text/xml;q=0.9, */*;q=0.5",
);
/// How many redirects in a row are followed.
const MOST_REDIRECTS: usize = 10;
/// Longest validator that is remembered. Without it the feed is read whole each time, nothing worse.
const MOST_VALIDATOR: usize = 1024;

/// What the next request needs to know; the whole cursor.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Token {
    /// The `url` of the settings that the rest belongs to, without the password.
    url: String,
    /// Where it moved to for good, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    moved: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_modified: Option<String>,
    /// What was not understood of the feed, which stays so while it does not change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) problems: Vec<String>,
    /// How the feed was read, see [`READING`].
    #[serde(default)]
    reading: u8,
}

/// Grows when documents are read in another way, so that each feed is read whole once more and what is remembered of
/// its entries is brought up to date before any of them changes.
const READING: u8 = 2;

impl Token {
    /// Whether the token was made with this `url` in the settings.
    pub(super) fn is_for(&self, url: &Url) -> bool {
        self.url == without_password(url)
    }

    /// Forgets where the feed moved to.
    pub(super) fn forget_move(&mut self) {
        self.moved = None;
    }

    /// Forgets the validators, so that the feed is read whole the next time.
    pub(super) fn forget_validators(&mut self) {
        (self.etag, self.last_modified) = (None, None);
    }
}

/// What became of a request.
pub(super) enum FetchResult {
    /// The feed is as it was.
    Unchanged(Token),
    /// The feed may have changed.
    Document(FetchedDocument),
}

/// A document and where it came from.
pub(super) struct FetchedDocument {
    pub(super) body: Vec<u8>,
    pub(super) content_type: Option<String>,
    pub(super) url: Url,
    pub(super) token: Token,
}

/// Knows whom to ask, and how.
pub(super) struct Fetcher {
    pub(super) http: Arc<Http>,
    pub(super) url: Url,
    pub(super) user_agent: Option<HeaderValue>,
    pub(super) max_bytes: usize,
    pub(super) allow_private: bool,
}

impl Fetcher {
    /// Where the feed moved to for good, if it did.
    pub(super) fn moved_to(&self, before: Option<&Token>) -> Option<Url> {
        let moved = Url::parse(before?.moved.as_deref()?).ok()?;
        Some(with_login(moved, &self.url))
    }

    /// Fetches the feed from the configured address, unless it is as `before` says.
    pub(super) async fn fetch(&self, before: Option<&Token>, now: Timestamp) -> Result<FetchResult, Failure> {
        self.fetch_from(self.url.clone(), before, now).await
    }

    /// Fetches the feed from an address, unless it is as `before` says.
    pub(super) async fn fetch_from(
        &self,
        from: Url,
        before: Option<&Token>,
        now: Timestamp,
    ) -> Result<FetchResult, Failure> {
        let mut reach = self.reach(&from);
        let (mut at, mut moved, mut for_good) = (from.clone(), from, true);
        for _ in 0..=MOST_REDIRECTS {
            let reply = self.ask(&at, reach, before).await?;
            match reply.status().as_u16() {
                301 | 302 | 303 | 307 | 308 => {
                    for_good &= matches!(reply.status().as_u16(), 301 | 308);
                    at = with_login(reply.location()?, &at);
                    reach = self.onward(reach, &at);
                    if for_good {
                        moved = at.clone();
                    }
                }
                304 => {
                    let token = before.filter(|token| token.etag.is_some() || token.last_modified.is_some());
                    let token = token.ok_or_else(|| reply.refused(now))?.clone();
                    return Ok(FetchResult::Unchanged(Token { moved: self.moved(&moved), ..token }));
                }
                // A proxy that changed the answer says 203 (RFC 9110, section 15.3.4); 226 is a feed with what is new in
                // it (RFC 3229), which some servers say of every answer.
                200 | 203 | 226 => return self.document(reply, at, self.moved(&moved)).await,
                _ => return Err(refused(&reply, now)),
            }
        }
        let address = http::shown(&self.url);
        Err(Failure::text(Class::Upstream, format!("{address} redirects more than {MOST_REDIRECTS} times")))
    }

    /// How far a request may reach that goes to `url`, asked or sent on from the configured address.
    fn reach(&self, url: &Url) -> Reach {
        let configured = Reach::Configured { allow_private: self.allow_private };
        if is_same_host(url, &self.url) { configured } else { Reach::Public }
    }

    /// How far a request may reach that follows a redirect to `url` from an address of `reach`.
    fn onward(&self, reach: Reach, url: &Url) -> Reach {
        if reach == Reach::Public { reach } else { self.reach(url) }
    }

    async fn ask(&self, url: &Url, reach: Reach, before: Option<&Token>) -> Result<Reply, Failure> {
        let mut request = self.http.request(Method::GET, url.clone(), reach)?.header(ACCEPT, ACCEPTED);
        if let Some(user_agent) = &self.user_agent {
            request = request.header(USER_AGENT, user_agent);
        }
        if let Some(before) = before.filter(|before| before.reading == READING) {
            for (name, value) in [(IF_NONE_MATCH, &before.etag), (IF_MODIFIED_SINCE, &before.last_modified)] {
                // Checked, because people can edit a cursor.
                if let Some(value) = value.as_deref().and_then(|value| HeaderValue::from_str(value).ok()) {
                    request = request.header(name, value);
                }
            }
        }
        self.http.send(request).await
    }

    async fn document(&self, reply: Reply, url: Url, moved: Option<String>) -> Result<FetchResult, Failure> {
        let header = |name: HeaderName| reply.header(name).map(str::to_owned);
        let validator =
            |name| header(name).filter(|value| !value.is_empty() && value.len() <= MOST_VALIDATOR);
        let token = Token {
            url: without_password(&self.url),
            moved,
            etag: validator(ETAG),
            last_modified: validator(LAST_MODIFIED),
            problems: Vec::new(),
            reading: READING,
        };
        let content_type = header(CONTENT_TYPE);
        let (address, limit) = (reply.address().to_owned(), self.max_bytes);
        let mut body = reply.body_within(limit).await?;
        if let Some(packed) = body {
            body = http::unpacked_file(packed, limit, &address).await?;
        }
        let body = body.ok_or_else(|| {
            let action = format!("raise `max_bytes` (now {limit}) if the feed is fine");
            http::too_large(&address, limit).action(action)
        })?;
        Ok(FetchResult::Document(FetchedDocument { body, content_type, url, token }))
    }

    fn moved(&self, to: &Url) -> Option<String> {
        (*to != self.url).then(|| without_password(to))
    }
}

fn refused(reply: &Reply, now: Timestamp) -> Failure {
    let failure = reply.refused(now);
    match reply.status() {
        // "Gone" is the server's word for "stop asking", so ask as rarely as we ask anybody.
        StatusCode::GONE => Failure { class: Class::Configuration, ..failure }
            .action("the feed was closed: remove the source or set `url` to where it continues"),
        StatusCode::NOT_FOUND => failure.action("check `url`"),
        _ => failure,
    }
}

/// Whether another address of the feed may work where one does not.
pub(super) fn is_about_address(failure: &Failure) -> bool {
    use Class::{Authentication, Authorization, Configuration, Connectivity, Upstream};
    let class =
        matches!(failure.class, Authentication | Authorization | Configuration | Connectivity | Upstream);
    class && failure.wait.is_none()
}

/// The password is in the settings already; state is for people to look at.
fn without_password(url: &Url) -> String {
    let mut url = url.clone();
    // Fails only for addresses without a host, which are none of ours.
    let _ = url.set_password(None);
    url.into()
}

/// The address with the login of `known` when it is of the same server, and not less protected than that one.
fn with_login(mut url: Url, known: &Url) -> Url {
    let port = url.port_or_known_default() == known.port_or_known_default();
    let same = url.scheme() == known.scheme() && port || url.scheme() == "https" && known.scheme() == "http";
    if same && url.host() == known.host() && url.password().is_none() {
        let _ = url.set_username(known.username()).and_then(|()| url.set_password(known.password()));
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_goes_to_its_own_server_only() {
        for (to, known, result) in [
            ("https://h/b", "https://me:pw@h/a", "https://me:pw@h/b"),
            ("https://h/b", "http://me:pw@h/a", "https://me:pw@h/b"),
            ("http://h/b", "https://me:pw@h/a", "http://h/b"),
            ("https://h:1/b", "https://me:pw@h/a", "https://h:1/b"),
            ("https://evil/b", "https://me:pw@h/a", "https://evil/b"),
            ("https://you:x@h/b", "https://me:pw@h/a", "https://you:x@h/b"),
        ] {
            let url = with_login(Url::parse(to).unwrap(), &Url::parse(known).unwrap());
            assert_eq!(url.as_str(), result);
        }
    }

    #[test]
    fn a_redirect_that_left_the_configured_host_does_not_come_back_to_it() {
        let url = |text: &str| Url::parse(text).unwrap();
        let (http, user_agent) = (Arc::default(), None);
        let fetcher =
            Fetcher { http, url: url("http://nas/f"), user_agent, max_bytes: 1, allow_private: false };
        let stays = fetcher.onward(Reach::CONFIGURED, &url("https://nas.:8443/f"));
        assert_eq!(stays, Reach::CONFIGURED);
        let left = fetcher.onward(stays, &url("https://elsewhere.example/"));
        assert_eq!((left, fetcher.onward(left, &url("http://nas/f"))), (Reach::Public, Reach::Public));
    }

    #[test]
    fn the_cursor_holds_no_password() {
        assert_eq!(without_password(&Url::parse("http://me:pw@h/a?b").unwrap()), "http://me@h/a?b");
    }
}
