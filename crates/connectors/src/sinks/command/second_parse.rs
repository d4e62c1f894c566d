//! Programs that read an argument, or what they are piped, as a program again. A value that is one word for the shell is
//! code for them, so a command that holds a reference must not use them that way.
//!
//! It is a list of the usual ones and no proof: a person's own program may do the same. Whatever stands in doubt is refused,
//! because data has two other ways in, standard input and the environment.

use anyhow::{bail, ensure};

/// A word of a command, quotes and escapes resolved.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Word {
    /// What is literal in it.
    pub(super) text: String,
    /// Whether it holds a reference.
    pub(super) has_reference: bool,
    /// Whether it begins with one.
    pub(super) begins: bool,
    /// Whether the shell puts something else in.
    pub(super) expands: bool,
}

/// Their text is parsed in any use.
const ALWAYS: [&str; 9] = ["eval", "trap", "alias", "[[", "ssh", "runuser", "xargs", "parallel", "tmux"];
/// The same, but only where a command begins or behind a program that runs others: they are usual words besides.
const COMMANDS: [&str; 10] = ["source", ".", "let", "su", "watch", "at", "batch", "script", "make", "screen"];
/// Programs that run others.
const WRAPPERS: [&str; 30] = [
    "env",
    "sudo",
    "doas",
    "nice",
    "nohup",
    "timeout",
    "time",
    "setsid",
    "stdbuf",
    "ionice",
    "chrt",
    "taskset",
    "command",
    "exec",
    "builtin",
    "find",
    "flock",
    "busybox",
    "systemd-run",
    "systemd-inhibit",
    "docker",
    "podman",
    "kubectl",
    "nsenter",
    "unshare",
    "chroot",
    "strace",
    "firejail",
    "bwrap",
    "flatpak",
];
const SHELLS: [&str; 11] =
    ["sh", "bash", "dash", "zsh", "ksh", "mksh", "ash", "fish", "csh", "tcsh", "rbash"];
/// Their first argument is a program.
const EDITORS: [&str; 7] = ["awk", "gawk", "mawk", "nawk", "sed", "gsed", "ed"];
/// Those that take a program with an option, and the letters of the options.
const INLINE: [(&str, &str); 10] = [
    ("python", "c"),
    ("pypy", "c"),
    ("perl", "eE"),
    ("ruby", "e"),
    ("node", "ep"),
    ("deno", "e"),
    ("bun", "ep"),
    ("php", "rBRE"),
    ("lua", "e"),
    ("osascript", "e"),
];
/// A statement among their arguments has spaces; a value alone is data.
const STATEMENTS: [&str; 7] = ["sqlite3", "psql", "mysql", "mariadb", "duckdb", "jq", "yq"];
/// They take names of variables.
const NAMES: [&str; 8] = ["export", "readonly", "local", "declare", "typeset", "unset", "read", "getopts"];
/// What stands before a program that `find` runs.
const FIND_RUNS: [&str; 4] = ["-exec", "-execdir", "-ok", "-okdir"];
/// Words of the shell's language that stand before a command.
const BEFORE_COMMANDS: [&str; 10] = ["if", "then", "elif", "else", "while", "until", "do", "!", "{", "time"];
/// Words of it that no command follows.
const NO_COMMANDS: [&str; 4] = ["for", "case", "select", "function"];

impl Word {
    /// A literal word.
    pub(super) fn of(text: &str) -> Self {
        Self { text: text.to_owned(), expands: text.contains(['$', '`']), ..Self::default() }
    }

    pub(super) fn is_literal(&self) -> bool {
        !self.has_reference && !self.expands
    }

    /// Whether nothing but references is in it so far.
    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty() && !self.expands
    }

    /// The name of the program, if it is one: without folders.
    pub(super) fn program(&self) -> &str {
        if self.has_reference { "" } else { self.text.rsplit('/').next().unwrap_or_default() }
    }

    /// `NAME=…`.
    fn is_assignment(&self) -> bool {
        !self.begins && self.text.split_once('=').is_some_and(|(name, _)| is_name(name))
    }

    /// Whether it is `NAME[…` so far.
    pub(super) fn is_index(&self) -> bool {
        let index = self.text.split_once('[').filter(|(name, _)| is_name(name));
        index.is_some_and(|(_, index)| !index.contains(']'))
    }
}

/// Whether a variable can have this name.
fn is_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Checks the commands of a text for the shell that holds a reference. `computes` says that the shell computes with
/// variables: then it takes what they hold for an expression, in which another command can stand.
pub(super) fn check_script(commands: &[Vec<Word>], computes: bool) -> anyhow::Result<()> {
    let stores = commands.iter().any(|command| stores(command));
    ensure!(
        !(stores && computes),
        "a variable holds a value of an event, and the shell computes with variables or changes what they hold"
    );
    for command in commands {
        let mut start = command.iter().skip_while(|word| {
            word.is_assignment() || word.is_literal() && BEFORE_COMMANDS.contains(&word.text.as_str())
        });
        let program = start.next().filter(|word| !NO_COMMANDS.contains(&word.text.as_str()));
        if let Some(program) = program {
            ensure!(!program.has_reference, "the program to run would come from an event");
            ensure!(
                !(stores && program.expands),
                "a variable holds a value of an event, and the program to run comes from a variable"
            );
        }
        check(command)?;
    }
    Ok(())
}

