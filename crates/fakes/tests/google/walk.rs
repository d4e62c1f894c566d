//! A reader of everything: each kind of request that a reading client makes, page by page, to an account in which much
//! has happened. Nothing that is asked or answered may differ from Google's own description.

use inboxclaw_fakes::google::simulation::Simulation;
use jiff::SignedDuration;
use serde_json::Value;

use crate::asking::Account;

const FILES: &str = "supportsAllDrives=true&includeItemsFromAllDrives=true";

#[test]
fn an_account_with_a_past_keeps_to_the_description() {
    let account = Account::new();
    let start = account.get("/gmail/v1/users/me/profile").json()["historyId"].as_str().unwrap().to_owned();
    let token =
        account.get("/drive/v3/changes/startPageToken").json()["startPageToken"].as_str().unwrap().to_owned();
    add_drives(&account, ["Team", "Archive"]);
    account.fake.calendar().add_calendar("team@group.calendar.google.com", "Team");
    live(&account, 7);
    // The simulation may have removed the others.
    add_drives(&account, ["Plans", "Pictures"]);
    for target in [
        "/gmail/v1/users/me/labels",
        "/drive/v3/about?fields=user,storageQuota",
        "/drive/v3/changes/startPageToken?supportsAllDrives=true",
        "/calendar/v3/calendars/primary/events?showDeleted=true",
    ] {
        assert_eq!(account.get(target).status, 200, "{target}");
    }
    let messages =
        pages(&account, "/gmail/v1/users/me/messages?includeSpamTrash=true&maxResults=20", "messages");
    for id in ids(&messages).into_iter().take(20) {
        for format in ["metadata", "full", "minimal", "raw"] {
            assert_eq!(account.get(&format!("/gmail/v1/users/me/messages/{id}?format={format}")).status, 200);
        }
    }
    let records = pages(
        &account,
        &format!("/gmail/v1/users/me/history?startHistoryId={start}&maxResults=20"),
        "history",
    );
    let files = pages(&account, &format!("/drive/v3/files?pageSize=10&fields=*&{FILES}"), "files");
    for id in ids(&files) {
        assert_eq!(account.get(&format!("/drive/v3/files/{id}?fields=*&supportsAllDrives=true")).status, 200);
    }
    let changes = follow(&account, &token);
    let drives = pages(&account, "/drive/v3/drives?pageSize=1", "drives");
    for drive in ids(&drives) {
        let list = format!("/drive/v3/files?corpora=drive&driveId={drive}&fields=*&{FILES}");
        pages(&account, &list, "files");
    }
    let calendars =
        pages(&account, "/calendar/v3/users/me/calendarList?showHidden=true&maxResults=1", "items");
    let mut events = Vec::new();
    for id in ids(&calendars) {
        let id = id.replace('@', "%40").replace('#', "%23");
        let list = format!("/calendar/v3/calendars/{id}/events?showDeleted=true&maxResults=10");
        events.extend(pages(&account, &format!("{list}&singleEvents=false"), "items"));
        let until = account.fake.clock().now() + SignedDuration::from_hours(24 * 60);
        events.extend(pages(&account, &format!("{list}&singleEvents=true&timeMax={until}"), "items"));
    }
    let found = [&messages, &records, &files, &changes, &drives, &calendars, &events].map(Vec::len);
    assert!(found.iter().all(|count| *count > 1), "{found:?}");
    assert_eq!(account.fake.violations(), Vec::<String>::new());
}

fn add_drives(account: &Account, names: [&str; 2]) {
    names.into_iter().for_each(|name| drop(account.fake.drive().add_drive(account.fake.clock().now(), name)));
}

/// Lets something happen every minute for some hours.
fn live(account: &Account, seed: u64) {
    let mut simulation = Simulation::new(seed);
    let clock = account.fake.clock();
    for round in 0..200 {
        clock.advance(SignedDuration::from_mins(1));
        simulation.step_gmail(&mut account.fake.gmail(), clock.now());
        simulation.step_drive(&mut account.fake.drive(), clock.now());
        simulation.step_calendar(&mut account.fake.calendar(), clock.now());
        if round % 5 == 0 {
            simulation.end_round();
        }
    }
    // The tokens of the account are an hour old at most.
    clock.advance(SignedDuration::from_mins(-200));
}

/// The changes of Drive since a token, which are not listed as other things are: a page token begins them.
fn follow(account: &Account, start: &str) -> Vec<Value> {
    let (mut changes, mut token) = (Vec::new(), start.to_owned());
    loop {
        let reply = account.get(&format!("/drive/v3/changes?pageToken={token}&fields=*&{FILES}"));
        assert_eq!(reply.status, 200, "{token}");
        let page = reply.json();
        changes.extend(page["changes"].as_array().unwrap().iter().cloned());
        match page["nextPageToken"].as_str() {
            Some(next) => next.clone_into(&mut token),
            None => return changes,
        }
    }
}

/// The items of all pages of a listing.
fn pages(account: &Account, target: &str, name: &str) -> Vec<Value> {
    let (mut items, mut token) = (Vec::new(), String::new());
    for _ in 0..1_000 {
        let reply = account.get(&format!("{target}{token}"));
        assert_eq!(reply.status, 200, "{target}{token}: {}", String::from_utf8_lossy(&reply.body));
        let page = reply.json();
        items.extend(page[name].as_array().into_iter().flatten().cloned());
        match page["nextPageToken"].as_str() {
            Some(next) => token = format!("&pageToken={next}"),
            None => return items,
        }
    }
    panic!("{target} has no end");
}

fn ids(items: &[Value]) -> Vec<String> {
    items.iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}
