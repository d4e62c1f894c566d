//! Signatures of Standard Webhooks: HMAC-SHA256 over the id, the time and the body, by one secret, or by two while one of
//! them is replaced (<https://www.standardwebhooks.com>).
//!
//! Left out: asymmetric signatures (`v1a`).

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail, ensure};
use base64::Engine as _;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use inboxclaw_contract::{Class, Failure};
use ring::hmac;
use tokio::io::AsyncReadExt as _;

/// What a secret in base64 begins with.
const PREFIX: &str = "whsec_";
/// What a key of an asymmetric signature begins with.
const PRIVATE_PREFIX: &str = "whsk_";
/// How long a secret is by the standard, in bytes.
const BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// Most secrets at a time.
const MOST: usize = 2;
/// Largest file of secrets, in bytes.
const FILE_BYTES: usize = 4 << 10;

/// Base64 with or without `=` at its end.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Where the secrets are.
pub(super) enum Secrets {
    /// In the configuration; empty for none.
    Given(Vec<hmac::Key>),
    /// In a file, which is read for each request, so that a replaced secret counts at once.
    File(PathBuf),
}

impl Secrets {
    /// Reads the settings `secret` and `secret_file`.
    pub(super) fn new(texts: Option<&[String]>, file: Option<&str>, base_dir: &Path) -> anyhow::Result<Self> {
        match (texts, file) {
            (Some(_), Some(_)) => bail!("secret and secret_file cannot both be set"),
            (None, Some("")) => bail!("secret_file is empty"),
            (None, Some(file)) => Ok(Self::File(base_dir.join(file))),
            (None, None) => Ok(Self::Given(Vec::new())),
            (Some(texts), None) => keys(texts).context("secret cannot be used").map(Self::Given),
        }
    }

    /// Signs a message; `None` without secrets.
    pub(super) async fn sign(
        &self,
        id: &str,
        timestamp: &str,
        body: &str,
    ) -> Result<Option<String>, Failure> {
        match self {
            Self::Given(keys) if keys.is_empty() => Ok(None),
            Self::Given(keys) => Ok(Some(signature(keys, id, timestamp, body))),
            Self::File(path) => {
                let keys = read(path).await.map_err(|cause| {
                    let cause = cause.context(format!("secret_file {} cannot be used", path.display()));
                    Failure::new(Class::Configuration, cause)
                })?;
                Ok(Some(signature(&keys, id, timestamp, body)))
            }
        }
    }
}

/// The value of `webhook-signature`.
fn signature(keys: &[hmac::Key], id: &str, timestamp: &str, body: &str) -> String {
    let sign = |key: &hmac::Key| {
        let mut signing = hmac::Context::with_key(key);
        for part in [id, ".", timestamp, ".", body] {
            signing.update(part.as_bytes());
        }
        format!("v1,{}", STANDARD.encode(signing.sign()))
    };
    keys.iter().map(sign).collect::<Vec<_>>().join(" ")
}

async fn read(path: &Path) -> anyhow::Result<Vec<hmac::Key>> {
    let mut text = String::new();
    let file = tokio::fs::File::open(path).await?;
    file.take(FILE_BYTES as u64 + 1).read_to_string(&mut text).await?;
    ensure!(text.len() <= FILE_BYTES, "it has more than the limit of {FILE_BYTES} bytes");
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    keys(&lines)
}

/// No text of an error shows a secret.
fn keys<T: AsRef<str>>(texts: &[T]) -> anyhow::Result<Vec<hmac::Key>> {
    ensure!(!texts.is_empty(), "there is none");
    ensure!(
        texts.len() <= MOST,
        "there are {}, the limit is {MOST}: the new one and the old one",
        texts.len()
    );
    texts.iter().map(|text| Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes(text.as_ref())?))).collect()
}

fn bytes(text: &str) -> anyhow::Result<Vec<u8>> {
    let text = text.trim();
    ensure!(!text.is_empty(), "it is empty");
    ensure!(
        !text.starts_with(PRIVATE_PREFIX),
        "keys of asymmetric signatures ({PRIVATE_PREFIX}…) are not known here"
    );
    let Some(encoded) = text.strip_prefix(PREFIX) else { return Ok(text.into()) };
    // The cause would show a letter of it.
    let decoded = LENIENT.decode(encoded).map_err(|_| anyhow!("what follows {PREFIX} is no base64"))?;
    ensure!(!decoded.is_empty(), "nothing follows {PREFIX}");
    Ok(decoded)
}

/// What is doubtful about a secret in the configuration.
pub(super) fn doubt(text: &str) -> Option<String> {
    let length = bytes(text).ok()?.len();
    let is_text = !text.trim().starts_with(PREFIX);
    if is_text && LENIENT.decode(text.trim()).is_ok_and(|decoded| BYTES.contains(&decoded.len())) {
        let message = format!(
            "looks like base64 and is used as text; if the receiver decodes it, as libraries of Standard Webhooks do, put \
             `{PREFIX}` before it"
        );
        return Some(message);
    }
    (length < *BYTES.start()).then(|| {
        format!(
            "has {length} bytes and can be guessed; Standard Webhooks asks for {} to {}: `{PREFIX}` and what `openssl rand \
             -base64 32` prints",
            BYTES.start(),
            BYTES.end()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed(secrets: &[&str], id: &str, timestamp: &str, body: &str) -> String {
        signature(&keys(secrets).unwrap(), id, timestamp, body)
    }

    #[test]
    fn a_known_message_has_the_known_signature() {
        // The example that libraries of Standard Webhooks are tested with.
        let one = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        let (id, timestamp, body) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", "{\"test\": 2432232314}");
        for secret in ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", " whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n"]
        {
            assert_eq!(signed(&[secret], id, timestamp, body), one);
        }
        // printf 'id.1.{}' | openssl dgst -sha256 -hmac 'a secret as text' -binary | base64
        let text = "v1,0wYpOlNvCbZoIfyzyuvw+tf0eU3YdkmsBGvTqeAwdQg=";
        assert_eq!(signed(&["a secret as text"], "id", "1", "{}"), text);
        let both =
            signed(&["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "a secret as text"], id, timestamp, body);
        assert!(both.starts_with(&format!("{one} v1,")), "{both}");
    }

    #[test]
    fn secrets_that_cannot_be_used_are_not_shown() {
        for (texts, says) in [
            (vec![], "there is none"),
            (vec!["a", "b", "c"], "there are 3, the limit is 2"),
            (vec!["a", " "], "it is empty"),
            (vec!["whsec_"], "nothing follows whsec_"),
            (vec!["whsec_hidden!"], "what follows whsec_ is no base64"),
            (vec!["whsk_hidden"], "asymmetric"),
        ] {
            let error = format!("{:#}", keys(&texts).unwrap_err());
            assert!(error.contains(says) && !error.contains("hidden"), "{error}");
        }
    }

    #[test]
    fn base64_goes_with_and_without_its_end() {
        assert_eq!(bytes("whsec_YWJjZA==").unwrap(), b"abcd");
        assert_eq!(bytes("whsec_YWJjZA").unwrap(), b"abcd");
    }

    #[test]
    fn doubtful_secrets_are_told() {
        for (text, says) in [
            ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", None),
            ("a long secret of words and of spaces", None),
            ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", Some("looks like base64")),
            ("short", Some("has 5 bytes")),
            ("whsec_YWJjZA==", Some("has 4 bytes")),
        ] {
            let told = doubt(text);
            assert_eq!(told.is_some(), says.is_some(), "{text}: {told:?}");
            assert!(told.unwrap_or_default().contains(says.unwrap_or_default()), "{text}");
        }
    }
}
