//! Drive, data in and data out: scripts and requests in, answers out.

use super::*;
use crate::google::api::Body;
use serde_json::{Value, json};

const ALL: (&str, &str) = ("supportsAllDrives", "true");
const ITEMS: (&str, &str) = ("includeItemsFromAllDrives", "true");
const FIELDS: (&str, &str) = ("fields", "*");

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

fn answer(drive: &mut Drive, path: &str, query: &[(&str, &str)]) -> Response {
    drive.answer(&Request::new(path, query), at(0))
}

fn json_of(answer: &Response) -> Value {
    let Body::Json(body) = &answer.body else { panic!("no JSON") };
    body.clone()
}

fn get(drive: &mut Drive, path: &str, query: &[(&str, &str)]) -> Value {
    let answer = answer(drive, path, query);
    assert_eq!(answer.status, 200, "{answer:?}");
    json_of(&answer)
}

/// Status and reason of an error.
fn refused(drive: &mut Drive, path: &str, query: &[(&str, &str)]) -> (u16, String) {
    let answer = answer(drive, path, query);
    (answer.status, json_of(&answer)["error"]["errors"][0]["reason"].as_str().unwrap_or_default().to_owned())
}

fn start(drive: &mut Drive, query: &[(&str, &str)]) -> String {
    get(drive, "changes/startPageToken", query)["startPageToken"].as_str().unwrap().to_owned()
}

/// Every page of changes from a token on, and the token for next time.
fn changes(drive: &mut Drive, token: &str, query: &[(&str, &str)]) -> (Vec<Vec<Value>>, String) {
    let (mut all, mut token) = (Vec::new(), token.to_owned());
    loop {
        let page = get(drive, "changes", &[query, &[("pageToken", &token), FIELDS]].concat());
        all.push(page["changes"].as_array().unwrap().clone());
        let (next, new) = (page["nextPageToken"].as_str(), page["newStartPageToken"].as_str());
        assert_ne!(next.is_some(), new.is_some(), "either a next page or the end");
        if let Some(new) = new {
            return (all, new.to_owned());
        }
        next.unwrap().clone_into(&mut token);
    }
}

/// Changes in short: the name of the file, or "gone".
fn names(drive: &mut Drive, token: &str, query: &[(&str, &str)]) -> Vec<String> {
    let entries = changes(drive, token, query).0.concat();
    entries.iter().map(|entry| entry["file"]["name"].as_str().unwrap_or("gone").to_owned()).collect()
}

fn listed(drive: &mut Drive, query: &[(&str, &str)]) -> Vec<String> {
    let (mut all, mut token) = (Vec::new(), None::<String>);
    loop {
        let page = token.iter().map(|token| ("pageToken", token.as_str())).collect::<Vec<_>>();
        let page = get(drive, "files", &[query, &page].concat());
        all.extend(
            page["files"].as_array().unwrap().iter().map(|file| file["name"].as_str().unwrap().to_owned()),
        );
        token = page["nextPageToken"].as_str().map(str::to_owned);
        if token.is_none() {
            return all;
        }
    }
}

fn jane() -> Person {
    Person::new("Jane", "jane@example.org")
}

#[test]
fn an_entry_shows_the_state_now_and_replaces_older_ones() {
    let mut drive = Drive::default();
    let token = start(&mut drive, &[]);
    let one = drive.create(at(0), NewFile::text("one", "a"));
    let two = drive.create(at(1), NewFile::text("two", "b"));
    drive.edit(at(2), &one, "changed");
    drive.rename(at(3), &one, "first");
    let (pages, end) = changes(&mut drive, &token, &[]);
    let entries = pages.concat();
    assert_eq!(entries.len(), 2);
    assert_eq!((&entries[0]["fileId"], &entries[1]["fileId"]), (&json!(two), &json!(one)));
    let entry = &entries[1];
    assert_eq!((&entry["time"], &entry["removed"]), (&json!("2023-11-14T22:13:23.000Z"), &json!(false)));
    let file = &entry["file"];
    assert_eq!(
        (&file["name"], &file["size"], &file["version"], &file["modifiedTime"], &file["parents"]),
        (&json!("first"), &json!("7"), &json!("3"), &json!("2023-11-14T22:13:22.000Z"), &json!([ROOT]))
    );
    assert_eq!((&file["ownedByMe"], &file["owners"][0]["me"]), (&json!(true), &json!(true)));
    assert_eq!(changes(&mut drive, &end, &[]).0.concat(), [] as [Value; 0]);
    drive.remove(at(4), &one);
    let entry = &changes(&mut drive, &end, &[]).0.concat()[0];
    let gone = json!({ "kind": "drive#change", "type": "file", "changeType": "file",
        "time": "2023-11-14T22:13:24.000Z", "removed": true, "fileId": one });
    assert_eq!(*entry, gone);
    assert_eq!(names(&mut drive, &token, &[]), ["two", "gone"]);
    assert_eq!(names(&mut drive, &token, &[("includeRemoved", "false")]), ["two"]);
}

