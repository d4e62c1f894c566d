//! A condition on what an event holds, besides its type. Left out: the language in which people write it, which is the
//! configuration's business.

use std::fmt;
use std::sync::Arc;

use crate::event::Event;

/// What an event must fulfil for a sink to take it.
#[derive(Clone)]
pub struct Condition {
    text: Arc<str>,
    test: Arc<Test>,
}

type Test = dyn Fn(&Event) -> Result<bool, String> + Send + Sync;

impl Condition {
    /// The condition that `text` writes and `test` decides. Two conditions of the same text decide alike.
    pub fn new(
        text: impl Into<Arc<str>>,
        test: impl Fn(&Event) -> Result<bool, String> + Send + Sync + 'static,
    ) -> Self {
        Self { text: text.into(), test: Arc::new(test) }
    }

    /// As people wrote it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether the event is wanted.
    ///
    /// # Errors
    /// Why that cannot be said of this event. It is to be delivered then, and told of: nothing is lost because a condition
    /// did not think of it.
    pub fn accepts(&self, event: &Event) -> Result<bool, String> {
        (self.test)(event)
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Condition").field(&self.text).finish()
    }
}

impl PartialEq for Condition {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Condition {}
