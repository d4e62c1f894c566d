//! What a reader of Drive must be told, computed by comparing what can be seen before and after a round of changes.

use std::collections::{BTreeMap, BTreeSet};

use inboxclaw_fakes::google::api::{Body, Request};
use inboxclaw_fakes::google::drive::Drive;
use jiff::Timestamp;
use serde_json::Value;

use crate::account::{Wanted, text};

/// Fields whose change makes a file `updated`.
const TOLD: [&str; 6] = ["name", "mimeType", "description", "lastModifyingUser", "webViewLink", "size"];

/// What an account sees of Drive.
#[derive(Debug, Default, Clone)]
pub(crate) struct Seen {
    files: BTreeMap<String, Value>,
    pub(crate) drives: BTreeSet<String>,
}

/// Looks at everything.
pub(crate) fn look(drive: &mut Drive, now: Timestamp) -> Seen {
    let mut seen = Seen::default();
    let paging = std::mem::take(&mut drive.paging);
    for found in list(drive, now, "drives", &[("pageSize", "100")]) {
        seen.drives.insert(text(&found, "id").to_owned());
    }
    let all = [
        ("supportsAllDrives", "true"),
        ("includeItemsFromAllDrives", "true"),
        ("pageSize", "1000"),
        ("fields", "*"),
    ];
    let drives: Vec<String> = seen.drives.iter().cloned().collect();
    let mut corpora = vec![vec![("corpora", "user")]];
    corpora.extend(drives.iter().map(|id| vec![("corpora", "drive"), ("driveId", id.as_str())]));
    for corpus in corpora {
        let query: Vec<_> = corpus.into_iter().chain(all).collect();
        for file in list(drive, now, "files", &query) {
            seen.files.insert(text(&file, "id").to_owned(), file);
        }
    }
    drive.paging = paging;
    seen
}

fn list(drive: &mut Drive, now: Timestamp, what: &str, query: &[(&str, &str)]) -> Vec<Value> {
    let (mut found, mut page) = (Vec::new(), None::<String>);
    loop {
        let mut query: Vec<_> = query.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        query.extend(page.map(|page| ("pageToken".to_owned(), page)));
        let Body::Json(mut body) = drive.answer(&Request { path: vec![what.to_owned()], query }, now).body
        else {
            panic!("a listing in JSON")
        };
        let Value::Array(items) = body[what].take() else { panic!("{what}: {body}") };
        found.extend(items);
        page = body["nextPageToken"].as_str().map(str::to_owned);
        if page.is_none() {
            return found;
        }
    }
}

/// Adds what the step from `before` to `after` has to report.
pub(crate) fn add_wanted(wanted: &mut Wanted, before: &Seen, after: &Seen) {
    let is_new_drive = |file: &Value| {
        after.drives.contains(text(file, "driveId")) && !before.drives.contains(text(file, "driveId"))
    };
    for (id, file) in &after.files {
        let mut must = |what: &str| wanted.must(format!("google.drive.file_{what} {id}"));
        match before.files.get(id) {
            Some(old) => changed(old, file).into_iter().for_each(must),
            // What a drive holds when it appears belongs to its baseline.
            None if is_new_drive(file) => {}
            None if file["ownedByMe"] == true => must("created"),
            None => must("shared_with_you"),
        }
    }
    for id in before.files.keys().filter(|id| !after.files.contains_key(*id)) {
        wanted.must(format!("google.drive.file_removed {id}"));
    }
}

fn changed(old: &Value, new: &Value) -> Vec<&'static str> {
    let differs = |field: &str| old[field] != new[field];
    let mut events = Vec::new();
    if differs("parents") {
        events.push("moved");
    }
    if differs("trashed") {
        events.push(if new["trashed"] == true { "trashed" } else { "untrashed" });
    }
    let is_given = old["ownedByMe"] == true && new["ownedByMe"] != true;
    if is_given || text(new, "sharedWithMeTime") > text(old, "sharedWithMeTime") {
        events.push("shared_with_you");
    }
    let is_folder = text(new, "mimeType") == "application/vnd.google-apps.folder";
    let is_told = TOLD.iter().any(|field| differs(field));
    let is_updated = match is_folder {
        true => differs("name") || differs("description"),
        false => is_told || differs("modifiedTime") && events.is_empty(),
    };
    if is_updated {
        events.push("updated");
    }
    events
}
