//! Pages of the log as streams send them. Streams that want the same and stand at the same place send the same: the
//! first one reads, the others take what it read. So one event to many streams is one read, and one text in memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use axum::body::Bytes;
use inboxclaw_contract::envelope::Format;
use inboxclaw_contract::store::{ReadLimit, Truncation};
use inboxclaw_contract::{Condition, Event, Selection, Seq, Store, StoreError, printable};
use inboxclaw_settings::Patterns;

use super::frames;

/// How much is read at once.
const PAGE: ReadLimit = ReadLimit { events: 100, bytes: 1 << 20, count: false };

/// A page, written for streams.
pub(super) struct Page {
    /// Its messages; empty when there are none.
    pub(super) text: Bytes,
    /// The last of its events.
    pub(super) last: Option<Seq>,
    /// Whether there was no more up to `head`.
    pub(super) complete: bool,
    pub(super) head: Seq,
    pub(super) truncation: Option<Truncation>,
}

/// What streams of the same selection were sent last.
#[derive(Default)]
pub(crate) struct SharedPages(Mutex<HashMap<Wanted, Weak<LastPage>>>);

/// What is wanted, at whatever place.
type Wanted = (Patterns, Option<Patterns>, Option<String>, Format);

/// The page that was read last for a selection, and the place after which it begins.
#[derive(Default)]
pub(crate) struct LastPage {
    format: Format,
    last: tokio::sync::Mutex<Option<(Seq, Arc<Page>)>>,
}

impl SharedPages {
    /// The place to share with those who want the same.
    pub(super) fn of(
        &self,
        selection: &Selection,
        condition: Option<&Condition>,
        format: Format,
    ) -> Arc<LastPage> {
        let mut shared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shared.retain(|_, last| last.strong_count() > 0);
        let condition = condition.map(|condition| condition.text().to_owned());
        let wanted = (selection.patterns.clone(), selection.selector.clone(), condition, format);
        let last = shared.get(&wanted).and_then(Weak::upgrade);
        let last = last.unwrap_or_else(|| Arc::new(LastPage { format, ..LastPage::default() }));
        shared.insert(wanted, Arc::downgrade(&last));
        last
    }
}

impl LastPage {
    /// The page after the place of the selection.
    pub(super) async fn read(
        &self,
        store: &dyn Store,
        selection: &Selection,
        condition: Option<&Condition>,
    ) -> Result<Arc<Page>, StoreError> {
        let mut last = self.last.lock().await;
        match &*last {
            // It was read after the log had grown beyond that place, so it tells what the growth was.
            Some((after, page)) if *after == selection.after && page.head > *after => {
                return Ok(page.clone());
            }
            // Who comes from behind reads alone, and holds up nobody at the end.
            Some((after, _)) if *after > selection.after => {
                drop(last);
                return page(store, selection, condition, self.format).await;
            }
            _ => {}
        }
        let page = page(store, selection, condition, self.format).await?;
        *last = Some((selection.after, page.clone()));
        Ok(page)
    }
}

/// An event of which the condition cannot say whether it is wanted is sent: better one too many than one that is lost.
fn is_wanted(event: &Event, condition: Option<&Condition>) -> bool {
    let Some(condition) = condition else { return true };
    condition.accepts(event).unwrap_or_else(|error| {
        tracing::warn!(seq = event.seq.0, error = %printable(&error), "the condition of a stream fails, the event is sent");
        true
    })
}

async fn page(
    store: &dyn Store,
    selection: &Selection,
    condition: Option<&Condition>,
    format: Format,
) -> Result<Arc<Page>, StoreError> {
    let page = store.read(selection, PAGE).await?;
    let mut text = String::new();
    for event in page.events.iter().filter(|event| is_wanted(event, condition)) {
        frames::write_event(event, format, &mut text);
    }
    Ok(Arc::new(Page {
        text: text.into(),
        last: page.events.last().map(|event| event.seq),
        complete: page.complete,
        head: page.head,
        truncation: page.truncation,
    }))
}
