//! `listen`: the program itself. First everything that can refuse (configuration, database, port), then the loops
//! and the server, and all of it together until somebody says stop.

mod adapters;
mod signals;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use inboxclaw_config::{self as config, Config, Environment, Origin, Problem, SinkConfig, Target};
use inboxclaw_contract::{Intake, Outside, Owner, Store};
use inboxclaw_runtime::pull::PullSink;
use inboxclaw_runtime::{Doors, Runtime, RuntimeError};
use inboxclaw_server::sse::SseSink;
use inboxclaw_server::{self as serve, App, Bounds, Listener, ServeError};
use inboxclaw_store::{OpenError, Prepared, RunFile, SqliteStore};
use tokio_util::sync::CancellationToken;

use super::failed::Failed;
use super::{client, configuration, database, output};
use crate::cli::{Listen, exit};
use crate::outside::{file_limit, outside, token};

/// Threads that run tasks. The work waits far more than it computes.
const WORKERS: usize = 2;
/// Most threads for what blocks: reads of the database and of files.
const BLOCKING: usize = 32;
/// Bytes of stack for each thread.
const STACK: usize = 1 << 20;
/// How long threads that block may take when everything else has ended.
const LAST: Duration = Duration::from_millis(500);
/// How long a command that holds the database is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);

pub(super) fn run(args: &Listen) -> Result<u8, Failed> {
    let outside = outside();
    let origin = origin(args)?;
    let mut config = config::load(&origin, Environment::of_process(), &outside).inspect_err(|error| {
        error.warnings.iter().for_each(|warning| warn(&origin, warning));
    })?;
    if let Some(port) = args.port {
        config.server.port = port;
    }
    config.warnings.iter().for_each(|warning| warn(&origin, warning));
    let tokio = threads().map_err(|error| Failed::plain(format!("cannot start threads: {error}")))?;
    let is_new = !config.database.path.exists();
    let refused = |error| database::refused(&error, origin.built_in);
    let prepared = take(&config.database.path).map_err(refused)?;
    let listener = serve::bind(&config.server).map_err(|error| unserved(error, origin.built_in))?;
    // The database is created or migrated only after everything else that can refuse has passed.
    let store = Arc::new(database::open(prepared, &config.database, &outside).map_err(refused)?);
    if let Some(folder) = &args.watch {
        welcome(folder, &config.database.path, is_new)?;
    }
    let ended = tokio.block_on(start(config, store, listener, &outside));
    tokio.shutdown_timeout(LAST);
    ended
}

/// Takes the database. A command such as `state set` holds it for a moment only: that one is waited for, another
/// `listen` is not.
fn take(database: &Path) -> Result<Prepared, OpenError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match SqliteStore::prepare(database) {
            Err(OpenError::Locked { .. })
                if client::running(database).is_err() && Instant::now() < deadline =>
            {
                std::thread::sleep(PAUSE);
            }
            taken => return taken,
        }
    }
}

/// The threads that everything runs on, and the first signal handler: from here on every write may fail.
fn threads() -> std::io::Result<tokio::runtime::Runtime> {
    let threads = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .max_blocking_threads(BLOCKING)
        .thread_stack_size(STACK)
        .enable_all()
        .build()?;
    threads.block_on(async { signals::outlive_file_limit() })?;
    Ok(threads)
}

/// The configuration: a file, or the built-in one for `--watch`.
fn origin(args: &Listen) -> Result<Origin, Failed> {
    let Some(folder) = &args.watch else { return configuration::of_listen(&args.config) };
    // The other commands find that file first, and would ask another program.
    if args.config.config.is_some() || configuration::of_environment().is_some() {
        let message = "--watch is for those without a configuration: leave out --config and INBOXCLAW_CONFIG";
        return Err(Failed::new(exit::USAGE, message));
    }
    if Path::new(config::FILE).exists() {
        return Err(Failed::plain(format!(
            "there is a {} here: run `inboxclaw listen`, or --watch in another folder",
            config::FILE
        )));
    }
    configuration::watching(folder, args.run.as_deref())
}