#[test]
fn pages_hold_everything_and_only_the_last_has_a_start_token() {
    let mut drive = Drive::default();
    let token = start(&mut drive, &[]);
    for number in 0..250 {
        drive.create(at(number), NewFile::text(&format!("{number:03}"), ""));
    }
    let lengths = |pages: &[Vec<Value>]| pages.iter().map(Vec::len).collect::<Vec<_>>();
    assert_eq!(lengths(&changes(&mut drive, &token, &[]).0), [100, 100, 50]);
    assert_eq!(lengths(&changes(&mut drive, &token, &[("pageSize", "9999")]).0), [250]);
    let all: Vec<String> = (0..250).map(|number| format!("{number:03}")).collect();
    assert_eq!(names(&mut drive, &token, &[]), all);
    assert_eq!(listed(&mut drive, &[]), all);
    drive.paging = Paging::irregular();
    let (pages, _) = changes(&mut drive, &token, &[]);
    assert!(pages.iter().any(Vec::is_empty), "empty pages with a next token");
    let mut found = names(&mut drive, &token, &[]);
    assert!(found.len() > 250, "something occurs twice");
    found.sort();
    found.dedup();
    assert_eq!(found, all);
    let mut found = listed(&mut drive, &[]);
    found.sort();
    found.dedup();
    assert_eq!(found, all);
}

#[test]
fn a_change_between_two_pages_comes_once_more_on_a_later_one() {
    let token = start(&mut Drive::default(), &[]);
    let mut drive = Drive::bulk(at(0), 4);
    let first = drive.files().next().unwrap().id.clone();
    let page = get(&mut drive, "changes", &[("pageToken", &token), ("pageSize", "2")]);
    drive.rename(at(1), &first, "again");
    let next = page["nextPageToken"].as_str().unwrap();
    assert_eq!(names(&mut drive, next, &[]), ["File 3.txt", "File 4.txt", "again"]);
}

#[test]
fn tokens_belong_to_their_log_and_may_expire() {
    let mut drive = Drive::bulk(at(0), 150);
    let shared = drive.add_drive(at(0), "Team");
    let in_drive = [("driveId", shared.as_str()), ALL, ITEMS];
    let (mine, theirs) = (start(&mut drive, &[]), start(&mut drive, &in_drive));
    let with = |token: &str, query: &[(&str, &str)], drive: &mut Drive| {
        refused(drive, "changes", &[query, &[("pageToken", token)]].concat())
    };
    assert_eq!(with(&mine, &in_drive, &mut drive), (400, "invalid".to_owned()));
    assert_eq!(with("17", &[], &mut drive), (400, "invalid".to_owned()));
    assert_eq!(refused(&mut drive, "changes", &[]), (400, "required".to_owned()));
    for status in [400, 404, 410] {
        let token = start(&mut drive, &[]);
        drive.expire_tokens(None, status);
        assert_eq!(with(&token, &[], &mut drive).0, status);
    }
    assert_eq!(with(&theirs, &in_drive, &mut drive).0, 200, "another log");
    let fresh = start(&mut drive, &[]);
    assert_eq!(with(&fresh, &[], &mut drive).0, 200);
    drive.remove_drive(at(1), &shared);
    assert_eq!(with(&theirs, &in_drive, &mut drive), (404, "notFound".to_owned()));
    let page = get(&mut drive, "files", &[]);
    let token = ("pageToken", page["nextPageToken"].as_str().unwrap());
    assert_eq!(refused(&mut drive, "files", &[token, ("q", "trashed = false")]).0, 400, "another query");
    drive.expire_listings();
    assert_eq!(refused(&mut drive, "files", &[token]).0, 400);
}

