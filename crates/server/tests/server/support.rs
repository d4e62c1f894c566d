//! A store in a folder of its own with one source, a server on a free port, and a client that speaks plain TCP.

use std::any::Any;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use inboxclaw_contract::turn::TurnId;
use inboxclaw_contract::{Editable, Json, NewEvent, OpenTurn, Owner, OwnerId, Random, Seq, StartAt, Store};
use inboxclaw_contract_testing::HandClock;
use inboxclaw_runtime::pull::PullSink;
use inboxclaw_runtime::{LatencyStats, OwnerStats};
use inboxclaw_server::pull::Paths;
use inboxclaw_server::sse::{self, SseSink};
use inboxclaw_server::states::Waker;
use inboxclaw_server::{self as serve, App, Bounds, ServeError, ServerSettings, Vitals};
use inboxclaw_settings::{Patterns, Ttl};
use inboxclaw_store::{Durability, Options, SqliteStore};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Different numbers, the same in each run.
#[derive(Default)]
pub(crate) struct Numbers(AtomicU64);

impl Random for Numbers {
    fn next(&self) -> u128 {
        let number = u128::from(self.0.fetch_add(1, Ordering::Relaxed) + 1);
        number.wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835)
    }
}

/// Who was woken, in order.
#[derive(Default)]
pub(crate) struct Woken(Mutex<Vec<Owner>>);

impl Woken {
    /// Those since the last time.
    pub(crate) fn take(&self) -> Vec<Owner> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

#[async_trait]
impl Waker for Woken {
    async fn edit_permit(&self, _: &Owner) -> Box<dyn Any + Send> {
        Box::new(())
    }

    fn wake(&self, owner: &Owner) {
        self.0.lock().unwrap().push(owner.clone());
    }
}

/// A store with one source.
pub(crate) struct Inbox {
    pub(crate) store: Arc<dyn Store>,
    /// The same one.
    pub(crate) states: Arc<dyn Editable>,
    pub(crate) woken: Arc<Woken>,
    pub(crate) clock: Arc<HandClock>,
    pub(crate) random: Arc<Numbers>,
    pub(crate) source: OwnerId,
    emitted: AtomicU64,
    _folder: tempfile::TempDir,
}

impl Inbox {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let now = "2026-11-22T06:46:26.063532Z".parse().unwrap();
        let clock = HandClock::at(now);
        // No test pulls the plug.
        let options = Options { durability: Durability::Normal, ..Options::new(clock.clone()) };
        let store = SqliteStore::open(&folder.path().join("inbox.db"), options).unwrap();
        let states = Arc::new(store);
        let store: Arc<dyn Store> = states.clone();
        let source = store.register(&Owner::source("s"), "test").await.unwrap();
        Self {
            store,
            states,
            woken: Arc::default(),
            clock,
            random: Arc::default(),
            source,
            emitted: AtomicU64::new(0),
            _folder: folder,
        }
    }

    /// Emits one event of each type, in one turn; returns their places.
    pub(crate) async fn emit(&self, types: &[&str]) -> Vec<Seq> {
        self.emit_with(types, json!({})).await
    }

    pub(crate) async fn emit_with(&self, types: &[&str], data: Value) -> Vec<Seq> {
        let before = self.store.head().await.unwrap();
        let turn_id = TurnId(self.random.next());
        let mut draft = OpenTurn::open(self.store.as_ref(), self.source, turn_id).await.unwrap();
        for kind in types {
            let number = self.emitted.fetch_add(1, Ordering::Relaxed);
            draft.emit(NewEvent::new(format!("e{number}"), *kind, Json::from_value(&data).unwrap())).unwrap();
        }
        draft.commit().await.unwrap();
        let after = self.store.head().await.unwrap();
        assert_eq!(after.0 - before.0, types.len() as i64, "seqs without gaps");
        (before.0 + 1..=after.0).map(Seq).collect()
    }

    pub(crate) async fn pull_sink(&self, name: &str, settings: Value) -> Arc<PullSink> {
        self.pull_sink_from(name, Patterns::default(), StartAt::All, settings).await
    }

