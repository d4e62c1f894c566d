//! What differences mean, as tables.

use serde_json::json;

use super::*;

/// A file of mine as it was at first; `change` is merged into it.
fn file(change: &Value) -> Snapshot {
    let mut file = json!({
        "file_id": "f", "name": "n", "mime_type": "text/plain", "parents": ["p"], "trashed": false,
        "created_time": "2026-01-01T00:00:00.000Z", "modified_time": "2026-01-02T00:00:00.000Z", "owned_by_me": true,
        "size": "1", "version": "1", "content_hash": "h",
    });
    for (key, value) in change.as_object().unwrap() {
        file[key] = value.clone();
    }
    serde_json::from_value(file).unwrap()
}

fn events(before: &Value, now: &Value, is_read: bool) -> Vec<Kind> {
    known(&file(before), &file(now), &TextComparison { is_read, diff: None })
}

const LATER: &str = "2026-01-03T00:00:00.000Z";

#[test]
fn what_became_of_a_known_file() {
    let same = json!({});
    for (now, is_read, expected) in [
        (json!({}), false, vec![]),
        (json!({ "version": "2", "permissions": [] }), false, vec![]),
        (json!({ "parents": ["q"] }), false, vec![Kind::Moved]),
        (json!({ "parents": ["q"], "trashed": true }), false, vec![Kind::Moved, Kind::Trashed]),
        (
            json!({ "parents": ["q"], "trashed": true, "modified_time": LATER }),
            false,
            vec![Kind::Moved, Kind::Trashed],
        ),
        (json!({ "trashed": true, "name": "m" }), false, vec![Kind::Trashed, Kind::Updated]),
        (json!({ "name": "m" }), false, vec![Kind::Updated]),
        (json!({ "mime_type": "text/html" }), false, vec![Kind::Updated]),
        (json!({ "description": "d" }), false, vec![Kind::Updated]),
        (json!({ "last_modifying_user": { "displayName": "I" } }), false, vec![Kind::Updated]),
        (json!({ "web_view_link": "w" }), false, vec![Kind::Updated]),
        (json!({ "size": "2" }), false, vec![Kind::Updated]),
        (json!({ "modified_time": LATER }), false, vec![Kind::Updated]),
        // The text was read and is the same.
        (json!({ "modified_time": LATER }), true, vec![]),
        (json!({ "modified_time": LATER, "content_hash": "i" }), true, vec![Kind::Updated]),
        (json!({ "modified_time": LATER, "content_hash": null }), false, vec![Kind::Updated]),
        // Another text without anything to show.
        (json!({ "content_hash": "i" }), true, vec![]),
        (
            json!({ "content_hash": "i", "parents": ["q"], "modified_time": LATER }),
            true,
            vec![Kind::Moved, Kind::Updated],
        ),
    ] {
        assert_eq!(events(&same, &now, is_read), expected, "{now}");
    }
    assert_eq!(events(&json!({ "trashed": true }), &same, false), [Kind::Untrashed]);
    assert_eq!(events(&json!({ "parents": ["a", "b"] }), &json!({ "parents": ["b", "a"] }), false), []);
}

/// The rest of a folder changes with what is in it.
#[test]
fn folders_are_updated_by_their_names_and_descriptions() {
    let folder = json!({ "mime_type": "application/vnd.google-apps.folder" });
    let mut renamed = folder.clone();
    renamed["name"] = json!("m");
    renamed["modified_time"] = json!(LATER);
    assert_eq!(events(&folder, &renamed, false), [Kind::Updated]);
    assert!(!may_be_updated(&file(&folder), &file(&renamed)), "a folder has no text");
    let mut filled = folder.clone();
    filled["modified_time"] = json!(LATER);
    filled["last_modifying_user"] = json!({ "displayName": "I" });
    assert_eq!(events(&folder, &filled, false), []);
    let mut described = folder.clone();
    described["description"] = json!("d");
    assert_eq!(events(&folder, &described, false), [Kind::Updated]);
    // Entries of the forerunner may hold no name.
    let mut nameless = folder.clone();
    nameless["name"] = json!(null);
    assert_eq!(events(&nameless, &folder, false), []);
    renamed["parents"] = json!(["q"]);
    assert_eq!(events(&folder, &renamed, false), [Kind::Moved, Kind::Updated]);
}

#[test]
fn when_a_known_file_becomes_shared_with_you() {
    let theirs = |change: Value| {
        let mut file = json!({ "owned_by_me": false });
        file.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        file
    };
    let shared = vec![Kind::SharedWithYou];
    for (before, now, expected) in [
        (json!({}), theirs(json!({ "sharing_user": {} })), shared.clone()),
        (json!({}), theirs(json!({})), vec![]),
        (theirs(json!({})), theirs(json!({ "shared_with_me_time": "a" })), shared.clone()),
        (
            theirs(json!({ "shared_with_me_time": "a" })),
            theirs(json!({ "shared_with_me_time": "b" })),
            shared.clone(),
        ),
        (
            theirs(json!({ "shared_with_me_time": "b" })),
            theirs(json!({ "shared_with_me_time": "a" })),
            vec![],
        ),
        // With a time only the time counts.
        (
            theirs(json!({ "shared_with_me_time": "a" })),
            theirs(json!({ "shared_with_me_time": "a", "sharing_user": {} })),
            vec![],
        ),
        (
            theirs(json!({ "drive_id": "d" })),
            theirs(json!({ "drive_id": "d", "sharing_user": {} })),
            shared.clone(),
        ),
        (theirs(json!({})), theirs(json!({ "permissions": [{ "type": "user" }] })), shared.clone()),
        (theirs(json!({})), theirs(json!({ "permissions": [{ "type": "anyone" }] })), vec![]),
        (theirs(json!({ "drive_id": "d" })), theirs(json!({ "drive_id": "e" })), vec![]),
        (theirs(json!({ "drive_id": "d" })), json!({}), vec![]),
    ] {
        assert_eq!(events(&before, &now, false), expected, "{before} {now}");
    }
}

#[test]
fn a_file_seen_first_is_new_or_was_there() {
    let baseline = "2026-01-01T12:00:00Z".parse().unwrap();
    for (change, expected) in [
        (json!({}), None),
        (json!({ "created_time": LATER }), Some(Kind::Created)),
        (json!({ "created_time": LATER, "trashed": true }), Some(Kind::Created)),
        (json!({ "created_time": null }), None),
        (json!({ "created_time": "soon" }), None),
        (json!({ "owned_by_me": false, "created_time": LATER }), None),
        (json!({ "owned_by_me": null, "drive_id": "d", "created_time": LATER }), Some(Kind::SharedWithYou)),
        (json!({ "owned_by_me": null, "drive_id": "d" }), None),
        (json!({ "owned_by_me": false, "shared_with_me_time": LATER }), Some(Kind::SharedWithYou)),
        (json!({ "owned_by_me": false, "sharing_user": {} }), None),
    ] {
        assert_eq!(first_seen(&file(&change), baseline), expected, "{change}");
    }
}
