//! `/metrics`: what the program did since it started, in the OpenMetrics text format. Collected when asked for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::{FromRef, State};
use axum::http::{Method, StatusCode};
use inboxclaw_contract::coalesce::PendingCount;
use inboxclaw_contract::sinks::{Lapse, SinkDebts};
use inboxclaw_contract::store::OwnerInfo;
use inboxclaw_contract::{OwnerKind, Store};
use inboxclaw_runtime::pull::{Counts, PullSink};
use inboxclaw_runtime::{LATENCY_BUCKETS, LatencyStats, OwnerStats};
use jiff::Timestamp;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::health::Vitals;
use crate::openapi::{Operation, stream};
use crate::reply::{self, Refusal, Reply};
use crate::room::Room;
use crate::route::{Route, route};
use crate::streams::Streams;

const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type Labels = Vec<(&'static str, String)>;

/// What is counted.
#[derive(Clone)]
pub(crate) struct Metrics {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) vitals: Arc<dyn Vitals>,
    pub(crate) room: Arc<Room>,
    pub(crate) streams: Arc<Streams>,
    pub(crate) pulls: Arc<[Arc<PullSink>]>,
}

/// The routes.
pub(crate) fn routes<S>() -> Vec<Route<S>>
where
    S: Clone + Send + Sync + 'static,
    Metrics: FromRef<S>,
{
    let counts = Operation::new("health", "metrics", "Counts what the program did since it started.");
    vec![route(
        Method::GET,
        "/metrics",
        answer,
        counts.answer(200, "OpenMetrics text.", &[("application/openmetrics-text", stream)]),
    )]
}

async fn answer(State(server): State<Metrics>) -> Result<Reply, Refusal> {
    let head = server.store.head().await?;
    let mut registry = Registry::with_prefix("inboxclaw");
    registry.register(
        "build",
        "The running program",
        Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]),
    );
    gauge(&mut registry, "log_head_seq", "The last seq of the log", head.0);
    clients(&mut registry, &server);
    let doubted = i64::from(server.store.clock().await?.doubted.is_some());
    gauge(&mut registry, "clock_doubted", "Whether the clock is in doubt", doubted);
    let commits = Counter::<u64>::default();
    commits.inc_by(server.vitals.store_commits());
    registry.register("store_commits", "Transactions that the store committed", commits);
    let log = i64::try_from(server.store.condition().log_bytes).unwrap_or(i64::MAX);
    gauge(&mut registry, "store_log_bytes", "Bytes of the write-ahead log", log);
    owners(&mut registry, &server.vitals.owners());
    let all = server.store.owners().await?;
    states(&mut registry, &all);
    pending(&mut registry, &all, &server.store.pending_counts().await?);
    lapses(&mut registry, &all, &server.store.lapses().await?);
    let now = server.store.clock().await?.now;
    debts(&mut registry, &all, &server.store.debts().await?, now);
    pulls(&mut registry, &server);
    let mut text = String::new();
    encode(&mut text, &registry).map_err(|_| Refusal::from(reply::internal()))?;
    Ok(reply::of(StatusCode::OK, CONTENT_TYPE, text))
}

fn clients(registry: &mut Registry, server: &Metrics) {
    let (room, streams) = (&server.room, &server.streams);
    let open = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    gauge(registry, "connections", "Open connections", open(room.count()));
    gauge(registry, "sse_streams", "Open SSE streams", open(streams.count()));
    for (name, help, count) in [
        ("connections_closed", "Idle connections closed to make room", &room.closed),
        ("connections_refused", "Connections refused because their client had its share", &room.refused),
        ("sse_streams_ended", "SSE streams ended to make room", &streams.ended),
        ("sse_streams_refused", "SSE streams refused because there was no room", &streams.refused),
    ] {
        let counter = Counter::<u64>::default();
        counter.inc_by(count.load(Ordering::Relaxed));
        registry.register(name, help, counter);
    }
}

fn owners(registry: &mut Registry, owners: &[OwnerStats]) {
    let mut register = |name, help, count: fn(&OwnerStats) -> u64| {
        let rows = owners.iter().map(|stats| {
            let owner = &stats.owner;
            let labels = vec![("kind", owner.kind.as_str().to_owned()), ("name", owner.name.clone())];
            (labels, count(stats))
        });
        family(registry, name, help, rows);
    };
    register("turns", "Committed turns", |stats| stats.turns);
    register("turn_conflicts", "Turns refused because what they had read changed", |stats| stats.conflicts);
    register("turn_failures", "Turns that failed", |stats| stats.failures);
    register("events_stored", "New events", |stats| stats.stored);
    register("events_known", "Events that had been reported before", |stats| stats.known);
    sinks(registry, owners.iter().filter(|stats| stats.owner.kind == OwnerKind::Sink));
}

/// What push sinks have done.
fn sinks<'a>(registry: &mut Registry, sinks: impl Iterator<Item = &'a OwnerStats> + Clone) {
    let labels = |stats: &OwnerStats| vec![("sink", stats.owner.name.clone())];
    let mut register = |name, help, count: fn(&OwnerStats) -> u64| {
        family(registry, name, help, sinks.clone().map(|stats| (labels(stats), count(stats))));
    };
    register("sink_delivered_events", "Events that the receiver took", |stats| stats.delivered);
    register("sink_retried_events", "Failed attempts after which an event is tried again", |stats| {
        stats.again
    });
    register("sink_dead_events", "Events that became dead letters", |stats| stats.dead);
    let latencies = sinks.map(|stats| (labels(stats), stats.latency.clone())).collect();
    registry.register_with_unit(
        "sink_latency",
        "How long events took from being stored to being taken",
        Unit::Seconds,
        Latencies(latencies),
    );
}

