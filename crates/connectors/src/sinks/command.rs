//! Runs a command for each event, or for many at once.
//!
//! `script` is a command that a shell reads, `arguments` one that none reads, `second_parse` and `value` say what neither
//! can be given, `run` is the child process. The command has the event by standard input too, and what names it in its
//! environment.
//!
//! A run that fails fails its events. A command that cannot be started, or of which five runs in a row failed, is a
//! receiver that is down. Left out: waiting and retrying.

mod arguments;
mod run;
mod script;
mod second_parse;
mod value;

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::ensure;
use arguments::Arguments;
use async_trait::async_trait;
use inboxclaw_contract::envelope::{Style, write_envelope};
use inboxclaw_contract::{
    Class, Delivery, DeliveryPolicy, Failure, Outside, Push, Receipt, Sender, SinkSettings, Warning,
};
use inboxclaw_settings::Interval;
use inboxclaw_settings::coerce::{self, Found, Lax};
use run::{Child, Run};
use schemars::{Schema, SchemaGenerator, json_schema};
use script::Script;
use value::Refused;

use crate::template::{Root, Text};

/// Most events of one run.
const MOST_EVENTS: usize = 100;
/// So many runs that fail one after the other stop the sink for a while.
const FAILING_RUNS: u32 = 5;
/// How long.
const PAUSE: Duration = Duration::from_secs(10 * 60);

/// Runs a command with each event, or with many at once, and counts an event as delivered when the command ends with
/// exit code 0.
///
/// The command has the event on its standard input: the envelope as JSON on one line, and a run for many events has one
/// such line for each. `INBOXCLAW_EVENT_SEQ`, `INBOXCLAW_EVENT_ID`, `INBOXCLAW_EVENT_TYPE`, `INBOXCLAW_EVENT_SOURCE`,
/// `INBOXCLAW_EVENT_ENTITY` (if there is one), `INBOXCLAW_EVENT_MESSAGE_ID` and `INBOXCLAW_EVENT_ATTEMPT` are in its
/// environment for one event, `INBOXCLAW_EVENTS` (how many there are) and `INBOXCLAW_SINK` for any number.
/// Otherwise it has the environment and the working directory of this program, without the variables that the
/// configuration refers to and without this program's own.
///
/// In its arguments `#root.…` and `$root.…` stand for values of the event. Prefer the list of arguments, which no shell
/// reads. A text is run by `/bin/sh`; there each value is one literal part of a word, whether it stands bare or between
/// quotes, and `check` refuses the places where it could not be.
#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The program and its arguments as a list, or one text for `/bin/sh`.
    #[serde(deserialize_with = "coerce::lax")]
    #[schemars(schema_with = "coerce::one_or_many_schema")]
    command: Line,
    /// The same for a run with many events, where `root` is the list of them. Without it `command` is used if it refers to
    /// no part of an event, else each event has a run of its own.
    #[serde(default, deserialize_with = "coerce::lax")]
    #[schemars(schema_with = "optional_line_schema")]
    batch_command: Option<Line>,
    /// From so many waiting events on, at most 100, they go into one run together. With 1 every run is for a list of
    /// events, above 100 none is.
    #[serde(default = "default_threshold", deserialize_with = "coerce::lax")]
    batch_threshold: i64,
    /// How long a run may take. Then the command and all that it started are asked to end, and five seconds later killed.
    #[serde(default = "default_timeout")]
    timeout: Interval,
    /// Most attempts of one event.
    #[serde(default, deserialize_with = "coerce::lax")]
    max_retries: Option<u32>,
    /// The wait between two attempts of an event.
    #[serde(default)]
    retry_interval: Option<Interval>,
}

fn default_threshold() -> i64 {
    10
}

fn default_timeout() -> Interval {
    Interval::from_secs(10 * 60)
}

/// The schema of a command that may be left out.
fn optional_line_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": ["string", "array", "null"], "items": { "type": "string" } })
}

/// A command as it is written.
#[derive(Debug, Clone, serde::Serialize)]
#[serde(untagged)]
enum Line {
    Text(String),
    List(Vec<String>),
}

impl Lax for Line {
    const LISTS: bool = true;

