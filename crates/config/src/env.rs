//! The environment of a configuration file: the variables of the process, those of a `.env` file, and what
//! references to them in a text become. Left out: where in the file references stand.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Names that are the words of templates and never a variable, even where one of that name exists.
const TEMPLATE_WORDS: [&str; 1] = ["root"];

/// Variables by name.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
}

/// A text after expansion.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Expanded {
    pub(super) text: String,
    /// Whether any reference was replaced.
    pub(super) changed: bool,
    /// The names of the variables whose values were put in.
    pub(super) used: Vec<String>,
    /// References that look like ones to a variable but name none; they stay as they are.
    pub(super) missing: Vec<String>,
    /// The names of what else looks like a reference and stays as it is: `${NAME:-x}`, `${NAME`, a first `$name`.
    pub(super) odd: Vec<String>,
}

impl Environment {
    /// The variables of this process; what is not UTF-8 is left out.
    pub fn of_process() -> Self {
        let texts = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self { variables: texts.collect() }
    }

    /// The given variables.
    pub fn new<K: Into<String>, V: Into<String>>(variables: impl IntoIterator<Item = (K, V)>) -> Self {
        Self { variables: variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect() }
    }

    /// Adds what a `.env` text sets; variables that exist are kept. Returns the lines that mean nothing.
    pub(super) fn add_dotenv(&mut self, text: &str) -> Vec<usize> {
        let (mut set, mut bad) = (BTreeMap::new(), Vec::new());
        let mut reader = Reader { rest: text, line: 1 };
        while let Some((line, parsed)) = reader.next_line() {
            match parsed {
                Some(Some((name, parts))) => {
                    let value = parts.into_iter().map(|part| self.part(part, &set)).collect::<String>();
                    set.insert(name, value);
                }
                Some(None) => {}
                None => bad.push(line),
            }
        }
        for (name, value) in set {
            self.variables.entry(name).or_insert(value);
        }
        bad
    }

    fn part(&self, part: Part, set: &BTreeMap<String, String>) -> String {
        match part {
            Part::Text(text) => text,
            Part::Name(name) => {
                self.variables.get(&name).or_else(|| set.get(&name)).cloned().unwrap_or_default()
            }
        }
    }

    /// The variables that are this program's own.
    pub(super) fn own(&self) -> impl Iterator<Item = &str> {
        self.variables.keys().map(String::as_str).filter(|name| name.starts_with("INBOXCLAW_"))
    }

    /// Replaces `$NAME` and `${NAME}` by their values, once; what names no variable stays.
    pub(super) fn expand(&self, text: &str) -> Expanded {
        let mut expanded = Expanded {
            text: String::with_capacity(text.len()),
            changed: false,
            used: Vec::new(),
            missing: Vec::new(),
            odd: Vec::new(),
        };
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            expanded.text.push_str(&rest[..at]);
            rest = &rest[at..];
            let (name, length) = reference(rest);
            match self.variables.get(name).filter(|_| !TEMPLATE_WORDS.contains(&name)) {
                Some(value) => {
                    expanded.text.push_str(value);
                    expanded.changed = true;
                    expanded.used.push(name.to_owned());
                }
                None => {
                    expanded.text.push_str(&rest[..length]);
                    if is_variable_like(name) {
                        expanded.missing.push(name.to_owned());
                    } else if !TEMPLATE_WORDS.contains(&name) && is_odd(rest, rest.len() == text.len()) {
                        expanded.odd.push(leading_name(rest).to_owned());
                    }
                }
            }
            rest = &rest[length..];
        }
        expanded.text.push_str(rest);
        expanded
    }
}

/// The `.env` file in `folder` or the nearest folder above it.
pub(super) fn find_dotenv(folder: &Path) -> Option<PathBuf> {
    folder.ancestors().map(|folder| folder.join(".env")).find(|path| path.is_file())
}

