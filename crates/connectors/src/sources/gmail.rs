//! Mail that arrives, is sent or deleted in a Gmail mailbox, by the history that Gmail keeps of it.
//!
//! `gmail/pass.rs` reads the history page by page, `gmail/history_steps.rs` puts a page in order,
//! `gmail/fetch_messages.rs` reads messages, `gmail/recovery.rs` lists the mailbox where the history does not help,
//! `gmail/message_records.rs` holds what is remembered of messages, `gmail/events.rs` and `gmail/address.rs` what
//! events hold, `gmail/api.rs` the requests.
//!
//! What state holds:
//!
//! - the cursor: the history id up to which everything is handled;
//! - `pass`: the page that a pass over the history has come to, while it takes more than one turn;
//! - `synced`: when the cursor last moved, and when the source began;
//! - `seen:` + message id: a message that was reported, for as long as `recovery_backfill_window`, a day at least;
//! - `hidden:` + message id: one that was not, and why: `label` and `filter` for a year, `gone` for 30 days;
//! - `retry:` + message id: one that could not be read when it was named, and is tried again: one that is refused with
//!   each poll, one that is missing after 1, 2, 4 … seconds and until an hour has passed;
//! - `recovery`: a listing of the mailbox in progress.
//!
//! A poll that finds nothing new writes nothing. The history names a message shortly before it can be read, names
//! messages that are gone, and repeats itself; so a message is asked for until it is there or an hour has passed, and
//! whatever its history holds is reported once. Mail to oneself is one message, and reported as sent and as received.
//! When Google no longer knows the cursor, which happens after a week or so without polls, the mailbox itself is
//! compared with what is remembered, and an event `inboxclaw.source.gap` says how far that reaches.
//!
//! Left out: the texts and attachments of messages; threads; what happens to labels during a gap, and deletions of
//! messages that are remembered no longer; moves to the trash, which are changes of labels. Two cases cannot be told
//! from others by state: mail that was reported, then forgotten by a rewind, and deleted before the source has caught
//! up looks as if it had come and gone between two polls, and its deletion is silent; a hidden message that is deleted
//! while the mailbox is listed for the first time or after a gap, before the listing comes to it, looks like old mail.

mod address;
mod api;
mod context;
mod events;
mod fetch_messages;
mod history_steps;
mod message_records;
mod pass;
mod recovery;
mod state;

use std::time::Duration;

use api::Api;
use async_trait::async_trait;
use context::{Field, Gmail, Rules};
use inboxclaw_contract::settings::StartAt;
use inboxclaw_contract::{Draft, Failure, Next, Outside, Source, SourceSettings, Warning};
use inboxclaw_settings::{Interval, coerce};
use pass::PassEnd;
use recovery::Recovery;
use state::RECOVERY;

use crate::google::filter::{Filters, Rules as FilterRules};
use crate::google::{self, Client, ClientSettings, GMAIL, default_poll_interval};
use crate::http::check_interval;

/// The label of drafts.
const DRAFT: &str = "DRAFT";

