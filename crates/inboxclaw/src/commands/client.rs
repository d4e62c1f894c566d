//! The HTTP client of the commands: who is asked, and with which token.
//!
//! On this machine that is the program that holds the database, which its lock and its run file tell and which proves
//! itself first: at its address somebody else may listen by now. Nobody else is told a token or believed. Paths go out
//! exactly as they are written: a general client would tidy up keys such as `..`.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs, UdpSocket};
use std::path::Path;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::http::header::{AUTHORIZATION, HOST};
use axum::http::{HeaderName, HeaderValue, Method, Request, Response};
use futures_util::StreamExt as _;
use futures_util::stream::unfold;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use inboxclaw_config::Config;
use inboxclaw_server::guard::USER;
use inboxclaw_server::proof;
use inboxclaw_store::RunFile;
use inboxclaw_store::lock::Lock;
use reqwest::Url;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::failed::Failed;
use crate::outside;

/// How long a whole answer may take that is short by nature.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);
/// How long an answer may take to begin: a little more than the server gives itself.
pub(super) const BEGIN: Duration = Duration::from_secs(70);

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(2);
/// How long the program may take to prove itself. One that hangs does not.
const PROVE: Duration = Duration::from_secs(5);
/// How long nothing may come of an answer that has begun. A stream says every 15 seconds that it is there.
const SILENCE: Duration = Duration::from_secs(60);

/// A running program, as seen from a command.
pub(super) struct Client {
    base: Url,
    whom: Whom,
}

/// Who is asked.
#[derive(Debug, PartialEq, Eq)]
enum Whom {
    /// The program that holds the database here, with the token of its run.
    Program(String),
    /// A program on another machine, with the token of the configuration.
    Elsewhere(Option<String>),
    /// Nobody, and why.
    Nobody(String),
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
    /// The program that runs with this configuration: the one that holds its database here, or the one at the configured
    /// address where that is another machine's.
    pub(super) fn new(config: &Config) -> Result<Self, Failed> {
        let server = &config.server;
        let configured = || format!("{}:{}", reachable(&server.host), server.port);
        let (address, whom) = match running(&config.database.path) {
            Ok(run) => (address(&run), Whom::Program(run.token)),
            Err(_) if !is_here(&server.host) => (configured(), Whom::Elsewhere(server.token.clone())),
            Err(why) => (configured(), Whom::Nobody(why)),
        };
        let base = Url::parse(&format!("http://{address}/"));
        let base = base.map_err(|error| {
            Failed::plain(format!("server.host {:?} makes no address: {error}", server.host))
        })?;
        Ok(Self { base, whom })
    }

