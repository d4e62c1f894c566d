//! Which paths are looked at: ignore patterns, extensions, depth, links. The patterns are those of a shell, except that
//! `*` also matches `/`; they are tried on the whole path and on each leading part of it. Whatever the settings say,
//! the program's own files are left out.

use fancy_regex::Regex;
use serde::{Deserialize, Serialize};

use super::own_files::OwnFiles;
use super::path::RelPath;
use crate::mime::extension;

/// Which links to files are followed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum FollowLinks {
    /// Those that lead to a file within the folder, however they are written.
    #[default]
    Inside,
    /// Also those that lead out of the folder, but never into `/proc`, `/sys` or `/dev`.
    All,
    /// None.
    None,
}

impl FollowLinks {
    /// The word in the settings.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Inside => "inside",
            Self::All => "all",
            Self::None => "none",
        }
    }
}

/// What a source looks at.
#[derive(Debug)]
pub(super) struct Filter {
    patterns: Vec<Pattern>,
    /// What stands before `/*` or `/**`: everything below such a folder is ignored, so it need not be read.
    folders: Vec<Pattern>,
    /// Without the dot, in lower case; empty for all.
    extensions: Vec<String>,
    recursive: bool,
    /// Which links are followed.
    pub(super) links: FollowLinks,
    /// The program's own files.
    pub(super) own: OwnFiles,
}

impl Filter {
    /// Checks and takes the settings.
    ///
    /// # Errors
    /// Names the pattern that cannot be used.
    pub(super) fn new(patterns: &[String], extensions: &[String], recursive: bool) -> anyhow::Result<Self> {
        let folders = patterns.iter().filter_map(|pattern| {
            pattern
                .strip_suffix("/**")
                .or_else(|| pattern.strip_suffix("/*"))
                .filter(|folder| !folder.is_empty())
        });
        Ok(Self {
            folders: folders.map(Pattern::new).collect::<anyhow::Result<_>>()?,
            patterns: patterns.iter().map(|pattern| Pattern::new(pattern)).collect::<anyhow::Result<_>>()?,
            extensions: extensions.iter().map(|text| text.trim_start_matches('.').to_lowercase()).collect(),
            recursive,
            links: FollowLinks::default(),
            own: OwnFiles::default(),
        })
    }

    /// Whether a file at that path is looked at. Does not ask whether there is one.
    pub(super) fn wants_file(&self, path: &RelPath) -> bool {
        let text = path.shown();
        self.is_in_depth(&text)
            && self.has_extension(&text)
            && !leading_parts(&text).any(|part| self.ignores(part))
            && !self.own.holds(path)
    }

    /// Whether something that happened at that path matters, be it a file or a folder.
    pub(super) fn concerns(&self, path: &RelPath) -> bool {
        let text = path.shown();
        path.is_root()
            || (self.is_in_depth(&text)
                && !leading_parts(&text).any(|part| self.ignores(part))
                && !self.own.holds(path))
    }

    /// Whether a file whose folder is looked at is looked at too.
    pub(super) fn wants_file_here(&self, path: &RelPath) -> bool {
        let text = path.shown();
        self.has_extension(&text) && !self.ignores(&text) && !self.own.holds(path)
    }

    /// Whether a folder is read, given that the one around it is.
    pub(super) fn wants_folder_here(&self, path: &RelPath) -> bool {
        let text = path.shown();
        self.recursive && !self.ignores(&text) && !self.folders.iter().any(|folder| folder.matches(&text))
    }

    fn is_in_depth(&self, text: &str) -> bool {
        self.recursive || !text.contains('/')
    }

    fn has_extension(&self, text: &str) -> bool {
        self.extensions.is_empty() || self.extensions.contains(&extension(text).to_lowercase())
    }

    fn ignores(&self, text: &str) -> bool {
        self.patterns.iter().any(|pattern| pattern.matches(text))
    }
}

/// `a`, `a/b`, `a/b/c`.
fn leading_parts(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices('/').map(|(at, _)| &text[..at]).chain([text])
}

/// A pattern of a shell, as the regular expression that means the same for a whole text. `globset` is no help: it gives
/// `**`, `{a,b}`, `\` and `[^a]` meanings of their own that cannot all be turned off, and patterns have none of them
/// here.
#[derive(Debug)]
struct Pattern(Regex);

impl Pattern {
    fn new(text: &str) -> anyhow::Result<Self> {
        anyhow::ensure!(!text.is_empty(), "ignore_patterns holds an empty pattern");
        anyhow::ensure!(
            !text.starts_with('/'),
            "the pattern {text:?} of ignore_patterns starts with a slash, but paths are relative to the folder"
        );
        let unusable = |problem: String| {
            anyhow::anyhow!("the pattern {text:?} of ignore_patterns cannot be used: {problem}")
        };
        let mut regex = String::from(r"(?s)\A");
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            rest = &rest[c.len_utf8()..];
            match c {
                '*' => regex.push_str(".*"),
                '?' => regex.push('.'),
                '[' => {
                    let (set, after) = set(rest).map_err(unusable)?;
                    regex.push_str(&set);
                    rest = after;
                }
                c => regex.push_str(&literal(c)),
            }
        }
        regex.push_str(r"\z");
        Ok(Self(Regex::new(&regex).map_err(|error| unusable(error.to_string()))?))
    }

    /// Such an expression has no look-around and no back-references, so it is matched in linear time and never gives
    /// up.
    fn matches(&self, text: &str) -> bool {
        self.0.is_match(text).unwrap_or(false)
    }
}

