//! Who may ask: one check in front of every route. A web page must not reach the program through the browser of the
//! person at this machine, under whatever name, and where a token is set everybody needs it.
//!
//! Left out: what may be asked. Whoever passes may use every route.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, AUTHORIZATION,
    HOST, HeaderName, ORIGIN, VARY, WWW_AUTHENTICATE,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, Version};
use axum::middleware::Next;
use inboxclaw_contract::outside::OUTBOUND;
use subtle::ConstantTimeEq;

use crate::clients::{Author, Peer};
use crate::reply::{self, Reply};
use crate::settings::ServerSettings;

/// The one path that needs no token, because what watches a process mostly has none; it says nothing but "ok".
const OPEN_PATH: &str = crate::proof::PATH;

/// The paths that say how the program is. Whoever asks them in HTTP/1.0 need not name a host: balancers do so, and no
/// browser does.
const HEALTH_PATHS: [&str; 3] = ["/", "/healthcheck", OPEN_PATH];

/// Names of this machine for itself. A browser resolves them locally, so no page can make its own name one of them.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// The header in which the command line says whose it is.
pub const USER: &str = "inboxclaw-user";
/// Most characters of that name that are kept.
const USER_CHARS: usize = 64;
/// Who asks without a token.
const ANYBODY: &str = "http";

/// What the configuration allows.
pub(crate) struct Guard {
    /// Lower case, with or without a port.
    hosts: Vec<String>,
    origins: Vec<String>,
    /// Who knows it passes; when there is none, everybody does.
    token: Option<String>,
    /// The token of this run: who knows it passes, and says which user asks.
    run_token: Option<String>,
}

/// What becomes of a request.
enum Verdict {
    /// It goes on; the answer may be read by a page of that origin.
    Pass {
        /// The listed origin of the page that asks, if one does.
        origin: Option<String>,
        /// Who asks, for history: `cli:NAME`, `token`, or `http` for somebody without a token.
        who: String,
    },
    /// It ends here.
    Answer(Reply),
}

/// The layer in front of every route: passes a request on, with who asks ([`Author`], [`Client`]), or refuses it.
pub(crate) async fn judge(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Reply {
    let (mut parts, body) = request.into_parts();
    let Some(peer) = parts.extensions.remove::<Peer>() else { return reply::internal() };
    let (origin, who) = match guard.check(&parts, peer.local) {
        Verdict::Pass { origin, who } => (origin, who),
        Verdict::Answer(reply) => return reply,
    };
    // Balancers ask so whether somebody is there.
    if parts.method == Method::OPTIONS && HEALTH_PATHS.contains(&parts.uri.path()) {
        return guard.share(reply::methods("GET, HEAD, OPTIONS"), origin);
    }
    parts.extensions.insert(peer.client.behind(&parts.headers));
    parts.extensions.insert(Author(who));
    guard.share(next.run(Request::from_parts(parts, body)).await, origin)
}

impl Guard {
    /// The guard of that configuration. Tokens are needed only where the configuration has one.
    pub(crate) fn new(settings: &ServerSettings, run_token: Option<&str>) -> Self {
        let hosts = settings.allowed_hosts.iter().map(|host| host.to_ascii_lowercase());
        let bound = match settings.host.parse() {
            Ok(IpAddr::V6(ip)) => format!("[{ip}]"),
            _ => settings.host.to_ascii_lowercase(),
        };
        Self {
            hosts: hosts.chain([bound]).collect(),
            origins: settings.cors_origins.iter().map(|origin| origin.to_ascii_lowercase()).collect(),
            token: settings.token.clone(),
            run_token: run_token.map(str::to_owned),
        }
    }

    /// Judges a request that arrived at the address `local`.
    fn check(&self, request: &Parts, local: IpAddr) -> Verdict {
        let headers = &request.headers;
        if headers.contains_key(OUTBOUND) {
            return refuse(
                "inboxclaw itself asks here, sent by a redirect or a setting; its own requests are refused",
            );
        }
        let host = if is_plain_check(request) { Some(String::new()) } else { self.host(request, local) };
        let Some(host) = host else {
            return refuse("the host name is not one of this server's; server.allowed_hosts adds names");
        };
        let origin = match self.origin(headers, &host) {
            Ok(origin) => origin,
            Err(reason) => return refuse(reason),
        };
        if request.method == Method::OPTIONS
            && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
            && let Some(origin) = origin
        {
            return Verdict::Answer(self.share(preflight(), Some(origin)));
        }
        match self.who(headers) {
            None if request.uri.path() != OPEN_PATH => Verdict::Answer(self.share(unknown(headers), origin)),
            who => Verdict::Pass { origin, who: who.unwrap_or_else(|| ANYBODY.to_owned()) },
        }
    }

    /// Lets a page of that origin read the answer.
    fn share(&self, reply: Reply, origin: Option<String>) -> Reply {
        // Caches must keep answers for different pages apart, also the answer to nobody in particular.
        let reply = if self.origins.is_empty() { reply } else { reply::with(reply, VARY, "origin") };
        match origin {
            Some(origin) => {
                let reply = reply::with(reply, ACCESS_CONTROL_ALLOW_ORIGIN, &origin);
                reply::with(reply, ACCESS_CONTROL_EXPOSE_HEADERS, "etag, inboxclaw-ignored")
            }
            None => reply,
        }
    }

    /// The host that the request is for, if it is this server.
    fn host(&self, request: &Parts, local: IpAddr) -> Option<String> {
        host(request).filter(|host| self.knows(host, local))
    }

    /// Whether `host` is a name of this server. The address that the client connected to is one: it cannot be given
    /// to somebody else's name.
    fn knows(&self, host: &str, local: IpAddr) -> bool {
        // With a dot at its end a name is the same name, written whole.
        let name = without_port(host);
        let (name, port) = (name.strip_suffix('.').unwrap_or(name), &host[name.len()..]);
        let whole = format!("{name}{port}");
        let local = match local {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        };
        LOOPBACK.contains(&name)
            || name == local
            || self.hosts.iter().any(|known| known.as_str() == name || *known == whole)
    }

    /// The listed origin that asks, if any page does.
    fn origin(&self, headers: &HeaderMap, host: &str) -> Result<Option<String>, &'static str> {
        let mut origins = headers.get_all(ORIGIN).iter();
        let origin = match (origins.next().map(|origin| origin.to_str()), origins.next()) {
            (None, _) => None,
            (Some(Ok(origin)), None) => Some(origin.to_ascii_lowercase()),
            _ => return Err("the origin cannot be read"),
        };
        let listed = origin.as_ref().is_some_and(|origin| self.origins.contains(origin));
        if let Some(origin) = &origin
            && !listed
            && (host.is_empty()
                || !["http://", "https://"].iter().any(|scheme| origin.strip_prefix(scheme) == Some(host)))
        {
            return Err("pages of this origin may not ask; server.cors_origins adds origins");
        }
        let site = headers.get("sec-fetch-site").and_then(|site| site.to_str().ok());
        if !listed && matches!(site, Some("cross-site" | "same-site")) {
            return Err("other sites may not ask; server.cors_origins adds origins");
        }
        Ok(origin.filter(|_| listed))
    }

    /// Who asks, by the token that the request carries; `None` when it carries none that counts and one is needed.
    /// Takes as long for a wrong one.
    fn who(&self, headers: &HeaderMap) -> Option<String> {
        let given = bearer(headers).unwrap_or_default().as_bytes();
        let is = |token: &Option<String>| match token {
            Some(token) => bool::from(token.as_bytes().ct_eq(given)),
            None => false,
        };
        let (is_token, is_run) = (is(&self.token), is(&self.run_token));
        if is_run {
            return Some(user(headers));
        }
        let word = if is_token { "token" } else { ANYBODY };
        (is_token || self.token.is_none()).then(|| word.to_owned())
    }
}

