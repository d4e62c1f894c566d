//! `init`: a configuration file to begin with. It works as it is.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::path::Path;

use serde_json::json;

use super::{Failed, output};
use crate::cli::{Init, exit};
use crate::config;

/// The file; its comments are there to be read once.
const STARTER: &str = include_str!("starter.yaml");
/// The folder that it watches, beside it.
const FOLDER: &str = "inbox";

pub(super) fn run(args: &Init, json: bool) -> Result<u8, Failed> {
    let file = if args.path.is_dir() { args.path.join(config::FILE) } else { args.path.clone() };
    let folder = file.parent().unwrap_or(Path::new("")).join(FOLDER);
    let failed = |path: &Path, error: std::io::Error| match error.kind() {
        ErrorKind::AlreadyExists => {
            Failed::plain(format!("{} is there already and stays as it is", path.display()))
        }
        _ => Failed::plain(format!("cannot write {}: {error}", path.display())),
    };
    write(&file).map_err(|error| failed(&file, error))?;
    std::fs::create_dir_all(&folder).map_err(|error| failed(&folder, error))?;
    let next = next(&file);
    if json {
        output::pretty(&json!({ "file": file, "folder": folder, "next": next }))?;
    } else {
        output::line(&format!("wrote {}, which watches {}", file.display(), folder.display()))?;
        output::line(&format!("next: {next}"))?;
    }
    Ok(exit::OK)
}

/// Writes the file, which must be new.
fn write(file: &Path) -> std::io::Result<()> {
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder)?;
    }
    OpenOptions::new().write(true).create_new(true).open(file)?.write_all(STARTER.as_bytes())
}

fn next(file: &Path) -> String {
    if file == Path::new(config::FILE) {
        "inboxclaw listen".to_owned()
    } else {
        format!("inboxclaw listen --config {}", file.display())
    }
}
