//! One child process: started in a group of its own, fed, read, limited in time, and never left behind.

use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use futures_util::future::maybe_done;
use inboxclaw_contract::{Class, Failure, Receipt, printable};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::value::Refused;

/// How long a command that took too long has between being asked to end and being killed.
const GRACE: Duration = Duration::from_secs(5);
/// How long the outputs are read after the command ended. Something that it left in the background may hold them open.
const AFTERWARDS: Duration = Duration::from_millis(200);
/// How much of the end of the error output a reason shows.
const SHOWN_BYTES: usize = 1_000;

/// What is run.
pub(super) struct Run {
    /// The program and its arguments.
    pub(super) arguments: Vec<String>,
    /// What it reads.
    pub(super) input: String,
    /// What it finds in its environment besides what this program has.
    pub(super) variables: Vec<(&'static str, String)>,
}

/// A process that runs. Dropped, it is killed together with all that it started.
pub(super) struct Child {
    process: tokio::process::Child,
    /// The group, as long as its first process was not waited for: until then no other process can have its number.
    group: Option<Pid>,
}

impl Drop for Child {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

impl Child {
    /// Starts a command.
    ///
    /// # Errors
    /// When it cannot be started, whatever the event. What only this event is to blame for is the inner error.
    pub(super) fn start(run: &Run, hidden: &[String]) -> Result<Result<Self, Refused>, Failure> {
        let Some((program, arguments)) = run.arguments.split_first() else {
            return Err(Failure::text(Class::Configuration, "command names no program"));
        };
        let mut command = tokio::process::Command::new(program);
        command.args(arguments).process_group(0).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        for name in hidden {
            command.env_remove(name);
        }
        command.envs(run.variables.iter().map(|(name, value)| (name, value)));
        match command.spawn() {
            Ok(process) => {
                let group = process.id().and_then(|id| Pid::from_raw(id.try_into().ok()?));
                Ok(Ok(Self { process, group }))
            }
            Err(error) if Errno::from_io_error(&error) == Some(Errno::TOOBIG) => Ok(Err(Refused::TooLong(
                "the arguments and the environment of the command are too long together; take the event from standard \
                 input"
                    .to_owned(),
            ))),
            Err(error) => Err(not_started(program, error)),
        }
    }

    /// Feeds it, and waits until it ended or the time is over. The error says why its events failed.
    ///
    /// # Errors
    /// When nothing can be learnt about it.
    pub(super) async fn finish(
        mut self,
        input: String,
        limit: Duration,
    ) -> Result<Result<(), Receipt>, Failure> {
        let (stdin, stdout, stderr) =
            (self.process.stdin.take(), self.process.stdout.take(), self.process.stderr.take());
        let mut errors = Tail::default();
        let ended = {
            let feeding = async {
                if let Some(mut stdin) = stdin {
                    // Who does not read to the end has read enough.
                    let _ = stdin.write_all(input.as_bytes()).await;
                }
            };
            let mut output = Tail::default();
            // All three at once: a child that waits for us to read it does not read us.
            let talk = maybe_done(async {
                tokio::join!(feeding, output.fill(stdout), errors.fill(stderr));
            });
            tokio::pin!(talk);
            let running = async {
                tokio::select! {
                    status = self.process.wait() => status,
                    () = &mut talk => self.process.wait().await,
                }
            };
            let ended = timeout(limit, running).await;
            match &ended {
                Ok(_) => {
                    self.group = None;
                    let _ = timeout(AFTERWARDS, talk).await;
                }
                Err(_) => {
                    self.signal(Signal::TERM);
                    // All of the group that matter have ended when nobody holds the outputs any more. The process is not
                    // waited for before the last signal, so that the number of the group is still its own.
                    let _ = timeout(GRACE, talk).await;
                    self.signal(Signal::KILL);
                }
            }
            ended
        };
        let reason = match ended {
            Ok(Ok(status)) if status.success() => return Ok(Ok(())),
            Ok(Ok(status)) => ending(status),
            Ok(Err(error)) => return Err(Failure::internal(error)),
            Err(_) => {
                let _ = self.process.wait().await;
                self.group = None;
                format!("did not end within {} s and was stopped", limit.as_secs_f64())
            }
        };
        Ok(Err(Receipt::Again { wait: None, reason: format!("{reason}{}", errors.shown()) }))
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            // It may have ended by itself.
            let _ = kill_process_group(group, signal);
        }
    }
}

/// The program cannot be run at all, or this machine cannot start anything now.
fn not_started(program: &str, error: io::Error) -> Failure {
    let class = match Errno::from_io_error(&error) {
        Some(Errno::AGAIN | Errno::NOMEM | Errno::MFILE | Errno::NFILE | Errno::TXTBSY) => Class::Unavailable,
        _ => Class::Configuration,
    };
    let cause = format!("cannot start {}", printable(program));
    Failure::new(class, anyhow::Error::new(error).context(cause)).action("check `command` of the sink")
}

fn ending(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => "ended in an unknown way".to_owned(),
    }
}

/// The end of an output; what came before is read and dropped.
#[derive(Default)]
struct Tail(Vec<u8>);

impl Tail {
    async fn fill(&mut self, output: Option<impl AsyncRead + Unpin>) {
        let Some(mut output) = output else { return };
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = output.read(&mut buffer).await {
            self.0.extend_from_slice(buffer.get(..length).unwrap_or_default());
            let surplus = self.0.len().saturating_sub(SHOWN_BYTES);
            self.0.drain(..surplus);
        }
    }

    /// The text behind a reason.
    fn shown(&self) -> String {
        let text = String::from_utf8_lossy(&self.0);
        let text = text.trim_start_matches(char::REPLACEMENT_CHARACTER).trim();
        if text.is_empty() { String::new() } else { format!(": {}", printable(text)) }
    }
}
