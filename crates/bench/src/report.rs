//! What a benchmark found: rows, as a table for people and as JSON for machines.

use std::collections::BTreeMap;
use std::fmt::Write;

/// One case: how often a second ours and each peer did the work. More is better.
#[derive(Debug, serde::Serialize)]
pub(crate) struct Row {
    pub(crate) bench: &'static str,
    pub(crate) case: String,
    /// How many keys there were.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) keys: Option<u64>,
    pub(crate) unit: &'static str,
    pub(crate) ours: f64,
    pub(crate) peers: BTreeMap<&'static str, f64>,
    /// What else was measured, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) also: BTreeMap<&'static str, f64>,
    /// What was aimed at.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) goals: Vec<Goal>,
}

/// A goal and how it came out.
#[derive(Debug, serde::Serialize)]
pub(crate) struct Goal {
    pub(crate) goal: String,
    /// The figure that the goal speaks of.
    pub(crate) found: f64,
    pub(crate) met: bool,
}

impl Row {
    pub(crate) fn new(bench: &'static str, case: String, unit: &'static str, ours: f64) -> Self {
        let (peers, also, goals) = Default::default();
        Self { bench, case, keys: None, unit, ours, peers, also, goals }
    }
}

pub(crate) fn json(rows: &[Row]) -> serde_json::Result<String> {
    Ok(serde_json::to_string_pretty(rows)? + "\n")
}

/// The rows, and below them their goals.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut table = format!("{:<22} {:>9} {:>11}  {:<12} peers\n", "case", "keys", "ours", "unit");
    for row in rows {
        let keys = row.keys.map(|keys| keys.to_string()).unwrap_or_default();
        // Writing to a String cannot fail.
        let _ = write!(table, "{:<22} {keys:>9} {:>11.1}  {:<12}", row.case, row.ours, row.unit);
        for (name, peer) in &row.peers {
            let _ = write!(table, " {name} {peer:.1} (ours is {:.0} %)", 100.0 * row.ours / peer);
        }
        for (name, found) in &row.also {
            let _ = write!(table, " {name} {found:.2}");
        }
        table.push('\n');
    }
    for row in rows {
        for Goal { goal, found, met } in &row.goals {
            let keys = row.keys.map(|keys| keys.to_string()).unwrap_or_default();
            let met = if *met { "met" } else { "MISSED" };
            let _ = writeln!(table, "{:<22} {keys:>9} {found:>11.2}  {met:<7} {goal}", row.case);
        }
    }
    table
}
