//! News from feeds: RSS, Atom and JSON Feed by conditional GET.
//!
//! `feed/fetch.rs` asks the server and follows redirects. `feed/parser.rs` reads the answer: `decode.rs` makes it text,
//! `markup.rs`, `tree.rs` and `xml.rs` read RSS and Atom, `json.rs` JSON Feed, `date.rs` and `plain_text.rs` what is in
//! them, all into `parsed.rs`. `feed/item.rs` says what an entry is and what its event holds, `identity.rs` which of
//! the known ones it is, `report_changes.rs` compares with state and emits.
//!
//! What state holds:
//!
//! - the cursor: one token with validators and where the feed moved to for good;
//! - `seen:` + entry id: an entry that the feed held when last read; never expires, so that an entry of a quiet
//!   feed, or of a machine that was off for a year, is not news again;
//! - `past:` + entry id: one that left the feed; gone 90 days later.
//!
//! So a poll of an unchanged feed writes nothing. With another `url` the validators are dropped and entries that
//! are known stay known: a feed that moved goes on, and one with no known entry at all begins as `start` or
//! `bootstrap` says.
//! A feed about something else deserves a source of its own, because names of entries can be as plain as `1`.
//!
//! Left out: WebSub, paging through a feed's archive, and cleaning of HTML.

mod date;
mod decode;
mod document;
mod fetch;
mod identity;
mod item;
mod json;
mod markup;
mod parsed;
mod parser;
mod plain_text;
mod report_changes;
mod tree;
mod xml;

use std::time::Duration;

use anyhow::{Context, ensure};
use async_trait::async_trait;
use inboxclaw_contract::settings::StartAt;
use inboxclaw_contract::{Class, Draft, Failure, Next, Outside, Source, SourceSettings};
use inboxclaw_settings::{Interval, coerce};
use jiff::Timestamp;
use reqwest::Url;
use reqwest::header::HeaderValue;

use crate::http::{self, Http};
use document::Document;
use fetch::{FetchResult, FetchedDocument, Fetcher, Token, is_about_address};

/// Reports new and changed entries of an RSS, Atom or JSON feed, also where it is broken: what cannot be understood is
/// left out and shows in health with its place. In events `title` is text; `summary` and `content` are what their author
/// wrote, HTML where it is HTML, and not cleaned. An entry is changed when something changes that its event shows, dates
/// excepted.
#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Address of the feed, http or https. A user name and password in it are sent as basic authentication.
    #[serde(deserialize_with = "coerce::lax")]
    #[schemars(extend("format" = "uri"))]
    url: String,

    /// Time between two polls, at least 1 second.
    #[serde(default = "default_poll_interval")]
    poll_interval: Interval,

    /// What becomes of the entries that the feed holds when it is read for the first time. `start` says it too, and
    /// wins: `now` means `baseline`, `all` is the same word, and a time reports the entries that appeared since then.
    #[serde(default)]
    bootstrap: Bootstrap,

    #[serde(skip)]
    start: Option<StartAt>,

    /// Largest feed in bytes, unpacked: from 1024 (1 KiB) to 33554432 (32 MiB).
    #[serde(default = "default_max_bytes", deserialize_with = "coerce::lax")]
    #[schemars(range(min = MIN_BYTES, max = MAX_BYTES))]
    max_bytes: usize,

    /// The `User-Agent` to send instead of `inboxclaw/VERSION`, for servers that are particular about it.
    #[serde(default, deserialize_with = "coerce::lax")]
    user_agent: Option<String>,

    /// Whether the name in `url` may stand for an address of the local network. Addresses in numbers, `localhost`, names
    /// without a dot and those that end in `.local`, `.lan`, `.internal` or `.home.arpa` may do so without it. Redirects
    /// never lead into the local network, except to the host in `url`.
    #[serde(default, deserialize_with = "coerce::lax")]
    allow_private: bool,
}

/// What becomes of the entries found at the first read.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Bootstrap {
    /// They are remembered without events.
    #[default]
    Baseline,
    /// Each becomes an event.
    All,
}

const MIN_BYTES: usize = 1 << 10;
/// With escapes a byte of a feed can become six of JSON, and a turn holds 256 MiB.
const MAX_BYTES: usize = 32 << 20;

fn default_poll_interval() -> Interval {
    Interval::from_secs(15 * 60)
}

fn default_max_bytes() -> usize {
    16 << 20
}