/// The name that a text starting with `$` refers to, perhaps empty, and how many bytes the reference has.
fn reference(text: &str) -> (&str, usize) {
    let after = &text[1..];
    if let Some(braced) = after.strip_prefix('{')
        && let Some(end) = braced.find('}')
    {
        return (&braced[..end], end + 3);
    }
    let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
    (&after[..end], end + 1)
}

/// Upper case, as variables are written: `$root` and `$5` are nobody's.
fn is_variable_like(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_uppercase())
        && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}

/// Whether a text starting with `$`, which refers to no variable, was still meant to refer to one. In the middle of
/// a text only braces show that: passwords hold `$` as well.
fn is_odd(text: &str, is_first: bool) -> bool {
    text.starts_with("${")
        || is_first && leading_name(text).starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
}

/// The name behind `$` or `${`, without what follows it: that may be a secret default.
fn leading_name(text: &str) -> &str {
    let name = text.trim_start_matches(['$', '{']);
    &name[..name.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(name.len())]
}

enum Part {
    Text(String),
    /// `${NAME}`.
    Name(String),
}

/// A line that sets a variable; `None` for one that sets nothing.
type Setting = Option<(String, Vec<Part>)>;

/// Reads `.env` lines. A double-quoted value may go over several of them.
struct Reader<'a> {
    rest: &'a str,
    line: usize,
}

impl Reader<'_> {
    /// The number of the next line, and what it sets; the inner `None` when it means nothing.
    fn next_line(&mut self) -> Option<(usize, Option<Setting>)> {
        if self.rest.is_empty() {
            return None;
        }
        let line = self.line;
        let parsed = self.setting();
        // Whatever the line still holds is a comment, or the reason why it means nothing.
        self.skip(self.rest.find('\n').map_or(self.rest.len(), |end| end + 1));
        Some((line, parsed))
    }

    fn setting(&mut self) -> Option<Setting> {
        self.skip_blanks();
        if self.at_end_of_line() {
            return Some(None);
        }
        if let Some(after) = self.rest.strip_prefix("export")
            && after.starts_with([' ', '\t'])
        {
            self.skip("export".len());
            self.skip_blanks();
        }
        let name = self.take_while(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '-'));
        self.skip_blanks();
        if name.is_empty() {
            return None;
        }
        if !self.rest.starts_with('=') {
            return if self.at_end_of_line() { Some(None) } else { None };
        }
        self.skip(1);
        self.skip_blanks();
        let parts = match self.rest.chars().next() {
            Some('\'') => vec![Part::Text(self.single_quoted()?)],
            Some('"') => parts(&self.double_quoted()?),
            _ => parts(&self.unquoted()),
        };
        self.skip_blanks();
        self.at_end_of_line().then_some(Some((name, parts)))
    }

    fn single_quoted(&mut self) -> Option<String> {
        let end = self.rest[1..].find('\'')? + 1;
        let text = self.rest[1..end].to_owned();
        self.skip(end + 1);
        Some(text)
    }

    fn double_quoted(&mut self) -> Option<String> {
        let (mut text, mut escaped) = (String::new(), false);
        for (at, c) in self.rest.char_indices().skip(1) {
            match (escaped, c) {
                (false, '"') => {
                    self.skip(at + 1);
                    return Some(text);
                }
                (false, '\\') => escaped = true,
                (false, c) => text.push(c),
                (true, c) => {
                    match c {
                        'n' => text.push('\n'),
                        'r' => text.push('\r'),
                        't' => text.push('\t'),
                        '"' | '\\' | '\'' => text.push(c),
                        other => text.extend(['\\', other]),
                    }
                    escaped = false;
                }
            }
        }
        None
    }

    /// Up to the end of the line or a `#` after white space.
    fn unquoted(&mut self) -> String {
        let line = self.take_while(|c| c != '\n');
        let comment = line
            .char_indices()
            .find(|&(at, c)| c == '#' && line[..at].chars().next_back().is_none_or(char::is_whitespace));
        line[..comment.map_or(line.len(), |(at, _)| at)].trim_end().to_owned()
    }

    fn at_end_of_line(&self) -> bool {
        let rest = self.rest.trim_start_matches('\r');
        rest.is_empty() || rest.starts_with(['\n', '#'])
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> String {
        let end = self.rest.find(|c| !wanted(c)).unwrap_or(self.rest.len());
        let taken = self.rest[..end].to_owned();
        self.skip(end);
        taken
    }

    fn skip_blanks(&mut self) {
        self.skip(self.rest.len() - self.rest.trim_start_matches([' ', '\t', '\u{feff}']).len());
    }

    fn skip(&mut self, bytes: usize) {
        let (skipped, rest) = self.rest.split_at(bytes);
        self.line += skipped.matches('\n').count();
        self.rest = rest;
    }
}