/// Whether a variable gets a value of an event.
fn stores(command: &[Word]) -> bool {
    let is_loop = |word: &Word| ["for", "select"].contains(&word.text.as_str());
    command.iter().any(|word| word.has_reference && word.is_assignment())
        || command.iter().any(|word| word.has_reference) && command.iter().any(is_loop)
}

/// Checks a list of arguments.
pub(super) fn check_arguments(words: &[Word]) -> anyhow::Result<()> {
    if !words.iter().any(|word| word.has_reference) {
        return Ok(());
    }
    ensure!(
        words.first().is_some_and(|program| !program.has_reference),
        "the program to run would come from an event"
    );
    check(words)
}

/// Every word may be a program, because others run it: `env`, `sudo`, `find -exec`.
fn check(command: &[Word]) -> anyhow::Result<()> {
    for (at, word) in command.iter().enumerate().filter(|(_, word)| !word.has_reference) {
        let (name, rest) = (word.program(), &command[at + 1..]);
        let name = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
        let name = if name.is_empty() { word.program() } else { name };
        let is_unknown_shell = word.expands && rest.first().is_some_and(|word| word.text == "-c");
        let is_command = || may_begin(&command[..at]);
        if ALWAYS.contains(&name) || COMMANDS.contains(&name) && is_command() {
            bail!("`{name}` reads its arguments as a program, which a placeholder would be part of");
        } else if SHELLS.contains(&name) || is_unknown_shell {
            // What stands behind the program are its arguments.
            return check_inline(name, "c", rest, true);
        } else if let Some((_, letters)) = INLINE.iter().find(|(known, _)| *known == name) {
            return check_inline(name, letters, rest, false);
        } else if EDITORS.contains(&name) {
            ensure!(
                !rest.iter().any(|word| word.has_reference),
                "`{name}` would read a placeholder as a part of its program"
            );
        } else if STATEMENTS.contains(&word.program()) {
            let is_statement = |word: &Word| word.has_reference && word.text.contains(char::is_whitespace);
            ensure!(
                !rest.iter().any(is_statement),
                "`{name}` would read a placeholder as a part of its statement"
            );
        } else if NAMES.contains(&name) && is_command() {
            let begins = rest.iter().any(|word| word.begins);
            ensure!(!begins, "`{name}` would take a placeholder for the name of a variable");
        } else if ["test", "[", "printf"].contains(&name) {
            let is_name = |pair: &[Word]| pair[0].text == "-v" && pair[1].has_reference;
            ensure!(
                !rest.windows(2).any(is_name),
                "`{name} -v` would take a placeholder for the name of a variable"
            );
        } else if WRAPPERS.contains(&name) && is_command() {
            check_wrapper(name, rest)?;
        }
    }
    Ok(())
}

/// A program that runs another one: that one is named by the first word that is no option, assignment or number.
fn check_wrapper(name: &str, rest: &[Word]) -> anyhow::Result<()> {
    let splits = |word: &Word| word.text.starts_with("-S") || word.text.starts_with("--split-string");
    ensure!(!(name == "env" && rest.iter().any(splits)), "`env -S` reads its argument as several words");
    let program = match name {
        "find" => {
            rest.windows(2).find(|pair| FIND_RUNS.contains(&pair[0].text.as_str())).map(|pair| &pair[1])
        }
        _ => rest.iter().find(|word| {
            let is_number = word.is_literal() && word.text.starts_with(|c: char| c.is_ascii_digit());
            !(word.is_assignment() || is_number || !word.begins && word.text.starts_with('-'))
        }),
    };
    ensure!(!program.is_some_and(|word| word.has_reference), "the program to run would come from an event");
    Ok(())
}

/// Whether a command may begin behind these words.
fn may_begin(before: &[Word]) -> bool {
    before.iter().all(|word| word.is_assignment() || BEFORE_COMMANDS.contains(&word.text.as_str()))
        || before.iter().any(|word| WRAPPERS.contains(&word.program()))
}

/// A program that may be given a text to run: with an option, in a file, or else by standard input, which may be a pipe.
/// The text must be literal; what follows it are arguments, which are data.
fn check_inline(name: &str, letters: &str, rest: &[Word], is_shell: bool) -> anyhow::Result<()> {
    let code = format!("`{name}` would read a placeholder as a part of its program");
    let mut rest = rest.iter();
    while let Some(word) = rest.next() {
        let option = word.text.strip_prefix(['-', '+']).filter(|_| !word.begins);
        let Some(option) = option.filter(|option| !option.is_empty()) else {
            // A file, or `-` for standard input.
            ensure!(!word.has_reference && word.text != "-", code);
            return Ok(());
        };
        let is_long = option.starts_with('-');
        let inline = match is_long {
            true => ["-eval", "-print", "-execute", "-run"].iter().any(|long| option.starts_with(long)),
            false => option.contains(|letter| letters.contains(letter)),
        };
        let reads_input = is_shell && !is_long && option.contains('s');
        ensure!(!(word.has_reference || reads_input), code);
        if inline {
            let Some(program) = rest.next() else { bail!(code) };
            ensure!(!program.has_reference && !program.expands, code);
            if is_shell {
                let commands = program.text.split(['\n', ';', '&', '|', '(', ')', '`']);
                for command in commands {
                    let words = command.split_ascii_whitespace();
                    check(&words.map(|word| Word::of(word.trim_matches(['"', '\'']))).collect::<Vec<_>>())?;
                }
            }
            return Ok(());
        }
    }
    bail!("`{name}` would read its program from standard input, where a placeholder may come from")
}
