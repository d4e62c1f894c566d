//! Who may ask: one check in front of every route. A web page must not reach the program through the browser of the
//! person at this machine, under whatever name, and where a token is set everybody needs it.
//!
//! Left out: what may be asked. Whoever passes may use every route.

use std::net::IpAddr;

use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, AUTHORIZATION, HOST, HeaderName, ORIGIN, VARY,
    WWW_AUTHENTICATE,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode};
use subtle::{Choice, ConstantTimeEq};

use crate::serve::ServerSettings;
use crate::serve::reply::{self, Reply};

/// The one path that needs no token, because what watches a process mostly has none; it says nothing but "ok".
const OPEN_PATH: &str = "/healthcheck/live";

/// Names of this machine for itself. A browser resolves them locally, so no page can make its own name one of them.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// What the configuration allows.
pub(crate) struct Guard {
    /// Lower case, with or without a port.
    hosts: Vec<String>,
    origins: Vec<String>,
    /// Who knows one of them passes; `None` when everybody does.
    tokens: Option<Vec<String>>,
}

/// What becomes of a request.
pub(crate) enum Verdict {
    /// It goes on; the answer may be read by a page of that origin.
    Pass {
        /// The listed origin of the page that asks, if one does.
        origin: Option<String>,
    },
    /// It ends here.
    Answer(Reply),
}

impl Guard {
    /// The guard of that configuration. The run's own token counts only where tokens are needed at all.
    pub(crate) fn new(settings: &ServerSettings, run_token: Option<&str>) -> Self {
        let hosts = settings.allowed_hosts.iter().map(|host| host.to_ascii_lowercase());
        let bound = match settings.host.parse() {
            Ok(IpAddr::V6(ip)) => format!("[{ip}]"),
            _ => settings.host.to_ascii_lowercase(),
        };
        let tokens = settings.token.iter().map(String::as_str).chain(run_token).map(str::to_owned);
        Self {
            hosts: hosts.chain([bound]).collect(),
            origins: settings.cors_origins.iter().map(|origin| origin.to_ascii_lowercase()).collect(),
            tokens: settings.token.is_some().then(|| tokens.collect()),
        }
    }

    /// Judges a request that arrived at the address `local`.
    pub(crate) fn check(&self, request: &Parts, local: IpAddr) -> Verdict {
        let headers = &request.headers;
        let Some(host) = host(request).filter(|host| self.knows(host, local)) else {
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
        if request.uri.path() != OPEN_PATH && !self.is_known(headers) {
            return Verdict::Answer(self.share(unknown(headers), origin));
        }
        Verdict::Pass { origin }
    }

    /// Lets a page of that origin read the answer.
    pub(crate) fn share(&self, reply: Reply, origin: Option<String>) -> Reply {
        // Caches must keep answers for different pages apart, also the answer to nobody in particular.
        let reply = if self.origins.is_empty() { reply } else { reply::with(reply, VARY, "origin") };
        match origin {
            Some(origin) => reply::with(reply, ACCESS_CONTROL_ALLOW_ORIGIN, &origin),
            None => reply,
        }
    }

    /// Whether `host` is a name of this server. The address that the client connected to is one: it cannot be given
    /// to somebody else's name.
    fn knows(&self, host: &str, local: IpAddr) -> bool {
        let name = without_port(host);
        let local = match local {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        };
        LOOPBACK.contains(&name)
            || name == local
            || self.hosts.iter().any(|known| known.as_str() == name || known.as_str() == host)
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
            && !["http://", "https://"].iter().any(|scheme| origin.strip_prefix(scheme) == Some(host))
        {
            return Err("pages of this origin may not ask; server.cors_origins adds origins");
        }
        let site = headers.get("sec-fetch-site").and_then(|site| site.to_str().ok());
        if !listed && matches!(site, Some("cross-site" | "same-site")) {
            return Err("other sites may not ask; server.cors_origins adds origins");
        }
        Ok(origin.filter(|_| listed))
    }

    /// Whether the request carries a token that counts, if one is needed. Takes as long for a wrong one.
    fn is_known(&self, headers: &HeaderMap) -> bool {
        let Some(tokens) = &self.tokens else { return true };
        let Some(given) = bearer(headers) else { return false };
        let equal = tokens.iter().map(|token| token.as_bytes().ct_eq(given.as_bytes()));
        equal.fold(Choice::from(0), |any, equal| any | equal).into()
    }
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
        (ACCESS_CONTROL_ALLOW_METHODS, "GET, POST"),
        (ACCESS_CONTROL_ALLOW_HEADERS, "authorization, cache-control, content-type, last-event-id"),
        (ACCESS_CONTROL_MAX_AGE, "600"),
    ];
    let reply = reply::of(StatusCode::OK, "text/plain; charset=utf-8", "OK");
    headers.into_iter().fold(reply, |reply, (name, value)| reply::with(reply, name, value))
}