#[test]
fn what_is_below_a_folder_follows_it_into_the_trash_and_back() {
    let mut drive = Drive::default();
    let folder = drive.create(at(0), NewFile::folder("folder"));
    let below = drive.create(at(0), NewFile::folder("below").inside(&folder));
    let file = drive.create(at(0), NewFile::text("file", "").inside(&below));
    let other = drive.create(at(0), NewFile::text("other", "").inside(&folder));
    drive.trash(at(1), &other);
    let token = start(&mut drive, &[]);
    drive.trash(at(2), &folder);
    let shown = get(&mut drive, &format!("files/{file}"), &[FIELDS]);
    assert_eq!((&shown["trashed"], &shown["explicitlyTrashed"]), (&json!(true), &json!(false)));
    assert_eq!(names(&mut drive, &token, &[]), ["folder", "below", "file"]);
    assert_eq!(listed(&mut drive, &[("q", "trashed = false and 'me' in owners")]), [""; 0]);
    drive.silent_inheritance = true;
    let token = start(&mut drive, &[]);
    drive.restore(at(3), &folder);
    assert_eq!(names(&mut drive, &token, &[]), ["folder"]);
    assert_eq!(listed(&mut drive, &[("q", "trashed = false")]), ["folder", "below", "file"]);
    let inherited = drive.history.iter().filter(|change| change.inherited);
    assert_eq!(inherited.map(|change| change.what).collect::<Vec<_>>(), {
        use What::{Restored, Trashed};
        [Trashed, Trashed, Restored, Restored]
    });
    assert!(!drive.move_to(at(4), &folder, &below), "into itself");
}

#[test]
fn files_of_others_come_and_go() {
    let mut drive = Drive::default();
    let token = start(&mut drive, &[]);
    let id = drive.share_with_me(at(5), NewFile::text("theirs", "").created(at(-99)), jane());
    let mine = drive.create(at(6), NewFile::text("mine", ""));
    drive.share(at(7), &mine, "jane@example.org");
    assert_eq!(names(&mut drive, &token, &[("restrictToMyDrive", "true")]), ["mine"]);
    let entry = changes(&mut drive, &token, &[]).0.concat()[0].clone();
    let file = &entry["file"];
    assert_eq!(file["ownedByMe"], false);
    assert_eq!(file["sharedWithMeTime"], "2023-11-14T22:13:25.000Z");
    assert_eq!(file["sharingUser"]["emailAddress"], "jane@example.org");
    assert_eq!((file.get("parents"), file.get("permissions")), (None, None));
    let shown = get(&mut drive, &format!("files/{mine}"), &[FIELDS]);
    assert_eq!(shown["permissions"][1]["emailAddress"], "jane@example.org");
    assert_eq!(listed(&mut drive, &[("q", "'me' in owners")]), ["mine"]);
    let token = start(&mut drive, &[]);
    drive.unshare(at(8), &id);
    drive.give_away(at(9), &mine, jane());
    drive.touch(at(10), &mine);
    assert_eq!(names(&mut drive, &token, &[]), ["gone", "mine"]);
    assert_eq!(names(&mut drive, &token, &[("restrictToMyDrive", "true")]), ["gone"], "only what was mine");
    assert_eq!(refused(&mut drive, &format!("files/{id}"), &[]), (404, "notFound".to_owned()));
}

