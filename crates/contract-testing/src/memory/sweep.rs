//! Removes in steps what has expired or is too old: entries and history.

use std::ops::Bound;

use inboxclaw_contract::OwnerId;
use inboxclaw_contract::store::Swept;
use inboxclaw_contract::turn::Sweep;
use jiff::{SignedDuration, Timestamp};

use super::{AgeSweep, Inner, Row};

/// How many entries one step removes, or looks at for their age.
const STEP: usize = 500;
/// What has just expired is left to those who watch.
const LEFT: SignedDuration = SignedDuration::from_secs(10);
/// How often the rules of an owner are applied.
const RULES_EVERY: SignedDuration = SignedDuration::from_hours(1);
/// How long history is kept.
const HISTORY: SignedDuration = SignedDuration::from_hours(7 * 24);

impl Inner {
    pub(super) fn sweep(&mut self, now: Timestamp) -> Swept {
        let mut entries = self.remove_expired(now);
        let is_full = entries == STEP;
        if !is_full {
            self.apply_rules(now);
            entries += self.remove_old();
        }
        let history = self.owners.iter_mut().map(|row| row.forget_history(now)).sum::<usize>() as u64;
        Swept { entries: entries as u64, history, more: is_full || !self.ages.is_empty() }
    }

    fn remove_expired(&mut self, now: Timestamp) -> usize {
        let Ok(limit) = now.checked_sub(LEFT) else { return 0 };
        let mut left = STEP;
        for row in &mut self.owners {
            row.entries.retain(|_, entry| {
                let goes = left > 0 && entry.expires_at.is_some_and(|at| at <= limit);
                left -= usize::from(goes);
                !goes
            });
        }
        STEP - left
    }

    /// Takes up the rules that are due.
    fn apply_rules(&mut self, now: Timestamp) {
        for (id, row) in (1..).map(OwnerId).zip(&mut self.owners) {
            // Also when the clock went back.
            let is_due = row.rules_at.is_none_or(|at| now < at || now.duration_since(at) >= RULES_EVERY);
            if !is_due {
                continue;
            }
            row.rules_at = Some(now);
            let sweeps = row.policy.expire.iter().filter_map(|rule| {
                let before = now.checked_sub(SignedDuration::try_from(rule.after).ok()?).ok()?;
                Some(Sweep { prefix: rule.prefix.clone(), by: rule.by, before })
            });
            self.ages.extend(sweeps.map(|sweep| AgeSweep::new(id, sweep)));
        }
    }

    /// One step of the removal whose turn it is; what it does not finish comes after the others.
    fn remove_old(&mut self) -> usize {
        let Some(AgeSweep { owner, sweep, after }) = self.ages.pop_front() else { return 0 };
        let Ok(row) = self.row_mut(owner) else { return 0 };
        let from = after.map_or(Bound::Included(sweep.prefix.clone()), Bound::Excluded);
        let under = row.entries.range((from, Bound::Unbounded));
        let under = under.take_while(|(key, _)| key.starts_with(&sweep.prefix)).take(STEP);
        let looked: Vec<(String, bool)> = under
            .map(|(key, entry)| (key.clone(), sweep.takes(key, entry.created_at, entry.updated_at)))
            .collect();
        let old = looked.iter().filter(|(_, is_old)| *is_old);
        let removed = old.filter(|(key, _)| row.entries.remove(key).is_some()).count();
        if looked.len() == STEP {
            let after = looked.into_iter().next_back().map(|(key, _)| key);
            self.ages.push_back(AgeSweep { owner, sweep, after });
        }
        removed
    }
}

impl Row {
    /// Forgets what is too old, and what is older in the order of versions, whatever time a wrong clock gave it.
    fn forget_history(&mut self, now: Timestamp) -> usize {
        let Ok(limit) = now.checked_sub(HISTORY) else { return 0 };
        let old = self.history.iter().rposition(|past| past.at <= limit).map_or(0, |last| last + 1);
        self.history.drain(..old).count()
    }
}
