//! What happens to spaces that are being built while turns and sweeps of the same owner go on. Whoever builds one
//! catches up with what history tells. Here is the rest, what leaves no trace there: touches, what goes because of its
//! age, and that no revision of a key ever stands for two values.

use inboxclaw_contract::OwnerId;

use super::counts::Counts;
use super::error::Fault;
use super::tx::Tx;
use super::values::Micros;

/// An entry that was filled in has the revision that the next turn would give.
const RENUMBER: &str =
    "UPDATE entries SET revision = revision + 1 WHERE space = ?1 AND key = ?2 AND revision = ?3";

/// The same revision is the same entry, copied.
const TOUCH: &str = "
    UPDATE entries SET expires_at = ?4 WHERE space = ?1 AND key = ?2
        AND revision = (SELECT revision FROM entries WHERE space = ?3 AND key = ?2)";

const DELETE: &str = "
    DELETE FROM entries WHERE space = ?1 AND key = ?2
        AND revision = (SELECT revision FROM entries WHERE space = ?3 AND key = ?2)
    RETURNING octet_length(key) + octet_length(value)";

/// `key` gets this revision in place of what it had: whatever has it in a space that is being built moves on to the next.
pub(super) fn renumber(tx: &Tx<'_>, built: &[i64], key: &str, revision: i64) -> rusqlite::Result<()> {
    built.iter().try_for_each(|built| {
        tx.connection.prepare_cached(RENUMBER)?.execute((built, key, revision)).map(drop)
    })
}

/// The entry under `key` of `space` expires then: its copies as well.
pub(super) fn touch(
    tx: &Tx<'_>,
    built: &[i64],
    space: i64,
    key: &str,
    expires_at: Option<Micros>,
) -> rusqlite::Result<()> {
    built.iter().try_for_each(|built| {
        tx.connection.prepare_cached(TOUCH)?.execute((built, key, space, expires_at)).map(drop)
    })
}

/// The entries under `keys` of `space` are about to go because of their age: their copies as well.
pub(super) fn remove(tx: &mut Tx<'_>, owner: OwnerId, space: i64, keys: &[String]) -> Result<(), Fault> {
    for built in tx.built_for(owner) {
        let mut gone = Counts::default();
        let mut delete = tx.connection.prepare_cached(DELETE)?;
        for key in keys {
            for bytes in delete.query_map((built, key, space), |row| row.get(0))? {
                gone += Counts { entries: 1, bytes: bytes? };
            }
        }
        tx.count(built, Counts::default() - gone)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_planned_once_and_scan_nothing() {
        super::super::plans::check(&[RENUMBER, TOUCH, DELETE]);
    }
}
