//! One stream: what it sends, and when.
//!
//! A feed reads the log only when it is asked for more, and it is asked only when the client has taken what came
//! before. So a slow client holds one page of events and delays nobody; how long it may be slow is the connection's
//! business.

use std::sync::Arc;
use std::time::Duration;

use inboxclaw_contract::store::{Page, ReadLimit};
use inboxclaw_contract::{Clock, Selection, Seq, Store, StoreError};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::frames;

/// How much is read at once.
const PAGE: ReadLimit = ReadLimit { events: 100, bytes: 1 << 20, count: false };

/// What one stream sends.
pub struct Feed {
    store: Arc<dyn Store>,
    /// `after` is the position: everything wanted up to it was sent.
    selection: Selection,
    /// Up to where the client was told that events are missing.
    told: Option<Seq>,
    greeted: bool,
    /// Whether there may be events that were not read yet.
    behind: bool,
    pulse: Pulse,
    shutdown: CancellationToken,
}

/// When a stream that has no events to send sends something all the same.
pub struct Pulse {
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
        pulse: Pulse,
        shutdown: CancellationToken,
    ) -> Self {
        Self { store, selection, told: None, greeted: false, behind: true, pulse, shutdown }
    }

    /// The next piece: one or more whole messages. `None` at the end: shutdown, or a store that cannot be read;
    /// then the client connects again and misses nothing. Must not be dropped before it is ready.
    pub async fn next(&mut self) -> Option<String> {
        if !self.greeted {
            self.greeted = true;
            return Some(frames::GREETING.to_owned());
        }
        while !self.shutdown.is_cancelled() {
            if let Some(comment) = self.pulse.comments.due(self.pulse.clock.as_ref()) {
                return Some(comment);
            }
            if self.behind
                && let Some(text) = self.logged(self.read().await)?
            {
                return Some(text);
            }
            if let Some(heartbeat) = self.pulse.heartbeat() {
                return Some(heartbeat);
            }
            self.wait().await?;
        }
        None
    }

    /// What of the log is to be sent now.
    async fn read(&self) -> Result<Page, StoreError> {
        self.store.read(&self.selection, PAGE).await
    }

    /// Moves on behind the page, and writes its messages if there are any. `None` when it could not be read.
    #[expect(
        clippy::option_option,
        reason = "the outer one ends the stream, the inner one has nothing to say"
    )]
    fn logged(&mut self, page: Result<Page, StoreError>) -> Option<Option<String>> {
        let page = match page {
            Ok(page) => page,
            Err(error) => {
                tracing::warn!(%error, "a stream ends: the log cannot be read");
                return None;
            }
        };
        let mut text = self.truncation(&page);
        for event in &page.events {
            frames::write_event(event, &mut text);
        }
        if let Some(last) = page.events.last() {
            self.selection.after = last.seq;
        }
        if page.complete {
            self.selection.after = page.head;
            self.behind = false;
        }
        if text.is_empty() {
            return Some(None);
        }
        self.pulse.sent();
        Some(Some(text))
    }

    /// The message about events that the client should have got and that are gone; empty when there are none, or when
    /// it knows.
    fn truncation(&mut self, page: &Page) -> String {
        let up_to = page.truncation.map(|truncation| truncation.up_to);
        match up_to.filter(|up_to| self.told < Some(*up_to)) {
            Some(up_to) => {
                self.told = Some(up_to);
                frames::truncated(Seq(up_to.0 + 1))
            }
            None => String::new(),
        }
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

impl Pulse {
    /// A comment every 15 s, and a heartbeat `heartbeat` after the last message.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, heartbeat: Duration) -> Self {
        let (heartbeat_at, comments) = (Instant::now() + heartbeat, frames::Comments::new());
        Self { clock, heartbeat, heartbeat_at, comments }
    }

    /// A heartbeat, if it is time.
    fn heartbeat(&mut self) -> Option<String> {
        if Instant::now() < self.heartbeat_at {
            return None;
        }
        self.sent();
        Some(frames::HEARTBEAT.to_owned())
    }

    /// A message was sent, so the next heartbeat comes later. Comments are no messages.
    fn sent(&mut self) {
        self.heartbeat_at = Instant::now() + self.heartbeat;
    }

    fn next_at(&self) -> Instant {
        self.heartbeat_at.min(self.comments.next_at())
    }
}
