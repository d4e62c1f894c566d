//! Tests of the token file: its forms, its checks and its replacement.

use std::os::unix::fs::{PermissionsExt as _, symlink};

use serde_json::json;

use super::*;

fn file(more: Value) -> TokenFile {
    let mut value = json!({"refresh_token": "r", "client_id": "c", "client_secret": "s"});
    value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    TokenFile::parse(value.to_string().as_bytes()).unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn what_is_missing_is_named() {
    for (text, message) in [
        ("", "is no JSON object (line 1, column 0)"),
        ("{\"token\": \"SECRET\"", "is no JSON object (line 1, column 18)"),
        ("\"SECRET\"", "is no JSON object (line 1, column 8)"),
        ("{\"client_id\": \"c\", \"client_secret\": \"s\"}", "holds no `refresh_token`"),
        (
            "{\"refresh_token\": \"r\", \"client_id\": \" \", \"client_secret\": \"s\"}",
            "holds no `client_id`",
        ),
        (
            "{\"refresh_token\": \"r\", \"client_id\": \"c\", \"client_secret\": null}",
            "holds no `client_secret`",
        ),
        ("{\"installed\": {}}", "is the file of an OAuth client (it holds `installed`), not of a token"),
        (
            "{\"type\": \"service_account\"}",
            "is the key of a service account, which has no mailbox or calendar of its own",
        ),
    ] {
        assert_eq!(TokenFile::parse(text.as_bytes()).unwrap_err().to_string(), message, "{text}");
    }
}

#[test]
fn an_expiry_has_several_forms() {
    let expected: Timestamp = "2026-03-27T10:15:00Z".parse().unwrap();
    for text in [
        "2026-03-27T10:15:00Z",
        "2026-03-27T10:15:00",
        "2026-03-27 10:15:00",
        "2026-03-27T12:15:00+02:00",
        "2026-03-27T10:15:00.000000Z",
    ] {
        assert_eq!(file(json!({ "expiry": text })).expiry(), Some(expected), "{text}");
    }
    for value in [json!("soon"), json!(""), json!(null), json!(5)] {
        assert_eq!(file(json!({ "expiry": value })).expiry(), None, "{value}");
    }
    assert_eq!(file(json!({})).expiry(), None);
}

#[test]
fn scopes_are_a_list_or_a_text() {
    for value in [json!(["a", "b"]), json!("a b"), json!(["a", 5, "b"])] {
        assert_eq!(file(json!({ "scopes": value })).scopes(), ["a", "b"], "{value}");
    }
    assert!(file(json!({ "scopes": null })).scopes().is_empty());
}

#[test]
fn a_renewed_token_keeps_every_other_key() {
    let mut renewed = file(json!({"token": "old", "account": "", "x": [1, {"y": null}], "expiry": "gone"}));
    let granted = |refresh: Option<&str>, expires_in| TokenGrant {
        access_token: "new".to_owned(),
        refresh_token: refresh.map(str::to_owned),
        expires_in,
        scope: Some("ignored".to_owned()),
    };
    let asked: Timestamp = "2026-11-22T06:00:00.75Z".parse().unwrap();
    renewed.renew(&granted(None, Some(3599)), asked);
    let text = String::from_utf8(renewed.to_bytes().unwrap()).unwrap();
    assert_eq!(
        text,
        r#"{"refresh_token":"r","client_id":"c","client_secret":"s","token":"new","account":"","x":[1,{"y":null}],"expiry":"2026-11-22T06:59:59Z"}"#
    );
    renewed.renew(&granted(Some("r2"), None), asked);
    assert_eq!((renewed.refresh_token(), renewed.expiry()), ("r2", "2026-11-22T07:00:00Z".parse().ok()));
    renewed.renew(&granted(Some(""), Some(u64::MAX)), asked);
    assert_eq!(renewed.refresh_token(), "r2");
}

#[test]
fn nothing_secret_is_shown() {
    let shown = format!("{:?}", file(json!({"token": "SECRET1", "refresh_token": "SECRET2"})));
    assert!(shown.contains("refresh_token") && !shown.contains("SECRET"), "{shown}");
}

#[test]
fn the_file_is_replaced_as_a_whole_and_for_its_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token.json");
    replace(&path, b"first").unwrap();
    assert_eq!((read(&path).unwrap(), mode(&path)), (b"first".to_vec(), 0o600));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
    // Whoever reads the old file goes on reading it: it is another one.
    let mut open = File::open(&path).unwrap();
    replace(&path, b"second").unwrap();
    let mut old = String::new();
    open.read_to_string(&mut old).unwrap();
    assert_eq!((old.as_str(), read(&path).unwrap()), ("first", b"second".to_vec()));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
}

#[test]
fn a_link_stays_a_link() {
    let folder = tempfile::tempdir().unwrap();
    let (real, link) = (folder.path().join("real.json"), folder.path().join("link.json"));
    fs::write(&real, "old").unwrap();
    symlink(&real, &link).unwrap();
    replace(&link, b"new").unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!((fs::read(&real).unwrap(), mode(&real)), (b"new".to_vec(), 0o600));
}

#[test]
fn a_failed_replacement_leaves_the_file_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token.json");
    fs::create_dir(&path).unwrap();
    assert!(replace(&path, b"new").is_err());
    assert!(path.is_dir());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    assert!(replace(&folder.path().join("missing/token.json"), b"new").is_err());
}

#[test]
fn a_relative_path_is_below_the_folder_of_the_configuration_first() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.json"), "there").unwrap();
    let (path, bytes) = find(folder.path(), Path::new("a.json"));
    assert_eq!((path, bytes.unwrap()), (folder.path().join("a.json"), b"there".to_vec()));
    // Tests run in the folder of the crate, which has this file.
    let (path, bytes) = find(folder.path(), Path::new("Cargo.toml"));
    assert_eq!(path, Path::new("Cargo.toml"));
    assert!(bytes.is_ok());
    let (path, bytes) = find(folder.path(), Path::new("missing.json"));
    assert_eq!(path, folder.path().join("missing.json"));
    assert_eq!(bytes.unwrap_err().kind(), io::ErrorKind::NotFound);
}

#[test]
fn a_file_that_is_no_token_file_by_its_size_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("big.json");
    fs::write(&path, vec![b' '; FILE_BYTES as usize + 1]).unwrap();
    assert_eq!(read(&path).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
}

#[test]
fn a_place_is_checked_without_leaving_anything() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("file"), "old").unwrap();
    for good in ["new", "file", "a/b/new"] {
        check_place(&at(good)).unwrap();
    }
    for (bad, kind) in [("", io::ErrorKind::IsADirectory), ("file/new", io::ErrorKind::NotADirectory)] {
        assert_eq!(check_place(&at(bad)).unwrap_err().kind(), kind, "{bad}");
    }
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["file"]);
    assert_eq!(fs::read(at("file")).unwrap(), b"old");
}
