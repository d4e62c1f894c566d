//! A watched folder under attack, on the real binary: files and folders are swapped with links out of the folder as fast
//! as it can be done, beside normal writes. Nothing from outside is seen anywhere, and no normal write is missed.
//! `INBOXCLAW_SECONDS` says how long it lasts.
#![allow(clippy::unwrap_used, clippy::panic, dead_code, reason = "a test may panic; the program is shared")]

#[path = "e2e/program.rs"]
mod program;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use program::{Place, text};
use serde_json::Value;

/// Stands in every file outside.
const WORD: &str = "what-nobody-may-see";
/// A size that no file inside has.
const SIZE: usize = 4_243;

#[test]
fn nothing_outside_is_seen_and_nothing_inside_is_missed() {
    let mut place = Place::with(
        "  files:\n    type: filesystem\n    path: ./watched\n    poll_interval: 1s\n    \
         include_content_preview: true\n",
    );
    let outside = place.file("outside");
    fs::create_dir(&outside).unwrap();
    for name in ["page", "only-outside"] {
        fs::write(outside.join(name), format!("{WORD:_<SIZE$}")).unwrap();
    }
    fs::create_dir(place.watched("way")).unwrap();
    fs::write(place.watched("way/page"), "harmless").unwrap();
    place.start();
    place.until("the source is healthy", |place| {
        let (_, body) = place.get("/healthcheck")?;
        Some(serde_json::from_str::<Value>(&body).ok()?["status"] == "healthy")
    });
    let over = Arc::new(AtomicBool::new(false));
    let attacks = [swap_file, swap_folder].map(|attack| {
        let (root, outside, over) = (place.watched(""), outside.clone(), over.clone());
        thread::spawn(move || {
            let mut swaps = 0_u64;
            while !over.load(Relaxed) {
                attack(&root, &outside);
                swaps += 1;
            }
            swaps
        })
    });
    let mut written = BTreeSet::new();
    let (begun, mut pulled) = (Instant::now(), Vec::new());
    while begun.elapsed() < seconds() {
        let name = format!("normal-{}.txt", written.len());
        fs::write(place.watched(&name), &name).unwrap();
        written.insert(name);
        thread::sleep(Duration::from_millis(20));
    }
    over.store(true, Relaxed);
    let swaps = attacks.map(|attack| attack.join().unwrap());
    place.take_until(&mut pulled, |events| {
        let paths: BTreeSet<&str> = events.iter().map(|event| text(event, "path")).collect();
        written.iter().all(|name| paths.contains(name.as_str()))
    });
    println!("{swaps:?} swaps, {} normal writes, {} events", written.len(), pulled.len());
    for event in &pulled {
        assert!(!event.to_string().contains(WORD), "{event}");
        assert!(!event.to_string().contains("only-outside"), "{event}");
        assert_ne!(event["data"]["size_bytes"], SIZE, "{event}");
    }
    let (_, state) = place.get("/api/sources/files/state?limit=1000").unwrap();
    assert!(!state.contains(WORD) && !state.contains("only-outside"), "{state}");
    assert!(!watched_inodes(&place).contains(&fs::metadata(&outside).unwrap().ino()), "no watch outside");
    back_up(&place, "copy.db");
    place.stop();
    for file in ["log", "inbox.db", "inbox.db-wal", "copy.db"] {
        let bytes = fs::read(place.file(file)).unwrap_or_default();
        assert!(file.ends_with("-wal") || !bytes.is_empty(), "{file} is there");
        for word in [WORD, "only-outside"] {
            assert!(!bytes.windows(word.len()).any(|part| part == word.as_bytes()), "{word} is in {file}");
        }
    }
}

/// Has the program that runs copy its database.
fn back_up(place: &Place, name: &str) {
    let line = ["store", "backup", name, "--config"];
    let mut command = Command::new(env!("CARGO_BIN_EXE_inboxclaw"));
    let command = command.args(line).arg(place.file("config.yaml")).current_dir(place.file(""));
    assert!(command.status().unwrap().success());
}

/// A file becomes a link out of the folder, and a file again.
fn swap_file(root: &Path, outside: &Path) {
    let part = root.join("part.tmp");
    symlink(outside.join("page"), &part).unwrap();
    fs::rename(&part, root.join("target")).unwrap();
    fs::write(&part, "harmless").unwrap();
    fs::rename(&part, root.join("target")).unwrap();
}

/// A folder on the way to a file becomes a link out of the folder, and a folder again.
fn swap_folder(root: &Path, outside: &Path) {
    let (way, aside) = (root.join("way"), root.join("aside.tmp"));
    fs::rename(&way, &aside).unwrap();
    symlink(outside, &way).unwrap();
    fs::remove_file(&way).unwrap();
    fs::rename(&aside, &way).unwrap();
}

/// The inodes that the program watches.
fn watched_inodes(place: &Place) -> BTreeSet<u64> {
    let run = fs::read_to_string(place.file("inbox.db.run")).unwrap();
    let pid = serde_json::from_str::<Value>(&run).unwrap()["pid"].as_u64().unwrap();
    let infos = fs::read_dir(format!("/proc/{pid}/fdinfo")).unwrap();
    let texts = infos.flatten().filter_map(|info| fs::read_to_string(info.path()).ok());
    let lines = texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>());
    let inodes = lines.filter_map(|line| {
        let inode = line.strip_prefix("inotify ")?.split(" ino:").nth(1)?.split(' ').next()?.to_owned();
        u64::from_str_radix(&inode, 16).ok()
    });
    let inodes: BTreeSet<u64> = inodes.collect();
    assert!(!inodes.is_empty(), "the folder is watched");
    inodes
}

fn seconds() -> Duration {
    let given = std::env::var("INBOXCLAW_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(given.unwrap_or(5))
}
