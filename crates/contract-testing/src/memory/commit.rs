//! Stores a turn, all or nothing: everything that can refuse it comes before the first change.

use inboxclaw_contract::limits::{self, CURSOR_BYTES, LimitError, TURN_BYTES, TURN_CHANGES};
use inboxclaw_contract::store::PastTurn;
use inboxclaw_contract::turn::{Committed, Conflict, DeliveryChange, EntryChange, FactsPatch};
use inboxclaw_contract::{Event, NewEvent, Outcome, OwnerId, StoreError, Turn};
use jiff::{SignedDuration, Timestamp};

use super::coalesce::Added;
use super::plan::Plan;
use super::time::Now;
use super::{AgeSweep, Inner, OwedDelivery, Row};

impl Inner {
    pub(super) fn commit(&mut self, turn: Turn, now: Now) -> Result<Outcome, StoreError> {
        check(&turn)?;
        let row = self.row(turn.owner)?;
        turn.facts.iter().try_for_each(|(owner, _)| self.row(*owner).map(drop))?;
        if row.last_turn == Some(turn.turn_id) {
            return Ok(row.nothing_stored());
        }
        if let Some(conflict) = row.conflict(&turn, now.trusted) {
            return Ok(Outcome::Conflict(conflict));
        }
        let plan = Plan::of(row, &turn, now);
        plan.check_limits(row)?;
        self.turns += 1;
        let row = self.row_mut(turn.owner)?;
        row.last_turn = Some(turn.turn_id);
        row.apply(plan, &turn, now.stamp);
        let (owner, version) = (turn.owner, row.version);
        self.ages.extend(turn.sweeps.into_iter().map(|sweep| AgeSweep::new(owner, sweep)));
        let Added { stored, pending, known } = self.take(owner, turn.events, now)?;
        turn.deliveries.into_iter().for_each(|change| self.deliver(owner, change, now.trusted));
        for (owner, patch) in &turn.facts {
            self.row_mut(*owner)?.patch(patch, now.trusted);
        }
        Ok(Outcome::Committed(Committed { version, stored, pending, known }))
    }

    /// Puts an event into the log.
    pub(super) fn append(
        &mut self,
        source: OwnerId,
        event: NewEvent,
        created_at: Timestamp,
    ) -> Result<(), StoreError> {
        let source_name = self.row(source)?.owner.name.clone();
        self.head.0 += 1;
        self.types.insert(event.event_type.clone());
        let NewEvent { event_id, event_type, entity_id, occurred_at, data, meta } = event;
        let seq = self.head;
        let event = Event {
            seq,
            source,
            source_name,
            event_id,
            event_type,
            entity_id,
            created_at,
            occurred_at,
            data,
            meta,
        };
        self.events.insert(seq, event);
        Ok(())
    }

    fn deliver(&mut self, sink: OwnerId, change: DeliveryChange, now: Timestamp) {
        match change {
            DeliveryChange::Owe { seq, state, due, attempts, error, tried_at, origin, .. }
                if self.events.contains_key(&seq) =>
            {
                self.deliveries
                    .insert((sink, seq), OwedDelivery { state, due, attempts, error, tried_at, origin });
            }
            DeliveryChange::Owe { .. } => {}
            DeliveryChange::Done { seq } => drop(self.deliveries.remove(&(sink, seq))),
            DeliveryChange::Retry { seq } => {
                if let Some(row) = self.deliveries.get_mut(&(sink, seq)) {
                    row.retry(now);
                }
            }
        }
    }
}

impl Row {
    /// The answer to a turn of which nothing is to be stored.
    pub(super) fn nothing_stored(&self) -> Outcome {
        Outcome::Committed(Committed { version: self.version, stored: 0, pending: 0, known: 0 })
    }

    /// Changes run facts.
    pub(super) fn patch(&mut self, patch: &FactsPatch, now: Timestamp) {
        let facts = &mut self.facts;
        facts.failures = patch.failures.unwrap_or(facts.failures);
        facts.paused = patch.paused.unwrap_or(facts.paused);
        facts.announced = patch.announced.clone().or(facts.announced.take());
        if let Some(next_in) = patch.next_in {
            let next = SignedDuration::try_from(next_in).ok().and_then(|wait| now.checked_add(wait).ok());
            facts.next_at = (!next_in.is_zero()).then_some(next.unwrap_or(Timestamp::MAX));
        }
        if patch.seen {
            facts.seen_at = Some(now);
        }
    }

