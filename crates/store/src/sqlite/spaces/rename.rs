//! Another name for an owner. Everything that it has goes by its number, so that only its row changes.

use inboxclaw_contract::limits::{INTERNAL_SOURCE, check_name};
use inboxclaw_contract::{Owner, OwnerId, OwnerKind, StoreError};
use rusqlite::OptionalExtension;

use super::super::error::Fault;
use super::super::sinks;
use super::super::tx::Tx;

const NAME: &str = "SELECT kind = ?2 AND name = ?3 FROM owners WHERE id = ?1";

/// A turn that stored anything, be it only events, has left its id; what is forgotten keeps a version. So this tells
/// whether an owner ever changed its state or reported an event, also one that is long pruned.
const TARGET: &str = "SELECT id, version = 0 AND turn_id IS NULL FROM owners WHERE kind = ?1 AND name = ?2";

const REMOVE: &str = "DELETE FROM owners WHERE id = ?1";
const REMOVE_DELIVERIES: &str = "DELETE FROM deliveries WHERE sink = ?1";

/// The highest number that an owner ever had, as far as its row is gone: numbers are not used again.
const KEEP_NUMBER: &str = "
    INSERT INTO meta (name, value) VALUES ('owner', ?1) ON CONFLICT (name) DO UPDATE SET value = max(value, ?1)";

const RENAME: &str = "UPDATE owners SET kind = ?2, name = ?3 WHERE id = ?1";

/// Renames an owner. One of the new name that never did anything goes; its empty space is swept.
pub(super) fn rename(tx: &mut Tx<'_>, owner: OwnerId, to: &Owner) -> Result<(), Fault> {
    check_name(to.kind, &to.name).map_err(|error| StoreError::Refused(error.to_string()))?;
    tx.owner(owner)?;
    let connection = tx.connection;
    let internal = (owner.0, OwnerKind::Source.as_str(), INTERNAL_SOURCE);
    if connection.prepare_cached(NAME)?.query_row(internal, |row| row.get(0))? {
        let reason = format!("the source {INTERNAL_SOURCE} reports on the program itself and keeps its name");
        return Err(StoreError::Refused(reason).into());
    }
    let target: Option<(i64, bool)> = connection
        .prepare_cached(TARGET)?
        .query_row((to.kind.as_str(), &to.name), |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    match target {
        Some((id, _)) if id == owner.0 => return Ok(()),
        Some((_, false)) => {
            let reason = format!("there was a {to} already, with state or events of its own");
            return Err(StoreError::Refused(reason).into());
        }
        Some((id, true)) => remove(tx, OwnerId(id))?,
        None => {}
    }
    connection.prepare_cached(RENAME)?.execute((owner.0, to.kind.as_str(), &to.name))?;
    Ok(())
}

fn remove(tx: &mut Tx<'_>, owner: OwnerId) -> rusqlite::Result<()> {
    tx.connection.prepare_cached(REMOVE)?.execute([owner.0])?;
    tx.connection.prepare_cached(REMOVE_DELIVERIES)?.execute([owner.0])?;
    sinks::forget(tx.connection, owner)?;
    tx.connection.prepare_cached(KEEP_NUMBER)?.execute([owner.0])?;
    tx.cache.forget_owner(owner);
    tx.writer.forget(owner);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_planned_once_and_scan_nothing() {
        super::super::super::plans::check(&[NAME, TARGET, REMOVE, REMOVE_DELIVERIES, KEEP_NUMBER, RENAME]);
    }
}
