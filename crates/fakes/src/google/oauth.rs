//! Google's authorization server: the consent page, the token endpoint, and which tokens are good.
//!
//! <https://developers.google.com/identity/protocols/oauth2/native-app>. Left out: the page that a person would see;
//! consent is given or refused at once.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::api::{Body, Pairs, Response, first as param};

/// The client that the files of a fake name.
pub const CLIENT_ID: &str = "inboxclaw-fake.apps.googleusercontent.com";
/// Its secret.
pub const CLIENT_SECRET: &str = "fake-client-secret";
/// How long a code of the consent page can be exchanged, in seconds.
const CODE_SECONDS: i64 = 600;

/// The grants of the account and their tokens. Every change holds for all grants.
#[derive(Debug)]
pub struct Tokens {
    /// How long an access token is good, in seconds. 3,600 at first.
    pub lifetime: i64,
    /// Whether the consent page refuses.
    pub refuse_consent: bool,
    /// The scopes that a person leaves unticked on the consent page.
    pub unticked: Vec<String>,
    /// Whether a refresh gives a new refresh token and ends the old one. Google does not.
    pub rotate: bool,
    count: u64,
    refresh: HashMap<String, Vec<String>>,
    access: HashMap<String, Access>,
    codes: HashMap<String, Code>,
    refreshed: u64,
}

#[derive(Debug)]
struct Access {
    until: Timestamp,
    scopes: Vec<String>,
}

#[derive(Debug)]
struct Code {
    until: Timestamp,
    challenge: Option<String>,
    redirect_uri: String,
    scopes: Vec<String>,
    offline: bool,
}

/// The tokens of one grant.
#[derive(Debug, Clone)]
pub struct Grant {
    /// Good for requests until `until`.
    pub access: String,
    /// Gives new access tokens.
    pub refresh: String,
    /// When the access token expires.
    pub until: Timestamp,
}

impl Default for Tokens {
    fn default() -> Self {
        Self {
            lifetime: 3_600,
            refuse_consent: false,
            unticked: Vec::new(),
            rotate: false,
            count: 0,
            refresh: HashMap::new(),
            access: HashMap::new(),
            codes: HashMap::new(),
            refreshed: 0,
        }
    }
}

impl Tokens {
    /// Grants `scopes` without anybody asking.
    pub fn grant(&mut self, now: Timestamp, scopes: &[String]) -> Grant {
        let refresh = self.name("1//fake-refresh-");
        self.refresh.insert(refresh.clone(), scopes.to_vec());
        let (access, until) = self.issue(now, scopes);
        Grant { access, refresh, until }
    }

    /// Ends every access token; refresh tokens stay good.
    pub fn expire_access(&mut self) {
        self.access.clear();
    }

    /// Ends every grant, with its refresh and access tokens, as a person does in the settings of the account.
    pub fn revoke(&mut self) {
        self.refresh.clear();
        self.access.clear();
    }

    /// Leaves only `scopes` to every grant and to every access token.
    pub fn narrow(&mut self, scopes: &[&str]) {
        let keep = |held: &mut Vec<String>| held.retain(|scope| scopes.contains(&scope.as_str()));
        self.refresh.values_mut().for_each(keep);
        self.access.values_mut().for_each(|access| keep(&mut access.scopes));
    }

    /// How many access tokens were given for refresh tokens.
    #[must_use]
    pub fn refreshed(&self) -> u64 {
        self.refreshed
    }

    /// Whether an access token is good for a request that needs one of the scopes that `suits` accepts; otherwise the
    /// refusal.
    pub(super) fn check(
        &self,
        now: Timestamp,
        header: Option<&str>,
        suits: impl Fn(&str) -> bool,
    ) -> Result<(), Response> {
        let token = header.and_then(|header| header.strip_prefix("Bearer "));
        let access = token.and_then(|token| self.access.get(token)).filter(|access| now < access.until);
        let access = access.ok_or_else(unauthorized)?;
        if access.scopes.iter().any(|scope| suits(scope)) { Ok(()) } else { Err(insufficient()) }
    }

    /// `POST /token`.
    pub(super) fn endpoint(&mut self, now: Timestamp, form: &Pairs) -> Response {
        let client = (param(form, "client_id"), param(form, "client_secret"));
        if client != (Some(CLIENT_ID), Some(CLIENT_SECRET)) {
            return refused(401, "invalid_client", "The OAuth client was not found.");
        }
        let given = match param(form, "grant_type") {
            Some("refresh_token") => self.refresh(now, form),
            Some("authorization_code") => self.exchange(now, form),
            _ => Err(refused(400, "unsupported_grant_type", "Invalid grant_type")),
        };
        given.unwrap_or_else(|refusal| refusal)
    }

