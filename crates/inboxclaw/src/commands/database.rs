//! Opens the database of a configuration, for the program and for commands that change what it holds.

use inboxclaw_config::Database;
use inboxclaw_contract::Outside;
use inboxclaw_store::{Durability, HistoryBounds, OpenError, Prepared, SqliteStore};

use super::failed::Failed;

/// Opens the database as the configuration wants it.
pub(super) fn open(
    prepared: Prepared,
    database: &Database,
    outside: &Outside,
) -> Result<SqliteStore, OpenError> {
    let options = inboxclaw_store::Options {
        durability: if database.durable { Durability::Full } else { Durability::Normal },
        history: HistoryBounds { age: database.history_age, bytes: database.history_bytes },
        ..inboxclaw_store::Options::new(outside.clock.clone())
    };
    prepared.open(options)
}

/// What a person can do about a database that cannot be opened, where the error does not say it.
pub(super) fn refused(error: &OpenError, built_in: bool) -> Failed {
    let hint = match error {
        OpenError::Foreign { path, found } if built_in => {
            let path = path.display();
            return Failed::plain(format!("{path} {found}; it was not touched: run this in another folder"));
        }
        OpenError::Locked { .. } if built_in => "; stop it first, or run this one in another folder",
        OpenError::Sqlite { reason, .. } if reason.contains("locked") => {
            "; another program has it open: close that one first"
        }
        OpenError::Full { .. } => "; make room and start again",
        OpenError::Io { .. } | OpenError::Sqlite { .. } if built_in => {
            "; run it in a folder that can be written"
        }
        OpenError::Locked { .. } => "; stop it first, or set database.db_path to another file",
        OpenError::Io { .. } | OpenError::Sqlite { .. } => {
            "; set database.db_path to a file in a folder that can be written"
        }
        _ => "",
    };
    Failed::plain(format!("{error}{hint}"))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn advice_about_the_database_fits_the_cause_and_how_it_was_started() {
        let path = PathBuf::from("d.db");
        let sqlite = |reason: &str| OpenError::Sqlite { path: path.clone(), reason: reason.to_owned() };
        let foreign = OpenError::Foreign { path: path.clone(), found: "is a diary" };
        for (error, built_in, advice) in [
            (sqlite("database is locked"), false, "; another program has it open: close that one first"),
            (sqlite("database is locked"), true, "; another program has it open: close that one first"),
            (
                sqlite("disk I/O error"),
                false,
                "; set database.db_path to a file in a folder that can be written",
            ),
            (sqlite("disk I/O error"), true, "; run it in a folder that can be written"),
            (OpenError::Locked { path: path.clone(), pid: None }, true, "or run this one in another folder"),
            (foreign, true, "d.db is a diary; it was not touched: run this in another folder"),
        ] {
            let message = refused(&error, built_in).message;
            assert!(message.ends_with(advice), "{message}");
            assert!(!built_in || !message.contains("db_path"), "{message}");
        }
    }
}
