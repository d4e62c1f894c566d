//! `listen`: the program itself. First everything that can refuse (configuration, database, port), then the loops
//! and the server, and all of it together until somebody says stop.

mod joints;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use inboxclaw_contract::{Outside, Owner, Store};
use inboxclaw_runtime::{Doors, Runtime, RuntimeError, Start};
use inboxclaw_store::{Durability, HistoryBounds, OpenError, RunFile, SqliteStore};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{Failed, output, place};
use crate::cli::{Listen, exit};
use crate::config::{self, Config, Database, Environment, Origin, SinkConfig, Target};
use crate::outside::{outside, token};
use crate::pull::PullSink;
use crate::serve::{self, App, Bounds, Listener, ServeError};
use crate::sse::SseSink;

/// Threads that run tasks. The work waits far more than it computes.
const WORKERS: usize = 2;
/// Most threads for what blocks: reads of the database and of files.
const BLOCKING: usize = 32;
/// Bytes of stack for each thread.
const STACK: usize = 1 << 20;
/// How long the end may take altogether.
const END: Duration = Duration::from_secs(5);
/// How long threads that block may take when everything else has ended.
const LAST: Duration = Duration::from_millis(500);
/// The code of an end that was not waited for, as a shell shows one by SIGINT.
const AT_ONCE: i32 = 130;

pub(super) fn run(args: &Listen) -> Result<u8, Failed> {
    let outside = outside();
    let origin = origin(args)?;
    let mut config = config::load(&origin, Environment::of_process(), &outside)?;
    if let Some(port) = args.port {
        config.server.port = port;
    }
    for warning in &config.warnings {
        tracing::warn!("{}", place::told(&origin, warning));
    }
    let store = Arc::new(open(&config.database, &outside).map_err(|error| refused(&error))?);
    let listener = serve::bind(&config.server).map_err(unserved)?;
    let tokio = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .max_blocking_threads(BLOCKING)
        .thread_stack_size(STACK)
        .enable_all()
        .build()
        .map_err(|error| Failed::plain(format!("cannot start threads: {error}")))?;
    let ended = tokio.block_on(start(config, store, listener, &outside));
    tokio.shutdown_timeout(LAST);
    ended
}

/// The configuration: a file, or the built-in one for `--watch`.
fn origin(args: &Listen) -> Result<Origin, Failed> {
    let Some(folder) = &args.watch else { return place::of_listen(&args.config) };
    std::fs::create_dir_all(folder)
        .map_err(|error| Failed::plain(format!("cannot make the folder {}: {error}", folder.display())))?;
    let origin = place::watching(folder)?;
    if Path::new(config::FILE).exists() {
        output::remark(&format!("--watch: the {} here is not used", config::FILE));
    }
    output::remark(&format!(
        "watching {}: files that are there now are taken as known, and every change from now on is an event\n\
         the database is {}; take events with `inboxclaw pull` or `inboxclaw subscribe` in this folder",
        folder.display(),
        origin.base_dir.join("data/data2.db").display()
    ));
    Ok(origin)
}

fn open(database: &Database, outside: &Outside) -> Result<SqliteStore, OpenError> {
    let options = inboxclaw_store::Options {
        durability: if database.durable { Durability::Full } else { Durability::Normal },
        history: HistoryBounds { age: database.history_age, bytes: database.history_bytes },
        ..inboxclaw_store::Options::new(outside.clock.clone())
    };
    SqliteStore::open(&database.path, options)
}

/// What a person can do about a database that cannot be opened, where the error does not say it.
fn refused(error: &OpenError) -> Failed {
    let hint = match error {
        OpenError::Locked { .. } => "; stop it first, or set database.db_path to another file",
        OpenError::Io { .. } | OpenError::Sqlite { .. } => {
            "; set database.db_path to a file in a folder that can be written"
        }
        _ => "",
    };
    Failed::plain(format!("{error}{hint}"))
}

fn unserved(error: ServeError) -> Failed {
    let code = if matches!(error, ServeError::Taken { .. }) { exit::TAKEN } else { exit::FAILED };
    Failed::new(code, format!("{:#}", anyhow::Error::new(error)))
}

