//! The token endpoint (RFC 6749, sections 4.1.3, 5 and 6): one form goes there, tokens or a denial come back.
//!
//! Left out: which form it is. `account` renews a token with it, `oauth` exchanges a code.

use std::fmt;

use inboxclaw_contract::{Class, Failure};
use jiff::Timestamp;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Method, Url};
use serde::Deserialize;

use super::refusal;
use crate::http::{Http, Reach, Reply};

/// The endpoint where a file names none.
pub const DEFAULT: &str = "https://oauth2.googleapis.com/token";

/// Largest answer in bytes.
const ANSWER_BYTES: usize = 64 << 10;

/// What the endpoint gave.
#[derive(Deserialize)]
pub struct TokenGrant {
    /// For requests to the services. Never empty.
    pub access_token: String,
    /// A refresh token, if there is a new one.
    #[serde(default)]
    pub refresh_token: Option<String>,
    /// How long the access token is good, in seconds from now.
    #[serde(default)]
    pub expires_in: Option<u64>,
    /// What the token is good for: addresses of scopes with spaces between.
    #[serde(default)]
    pub scope: Option<String>,
}

/// Shows no token.
impl fmt::Debug for TokenGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { access_token: _, refresh_token, expires_in, scope } = self;
        let mut shown = f.debug_struct("Granted");
        shown.field("refresh_token", &refresh_token.is_some());
        shown.field("expires_in", expires_in).field("scope", scope).finish_non_exhaustive()
    }
}

/// Why there are no tokens.
#[derive(Debug)]
pub struct TokenDenied {
    /// The word for it, such as `invalid_grant`; `None` when the endpoint could not be asked or answered otherwise.
    pub code: Option<String>,
    /// What the endpoint says about it, cut to a few hundred characters.
    pub description: Option<String>,
    /// The same as a failure, with the wait that was asked for and without an action.
    pub failure: Failure,
}

impl From<Failure> for TokenDenied {
    fn from(failure: Failure) -> Self {
        Self { code: None, description: None, failure }
    }
}

/// Sends a form to the endpoint. Tries once.
///
/// # Errors
/// A [`TokenDenied`], also when there is no usable answer.
pub async fn post(
    http: &Http,
    token_uri: &Url,
    reach: Reach,
    form: &[(&str, &str)],
) -> Result<TokenGrant, TokenDenied> {
    let mut encoded = token_uri.clone();
    encoded.query_pairs_mut().clear().extend_pairs(form);
    let form = encoded.query().unwrap_or_default().to_owned();
    let request = http.request(Method::POST, token_uri.clone(), reach)?;
    let request = request
        .header(ACCEPT, "application/json")
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(form);
    let reply = http.send(request).await?;
    if !reply.status().is_success() {
        return Err(denied(reply).await);
    }
    let address = reply.address().to_owned();
    let body = reply.body(ANSWER_BYTES).await?;
    // What serde says of a wrong type would show the value, and the values here are secrets.
    let granted =
        serde_json::from_slice::<TokenGrant>(&body).ok().filter(|granted| is_sendable(&granted.access_token));
    let no_token = || format!("{address} answered without a usable access token");
    Ok(granted.ok_or_else(|| Failure::text(Class::Upstream, no_token()))?)
}

/// Whether a token can stand in a header: visible ASCII and not empty.
pub(super) fn is_sendable(token: &str) -> bool {
    !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic())
}

#[derive(Deserialize)]
struct Problem {
    error: String,
    #[serde(default)]
    error_description: Option<String>,
}

async fn denied(reply: Reply) -> TokenDenied {
    let (status, address) = (reply.status().as_u16(), reply.address().to_owned());
    // There is no clock here, and the endpoint's own is the better one for a date that it names.
    let mut failure = reply.refused(reply.date().unwrap_or(Timestamp::MAX));
    let body = reply.body_within(ANSWER_BYTES).await.ok().flatten().unwrap_or_default();
    let problem = serde_json::from_slice::<Problem>(&body).ok();
    failure.class = class(status, problem.as_ref().map(|problem| problem.error.as_str()));
    let Some(Problem { error, error_description }) = problem else {
        return TokenDenied { code: None, description: None, failure };
    };
    let code = refusal::cut(&error);
    let description = error_description.map(|text| refusal::cut(&text)).filter(|text| !text.is_empty());
    let said = description.as_ref().map(|text| format!(": {text}")).unwrap_or_default();
    failure.cause = anyhow::anyhow!("{address} answered {status} {code}{said}");
    TokenDenied { code: Some(code), description, failure }
}

/// RFC 6749, section 5.2, and the codes that Google adds:
/// <https://developers.google.com/identity/protocols/oauth2/web-server#authorization-errors>.
fn class(status: u16, code: Option<&str>) -> Class {
    match (code, status) {
        (Some("internal_failure" | "server_error" | "temporarily_unavailable"), _) | (_, 500..) => {
            Class::Upstream
        }
        (Some("slow_down" | "rate_limit_exceeded"), _) | (_, 429) => Class::RateLimited,
        (_, 408) => Class::Timeout,
        (Some("invalid_grant"), _) => Class::Authentication,
        (
            Some(
                "access_denied"
                | "admin_policy_enforced"
                | "invalid_scope"
                | "org_internal"
                | "unauthorized_client",
            ),
            _,
        ) => Class::Authorization,
        // The rest is about the client or the address, and both are somebody's entries.
        _ => Class::Configuration,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denial_says_what_happens_next() {
        for (status, code, expected) in [
            (400, Some("invalid_grant"), Class::Authentication),
            (401, Some("invalid_client"), Class::Configuration),
            (400, Some("invalid_scope"), Class::Authorization),
            (404, None, Class::Configuration),
            (400, Some("temporarily_unavailable"), Class::Upstream),
            (503, None, Class::Upstream),
            (503, Some("invalid_grant"), Class::Upstream),
            (408, None, Class::Timeout),
            (429, None, Class::RateLimited),
            (403, Some("rate_limit_exceeded"), Class::RateLimited),
        ] {
            assert_eq!(class(status, code), expected, "{status} {code:?}");
        }
    }

    #[test]
    fn tokens_are_never_shown() {
        let granted =
            r#"{"access_token": "SECRET1", "refresh_token": "SECRET2", "expires_in": 3599, "scope": "a b"}"#;
        let granted: TokenGrant = serde_json::from_str(granted).unwrap();
        let shown = format!("{granted:?}");
        assert!(!shown.contains("SECRET") && shown.contains("3599"), "{shown}");
    }

    #[test]
    fn a_token_has_to_fit_into_a_header() {
        assert!(is_sendable("ya29.a0-_~+/="));
        for bad in ["", "a b", "a\nb", "ü"] {
            assert!(!is_sendable(bad), "{bad:?}");
        }
    }
}
