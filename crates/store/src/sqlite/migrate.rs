//! Brings a database to the layout that this program knows: numbered files, each in one transaction.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rusqlite::Connection;

use super::error::OpenError;
use crate::path::beside;

/// All layouts in order; the number of one is its place from 1. A published one never changes.
pub(super) const MIGRATIONS: &[&str] = &[
    include_str!("../../migrations/0001_first.sql"),
    include_str!("../../migrations/0002_spaces_and_counts.sql"),
    include_str!("../../migrations/0003_truncation.sql"),
    include_str!("../../migrations/0004_swept_expiries.sql"),
    include_str!("../../migrations/0005_event_counts.sql"),
    include_str!("../../migrations/0006_sinks.sql"),
    include_str!("../../migrations/0007_delivery_origin.sql"),
    include_str!("../../migrations/0008_pending.sql"),
];

/// Refuses a layout from the future.
pub(super) fn check(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    check_number(version(connection, path)?, path)
}

/// Refuses the number of a layout from the future.
pub(super) fn check_number(found: i64, path: &Path) -> Result<(), OpenError> {
    let known = number(MIGRATIONS);
    if found > known { Err(OpenError::NewerVersion { path: path.into(), found, known }) } else { Ok(()) }
}

/// Refuses every layout but the newest, which is what reading alone can use.
pub(super) fn check_current(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    check(connection, path)?;
    if version(connection, path)? == number(MIGRATIONS) {
        return Ok(());
    }
    let reason = "it has an older layout; start the daemon once to bring it up to date".to_owned();
    Err(OpenError::Sqlite { path: path.into(), reason })
}

/// Applies what is missing, after a backup of a database that holds something.
pub(super) fn run(connection: &mut Connection, path: &Path) -> Result<(), OpenError> {
    apply(connection, path, MIGRATIONS)
}

fn apply(connection: &mut Connection, path: &Path, migrations: &[&str]) -> Result<(), OpenError> {
    let found = version(connection, path)?;
    if found > 0 && found < number(migrations) {
        back_up(connection, path, found)?;
    }
    for (sql, number) in migrations.iter().zip(1..) {
        if number > found {
            step(connection, sql, number).map_err(|error| OpenError::sqlite(path, &error))?;
        }
    }
    Ok(())
}

fn step(connection: &mut Connection, sql: &str, number: i64) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    transaction.execute_batch(sql)?;
    transaction.pragma_update(None, "user_version", number)?;
    transaction.commit()
}

fn back_up(connection: &Connection, path: &Path, version: i64) -> Result<(), OpenError> {
    let copy = beside(path, &format!(".backup-v{version}"));
    // One that is there comes from an interrupted attempt: the database has had this layout until now.
    let file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&copy);
    drop(file.map_err(|error| OpenError::io(&copy, &error))?);
    connection
        .backup(rusqlite::MAIN_DB, &copy, None::<fn(_)>)
        .map_err(|error| OpenError::sqlite(&copy, &error))?;
    tracing::info!("the database gets a new layout; {} holds it as it was", copy.display());
    Ok(())
}

fn version(connection: &Connection, path: &Path) -> Result<i64, OpenError> {
    let version = connection.pragma_query_value(None, "user_version", |row| row.get(0));
    version.map_err(|error| OpenError::sqlite(path, &error))
}

fn number(migrations: &[&str]) -> i64 {
    i64::try_from(migrations.len()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn tables(connection: &Connection) -> Vec<String> {
        let mut all = connection.prepare("SELECT name FROM sqlite_master ORDER BY name").unwrap();
        all.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    }

    #[test]
    fn a_migration_leaves_a_private_backup_and_a_failed_one_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        let copy = dir.path().join("a.db.backup-v1");
        let mut connection = Connection::open(&path).unwrap();
        let (first, second) = ("CREATE TABLE a (x);", "CREATE TABLE b (x);");

        apply(&mut connection, &path, &[first]).unwrap();
        assert!(!copy.exists(), "a new database needs no backup");

        let broken = "CREATE TABLE c (x); CREATE TABLE a (x);";
        assert!(apply(&mut connection, &path, &[first, broken]).is_err());
        assert_eq!((tables(&connection), version(&connection, &path).unwrap()), (vec!["a".to_owned()], 1));

        apply(&mut connection, &path, &[first, second]).unwrap();
        assert_eq!(
            (tables(&connection), version(&connection, &path).unwrap()),
            (vec!["a".into(), "b".into()], 2)
        );
        assert_eq!(tables(&Connection::open(&copy).unwrap()), ["a"]);
        assert_eq!(fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