/// Starts everything and waits for its end.
async fn start(
    config: Config,
    store: Arc<SqliteStore>,
    listener: Listener,
    outside: &Outside,
) -> Result<u8, Failed> {
    let shutdown = CancellationToken::new();
    watch_signals(shutdown.clone())
        .map_err(|error| Failed::plain(format!("cannot watch for signals: {error}")))?;
    let address = listener.address();
    let run = RunFile { pid: std::process::id(), address: address.to_string(), token: token() };
    let database = config.database.path.clone();
    let (sources, sinks) = (config.sources.len(), config.sinks.len());
    let (runtime, app) = build(config, &store, outside, run.token.clone()).await?;
    let published = run.publish(&database);
    let _published = published.map_err(|error| {
        Failed::plain(format!("cannot write {}: {error}", RunFile::path(&database).display()))
    })?;
    drop(store);
    tracing::info!(sources, sinks, database = %database.display(), "everything is in place");
    tracing::info!("Starting server on {address}");
    let server = tokio::spawn({
        let shutdown = shutdown.clone();
        async move {
            let served = serve::serve(listener, app, shutdown.clone()).await;
            // Without the server nobody gets anything: end the rest as well.
            shutdown.cancel();
            served
        }
    });
    let ran = runtime.run(shutdown.clone()).await;
    shutdown.cancel();
    let served = server.await;
    ran.map_err(stopped)?;
    match served {
        Ok(served) => served.map_err(unserved)?,
        Err(error) => {
            return Err(Failed::new(exit::BROKEN, format!("the server ended unexpectedly: {error}")));
        }
    }
    tracing::info!("stopped");
    Ok(exit::OK)
}

fn stopped(error: RuntimeError) -> Failed {
    let code = if matches!(error, RuntimeError::Reserved { .. }) { exit::FAILED } else { exit::BROKEN };
    Failed::new(code, format!("stopped: {error}"))
}

/// Joins what the configuration names with the store.
async fn build(
    config: Config,
    store: &Arc<SqliteStore>,
    outside: &Outside,
    run_token: String,
) -> Result<(Runtime, App), Failed> {
    let doors = Doors { clock: outside.clock.clone(), random: outside.random.clone() };
    let options = inboxclaw_runtime::Options {
        retention_days: config.database.retention_days,
        owed_max: config.database.owed_max,
        ..inboxclaw_runtime::Options::default()
    };
    let shared: Arc<dyn Store> = store.clone();
    let mut runtime = Runtime::new(shared.clone(), doors, options);
    for source in config.sources {
        runtime.add_source(&source.name, source.kind, source.built);
    }
    let (mut pulls, mut streams) = (Vec::new(), Vec::new());
    for SinkConfig { name, kind, patterns, target } in config.sinks {
        match target {
            Target::Pull(settings) => {
                let id = shared.register(&Owner::sink(&name), kind).await;
                let id = id.map_err(|error| Failed::plain(error.to_string()))?;
                let sink = Arc::new(PullSink::new(id, &name, patterns, settings));
                runtime.add_debtor(&name, kind, Box::new(joints::PullDebtor(sink.clone())));
                pulls.push(sink);
            }
            Target::Sse(settings) => {
                runtime.add_debtor(&name, kind, Box::new(joints::NoDebtor));
                streams.push(Arc::new(SseSink::new(&name, patterns, settings)));
            }
            // What there is so far are records: they begin with what happens from now on.
            Target::Push(sink) => runtime.add_sink(&name, kind, patterns, None, Start::Now, sink),
        }
    }
    let app = App {
        store: shared,
        settings: config.server,
        pulls,
        streams,
        vitals: Arc::new(joints::Whole { handle: runtime.handle(), store: store.clone() }),
        clock: outside.clock.clone(),
        random: outside.random.clone(),
        run_token: Some(run_token),
        bounds: Bounds::default(),
    };
    Ok((runtime, app))
}

/// Ends the program in good order at the first signal, and at once at the second or when the order takes too long.
fn watch_signals(shutdown: CancellationToken) -> std::io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        either(&mut interrupt, &mut terminate).await;
        tracing::info!("stopping");
        shutdown.cancel();
        tokio::select! {
            () = either(&mut interrupt, &mut terminate) => {
                tracing::warn!("a second signal: ending at once");
                std::process::exit(AT_ONCE);
            }
            () = tokio::time::sleep(END) => {
                // Committed turns are durable and the others never happened, so nothing is lost by not waiting.
                tracing::warn!("something did not end within 5 s: ending without it");
                std::process::exit(i32::from(exit::OK));
            }
        }
    });
    Ok(())
}

async fn either(one: &mut Signal, other: &mut Signal) {
    tokio::select! {
        _ = one.recv() => {}
        _ = other.recv() => {}
    }
}
