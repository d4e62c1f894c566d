//! The page for authors of connectors shows code that is compiled and tested: every block stands in the example.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

/// Lines without what differs by where they stand.
fn lines(text: &str) -> Vec<&str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect()
}

#[test]
fn every_block_of_the_page_stands_in_the_example() {
    let page = include_str!("../../../docs/connectors.md");
    let example = lines(include_str!("../examples/loans.rs"));
    let blocks: Vec<&str> =
        page.split("```rust\n").skip(1).map(|rest| rest.split_once("\n```").unwrap().0).collect();
    assert!(blocks.len() >= 8, "{}", blocks.len());
    for block in blocks {
        let wanted = lines(block);
        assert!(example.windows(wanted.len()).any(|found| found == wanted), "not in the example:\n{block}");
    }
}