/// Makes the folder of `--watch` and says what happens. Only once database and port are ours: a start that is
/// refused leaves nothing behind and promises nothing.
fn welcome(folder: &Path, database: &Path, is_new: bool) -> Result<(), Failed> {
    std::fs::create_dir_all(folder)
        .map_err(|error| Failed::plain(format!("cannot make the folder {}: {error}", folder.display())))?;
    let known = if is_new {
        "files that are there now are taken as known, and every change from now on is an event"
    } else {
        "every change since the last run is an event"
    };
    output::remark(&format!(
        "watching {}: {known}\n\
         the database is {}; take events with `inboxclaw pull` or `inboxclaw subscribe` in this folder",
        folder.display(),
        database.display()
    ));
    Ok(())
}

fn warn(origin: &Origin, warning: &Problem) {
    tracing::warn!("{}", configuration::told(origin, warning));
}

fn unserved(error: ServeError, built_in: bool) -> Failed {
    if let ServeError::Taken { host, port } = &error
        && built_in
    {
        let message =
            format!("port {port} of {host} is taken: stop the program that listens there, or give --port");
        return Failed::new(exit::TAKEN, message);
    }
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
    signals::watch(shutdown.clone())
        .map_err(|error| Failed::plain(format!("cannot watch for signals: {error}")))?;
    let address = listener.address();
    let run = RunFile { pid: std::process::id(), address: address.to_string(), token: token() };
    let database = inboxclaw_store::resolved(&config.database.path).unwrap_or(config.database.path.clone());
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
    let handle = runtime.handle();
    let ran = runtime.run(shutdown.clone()).await;
    shutdown.cancel();
    let served = server.await;
    ran.map_err(stopped)?;
    match served {
        Ok(served) => served.map_err(|error| unserved(error, false))?,
        Err(error) => {
            return Err(Failed::new(exit::BROKEN, format!("the server ended unexpectedly: {error}")));
        }
    }
    let store = handle.health().store;
    if store.code == Some("damaged") {
        return Err(Failed::new(exit::BROKEN, format!("stopped: {}", store.message.unwrap_or_default())));
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
        retention_by_type: config.database.retention.clone(),
        owed_max: config.database.owed_max,
        dead_max: config.database.dead_max,
        max_bytes: config.database.max_bytes,
        ..inboxclaw_runtime::Options::default()
    };
    let shared: Arc<dyn Store> = store.clone();
    let mut runtime = Runtime::new(shared.clone(), doors, options);
    let configured = config.owners();
    for source in config.sources {
        runtime.add_source(&source.name, source.kind, source.built);
        let owner = Owner::source(&source.name);
        runtime.set_limits(&owner, source.policy);
        runtime.set_coalescing(&owner, source.coalescing);
        if source.stopped {
            runtime.begin_stopped(&owner);
        }
    }
    let (mut pulls, mut streams) = (Vec::new(), Vec::new());
    for SinkConfig { name, kind, patterns, ttl, start, policy, target, .. } in config.sinks {
        runtime.set_limits(&Owner::sink(&name), policy);
        match target {
            Target::Pull(settings) => {
                // Before any source runs: what they report is for this sink as well.
                let sink = PullSink::register(shared.as_ref(), &name, patterns, start, ttl).await;
                let sink =
                    sink.map_err(|error| Failed::plain(error.to_string()))?.written_as(settings.format);
                pulls.push((Arc::new(sink), settings.path));
                runtime.add_asked_sink(&name, kind);
            }
            Target::Sse(settings, condition) => {
                runtime.add_asked_sink(&name, kind);
                streams.push(Arc::new(SseSink::new(&name, patterns, settings).with_condition(condition)));
            }
            Target::Push(sink) => runtime.add_sink(&name, kind, Intake { patterns, ttl, start }, sink),
        }
    }
    let app = App {
        store: shared,
        states: store.clone(),
        configured,
        waker: Arc::new(adapters::Loops(runtime.handle())),
        settings: config.server,
        pulls,
        streams,
        vitals: Arc::new(adapters::Whole { handle: runtime.handle(), store: store.clone() }),
        clock: outside.clock.clone(),
        random: outside.random.clone(),
        run_token: Some(run_token),
        bounds: Bounds::default().within(file_limit()),
    };
    Ok((runtime, app))
}
