//! `store`: the database as a whole.

mod import_forerunner;
mod progress;

use inboxclaw_contract::Log as _;
use inboxclaw_store::{Compacted, OpenError, Restored, SqliteStore};
use serde_json::json;

use self::progress::Progress;
use super::failed::Failed;
use super::{client, configuration, database, output};
use crate::cli::{Backup, ConfigFile, Restore, Store, StoreCommand, exit};
use crate::outside::outside;

pub(super) fn run(args: &Store, json: bool) -> Result<u8, Failed> {
    match &args.command {
        StoreCommand::Backup(args) => backup(args, json),
        StoreCommand::Restore(args) => restore(args, json),
        StoreCommand::Compact(args) => compact(args, json),
        StoreCommand::ImportForerunner(args) => import_forerunner::run(args, json),
    }
}

fn backup(args: &Backup, as_json: bool) -> Result<u8, Failed> {
    let origin = configuration::of_client(&args.config)?;
    let database = configuration::load(&origin)?.database.path;
    if !database.exists() {
        return Err(Failed::plain(format!("there is no database at {} yet", database.display())));
    }
    let mut progress = Progress::new("copied");
    let copied =
        SqliteStore::backup(&database, &args.file, args.force, &mut |done, of| progress.show(done, of));
    drop(progress);
    let copied = copied.map_err(|error| Failed::plain(error.to_string()))?;
    if as_json {
        let file = std::path::absolute(&args.file).unwrap_or_else(|_| args.file.clone());
        output::pretty(&json!({ "file": file, "bytes": copied.bytes, "last_event": copied.last_event }))?;
    } else {
        let (bytes, last) = (copied.bytes, copied.last_event);
        output::line(&format!("{}: {bytes} bytes, up to event {last}", args.file.display()))?;
    }
    Ok(exit::OK)
}

fn restore(args: &Restore, as_json: bool) -> Result<u8, Failed> {
    let origin = configuration::of_client(&args.config)?;
    let database = configuration::load(&origin)?.database;
    let outside = outside();
    let aside = outside.clock.now().strftime(".before-restore-%Y%m%dT%H%M%SZ").to_string();
    let mut progress = Progress::new("copied");
    let restored =
        SqliteStore::restore(&database.path, &args.file, &aside, &mut |done, of| progress.show(done, of));
    drop(progress);
    let Restored { prepared, aside, last_event } = restored.map_err(failed)?;
    let store = database::open(prepared, &database, &outside).map_err(failed)?;
    let head =
        client::block_on(async { store.head().await.map_err(|error| Failed::plain(error.to_string())) })?;
    drop(store);
    let next = head.0 + 1;
    if as_json {
        let told =
            json!({ "database": database.path, "last_event": last_event, "next_event": next, "kept": aside });
        output::pretty(&told)?;
    } else {
        let path = database.path.display();
        output::line(&format!("{path} is restored up to event {last_event}; the next event gets {next}"))?;
        if let Some(aside) = aside {
            output::line(&format!("the database that was there is {}", aside.display()))?;
        }
    }
    Ok(exit::OK)
}

fn compact(args: &ConfigFile, as_json: bool) -> Result<u8, Failed> {
    let database = configuration::load(&configuration::of_client(args)?)?.database.path;
    if !database.exists() {
        return Err(Failed::plain(format!("there is no database at {} yet", database.display())));
    }
    let Compacted { before, after } = SqliteStore::compact(&database).map_err(failed)?;
    if as_json {
        output::pretty(&json!({ "database": database, "before": before, "after": after }))?;
    } else {
        output::line(&format!("{}: {after} bytes, {before} before", database.display()))?;
    }
    Ok(exit::OK)
}

/// Why a database cannot be opened that nobody else may have open.
fn failed(error: OpenError) -> Failed {
    let hint = if matches!(error, OpenError::Locked { .. }) { ": stop it first" } else { "" };
    Failed::plain(format!("{error}{hint}"))
}