    fn lax(found: Found<'_>) -> Result<Self, String> {
        match found {
            Found::Text(text) => Ok(Self::Text(text.to_owned())),
            Found::Texts(texts) => Ok(Self::List(texts)),
            _ => Err(found.instead_of("a string or a list of strings")),
        }
    }
}

impl Settings {
    /// Whether a run may have many events.
    fn batches(&self) -> bool {
        self.batch_threshold <= MOST_EVENTS as i64
            && (self.batch_command.is_some()
                || !Program::new("command", &self.command).is_ok_and(|program| program.is_of_one_event()))
    }
}

impl SinkSettings for Settings {
    const KIND: &'static str = "command";

    fn policy(&self, policy: &mut DeliveryPolicy) {
        policy.batch_max = if self.batches() { MOST_EVENTS } else { 1 };
        if let Some(attempts) = self.max_retries {
            policy.max_attempts = attempts.max(1);
        }
        if let Some(wait) = self.retry_interval {
            policy.retry_interval = Some(wait.as_duration());
        }
    }

    fn warnings(&self, _outside: &Outside) -> Vec<Warning> {
        let lines = [("command", Some(&self.command)), ("batch_command", self.batch_command.as_ref())];
        let mut found = Vec::new();
        for (setting, line) in lines {
            if let Some(Line::List(texts)) = line {
                let texts = texts.iter().enumerate();
                found.extend(
                    texts.filter_map(|(at, text)| Text::new(text).warning(&format!("{setting}.{at}"))),
                );
            }
        }
        found
    }

    fn build(self, outside: &Outside) -> anyhow::Result<Push> {
        if let Some(wait) = self.retry_interval {
            wait.nonzero("retry_interval")?;
        }
        let threshold = if self.batches() {
            usize::try_from(self.batch_threshold).unwrap_or(1).max(1)
        } else {
            usize::MAX
        };
        let command = Program::new("command", &self.command)?;
        let batch_command =
            self.batch_command.as_ref().map(|line| Program::new("batch_command", line)).transpose()?;
        Ok(Push::Sender(Box::new(Command {
            name: outside.name.clone(),
            command,
            batch_command,
            threshold,
            timeout: self.timeout.nonzero("timeout")?,
            hidden: outside.hidden_variables.clone(),
            failing: AtomicU32::new(0),
        })))
    }
}

/// A command that was checked.
enum Program {
    Script(Script),
    Arguments(Arguments),
}

impl Program {
    fn new(setting: &str, line: &Line) -> anyhow::Result<Self> {
        match line {
            Line::Text(text) => {
                ensure!(!text.trim().is_empty(), "{setting} is empty");
                Ok(Self::Script(Script::new(setting, text)?))
            }
            Line::List(texts) => Ok(Self::Arguments(Arguments::new(setting, texts)?)),
        }
    }

    fn is_of_one_event(&self) -> bool {
        match self {
            Self::Script(script) => script.is_of_one_event(),
            Self::Arguments(arguments) => arguments.is_of_one_event(),
        }
    }

    /// What is run, program first.
    fn render(&self, root: &Root) -> Result<Vec<String>, Refused> {
        let arguments = match self {
            Self::Script(script) => vec!["/bin/sh".to_owned(), "-c".to_owned(), script.render(root)?],
            Self::Arguments(arguments) => arguments.render(root)?,
        };
        arguments.iter().try_for_each(|argument| value::check_length(argument))?;
        Ok(arguments)
    }
}

struct Command {
    name: String,
    command: Program,
    batch_command: Option<Program>,
    /// From so many events on they go into one run.
    threshold: usize,
    timeout: Duration,
    /// Variables of the environment that the command does not get.
    hidden: Vec<String>,
    /// How many runs failed one after the other.
    failing: AtomicU32,
}

#[async_trait]
impl Sender for Command {
    async fn send(&self, batch: &[Delivery], receipts: &mut Vec<Receipt>) -> Result<(), Failure> {
        if batch.len() >= self.threshold {
            return self.run_together(batch, receipts).await;
        }
        for delivery in batch {
            let root = Root::event(&delivery.event);
            match self.command.render(&root) {
                Ok(arguments) => {
                    let input = format!("{}\n", root.json());
                    let run = Run { arguments, input, variables: self.variables_of(delivery) };
                    self.run(run, 1, receipts).await?;
                }
                Err(refused) => receipts.push(Receipt::Never { reason: refused.into_reason() }),
            }
        }
        Ok(())
    }
}