    /// A pull sink with the addresses that its settings say.
    pub(crate) async fn pull_route(&self, name: &str, settings: Value) -> (Arc<PullSink>, Paths) {
        let paths = settings.get("path").map(|path| serde_json::from_value(path.clone()).unwrap());
        let paths = paths.unwrap_or_default();
        (self.pull_sink(name, settings).await, paths)
    }

    /// A pull sink that takes these types and begins there.
    pub(crate) async fn pull_sink_from(
        &self,
        name: &str,
        patterns: Patterns,
        start: StartAt,
        settings: Value,
    ) -> Arc<PullSink> {
        let default = serde_json::from_value(settings["default_ttl"].clone()).unwrap();
        let by_type: Option<_> = serde_json::from_value(settings["event_ttl"].clone()).unwrap();
        let ttl = Ttl { default, by_type: by_type.unwrap_or_default() };
        let ttl = Some(ttl).filter(|_| settings["ttl_enabled"] != json!(false));
        let format: Option<_> = serde_json::from_value(settings["format"].clone()).unwrap();
        let sink = PullSink::register(self.store.as_ref(), name, patterns, start, ttl).await;
        Arc::new(sink.unwrap().written_as(format.unwrap_or_default()))
    }

    /// A server with the pull sink `inbox` and the SSE sink `live`.
    pub(crate) async fn serve(&self) -> Running {
        self.serve_with(|_| {}).await
    }

    pub(crate) async fn serve_with(&self, change: impl FnOnce(&mut App)) -> Running {
        let live = SseSink::new("live", Patterns::default(), sse::Settings::default());
        let mut app = App {
            store: self.store.clone(),
            states: self.states.clone(),
            configured: Vec::new(),
            waker: self.woken.clone(),
            settings: ServerSettings { port: 0, ..ServerSettings::default() },
            pulls: vec![(self.pull_sink("inbox", json!({})).await, Paths::default())],
            streams: vec![Arc::new(live)],
            vitals: Arc::new(Well(200)),
            clock: self.clock.clone(),
            random: self.random.clone(),
            run_token: None,
            bounds: Bounds::default(),
        };
        change(&mut app);
        let listener = serve::bind(&app.settings).unwrap();
        let address = listener.address();
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(serve::serve(listener, app, shutdown.clone()));
        Running { address, shutdown, task }
    }
}

/// Vitals that answer with that status.
pub(crate) struct Well(pub(crate) u16);

impl Vitals for Well {
    fn health(&self) -> (u16, Value) {
        (self.0, json!({ "status": if self.0 == 200 { "healthy" } else { "unhealthy" } }))
    }

    fn owners(&self) -> Vec<OwnerStats> {
        let name = "s \"quoted\"".to_owned();
        let source = OwnerStats {
            owner: Owner::source(name),
            turns: 3,
            conflicts: 1,
            failures: 2,
            stored: 5,
            known: 4,
            delivered: 0,
            again: 0,
            dead: 0,
            undecided: 0,
            latency: LatencyStats::default(),
        };
        let latency = LatencyStats { buckets: [0, 2, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 1], seconds: 90_000.5 };
        let sink = OwnerStats {
            owner: Owner::sink("hook"),
            delivered: 7,
            again: 6,
            dead: 1,
            latency,
            ..source.clone()
        };
        vec![source, sink]
    }

    fn store_commits(&self) -> u64 {
        17
    }
}

/// A server that runs.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) shutdown: CancellationToken,
    pub(crate) task: JoinHandle<Result<(), ServeError>>,
}

