//! Events as one JSON document. A small one is one text; of a large one the bodies are read from the store and written
//! piece by piece, as the client takes them: what is in memory at a time does not grow with the answer.

use std::io;
use std::mem;
use std::sync::Arc;

use axum::body::Body;
use futures_util::stream;
use inboxclaw_contract::{Event, Store, StoreError};
use inboxclaw_runtime::Bodies;
use tokio::sync::OwnedSemaphorePermit;

/// The length from which a piece is sent, in bytes. A document that fits into one has a `content-length`.
const PIECE: usize = 4 << 20;
/// A document: what stands before the events, how one is written, and what stands behind them.
pub(crate) struct Document {
    pub(crate) head: String,
    pub(crate) write: fn(&Event, &mut String),
    pub(crate) tail: String,
    /// Most bytes of data and meta; one event is written even when it is larger.
    pub(crate) most: usize,
}

/// The body of an answer. A large one keeps `held` until all of it is taken.
///
/// # Errors
/// When the store cannot be read before the first piece; later that cuts the answer off.
pub(crate) async fn body(
    document: Document,
    bodies: Bodies,
    store: Arc<dyn Store>,
    held: Option<OwnedSemaphorePermit>,
) -> Result<Body, StoreError> {
    let mut pieces = Pieces::new(document, bodies, store, held);
    let first = pieces.next().await?.unwrap_or_default();
    if pieces.ended {
        return Ok(Body::from(first));
    }
    let rest = stream::unfold((Some(first), pieces), |(first, mut pieces)| async {
        let piece = match first {
            Some(first) => Ok(first),
            None => pieces.next().await.map_err(io::Error::other).transpose()?,
        };
        Some((piece, (None, pieces)))
    });
    Ok(Body::from_stream(rest))
}

struct Pieces {
    document: Document,
    bodies: Bodies,
    store: Arc<dyn Store>,
    /// What is written and not sent.
    text: String,
    /// The bytes of data and meta so far; `None` before the first event.
    written: Option<usize>,
    ended: bool,
    _held: Option<OwnedSemaphorePermit>,
}

impl Pieces {
    fn new(
        mut document: Document,
        bodies: Bodies,
        store: Arc<dyn Store>,
        held: Option<OwnedSemaphorePermit>,
    ) -> Self {
        let text = mem::take(&mut document.head);
        Self { document, bodies, store, text, written: None, ended: false, _held: held }
    }

    /// The next piece; `None` at the end.
    async fn next(&mut self) -> Result<Option<String>, StoreError> {
        if self.ended {
            return Ok(None);
        }
        while self.text.len() < PIECE {
            let Some(event) = self.bodies.next(self.store.as_ref()).await? else {
                self.end();
                break;
            };
            let written = self.written.unwrap_or(0) + event.data.len() + event.meta.len();
            if self.written.is_some() {
                if written > self.document.most {
                    self.end();
                    break;
                }
                self.text.push(',');
            }
            self.written = Some(written);
            (self.document.write)(&event, &mut self.text);
        }
        Ok(Some(mem::take(&mut self.text)))
    }

    fn end(&mut self) {
        self.ended = true;
        self.text.push_str(&self.document.tail);
    }
}