fn literal(c: char) -> String {
    format!(r"\x{{{:x}}}", u32::from(c))
}

/// The expression for what follows a `[`, up to and with its `]`, and the rest. A `]` right at the start belongs to the
/// set.
fn set(text: &str) -> Result<(String, &str), String> {
    let (negated, body) = text.strip_prefix('!').map_or(("", text), |body| ("^", body));
    let first = body.chars().next().map_or(0, char::len_utf8);
    let end = body.get(first..).and_then(|later| later.find(']')).map(|end| first + end);
    let end = end.ok_or("a [ has no ], write [[] for the character itself")?;
    let chars: Vec<char> = body[..end].chars().collect();
    let mut set = format!("[{negated}");
    let mut at = 0;
    while at < chars.len() {
        let (from, to, taken) = match chars[at..] {
            [from, '-', to, ..] => (from, to, 3),
            [single, ..] => (single, single, 1),
            [] => break,
        };
        if from > to {
            return Err(format!("the range {from}-{to} goes backwards"));
        }
        set.push_str(&format!("{}-{}", literal(from), literal(to)));
        at += taken;
    }
    set.push(']');
    Ok((set, &body[end + 1..]))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn rel(path: &str) -> RelPath {
        RelPath::below(Path::new("/r"), &Path::new("/r").join(path)).unwrap()
    }

    fn check(patterns: &[&str], wanted: &[&str], ignored: &[&str]) {
        let patterns: Vec<String> = patterns.iter().map(|&pattern| pattern.to_owned()).collect();
        let filter = Filter::new(&patterns, &[], true).unwrap();
        for path in wanted {
            assert!(filter.wants_file(&rel(path)), "{patterns:?} {path}");
        }
        for path in ignored {
            assert!(!filter.wants_file(&rel(path)), "{patterns:?} {path}");
        }
    }

    #[test]
    fn patterns_see_the_whole_path_and_each_leading_part() {
        check(&[".git/**"], &["sub/.git/config", ".github/x", ".git"], &[".git/config", ".git/a/b"]);
        check(&["*.tmp"], &["a/b.tmpx"], &["a/b.tmp", "x.tmp", "cache.tmp/inner.md"]);
        check(&["node_modules"], &["a/node_modules/x"], &["node_modules/x/y", "node_modules"]);
        check(&["a/**/b"], &["a/b"], &["a/x/b", "a/x/y/b", "a/x/b/c"]);
    }

    #[test]
    fn patterns_know_characters_and_sets() {
        check(&["?.md"], &["ab.md", ".md"], &["a.md", "\u{17D}.md"]);
        check(
            &["[a-c]x", "[]y]q", "[-z]w", "[!0-9]0"],
            &["dx", "[q", "aw", "10"],
            &["bx", "]q", "yq", "-w", "zw", "a0"],
        );
        check(&["[^a]", "[[]", "[a-]k"], &["b", "bk"], &["a", "^", "[", "-k", "ak"]);
        check(&["A*"], &["ab"], &["Ab"]);
        check(&["*a*b*c"], &["acb", "abcd"], &["abc", "xxaxxbxxc", "abcc"]);
    }

    #[test]
    fn folders_that_are_ignored_whole_are_not_read() {
        let patterns: Vec<String> = [".git/**", "*.d/*", "out"].map(str::to_owned).to_vec();
        let filter = Filter::new(&patterns, &[], true).unwrap();
        for (path, read) in
            [(".git", false), ("a/b.d", false), ("out", false), ("a/out", true), ("a/.git", true)]
        {
            assert_eq!(filter.wants_folder_here(&rel(path)), read, "{path}");
        }
    }

    #[test]
    fn extensions_are_compared_without_case_and_dot() {
        let filter = Filter::new(&[], &[".md".to_owned(), "TXT".to_owned()], true).unwrap();
        for (path, wanted) in
            [("a.MD", true), ("b/c.txt", true), ("md", false), (".md", false), ("a.md.x", false)]
        {
            assert_eq!(filter.wants_file(&rel(path)), wanted, "{path}");
        }
    }

    #[test]
    fn without_recursion_only_the_folder_itself_counts() {
        let filter = Filter::new(&[], &[], false).unwrap();
        assert!(filter.wants_file(&rel("a")) && filter.concerns(&RelPath::root()));
        assert!(
            !filter.wants_file(&rel("a/b"))
                && !filter.concerns(&rel("a/b"))
                && !filter.wants_folder_here(&rel("a"))
        );
    }

    #[test]
    fn unusable_patterns_are_refused_with_a_reason() {
        for (pattern, reason) in [
            ("", "ignore_patterns holds an empty pattern"),
            (
                "/a",
                "the pattern \"/a\" of ignore_patterns starts with a slash, but paths are relative to the folder",
            ),
            (
                "a[b",
                "the pattern \"a[b\" of ignore_patterns cannot be used: a [ has no ], write [[] for the character itself",
            ),
            (
                "[!]",
                "the pattern \"[!]\" of ignore_patterns cannot be used: a [ has no ], write [[] for the character itself",
            ),
            (
                "[z-a]",
                "the pattern \"[z-a]\" of ignore_patterns cannot be used: the range z-a goes backwards",
            ),
        ] {
            let error = Filter::new(&[pattern.to_owned()], &[], true).unwrap_err();
            assert_eq!(error.to_string(), reason);
        }
    }
}
