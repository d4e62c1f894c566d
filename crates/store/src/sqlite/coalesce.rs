//! The events of a turn by the rules of their source: stored, or collected with others of their entity.

use std::sync::Arc;

use inboxclaw_contract::coalesce::{
    Aggregation, CoalesceRule, fits_list, has_room, joined_meta, list_is_full, list_takes,
};
use inboxclaw_contract::{NewEvent, OwnerId, Turn};

use super::append::{self, Added, Logged};
use super::pending::{self, Joined, Place};
use super::tx::Tx;

/// Notes and stores or collects the events that the source has not reported before.
///
/// The id of each is noted first, so that a repeated one changes neither the data nor the count of what is pending. What
/// is pending of an entity is promoted before anything else of that entity is stored, in the same transaction: events of
/// one entity get their seq in the order in which they were reported. A source without rules and without anything pending
/// costs two look-ups a turn.
pub(super) fn events(tx: &mut Tx<'_>, turn: &Turn) -> rusqlite::Result<Added> {
    if turn.events.is_empty() {
        return Ok(Added::default());
    }
    let rules = tx.writer.coalescing.get(&turn.owner).cloned();
    if rules.is_none() && pending::count(tx, turn.owner)? == 0 {
        return append::events(tx, turn);
    }
    let rules = rules.unwrap_or_else(|| Arc::from([]));
    let mut added = Added::default();
    for event in &turn.events {
        if append::note_reported(tx, turn.owner, &event.event_id)? {
            one(tx, turn.owner, &rules, event, &mut added)?;
        } else {
            added.known += 1;
        }
    }
    Ok(added)
}

/// Stores or collects a new event.
fn one(
    tx: &mut Tx<'_>,
    source: OwnerId,
    rules: &[CoalesceRule],
    event: &NewEvent,
    added: &mut Added,
) -> rusqlite::Result<()> {
    let rule = rules.iter().find(|rule| rule.patterns.matches(&event.event_type));
    let Some(entity) = &event.entity_id else {
        if rule.is_some() && tx.writer.warned.insert(source) {
            tracing::warn!(
                event_type = event.event_type,
                event_id = event.event_id,
                "events that name no entity are not coalesced but stored at once; this is told once for each source"
            );
        }
        return store(tx, source, event, added);
    };
    let rule = rule.filter(|rule| can_be_collected(rule, event));
    if let Some(mut place) = Place::find(tx, source, entity)? {
        let joins = rule.filter(|rule| place.takes(event, rule, tx.clock.trusted));
        if let Some(rule) = joins
            && let Some(joined) = joined(tx, &place, rule, event)?
        {
            place.join(tx, rule, &joined)?;
            return collected(tx, &place, rule, added);
        }
        place.promote(tx)?;
        added.stored += 1;
    }
    match rule {
        Some(rule) => {
            let place = Place::begin(tx, source, entity, rule, event)?;
            collected(tx, &place, rule, added)
        }
        None => store(tx, source, event, added),
    }
}

fn store(tx: &mut Tx<'_>, source: OwnerId, event: &NewEvent, added: &mut Added) -> rusqlite::Result<()> {
    append::append(tx, &Logged::of(source, event))?;
    added.stored += 1;
    Ok(())
}

/// An event was collected: a list that is full goes at once.
fn collected(tx: &mut Tx<'_>, place: &Place, rule: &CoalesceRule, added: &mut Added) -> rusqlite::Result<()> {
    added.pending += 1;
    if rule.aggregation == Aggregation::List && list_is_full(place.count(), place.bytes()) {
        place.promote(tx)?;
        added.stored += 1;
    }
    Ok(())
}

/// Whether an event can wait. One that is as large or as deep as an event can be has no room for what that adds.
fn can_be_collected(rule: &CoalesceRule, event: &NewEvent) -> bool {
    has_room(&event.meta) && (rule.aggregation != Aggregation::List || fits_list(event))
}

/// What a pending event and another one are together; `None` when that is too large.
fn joined<'a>(
    tx: &Tx<'_>,
    place: &Place,
    rule: &CoalesceRule,
    event: &'a NewEvent,
) -> rusqlite::Result<Option<Joined<'a>>> {
    let mut joined = Joined { meta: None, data: None, item: None };
    if event.meta.as_str() != "{}" {
        joined.meta = joined_meta(&place.meta(tx)?, &event.meta);
        if joined.meta.is_none() {
            return Ok(None);
        }
    }
    match rule.aggregation {
        Aggregation::Latest => joined.data = Some(event.data.clone()),
        Aggregation::Merge => {
            joined.data = place.data(tx)?.merged(&event.data).ok();
            if joined.data.is_none() {
                return Ok(None);
            }
        }
        Aggregation::List if list_takes(place.bytes(), &event.data) => joined.item = Some(&event.data),
        Aggregation::List => return Ok(None),
    }
    Ok(Some(joined))
}
