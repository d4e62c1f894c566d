//! Tokens with rights of their own: their settings and what can be wrong with them. Left out: judging requests by them,
//! which this version does not do; the configuration refuses them after these checks.

use std::collections::BTreeSet;
use std::fmt;

use inboxclaw_settings::{Patterns, coerce};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::error::ServeError;

/// A token of one client, with what it may do.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenSettings {
    /// Its name in history and messages.
    pub name: String,
    /// The token itself; give this or `token_file`.
    pub token: Option<String>,
    /// A file that holds it.
    pub token_file: Option<String>,
    /// What it may do.
    #[serde(default = "only_events", deserialize_with = "coerce::one_or_many")]
    #[schemars(schema_with = "coerce::one_or_many_schema")]
    pub can: Vec<String>,
    /// Only events of these types; all without it.
    #[serde(default)]
    pub events: Option<Patterns>,
    /// Only of these sources; all without it.
    #[serde(default)]
    pub sources: Option<Patterns>,
    /// Only at these sinks; all without it.
    #[serde(default)]
    pub sinks: Option<Patterns>,
    /// Only these tools of the MCP server; all without it.
    #[serde(default)]
    pub tools: Option<Patterns>,
}

/// The rights that a token can have.
pub const RIGHTS: [&str; 6] = ["events", "ack", "state", "state.write", "deliveries", "admin"];
/// Most characters of a token's name.
const NAME_CHARS: usize = 64;

fn only_events() -> Vec<String> {
    vec!["events".to_owned()]
}

/// Checks tokens, each alone and beside the others.
///
/// # Errors
/// [`ServeError::Setting`] with the first that cannot work. It never shows a token.
pub(crate) fn check(tokens: &[TokenSettings]) -> Result<(), ServeError> {
    let wrong = |problem| Err(ServeError::Setting { setting: "server.tokens", problem });
    let mut names = BTreeSet::new();
    for TokenSettings { name, token, token_file, can, .. } in tokens {
        let count = name.chars().count();
        if count == 0 || count > NAME_CHARS || name.chars().any(char::is_control) {
            return wrong(format!("holds the name {name:?}: 1 to {NAME_CHARS} characters, none of control"));
        }
        if !names.insert(name) {
            return wrong(format!("holds the name {name:?} twice"));
        }
        if token.is_some() == token_file.is_some() {
            return wrong(format!("gives {name:?} neither or both of token and token_file"));
        }
        if token.as_ref().is_some_and(|token| !is_token(token)) {
            return wrong(format!("gives {name:?} a token that is empty or not of visible ASCII"));
        }
        if let Some(right) = can.iter().find(|right| !RIGHTS.contains(&right.as_str())) {
            return wrong(format!("gives {name:?} the right {right:?}; there are: {}", RIGHTS.join(", ")));
        }
    }
    Ok(())
}

/// Whether a text can stand behind `Bearer`.
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Without the token.
impl fmt::Debug for TokenSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSettings")
            .field("name", &self.name)
            .field("can", &self.can)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use inboxclaw_contract::settings::parse;
    use serde_json::{Value, json};

    use super::*;

    fn checked(tokens: Value) -> Result<(), String> {
        let tokens: Vec<Value> = serde_json::from_value(tokens).unwrap();
        let tokens: Result<Vec<TokenSettings>, _> = tokens.into_iter().map(parse).collect();
        let tokens = tokens.map_err(|error| error.to_string())?;
        check(&tokens).map_err(|error| error.to_string())
    }

    #[test]
    fn what_cannot_work_is_named_and_no_token_is_shown() {
        let good = json!({ "name": "a", "token": "secret" });
        assert_eq!(
            checked(json!([good, { "name": "b", "token_file": "f", "can": "ack", "sinks": "inbox" }])),
            Ok(())
        );
        for (tokens, says) in [
            (json!([{ "name": "", "token": "secret" }]), "1 to 64 characters"),
            (json!([good, good]), "twice"),
            (json!([{ "name": "a" }]), "neither or both"),
            (json!([{ "name": "a", "token": "secret", "token_file": "f" }]), "neither or both"),
            (json!([{ "name": "a", "token": "sec ret" }]), "visible ASCII"),
            (json!([{ "name": "a", "token": "secret", "can": ["all"] }]), "there are: events, ack"),
            (json!([{ "name": "a", "token": "secret", "cans": "ack" }]), "unknown field"),
        ] {
            let error = checked(tokens).unwrap_err();
            assert!(error.contains(says) && !error.contains("sec"), "{error}");
        }
        assert_eq!(
            format!("{:?}", parse::<TokenSettings>(good).unwrap()),
            r#"TokenSettings { name: "a", can: ["events"], .. }"#
        );
    }
}
