//! Events to an address of somebody else (a web hook), a POST for each event or for a list of them, signed as Standard
//! Webhooks says, as our envelope, as CloudEvents or as what a template makes of it.
//!
//! `message.rs` says what is in a request, `headers.rs` which headers the configuration may give, `signature.rs` signs,
//! `answer.rs` says what an answer means.
//!
//! Every attempt of an event has the same `webhook-id`, and a time and a signature of its own: receivers refuse old ones.
//!
//! Left out: asymmetric signatures, the handshake of CloudEvents' web hook specification, compressed bodies, other methods
//! than POST.

mod answer;
mod headers;
mod message;
mod signature;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use async_trait::async_trait;
use inboxclaw_contract::envelope::{Format, cloudevents};
use inboxclaw_contract::{
    Clock, Delivery, DeliveryPolicy, Failure, Outside, Push, Receipt, Sender, SinkSettings, Warning,
};
use inboxclaw_settings::{Interval, coerce};
use reqwest::header::{ACCEPT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::http::{self, Http, Reach};
use crate::template::Payload;
use message::{Message, Mode, Shape};
use signature::Secrets;

/// Most events in a list, where the configuration does not say it.
const LIST: usize = 100;
/// Longest `timeout`, below the time that a delivery may take.
const LONGEST: Duration = Duration::from_secs(5 * 60);

/// Posts events to an address. A status from 200 to 299 says that the event arrived.
///
/// - No connection, no answer in time, 401, 408, 410, 429, 502 to 504 (and 520 to 524, 529, 530, which proxies give for
///   a server that is down): the receiver is down. The sink waits, as long as `Retry-After` says if it is there, and no
///   event loses an attempt. After an hour of 410 the sink is paused.
/// - Every other status is about this event, 3xx, 403, 404, 413 and 500 among them: it is tried again later, others go on,
///   and after `max_retries` attempts it is a dead letter. Redirects are not followed.
///
/// Each request has `webhook-id`, the same for every attempt, by which a receiver knows what it has already;
/// `webhook-timestamp`, the time of the attempt in seconds since 1970; with a secret `webhook-signature`; `inboxclaw-attempt`,
/// from 1; and `inboxclaw-origin`: `log`, `retry` (a person asked for a dead letter again) or `replay` (its `webhook-id`
/// ends in `.r` and the number of the replay).
///
/// What a receiver has to know about the envelope: `event_id` is unique within its source only, `created_at` is UTC
/// without saying so, and an event may come twice and, after a failure, later than ones that follow it.
#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where to post, http or https. A user name and password in it are sent as basic authentication. No message shows
    /// more of it than the host, because the path is often a secret too.
    #[serde(deserialize_with = "coerce::lax")]
    #[schemars(extend("format" = "uri"))]
    url: String,

    /// Headers of each request; `Content-Type`, `User-Agent` and `Host` may be among them. Those about the connection
    /// (`Transfer-Encoding`) and those that the program sets are refused.
    #[serde(default, deserialize_with = "headers::checked")]
    headers: BTreeMap<String, String>,

    /// What to send instead of the envelope: a mapping in whose texts `#root.…` becomes a value of the envelope, with its
    /// type where the text is nothing else, and `$root.…` its JSON. Empty or null for the envelope.
    #[serde(default, deserialize_with = "mapping")]
    payload: Option<Map<String, Value>>,

    /// What an event looks like.
    #[serde(default)]
    format: Format,

    /// How events are put into requests. `batched` sends lists, always: of up to 100 events (`batch` says otherwise) and
    /// about 1 MiB. An event that is tried again goes in a list of its own. In a list `webhook-id` names the list, so that
    /// a receiver knows an event that it has by the event.
    #[serde(default)]
    mode: Mode,

    /// Secret by which requests are signed as Standard Webhooks says (`v1`, HMAC-SHA256): `whsec_` and base64, or any
    /// other text. A list of two while one takes the place of the other: then each request has two signatures. With
    /// `mode: binary` only the data is signed, not what is in headers.
    #[serde(default, deserialize_with = "coerce::one_or_many")]
    #[schemars(schema_with = "coerce::one_or_many_schema")]
    secret: Option<Vec<String>>,

    /// File that holds the secret, or two, a line each. It is read for each request, so that a new secret needs no
    /// restart. A relative path starts at the folder of the configuration file.
    #[serde(default, deserialize_with = "coerce::lax")]
    secret_file: Option<String>,

    /// Longest time for an attempt, connecting and the whole of the answer together: from 1 second to 5 minutes. To connect
    /// takes 10 seconds at most.
    #[serde(default = "default_timeout")]
    timeout: Interval,

    /// Whether the name in `url` may stand for an address of the local network. Addresses in numbers, `localhost`, names
    /// without a dot and those that end in `.local`, `.lan`, `.internal` or `.home.arpa` may do so without it.
    #[serde(default, deserialize_with = "coerce::lax")]
    allow_private: bool,

    /// Most attempts of an event, the first one among them; 0 means 1. Without it 12. The name is older than what it
    /// means.
    #[serde(default, deserialize_with = "coerce::lax")]
    max_retries: Option<u32>,

    /// Time between two attempts of an event, at least 1 second. Without it a time that doubles from 10 seconds to an hour.
    #[serde(default)]
    retry_interval: Option<Interval>,
}