    /// The program that runs on a database here, if one does.
    pub(super) fn of_running(database: &Path) -> Option<Self> {
        let run = running(database).ok()?;
        let base = Url::parse(&format!("http://{}/", address(&run))).ok()?;
        Some(Self { base, whom: Whom::Program(run.token) })
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
    pub(super) async fn fetch(
        &self,
        method: Method,
        url: &Url,
        limit: Duration,
    ) -> Result<Answer, Unreachable> {
        let whole = async {
            let response = self.send(request(method, url)?, limit).await?;
            let status = response.status().as_u16();
            let body = to_bytes(response.into_body(), usize::MAX).await;
            let body = body.map_err(|error| broken(&error))?;
            Ok(Answer { status, body: String::from_utf8_lossy(&body).into_owned() })
        };
        within(limit, whole).await
    }

    /// Asks, and returns with the head of the answer, which must come within `limit`. Its body breaks off when nothing
    /// of it comes for too long.
    pub(super) async fn send(
        &self,
        mut request: Request<Body>,
        limit: Duration,
    ) -> Result<Response<Body>, Unreachable> {
        let mut sender = self.connect().await?;
        let token = match &self.whom {
            Whom::Program(token) => Some(token),
            Whom::Elsewhere(token) => token.as_ref(),
            Whom::Nobody(why) => return Err(Unreachable(why.clone())),
        };
        let headers = request.headers_mut();
        headers.insert(HOST, self.host()?);
        if let Some(token) = token {
            headers.insert(AUTHORIZATION, header(&format!("Bearer {token}"))?);
        }
        if matches!(self.whom, Whom::Program(_))
            && let Ok(user) = HeaderValue::from_bytes(outside::user().as_bytes())
        {
            headers.insert(HeaderName::from_static(USER), user);
        }
        let answer = async { sender.send_request(request).await.map_err(|error| broken(&error)) };
        Ok(within(limit, answer).await?.map(|body| bounded(Body::new(body))))
    }

    /// Whether the program is there and proves itself.
    pub(super) async fn answers(&self) -> bool {
        self.connect().await.is_ok()
    }

    /// A connection to who is meant. On this machine the program has proved itself on it.
    async fn connect(&self) -> Result<SendRequest<Body>, Unreachable> {
        if let Whom::Nobody(why) = &self.whom {
            return Err(Unreachable(why.clone()));
        }
        let refused = |error: &dyn std::fmt::Display| Unreachable(format!("cannot connect: {error}"));
        let (host, port) = (self.base.host_str().unwrap_or_default(), self.base.port().unwrap_or(80));
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let stream = timeout(CONNECT, TcpStream::connect((host, port))).await;
        let stream = stream.map_err(|error| refused(&error))?.map_err(|error| refused(&error))?;
        let (mut sender, connection) =
            handshake(TokioIo::new(stream)).await.map_err(|error| broken(&error))?;
        // It ends with the answer; what goes wrong shows there.
        drop(tokio::spawn(connection));
        if let Whom::Program(token) = &self.whom {
            within(PROVE, self.prove(&mut sender, token)).await?;
        }
        Ok(sender)
    }

    /// Has the other side prove that it wrote the run file.
    async fn prove(&self, sender: &mut SendRequest<Body>, token: &str) -> Result<(), Unreachable> {
        let challenge = outside::token();
        let request =
            Request::get(proof::PATH).header(HOST, self.host()?).header(proof::CHALLENGE, &challenge);
        let request = request.body(Body::empty()).map_err(|error| broken(&error))?;
        let response = sender.send_request(request).await.map_err(|error| broken(&error))?;
        let (head, body) = response.into_parts();
        // The connection is free for the next request only when this answer is read.
        to_bytes(Body::new(body), 64 << 10).await.map_err(|error| broken(&error))?;
        let proof = head.headers.get(proof::PROOF).and_then(|proof| proof.to_str().ok());
        if !proof.is_some_and(|proof| proof::is_proof(token, &challenge, proof)) {
            let why = "somebody else answers there, not the program that holds the database: they were told nothing";
            return Err(Unreachable(why.to_owned()));
        }
        sender.ready().await.map_err(|error| broken(&error))
    }

    fn host(&self) -> Result<HeaderValue, Unreachable> {
        header(self.base.authority())
    }
}

/// A request without a body.
pub(super) fn request(method: Method, url: &Url) -> Result<Request<Body>, Unreachable> {
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    let path = format!("{}{query}", url.path());
    let request = Request::builder().method(method).uri(path).body(Body::empty());
    request.map_err(|error| broken(&error))
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

/// The run file of the program that holds a database, or why there is none. The lock comes first: without it the file is
/// what a killed process left behind. Whoever takes the lock removes such a file.
pub(super) fn running(database: &Path) -> Result<RunFile, String> {
    let shown = database.display();
    let nobody = || format!("no program runs with {shown} here; `inboxclaw listen` starts it");
    let resolved = inboxclaw_store::resolved(database).map_err(|_| nobody())?;
    if !Lock::is_held(&resolved) {
        return Err(nobody());
    }
    let run = RunFile::read(&resolved).map_err(|error| format!("the run file of {shown}: {error}"))?;
    run.ok_or_else(|| format!("{shown} is in use by a process that does not serve, or not yet"))
}

/// Whether a program that listens on `host` is, or would be, on this machine.
fn is_here(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let Ok(mut addresses) = (host, 0).to_socket_addrs() else { return true };
    addresses.any(|address| {
        let ip = address.ip();
        // Only an address of this machine can be bound.
        ip.is_loopback() || ip.is_unspecified() || UdpSocket::bind((ip, 0)).is_ok()
    })
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

/// A body that breaks off when nothing of it comes for too long.
fn bounded(body: Body) -> Body {
    Body::from_stream(unfold(Some(body.into_data_stream()), |pieces| async move {
        let mut pieces = pieces?;
        let piece: Result<Bytes, io::Error> = match timeout(SILENCE, pieces.next()).await {
            Ok(None) => return None,
            Ok(Some(Ok(piece))) => return Some((Ok(piece), Some(pieces))),
            Ok(Some(Err(error))) => Err(io::Error::other(error)),
            Err(_) => {
                let silent = format!("nothing came for {} s", SILENCE.as_secs());
                Err(io::Error::new(io::ErrorKind::TimedOut, silent))
            }
        };
        Some((piece, None))
    }))
}

async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, Unreachable>>,
) -> Result<T, Unreachable> {
    match timeout(limit, work).await {
        Ok(done) => done,
        Err(_) => Err(Unreachable(format!("no answer within {} s", limit.as_secs_f64()))),
    }
}

fn header(text: &str) -> Result<HeaderValue, Unreachable> {
    HeaderValue::from_str(text).map_err(|error| broken(&error))
}

fn broken(error: &dyn std::fmt::Display) -> Unreachable {
    Unreachable(format!("the connection broke: {error}"))
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
    fn only_what_holds_the_database_is_asked_here_and_only_another_machine_by_its_address() {
        let origin = crate::commands::configuration::watching(Path::new("/tmp"), None).ok().unwrap();
        let mut config = crate::commands::configuration::load(&origin).ok().unwrap();
        let folder = tempfile::tempdir().unwrap();
        config.database.path = folder.path().join("a.db");
        config.server.token = Some("configured".to_owned());
        let run = RunFile { pid: 1, address: "0.0.0.0:9".to_owned(), token: "run".to_owned() };
        let _published = run.publish(&config.database.path).unwrap();
        let asked = |config: &Config| {
            let client = Client::new(config).ok().unwrap();
            (client.base.to_string(), client.whom)
        };
        for host in ["127.0.0.1", "0.0.0.0", "localhost", "[::1]"] {
            config.server.host = host.to_owned();
            assert!(matches!(asked(&config).1, Whom::Nobody(_)), "{host}: a file that was left behind");
        }
        // A network for documentation: no machine has such an address.
        config.server.host = "192.0.2.7".to_owned();
        let elsewhere = Whom::Elsewhere(Some("configured".to_owned()));
        assert_eq!(asked(&config), ("http://192.0.2.7:8000/".to_owned(), elsewhere));
        let lock = Lock::take(&config.database.path).unwrap();
        assert_eq!(asked(&config), ("http://127.0.0.1:9/".to_owned(), Whom::Program("run".to_owned())));
        drop(lock);
    }

    #[test]
    fn an_empty_last_part_keeps_its_slash() {
        assert_eq!(segments("inbox", "extract"), ["inbox", "extract"]);
        assert_eq!(segments("inbox", "/v1/take"), ["inbox", "v1", "take"]);
        assert_eq!(segments("sse", ""), ["sse", ""]);
    }
}
