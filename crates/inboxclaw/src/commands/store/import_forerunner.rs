//! `store import-forerunner`: what the database of the Python program holds, brought over into a new one of ours.

use std::path::Path;

use inboxclaw_config::{Config, SinkConfig, Target};
use inboxclaw_connectors::forerunner::taken_over;
use inboxclaw_contract::{DeliveryPolicy, Intake, printable};
use inboxclaw_settings::{Interval, Ttl};
use inboxclaw_store::{
    DeliveryTable, Forerunner, ImportPlan, ImportSurvey, Imported, ImportedSink, ImportedSource, OpenError,
    SqliteStore,
};
use serde_json::{Value as Json, json};

use super::super::failed::Failed;
use super::super::table::{Side, Table};
use super::super::{client, configuration, database, output};
use super::progress::Progress;
use crate::cli::{ImportForerunner, exit};
use crate::outside::outside;

/// The time to live and the attempts of the Python program where nothing is configured.
const TTL: Interval = Interval::from_secs(60 * 60);
const MAX_RETRIES: u32 = 3;

pub(super) fn run(args: &ImportForerunner, as_json: bool) -> Result<u8, Failed> {
    let origin = configuration::of_client(&args.config)?;
    let config = configuration::load(&origin)?;
    let path = &config.database.path;
    refuse_same(path, &args.file)?;
    let outside = outside();
    let scratch = path.parent().filter(|folder| folder.is_dir());
    let scratch = scratch.map_or_else(std::env::temp_dir, Path::to_owned);
    let failed = |error: OpenError| Failed::plain(error.to_string());
    let forerunner = Forerunner::open(&args.file, &scratch).map_err(failed)?;
    let plan = plan(&config, args.expired);
    let survey = forerunner.survey(&plan, outside.clock.now()).map_err(failed)?;
    let imported = if args.dry_run {
        fitness(&config)?;
        None
    } else {
        let prepared = SqliteStore::prepare(path).map_err(|error| database::refused(&error, false))?;
        let store = database::open(prepared, &config.database, &outside)
            .map_err(|error| database::refused(&error, false))?;
        let mut progress = Progress::new("brought over");
        let each = Box::new(move |done, of| progress.show(done, of));
        let import = store.import_forerunner(forerunner, plan, survey.clone(), each);
        Some(client::block_on(async { import.await.map_err(|error| refused(path, &error)) })?)
    };
    if as_json {
        output::pretty(&in_json(&config, args, &survey, imported))?;
    } else {
        tell(&config, args, &survey, imported)?;
    }
    Ok(exit::OK)
}

/// Nothing can be brought from a file into itself.
fn refuse_same(path: &Path, file: &Path) -> Result<(), Failed> {
    let (ours, theirs) = (std::fs::canonicalize(path), std::fs::canonicalize(file));
    if ours.is_ok_and(|ours| theirs.is_ok_and(|theirs| ours == theirs)) {
        let file = file.display();
        return Err(Failed::plain(format!(
            "{file} is the database of this configuration: set `database.db_path` to a new file, such as \
             ./data/inboxclaw.db, and {file} stays as it is"
        )));
    }
    Ok(())
}

fn refused(path: &Path, error: &inboxclaw_contract::StoreError) -> Failed {
    match error {
        inboxclaw_contract::StoreError::Refused(reason) => in_use(path, reason),
        error => Failed::plain(format!("nothing was brought over: {error}")),
    }
}

fn in_use(path: &Path, reason: &str) -> Failed {
    Failed::plain(format!(
        "{} has been in use, {reason}: an import begins with a new database; set `database.db_path` to a file that is not \
         there yet",
        path.display()
    ))
}

