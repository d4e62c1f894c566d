//! Any bytes as a feed: reading comes to an end, is the same each time, and gives no more than it may.
#![no_main]

use std::sync::LazyLock;

use inboxclaw_connectors::sources::feed::inspect;
use libfuzzer_sys::fuzz_target;
use reqwest::Url;

/// Most entries of a document that are looked at.
const MOST_ENTRIES: usize = 10_000;
/// The first byte chooses what the server says of the rest.
const TYPES: [Option<&str>; 5] = [
    None,
    Some("text/xml; charset=utf-8"),
    Some("text/xml; charset=windows-1251"),
    Some("application/xml; charset=shift_jis"),
    Some("application/feed+json; charset=utf-16"),
];

static BASE: LazyLock<Url> = LazyLock::new(|| Url::parse("https://f.example/a/feed").expect("it is one"));

fuzz_target!(|data: &[u8]| {
    let Some((first, body)) = data.split_first() else { return };
    let content_type = TYPES[usize::from(*first) % TYPES.len()];
    let read = || inspect(body, content_type, &BASE).map_err(|broken| broken.to_string());
    let found = read();
    assert_eq!(found, read());
    if let Ok((entries, problems)) = found {
        assert!(entries <= MOST_ENTRIES && problems <= 3);
    }
});