#[test]
fn shared_drives_have_logs_of_their_own() {
    let mut drive = Drive::default();
    let team = drive.add_drive(at(0), "Team");
    let in_team = [("driveId", team.as_str()), ALL, ITEMS];
    let (mine, theirs) = (start(&mut drive, &[]), start(&mut drive, &in_team));
    let id = drive.create(at(1), NewFile::text("plan", "x").inside(&team));
    let moved = drive.create(at(2), NewFile::text("moved", "y"));
    drive.move_to(at(3), &moved, &team);
    assert_eq!(names(&mut drive, &theirs, &in_team), ["plan", "moved"]);
    assert_eq!(names(&mut drive, &mine, &[ALL, ITEMS]), ["gone"]);
    assert_eq!(names(&mut drive, &mine, &[("includeCorpusRemovals", "true")]), ["moved"]);
    assert_eq!(
        changes(&mut drive, &mine, &[("includeCorpusRemovals", "true")]).0.concat()[0]["removed"],
        true
    );
    drive.drive_items_in_user_corpus = true;
    drive.edit(at(4), &id, "new");
    assert_eq!(names(&mut drive, &mine, &[ALL, ITEMS]), ["moved", "plan"]);
    let search = [("corpora", "drive"), in_team[0], ALL, ITEMS];
    assert_eq!(listed(&mut drive, &search), ["plan", "moved"]);
    assert_eq!(refused(&mut drive, "files", &search[..2]).0, 400);

    let path = format!("files/{id}");
    assert_eq!(refused(&mut drive, &path, &[]), (404, "notFound".to_owned()));
    let shown = get(&mut drive, &path, &[ALL, FIELDS]);
    assert_eq!(shown["driveId"], json!(team));
    assert!(["ownedByMe", "owners", "permissions", "shared"].iter().all(|name| shown.get(name).is_none()));
    assert_eq!(refused(&mut drive, &path, &[("alt", "media")]).0, 404);
    assert_eq!(answer(&mut drive, &path, &[("alt", "media"), ALL]).status, 200);

    let token = start(&mut drive, &[]);
    drive.remove_drive(at(5), &team);
    let entries = changes(&mut drive, &token, &[ALL, ITEMS]).0.concat();
    let last = entries.last().unwrap();
    assert_eq!(
        (&last["changeType"], &last["driveId"], &last["removed"]),
        (&json!("drive"), &json!(team), &json!(true))
    );
    assert_eq!(drive.files().count(), 0);
}

#[test]
fn a_mask_that_names_a_whole_resource_gets_the_whole() {
    let mut drive = Drive::default();
    let token = start(&mut drive, &[]);
    let id = drive.create(at(0), NewFile::text("one.txt", "a"));
    let whole = get(&mut drive, &format!("files/{id}"), &[FIELDS]);
    assert!(whole.as_object().unwrap().len() > 25, "{whole}");
    for mask in ["nextPageToken,files", "files", "files/*", "files(*)"] {
        assert_eq!(get(&mut drive, "files", &[("fields", mask)])["files"][0], whole, "{mask}");
    }
    for mask in ["changes", "changes/file", "changes(fileId,file),newStartPageToken", "*"] {
        let page = get(&mut drive, "changes", &[("fields", mask), ("pageToken", &token)]);
        assert_eq!(page["changes"][0]["file"], whole, "{mask}");
    }
    let some = get(&mut drive, "files", &[("fields", "files(id,owners(emailAddress))")]);
    assert_eq!(some["files"][0]["owners"], whole["owners"], "inner fields are for whoever sends the answer");
    assert_eq!(get(&mut drive, "files", &[])["files"][0].as_object().unwrap().len(), 4);
}

#[test]
fn drives_are_listed_in_pages() {
    let mut drive = Drive::default();
    for number in 0..25 {
        drive.add_drive(at(number), "Team");
    }
    let page = get(&mut drive, "drives", &[]);
    assert_eq!(page["drives"].as_array().unwrap().len(), 10);
    let next = page["nextPageToken"].as_str().unwrap();
    let rest = get(&mut drive, "drives", &[("pageToken", next), ("pageSize", "1000")]);
    assert_eq!(rest["drives"].as_array().unwrap().len(), 15);
    assert_eq!(rest.get("nextPageToken"), None);
    drive.drives_denied = true;
    assert_eq!(refused(&mut drive, "drives", &[]), (403, "insufficientPermissions".to_owned()));
}

