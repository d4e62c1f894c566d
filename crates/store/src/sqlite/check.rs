//! The limits of a turn, checked before it is queued. Conflicts need the state and are found by the writer.

use inboxclaw_contract::limits::{self, CURSOR_BYTES, LimitError, TURN_BYTES, TURN_CHANGES};
use inboxclaw_contract::turn::EntryChange;
use inboxclaw_contract::{StoreError, Turn};

/// The size of a turn in bytes, if it keeps every limit.
pub(super) fn size(turn: &Turn) -> Result<usize, StoreError> {
    sized(turn).map_err(|error| StoreError::Refused(error.to_string()))
}

fn sized(turn: &Turn) -> Result<usize, LimitError> {
    let found = turn.entries.len() + turn.events.len();
    if found > TURN_CHANGES {
        return Err(LimitError::TooMany { found, limit: TURN_CHANGES });
    }
    let cursor = turn.cursor.iter().flatten().map(String::len).sum();
    limits::check_size("the cursor", cursor, CURSOR_BYTES)?;
    let mut size = cursor;
    for prefix in &turn.deleted_prefixes {
        limits::check_prefix(prefix)?;
        size += prefix.len();
    }
    for sweep in &turn.sweeps {
        limits::check_prefix(&sweep.prefix)?;
    }
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
    size += turn.events.iter().map(inboxclaw_contract::NewEvent::size).sum::<usize>();
    limits::check_size("the turn", size, TURN_BYTES)?;
    Ok(size)
}

/// Refuses events whose texts are beyond their limits or whose data is no object.
pub(super) fn events(turn: &Turn) -> Result<(), StoreError> {
    let checked = turn.events.iter().try_for_each(inboxclaw_contract::NewEvent::check);
    checked.map_err(|error| StoreError::Refused(error.to_string()))
}
