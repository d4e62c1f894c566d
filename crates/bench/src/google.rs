//! First syncs of the Google sources on the real binary, beside the least that a reader can do: the same requests one
//! after the other, with nothing read, compared or stored.
//!
//! The account is a stand-in that takes `latency` for each answer. Next to this package's program must lie the daemon's:
//! `cargo build --release -p inboxclaw -p inboxclaw-bench`.

mod reader;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use inboxclaw_fakes::google::drive::Drive;
use inboxclaw_fakes::google::faults::{Fault, Rule};
use inboxclaw_fakes::google::gmail::Mailbox;
use inboxclaw_fakes::google::{Fake, Options};
use jiff::Timestamp;
use serde_json::Value;

use crate::daemon::Daemon;
use reader::Reader;

/// What a sync took.
struct Took {
    seconds: f64,
    requests: u64,
    peak_mib: f64,
    disk_mib: f64,
    entries: u64,
    state_mib: f64,
}

/// Measures both and prints a table.
pub(crate) fn run(folder: &Path, messages: usize, files: usize, latency: Duration) -> anyhow::Result<()> {
    println!(
        "| sync | items | seconds | requests | one after the other, s | quota, s | peak MiB | disk MiB | entries | state MiB |"
    );
    println!("|:--|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
    if messages > 0 {
        gmail(folder, messages, latency)?;
    }
    if files > 0 {
        drive(folder, files, latency)?;
    }
    Ok(())
}

fn gmail(folder: &Path, messages: usize, latency: Duration) -> anyhow::Result<()> {
    let fake = account(latency)?;
    let begin = Timestamp::now();
    let mut daemon = start(&folder.join("gmail"), "gmail", &fake)?;
    // The cursor of an empty mailbox first, so that everything after it is history to catch up with.
    daemon.until(|daemon| Ok(cursor(daemon)?.is_some()))?;
    daemon.post("/api/sources/google/pause")?;
    *fake.gmail() = Mailbox::bulk(begin, messages);
    fake.faults().off();
    let before: u64 = fake.counts().values().sum();
    let least = one_by_one_gmail(&fake, messages, latency)?;
    fake.faults().rule(Rule::always("", Fault::Slow(latency)));
    let plain: u64 = fake.counts().values().sum::<u64>() - before;
    let begun = Instant::now();
    daemon.post("/api/sources/google/resume")?;
    daemon.until(|daemon| Ok(total(daemon)? >= messages as u64))?;
    let requests = fake.counts().values().sum::<u64>() - before - plain;
    let took = took(&daemon, begun, requests)?;
    // 20 units a message, 2 a page of history, 6,000 a minute.
    let quota = (messages as f64).mul_add(20.0, messages as f64 / 500.0 * 2.0) / 100.0;
    print("gmail", messages, &took, least, quota);
    Ok(())
}

/// Seconds for the same requests in a row: measured for a thousand messages, and so many times that.
fn one_by_one_gmail(fake: &Fake, messages: usize, latency: Duration) -> anyhow::Result<f64> {
    let token = token(fake)?;
    let mut reader = Reader::new(fake, token)?;
    let page = reader.get("/gmail/v1/users/me/messages?maxResults=500")?;
    let ids: Vec<&str> =
        page["messages"].as_array().into_iter().flatten().filter_map(|one| one["id"].as_str()).collect();
    if ids.is_empty() {
        bail!("no messages: {page}");
    }
    let begun = Instant::now();
    for id in &ids {
        reader.get(&format!("/gmail/v1/users/me/messages/{id}?format=metadata"))?;
    }
    let each = begun.elapsed().as_secs_f64() / ids.len() as f64 + latency.as_secs_f64();
    let pages = (messages as f64 / 500.0).ceil();
    Ok(each * (messages as f64 + pages))
}

fn drive(folder: &Path, files: usize, latency: Duration) -> anyhow::Result<()> {
    let fake = account(latency)?;
    *fake.drive() = Drive::bulk(Timestamp::now(), files);
    let mut reader = Reader::new(&fake, token(&fake)?)?;
    let (begun, mut page) = (Instant::now(), String::new());
    reader.get("/drive/v3/changes/startPageToken?supportsAllDrives=true")?;
    loop {
        let path = format!(
            "/drive/v3/files?pageSize=1000&supportsAllDrives=true&includeItemsFromAllDrives=true&fields=*{page}"
        );
        match reader.get(&path)?["nextPageToken"].as_str() {
            Some(next) => page = format!("&pageToken={next}"),
            None => break,
        }
    }
    let least = begun.elapsed().as_secs_f64();
    let before: u64 = fake.counts().values().sum();
    let begun = Instant::now();
    let mut daemon = start(&folder.join("drive"), "google_drive", &fake)?;
    daemon.until(|daemon| Ok(cursor(daemon)?.is_some()))?;
    let requests = fake.counts().values().sum::<u64>() - before;
    let took = took(&daemon, begun, requests)?;
    // 100 units a page, 325,000 a minute.
    print("google_drive", files, &took, least, requests as f64 * 100.0 * 60.0 / 325_000.0);
    Ok(())
}

fn print(kind: &str, items: usize, took: &Took, least: f64, quota: f64) {
    println!(
        "| {kind} | {items} | {:.1} | {} | {least:.1} | {quota:.1} | {:.0} | {:.0} | {} | {:.1} |",
        took.seconds, took.requests, took.peak_mib, took.disk_mib, took.entries, took.state_mib
    );
}

fn account(latency: Duration) -> anyhow::Result<Fake> {
    let fake = Fake::spawn(Options::default())?;
    fake.faults().rule(Rule::always("", Fault::Slow(latency)));
    Ok(fake)
}

fn token(fake: &Fake) -> anyhow::Result<String> {
    let file = tempfile::NamedTempFile::new()?;
    fake.token_file(file.path())?;
    let file: Value = serde_json::from_slice(&fs::read(file.path())?)?;
    Ok(file["token"].as_str().context("a token")?.to_owned())
}

/// The daemon with that one source.
fn start(folder: &Path, kind: &str, fake: &Fake) -> anyhow::Result<Daemon> {
    fs::create_dir_all(folder)?;
    fake.token_file(&folder.join("token.json"))?;
    let (base, units) = (fake.base(), u32::MAX);
    Daemon::start(
        folder,
        &format!(
            "sink: {{}}\nsources:\n  google:\n    type: {kind}\n    token_file: ./token.json\n    api_root: {base}\n    \
             poll_interval: 1h\n    units_per_minute: {units}\n"
        ),
    )
}

fn cursor(daemon: &Daemon) -> anyhow::Result<Option<String>> {
    Ok(daemon.get("/api/sources/google/cursor")?["cursor"].as_str().map(str::to_owned))
}

fn total(daemon: &Daemon) -> anyhow::Result<u64> {
    daemon.get("/api/events?limit=1&source_name=google")?["total"].as_u64().context("a total")
}

fn took(daemon: &Daemon, begun: Instant, requests: u64) -> anyhow::Result<Took> {
    let seconds = begun.elapsed().as_secs_f64();
    let owners = daemon.get("/api/owners")?;
    let own = owners["owners"].as_array().into_iter().flatten().find(|owner| owner["name"] == "google");
    let own = own.context("the owner")?;
    let count = |field: &str| own[field].as_u64().unwrap_or_default();
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    Ok(Took {
        seconds,
        requests,
        peak_mib: daemon.peak_mib().context("a peak")?,
        disk_mib: mib(daemon.disk_bytes()),
        entries: count("entries"),
        state_mib: mib(count("bytes")),
    })
}
