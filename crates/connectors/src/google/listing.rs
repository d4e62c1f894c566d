//! The ids that a full listing has shown, over as many turns as it takes: those of each page are one entry. At the end,
//! what is known and was not listed is gone.

use std::collections::HashSet;

use inboxclaw_contract::{Draft, Expiry, Failure};

/// Entries read at once. Each holds the ids of a page.
const PAGE: usize = 50;

/// The ids that a listing has shown, kept under a prefix of their own, which ends in a colon.
#[derive(Debug, Clone)]
pub struct Listing {
    prefix: String,
}

impl Listing {
    /// The listing under `prefix`.
    pub fn new(prefix: impl Into<String>) -> Self {
        Self { prefix: prefix.into() }
    }

    /// Remembers the ids of page number `page`, counted from 0, in the draft that handles the page.
    ///
    /// # Errors
    /// Those of [`Draft::put`].
    pub fn add(&self, draft: &mut Draft<'_>, page: u64, ids: &[&str]) -> Result<(), Failure> {
        draft.put(&self.key(page), ids, Expiry::Never)
    }

    /// Every id that `pages` pages have shown; `None` when one of them is no longer there or was made unreadable. What
    /// it showed would pass for gone, so everything has to be listed anew.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn ids(&self, draft: &mut Draft<'_>, pages: u64) -> Result<Option<HashSet<String>>, Failure> {
        let keys: Vec<String> = (0..pages).map(|page| self.key(page)).collect();
        let mut ids = HashSet::new();
        for keys in keys.chunks(PAGE) {
            for entry in draft.entries(keys).await? {
                let shown = entry.and_then(|entry| entry.parse::<Vec<String>>().ok());
                let Some(shown) = shown else { return Ok(None) };
                ids.extend(shown);
            }
        }
        Ok(Some(ids))
    }

    /// Forgets it: at its end, and before it begins.
    ///
    /// # Errors
    /// Those of [`Draft::delete_prefix`].
    pub fn clear(&self, draft: &mut Draft<'_>) -> Result<(), Failure> {
        draft.delete_prefix(&self.prefix)
    }

    fn key(&self, page: u64) -> String {
        format!("{}{page:08}", self.prefix)
    }
}
