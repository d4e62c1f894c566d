//! How much the server takes on.

use std::time::Duration;

/// How much the server takes on, and how long it waits. The defaults suit everything but tests.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// Most connections at a time. For a further one the longest idle one is closed; while all are busy it waits. A
    /// client that is not on this machine has at most half of them.
    pub connections: usize,
    /// Most open streams of events. For a further one the client that has the most gives one up if that is fair, else
    /// it is refused with 503.
    pub streams: usize,
    /// Most batches of pull sinks in memory, and as many again of those asked for by a small size; more wait.
    pub batches: usize,
    /// Most bytes of data and meta in a page of `/api/events`; one event is given even when it is larger.
    pub page_bytes: usize,
    /// Most bytes of a request's head.
    pub head_bytes: usize,
    /// Most bytes of a request's body, where a route does not say otherwise.
    pub body_bytes: u64,
    /// How long a request's head may take, also on a connection that is kept open.
    pub head_timeout: Duration,
    /// How long an answer may take to begin.
    pub answer_timeout: Duration,
    /// How long a client may take nothing of what is sent to it, or send nothing of a body that is read.
    pub stall_timeout: Duration,
    /// How long answers under way may still take at shutdown.
    pub grace: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connections: 1024,
            streams: 512,
            batches: 8,
            page_bytes: 64 << 20,
            head_bytes: 32 << 10,
            body_bytes: 1 << 20,
            head_timeout: Duration::from_secs(15),
            answer_timeout: Duration::from_secs(60),
            stall_timeout: Duration::from_secs(30),
            grace: Duration::from_secs(3),
        }
    }
}

impl Bounds {
    /// The same bounds with connections that leave half of `files` to everything else; `None` is no limit.
    #[must_use]
    pub fn within(mut self, files: Option<u64>) -> Self {
        let half = files.map_or(usize::MAX, |files| usize::try_from(files / 2).unwrap_or(usize::MAX)).max(1);
        self.connections = self.connections.min(half);
        // Streams stay open: they leave room for those who ask briefly.
        self.streams = self.streams.min(half.div_ceil(2));
        self
    }
}
