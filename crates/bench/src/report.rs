//! What a benchmark found: rows, as a table for people and as JSON for machines.

use std::collections::BTreeMap;
use std::fmt::Write;

/// One case: how often a second ours and each peer did the work. More is better.
#[derive(Debug, serde::Serialize)]
pub(crate) struct Row {
    pub(crate) bench: &'static str,
    pub(crate) case: String,
    pub(crate) unit: &'static str,
    pub(crate) ours: f64,
    pub(crate) peers: BTreeMap<&'static str, f64>,
}

pub(crate) fn json(rows: &[Row]) -> serde_json::Result<String> {
    Ok(serde_json::to_string_pretty(rows)? + "\n")
}

pub(crate) fn table(rows: &[Row]) -> String {
    let mut table = format!("{:<22} {:>11}  {:<12} peers\n", "case", "ours", "unit");
    for row in rows {
        // Writing to a String cannot fail.
        let _ = write!(table, "{:<22} {:>11.1}  {:<12}", row.case, row.ours, row.unit);
        for (name, peer) in &row.peers {
            let _ = write!(table, " {name} {peer:.1} (ours is {:.0} %)", 100.0 * row.ours / peer);
        }
        table.push('\n');
    }
    table
}
