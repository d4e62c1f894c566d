//! No case of the suite is forgotten.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;

/// The compiler misses no function that is public, so that a case could be written and never run.
#[test]
fn every_case_is_listed() {
    let src = concat!(env!("CARGO_MANIFEST_DIR"), "/src");
    let listed = fs::read_to_string(format!("{src}/conformance.rs")).unwrap();
    let listed: Vec<&str> = listed.lines().map(str::trim).collect();
    let mut cases = 0;
    for file in fs::read_dir(format!("{src}/conformance")).unwrap() {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        for line in text.lines().filter_map(|line| line.strip_prefix("pub async fn ")) {
            let name = line.split('(').next().unwrap();
            assert!(listed.contains(&name), "{name} is in no module's list");
            cases += 1;
        }
    }
    assert!(cases > 100, "{cases}");
}