/// Reports mail that arrives, is sent or deleted in a Gmail mailbox.
#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The file that `inboxclaw google auth` wrote, with the scope `gmail`.
    #[serde(deserialize_with = "coerce::lax")]
    token_file: String,

    /// Time between two polls, at least 1 second.
    #[serde(default = "default_poll_interval")]
    poll_interval: Interval,

    /// Ids of labels that hide a message: it is not reported while it carries one of them, and neither is its
    /// deletion. It counts as arriving when it loses the last of them, as when it is moved out of spam. Labels of your
    /// own have ids such as `Label_12`.
    #[serde(default = "default_exclude_label_ids", deserialize_with = "coerce::one_or_many")]
    #[schemars(schema_with = "coerce::one_or_many_schema")]
    exclude_label_ids: Vec<String>,

    /// Whether drafts are reported. Each time a draft is saved it becomes another message, so each save would be a
    /// message received and one deleted. What is sent is reported in any case.
    #[serde(default, deserialize_with = "coerce::lax")]
    include_drafts: bool,

    /// Whether changes of labels are reported, which include reading, archiving and moving to the trash.
    #[serde(default, deserialize_with = "coerce::lax")]
    emit_label_events: bool,

    /// How far to look back in the mailbox when Google no longer knows what changed since the last poll. Also how long
    /// reported messages are remembered, at least a day.
    #[serde(default = "default_recovery_backfill_window")]
    recovery_backfill_window: Interval,

    /// Messages to leave out: a list of names with `in` (`subject`, `snippet` or `sender`) and a text (`contains`) or
    /// a pattern (`regex`) to find there, whatever the case.
    #[serde(default)]
    #[schemars(extend("default" = []))]
    filters: FilterRules<Field>,

    #[serde(skip)]
    start: Option<StartAt>,

    /// Quota units that the account may spend in a minute, at least 600. Without it the 6,000 of
    /// projects made since May 2026, where a message costs 20. Older projects, and those
    /// that Google allows more, may say so here.
    #[serde(default, deserialize_with = "coerce::lax")]
    #[schemars(range(min = 600))]
    units_per_minute: Option<u32>,

    /// Scheme, host and optional path of a server that stands in for Google's.
    #[serde(default, deserialize_with = "coerce::lax")]
    #[schemars(extend("format" = "uri"))]
    api_root: Option<String>,

    /// Whether Google's servers, or those of `api_root`, may be in the local network under a name that looks public.
    #[serde(default, deserialize_with = "coerce::lax")]
    allow_private: bool,
}

fn default_exclude_label_ids() -> Vec<String> {
    vec!["SPAM".to_owned()]
}

fn default_recovery_backfill_window() -> Interval {
    Interval::from_secs(7 * 24 * 60 * 60)
}

impl SourceSettings for Settings {
    const KIND: &'static str = "gmail";

    fn interval(&self) -> Option<Duration> {
        Some(self.poll_interval.as_duration())
    }

    fn start(&mut self, start: StartAt) -> anyhow::Result<()> {
        self.start = Some(start);
        Ok(())
    }

    fn warnings(&self, outside: &Outside) -> Vec<Warning> {
        google::warnings(outside, &GMAIL, &self.client_settings(), &self.filters)
    }

    fn build(self, outside: &Outside) -> anyhow::Result<Box<dyn Source>> {
        check_interval(self.poll_interval)?;
        let client = Client::new(outside, &GMAIL, &self.client_settings())?.allow_private(self.allow_private);
        let mut hiding = self.exclude_label_ids;
        if !self.include_drafts && !hiding.iter().any(|label| label == DRAFT) {
            hiding.push(DRAFT.to_owned());
        }
        let rules = Rules {
            hiding,
            filters: Filters::new(&self.filters)?,
            label_events: self.emit_label_events,
            window: self.recovery_backfill_window.as_duration(),
        };
        let api = Api::new(client, rules.label_events);
        Ok(Box::new(Gmail { api, rules, start: self.start.unwrap_or(StartAt::Now) }))
    }
}

impl Settings {
    fn client_settings(&self) -> ClientSettings<'_> {
        let (token_file, api_root) = (&*self.token_file, self.api_root.as_deref());
        ClientSettings { token_file, api_root, units_per_minute: self.units_per_minute }
    }
}

#[async_trait]
impl Source for Gmail {
    async fn poll(&self, draft: &mut Draft<'_>) -> Result<Next, Failure> {
        // An empty cursor is what early versions of the program left of a lost one.
        let cursor = draft.cursor().filter(|cursor| !cursor.is_empty()).map(str::to_owned);
        let recovery = draft.entry(RECOVERY).await?;
        if let Some(entry) = recovery {
            match entry.parse::<Recovery>() {
                Ok(recovery) if recovery.lost == cursor => {
                    return recovery::turn(self, draft, recovery).await;
                }
                // Somebody set the cursor or the entry; the cursor counts.
                _ => draft.delete(RECOVERY)?,
            }
        }
        match cursor {
            Some(cursor) => match self.pass(draft, &cursor).await? {
                PassEnd::Next(next) => Ok(next),
                PassEnd::Lost => recovery::begin(self, draft, Some(&cursor)).await,
            },
            None => recovery::begin(self, draft, None).await,
        }
    }
}
