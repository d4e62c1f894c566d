//! Headers of the configuration: names and values that can be sent, and none that the program sets itself.

use std::collections::BTreeMap;
use std::fmt;

use inboxclaw_contract::outside::OUTBOUND;
use inboxclaw_settings::coerce;
use reqwest::header::{HeaderName, HeaderValue};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor};

/// Names the message: the same for every attempt.
pub(super) const ID: &str = "webhook-id";
/// When the attempt was made, in seconds since 1970.
pub(super) const TIMESTAMP: &str = "webhook-timestamp";
/// See `signature.rs`.
pub(super) const SIGNATURE: &str = "webhook-signature";
/// Which attempt it is, from 1.
pub(super) const ATTEMPT: &str = "inboxclaw-attempt";
/// How it comes that the event is delivered now.
pub(super) const ORIGIN: &str = "inboxclaw-origin";

/// What the program sets itself.
const OWN: [&str; 6] = [ID, TIMESTAMP, SIGNATURE, ATTEMPT, ORIGIN, OUTBOUND];
/// What is about the connection and not about the message, and is the client's business (RFC 9110, section 7.6.1).
const OF_CONNECTION: [&str; 11] = [
    "connection",
    "content-length",
    "expect",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Reads the setting, so that an error has the place of the header that it is about.
pub(super) fn checked<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, String>, D::Error> {
    deserializer.deserialize_map(Headers)
}

/// The headers as they are sent. Logs of the client do not show their values.
pub(super) fn parsed(headers: &BTreeMap<String, String>) -> anyhow::Result<Vec<(HeaderName, HeaderValue)>> {
    let header = |(name, value): (&String, &String)| {
        let mut value = HeaderValue::from_bytes(value.as_bytes())?;
        value.set_sensitive(true);
        Ok((name.parse::<HeaderName>()?, value))
    };
    headers.iter().map(header).collect()
}

struct Headers;

impl<'de> Visitor<'de> for Headers {
    type Value = BTreeMap<String, String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mapping of names of headers to their values")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut headers: A) -> Result<Self::Value, A::Error> {
        let mut read: BTreeMap<String, String> = BTreeMap::new();
        while let Some(name) = headers.next_key::<String>()? {
            let is_twice = read.keys().any(|other| other.eq_ignore_ascii_case(&name));
            let value = headers.next_value_seed(Value { name: &name, is_twice })?;
            read.insert(name, value);
        }
        Ok(read)
    }
}

/// The value of a header, which is read with the name known: an error is then told at that name.
struct Value<'n> {
    name: &'n str,
    is_twice: bool,
}

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        #[derive(Deserialize)]
        #[serde(transparent)]
        struct Text(#[serde(deserialize_with = "coerce::lax")] String);

        let Text(value) = Text::deserialize(deserializer)?;
        match refused(self.name, &value) {
            Some(problem) => Err(D::Error::custom(problem)),
            None if self.is_twice => {
                Err(D::Error::custom("this header is there twice: case does not matter in names"))
            }
            None => Ok(value),
        }
    }
}

fn refused(name: &str, value: &str) -> Option<String> {
    let Ok(parsed) = name.parse::<HeaderName>() else {
        return Some(
            "this is no name of a header: letters, digits and - are, without spaces and without a colon"
                .to_owned(),
        );
    };
    if OWN.contains(&parsed.as_str()) {
        return Some("this header is set by inboxclaw itself and cannot be given".to_owned());
    }
    if OF_CONNECTION.contains(&parsed.as_str()) {
        return Some("this header is about the connection and cannot be given".to_owned());
    }
    if HeaderValue::from_bytes(value.as_bytes()).is_err() {
        return Some(
            "the value holds a line end or another control character, which no header can".to_owned(),
        );
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_are_checked() {
        for (name, value, says) in [
            ("Authorization", "Bearer x", None),
            ("user-agent", "me/1.0", None),
            ("Content-Type", "application/x", None),
            ("Host", "inner.example", None),
            ("X-Name", "ž \t", None),
            ("X Name", "x", Some("no name")),
            ("X-Name:", "x", Some("no name")),
            ("", "x", Some("no name")),
            ("Ž", "x", Some("no name")),
            ("X-Name", "a\r\nX-Other: b", Some("line end")),
            ("X-Name", "\0", Some("control character")),
            ("Transfer-Encoding", "chunked", Some("about the connection")),
            ("CONTENT-LENGTH", "1", Some("about the connection")),
            ("Webhook-Id", "1", Some("by inboxclaw itself")),
            ("X-Inboxclaw-Request", "0", Some("by inboxclaw itself")),
        ] {
            let found = refused(name, value);
            assert_eq!(found.is_some(), says.is_some(), "{name}: {found:?}");
            assert!(found.unwrap_or_default().contains(says.unwrap_or_default()), "{name}");
        }
    }
}