impl SourceSettings for Settings {
    const KIND: &'static str = "feed";

    fn interval(&self) -> Option<Duration> {
        Some(self.poll_interval.as_duration())
    }

    fn start(&mut self, start: StartAt) -> anyhow::Result<()> {
        self.start = Some(start);
        Ok(())
    }

    fn build(self, outside: &Outside) -> anyhow::Result<Box<dyn Source>> {
        let url = http::parse_url("url", &self.url)?;
        http::check_interval(self.poll_interval)?;
        ensure!(
            (MIN_BYTES..=MAX_BYTES).contains(&self.max_bytes),
            "max_bytes is {}, it must be from {MIN_BYTES} to {MAX_BYTES}",
            self.max_bytes
        );
        let user_agent = self.user_agent.as_deref().map(HeaderValue::from_str).transpose();
        let user_agent = user_agent.context("user_agent cannot be sent in a header")?;
        let http = Http::shared(outside);
        let (max_bytes, allow_private) = (self.max_bytes, self.allow_private);
        let fetcher = Fetcher { http, url, user_agent, max_bytes, allow_private };
        let start = self.start.unwrap_or(match self.bootstrap {
            Bootstrap::Baseline => StartAt::Now,
            Bootstrap::All => StartAt::All,
        });
        Ok(Box::new(Feed { fetcher, start }))
    }
}

struct Feed {
    fetcher: Fetcher,
    start: StartAt,
}

#[async_trait]
impl Source for Feed {
    async fn poll(&self, draft: &mut Draft<'_>) -> Result<Next, Failure> {
        let before = draft.cursor().and_then(|cursor| serde_json::from_str::<Token>(cursor).ok());
        let before = before.filter(|token| token.is_for(&self.fetcher.url));
        let (document, mut token) = self.read(before.as_ref(), draft.now()).await?;
        if let Some(document) = document {
            let start = before.is_none().then_some(self.start);
            report_changes::report(draft, &document, start).await?;
            if document.cut {
                // The same document may be whole the next time.
                token.forget_validators();
            }
            token.problems = document.problems;
        }
        for problem in &token.problems {
            draft.problem(Failure::text(Class::Upstream, problem));
        }
        if before.as_ref() != Some(&token) {
            draft.set_cursor(Some(serde_json::to_string(&token).map_err(Failure::internal)?))?;
        }
        Ok(Next::Wait)
    }
}

impl Feed {
    /// Reads the feed where it moved to, and where it was before when that does not work: an address that was given up
    /// answers with anything, a page included.
    async fn read(
        &self,
        before: Option<&Token>,
        now: Timestamp,
    ) -> Result<(Option<Document>, Token), Failure> {
        if let Some(moved) = self.fetcher.moved_to(before) {
            let read = match self.fetcher.fetch_from(moved, before, now).await {
                Ok(fetched) => read(fetched).await,
                Err(failure) => Err(failure),
            };
            match read {
                Err(failure) if is_about_address(&failure) => {}
                read => return read,
            }
        }
        let mut before = before.cloned();
        if let Some(token) = &mut before {
            token.forget_move();
        }
        read(self.fetcher.fetch(before.as_ref(), now).await?).await
    }
}

/// Reads a document, if there is one, on a thread where that may take a while.
async fn read(fetched: FetchResult) -> Result<(Option<Document>, Token), Failure> {
    let FetchedDocument { body, content_type, url, token } = match fetched {
        FetchResult::Unchanged(token) => return Ok((None, token)),
        FetchResult::Document(answer) => answer,
    };
    let address = http::shown(&url);
    let reading = tokio::task::spawn_blocking(move || Document::read(&body, content_type.as_deref(), &url));
    match reading.await.map_err(Failure::internal)? {
        Ok(document) => Ok((Some(document), token)),
        Err(mut broken) => {
            let action = broken.action.take();
            let cause = anyhow::Error::new(broken).context(format!("cannot read {address}"));
            Err(Failure { action, ..Failure::new(Class::Upstream, cause) })
        }
    }
}

/// Reads a document as the source does, and answers how many entries and how many problems it has. For fuzzing and for
/// tests of what reading costs.
///
/// # Errors
/// Why it is no feed.
#[doc(hidden)]
pub fn inspect(body: &[u8], content_type: Option<&str>, base: &Url) -> anyhow::Result<(usize, usize)> {
    let document = Document::read(body, content_type, base)?;
    Ok((document.items.len(), document.problems.len()))
}
