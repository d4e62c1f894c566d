//! One stream: what it sends, and when.
//!
//! A feed reads the log only when it is asked for more, and it is asked only when the client has taken what came
//! before. So a slow client holds one page of events and delays nobody; how long it may be slow is the connection's
//! business.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use inboxclaw_contract::envelope::Format;
use inboxclaw_contract::store::Truncation;
use inboxclaw_contract::{Clock, Condition, Selection, Seq, Store, StoreError};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::frames;
use super::pages::{LastPage, Page, SharedPages};

/// What one stream sends.
pub struct Feed {
    store: Arc<dyn Store>,
    /// `after` is the position: everything wanted up to it was sent.
    selection: Selection,
    condition: Option<Condition>,
    pages: Arc<LastPage>,
    /// What is to be sent next, before anything else.
    next: Option<Bytes>,
    /// Up to where the client was told that events are missing.
    told: Option<Seq>,
    greeted: bool,
    /// Whether there may be events that were not read yet.
    behind: bool,
    pulse: Heartbeat,
    shutdown: CancellationToken,
}

/// When a stream that has no events to send sends something all the same.
pub struct Heartbeat {
    clock: Arc<dyn Clock>,
    heartbeat: Duration,
    heartbeat_at: Instant,
    comments: frames::Comments,
}

impl Feed {
    /// A stream of what `selection` wants, which ends at `shutdown`.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        selection: Selection,
        pulse: Heartbeat,
        shutdown: CancellationToken,
    ) -> Self {
        let pages = Arc::default();
        let (next, told, greeted, behind) = (None, None, false, true);
        let condition = None;
        Self { store, selection, condition, pages, next, told, greeted, behind, pulse, shutdown }
    }

    /// Sends only events that fulfil the condition, if there is one, and those of which that cannot be said.
    #[must_use]
    pub fn with_condition(self, condition: Option<Condition>) -> Self {
        Self { condition, ..self }
    }

    /// Takes pages from those who have just read them in this format.
    pub(crate) fn sharing(self, pages: &SharedPages, format: Format) -> Self {
        Self { pages: pages.of(&self.selection, self.condition.as_ref(), format), ..self }
    }

    /// The next piece: one or more whole messages. `None` at the end: shutdown, or a store that cannot be read;
    /// then the client connects again and misses nothing. Must not be dropped before it is ready.
    ///
    /// Every message carries an id, so that a client that comes back says how far it was, even when no event came.
    pub async fn next(&mut self) -> Option<Bytes> {
        if !self.greeted {
            self.greeted = true;
            return Some(frames::greeting(self.selection.after).into());
        }
        while !self.shutdown.is_cancelled() {
            if let Some(text) = self.next.take() {
                return Some(text);
            }
            if let Some(comment) = self.pulse.comments.due(self.pulse.clock.as_ref()) {
                return Some(comment.into());
            }
            if self.behind {
                let condition = self.condition.as_ref();
                let page = self.pages.read(self.store.as_ref(), &self.selection, condition).await;
                if let Some(text) = self.logged(page)? {
                    return Some(text);
                }
            }
            if self.pulse.is_due() {
                return Some(frames::heartbeat(self.selection.after).into());
            }
            self.wait().await?;
        }
        None
    }

    /// Moves on behind the page, and gives its messages if there are any. `None` when it could not be read.
    #[expect(
        clippy::option_option,
        reason = "the outer one ends the stream, the inner one has nothing to say"
    )]
    fn logged(&mut self, page: Result<Arc<Page>, StoreError>) -> Option<Option<Bytes>> {
        let page = match page {
            Ok(page) => page,
            Err(error) => {
                tracing::warn!(%error, "a stream ends: the log cannot be read");
                return None;
            }
        };
        if let Some(last) = page.last {
            self.selection.after = last;
        }
        if page.complete {
            self.selection.after = page.head;
            self.behind = false;
        }
        let mut text = Some(page.text.clone()).filter(|text| !text.is_empty());
        if let Some(truncated) = self.truncation(page.truncation) {
            // Of what is left before the gap nothing may be passed over when the client comes back.
            let moves_on = text.is_none() && page.complete;
            let position = if moves_on { frames::position(page.head.0) } else { String::new() };
            self.next = text.replace(Bytes::from(truncated + &position));
        }
        if text.is_some() {
            self.pulse.sent();
        }
        Some(text)
    }

    /// The message about events that the client should have got and that are gone; `None` when there are none, or when
    /// it knows.
    fn truncation(&mut self, truncation: Option<Truncation>) -> Option<String> {
        let up_to = truncation.map(|truncation| truncation.up_to).filter(|up_to| self.told < Some(*up_to))?;
        self.told = Some(up_to);
        Some(frames::truncated(Seq(up_to.0 + 1)))
    }

    /// Waits for news, for the time of the next sign of life, or for the end. `None` when the store is gone.
    async fn wait(&mut self) -> Option<()> {
        tokio::select! {
            () = self.shutdown.cancelled() => Some(()),
            () = sleep_until(self.pulse.next_at()) => Some(()),
            grown = self.store.grown(self.selection.after) => match grown {
                Ok(_) => {
                    self.behind = true;
                    Some(())
                }
                Err(error) => {
                    tracing::warn!(%error, "a stream ends: the log cannot be watched");
                    None
                }
            },
        }
    }
}

impl Heartbeat {
    /// A comment every 15 s, and a heartbeat `heartbeat` after the last message.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, heartbeat: Duration) -> Self {
        let (heartbeat_at, comments) = (Instant::now() + heartbeat, frames::Comments::new());
        Self { clock, heartbeat, heartbeat_at, comments }
    }

    /// Whether it is time for a heartbeat. Then it is sent.
    fn is_due(&mut self) -> bool {
        let is_due = Instant::now() >= self.heartbeat_at;
        if is_due {
            self.sent();
        }
        is_due
    }

    /// A message was sent, so the next heartbeat comes later. Comments are no messages.
    fn sent(&mut self) {
        self.heartbeat_at = Instant::now() + self.heartbeat;
    }

    fn next_at(&self) -> Instant {
        self.heartbeat_at.min(self.comments.next_at())
    }
}