fn default_timeout() -> Interval {
    // The sum of what the forerunner allowed for connecting, writing and reading.
    Interval::from_secs(30)
}

fn mapping<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Map<String, Value>>, D::Error> {
    let found = match Value::deserialize(deserializer)? {
        Value::Null => return Ok(None),
        Value::Object(members) => return Ok(Some(members).filter(|members| !members.is_empty())),
        Value::Array(_) => "a list",
        Value::String(_) => "a text",
        Value::Bool(_) | Value::Number(_) => "a single value",
    };
    Err(D::Error::custom(format!("expected a mapping, found {found}")))
}

impl Settings {
    fn payload(&self) -> Option<Payload> {
        self.payload.clone().map(|members| Payload::new(&Value::Object(members)))
    }

    fn check(&self) -> anyhow::Result<()> {
        let timeout = self.timeout.as_duration();
        ensure!(
            (Duration::from_secs(1)..=LONGEST).contains(&timeout),
            "timeout is {}, it must be from 1s to 5m",
            self.timeout
        );
        if let Some(interval) = self.retry_interval {
            ensure!(
                interval.as_duration() >= Duration::from_secs(1),
                "retry_interval is {interval}, it must be at least 1s"
            );
        }
        let is_ours = self.format == Format::Inboxclaw;
        ensure!(!is_ours || self.mode != Mode::Binary, "mode: binary goes with `format: cloudevents` only");
        ensure!(
            is_ours || self.payload.is_none(),
            "payload and `format: cloudevents` cannot both be set: each says what the body is"
        );
        let taken = |name: &String| {
            let name = name.to_ascii_lowercase();
            name == "content-type" || name.starts_with(cloudevents::HEADER_PREFIX)
        };
        let taken = self.headers.keys().find(|name| taken(name)).filter(|_| !is_ours);
        if let Some(name) = taken {
            anyhow::bail!("headers: {name} is set by `format: cloudevents` itself and cannot be given");
        }
        Ok(())
    }

    /// What an answer may repeat and nobody is to read.
    fn hidden(&self, url: &Url) -> Vec<String> {
        let of_url =
            [url.username(), url.password().unwrap_or_default(), url.path(), url.query().unwrap_or_default()];
        let of_url = of_url.into_iter().filter(|part| *part != "/");
        let given =
            self.headers.values().map(String::as_str).chain(self.secret.iter().flatten().map(String::as_str));
        let mut hidden: Vec<String> = given.chain(of_url).map(str::to_owned).collect();
        // `Bearer` may be apart from its token.
        hidden.extend(self.headers.values().filter_map(|value| Some(value.split_once(' ')?.1.to_owned())));
        // The longest first, lest a part of one is replaced and the rest of it stays.
        hidden.sort_by_key(|text| std::cmp::Reverse(text.len()));
        hidden
    }
}

impl SinkSettings for Settings {
    const KIND: &'static str = "webhook";

    fn policy(&self, policy: &mut DeliveryPolicy) {
        if let Some(attempts) = self.max_retries {
            policy.max_attempts = attempts.max(1);
        }
        if let Some(interval) = self.retry_interval {
            policy.retry_interval = Some(interval.as_duration());
        }
        if self.mode == Mode::Batched {
            policy.batch_max = LIST;
        }
    }