    /// `GET /o/oauth2/v2/auth`: goes back to where the asker wants, with a code.
    pub(super) fn consent(&mut self, now: Timestamp, query: &Pairs) -> Response {
        let asked = (param(query, "client_id"), param(query, "response_type"));
        let method = param(query, "code_challenge_method").unwrap_or("S256");
        let (Some(back), Some(scopes)) = (param(query, "redirect_uri"), param(query, "scope")) else {
            return page("Missing required parameter: redirect_uri or scope");
        };
        if asked != (Some(CLIENT_ID), Some("code")) || method != "S256" {
            return page("Error 400: invalid_request");
        }
        let scopes: Vec<String> = words(scopes).filter(|scope| !self.unticked.contains(scope)).collect();
        let mut answer = vec![("state", param(query, "state").unwrap_or_default().to_owned())];
        if self.refuse_consent {
            answer.push(("error", "access_denied".to_owned()));
        } else {
            let code = self.name("4/fake-code-");
            answer.extend([("code", code.clone()), ("scope", scopes.join(" "))]);
            let until = now.saturating_add(SignedDuration::from_secs(CODE_SECONDS)).unwrap_or(now);
            let (challenge, redirect_uri) =
                (param(query, "code_challenge").map(str::to_owned), back.to_owned());
            let offline = param(query, "access_type") == Some("offline");
            self.codes.insert(code, Code { until, challenge, redirect_uri, scopes, offline });
        }
        let query: Vec<String> =
            answer.iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect();
        let join = if back.contains('?') { '&' } else { '?' };
        let body = Body::Bytes("text/html; charset=UTF-8", Vec::new());
        let answer = Response::new(302, body);
        answer.header("location", format!("{back}{join}{}", query.join("&")))
    }

    fn refresh(&mut self, now: Timestamp, form: &Pairs) -> Result<Response, Response> {
        let token = param(form, "refresh_token").unwrap_or_default().to_owned();
        let gone = || refused(400, "invalid_grant", "Token has been expired or revoked.");
        let granted = self.refresh.get(&token).cloned().ok_or_else(gone)?;
        let scopes = match param(form, "scope") {
            Some(wanted) => words(wanted).collect(),
            None => granted.clone(),
        };
        if let Some(wrong) = scopes.iter().find(|scope| !granted.contains(scope)) {
            let text = format!("Some requested scopes were invalid. {{valid=[], invalid=[{wrong}]}}");
            return Err(refused(400, "invalid_scope", &text));
        }
        let mut given = self.give(now, &scopes);
        if self.rotate {
            let next = self.name("1//fake-refresh-");
            self.refresh.remove(&token);
            self.refresh.insert(next.clone(), granted);
            given["refresh_token"] = Value::String(next);
        }
        self.refreshed += 1;
        Ok(Response::json(given))
    }

    fn exchange(&mut self, now: Timestamp, form: &Pairs) -> Result<Response, Response> {
        let grant = |text| refused(400, "invalid_grant", text);
        let code = self.codes.remove(param(form, "code").unwrap_or_default()).filter(|code| now < code.until);
        let code = code.ok_or_else(|| grant("Malformed auth code."))?;
        if param(form, "redirect_uri") != Some(&code.redirect_uri) {
            return Err(refused(400, "redirect_uri_mismatch", "Bad Request"));
        }
        match (&code.challenge, param(form, "code_verifier")) {
            (None, None) => {}
            (Some(_), None) => return Err(grant("Missing code verifier.")),
            (Some(challenge), Some(verifier)) if *challenge == hashed(verifier) => {}
            _ => return Err(grant("Invalid code verifier.")),
        }
        let mut given = self.give(now, &code.scopes);
        if code.offline {
            let refresh = self.name("1//fake-refresh-");
            self.refresh.insert(refresh.clone(), code.scopes);
            given["refresh_token"] = Value::String(refresh);
        }
        Ok(Response::json(given))
    }

    fn give(&mut self, now: Timestamp, scopes: &[String]) -> Value {
        let (access, _) = self.issue(now, scopes);
        let scope = scopes.join(" ");
        json!({ "access_token": access, "expires_in": self.lifetime, "scope": scope, "token_type": "Bearer" })
    }

    fn issue(&mut self, now: Timestamp, scopes: &[String]) -> (String, Timestamp) {
        let access = self.name("ya29.fake-access-");
        let until = now.saturating_add(SignedDuration::from_secs(self.lifetime)).unwrap_or(now);
        self.access.insert(access.clone(), Access { until, scopes: scopes.to_vec() });
        (access, until)
    }

    fn name(&mut self, prefix: &str) -> String {
        self.count += 1;
        format!("{prefix}{}", self.count)
    }
}

/// 401, as a service answers to a token that it does not know or that has expired.
pub(super) fn unauthorized() -> Response {
    let errors = json!([{
        "message": "Invalid Credentials",
        "domain": "global",
        "reason": "authError",
        "location": "Authorization",
        "locationType": "header",
    }]);
    let message = "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or \
                   other valid authentication credential.";
    token_refusal(401, "UNAUTHENTICATED", "invalid_token", message, errors)
}

/// 403, as a service answers to a token that was not granted its scope.
fn insufficient() -> Response {
    let errors = json!([{ "message": "Insufficient Permission", "domain": "global", "reason": "insufficientPermissions" }]);
    let message = "Request had insufficient authentication scopes.";
    token_refusal(403, "PERMISSION_DENIED", "insufficient_scope", message, errors)
}

/// The refusal of a token, with the header that says why.
fn token_refusal(status: u16, name: &str, reason: &str, message: &str, errors: Value) -> Response {
    let error = json!({ "code": status, "message": message, "errors": errors, "status": name });
    let header = format!("Bearer realm=\"https://accounts.google.com/\", error=\"{reason}\"");
    Response::new(status, Body::Json(json!({ "error": error }))).header("www-authenticate", header)
}

fn refused(status: u16, error: &str, description: &str) -> Response {
    let body = Body::Json(json!({ "error": error, "error_description": description }));
    Response::new(status, body)
}

fn page(text: &str) -> Response {
    let body = Body::Bytes("text/html; charset=UTF-8", text.as_bytes().to_vec());
    Response::new(400, body)
}

fn words(text: &str) -> impl Iterator<Item = String> {
    text.split_ascii_whitespace().map(str::to_owned)
}

fn hashed(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()))
}

fn escaped(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}