/// Says so when the import would be refused.
fn fitness(config: &Config) -> Result<(), Failed> {
    let path = &config.database.path;
    if !path.exists() {
        return Ok(());
    }
    let store = SqliteStore::read_only(path, outside().clock);
    let store = store.map_err(|error| database::refused(&error, false))?;
    let holds =
        client::block_on(async { store.holds().await.map_err(|error| Failed::plain(error.to_string())) })?;
    if let Some(found) = holds {
        output::remark(&in_use(path, &format!("it holds {found}")).message);
    }
    Ok(())
}

/// What the configuration takes over.
fn plan(config: &Config, expired: bool) -> ImportPlan {
    let sources = config.sources.iter().map(|source| {
        let taken = taken_over(source.kind);
        ImportedSource {
            name: source.name.clone(),
            connector: source.kind.to_owned(),
            cursor: taken.cursor,
            prefixes: taken.prefixes.to_vec(),
        }
    });
    let sinks = config.sinks.iter().filter_map(|sink| planned(sink, expired));
    ImportPlan { sources: sources.collect(), sinks: sinks.collect() }
}

/// A sink that remembers what it delivered, in both programs.
fn planned(sink: &SinkConfig, expired: bool) -> Option<ImportedSink> {
    let table = match sink.kind {
        "http_pull" => DeliveryTable::Pull,
        "webhook" => DeliveryTable::Webhook,
        "command" => DeliveryTable::Command,
        _ => return None,
    };
    let ttl = sink.ttl.clone();
    Some(ImportedSink {
        name: sink.name.clone(),
        connector: sink.kind.to_owned(),
        intake: Intake { patterns: sink.patterns.clone(), ttl: ttl.clone(), start: sink.start },
        table,
        ttl: theirs(sink, ttl, expired),
        max_attempts: max_attempts(sink),
    })
}

/// The time to live that the Python program has with the same configuration. `expired`: but not the one that nobody
/// configured.
fn theirs(sink: &SinkConfig, ttl: Option<Ttl>, expired: bool) -> Option<Ttl> {
    if !sink.ttl_enabled || expired {
        return ttl;
    }
    let ttl = ttl.unwrap_or_default();
    Some(Ttl { default: ttl.default.or(Some(TTL)), ..ttl })
}

/// After how many attempts the Python program gave an event up, with the same configuration.
fn max_attempts(sink: &SinkConfig) -> u32 {
    match &sink.target {
        Target::Push(sink) if sink.policy.max_attempts != DeliveryPolicy::default().max_attempts => {
            sink.policy.max_attempts
        }
        _ => MAX_RETRIES,
    }
}

fn tell(
    config: &Config,
    args: &ImportForerunner,
    survey: &ImportSurvey,
    imported: Option<Imported>,
) -> Result<(), Failed> {
    let (file, path) = (args.file.display(), config.database.path.display());
    if imported == Some(Imported::Before) {
        output::line(&format!(
            "{file} was imported into {path} before, and has not changed since: nothing to do"
        ))?;
        return Ok(());
    }
    let verb = if imported.is_some() { "brought over" } else { "would bring over" };
    let (events, last, pending) = (survey.events, survey.last_event, survey.pending);
    output::line(&format!("{verb} from {file} into {path}:"))?;
    output::line(&format!("  {events} events, the last one is {last}"))?;
    if pending > 0 {
        output::line(&format!("  {pending} events that were still coalesced, published as they were"))?;
    }
    output::line("")?;
    tell_sources(config, survey)?;
    tell_sinks(survey)?;
    if !survey.unnamed.is_empty() {
        let unnamed: Vec<_> = survey.unnamed.iter().map(|name| printable(name)).collect();
        output::line("")?;
        output::line(&format!(
            "not in the configuration, so that only their events come over: {}",
            unnamed.join(", ")
        ))?;
    }
    if survey.refused > 0 {
        output::line("")?;
        output::line(&format!("{} rows cannot come over:", survey.refused))?;
        for refusal in &survey.refusals {
            output::line(&format!("  {}: {}", printable(&refusal.what), printable(&refusal.why)))?;
        }
        let more = survey.refused - survey.refusals.len() as u64;
        if more > 0 {
            output::line(&format!("  and {more} more"))?;
        }
    }
    if survey.sinks.iter().any(|sink| sink.expired > 0) {
        output::remark(
            "EXPIRED counts what had outlived its time to live when the Python program last ran; where none is \
             configured that was 1 h there, and --expired has sinks owe it all the same",
        );
    }
    if imported.is_none() {
        output::remark("nothing was stored");
    }
    Ok(())
}

