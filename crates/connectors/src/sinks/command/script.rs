//! A command that is a text for `/bin/sh`, and how values get into it.
//!
//! Every value becomes one literal part of a word, whatever it holds. For that the text is read once as the shell reads
//! it: a value between double or single quotes closes them, stands in single quotes of its own and opens them again.
//! A place where the shell would read the value in another way is refused when the configuration is checked. So is what
//! this reader cannot follow: it knows quotes, escapes, comments, operators, and substitutions without quotes inside.
//! Only those keep its idea of open quotes the same as the shell's, on which everything rests.
//!
//! Left out: programs that read their arguments as a program again (`second_parse.rs`).

use anyhow::{bail, ensure};

use super::second_parse::{self, Word};
use super::value::{Guard, Refused};
use crate::template::{Part, Reference, Root, Text, single_quoted};

/// What to do where a text for the shell cannot have a value.
const WAY_OUT: &str = "write `command` as a list of arguments, which no shell reads, or take the event from standard \
                       input or from the INBOXCLAW_EVENT_… variables";

/// A text for `/bin/sh` with places for values.
#[derive(Debug)]
pub(super) struct Script {
    pieces: Vec<Piece>,
}

#[derive(Debug)]
enum Piece {
    Literal(String),
    Value {
        reference: Reference,
        inside: State,
        /// Which word of the text it belongs to.
        word: usize,
        guard: Guard,
    },
}

/// What the shell takes the next character for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Plain,
    Single,
    Double,
    Comment,
}

impl Script {
    /// Reads the text. One without references may hold anything.
    ///
    /// # Errors
    /// Names the reference that stands in a place where no value can be safe, and the way out.
    pub(super) fn new(setting: &str, text: &str) -> anyhow::Result<Self> {
        let template = Text::new(text);
        if !template.parts().iter().any(|part| matches!(part, Part::Reference(_))) {
            return Ok(Self { pieces: vec![Piece::Literal(text.to_owned())] });
        }
        if let Some(warning) = template.warning(setting) {
            bail!("{setting}: {}", warning.message);
        }
        Self::read(&template).map_err(|problem| anyhow::anyhow!("{setting}: {problem}; {WAY_OUT}"))
    }

    fn read(template: &Text) -> anyhow::Result<Self> {
        let mut reader = Reader::default();
        for part in template.parts() {
            match part {
                Part::Literal(text) => {
                    reader.literal(text)?;
                    reader.pieces.push(Piece::Literal(text.clone()));
                }
                Part::Reference(reference) => reader.reference(reference)?,
            }
        }
        ensure!(
            matches!(reader.state, State::Plain | State::Comment),
            "a quote that is opened is not closed"
        );
        reader.end_command();
        second_parse::check_script(&reader.commands, reader.computes)?;
        Ok(Self { pieces: reader.pieces })
    }

    /// Whether it refers to a member of an event, which a list of events does not have.
    pub(super) fn is_of_one_event(&self) -> bool {
        self.pieces
            .iter()
            .any(|piece| matches!(piece, Piece::Value { reference, .. } if reference.is_member()))
    }

    /// The text with the values of an event.
    pub(super) fn render(&self, root: &Root) -> Result<String, Refused> {
        let (mut out, mut last, mut is_empty) = (String::new(), None, true);
        for piece in &self.pieces {
            let Piece::Value { reference, inside, word, guard } = piece else {
                if let Piece::Literal(text) = piece {
                    out.push_str(text);
                }
                continue;
            };
            let value = reference.text(root).unwrap_or_default();
            // Of several values in front of a word the first that is not empty begins it.
            is_empty |= last != Some(*word);
            last = Some(*word);
            guard.check(reference, &value, is_empty)?;
            is_empty &= value.is_empty();
            let quote = match inside {
                State::Double => "\"",
                State::Single => "'",
                State::Plain | State::Comment => "",
            };
            out.push_str(quote);
            out.push_str(&single_quoted(&value));
            out.push_str(quote);
        }
        Ok(out)
    }
}

/// Reads a text as a shell does, as far as quotes and words go.
#[derive(Default)]
struct Reader {
    state: State,
    pieces: Vec<Piece>,
    /// The commands that ended, each as its words.
    commands: Vec<Vec<Word>>,
    command: Vec<Word>,
    word: Option<Word>,
    /// How many words there were.
    words: usize,
    /// The next word is the file of a redirection.
    redirects: bool,
    /// `--` was among the words of this command: what follows is no option.
    no_options: bool,
    /// The literal ended with this character, which takes what follows in another way.
    hanging: Option<char>,
    /// The shell computes with the values of variables somewhere.
    computes: bool,
}

