//! `log`: durable turns of events, alone and 64 at a time, extracts that must grow neither with history nor with what is
//! owed, and an event to many streams.

mod streams;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::ensure;
use inboxclaw_contract::store::ReadLimit;
use inboxclaw_contract::{Log, Selection, Seq};
use inboxclaw_settings::Patterns;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::measure::{Contender, interleave, median, timed};
use crate::memory;
use crate::ours::{EVENT_TYPE, Ours};
use crate::plain::{Plain, PlainTurn};
use crate::report::{Goal, Row};

const OWNERS: usize = 64;
/// An extract of 100 that says how many remain.
const HUNDRED: ReadLimit = ReadLimit { events: 100, bytes: 64 << 20, count: true };

pub(crate) fn run(
    runtime: &Runtime,
    folder: &Path,
    rounds: usize,
    (history, owed): (&[u64], &[u64]),
) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (events, turns) in [(1, 200), (10, 200), (100, 50), (1000, 10)] {
        rows.push(single(runtime, &subfolder(folder, &format!("turn{events}"))?, rounds, events, turns)?);
    }
    for events in [1, 10, 100] {
        rows.push(concurrent(runtime, &subfolder(folder, &format!("owners{events}"))?, rounds, events)?);
    }
    let extracts = subfolder(folder, "extracts")?;
    rows.extend(runtime.block_on(extracts_behind(&extracts, rounds, history))?);
    rows.extend(runtime.block_on(extracts_owed(&subfolder(folder, "owed")?, rounds, owed))?);
    rows.extend(runtime.block_on(streams::run(&subfolder(folder, "streams")?, rounds))?);
    Ok(rows)
}

/// Extracts of 100 with more and more events owed behind them, and a drain of all of them in hundreds. What an extract
/// costs must not depend on what is owed.
async fn extracts_owed(folder: &Path, rounds: usize, owed: &[u64]) -> anyhow::Result<Vec<Row>> {
    let ours = Ours::new(folder, 1).await?;
    let mut rows: Vec<Row> = Vec::new();
    let all = Selection::all(Seq(0));
    for &owed in owed {
        while u64::try_from(ours.store.head().await?.0)? < owed {
            ours.turn(0, 1_000).await?;
        }
        memory::forget_peak("self");
        let mut rates = Vec::new();
        for _ in 0..=rounds {
            let started = std::time::Instant::now();
            for _ in 0..50 {
                let page = ours.store.read(&all, HUNDRED).await?;
                ensure!(
                    page.events.len() == 100 && page.remaining >= owed - 100,
                    "100, and the rest remains"
                );
            }
            rates.push(50.0 / started.elapsed().as_secs_f64());
        }
        let rate = median(rates.split_off(1));
        let mut row = Row::new("log", format!("extract100_owed_{owed}"), "extracts/s", rate);
        row.also.extend(memory::peak_mib("self").map(|mib| ("peak_mib", mib)));
        let slower = rows.first().map_or(1.0, |first| first.ours / rate);
        let goal = "times as slow as with the fewest owed: 1.5 at most".to_owned();
        row.goals.push(Goal { goal, found: slower, met: slower <= 1.5 });
        rows.push(row);
    }
    rows.push(drain(&ours).await?);
    Ok(rows)
}

/// Reads everything in hundreds, as a consumer that confirms each batch does.
async fn drain(ours: &Ours) -> anyhow::Result<Row> {
    memory::forget_peak("self");
    let started = std::time::Instant::now();
    let (mut selection, mut events) = (Selection::all(Seq(0)), 0_u32);
    loop {
        let page = ours.store.read(&selection, HUNDRED).await?;
        let Some(last) = page.events.last() else { break };
        selection.after = last.seq;
        events += u32::try_from(page.events.len())?;
    }
    let rate = f64::from(events) / started.elapsed().as_secs_f64();
    let mut row = Row::new("log", format!("drain_{events}_in_100s"), "events/s", rate);
    row.also.extend(memory::peak_mib("self").map(|mib| ("peak_mib", mib)));
    Ok(row)
}

/// One owner, one turn after the other.
fn single(runtime: &Runtime, folder: &Path, rounds: usize, events: usize, turns: u64) -> anyhow::Result<Row> {
    let (ours, mut plain) = pair(runtime, folder)?;
    let owner = ours.owners[0];
    let mut contenders: [Contender<'_>; 2] = [
        (
            "ours",
            timed(|| {
                // On a worker of the runtime, where a source's loop runs.
                runtime.block_on(async {
                    for _ in 0..turns {
                        ours.turn(0, events).await?;
                    }
                    Ok(turns)
                })
            }),
        ),
        (
            "rusqlite",
            timed(|| {
                for _ in 0..turns {
                    plain.commit(&[PlainTurn { owner, events }])?;
                }
                Ok(turns)
            }),
        ),
    ];
    row(format!("turn{events}"), "turns/s", rounds, &mut contenders)
}