fn tell_sources(config: &Config, survey: &ImportSurvey) -> Result<(), Failed> {
    let rows: Vec<[String; 5]> = config
        .sources
        .iter()
        .map(|source| match survey.sources.iter().find(|found| found.name == source.name) {
            Some(found) => [
                source.name.clone(),
                if found.cursor { "yes" } else { "-" }.to_owned(),
                found.entries.to_string(),
                found.left.to_string(),
                taken_over(source.kind).meaning.to_owned(),
            ],
            None => {
                let new = "is not in the file: begins anew".to_owned();
                [source.name.clone(), "-".to_owned(), "0".to_owned(), "0".to_owned(), new]
            }
        })
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    let columns = [
        ("SOURCE", Side::Left),
        ("CURSOR", Side::Left),
        ("ENTRIES", Side::Right),
        ("LEFT BEHIND", Side::Right),
        ("THE FIRST POLL", Side::Left),
    ];
    Table::new(columns).rows(&rows)?;
    Ok(())
}

fn tell_sinks(survey: &ImportSurvey) -> Result<(), Failed> {
    if survey.sinks.is_empty() {
        return Ok(());
    }
    output::line("")?;
    let rows: Vec<[String; 5]> = survey
        .sinks
        .iter()
        .map(|sink| {
            let [owed, delivered, given_up, expired] =
                [sink.owed, sink.delivered, sink.given_up, sink.expired].map(|n| n.to_string());
            [sink.name.clone(), owed, delivered, given_up, expired]
        })
        .collect();
    let columns = [
        ("SINK", Side::Left),
        ("OWES", Side::Right),
        ("DELIVERED", Side::Right),
        ("GIVEN UP", Side::Right),
        ("EXPIRED", Side::Right),
    ];
    Table::new(columns).rows(&rows)?;
    Ok(())
}

fn in_json(
    config: &Config,
    args: &ImportForerunner,
    survey: &ImportSurvey,
    imported: Option<Imported>,
) -> Json {
    let source = |source: &inboxclaw_config::SourceConfig| {
        let found = survey.sources.iter().find(|found| found.name == source.name);
        json!({
            "name": source.name,
            "found": found.is_some(),
            "cursor": found.is_some_and(|found| found.cursor),
            "entries": found.map_or(0, |found| found.entries),
            "left_behind": found.map_or(0, |found| found.left),
            "first_poll": taken_over(source.kind).meaning,
        })
    };
    let sinks = survey.sinks.iter().map(|sink| {
        json!({
            "name": sink.name, "owes": sink.owed, "delivered": sink.delivered, "given_up": sink.given_up,
            "expired": sink.expired,
        })
    });
    let refused = survey.refusals.iter().map(|refusal| json!({ "what": refusal.what, "why": refusal.why }));
    json!({
        "file": args.file,
        "database": config.database.path,
        "imported": match imported {
            Some(Imported::Now) => "now",
            Some(Imported::Before) => "before",
            None => "dry_run",
        },
        "events": survey.events,
        "last_event": survey.last_event,
        "pending": survey.pending,
        "last_active_at": survey.active_at.map(|at| at.to_string()),
        "sources": config.sources.iter().map(source).collect::<Vec<_>>(),
        "sinks": sinks.collect::<Vec<_>>(),
        "not_configured": survey.unnamed,
        "refused": survey.refused,
        "refusals": refused.collect::<Vec<_>>(),
    })
}
