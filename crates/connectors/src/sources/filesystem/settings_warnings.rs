//! Settings that can be used and do not do what somebody meant: patterns and extensions that match nothing, or all.

use inboxclaw_contract::Warning;

use super::filter::Filter;
use super::path::RelPath;

/// What is doubtful about `ignore_patterns`, `extensions`, and the pair of `max_diff_bytes` and `max_hash_bytes`.
pub(super) fn of(patterns: &[String], extensions: &[String], (diff, hash): (u64, u64)) -> Vec<Warning> {
    let mut warnings: Vec<Warning> = Vec::new();
    for pattern in patterns {
        let told = about_pattern(pattern).map(|what| format!("the pattern {pattern:?} {what}"));
        warnings.extend(told.map(|message| Warning::new("ignore_patterns", message)));
    }
    for extension in extensions {
        let told = about_extension(extension).map(|what| format!("the extension {extension:?} {what}"));
        warnings.extend(told.map(|message| Warning::new("extensions", message)));
    }
    warnings.extend(about_both(patterns, extensions));
    if diff > hash {
        let message = format!(
            "{hash} is less than max_diff_bytes, {diff}: larger files are reported whenever they are written, also with the same content"
        );
        warnings.push(Warning::new("max_hash_bytes", message));
    }
    warnings
}

/// Why a pattern matches no path, or none that was meant.
fn about_pattern(pattern: &str) -> Option<String> {
    let without = |prefix: &str| pattern.strip_prefix(prefix).filter(|rest| !rest.is_empty());
    if pattern.trim() != pattern {
        return Some("begins or ends with a space, which few names do: remove it".into());
    }
    if let Some(folder) = pattern.strip_suffix('/').map(|folder| folder.trim_end_matches('/')) {
        return Some(format!(
            "ends with a slash and matches nothing: {folder:?} leaves out a folder of that name at the top with all it \
             holds, {:?} those below",
            format!("*/{folder}")
        ));
    }
    if let Some(rest) = without("./") {
        return Some(format!(
            "begins with ./ and matches nothing: paths are relative to the folder, write {rest:?}"
        ));
    }
    if let Some(rest) = without("!") {
        return Some(format!(
            "leaves out what begins with an exclamation mark: there are no exceptions, remove it, or write {:?}",
            format!("[!]{rest}")
        ));
    }
    if pattern.starts_with("~/") {
        return Some("matches nothing: ~ is no home here, and paths are relative to the folder".into());
    }
    if pattern.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Some(
            "has an empty part, or one of dots, and matches nothing: paths have no such parts".into(),
        );
    }
    if pattern.contains('{') && pattern.contains('}') {
        return Some("means these braces literally: write one pattern for each of the alternatives".into());
    }
    if pattern.contains('\\') {
        return Some(
            "means the backslash literally: paths have slashes, and [*] is a literal asterisk".into(),
        );
    }
    if let Some((first, _)) = pattern.split_once(',').filter(|(_, rest)| rest.starts_with([' ', '*', '.'])) {
        return Some(format!("means the comma literally: write a list, with {first:?} as its first item"));
    }
    None
}

/// Why no file has an extension.
fn about_extension(extension: &str) -> Option<String> {
    let bare = extension.trim_start_matches('.');
    if bare.contains(['*', '?', '[', '{']) {
        return Some("is taken literally and matches nothing: write the extension alone, such as .md".into());
    }
    if bare.contains([' ', ',', ';', '|']) || bare.contains(char::is_whitespace) {
        return Some("matches nothing: write a list, such as [.md, .txt]".into());
    }
    if bare.contains('/') {
        return Some(
            "matches nothing: an extension has no slash; folders are left out by ignore_patterns".into(),
        );
    }
    if let Some((_, last)) = bare.rsplit_once('.') {
        return Some(format!(
            "matches nothing: only what follows the last dot is the extension, write {:?}",
            format!(".{last}")
        ));
    }
    if bare.is_empty() && !extension.is_empty() {
        return Some(
            "means files without an extension: write \"\" for these, and no extensions for all files".into(),
        );
    }
    None
}

/// Settings that leave nothing over together.
fn about_both(patterns: &[String], extensions: &[String]) -> Vec<Warning> {
    let Ok(filter) = Filter::new(patterns, &[], true) else { return Vec::new() };
    // Names that nobody would write a pattern for.
    let is_left_out = |extension: &str| {
        let names = ["qzxw", "qzxw/qzxw", ".qzxw", "5"];
        names.iter().all(|name| {
            let path = RelPath::root().join(format!("{name}{extension}").as_ref());
            !filter.wants_file(&path)
        })
    };
    if is_left_out("") && is_left_out(".qzxw") {
        return vec![Warning::new("ignore_patterns", "these patterns leave out every file")];
    }
    let lost = extensions.iter().filter(|extension| about_extension(extension).is_none());
    let lost = lost.filter(|extension| is_left_out(&dotted(extension)));
    let told = |extension: &String| {
        format!("every file with the extension {extension:?} is left out by ignore_patterns")
    };
    lost.map(|extension| Warning::new("extensions", told(extension))).collect()
}

fn dotted(extension: &str) -> String {
    match extension.trim_start_matches('.') {
        "" => String::new(),
        bare => format!(".{bare}"),
    }
}