/// 64 owners that commit at the same time, each its own turns; the peers do the same turns one by one, and 64 to a
/// transaction.
fn concurrent(runtime: &Runtime, folder: &Path, rounds: usize, events: usize) -> anyhow::Result<Row> {
    let (ours, mut one_by_one) = pair(runtime, &subfolder(folder, "single")?)?;
    let (other, mut batched) = pair(runtime, &subfolder(folder, "batched")?)?;
    drop(other);
    let (ours, ids) = (Arc::new(ours), 0..OWNERS);
    let turns_each: u64 = if events == 100 { 4 } else { 32 };
    let total = turns_each * OWNERS as u64;
    let batch: Vec<PlainTurn> = ids.map(|n| PlainTurn { owner: ours.owners[n], events }).collect();
    let mut contenders: [Contender<'_>; 3] = [
        ("ours", timed(|| runtime.block_on(all_owners(&ours, turns_each, events)).map(|()| total))),
        (
            "rusqlite",
            timed(|| {
                // Each is a sync of its own; fewer of them give the same rate.
                let few = batch.chunks(1).take(OWNERS);
                for turn in few {
                    one_by_one.commit(turn)?;
                }
                Ok(OWNERS as u64)
            }),
        ),
        (
            "rusqlite_batch64",
            timed(|| {
                for _ in 0..turns_each {
                    batched.commit(&batch)?;
                }
                Ok(total)
            }),
        ),
    ];
    row(format!("owners64_turn{events}"), "turns/s", rounds, &mut contenders)
}

async fn all_owners(ours: &Arc<Ours>, turns_each: u64, events: usize) -> anyhow::Result<()> {
    let mut tasks = JoinSet::new();
    for owner in 0..OWNERS {
        let ours = ours.clone();
        tasks.spawn(async move {
            for _ in 0..turns_each {
                ours.turn(owner, events).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(())
}

/// Extracts of 100 fresh events with more and more confirmed ones behind them, and one old event of another type
/// that nobody ever confirms. The peer is the least that any extract must do: one range read of the same rows.
async fn extracts_behind(folder: &Path, rounds: usize, history: &[u64]) -> anyhow::Result<Vec<Row>> {
    let ours = Ours::new(folder, 1).await?;
    ours.turn_of(0, "other.never_confirmed", 1).await?;
    let mut rows = Vec::new();
    for &behind in history {
        while u64::try_from(ours.store.head().await?.0)? < behind {
            ours.turn(0, 10_000).await?;
        }
        let confirmed = ours.store.head().await?;
        ours.turn(0, 100).await?;
        let selection = Selection {
            patterns: Patterns::default(),
            positions: BTreeMap::from([(EVENT_TYPE.to_owned(), confirmed)]),
            ..Selection::all(Seq(0))
        };
        let plain = rusqlite::Connection::open(folder.join("ours.db"))?;
        let mut rates = Vec::new();
        for _ in 0..=rounds {
            rates.push((extract(&ours, &selection).await?, range_read(&plain, confirmed)?));
        }
        let (ours, peer): (Vec<f64>, Vec<f64>) = rates.into_iter().skip(1).unzip();
        let case = format!("extract100_of_{behind}");
        let peers = BTreeMap::from([("rusqlite", median(peer))]);
        rows.push(Row { peers, ..Row::new("log", case, "extracts/s", median(ours)) });
    }
    Ok(rows)
}

/// Extracts a second, over 50 extracts.
async fn extract(ours: &Ours, selection: &Selection) -> anyhow::Result<f64> {
    let started = std::time::Instant::now();
    for _ in 0..50 {
        let page = ours.store.read(selection, HUNDRED).await?;
        ensure!(page.events.len() == 100 && page.remaining == 1, "an extract of 100, with one event left");
    }
    Ok(50.0 / started.elapsed().as_secs_f64())
}

fn range_read(plain: &rusqlite::Connection, after: Seq) -> anyhow::Result<f64> {
    let started = std::time::Instant::now();
    for _ in 0..50 {
        let mut read = plain.prepare_cached(
            "SELECT e.seq, e.created_at, e.event_id, e.entity, e.meta, e.data, o.name
             FROM events e JOIN owners o ON o.id = e.source
             WHERE e.type = (SELECT id FROM event_types WHERE name = ?1) AND e.seq > ?2 ORDER BY e.seq LIMIT 100",
        )?;
        let rows = read.query_map((EVENT_TYPE, after.0), |row| {
            let times: (i64, i64) = (row.get(0)?, row.get(1)?);
            let texts: (String, Option<String>, String) = (row.get(2)?, row.get(3)?, row.get(4)?);
            Ok((times, texts, row.get::<_, String>(5)?, row.get::<_, String>(6)?))
        })?;
        ensure!(rows.collect::<Result<Vec<_>, _>>()?.len() == 100, "a read of 100");
    }
    Ok(50.0 / started.elapsed().as_secs_f64())
}

/// Our store, and a plain connection to a database of the same make.
fn pair(runtime: &Runtime, folder: &Path) -> anyhow::Result<(Ours, Plain)> {
    let theirs = subfolder(folder, "plain")?;
    drop(runtime.block_on(Ours::new(&theirs, OWNERS))?);
    let plain = Plain::open(&theirs.join("ours.db"))?;
    Ok((runtime.block_on(Ours::new(folder, OWNERS))?, plain))
}

/// A folder of that name in another, made now.
pub(crate) fn subfolder(folder: &Path, name: &str) -> anyhow::Result<std::path::PathBuf> {
    let path = folder.join(name);
    std::fs::create_dir_all(&path)?;
    Ok(path)
}

fn row(
    case: String,
    unit: &'static str,
    rounds: usize,
    contenders: &mut [Contender<'_>],
) -> anyhow::Result<Row> {
    let (ours, peers) = interleave(rounds, contenders)?;
    Ok(Row { peers, ..Row::new("log", case, unit, ours) })
}
