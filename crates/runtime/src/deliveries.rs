//! What people do with deliveries: another attempt at once, or none any more. In steps, so that no number of them holds up
//! the writer.
//!
//! Why each step is a turn of the sink: the store changes a row as it is at the commit, so that what was delivered
//! meanwhile is not owed again; and a pull sink reads its rows before it writes them, so that the same turn has to change
//! the entry by which it notices that.

use inboxclaw_contract::store::{DeliveryQuery, DeliveryRow};
use inboxclaw_contract::turn::{DeliveryChange, DeliveryState, TurnId};
use inboxclaw_contract::{OpenTurn, Outcome, OwnerId, Random, Seq, Store, StoreError};
use inboxclaw_settings::Patterns;
use jiff::Timestamp;

use crate::pull;

/// How many deliveries are changed in one turn, and how many are read at once.
const STEP: usize = 500;
const PAGE: usize = 1_000;
/// About how many bytes of their texts.
const PAGE_BYTES: usize = 8 << 20;

/// What to do with a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryAction {
    /// Another attempt at once: a dead letter waits again, with all its attempts; the lease of a pull sink's consumer ends.
    Retry,
    /// It is no longer owed. For a pull sink that is the same as confirmed.
    Drop,
}

/// Which deliveries of a sink.
#[derive(Debug, Clone, Default)]
pub struct DeliveryFilter {
    /// Only those in this state.
    pub state: Option<DeliveryState>,
    /// Only those whose event type matches.
    pub types: Option<Patterns>,
    /// Only those whose event was stored before this time.
    pub before: Option<Timestamp>,
    /// Only those whose event was stored after this time.
    pub after: Option<Timestamp>,
}

impl DeliveryFilter {
    /// Whether a delivery is one of them.
    #[must_use]
    pub fn takes(&self, row: &DeliveryRow) -> bool {
        self.state.is_none_or(|state| row.state == state)
            && self.types.as_ref().is_none_or(|types| types.matches(&row.event_type))
            && self.before.is_none_or(|before| row.created_at < before)
            && self.after.is_none_or(|after| row.created_at > after)
    }

    /// The first deliveries of `sink` behind a place, in the order of the log.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn list(
        &self,
        store: &dyn Store,
        sink: OwnerId,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<DeliveryRow>, StoreError> {
        let (mut found, mut after) = (Vec::new(), after);
        while found.len() < limit {
            let query = DeliveryQuery { state: self.state, after, rows: PAGE, bytes: PAGE_BYTES };
            let page = store.deliveries(sink, query).await?;
            let last = page.deliveries.last().map(|row| row.seq);
            found.extend(page.deliveries.into_iter().filter(|row| self.takes(row)));
            match last {
                Some(last) if !page.complete => after = last,
                _ => break,
            }
        }
        found.truncate(limit);
        Ok(found)
    }
}

impl DeliveryAction {
    /// Does it to all deliveries of `sink` that the filter takes; returns how many they were. What became one of them
    /// meanwhile may be left out.
    ///
    /// # Errors
    /// When the store cannot be read or written; the steps before are done then.
    pub async fn all(
        self,
        store: &dyn Store,
        random: &dyn Random,
        sink: OwnerId,
        filter: &DeliveryFilter,
    ) -> Result<u64, StoreError> {
        let (mut done, mut after) = (0, Seq(0));
        loop {
            let rows = filter.list(store, sink, after, STEP).await?;
            let Some(last) = rows.last() else { return Ok(done) };
            after = last.seq;
            let seqs: Vec<Seq> = rows.iter().map(|row| row.seq).collect();
            self.some(store, random, sink, &seqs).await?;
            done += seqs.len() as u64;
        }
    }

    /// Does it to these deliveries of `sink`, in one turn. Those that it does not owe are left out.
    ///
    /// # Errors
    /// When the store cannot be written, and then nothing was done.
    pub async fn some(
        self,
        store: &dyn Store,
        random: &dyn Random,
        sink: OwnerId,
        seqs: &[Seq],
    ) -> Result<(), StoreError> {
        let is_pull =
            store.owners().await?.iter().any(|info| info.id == sink && info.connector == pull::KIND);
        loop {
            let mut turn = OpenTurn::open(store, sink, TurnId(random.next())).await?;
            let change = |seq: &Seq| match self {
                Self::Retry => DeliveryChange::Retry { seq: *seq },
                Self::Drop => DeliveryChange::Done { seq: *seq },
            };
            turn.turn_mut().deliveries = seqs.iter().map(change).collect();
            if is_pull {
                pull::deliveries_changed(&mut turn, random)?;
            }
            if let Outcome::Committed(_) = turn.commit().await? {
                return Ok(());
            }
        }
    }
}
