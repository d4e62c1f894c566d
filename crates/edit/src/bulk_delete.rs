//! Bulk delete: the entries under a prefix, or older than that. Many entries go by a space that is built without them.

use std::collections::BTreeMap;
use std::time::Duration;

use inboxclaw_contract::limits::KEY_BYTES;
use inboxclaw_contract::space::{EntryInfo, Look, Looked, SpaceInfo};
use inboxclaw_contract::turn::{Age, EntryChange, Sweep};
use inboxclaw_contract::{OwnerId, Version};
use jiff::{SignedDuration, Timestamp};

use crate::bulk::{Build, Meanwhile};
use crate::editor::{Editor, Progress, Steps, TRIES};
use crate::error::EditError;

/// Which entries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EntryFilter {
    /// Under this literal prefix.
    pub prefix: String,
    /// Only those that are older than this.
    pub older_than: Option<(Duration, Age)>,
}

/// What a bulk delete removed, or would remove.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deleted {
    /// Entries.
    pub entries: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
    /// The owner's version afterwards.
    pub version: Version,
}

/// A filter at an instant.
struct Matching<'a> {
    prefix: &'a str,
    /// What this takes; everything if there is none.
    sweep: Option<Sweep>,
}

/// The entries that match.
#[derive(Default)]
struct MatchCount {
    entries: u64,
    bytes: u64,
    /// The keys, as long as they are few.
    keys: Vec<String>,
    /// The keys of secrets.
    secrets: Vec<String>,
}

impl Editor {
    /// Deletes the entries that match, any number of them; with `dry_run` only counts them.
    ///
    /// # Errors
    /// [`EditError::Busy`], or the store's.
    pub async fn delete_matching(
        &self,
        owner: OwnerId,
        filter: &EntryFilter,
        dry_run: bool,
        progress: Progress<'_>,
    ) -> Result<Deleted, EditError> {
        for _ in 0..TRIES {
            let base = self.store.space(owner).await?;
            let now = self.store.snapshot(owner).await?.now;
            let Some(matching) = Matching::new(filter, now) else {
                return Ok(Deleted { entries: 0, bytes: 0, version: base.version });
            };
            let count = matching.count(self, owner, base, progress).await?;
            let (entries, bytes) = (count.entries, count.bytes);
            let version = if dry_run || entries == 0 {
                Some(base.version)
            } else if count.is_small(self.steps) {
                self.delete_few(owner, base.version, count.keys).await?
            } else {
                matching.delete_many(self, owner, base, count, progress).await?
            };
            if let Some(version) = version {
                return Ok(Deleted { entries, bytes, version });
            }
        }
        Err(EditError::Busy)
    }

    async fn delete_few(
        &self,
        owner: OwnerId,
        base: Version,
        keys: Vec<String>,
    ) -> Result<Option<Version>, EditError> {
        let mut turn = self.turn(owner, base);
        turn.entries = keys.into_iter().map(|key| (key, EntryChange::Delete)).collect();
        Ok(self.commit(turn).await?.map(|committed| committed.version))
    }
}

impl MatchCount {
    fn is_small(&self, steps: Steps) -> bool {
        steps.is_small(
            usize::try_from(self.entries).unwrap_or(usize::MAX),
            usize::try_from(self.bytes).unwrap_or(usize::MAX),
        )
    }

    fn add(&mut self, entry: &EntryInfo, steps: Steps) {
        self.entries += 1;
        self.bytes += entry.key.len() as u64 + entry.size;
        if entry.secret {
            self.secrets.push(entry.key.clone());
        }
        if self.is_small(steps) {
            self.keys.push(entry.key.clone());
        } else {
            self.keys.clear();
        }
    }
}

impl<'a> Matching<'a> {
    /// `None` when nothing can be so old.
    fn new(filter: &'a EntryFilter, now: Timestamp) -> Option<Self> {
        let sweep = match filter.older_than {
            None => None,
            Some((age, by)) => {
                let before = now.checked_sub(SignedDuration::try_from(age).ok()?).ok()?;
                Some(Sweep { prefix: filter.prefix.clone(), by, before })
            }
        };
        Some(Self { prefix: &filter.prefix, sweep })
    }

