//! Receivers that do not answer as they should: late, in part, without an end, or not at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use inboxclaw_contract::{Class, Receipt};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::{first, send, webhook};

/// A receiver that answers each request on a connection by the next of these texts, and then closes it, or leaves it open.
/// Its address, and how many connections it had.
async fn receiver(answers: Vec<&'static str>, is_closed: bool) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = connections.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::Relaxed);
            let answers = answers.clone();
            tokio::spawn(async move {
                let mut request = vec![0; 64 << 10];
                for answer in answers {
                    while !request.starts_with(b"POST") {
                        if stream.read(&mut request).await.unwrap_or(0) == 0 {
                            return;
                        }
                    }
                    request.fill(0);
                    let _ = stream.write_all(answer.as_bytes()).await;
                }
                if !is_closed {
                    std::future::pending::<()>().await;
                }
            });
        }
    });
    (address, connections)
}

#[tokio::test]
async fn what_is_no_answer_is_a_receiver_that_is_down() {
    for (answer, class) in [
        ("", Class::Connectivity),
        ("HTTP/1.1 2", Class::Connectivity),
        ("HTTP/1.1 200 OK\r\ncontent-le", Class::Connectivity),
        ("SSH-2.0-OpenSSH_9.9\r\n", Class::Connectivity),
        ("HTTP/1.1 200 OK\r\nname without colon\r\n\r\n", Class::Connectivity),
    ] {
        let (url, _) = receiver(vec![answer], true).await;
        let (receipts, failure) = send(&*webhook(json!({ "url": url })), &[first(1)]).await;
        assert_eq!((receipts.len(), failure.unwrap().class), (0, class), "{answer}");
    }
    let (_, failure) = send(&*webhook(json!({ "url": "http://127.0.0.1:9/" })), &[first(1)]).await;
    let failure = failure.unwrap();
    assert_eq!(failure.class, Class::Connectivity);
    assert!(failure.to_string().starts_with("http://127.0.0.1:9 cannot be reached"), "{failure}");
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_waited_for_as_long_as_is_said() {
    let (url, _) = receiver(vec![""], false).await;
    let sink = webhook(json!({ "url": url, "timeout": "1s" }));
    let (_, failure) =
        tokio::time::timeout(Duration::from_secs(20), send(&*sink, &[first(1)])).await.unwrap();
    assert_eq!(failure.unwrap().class, Class::Timeout);
}

#[tokio::test]
async fn a_yes_counts_whatever_follows_it() {
    let endless = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n";
    let short = "HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nabc";
    let packed = "HTTP/1.1 200 OK\r\ncontent-encoding: br\r\ncontent-length: 3\r\n\r\nabc";
    for (answer, is_closed) in
        [(endless, true), (endless, false), (short, true), (short, false), (packed, true)]
    {
        let (url, _) = receiver(vec![answer], is_closed).await;
        let (receipts, failure) = send(&*webhook(json!({ "url": url })), &[first(1)]).await;
        assert_eq!((receipts, failure.is_none()), (vec![Receipt::Done], true), "{answer}");
    }
}

#[tokio::test]
async fn a_no_is_told_as_far_as_it_came() {
    let answer = "HTTP/1.1 400 Never Mind\r\ncontent-length: 99\r\n\r\nbecause";
    for is_closed in [true, false] {
        let (url, _) = receiver(vec![answer], is_closed).await;
        let (receipts, _) = send(&*webhook(json!({ "url": url })), &[first(1)]).await;
        let reason = format!("{url} answered 400 bad request: because");
        assert_eq!(receipts, [Receipt::Again { wait: None, reason }]);
    }
}

#[tokio::test]
async fn a_connection_serves_many_requests() {
    let ok = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc";
    let no = "HTTP/1.1 500 Oh\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let (url, connections) = receiver(vec![ok, no, ok, ok], false).await;
    let sink = webhook(json!({ "url": url }));
    for seq in 1..=2 {
        let (receipts, _) = send(&*sink, &[first(seq), first(seq + 10)]).await;
        assert_eq!(receipts.len(), 2);
    }
    assert_eq!(connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn each_event_has_a_receipt_as_soon_as_it_is_known() {
    let ok = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    let no = "HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n";
    let down = "HTTP/1.1 503 Oh\r\ncontent-length: 0\r\n\r\n";
    let (url, _) = receiver(vec![ok, no, ok, down, ok], false).await;
    let (receipts, failure) =
        send(&*webhook(json!({ "url": url })), &[first(1), first(2), first(3), first(4), first(5)]).await;
    assert!(
        matches!(receipts.as_slice(), [Receipt::Done, Receipt::Again { .. }, Receipt::Done]),
        "{receipts:?}"
    );
    assert_eq!(failure.unwrap().class, Class::Upstream);
}