#[test]
fn content_comes_by_download_or_export_or_not_at_all() {
    let mut drive = Drive::default();
    let text = drive.create(at(0), NewFile::text("text", "words"));
    let doc = drive.create(at(0), NewFile::doc("doc", "# words"));
    let long = "x".repeat(11 << 20);
    let large = drive.create(at(0), NewFile::doc("large", &long));
    let media = [("alt", "media")];
    let markdown = [("mimeType", "text/markdown")];
    let path = |id: &str| format!("files/{id}");
    let export = |id: &str| format!("files/{id}/export");
    let bytes = |answer: Response| match answer.body {
        Body::Bytes(mime, bytes) => (mime, bytes),
        Body::Json(body) => panic!("{body}"),
    };
    assert_eq!(bytes(answer(&mut drive, &path(&text), &media)), ("text/plain", b"words".to_vec()));
    assert_eq!(bytes(answer(&mut drive, &export(&doc), &markdown)), ("text/markdown", b"# words".to_vec()));
    let why = |drive: &mut Drive, path: String, query: &[(&str, &str)]| refused(drive, &path, query).1;
    assert_eq!(why(&mut drive, path(&doc), &media), "fileNotDownloadable");
    assert_eq!(why(&mut drive, export(&text), &markdown), "fileNotExportable");
    assert_eq!(why(&mut drive, export(&large), &markdown), "exportSizeLimitExceeded");
    assert_eq!(why(&mut drive, export(&doc), &[("mimeType", "image/png")]), "badRequest");
    drive.refuse_content(&text, 403, "cannotDownloadAbusiveFile");
    assert_eq!(why(&mut drive, path(&text), &media), "cannotDownloadAbusiveFile");
    drive.forbid_download(at(1), &doc);
    assert_eq!(why(&mut drive, export(&doc), &markdown), "cannotExportFile");
    assert_eq!(get(&mut drive, &path(&doc), &[FIELDS])["capabilities"]["canDownload"], false);
    assert_eq!(get(&mut drive, "files/root", &[])["name"], "My Drive");
}

#[test]
fn a_new_file_may_say_that_it_is_old() {
    let mut drive = Drive::default();
    let token = start(&mut drive, &[]);
    let old: Timestamp = "2018-01-01T00:00:00Z".parse().unwrap();
    drive.create(at(0), NewFile::text("uploaded", "a").created(old));
    drive.share_with_me(at(1), NewFile::text("given", "b").created(old), jane());
    let entries = changes(&mut drive, &token, &[]).0.concat();
    let told = entries.iter().map(|entry| {
        let file = &entry["file"];
        ["name", "createdTime", "modifiedTime", "sharedWithMeTime"]
            .map(|key| file[key].as_str().unwrap_or_default())
    });
    let (then, shared) = ("2018-01-01T00:00:00.000Z", "2023-11-14T22:13:21.000Z");
    let expected = [["uploaded", then, then, ""], ["given", then, then, shared]];
    assert_eq!(told.collect::<Vec<_>>(), expected);
    let times: Vec<&Value> = entries.iter().map(|entry| &entry["time"]).collect();
    assert_eq!(times, ["2023-11-14T22:13:20.000Z", shared], "the log tells when it came");
}

#[test]
fn a_folder_that_is_renamed_is_one_change_and_what_is_in_it_is_none() {
    let mut drive = Drive::default();
    let folder = drive.create(at(0), NewFile::folder("Projects"));
    let inner = drive.create(at(0), NewFile::folder("2026").inside(&folder));
    let file = drive.create(at(0), NewFile::text("plan", "").inside(&inner));
    let token = start(&mut drive, &[]);
    let before = [&inner, &file].map(|id| drive.file(id).cloned().unwrap());
    assert!(drive.rename(at(1), &folder, "Work"));
    assert_eq!(names(&mut drive, &token, &[]), ["Work"]);
    assert_eq!([&inner, &file].map(|id| drive.file(id).cloned().unwrap()), before);
    let change = drive.history.last().unwrap();
    assert_eq!((&change.id, change.what, change.inherited), (&folder, What::Renamed, false));
}
