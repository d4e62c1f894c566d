//! `stats`: how many events there were lately, and how large they are. The database is only read.

use std::sync::Arc;

use inboxclaw_store::{EventCounts, EventStats, SqliteStore};
use serde_json::{Value as Json, json};

use super::failed::Failed;
use super::table::{Side, Table};
use super::{client, configuration, output};
use crate::cli::{ConfigFile, exit};
use crate::outside::SystemClock;

pub(super) fn run(args: &ConfigFile, as_json: bool) -> Result<u8, Failed> {
    let config = configuration::load(&configuration::of_client(args)?)?;
    let path = &config.database.path;
    if !path.exists() {
        return Err(Failed::plain(format!("there is no database at {} yet", path.display())));
    }
    let store = SqliteStore::read_only(path, Arc::new(SystemClock));
    let store = store.map_err(|error| Failed::plain(error.to_string()))?;
    let stats =
        client::block_on(async { store.stats().await.map_err(|error| Failed::plain(error.to_string())) })?;
    if as_json {
        output::pretty(&in_json(&stats))?;
    } else {
        tell(&stats)?;
    }
    Ok(exit::OK)
}

fn tell(stats: &EventStats) -> Result<(), Failed> {
    for (title, name, counts) in
        [("[Events by Source]", "SOURCE", &stats.sources), ("[Events by Type]", "TYPE", &stats.types)]
    {
        output::line(title)?;
        let rows: Vec<[String; 4]> = counts.iter().map(cells).collect();
        let columns = [(name, Side::Left), ("1d", Side::Right), ("7d", Side::Right), ("30d", Side::Right)];
        Table::new(columns).rows(&rows)?;
        output::line("")?;
    }
    output::line("[Average Event Size (Bytes)]")?;
    let rows: Vec<[String; 4]> = stats
        .sizes
        .iter()
        .map(|size| {
            [size.name.clone(), size.average.to_string(), size.sample.to_string(), size.events.to_string()]
        })
        .collect();
    let columns = [
        ("TYPE", Side::Left),
        ("AVERAGE", Side::Right),
        ("OF THE LAST", Side::Right),
        ("IN THE LOG", Side::Right),
    ];
    Table::new(columns).rows(&rows)?;
    Ok(())
}

fn cells(counts: &EventCounts) -> [String; 4] {
    let [day, week, month] = counts.recent.map(|count| count.to_string());
    [counts.name.clone(), day, week, month]
}

fn in_json(stats: &EventStats) -> Json {
    let counts = |all: &[EventCounts]| -> Vec<Json> {
        let one = |EventCounts { name, recent: [day, week, month] }: &EventCounts| json!({ "name": name, "1d": day, "7d": week, "30d": month });
        all.iter().map(one).collect()
    };
    let sizes = stats.sizes.iter().map(|size| {
        json!({ "name": size.name, "average_bytes": size.average, "sample": size.sample, "events": size.events })
    });
    json!({
        "sources": counts(&stats.sources), "types": counts(&stats.types), "sizes": sizes.collect::<Vec<_>>(),
    })
}
