//! The house rules that a compiler does not check: who may use whom, file headers, file lengths, no circles, no stubs.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod circles;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Which crates of this workspace each crate may use. Development dependencies are free: a test may name anyone.
const MAY_USE: [(&str, &[&str]); 12] = [
    ("settings", &[]),
    ("contract", &["settings"]),
    ("contract-testing", &["settings", "contract"]),
    ("store", &["settings", "contract"]),
    ("edit", &["contract"]),
    ("connectors", &["settings", "contract"]),
    ("runtime", &["settings", "contract"]),
    ("server", &["settings", "contract", "edit", "runtime"]),
    ("config", &["settings", "contract", "connectors", "server"]),
    ("inboxclaw", &["settings", "contract", "store", "edit", "connectors", "runtime", "server", "config"]),
    ("fakes", &[]),
    ("bench", &["settings", "contract", "store", "edit", "fakes"]),
];

/// Everything that the contract may use: no I/O, no async runtime.
const CONTRACT_USES: [&str; 10] = [
    "anyhow",
    "async-trait",
    "inboxclaw-settings",
    "jiff",
    "schemars",
    "serde",
    "serde_json",
    "serde_path_to_error",
    "sha2",
    "thiserror",
];

const LONGEST_FILE: usize = 500;

#[test]
fn crates_use_only_whom_the_map_allows() {
    let found: BTreeSet<String> = fs::read_dir(root().join("crates"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(found, MAY_USE.iter().map(|(name, _)| (*name).to_owned()).collect(), "crates on the map");
    for (name, allowed) in MAY_USE {
        let used = dependencies(name);
        let ours: BTreeSet<&str> = used.iter().filter_map(|used| used.strip_prefix("inboxclaw-")).collect();
        assert_eq!(ours.difference(&allowed.iter().copied().collect()).next(), None, "{name} uses too much");
    }
    let contract = dependencies("contract");
    let extra = contract.iter().find(|used| !CONTRACT_USES.contains(&used.as_str()));
    assert_eq!(extra, None, "the contract has no I/O and no async runtime");
}

#[test]
fn no_two_files_import_each_other_in_a_circle() {
    let crates = MAY_USE.iter().map(|(name, _)| root().join("crates").join(name).join("src"));
    let circles: Vec<String> = crates
        .flat_map(|src| {
            let name = src.parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
            circles::of_crate(&src).into_iter().map(move |circle| format!("{name}: {}", circle.join(", ")))
        })
        .collect();
    assert_eq!(circles, Vec::<String>::new());
}

/// The check above finds what it is for.
#[test]
fn a_circle_is_found_also_through_a_name_that_is_exported_anew() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("lib.rs", "mod a; mod b; mod c; pub use a::A;");
    write("a.rs", "mod below; use crate::b; pub struct A(b::B);");
    write("a/below.rs", "#[cfg(test)] use crate::c::C; fn f() { super::super::c::f() }");
    write("b.rs", "pub struct B(Option<Box<crate::A>>); #[cfg(test)] mod tests { use crate::c::C; }");
    write("c.rs", "pub struct C; pub fn f() {}");
    assert_eq!(circles::of_crate(folder.path()), [["a", "b"]]);
}

#[test]
fn every_file_says_what_it_holds_and_stays_readable() {
    let mut wrong = Vec::new();
    for path in rust_files() {
        let text = fs::read_to_string(&path).unwrap();
        let shown = path.strip_prefix(root()).unwrap().display().to_string();
        if !text.starts_with("//!") {
            wrong.push(format!("{shown} does not open with `//!`"));
        }
        let lines = text.lines().count();
        if lines > LONGEST_FILE {
            wrong.push(format!("{shown} has {lines} lines, the limit is {LONGEST_FILE}"));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn no_test_is_skipped_and_nothing_is_left_to_do() {
    let marks = [concat!("#[", "ignore"), concat!("todo", "!("), concat!("unimplemented", "!(")];
    let hits: Vec<String> = rust_files()
        .into_iter()
        .filter(|path| {
            let text = fs::read_to_string(path).unwrap();
            marks.iter().any(|mark| text.contains(mark))
        })
        .map(|path| path.display().to_string())
        .collect();
    assert_eq!(hits, Vec::<String>::new());
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn rust_files() -> Vec<PathBuf> {
    let mut folders = vec![root().join("crates")];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    assert!(files.len() > 20, "the walk found the sources");
    files
}

/// The names in the `[dependencies]` of a crate's manifest.
fn dependencies(name: &str) -> Vec<String> {
    let manifest = fs::read_to_string(root().join("crates").join(name).join("Cargo.toml")).unwrap();
    let section = manifest.lines().skip_while(|line| *line != "[dependencies]").skip(1);
    let names: Vec<String> = section
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split(['.', '=', ' ']).next())
        .filter(|name| !name.is_empty() && !name.starts_with('#'))
        .map(str::to_owned)
        .collect();
    assert!(!names.is_empty(), "{name} has dependencies");
    names
}