    fn conflict(&self, turn: &Turn, now: Timestamp) -> Option<Conflict> {
        self.moved(turn).or_else(|| {
            turn.checks.iter().find_map(|(key, wanted)| {
                let found = self.live(key, now).map(|entry| entry.revision);
                let (key, wanted) = (key.clone(), *wanted);
                (found != wanted).then_some(Conflict::Check { key, wanted, found })
            })
        })
    }

    /// What the turn depends on and what changed after its base.
    fn moved(&self, turn: &Turn) -> Option<Conflict> {
        let (keys, prefixes) = (&turn.reads.keys, &turn.reads.prefixes);
        let cursor = turn.reads.cursor || turn.cursor.is_some();
        let state =
            [keys.is_empty(), prefixes.is_empty(), turn.entries.is_empty(), turn.deleted_prefixes.is_empty()];
        let depends_on_state = cursor || state.contains(&false);
        if turn.base == self.version || !depends_on_state {
            return None;
        }
        if turn.base > self.version || turn.base < self.known_from {
            return Some(Conflict::Unknown);
        }
        if cursor && self.cursor_changed > turn.base {
            return Some(Conflict::Cursor);
        }
        self.changed.iter().filter(|(_, version)| **version > turn.base).find_map(|(key, _)| {
            if keys.contains(key) || turn.entries.contains_key(key) {
                return Some(Conflict::Key(key.clone()));
            }
            let prefix =
                prefixes.iter().chain(&turn.deleted_prefixes).find(|prefix| key.starts_with(*prefix))?;
            Some(Conflict::Prefix { prefix: prefix.clone(), key: key.clone() })
        })
    }

    fn apply(&mut self, plan: Plan, turn: &Turn, at: Timestamp) {
        let Plan { writes, replaced, is_marker, cursor, version } = plan;
        for (key, new) in writes {
            match new {
                Some(entry) => drop(self.entries.insert(key, entry)),
                None => drop(self.entries.remove(&key)),
            }
        }
        if version == self.version {
            return;
        }
        self.version = version;
        if cursor.is_some() {
            self.cursor_changed = version;
            self.cursor = turn.cursor.clone().flatten();
        }
        self.changed.extend(replaced.iter().map(|(key, _)| (key.clone(), version)));
        if is_marker {
            self.known_from = version;
        }
        self.history.push(PastTurn {
            version,
            at,
            author: turn.author.clone(),
            cursor,
            entries: if is_marker { Vec::new() } else { replaced },
            marker: is_marker,
            replaced: None,
            undoes: turn.undoes,
        });
    }
}

/// Refuses what is beyond the limits of the contract.
fn check(turn: &Turn) -> Result<(), StoreError> {
    if turn.swap.is_some() {
        return Err(StoreError::Refused("this store has no spaces".to_owned()));
    }
    turn.events
        .iter()
        .try_for_each(NewEvent::check)
        .map_err(|error| StoreError::Refused(error.to_string()))?;
    check_sizes(turn).map_err(|error| StoreError::Refused(error.to_string()))
}

fn check_sizes(turn: &Turn) -> Result<(), LimitError> {
    let cursor = turn.cursor.iter().flatten().map(String::len).sum();
    limits::check_size("the cursor", cursor, CURSOR_BYTES)?;
    turn.deleted_prefixes.iter().try_for_each(|prefix| limits::check_prefix(prefix))?;
    turn.sweeps.iter().try_for_each(|sweep| limits::check_prefix(&sweep.prefix))?;
    let mut size = cursor + turn.events.iter().map(NewEvent::size).sum::<usize>();
    for (key, change) in &turn.entries {
        match change {
            EntryChange::Put { .. } => limits::check_new_key(key)?,
            _ => limits::check_key(key)?,
        }
        size += key.len();
        size += match change {
            EntryChange::Put { value, .. } => value.len(),
            EntryChange::Restore(entry) => entry.value.len(),
            EntryChange::Touch { .. } | EntryChange::Delete => 0,
        };
    }
    limits::check_size("the turn", size, TURN_BYTES)?;
    let found = turn.events.len() + turn.entries.len();
    if found > TURN_CHANGES { Err(LimitError::TooMany { found, limit: TURN_CHANGES }) } else { Ok(()) }
}