impl Command {
    /// One run for all events, or as few as possible where the arguments would be too long.
    async fn run_together(&self, batch: &[Delivery], receipts: &mut Vec<Receipt>) -> Result<(), Failure> {
        let program = self.batch_command.as_ref().unwrap_or(&self.command);
        // The parts that are left, the first at the end.
        let mut parts = vec![batch];
        while let Some(part) = parts.pop() {
            match program.render(&Root::batch(part.iter().map(|delivery| &delivery.event))) {
                Ok(arguments) => {
                    let mut input = String::new();
                    for delivery in part {
                        write_envelope(&delivery.event, Style::Compact, &mut input);
                        input.push('\n');
                    }
                    let run = Run { arguments, input, variables: self.variables(part.len()) };
                    self.run(run, part.len(), receipts).await?;
                }
                Err(refused) if part.len() < 2 => {
                    receipts.push(Receipt::Never { reason: refused.into_reason() })
                }
                Err(_) => {
                    let (first, second) = part.split_at(part.len() / 2);
                    parts.extend([second, first]);
                }
            }
        }
        Ok(())
    }

    /// One run, whose result is that of all its events.
    async fn run(&self, run: Run, events: usize, receipts: &mut Vec<Receipt>) -> Result<(), Failure> {
        let receipt = match Child::start(&run, &self.hidden)? {
            Ok(child) => child.finish(run.input, self.timeout).await?,
            Err(refused) => Err(Receipt::Never { reason: refused.into_reason() }),
        };
        let Err(receipt) = receipt else {
            self.failing.store(0, Ordering::Relaxed);
            receipts.extend(std::iter::repeat_n(Receipt::Done, events));
            return Ok(());
        };
        let reason = match &receipt {
            Receipt::Again { reason, .. } => reason.clone(),
            // What cannot be an argument says nothing about the command.
            _ => {
                receipts.extend(std::iter::repeat_n(receipt, events));
                return Ok(());
            }
        };
        receipts.extend(std::iter::repeat_n(receipt, events));
        // The runtime waits, so that the pause is over when it asks again: the count begins anew.
        if self.failing.fetch_add(1, Ordering::Relaxed) + 1 < FAILING_RUNS {
            return Ok(());
        }
        self.failing.store(0, Ordering::Relaxed);
        let cause =
            format!("{FAILING_RUNS} runs of the command failed one after the other, the last: {reason}");
        Err(Failure::text(Class::Upstream, cause).wait(Some(PAUSE)))
    }

    /// What any run finds in its environment.
    fn variables(&self, events: usize) -> Vec<(&'static str, String)> {
        vec![("INBOXCLAW_SINK", self.name.clone()), ("INBOXCLAW_EVENTS", events.to_string())]
    }

    /// What a run for one event finds there.
    fn variables_of(&self, delivery: &Delivery) -> Vec<(&'static str, String)> {
        let event = &delivery.event;
        let mut variables = self.variables(1);
        variables.extend([
            ("INBOXCLAW_EVENT_SEQ", event.seq.0.to_string()),
            ("INBOXCLAW_EVENT_ID", event.event_id.clone()),
            ("INBOXCLAW_EVENT_TYPE", event.event_type.clone()),
            ("INBOXCLAW_EVENT_SOURCE", event.source_name.clone()),
            ("INBOXCLAW_EVENT_MESSAGE_ID", delivery.message_id()),
            ("INBOXCLAW_EVENT_ATTEMPT", delivery.attempt.to_string()),
        ]);
        variables.extend(event.entity_id.clone().map(|entity| ("INBOXCLAW_EVENT_ENTITY", entity)));
        // No variable can hold a zero byte, nor one of the length of an argument's limit: the event has it in its text.
        variables.retain(|(_, value)| !value.contains('\0') && value.len() < value::ARGUMENT_BYTES / 2);
        variables
    }
}
