//! The commands `inboxclaw deliveries …` and `inboxclaw replay`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use inboxclaw_settings::Interval;

const AFTER: &str = "A delivery is an event that a sink owes out of order: one that failed and is tried again (waiting), one \
that nobody tries any more (dead, a dead letter), or one that a consumer of an http_pull sink holds a lease on (waiting).

Examples:
  inboxclaw deliveries list --state dead            what could not be delivered, and why
  inboxclaw deliveries show --sink hook 4711        one of them, with its event
  inboxclaw deliveries retry --sink hook            try all dead letters of a sink again
  inboxclaw deliveries drop --type 'mail.*'         no longer wanted

All of it works while the program runs, and goes through it then.";

/// `deliveries`.
#[derive(Debug, Args)]
#[command(after_help = AFTER, arg_required_else_help = true)]
pub struct Deliveries {
    /// The configuration file. Default: config.yaml in the current folder.
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: DeliveriesCommand,
}

/// What to do with deliveries.
#[derive(Debug, Subcommand)]
pub enum DeliveriesCommand {
    /// List them, by sink and place in the log.
    List(ListDeliveries),
    /// Show one with its event.
    Show(ShowDelivery),
    /// Try them again at once. A dead letter gets all its attempts again; the lease of a consumer ends.
    #[command(after_help = "Examples:
  inboxclaw deliveries retry --sink hook 4711 4712      two of them
  inboxclaw deliveries retry --sink hook                all dead letters of the sink
  inboxclaw deliveries retry --all                      all dead letters of all sinks")]
    Retry(ChangeDeliveries),
    /// Drop them: their events are no longer owed, and do not come again. For an http_pull sink they are confirmed.
    #[command(after_help = "Examples:
  inboxclaw deliveries drop --sink hook 4711
  inboxclaw deliveries drop --sink hook --older-than 7d
  inboxclaw deliveries drop --sink hook --state waiting     what is still tried, instead of the dead letters")]
    Drop(ChangeDeliveries),
}

/// Which deliveries.
#[derive(Debug, Args)]
pub struct DeliveryFilter {
    /// Only of this sink.
    #[arg(long, value_name = "SINK")]
    pub sink: Option<String>,
    /// Only those in this state.
    #[arg(long, value_name = "STATE")]
    pub state: Option<DeliveryStateArg>,
    /// Only events whose type matches: `user.*`, or one exact type.
    #[arg(long = "type", value_name = "TYPE")]
    pub event_type: Option<String>,
    /// Only events that were stored longer ago than this.
    #[arg(long, value_name = "TIME")]
    pub older_than: Option<Interval>,
    /// Only events that were stored after that.
    #[arg(long, value_name = "TIME")]
    pub younger_than: Option<Interval>,
}

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DeliveryStateArg {
    /// Tried again when due, or leased until then.
    Waiting,
    /// A dead letter.
    Dead,
}

impl DeliveryStateArg {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Dead => "dead",
        }
    }
}

/// `deliveries list`.
#[derive(Debug, Args)]
pub struct ListDeliveries {
    /// Which.
    #[command(flatten)]
    pub filter: DeliveryFilter,
    /// Most deliveries.
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: u64,
}

/// `deliveries show`.
#[derive(Debug, Args)]
pub struct ShowDelivery {
    /// The sink.
    #[arg(long, value_name = "SINK")]
    pub sink: String,
    /// The number of the event, as the list shows it.
    #[arg(value_name = "ID")]
    pub id: i64,
}

/// `deliveries retry` and `deliveries drop`.
#[derive(Debug, Args)]
pub struct ChangeDeliveries {
    /// Which; `--state` is `dead` unless given.
    #[command(flatten)]
    pub filter: DeliveryFilter,
    /// The numbers of the events, as the list shows them.
    #[arg(value_name = "ID", requires = "sink",
        conflicts_with_all = ["state", "event_type", "older_than", "younger_than", "all"])]
    pub ids: Vec<i64>,
    /// All dead letters of all sinks.
    #[arg(long)]
    pub all: bool,
}

/// `replay`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  inboxclaw replay --sink hook --since 1h --dry-run                    how many events that would be
  inboxclaw replay --sink hook --since 1h                              send them once more
  inboxclaw replay --sink hook --since 2026-01-31 --until 2026-02-01 --type 'mail.*'
  inboxclaw replay --sink hook                                         how far it is
  inboxclaw replay --sink hook --end                                   enough

The events are sent behind all others, outside their order and their time to live. What the sink takes decides which they \
are. One replay of a sink runs at a time; it goes on after a restart.")]
pub struct ReplayArgs {
    /// The configuration file. Default: config.yaml in the current folder.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The sink. Without it the replays of all sinks are shown.
    #[arg(long, value_name = "SINK")]
    pub sink: Option<String>,
    /// Send events stored from then on: a time (RFC 3339), a date, or so long ago. Without it the replay is shown.
    #[arg(long, value_name = "TIME", requires = "sink")]
    pub since: Option<String>,
    /// Only events stored before that.
    #[arg(long, value_name = "TIME", requires = "since")]
    pub until: Option<String>,
    /// Only events whose type matches: `user.*`, or one exact type.
    #[arg(long = "type", value_name = "TYPE", requires = "since")]
    pub event_type: Option<String>,
    /// Only say how many events it would be.
    #[arg(long, requires = "since")]
    pub dry_run: bool,
    /// End the replay that runs.
    #[arg(long, requires = "sink", conflicts_with = "since")]
    pub end: bool,
}
