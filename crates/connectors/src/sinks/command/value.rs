//! Values that cannot be an argument of a program: what fails the event they come from, and not the sink.

use crate::template::Reference;

/// The most bytes of one argument on Linux, its final zero left out (`MAX_ARG_STRLEN`).
pub(super) const ARGUMENT_BYTES: usize = 128 * 1024 - 1;

/// Why an event cannot be given to a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refused {
    /// The arguments are too long; fewer events may fit.
    TooLong(String),
    /// A value cannot be an argument.
    Value(String),
}

impl Refused {
    pub(super) fn into_reason(self) -> String {
        match self {
            Self::TooLong(reason) | Self::Value(reason) => reason,
        }
    }
}

/// What a value at the beginning of a word must not begin with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Guard {
    /// The program would take a value with `-` for an option.
    pub(super) option: bool,
    /// The program would take a value with `@` for the name of a file.
    pub(super) file: bool,
}

impl Guard {
    /// Refuses a value that no program can be given, or that this one would take for something else. `begins` says whether
    /// the values before it in the same word are empty.
    pub(super) fn check(self, reference: &Reference, value: &str, begins: bool) -> Result<(), Refused> {
        let written = reference.written();
        let refuse = |why: &str| Err(Refused::Value(format!("the value of `{written}` {why}")));
        if value.contains('\0') {
            return refuse("holds a zero byte, which no argument can");
        }
        if begins && self.option && value.starts_with('-') {
            return refuse(
                "begins with `-` and would be taken for an option; put `--` before it, or text in front of it as in \
                 `--title=…`",
            );
        }
        if begins && self.file && value.starts_with('@') {
            return refuse(
                "begins with `@`, which curl takes for the name of a file; send it by standard input",
            );
        }
        Ok(())
    }
}

/// Refuses an argument that is too long.
pub(super) fn check_length(argument: &str) -> Result<(), Refused> {
    if argument.len() <= ARGUMENT_BYTES {
        return Ok(());
    }
    Err(Refused::TooLong(format!(
        "an argument of the command has {} bytes, the most is {ARGUMENT_BYTES}; take the event from standard input",
        argument.len()
    )))
}