impl Reader {
    fn literal(&mut self, text: &str) -> anyhow::Result<()> {
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let length = match (self.state, c) {
                (State::Comment, '\n') => {
                    self.state = State::Plain;
                    1
                }
                (State::Comment, _) => c.len_utf8(),
                (State::Single, '\'') | (State::Double, '"') => {
                    self.state = State::Plain;
                    1
                }
                (State::Double | State::Plain, '\\') => {
                    let before = text[..text.len() - rest.len()].chars().next_back();
                    // Within an operator a line that goes on hides what the operator is: `$\` and `(`.
                    if rest[1..].starts_with('\n') && !before.is_some_and(|c| matches!(c, ' ' | '\t' | '\n'))
                    {
                        bail!(
                            "a line that is continued without a space before the backslash is not supported"
                        );
                    }
                    self.escape(rest)
                }
                (State::Double | State::Plain, '$' | '`') => self.expansion(rest)?,
                (State::Plain, c) => {
                    self.plain(rest, c)?;
                    c.len_utf8()
                }
                (State::Single | State::Double, c) => {
                    self.word().text.push(c);
                    c.len_utf8()
                }
            };
            rest = &rest[length..];
        }
        Ok(())
    }

    fn word(&mut self) -> &mut Word {
        self.word.get_or_insert_default()
    }

    /// A character outside quotes.
    fn plain(&mut self, rest: &str, c: char) -> anyhow::Result<()> {
        match c {
            ' ' | '\t' => self.end_word(),
            // `2>&1` and `>|` go on with a file.
            '&' | '|' if self.redirects && self.word.is_none() => {}
            '(' if rest.starts_with("((") => bail!("arithmetic beside a placeholder is not supported"),
            '\n' | ';' | '&' | '|' | '(' | ')' => self.end_command(),
            '<' if rest.starts_with("<<") => bail!("a here-document beside a placeholder is not supported"),
            '<' | '>' => {
                let is_number = |word: &Word| word.text.bytes().all(|byte| byte.is_ascii_digit());
                if self.word.as_ref().is_some_and(|word| word.is_literal() && is_number(word)) {
                    self.word = None;
                }
                self.end_word();
                self.redirects = true;
            }
            '#' if self.word.is_none() => {
                self.end_command();
                self.state = State::Comment;
            }
            '\'' => {
                self.word();
                self.state = State::Single;
            }
            '"' => {
                self.word();
                self.state = State::Double;
            }
            c => self.word().text.push(c),
        }
        Ok(())
    }

    /// A backslash and what follows it.
    fn escape(&mut self, rest: &str) -> usize {
        let Some(next) = rest[1..].chars().next() else {
            self.hanging = Some('\\');
            return 1;
        };
        if next != '\n' {
            self.word().text.push(next);
        }
        1 + next.len_utf8()
    }

    /// A `$` or a backtick, outside quotes or between double ones. Only what holds nothing that could open or close a quote
    /// is followed: its end is then the same for every shell, whatever stands around it.
    fn expansion(&mut self, rest: &str) -> anyhow::Result<usize> {
        let is_plain = self.state == State::Plain;
        self.word().expands = true;
        let after = &rest[1..];
        let (open, close, kind) = match after.chars().next() {
            _ if rest.starts_with('`') => (0, "`", "a command substitution"),
            None => {
                self.hanging = Some('$');
                return Ok(1);
            }
            Some('(') if after.starts_with("((") => (2, "))", "arithmetic"),
            Some('(') => (1, ")", "a command substitution"),
            Some('{') => (1, "}", "a parameter expansion"),
            Some('[') => bail!("`$[` beside a placeholder is not supported"),
            Some(quote @ ('\'' | '"')) if is_plain => {
                bail!("`${quote}` beside a placeholder is not supported")
            }
            Some(_) => return Ok(1),
        };
        let content = &after[open..];
        let end = content
            .find(|c: char| "'\"`\\#<(){}\n".contains(c))
            .filter(|end| content[*end..].starts_with(close));
        let Some(end) =
            end.filter(|end| !content[..*end].split_ascii_whitespace().any(|word| word == "case"))
        else {
            bail!("{kind} that holds a placeholder, quotes, or another one within is not supported");
        };
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        self.computes |= close == "))" || close == "}" && !content[..end].chars().all(is_name);
        if close != "}" && close != "))" {
            self.commands.extend(
                content[..end]
                    .split([';', '&', '|'])
                    .map(|command| command.split_ascii_whitespace().map(Word::of).collect::<Vec<_>>()),
            );
        }
        Ok(1 + open + end + close.len())
    }

    fn reference(&mut self, reference: &Reference) -> anyhow::Result<()> {
        let written = reference.written();
        if let Some(before) = self.hanging {
            bail!("`{written}` stands behind `{before}`");
        }
        ensure!(self.state != State::Comment, "`{written}` stands in a comment");
        let is_curl = self.command.iter().any(|word| word.program() == "curl");
        let is_argument = !self.redirects;
        let (state, no_options, number) = (self.state, self.no_options, self.words);
        let word = self.word();
        ensure!(!word.is_index(), "`{written}` may be the index of an array, which the shell computes");
        word.has_reference = true;
        word.begins |= word.is_empty();
        let begins = word.is_empty() && is_argument;
        let guard = Guard { option: begins && !no_options, file: begins && is_curl };
        self.pieces.push(Piece::Value { reference: reference.clone(), inside: state, word: number, guard });
        Ok(())
    }

    fn end_word(&mut self) {
        let Some(word) = self.word.take() else { return };
        self.words += 1;
        if std::mem::take(&mut self.redirects) {
            return;
        }
        self.no_options |= word.is_literal() && word.text == "--";
        self.command.push(word);
    }

    fn end_command(&mut self) {
        self.end_word();
        self.redirects = false;
        self.no_options = false;
        self.commands.push(std::mem::take(&mut self.command));
    }
}