/// Splits a value at its `${NAME}` references.
fn parts(text: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let Some(length) = rest[start..].find('}') else { break };
        parts.push(Part::Text(rest[..start].to_owned()));
        parts.push(Part::Name(rest[start + 2..start + length].to_owned()));
        rest = &rest[start + length + 1..];
    }
    parts.push(Part::Text(rest.to_owned()));
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references() {
        let env = Environment::new([
            ("A", "1"),
            ("B_2", "$A"),
            ("root", "/r"),
            ("x y", "z"),
            ("5", "five"),
            ("EMPTY", ""),
        ]);
        for (text, expanded) in [
            ("$A", "1"),
            ("${A}", "1"),
            ("x$A-${A}y", "x1-1y"),
            ("$AB $A", "$AB 1"),
            ("$B_2", "$A"),
            ("${x y}", "z"),
            ("$5", "five"),
            ("$$A", "$1"),
            ("\\$A", "\\1"),
            ("${A:-d}", "${A:-d}"),
            ("${A", "${A"),
            ("$", "$"),
            ("a$ b", "a$ b"),
            ("[$EMPTY]", "[]"),
            ("$root.data #root", "$root.data #root"),
            ("${root}", "${root}"),
            ("ž$A", "ž1"),
        ] {
            assert_eq!(env.expand(text).text, expanded, "{text}");
        }
        assert_eq!(env.expand("${NO} $no $NO_1 $root").missing, ["NO", "NO_1"]);
        assert_eq!(env.expand("${NO:-x} ${no} ${NO $no").odd, ["NO", "no", "NO"]);
        assert_eq!(env.expand("$no $no $5").odd, ["no"]);
        for plain in ["$root", "${root}", "$A", "pa$$word", "$2b$10$x", "$B_2"] {
            assert!(env.expand(plain).odd.is_empty(), "{plain}");
        }
        assert!(env.expand("$A").changed);
        assert!(!env.expand("$NO").changed);
    }

    #[test]
    fn dotenv_lines() {
        let text = "\u{feff}A=1\n# comment\n\nexport B = two words # note\nC='$A ${A} # \\n'\r\nD=\"a\\nb\\\"${A}\"\nE=\nF\nG=x#y\n\
            H=${A}${B}${NONE}!\nI=\"two\nlines\"\nJ=a=b\nKEPT=file\nL=after\n";
        let mut env = Environment::new([("KEPT", "process")]);
        assert!(env.add_dotenv(text).is_empty());
        for (name, value) in [
            ("A", Some("1")),
            ("B", Some("two words")),
            ("C", Some("$A ${A} # \\n")),
            ("D", Some("a\nb\"1")),
            ("E", Some("")),
            ("F", None),
            ("G", Some("x#y")),
            ("H", Some("1two words!")),
            ("I", Some("two\nlines")),
            ("J", Some("a=b")),
            ("KEPT", Some("process")),
            ("L", Some("after")),
        ] {
            assert_eq!(env.variables.get(name).map(String::as_str), value, "{name}");
        }
    }

    #[test]
    fn lines_that_mean_nothing_are_named() {
        let mut env = Environment::default();
        assert_eq!(env.add_dotenv("A=1\n=2\nB='open\nC=3\nsome words\nD=\"x\" y\n"), [2, 3, 5, 6]);
        assert_eq!(env.variables.keys().collect::<Vec<_>>(), ["A", "C"]);
    }
}
