//! Entries that go because of their age: by sweeps that turns asked for, and by the rules of their owner.

use inboxclaw_contract::store::Expire;
use inboxclaw_contract::turn::Sweep;
use inboxclaw_contract::{OwnerId, StoreError};
use jiff::SignedDuration;

use super::super::building_spaces;
use super::super::error::Fault;
use super::super::tx::Tx;
use super::super::values::{End, Micros};
use super::super::writer_state::{Asked, RulePass};
use super::room::{Gone, Room};

const FROM: &str = "
    SELECT key, created_at, updated_at, octet_length(key) + octet_length(value) FROM entries
    WHERE space = +?1 AND key >= ?2 AND key < ?3 ORDER BY key LIMIT +?4";

const AFTER: &str = "
    SELECT key, created_at, updated_at, octet_length(key) + octet_length(value) FROM entries
    WHERE space = +?1 AND key > ?2 AND key < ?3 ORDER BY key LIMIT +?4";

/// One step; returns whether there is more to do.
pub(super) fn step(tx: &mut Tx<'_>, room: &mut Room) -> Result<bool, Fault> {
    // First, because a rule rests after each pass, while there may always be a turn that asks.
    while !room.is_used()
        && let Some((owner, place, rule)) = next_rule(tx)
    {
        rule_step(tx, owner, place, &rule, room)?;
    }
    // Worked on in a copy, which takes effect with the commit: nobody asks again for what would be skipped.
    let mut asked = match tx.cache.sweeps.take() {
        Some(staged) => staged,
        None => tx.writer.sweeps.clone(),
    };
    while !room.is_used()
        && let Some(Asked { owner, sweep, after }) = asked.pop_front()
    {
        if let Some(last) = stretch(tx, owner, &sweep, after.as_deref(), room)? {
            asked.push_front(Asked { owner, sweep, after: Some(last) });
        }
    }
    let more = !asked.is_empty();
    tx.cache.sweeps = Some(asked);
    Ok(more || next_rule(tx).is_some())
}

/// A rule that is due, with its owner and its place among the owner's.
fn next_rule(tx: &Tx<'_>) -> Option<(OwnerId, usize, Expire)> {
    let now = tx.clock.trusted.get();
    tx.writer.policies.iter().find_map(|(owner, policy)| {
        let passing = tx.writer.round.rules.get(owner);
        let due = |place: usize| {
            passing.and_then(|passing| passing.get(place)).is_none_or(|passing| passing.is_due(now))
        };
        let (place, rule) = policy.expire.iter().enumerate().find(|(place, _)| due(*place))?;
        Some((*owner, place, rule.clone()))
    })
}

fn rule_step(
    tx: &mut Tx<'_>,
    owner: OwnerId,
    place: usize,
    rule: &Expire,
    room: &mut Room,
) -> Result<(), Fault> {
    let now = tx.clock.trusted;
    let passings = tx.writer.round.rules.entry(owner).or_default();
    if passings.len() <= place {
        passings.resize_with(place + 1, RulePass::default);
    }
    let RulePass { begun, after } = std::mem::take(&mut passings[place]);
    let begun = if after.is_some() { begun } else { Some(now.get()) };
    let after = match before(now, rule) {
        Some(before) => {
            let sweep = Sweep { prefix: rule.prefix.clone(), by: rule.by, before };
            stretch(tx, owner, &sweep, after.as_deref(), room)?
        }
        None => None,
    };
    if let Some(passing) = tx.writer.round.rules.get_mut(&owner).and_then(|all| all.get_mut(place)) {
        *passing = RulePass { begun, after };
    }
    Ok(())
}

/// What was created or updated before this is too old; `None` when that is before all time.
fn before(now: Micros, rule: &Expire) -> Option<jiff::Timestamp> {
    let age = SignedDuration::try_from(rule.after).ok()?;
    now.0.checked_sub(age).ok()
}

/// Removes what a sweep takes after a key, as far as there is room. Returns where to go on, if anywhere.
fn stretch(
    tx: &mut Tx<'_>,
    owner: OwnerId,
    sweep: &Sweep,
    after: Option<&str>,
    room: &mut Room,
) -> Result<Option<String>, Fault> {
    let space = match tx.owner(owner) {
        Ok(owner) => owner.space,
        Err(Fault::Answer(StoreError::NoOwner(_))) => return Ok(None),
        Err(fault) => return Err(fault),
    };
    let (sql, start) = match after {
        Some(after) => (AFTER, after),
        None => (FROM, sweep.prefix.as_str()),
    };
    let mut gone = Gone::of(space);
    let mut find = tx.connection.prepare_cached(sql)?;
    let mut rows = find.query((space, start, End::of(&sweep.prefix), room.rows))?;
    let mut last = None;
    while !room.is_used() {
        let Some(row) = rows.next()? else {
            last = None;
            break;
        };
        room.rows -= 1;
        let (created_at, updated_at): (Micros, Micros) = (row.get(1)?, row.get(2)?);
        let key: String = row.get(0)?;
        if sweep.takes(&key, created_at.0, updated_at.0) {
            gone.add(room, key.clone(), row.get(3)?);
        }
        last = Some(key);
    }
    drop(rows);
    building_spaces::remove(tx, owner, space, &gone.keys)?;
    gone.remove(tx)?;
    Ok(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_planned_once_and_scan_nothing() {
        super::super::super::plans::check(&[FROM, AFTER]);
    }
}
