//! The runtime: registers what the configuration names, starts a loop for each, and ends them together.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use inboxclaw_contract::coalesce::CoalesceRule;
use inboxclaw_contract::limits::INTERNAL_SOURCE;
use inboxclaw_contract::settings::{BuiltSink, BuiltSource};
use inboxclaw_contract::store::{OwnerInfo, StateLimits};
use inboxclaw_contract::{Intake, Owner, OwnerId, OwnerKind, Store, StoreError};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::announce::Announcer;
use crate::claims::OwnerClaims;
use crate::debts::Debts;
use crate::delivery::DeliveryLoop;
use crate::handle::{Handle, Shared};
use crate::health::{Health, Status, Trouble};
use crate::housekeeping::HousekeepingLoop;
use crate::options::{Doors, Options};
use crate::pending::PromotionLoop;
use crate::rules::{Registry, Rules};
use crate::runner::{Env, Runner};
use crate::schedule::by;
use crate::sources::SourceLoop;

/// How long all loops together may take to end.
const END: Duration = Duration::from_secs(5);

/// What runs sources, push sinks and housekeeping over one store.
pub struct Runtime {
    store: Arc<dyn Store>,
    doors: Doors,
    options: Options,
    shared: Arc<Shared>,
    sources: Vec<(Owner, String, BuiltSource)>,
    broken: Vec<(Owner, String)>,
    sinks: Vec<(Owner, String, Intake, BuiltSink)>,
    asked: Vec<(Owner, String)>,
    rules: Rules,
}

/// Why the runtime ended before it was told to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RuntimeError {
    /// The store will not recover: the program has to stop and say so.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Another program has registered the name of the internal source.
    #[error(
        "the store has a source {name:?} of type {connector:?}, a name that is reserved for the program's own events"
    )]
    Reserved {
        /// The name.
        name: &'static str,
        /// The type found.
        connector: String,
    },
    /// A loop without which nothing may run on has ended: a defect of ours.
    #[error("the loop of {0} ended unexpectedly")]
    Ended(&'static str),
}

/// What a task of the runtime is.
#[derive(Clone)]
enum Task {
    Owner(Owner),
    Own(&'static str),
}

/// The running loops.
#[derive(Default)]
struct Tasks {
    set: JoinSet<Result<(), StoreError>>,
    names: HashMap<Id, Task>,
}

impl Runtime {
    /// A runtime without sources and sinks.
    pub fn new(store: Arc<dyn Store>, doors: Doors, options: Options) -> Self {
        let asked = store.clone();
        let health = Health::new(doors.clock.clone()).asking(move || asked.condition());
        let shared = Arc::new(Shared::new(health));
        Self {
            store,
            doors,
            options,
            shared,
            sources: Vec::new(),
            broken: Vec::new(),
            sinks: Vec::new(),
            asked: Vec::new(),
            rules: Rules::default(),
        }
    }

    /// Asks and tells this runtime, also while it runs.
    pub fn handle(&self) -> Handle {
        Handle { shared: self.shared.clone() }
    }

    /// Adds a source. Its name must be unique among sources.
    pub fn add_source(&mut self, name: &str, connector: &str, built: BuiltSource) {
        let owner = Owner::source(name);
        self.shared.health.add(&owner, connector, built.interval);
        self.sources.push((owner, connector.to_owned(), built));
    }

    /// Adds a source that could not be built, so that health shows it and everything else runs.
    pub fn add_broken_source(&mut self, name: &str, connector: &str, reason: &str) {
        let owner = Owner::source(name);
        self.shared.health.add(&owner, connector, None);
        self.shared.health.failed(&owner, Trouble::new("initialization", reason));
        self.broken.push((owner, connector.to_owned()));
    }

    /// Adds a push sink. Its name must be unique among sinks.
    pub fn add_sink(&mut self, name: &str, connector: &str, intake: Intake, built: BuiltSink) {
        let owner = Owner::sink(name);
        self.shared.health.add(&owner, connector, None);
        self.sinks.push((owner, connector.to_owned(), intake, built));
    }

    /// Adds a sink that has no loop here, because its consumers ask. Each sink of the configuration is to be added, by
    /// this or by [`add_sink`](Self::add_sink): others are shown as not configured, and owe what they took for no longer
    /// than [`Options::owed_max`].
    pub fn add_asked_sink(&mut self, name: &str, connector: &str) {
        let owner = Owner::sink(name);
        self.shared.health.add_still(&owner, connector, Status::Healthy);
        self.asked.push((owner, connector.to_owned()));
    }

    /// Sets the rules for the state of a source or sink that is added. Without a call there are none.
    pub fn set_limits(&mut self, owner: &Owner, policy: StateLimits) {
        self.rules.policies.insert(owner.clone(), policy);
    }

    /// Sets the rules by which events of an added source are joined. Without a call there are none.
    pub fn set_coalescing(&mut self, owner: &Owner, rules: Vec<CoalesceRule>) {
        self.rules.coalescing.insert(owner.clone(), rules);
    }

    /// Has an added source paused when the store first hears of it; whether it is paused later is for people to say.
    pub fn begin_stopped(&mut self, owner: &Owner) {
        self.rules.stopped.insert(owner.clone());
    }