/// Who a request of the command line is from. The header says nothing without the token of the run, which only the
/// user of this program can read.
fn user(headers: &HeaderMap) -> String {
    let name = headers.get(USER).map(|name| String::from_utf8_lossy(name.as_bytes()));
    let name = name.unwrap_or_default();
    let printable = name.chars().filter(|c| !c.is_control() && *c != char::REPLACEMENT_CHARACTER);
    format!("cli:{}", printable.take(USER_CHARS).collect::<String>())
}

/// Whether it is how balancers look whether somebody is there: without a host, which HTTP/1.0 does not ask for.
fn is_plain_check(request: &Parts) -> bool {
    request.version == Version::HTTP_10
        && HEALTH_PATHS.contains(&request.uri.path())
        && request.uri.authority().is_none()
        && !request.headers.contains_key(HOST)
}

/// The host that the request is for, in lower case. Two different ones are no host.
fn host(request: &Parts) -> Option<String> {
    let mut headers = request.headers.get_all(HOST).iter();
    let header = headers.next()?.to_str().ok()?;
    let same =
        request.uri.authority().is_none_or(|authority| authority.as_str().eq_ignore_ascii_case(header));
    (same && headers.next().is_none()).then(|| header.to_ascii_lowercase())
}

/// The name of a host without its port; the brackets of an IPv6 address stay.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn refuse(reason: &str) -> Verdict {
    Verdict::Answer(reply::detail(StatusCode::FORBIDDEN, reason))
}

fn unknown(headers: &HeaderMap) -> Reply {
    let challenge = match headers.get(AUTHORIZATION) {
        Some(_) => r#"Bearer realm="inboxclaw", error="invalid_token""#,
        None => r#"Bearer realm="inboxclaw""#,
    };
    reply::with(reply::detail(StatusCode::UNAUTHORIZED, "Not authenticated"), WWW_AUTHENTICATE, challenge)
}

fn preflight() -> Reply {
    let headers: [(HeaderName, &str); 3] = [
        (ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, PUT, DELETE"),
        (
            ACCESS_CONTROL_ALLOW_HEADERS,
            "authorization, cache-control, content-type, if-match, if-none-match, last-event-id",
        ),
        (ACCESS_CONTROL_MAX_AGE, "600"),
    ];
    let reply = reply::of(StatusCode::OK, "text/plain; charset=utf-8", "OK");
    headers.into_iter().fold(reply, |reply, (name, value)| reply::with(reply, name, value))
}
