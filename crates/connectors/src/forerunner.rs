//! What of the memory of the Python program's sources means the same to ours. What does not is left behind: a source
//! that goes on from a state of another meaning would lose changes in silence, one that begins anew only what happened
//! between the two programs.

/// What a source takes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TakenOver {
    /// Whether its cursor means the same.
    pub cursor: bool,
    /// The prefixes of the keys that mean the same.
    pub prefixes: &'static [&'static str],
    /// What that means for the first poll, for people.
    pub meaning: &'static str,
}

/// What a source of this kind takes over from the Python program's source of the same name.
#[must_use]
pub fn taken_over(kind: &str) -> TakenOver {
    match kind {
        "gmail" => TakenOver {
            cursor: true,
            prefixes: &[],
            meaning: "goes on at its history id: every change since then is reported",
        },
        "google_drive" => TakenOver {
            cursor: true,
            prefixes: &["gdrive:file:", "gdrive:shared-drive-cursor:", "gdrive:baseline"],
            meaning: "goes on at its page tokens, with what is known of each file; files of My Drive that the Python \
                program had not seen yet are listed once, without events",
        },
        "google_calendar" => TakenOver {
            cursor: false,
            prefixes: &["sync_token:", "snap:", "config_fingerprint:", "lookahead_cursor:"],
            meaning: "goes on at its sync tokens, with what is known of each event",
        },
        "filesystem" => TakenOver {
            cursor: false,
            prefixes: &[],
            meaning: "begins anew, because the Python program kept what it knew in memory only: what is there at the \
                first start is known and told as no event",
        },
        "mock" => TakenOver { cursor: false, prefixes: &[], meaning: "remembers nothing" },
        _ => TakenOver {
            cursor: false,
            prefixes: &[],
            meaning: "begins anew: the Python program had no such source",
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_source_of_both_programs_says_what_it_takes_over() {
        let unknown = taken_over("none");
        for kind in ["gmail", "google_drive", "google_calendar", "filesystem", "mock"] {
            assert!(crate::SOURCES.iter().any(|source| source.name == kind), "{kind}");
            assert_ne!(taken_over(kind).meaning, unknown.meaning);
        }
    }
}
