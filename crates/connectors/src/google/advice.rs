//! What a person can do when Google does not accept a token: the very command, with the scopes that are needed.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;

use super::oauth::Scopes;

/// A refresh token that is dead, in plain words:
/// <https://developers.google.com/identity/protocols/oauth2#expiration>.
pub(super) const REVOKED: &str = "Google no longer accepts the refresh token (access was withdrawn, the password was \
    changed, it was not used for six months, or the consent screen of its client is in \"Testing\", where tokens last \
    7 days)";

/// A clock that is off by more than this is worth a word.
const SKEW: Duration = Duration::from_secs(5 * 60);

/// To get a new token file. `scopes` are those of the present one, `needs` the words for what its sources read, and
/// `missing` the word for what it turned out not to be good for.
pub(super) fn sign_in(
    path: &Path,
    scopes: &[&str],
    needs: &BTreeSet<&'static str>,
    missing: Option<&'static str>,
) -> String {
    let mut words: Vec<String> = Vec::new();
    let lacking = needs.iter().filter(|need| !scopes.iter().any(|scope| covers(scope, need)));
    for word in
        scopes.iter().map(|scope| word(scope)).chain(lacking.chain(&missing).map(|word| (*word).to_owned()))
    {
        if !words.contains(&word) {
            words.push(word);
        }
    }
    let words = if words.is_empty() { "LIST".to_owned() } else { words.join(",") };
    let path = quoted(&path.display().to_string());
    format!(
        "run `inboxclaw google auth --credentials-file CLIENT.json --scopes {} --token {path}`",
        quoted(&words)
    )
}

/// When the client itself is refused.
pub(super) fn client(sign_in: &str) -> String {
    format!(
        "download the client's file again from the Cloud console, or make a new client there, and {sign_in}"
    )
}

/// When a new token is refused at once, and our clock and theirs differ: by it we take tokens for good that are not.
pub(super) fn skew(ours: Timestamp, theirs: Timestamp) -> Option<String> {
    let by = Duration::try_from(ours.duration_since(theirs).abs()).ok()?;
    (by > SKEW).then(|| format!("set this machine's clock: it says {ours:.0}, and Google's says {theirs:.0}"))
}

/// The short word for a scope, or its address.
fn word(scope: &str) -> String {
    let name = scope.rsplit('/').next().unwrap_or_default().trim_end_matches(".readonly").replace('.', "_");
    let means_it = name.parse::<Scopes>().is_ok_and(|scopes| scopes.each().eq([scope]));
    if means_it { name } else { scope.to_owned() }
}

/// Whether a scope is about the service behind a word: `drive.metadata.readonly` about `drive`.
fn covers(scope: &str, word: &str) -> bool {
    let name = scope.rsplit('/').find(|part| !part.is_empty()).unwrap_or_default();
    let name = if name == "mail.google.com" { "gmail" } else { name };
    name.split('.').next() == Some(word)
}

/// A word for a shell.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "/._-,:@+=~".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AUTH: &str = "https://www.googleapis.com/auth/";

    fn check(
        path: &str,
        scopes: &[&str],
        needs: &[&'static str],
        missing: Option<&'static str>,
        expected: &str,
    ) {
        let scopes: Vec<String> = scopes.iter().map(|scope| scope.replace("AUTH/", AUTH)).collect();
        let scopes: Vec<&str> = scopes.iter().map(String::as_str).collect();
        let found = sign_in(Path::new(path), &scopes, &needs.iter().copied().collect(), missing);
        let found = found
            .strip_prefix("run `inboxclaw google auth --credentials-file CLIENT.json --scopes ")
            .unwrap();
        assert_eq!(found.strip_suffix('`').unwrap(), expected);
    }

    #[test]
    fn the_command_can_be_run_as_it_stands() {
        check("/c/t.json", &["AUTH/gmail.readonly"], &["gmail"], None, "gmail --token /c/t.json");
        check("/c/t.json", &[], &["gmail", "calendar"], None, "calendar,gmail --token /c/t.json");
        check("/c/t.json", &[], &[], None, "LIST --token /c/t.json");
        check("/my c/it's", &[], &["drive"], None, r"drive --token '/my c/it'\''s'");
        let all =
            ["AUTH/drive.metadata.readonly", "https://mail.google.com/", "AUTH/drive.metadata.readonly"];
        check("t", &all, &["drive", "gmail"], None, "drive_metadata,https://mail.google.com/ --token t");
        check("t", &all[..1], &["drive"], Some("drive"), "drive_metadata,drive --token t");
        check(
            "t",
            &["AUTH/calendar"],
            &["calendar", "gmail"],
            None,
            &format!("{AUTH}calendar,gmail --token t"),
        );
    }

    #[test]
    fn a_clock_is_named_only_when_it_is_far_off() {
        let ours: Timestamp = "2026-11-22T06:00:00.25Z".parse().unwrap();
        let off = |seconds: i64| skew(ours, ours - jiff::SignedDuration::from_secs(seconds));
        assert_eq!((off(0), off(300), off(-300)), (None, None, None));
        let expected = "set this machine's clock: it says 2026-11-22T06:00:00Z, and Google's says ";
        assert_eq!(off(301).unwrap(), format!("{expected}2026-11-22T05:54:59Z"));
        assert_eq!(off(-3600).unwrap(), format!("{expected}2026-11-22T07:00:00Z"));
    }
}
