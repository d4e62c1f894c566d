//! Receives the browser that Google sends back to the loopback address (RFC 8252, section 7.3).
//!
//! It is open for minutes, on a machine with other users and with pages that may guess: so it takes one GET of a small
//! head for each connection, only under its own name, and hands on nothing but addresses at `/` with a query. What they
//! mean is checked by whoever asked for consent.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;

use super::page::Page;

/// Largest head of a request in bytes. A redirect of Google has about one thousand, and a browser adds its own.
const HEAD_BYTES: usize = 16 << 10;
/// How long a browser may take to send its head.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long it may take to take the page, and to close its side.
const FAREWELL: Duration = Duration::from_secs(3);
/// Most connections at a time; browsers open some in advance.
const CONNECTIONS: usize = 32;

/// A place on the loopback address that waits for a browser.
pub(super) struct Listener {
    socket: TcpListener,
    port: u16,
}

/// A browser that was sent here and waits for a page.
#[derive(Debug)]
pub(super) struct Visit {
    /// The whole address that it was sent to.
    pub(super) address: String,
    stream: TcpStream,
}

/// What a request is.
#[derive(Debug, PartialEq, Eq)]
enum Request {
    /// A redirect, to this path and query.
    Redirect(String),
    /// Something that browsers ask for by themselves, or that is not there.
    Nothing,
    /// Nobody's business here, for this reason.
    Refused(&'static str),
}

impl Listener {
    /// Takes the port; 0 takes any free one.
    pub(super) async fn bind(port: u16) -> io::Result<Self> {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let port = socket.local_addr()?.port();
        Ok(Self { socket, port })
    }

