//! What the figures are to be.

use crate::data::Case;
use crate::report::{Goal, Row};

/// How much slower a case may become from the fewest keys to the most.
const GROWTH: f64 = 2.0;

/// Notes at each row which of its goals it met.
pub(super) fn judge(rows: &mut [Row]) {
    for row in rows.iter_mut() {
        row.goals = beside_peers(row);
    }
    for case in Case::ALL {
        let mut of_case: Vec<&mut Row> = rows.iter_mut().filter(|row| row.case == case.name()).collect();
        of_case.sort_by_key(|row| row.keys);
        if let [few, .., many] = of_case.as_mut_slice() {
            let keys = few.keys.unwrap_or_default();
            let growth = format!("time at most {GROWTH} × that with {keys} keys");
            many.goals.push(at_most(growth, few.ours / many.ours, GROWTH));
        }
    }
}

fn beside_peers(row: &Row) -> Vec<Goal> {
    let peer = |name: &str| row.peers.get(name).copied().unwrap_or(f64::NAN);
    let slower_than = |name: &str, bound: f64| {
        at_most(format!("time at most {bound} × {name}"), peer(name) / row.ours, bound)
    };
    let as_fast_as = |name: &str, bound: f64, word: &str| {
        at_least(format!("{word} {bound} × {name}"), row.ours / peer(name), bound)
    };
    match row.case.as_str() {
        "get" => vec![slower_than("rusqlite", 2.5), as_fast_as("denokv", 2.0, "at least")],
        "set" => vec![slower_than("rusqlite", 1.4)],
        "set64" => vec![
            as_fast_as("denokv", 3.0, "at least"),
            as_fast_as("rusqlite_batch64", 0.6, "at least"),
            as_fast_as("rusqlite_batch64", 0.8, "if possible"),
        ],
        _ => Vec::new(),
    }
}

fn at_most(goal: String, found: f64, bound: f64) -> Goal {
    Goal { goal, found, met: found <= bound }
}

fn at_least(goal: String, found: f64, bound: f64) -> Goal {
    Goal { goal, found, met: found >= bound }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(case: &str, keys: u64, ours: f64, peers: &[(&'static str, f64)]) -> Row {
        let peers = peers.iter().copied().collect();
        Row { keys: Some(keys), peers, ..Row::new("state", case.into(), "sets/s", ours) }
    }

    #[test]
    fn each_goal_is_judged_by_its_own_measure() {
        let mut rows = [
            row("get", 10, 100.0, &[("rusqlite", 240.0), ("denokv", 60.0)]),
            row("set", 10, 100.0, &[("rusqlite", 141.0)]),
            row("set64", 10, 100.0, &[("denokv", 33.0), ("rusqlite_batch64", 150.0)]),
            row("set", 99, 49.0, &[("rusqlite", 49.0)]),
        ];
        judge(&mut rows);
        let met = |row: &Row| row.goals.iter().map(|goal| goal.met).collect::<Vec<_>>();
        assert_eq!(met(&rows[0]), [true, false]);
        assert_eq!(met(&rows[1]), [false]);
        assert_eq!(met(&rows[2]), [true, true, false]);
        assert_eq!(met(&rows[3]), [true, false], "as fast as plain, but twice as slow as with few keys");
    }
}
