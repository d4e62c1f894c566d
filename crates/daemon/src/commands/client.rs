//! The HTTP client of the commands that ask a running program, and where that program is.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use inboxclaw_store::RunFile;
use reqwest::{Client as Http, Method, Response, Url};
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

use super::Failed;
use crate::config::Config;

/// How long an answer may take.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);

/// A running program, as seen from a command.
pub(super) struct Client {
    http: Http,
    base: Url,
    token: Option<String>,
}

/// An answer.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: String,
}

/// Nobody answered, or not in time.
#[derive(Debug)]
pub(super) struct Unreachable(pub(super) String);

impl Client {
    /// The program that runs with this configuration: where its run file says that it is, or else at the configured
    /// address.
    pub(super) fn new(config: &Config) -> Result<Self, Failed> {
        let (address, token) = whom(config, run_file(&config.database.path));
        let base = Url::parse(&format!("http://{address}/"));
        let base = base.map_err(|error| {
            Failed::plain(format!("server.host {:?} makes no address: {error}", config.server.host))
        })?;
        // An error means that a provider is installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = Http::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build();
        let http = http.map_err(|error| Failed::plain(format!("cannot make an HTTP client: {error}")))?;
        Ok(Self { http, base, token })
    }

    /// The address of a path, given in segments that need no escaping.
    pub(super) fn url(&self, segments: &[&str], query: &[(&str, String)]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.clear().extend(segments);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    /// Asks, and waits for the whole answer.
    pub(super) async fn ask(
        &self,
        method: Method,
        url: Url,
        timeout: Duration,
    ) -> Result<Answer, Unreachable> {
        let request = async {
            let response = self.send(method, url).await?;
            let status = response.status().as_u16();
            Ok(Answer { status, body: response.text().await.map_err(|error| Unreachable(chain(&error)))? })
        };
        match tokio::time::timeout(timeout, request).await {
            Ok(answer) => answer,
            Err(_) => Err(Unreachable(format!("no answer within {} s", timeout.as_secs_f64()))),
        }
    }

    /// Asks, and returns with the head of the answer.
    pub(super) async fn send(&self, method: Method, url: Url) -> Result<Response, Unreachable> {
        let mut request = self.http.request(method, url);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        request.send().await.map_err(|error| Unreachable(chain(&error)))
    }
}

/// Runs a command that waits for answers.
pub(super) fn block_on<T>(work: impl Future<Output = Result<T, Failed>>) -> Result<T, Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Failed::plain(format!("cannot start: {error}")))?.block_on(work)
}

/// The last parts of an address, as path segments.
pub(super) fn segments<'a>(name: &'a str, suffix: &'a str) -> Vec<&'a str> {
    let mut segments = vec![name];
    segments.extend(suffix.trim_start_matches('/').split('/'));
    segments
}

/// Where the program that runs on a database listens, and the token of its run.
pub(super) fn running(database: &Path) -> Option<(String, String)> {
    let run = run_file(database)?;
    Some((address(&run), run.token))
}

/// The run file of a database, if the process that wrote it is there.
fn run_file(database: &Path) -> Option<RunFile> {
    let database = inboxclaw_store::resolved(database);
    database.and_then(|database| RunFile::read(&database)).ok().flatten().filter(lives)
}

/// Whether the process that wrote the file is there. A file that a killed process left behind says nothing, not even
/// when its number is ours by now, as in a container.
fn lives(run: &RunFile) -> bool {
    let pid = i32::try_from(run.pid).ok().and_then(Pid::from_raw);
    // Permission is looked at only where there is a process.
    run.pid != std::process::id()
        && pid.is_some_and(|pid| !matches!(test_kill_process(pid), Err(Errno::SRCH)))
}

/// Whom to ask, and the token to say. The token of a run is for that run alone: at any other address somebody else
/// may listen.
fn whom(config: &Config, run: Option<RunFile>) -> (String, Option<String>) {
    let server = &config.server;
    match run {
        Some(run) => (address(&run), Some(run.token)),
        None => (format!("{}:{}", reachable(&server.host), server.port), server.token.clone()),
    }
}

/// The address under which this machine reaches the program that wrote the file.
fn address(run: &RunFile) -> String {
    match run.address.parse::<SocketAddr>() {
        Ok(at) => format!("{}:{}", reachable(&at.ip().to_string()), at.port()),
        Err(_) => run.address.clone(),
    }
}

/// The address under which this machine reaches what listens on `host`.
fn reachable(host: &str) -> String {
    match host {
        "0.0.0.0" => "127.0.0.1".to_owned(),
        "::" | "[::]" => "[::1]".to_owned(),
        ip6 if ip6.contains(':') && !ip6.starts_with('[') => format!("[{ip6}]"),
        other => other.to_owned(),
    }
}

/// An error with its causes, without the address, which the message around it names.
fn chain(error: &reqwest::Error) -> String {
    let mut text =
        if error.is_connect() { "cannot connect".to_owned() } else { "the connection broke".to_owned() };
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if error.source().is_none() {
            // Writing to a string cannot fail.
            let _ = write!(text, ": {error}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_can_be_reached_from_here() {
        for (host, reached) in [
            ("0.0.0.0", "127.0.0.1"),
            ("::", "[::1]"),
            ("fe80::1", "[fe80::1]"),
            ("[::1]", "[::1]"),
            ("inbox.example.org", "inbox.example.org"),
        ] {
            assert_eq!(reachable(host), reached);
        }
    }

    #[test]
    fn the_token_of_a_run_goes_to_that_run_only() {
        let origin = crate::commands::place::watching(std::path::Path::new("/tmp")).ok().unwrap();
        let mut config = crate::commands::place::load(&origin).ok().unwrap();
        config.server.token = Some("configured".to_owned());
        let run = |address: &str, pid| RunFile { pid, address: address.to_owned(), token: "run".to_owned() };
        let to = |address: &str, token: &str| (address.to_owned(), Some(token.to_owned()));
        assert_eq!(whom(&config, Some(run("127.0.0.1:9", 1))), to("127.0.0.1:9", "run"));
        assert_eq!(whom(&config, Some(run("0.0.0.0:9", 1))), to("127.0.0.1:9", "run"));
        assert_eq!(whom(&config, Some(run("[::]:9", 1))), to("[::1]:9", "run"));
        assert_eq!(whom(&config, None), to("127.0.0.1:8000", "configured"));
        assert!(lives(&run("", 1)));
        assert!(!lives(&run("", std::process::id())), "a left-over with a number that is given again");
        let mut ended = std::process::Command::new("true").spawn().unwrap();
        let pid = ended.id();
        ended.wait().unwrap();
        assert!(!lives(&run("", pid)), "a left-over of a killed process");
    }

    #[test]
    fn an_empty_last_part_keeps_its_slash() {
        assert_eq!(segments("inbox", "extract"), ["inbox", "extract"]);
        assert_eq!(segments("inbox", "/v1/take"), ["inbox", "v1", "take"]);
        assert_eq!(segments("sse", ""), ["sse", ""]);
    }
}