/// Histograms that are counted elsewhere.
#[derive(Debug)]
struct Latencies(Vec<(Labels, LatencyStats)>);

impl EncodeMetric for Latencies {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        for (labels, latency) in &self.0 {
            let bounds = LATENCY_BUCKETS.into_iter().chain([f64::INFINITY]);
            let buckets: Vec<(f64, u64)> = bounds.zip(latency.buckets).collect();
            let count = latency.buckets.iter().sum();
            encoder.encode_family(labels)?.encode_histogram::<NoLabelSet>(
                latency.seconds,
                count,
                &buckets,
                None,
            )?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

/// What sinks owe at the moment.
fn debts(registry: &mut Registry, owners: &[OwnerInfo], debts: &[SinkDebts], now: Timestamp) {
    let mut register = |name, help, value: &dyn Fn(&SinkDebts) -> Option<i64>| {
        let family = Family::<Labels, Gauge>::default();
        for debts in debts {
            let owner = owners.iter().find(|owner| owner.id == debts.sink);
            if let (Some(owner), Some(value)) = (owner, value(debts)) {
                family.get_or_create(&vec![("sink", owner.name.clone())]).set(value);
            }
        }
        registry.register(name, help, family);
    };
    let number = |count: u64| Some(i64::try_from(count).unwrap_or(i64::MAX));
    register(
        "sink_waiting_deliveries",
        "Deliveries that wait for another attempt, or are leased",
        &|debts| number(debts.deliveries.waiting),
    );
    register("sink_dead_letters", "Dead letters that wait for a person", &|debts| {
        number(debts.deliveries.dead)
    });
    register("sink_oldest_owed_seconds", "Age of the oldest event that is owed; 0 when none is", &|debts| {
        let oldest = debts.types.iter().map(|debt| debt.oldest.1).min();
        Some(oldest.map_or(0, |oldest| now.duration_since(oldest).as_secs().max(0)))
    });
}

fn states(registry: &mut Registry, owners: &[OwnerInfo]) {
    let mut register = |name, help, value: fn(&OwnerInfo) -> i64| {
        let family = Family::<Labels, Gauge>::default();
        for owner in owners {
            let labels = vec![("kind", owner.kind.as_str().to_owned()), ("name", owner.name.clone())];
            family.get_or_create(&labels).set(value(owner));
        }
        registry.register(name, help, family);
    };
    register("state_entries", "Entries, with those that have expired and are not swept yet", |owner| {
        i64::try_from(owner.entries).unwrap_or(i64::MAX)
    });
    register("state_bytes", "Bytes of keys and values", |owner| {
        i64::try_from(owner.bytes).unwrap_or(i64::MAX)
    });
    register("state_version", "How often the state has changed", |owner| owner.version.0);
}

fn pending(registry: &mut Registry, owners: &[OwnerInfo], counts: &[PendingCount]) {
    let family = Family::<Labels, Gauge>::default();
    for count in counts {
        if let Some(owner) = owners.iter().find(|owner| owner.id == count.source) {
            let labels = vec![("source", owner.name.clone())];
            family.get_or_create(&labels).set(i64::try_from(count.count).unwrap_or(i64::MAX));
        }
    }
    registry.register("pending_events", "Events that are collected and not in the log yet", family);
}

/// What left the debts of sinks without their consumers' yes. Unlike the other counters these outlive the program.
fn lapses(registry: &mut Registry, owners: &[OwnerInfo], lapses: &[Lapse]) {
    let mut register = |name, help, count: fn(&Lapse) -> u64| {
        let rows = lapses.iter().filter_map(|lapse| {
            let owner = owners.iter().find(|owner| owner.id == lapse.sink)?;
            Some((vec![("sink", owner.name.clone()), ("type", lapse.event_type.clone())], count(lapse)))
        });
        family(registry, name, help, rows);
    };
    register("sink_expired_events", "Events that outlived their time to live unconfirmed", |lapse| {
        lapse.expired
    });
    register("sink_dropped_events", "Events that retention removed although they were owed", |lapse| {
        lapse.dropped
    });
}

fn pulls(registry: &mut Registry, server: &Metrics) {
    let mut register = |name, help, count: fn(&Counts) -> &AtomicU64| {
        let rows = server.pulls.iter().map(|sink| {
            let labels = vec![("sink", sink.name().to_owned())];
            (labels, count(sink.counts()).load(Ordering::Relaxed))
        });
        family(registry, name, help, rows);
    };
    register("pull_batches", "Batches handed out", |counts| &counts.batches);
    register("pull_events", "Events handed out", |counts| &counts.events);
    register("pull_confirmed_events", "Events in confirmed batches", |counts| &counts.confirmed);
    register("pull_conflicts", "Pull requests that had to start over", |counts| &counts.conflicts);
}

fn family(registry: &mut Registry, name: &str, help: &str, rows: impl Iterator<Item = (Labels, u64)>) {
    let family = Family::<Labels, Counter>::default();
    for (labels, count) in rows {
        family.get_or_create(&labels).inc_by(count);
    }
    registry.register(name, help, family);
}

fn gauge(registry: &mut Registry, name: &str, help: &str, value: i64) {
    let gauge = Gauge::<i64>::default();
    gauge.set(value);
    registry.register(name, help, gauge);
}