impl Running {
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.request("GET", path, &[]).await
    }

    /// One request on a connection of its own, with the right `Host` unless the headers name one.
    pub(crate) async fn request(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.exchange(method, path, headers, "").await
    }

    /// The same with a body behind the head; its headers are the caller's.
    pub(crate) async fn exchange(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let mut head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            head.push_str(&format!("Host: {}\r\n", self.address));
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let (mut read, mut write) = TcpStream::connect(self.address).await.unwrap().into_split();
        let request = format!("{head}\r\n{body}");
        // A server that has said no need not read the rest.
        let send = async { write.write_all(request.as_bytes()).await.is_ok() };
        let mut raw = Vec::new();
        let receive = async {
            let _ = read.read_to_end(&mut raw).await;
        };
        tokio::join!(send, receive);
        Answer::of(&raw)
    }

    /// A connection with these bytes sent.
    pub(crate) async fn send(&self, bytes: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(bytes.as_bytes()).await.unwrap();
        stream
    }

    /// Opens an SSE stream; what it says comes without the chunks around it.
    pub(crate) async fn stream(&self, path: &str, headers: &str) -> Stream {
        let head = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n{headers}\r\n", self.address);
        let mut stream = Stream { tcp: self.send(&head).await, raw: Vec::new(), text: String::new() };
        while !contains(&stream.raw, b"\r\n\r\n") {
            assert!(stream.read().await, "no answer");
        }
        let end = stream.raw.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap() + 4;
        let head: Vec<u8> = stream.raw.drain(..end).collect();
        stream.text = String::new();
        stream.unchunk();
        assert!(head.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&head));
        stream
    }
}

/// An answer, with chunks put together.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn of(raw: &[u8]) -> Self {
        let end = raw.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("a head");
        let head = String::from_utf8(raw[..end].to_vec()).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let pairs = lines.map(|line| line.split_once(": ").unwrap());
        let headers: HashMap<_, _> = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let mut body = raw[end + 4..].to_vec();
        if headers.get("transfer-encoding").is_some_and(|coding| coding == "chunked") {
            let mut whole = Vec::new();
            while let Some(chunk) = take_chunk(&mut body) {
                whole.extend(chunk);
            }
            body = whole;
        }
        Self { status, headers, body: String::from_utf8(body).unwrap() }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// An open SSE stream.
pub(crate) struct Stream {
    tcp: TcpStream,
    raw: Vec<u8>,
    text: String,
}

impl Stream {
    /// The next whole message with its empty line; `None` at the end of the stream.
    pub(crate) async fn message(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.text.find("\r\n\r\n") {
                let rest = self.text.split_off(end + 4);
                return Some(std::mem::replace(&mut self.text, rest));
            }
            if !self.read().await {
                return None;
            }
            self.unchunk();
        }
    }

    /// The id of the next event; other messages are passed over.
    pub(crate) async fn event(&mut self) -> Option<i64> {
        loop {
            let message = self.message().await?;
            let id = message.strip_prefix("id: ").and_then(|rest| rest.split_once("\r\nevent: message\r\n"));
            if let Some((id, _)) = id {
                return Some(id.parse().unwrap());
            }
        }
    }

    async fn read(&mut self) -> bool {
        // A reset is an end, too: the server may cut a client that takes nothing.
        matches!(self.tcp.read_buf(&mut self.raw).await, Ok(read) if read > 0)
    }

    fn unchunk(&mut self) {
        while let Some(chunk) = take_chunk(&mut self.raw) {
            self.text.push_str(&String::from_utf8(chunk).unwrap());
        }
    }
}

/// Takes one whole chunk off the front; `None` when there is none, also at the last, empty one.
fn take_chunk(raw: &mut Vec<u8>) -> Option<Vec<u8>> {
    let line = raw.windows(2).position(|bytes| bytes == b"\r\n")?;
    let length = usize::from_str_radix(std::str::from_utf8(&raw[..line]).unwrap(), 16).unwrap();
    if length == 0 || raw.len() < line + 2 + length + 2 {
        return None;
    }
    let chunk = raw[line + 2..line + 2 + length].to_vec();
    raw.drain(..line + 2 + length + 2);
    Some(chunk)
}

fn contains(raw: &[u8], wanted: &[u8]) -> bool {
    raw.windows(wanted.len()).any(|bytes| bytes == wanted)
}