    /// Runs everything until `shutdown`. Then every loop ends within 5 s: running polls and deliveries may go on
    /// for 3 s before they are dropped, commits are waited for.
    ///
    /// # Errors
    /// [`RuntimeError`] when it had to stop by itself; the program is to end with a code other than zero.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), RuntimeError> {
        let env = Arc::new(Env {
            store: self.store.clone(),
            doors: self.doors.clone(),
            options: self.options.clone(),
            shared: self.shared.clone(),
            shutdown: shutdown.child_token(),
        });
        let mut tasks = Tasks::default();
        let claims = Arc::new(self.start(&env, &mut tasks).await?);
        let keeping = claims.clone();
        tasks.own("claims", async move { keeping.run().await });
        let result = tasks.watch(&env).await;
        env.shutdown.cancel();
        let deadline = Instant::now() + END;
        let drained = by(deadline, tasks.drain()).await.unwrap_or_else(|| {
            tracing::warn!("some loops did not end in time and are dropped");
            Ok(())
        });
        result.and(drained)?;
        by(deadline, claims.release()).await;
        Ok(())
    }

    /// Registers everything, then starts the loops.
    async fn start(self, env: &Arc<Env>, tasks: &mut Tasks) -> Result<OwnerClaims, RuntimeError> {
        let known = env.store.owners().await?;
        let internal = register_internal(env, &known).await?;
        let mut registry = Registry::new(self.rules, known);
        let mut claims = OwnerClaims::new(env.clone());
        let mut ids = Vec::new();
        for (owner, connector) in &self.broken {
            ids.push((owner.clone(), registry.register(env, owner, connector).await?));
        }
        let mut loops: Vec<(Owner, BoxFuture<'static, Result<(), StoreError>>)> = Vec::new();
        for (owner, connector, built) in self.sources {
            let id = registry.register(env, &owner, &connector).await?;
            ids.push((owner.clone(), id));
            let runner = Runner::new(env.clone(), owner.clone(), id, built.interval, claims.add(&owner, id));
            let (source, settle) = (built.source, built.settle);
            let source = SourceLoop { runner, source, settle, ended: None, edited: false };
            loops.push((owner, source.run().boxed()));
        }
        let mut sinks = Vec::new();
        for (owner, connector) in self.asked {
            let id = registry.register(env, &owner, &connector).await?;
            sinks.push((owner, id));
        }
        for (owner, connector, intake, built) in self.sinks {
            let id = registry.register(env, &owner, &connector).await?;
            sinks.push((owner.clone(), id));
            ids.push((owner.clone(), id));
            let selection = env.store.set_intake(id, &intake).await?;
            let runner = Runner::new(env.clone(), owner.clone(), id, None, claims.add(&owner, id));
            loops.push((owner, DeliveryLoop::new(runner, built, selection, internal).run().boxed()));
        }
        let configured: Vec<OwnerId> = sinks.iter().map(|(_, id)| *id).collect();
        env.store.set_configured(&configured).await?;
        // Only now: what a registration refuses must not have polled or delivered before.
        for (owner, running) in loops {
            tasks.spawn(Task::Owner(owner), running);
        }
        let debts = Debts::new(env.clone(), internal, sinks);
        let housekeeping = HousekeepingLoop { env: env.clone(), debts, limits: registry.limits };
        tasks.own("housekeeping", housekeeping.run());
        tasks.own("pending events", PromotionLoop { env: env.clone() }.run());
        tasks.own("health", Announcer { env: env.clone(), internal, owners: ids }.run());
        Ok(claims)
    }
}

/// Registers the source of the program's own events.
async fn register_internal(env: &Env, known: &[OwnerInfo]) -> Result<OwnerId, RuntimeError> {
    let taken = known.iter().find(|info| info.kind == OwnerKind::Source && info.name == INTERNAL_SOURCE);
    if let Some(info) = taken.filter(|info| info.connector != INTERNAL_SOURCE) {
        return Err(RuntimeError::Reserved { name: INTERNAL_SOURCE, connector: info.connector.clone() });
    }
    Ok(env.store.register(&Owner::source(INTERNAL_SOURCE), INTERNAL_SOURCE).await?)
}

impl Tasks {
    fn own(
        &mut self,
        name: &'static str,
        work: impl Future<Output = Result<(), StoreError>> + Send + 'static,
    ) {
        self.spawn(Task::Own(name), work);
    }

    fn spawn(&mut self, task: Task, work: impl Future<Output = Result<(), StoreError>> + Send + 'static) {
        let handle = self.set.spawn(work);
        self.names.insert(handle.id(), task);
    }

    /// Returns when the program is to end: told so, or because something without which nothing may run on ended.
    async fn watch(&mut self, env: &Env) -> Result<(), RuntimeError> {
        loop {
            let ended = tokio::select! {
                biased;
                () = env.shutdown.cancelled() => return Ok(()),
                ended = self.set.join_next_with_id() => ended,
            };
            let Some(ended) = ended else { return Ok(()) };
            self.ended(env, ended)?;
        }
    }

    /// Draws the conclusions from the end of a task.
    fn ended(
        &mut self,
        env: &Env,
        ended: Result<(Id, Result<(), StoreError>), JoinError>,
    ) -> Result<(), RuntimeError> {
        let id = match ended {
            Ok((_, Err(error))) => {
                tracing::error!(%error, "the store will not recover");
                return Err(error.into());
            }
            Ok((id, Ok(()))) => id,
            Err(error) => error.id(),
        };
        match self.names.remove(&id) {
            // Also a race with the shutdown: the loop was told before we were.
            _ if env.shutdown.is_cancelled() => Ok(()),
            Some(Task::Own(name)) => Err(RuntimeError::Ended(name)),
            Some(Task::Owner(owner)) => {
                tracing::error!(%owner, "the loop ended unexpectedly");
                env.health().stopped(&owner);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Waits for all tasks, and tells of a store that failed at the last moment.
    async fn drain(&mut self) -> Result<(), RuntimeError> {
        let mut failed = Ok(());
        while let Some(ended) = self.set.join_next().await {
            if let Ok(Err(error)) = ended {
                failed = Err(error.into());
            }
        }
        failed
    }
}
