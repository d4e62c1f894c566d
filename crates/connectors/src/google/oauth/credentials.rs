//! The file of an OAuth client, as the Google Cloud console gives it for download.

use reqwest::Url;
use serde_json::{Map, Value};

use crate::http::parse_url;

/// An OAuth client: who asks for consent.
pub struct Credentials {
    pub(super) client_id: String,
    pub(super) client_secret: String,
    pub(super) auth_uri: Url,
    pub(super) token_uri: Url,
    is_desktop: bool,
}

/// A file that describes no OAuth client. The texts hold nothing of the file but names of keys.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// No JSON object.
    #[error("it is no JSON object (line {line}, column {column})")]
    Json {
        /// Counted from 1.
        line: usize,
        /// Counted from 1; 0 at the end of a line.
        column: usize,
    },
    /// The key of a robot.
    #[error(
        "it is the key of a service account; what is needed is an OAuth client of type desktop app (see docs/google.md)"
    )]
    Service,
    /// A token file.
    #[error("it is a token file, which --token names; what is needed is the file of the OAuth client")]
    Token,
    /// Something else.
    #[error("it has neither the key \"installed\" nor the key \"web\", as the file of an OAuth client has")]
    Other,
    /// A key is missing or no text.
    #[error("{kind}.{key} is missing, or no text")]
    Missing {
        /// `installed` or `web`.
        kind: &'static str,
        /// The key.
        key: &'static str,
    },
    /// An address is none.
    #[error("{0:#}")]
    Address(anyhow::Error),
}

impl Credentials {
    /// Reads the text of the file.
    ///
    /// # Errors
    /// [`CredentialsError`].
    pub fn read(text: &str) -> Result<Self, CredentialsError> {
        let file: Map<String, Value> = serde_json::from_str(text)
            .map_err(|error| CredentialsError::Json { line: error.line(), column: error.column() })?;
        let found = ["installed", "web"].into_iter().find_map(|kind| Some((kind, file.get(kind)?)));
        let is_service = || file.get("type").is_some_and(|kind| kind == "service_account");
        let (kind, client) = match found {
            Some(found) => found,
            None if is_service() => return Err(CredentialsError::Service),
            None if file.contains_key("refresh_token") => return Err(CredentialsError::Token),
            None => return Err(CredentialsError::Other),
        };
        let text = |key: &'static str| {
            let found = client.get(key).and_then(Value::as_str).filter(|text| !text.trim().is_empty());
            found.map(str::to_owned).ok_or(CredentialsError::Missing { kind, key })
        };
        let address =
            |key| parse_url(&format!("{kind}.{key}"), &text(key)?).map_err(CredentialsError::Address);
        Ok(Self {
            client_id: text("client_id")?,
            client_secret: text("client_secret")?,
            auth_uri: address("auth_uri")?,
            token_uri: address("token_uri")?,
            is_desktop: kind == "installed",
        })
    }

    /// Whether redirects may go to any port of the loopback address, as Google allows desktop clients. A web client
    /// has its addresses registered.
    pub fn allows_any_port(&self) -> bool {
        self.is_desktop
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn client() -> Value {
        json!({
            "client_id": "id", "project_id": "p", "client_secret": "SECRET",
            "auth_uri": "https://accounts.google.com/o/oauth2/auth", "token_uri": "https://oauth2.googleapis.com/token",
            "redirect_uris": ["http://localhost"]
        })
    }

    #[test]
    fn both_kinds_of_clients_are_read() {
        for (kind, any_port) in [("installed", true), ("web", false)] {
            let credentials = Credentials::read(&json!({ kind: client() }).to_string()).unwrap();
            assert_eq!(
                (credentials.client_id.as_str(), credentials.client_secret.as_str()),
                ("id", "SECRET")
            );
            assert_eq!(credentials.token_uri.as_str(), "https://oauth2.googleapis.com/token");
            assert_eq!(credentials.allows_any_port(), any_port);
        }
    }

    #[test]
    fn what_is_wrong_is_said_without_the_secret() {
        let without = |key: &str| {
            let mut client = client();
            client.as_object_mut().unwrap().remove(key);
            json!({ "installed": client }).to_string()
        };
        let with = |key: &str, value: &str| {
            let mut client = client();
            client[key] = json!(value);
            json!({ "web": client }).to_string()
        };
        for (text, message) in [
            ("SECRET".to_owned(), "it is no JSON object (line 1, column 1)"),
            ("\"SECRET\"".to_owned(), "it is no JSON object (line 1, column 8)"),
            ("{}".to_owned(), "it has neither the key \"installed\" nor"),
            (
                json!({ "type": "service_account", "private_key": "SECRET" }).to_string(),
                "it is the key of a service account",
            ),
            (json!({ "refresh_token": "SECRET" }).to_string(), "it is a token file"),
            (json!({ "installed": "SECRET" }).to_string(), "installed.client_id is missing"),
            (without("client_id"), "installed.client_id is missing, or no text"),
            (without("client_secret"), "installed.client_secret is missing, or no text"),
            (without("auth_uri"), "installed.auth_uri is missing, or no text"),
            (with("token_uri", " "), "web.token_uri is missing, or no text"),
            (with("token_uri", "SECRET"), "web.token_uri is no address: relative URL without a base"),
        ] {
            let error = Credentials::read(&text).err().unwrap().to_string();
            assert!(error.starts_with(message) && !error.contains("SECRET"), "{error}");
        }
    }
}
