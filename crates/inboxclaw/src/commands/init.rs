//! `init`: a configuration file to begin with. It works as it is.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::path::Path;

use inboxclaw_config as config;
use serde_json::json;

use super::failed::Failed;
use super::output;
use crate::cli::{Init, exit};

/// The file; its comments are there to be read once.
const STARTER: &str = include_str!("starter.yaml");
/// The folder that it watches, beside it.
const FOLDER: &str = "inbox";

pub(super) fn run(args: &Init, json: bool) -> Result<u8, Failed> {
    let means_folder = args.path.is_dir() || args.path.as_os_str().as_encoded_bytes().ends_with(b"/");
    let file = if means_folder { args.path.join(config::FILE) } else { args.path.clone() };
    let folder = file.parent().unwrap_or(Path::new("")).join(FOLDER);
    let failed = |path: &Path, error: std::io::Error| match error.kind() {
        ErrorKind::AlreadyExists => {
            Failed::plain(format!("{} is there already and stays as it is", path.display()))
        }
        _ => Failed::plain(format!("cannot write {}: {error}", path.display())),
    };
    if folder.exists() && !folder.is_dir() {
        return Err(Failed::plain(format!("{} is a file and should be a folder", folder.display())));
    }
    write(&file).map_err(|error| failed(&file, error))?;
    std::fs::create_dir_all(&folder).map_err(|error| failed(&folder, error))?;
    let next = next(&file);
    if json {
        output::pretty(&json!({ "file": file, "folder": folder, "next": next }))?;
    } else {
        output::line(&format!("wrote {}, which watches {}", file.display(), folder.display()))?;
        output::line(
            "note: every user of this machine can read and confirm events; server.token in the file keeps them out",
        )?;
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
        format!("inboxclaw listen --config {}", quoted(&file.display().to_string()))
    }
}

/// The text as one word of a shell.
fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+,:@%=".contains(c);
    if text.chars().all(is_plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn init(path: &Path) -> Result<u8, String> {
        run(&Init { path: path.to_owned() }, false).map_err(|failed| failed.message)
    }

    #[test]
    fn a_file_where_the_folder_should_be_stops_it_before_it_writes() {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("inbox"), "mine").unwrap();
        let message = init(place.path()).unwrap_err();
        assert!(message.ends_with("inbox is a file and should be a folder"), "{message}");
        assert!(!place.path().join("config.yaml").exists());
    }

    #[test]
    fn a_path_with_a_slash_at_its_end_is_a_folder_also_when_it_is_new() {
        let place = tempfile::tempdir().unwrap();
        assert_eq!(init(&place.path().join("new/")), Ok(exit::OK));
        assert!(place.path().join("new/config.yaml").is_file() && place.path().join("new/inbox").is_dir());
    }

    #[test]
    fn the_next_command_can_be_pasted() {
        for (file, word) in [
            ("a/b.yaml", "a/b.yaml"),
            ("my files/b.yaml", "'my files/b.yaml'"),
            ("it's; rm", r"'it'\''s; rm'"),
        ] {
            assert_eq!(next(Path::new(file)), format!("inboxclaw listen --config {word}"));
        }
    }
}
