//! Checks, for tests, that statements are planned once and never scan a table. Why that is in doubt, `sqlite.rs` says.

use rusqlite::{Connection, StatementStatus};

/// Runs each statement again and again with new values, as its cache does.
pub(super) fn check(statements: &[&str]) {
    let connection = Connection::open_in_memory().unwrap();
    super::migrate::MIGRATIONS.iter().for_each(|sql| connection.execute_batch(sql).unwrap());
    for sql in statements {
        for value in 0..10 {
            let mut statement = connection.prepare_cached(sql).unwrap();
            for parameter in 1..=statement.parameter_count() {
                statement.raw_bind_parameter(parameter, value).unwrap();
            }
            // What is written does not matter, only how it is found.
            let mut rows = statement.raw_query();
            while let Ok(Some(_)) = rows.next() {}
        }
        let planned = connection.prepare_cached(sql).unwrap().get_status(StatementStatus::RePrepare);
        assert_eq!(planned, 0, "planned anew: {sql}");
        let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let parameters = explain.parameter_count();
        (1..=parameters).for_each(|parameter| explain.raw_bind_parameter(parameter, 1).unwrap());
        let mut steps = explain.raw_query();
        while let Some(step) = steps.next().unwrap() {
            let step: String = step.get(3).unwrap();
            assert!(!step.starts_with("SCAN") || step == "SCAN CONSTANT ROW", "{step}: {sql}");
        }
    }
}