    fn takes(&self, entry: &EntryInfo) -> bool {
        let sweep = self.sweep.as_ref();
        sweep.is_none_or(|sweep| sweep.takes(&entry.key, entry.created_at, entry.updated_at))
    }

    /// Counts the entries that match.
    async fn count(
        &self,
        editor: &Editor,
        owner: OwnerId,
        base: SpaceInfo,
        progress: Progress<'_>,
    ) -> Result<MatchCount, EditError> {
        let of = self.prefix.is_empty().then_some(base.entries);
        let mut count = MatchCount::default();
        let mut done = 0;
        let mut after = None;
        loop {
            let page = self.page(editor, owner, after).await?;
            page.entries
                .iter()
                .filter(|entry| self.takes(entry))
                .for_each(|entry| count.add(entry, editor.steps));
            done += page.entries.len() as u64;
            progress(done, of.map(|of| of.max(done)));
            after = page.next;
            if after.is_none() {
                return Ok(count);
            }
        }
    }

    async fn page(
        &self,
        editor: &Editor,
        owner: OwnerId,
        after: Option<String>,
    ) -> Result<Looked, EditError> {
        let prefix = self.prefix.to_owned();
        let look =
            Look { prefix, after, entries: editor.steps.step_entries, bytes: usize::MAX, values: false };
        Ok(editor.store.look(owner, &look).await?)
    }

    async fn delete_many(
        &self,
        editor: &Editor,
        owner: OwnerId,
        base: SpaceInfo,
        count: MatchCount,
        progress: Progress<'_>,
    ) -> Result<Option<Version>, EditError> {
        let mut build = Build::begin(editor, owner, progress).await?;
        build.of = Some(base.entries);
        build.entries = count.secrets.into_iter().map(|key| (key, EntryChange::Delete)).collect();
        // Without an age, all under the prefix goes: it is passed over.
        let all = self.sweep.is_none();
        let mut after = None;
        while !(all && self.prefix.is_empty()) {
            let next = build.copy_step(base.id, after.as_deref()).await?;
            self.remove(&mut build, editor, owner, after, next.as_deref()).await?;
            let Some(next) = next else { break };
            after = Some(if all && next.starts_with(self.prefix) { beyond(self.prefix) } else { next });
        }
        let swapped = build.swap(base, Meanwhile::Keep(&BTreeMap::new())).await?;
        Ok(swapped.map(|(_, version)| version))
    }

    /// Removes the entries that match of a stretch of keys that was just copied, in the order of the copy: whatever changed
    /// in between is caught up with in the end.
    async fn remove(
        &self,
        build: &mut Build<'_>,
        editor: &Editor,
        owner: OwnerId,
        mut after: Option<String>,
        until: Option<&str>,
    ) -> Result<(), EditError> {
        loop {
            let page = self.page(editor, owner, after).await?;
            for entry in &page.entries {
                if until.is_some_and(|until| entry.key.as_str() > until) {
                    return build.flush().await;
                }
                if self.takes(entry) {
                    build.add(entry.key.clone(), None).await?;
                }
            }
            after = page.next;
            if after.is_none() {
                return build.flush().await;
            }
        }
    }
}

/// A text after every key under a prefix, and before every other key after those.
fn beyond(prefix: &str) -> String {
    let mut beyond = prefix.to_owned();
    while beyond.len() <= KEY_BYTES {
        beyond.push(char::MAX);
    }
    beyond
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_a_prefix_is_after_all_its_keys_and_before_the_next() {
        for prefix in ["a", "a\u{10FFFF}", "\u{10FFFF}", "é/"] {
            let beyond = beyond(prefix);
            let mut last = prefix.to_owned();
            while last.len() + char::MAX.len_utf8() <= KEY_BYTES {
                last.push(char::MAX);
            }
            assert!(beyond > last && beyond.starts_with(prefix), "{prefix:?}");
        }
        assert!(beyond("a").as_str() < "b" && beyond("a/").as_str() < "a0");
    }
}