    /// Where it listens.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Receives browsers until nobody wants them any more.
    pub(super) async fn receive(self, to: mpsc::Sender<Visit>) {
        let room = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            let Ok(place) = room.clone().acquire_owned().await else { return };
            let accepted = tokio::select! {
                accepted = self.socket.accept() => accepted,
                () = to.closed() => return,
            };
            let (to, port) = (to.clone(), self.port);
            match accepted {
                Ok((stream, _)) => drop(tokio::spawn(async move {
                    greet(stream, port, &to).await;
                    drop(place);
                })),
                // Such as too many open files: nothing of ours, and it may pass.
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }
}

impl Visit {
    /// Shows a page, and with that the visit is over. Whether it arrives is the browser's concern.
    pub(super) async fn show(mut self, page: Page) {
        show(&mut self.stream, &page).await;
    }
}

async fn greet(mut stream: TcpStream, port: u16, to: &mpsc::Sender<Visit>) {
    let Ok(Ok(head)) = timeout(PATIENCE, head(&mut stream)).await else { return };
    let page = match read(&head, port) {
        Request::Redirect(target) => {
            let address = format!("http://127.0.0.1:{port}{target}");
            let Err(late) = to.send(Visit { address, stream }).await else { return };
            return late.0.show(Page::bad("This request for access has ended already.")).await;
        }
        Request::Nothing => Page::none(),
        Request::Refused(why) => Page::refused(why),
    };
    show(&mut stream, &page).await;
}

async fn show(stream: &mut TcpStream, page: &Page) {
    let send = async {
        stream.write_all(page.answer().as_bytes()).await?;
        stream.shutdown().await?;
        // A connection that is dropped with something unread in it is reset, and the page may be lost with it.
        let mut rest = [0; 1024];
        while stream.read(&mut rest).await? > 0 {}
        io::Result::Ok(())
    };
    // A browser that has gone needs no page.
    let _ = timeout(FAREWELL, send).await;
}

/// The head of a request: all lines up to the empty one.
async fn head(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    loop {
        if head.windows(4).any(|end| end == b"\r\n\r\n") || head.len() > HEAD_BYTES {
            return Ok(head);
        }
        if stream.read_buf(&mut head).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

fn read(head: &[u8], port: u16) -> Request {
    if head.len() > HEAD_BYTES {
        return Request::Refused("The request is larger than any browser's.");
    }
    let Ok(head) = std::str::from_utf8(head) else { return Request::Refused("The request is no text.") };
    let mut lines = head.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Request::Refused("The request is not HTTP.");
    };
    if method != "GET" || !version.starts_with("HTTP/1.") {
        return Request::Refused("Only GET is answered here.");
    }
    let headers = lines.filter_map(|line| line.split_once(':'));
    let mut hosts =
        headers.filter(|(name, _)| name.eq_ignore_ascii_case("host")).map(|(_, value)| value.trim());
    // Another name for this address is how a page of somebody else would get here.
    if (hosts.next(), hosts.next()) != (Some(&format!("127.0.0.1:{port}")), None) {
        return Request::Refused("Only http://127.0.0.1 is answered here.");
    }
    if target.starts_with("/?") { Request::Redirect(target.to_owned()) } else { Request::Nothing }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_get_of_our_own_name_is_handed_on() {
        let head = |line: &str, host: &str| format!("{line}\r\nAccept: */*\r\n{host}\r\n\r\n").into_bytes();
        let own = "hOST: 127.0.0.1:8765";
        let target = "/?code=1&state=2";
        let get = format!("GET {target} HTTP/1.1");
        assert_eq!(read(&head(&get, own), 8765), Request::Redirect(target.to_owned()));
        for nothing in ["GET / HTTP/1.1", "GET /favicon.ico HTTP/1.1", "GET /other?code=1&state=2 HTTP/1.1"] {
            assert_eq!(read(&head(nothing, own), 8765), Request::Nothing, "{nothing}");
        }
        for (line, host) in [
            (get.as_str(), "Host: evil.example:8765"),
            (&get, "Host: 127.0.0.1"),
            (&get, "Host: 127.0.0.1:8766"),
            (&get, "X-Host: 127.0.0.1:8765"),
            (&get, "Host: 127.0.0.1:8765\r\nHost: 127.0.0.1:8765"),
            ("POST /?code=1 HTTP/1.1", own),
            ("HEAD /?code=1 HTTP/1.1", own),
            ("GET /?code=1 HTTP/2", own),
            ("GET /?code=1", own),
            ("", own),
        ] {
            assert!(matches!(read(&head(line, host), 8765), Request::Refused(_)), "{line} {host}");
        }
        let long = format!("X: {}\r\n{own}", "a".repeat(HEAD_BYTES));
        assert!(matches!(read(&head(&get, &long), 8765), Request::Refused(_)));
    }

    #[tokio::test]
    async fn a_browser_gets_its_page_and_what_comes_later_is_told_so() {
        let listener = Listener::bind(0).await.unwrap();
        let port = listener.port();
        let (to, mut visits) = mpsc::channel(1);
        let receiving = tokio::spawn(listener.receive(to));
        let browser = || async move {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            let request = format!("GET /?code=1 HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            stream
        };
        let shown = |mut stream: TcpStream| async move {
            let mut page = String::new();
            stream.read_to_string(&mut page).await.unwrap();
            page
        };
        let first = browser().await;
        let visit = visits.recv().await.unwrap();
        assert_eq!(visit.address, format!("http://127.0.0.1:{port}/?code=1"));
        let (_, page) = tokio::join!(visit.show(Page::good("Fine.")), shown(first));
        assert!(page.contains("Fine."), "{page}");
        // One that is still speaking when the end comes. It is received by then, since another that came later is.
        let mut slow = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        slow.write_all(b"GET /?code=2 HTTP/1.1\r\n").await.unwrap();
        let _later = browser().await;
        visits.recv().await.unwrap();
        drop(visits);
        receiving.await.unwrap();
        slow.write_all(format!("Host: 127.0.0.1:{port}\r\n\r\n").as_bytes()).await.unwrap();
        assert!(shown(slow).await.contains("has ended already"));
        assert!(TcpStream::connect(("127.0.0.1", port)).await.is_err(), "it is closed");
    }
}
