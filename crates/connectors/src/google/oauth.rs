//! Consent: what a person is asked for, and how the answer that a browser brings back becomes a token.
//!
//! The flow is that of an application on a desktop: authorization code, PKCE with S256, a redirect to the loopback
//! address. <https://developers.google.com/identity/protocols/oauth2/native-app>, RFC 8252, RFC 7636.
//!
//! `scopes` knows the short words for scopes, `credentials` reads the file of the OAuth client. Left out: receiving the
//! redirect and talking to the person (the command line's), the token file (`token_file`).

mod credentials;
mod scopes;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
pub use credentials::{Credentials, CredentialsError};
use inboxclaw_contract::Random;
use jiff::Timestamp;
use reqwest::Url;
pub use scopes::{Scopes, UnknownScope};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::endpoint::{self, TokenDenied, TokenGrant};
use super::token_file::{Flaw, TokenFile};
use crate::http::{Http, Reach};

/// The port of the loopback address that redirects go to where the client of the file allows no other.
pub const PORT: u16 = 8765;

/// Bytes of randomness in a verifier: 128 characters, the longest that RFC 7636 allows.
const VERIFIER_BYTES: usize = 96;
/// Bytes of randomness in a state.
const STATE_BYTES: usize = 32;

/// One request for consent.
pub struct Consent {
    port: u16,
    state: String,
    verifier: String,
    scopes: Scopes,
}

/// Why an address that came back holds no code for us. None of the texts shows what may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoCode {
    /// No address at all.
    #[error("that is no address: it has to begin with {0}")]
    NoAddress(String),
    /// The address of something else.
    #[error("that is another address: it has to begin with {0}")]
    Elsewhere(String),
    /// The answer to another request: an old window, or somebody who guesses.
    #[error(
        "that is the answer to another request (its state differs): open the address that this run shows"
    )]
    Foreign,
    /// Google or the person said no.
    #[error("{}", refused(.error, .description.as_deref()))]
    Refused {
        /// The code of the error, such as `access_denied`.
        error: String,
        /// Google's words for it.
        description: Option<String>,
    },
    /// Neither a code nor an error.
    #[error("that address holds no code: copy all of it, from the window where consent was given")]
    Missing,
}

impl Consent {
    /// A request for `scopes`, whose answer is redirected to `port` of the loopback address.
    pub fn new(random: &dyn Random, port: u16, scopes: Scopes) -> Self {
        let text = |bytes| BASE64_URL_SAFE_NO_PAD.encode(self::random(random, bytes));
        Self { port, state: text(STATE_BYTES), verifier: text(VERIFIER_BYTES), scopes }
    }

    /// What is asked for.
    pub fn scopes(&self) -> &Scopes {
        &self.scopes
    }

    /// The address that answers are redirected to.
    pub fn redirect(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    /// The address where a person says yes or no.
    pub fn url(&self, credentials: &Credentials) -> Url {
        let challenge = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(&self.verifier));
        let mut url = credentials.auth_uri.clone();
        url.query_pairs_mut().extend_pairs([
            ("response_type", "code"),
            ("client_id", &credentials.client_id),
            ("redirect_uri", &self.redirect()),
            ("scope", &self.scopes.joined()),
            ("state", &self.state),
            // Without these two Google gives a refresh token at the first consent only, or none at all.
            ("access_type", "offline"),
            ("prompt", "consent"),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ]);
        url
    }

    /// The code in an address that a browser was redirected to. Blanks and quotes around it do not count.
    ///
    /// # Errors
    /// [`NoCode`].
    pub fn code(&self, redirected: &str) -> Result<String, NoCode> {
        let text = redirected.trim_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '\''));
        let url = Url::parse(text).ok().filter(Url::has_host);
        let url = url.ok_or_else(|| NoCode::NoAddress(self.redirect()))?;
        let parts = (url.scheme(), url.host_str(), url.port_or_known_default(), url.path());
        if parts != ("http", Some("127.0.0.1"), Some(self.port), "/") {
            return Err(NoCode::Elsewhere(self.redirect()));
        }
        let find = |name: &str| {
            let found = url.query_pairs().find(|(key, _)| key == name);
            found.map(|(_, value)| value.into_owned()).filter(|value| !value.is_empty())
        };
        let (state, error) = (find("state"), find("error"));
        // A refusal may come without a state; it gives nobody anything.
        let is_ours = state.as_ref() == Some(&self.state) || (state.is_none() && error.is_some());
        match (error, find("code")) {
            (None, None) => Err(NoCode::Missing),
            _ if !is_ours => Err(NoCode::Foreign),
            (Some(error), _) => Err(NoCode::Refused { error, description: find("error_description") }),
            (None, Some(code)) => Ok(code),
        }
    }

    /// Exchanges a code for tokens. A code is good for one exchange.
    ///
    /// # Errors
    /// Those of [`endpoint::post`].
    pub async fn exchange(
        &self,
        http: &Http,
        reach: Reach,
        credentials: &Credentials,
        code: &str,
    ) -> Result<TokenGrant, TokenDenied> {
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &self.redirect()),
            ("client_id", &credentials.client_id),
            ("client_secret", &credentials.client_secret),
            ("code_verifier", &self.verifier),
        ];
        endpoint::post(http, &credentials.token_uri, reach, &form).await
    }

    /// The token file for what was granted. Its scopes are those that the person allowed, which may be fewer than were
    /// asked for: a renewal that names any other is refused. `asked` is when the exchange began.
    ///
    /// # Errors
    /// A [`Flaw`] when no refresh token was granted, without which a file is of no use.
    pub fn token_file(
        &self,
        credentials: &Credentials,
        granted: &TokenGrant,
        asked: Timestamp,
    ) -> Result<TokenFile, Flaw> {
        let allowed: Vec<&str> = granted.scope.as_deref().unwrap_or_default().split_whitespace().collect();
        // An endpoint that names none grants what was asked for: RFC 6749, section 5.1.
        let scopes = if allowed.is_empty() { self.scopes.each().collect() } else { allowed };
        let keys = json!({
            "token": granted.access_token,
            "refresh_token": granted.refresh_token,
            "token_uri": credentials.token_uri.as_str(),
            "client_id": credentials.client_id,
            "client_secret": credentials.client_secret,
            "scopes": scopes,
            "universe_domain": "googleapis.com",
            "account": "",
        });
        let mut file = TokenFile::parse(keys.to_string().as_bytes())?;
        file.renew(granted, asked);
        Ok(file)
    }
}

fn random(random: &dyn Random, bytes: usize) -> Vec<u8> {
    let mut all: Vec<u8> =
        std::iter::repeat_with(|| random.next().to_le_bytes()).take(bytes.div_ceil(16)).flatten().collect();
    all.truncate(bytes);
    all
}

fn refused(error: &str, description: Option<&str>) -> String {
    let said = match error {
        "access_denied" => "consent was refused (access_denied)".to_owned(),
        error => format!("Google answered with the error {error}"),
    };
    match description {
        Some(description) => format!("{said}: {description}"),
        None => said,
    }
}

#[cfg(test)]
mod tests;