    fn warnings(&self, outside: &Outside) -> Vec<Warning> {
        let mut found = self.payload().map(|payload| payload.warnings("payload")).unwrap_or_default();
        let is_plain = |url: &Url| url.scheme() == "http" && !Reach::CONFIGURED.is_open(url);
        if http::parse_url("url", &self.url).is_ok_and(|url| is_plain(&url)) && !self.allow_private {
            let message =
                "is not encrypted: whoever is between can read the events and the headers; use https";
            found.push(Warning::new("url", message));
        }
        let secrets = self.secret.iter().flatten();
        found.extend(
            secrets.filter_map(|text| signature::doubt(text)).map(|doubt| Warning::new("secret", doubt)),
        );
        if let Some(file) = &self.secret_file {
            match std::fs::metadata(outside.base_dir.join(file)) {
                Err(error) => found.push(Warning::new("secret_file", format!("cannot be read: {error}"))),
                Ok(facts) if facts.permissions().mode() & 0o077 != 0 => {
                    let mode = facts.permissions().mode() & 0o777;
                    let message = format!("can be read by others (mode {mode:o}): chmod 600");
                    found.push(Warning::new("secret_file", message));
                }
                Ok(_) => {}
            }
        }
        if self.mode == Mode::Binary && (self.secret.is_some() || self.secret_file.is_some()) {
            let message =
                "the signature covers the body, and with `binary` type, source and subject are in headers";
            found.push(Warning::new("mode", message));
        }
        found
    }

    fn build(self, outside: &Outside) -> anyhow::Result<Push> {
        self.check()?;
        let url = http::parse_url("url", &self.url)?;
        let secrets = Secrets::new(self.secret.as_deref(), self.secret_file.as_deref(), &outside.base_dir)?;
        let shape = Shape { format: self.format, mode: self.mode, payload: self.payload() };
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(shape.content_type()));
        // Of an answer only a few words are read.
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        for (name, value) in headers::parsed(&self.headers).context("headers cannot be sent")? {
            headers.insert(name, value);
        }
        Ok(Push::Sender(Box::new(Webhook {
            http: Http::shared(outside),
            clock: outside.clock.clone(),
            hidden: self.hidden(&url),
            reach: Reach::Configured { allow_private: self.allow_private },
            timeout: self.timeout.as_duration(),
            url,
            headers,
            secrets,
            shape,
        })))
    }
}

struct Webhook {
    http: Arc<Http>,
    clock: Arc<dyn Clock>,
    url: Url,
    reach: Reach,
    timeout: Duration,
    /// Those that are the same for each request.
    headers: HeaderMap,
    secrets: Secrets,
    shape: Shape,
    /// What an answer may repeat and nobody is to read.
    hidden: Vec<String>,
}

#[async_trait]
impl Sender for Webhook {
    async fn send(&self, batch: &[Delivery], receipts: &mut Vec<Receipt>) -> Result<(), Failure> {
        let mut left = batch;
        while let Some((first, rest)) = left.split_first() {
            let message = self.shape.next(first, rest);
            let events = message.events;
            let receipt = self.post(message).await?;
            receipts.extend(std::iter::repeat_n(receipt, events));
            left = &left[events..];
        }
        Ok(())
    }
}

impl Webhook {
    async fn post(&self, message: Message) -> Result<Receipt, Failure> {
        let headers = self.headers_of(&message).await?;
        let request = self.http.request(Method::POST, self.url.clone(), self.reach)?;
        let request = request.called(http::origin(&self.url)).timeout(self.timeout);
        let reply = self.http.send(request.headers(headers).body(message.body)).await?;
        answer::receipt(reply, self.clock.now(), &self.hidden).await
    }

    async fn headers_of(&self, message: &Message) -> Result<HeaderMap, Failure> {
        let timestamp = self.clock.now().as_second().to_string();
        let signature = self.secrets.sign(&message.id, &timestamp, &message.body).await?;
        let mut headers = self.headers.clone();
        let mut set = |name: &str, value: &str| -> anyhow::Result<()> {
            headers.insert(name.parse::<HeaderName>()?, HeaderValue::from_str(value)?);
            Ok(())
        };
        let mut all = || -> anyhow::Result<()> {
            set(headers::ID, &message.id)?;
            set(headers::TIMESTAMP, &timestamp)?;
            set(headers::ATTEMPT, &message.attempt.to_string())?;
            set(headers::ORIGIN, message.origin)?;
            signature.iter().try_for_each(|signature| set(headers::SIGNATURE, signature))?;
            message.headers.iter().try_for_each(|(name, value)| set(name, value))
        };
        all().map_err(Failure::internal)?;
        Ok(headers)
    }
}
