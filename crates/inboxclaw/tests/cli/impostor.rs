//! Somebody else at our port: they are told no token, and their word counts for nothing.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Place, Ran};

const SECRET: &str = "s3cret-of-the-configuration";
const RUN: &str = "s3cret-of-a-run";
const COMMANDS: [&[&str]; 7] = [
    &["healthcheck"],
    &["status"],
    &["pull"],
    &["pull-mark-processed", "--batch-id", "1"],
    &["subscribe"],
    &["state", "owners"],
    &["state", "watch", "mock"],
];

/// A server that says that everything is well, and keeps what it was asked.
struct Impostor {
    port: u16,
    heard: Arc<Mutex<String>>,
}

impl Impostor {
    fn new() -> Self {
        Self::at(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    fn at(listener: TcpListener) -> Self {
        let port = listener.local_addr().unwrap().port();
        let heard = Arc::new(Mutex::new(String::new()));
        let kept = heard.clone();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut bytes = [0; 8192];
                while let Ok(read @ 1..) = stream.read(&mut bytes) {
                    kept.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..read]));
                    let body = r#"{"status":"healthy","batch_id":1,"events":[],"owners":[]}"#;
                    let head = format!(
                        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\ninboxclaw-proof: 00\r\n\r\n",
                        body.len()
                    );
                    if stream.write_all(format!("{head}{body}").as_bytes()).is_err() {
                        break;
                    }
                }
            }
        });
        Self { port, heard }
    }

    fn heard(&self) -> String {
        self.heard.lock().unwrap().clone()
    }
}

fn place(port: u16) -> Place {
    Place::with(&format!(
        "server: {{port: {port}, token: {SECRET}}}\nsources: {{mock: {{interval: 1h}}}}\n\
         sink: {{inbox: {{type: http_pull}}, sse: {{}}}}\n"
    ))
}

/// That the command does not believe what stands there.
fn disbelieves(args: &[&str], ran: &Ran) {
    match args {
        ["healthcheck"] => assert_eq!(ran.code, 2, "{ran:?}"),
        ["status"] => assert!(ran.out.contains("Unreachable (") && !ran.out.contains("healthy"), "{ran:?}"),
        ["state", "owners"] => assert_eq!(ran.code, 0, "{ran:?}"),
        _ => assert_eq!(ran.code, 1, "{args:?}: {ran:?}"),
    }
}

#[test]
fn who_listens_where_no_program_runs_hears_nothing() {
    let impostor = Impostor::new();
    let place = place(impostor.port);
    let stale = |pid: u32| {
        let run =
            format!("{{\"pid\":{pid},\"address\":\"127.0.0.1:{}\",\"token\":\"{RUN}\"}}", impostor.port);
        place.write("data/data2.db.run", &run);
    };
    for ever_ran in [false, true] {
        if ever_ran {
            assert_eq!(place.run(&["state", "set", "mock", "a", "1"]).code, 0);
        }
        // Without a run file, and with one of a process that lives and is another.
        for pid in [None, Some(1), Some(std::process::id())] {
            if let Some(pid) = pid.filter(|_| ever_ran) {
                stale(pid);
            }
            for args in COMMANDS {
                disbelieves(args, &place.run(args));
            }
        }
    }
    assert_eq!(impostor.heard(), "", "nobody was asked");
    stale(1);
    assert_eq!(place.run(&["state", "set", "mock", "a", "2"]).code, 0, "who takes the lock is alone");
    assert!(!place.has("data/data2.db.run"), "and removes what was left behind");
}

#[test]
fn who_listens_where_the_run_file_says_has_to_prove_it() {
    let impostor = Impostor::new();
    let place = place(1);
    assert_eq!(place.run(&["state", "set", "mock", "a", "1"]).code, 0);
    let lock = File::open(place.path("data/data2.db.lock")).unwrap();
    lock.lock().unwrap();
    let run = format!(
        "{{\"pid\":{},\"address\":\"127.0.0.1:{}\",\"token\":\"{RUN}\"}}",
        std::process::id(),
        impostor.port
    );
    place.write("data/data2.db.run", &run);
    for args in COMMANDS {
        disbelieves(args, &place.run(args));
    }
    let heard = impostor.heard();
    assert!(heard.contains("inboxclaw-challenge: "), "{heard}");
    assert!(
        !heard.contains(RUN) && !heard.contains(SECRET) && !heard.to_lowercase().contains("authorization")
    );
    assert!(
        heard
            .lines()
            .filter(|line| line.contains(" HTTP/1.1"))
            .all(|line| line.starts_with("GET /healthcheck/live "))
    );
}

#[test]
fn after_the_program_was_killed_its_port_is_somebody_elses() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let place = place(free);
    let running = place.listen(&[]);
    place.await_health();
    let (_, _) = running.stop("-KILL");
    assert!(place.has("data/data2.db.run"), "left behind");
    let impostor = Impostor::at(TcpListener::bind(("127.0.0.1", free)).unwrap());
    for args in COMMANDS {
        disbelieves(args, &place.run(args));
    }
    assert_eq!(impostor.heard(), "");
}

/// A program that stands still is told from one that works, and nobody waits for ever.
#[test]
fn a_program_that_hangs_is_given_up() {
    let place = place(0);
    let running = place.listen(&[]);
    place.await_health();
    let signal = |name: &str| {
        let sent = std::process::Command::new("kill").args([name, &running.pid().to_string()]).status();
        assert!(sent.unwrap().success());
    };
    signal("-STOP");
    let begun = Instant::now();
    let set = place.run(&["state", "set", "mock", "a", "1"]);
    let owners = place.run(&["state", "owners"]);
    let status: Value = serde_json::from_str(&place.run(&["status", "--json"]).out).unwrap();
    signal("-CONT");
    assert!(begun.elapsed() < Duration::from_secs(40), "{:?}", begun.elapsed());
    assert_eq!((set.code, owners.code), (1, 0), "{set:?} {owners:?}");
    assert!(set.err.contains("does not answer"), "{set:?}");
    assert!(status["status"].as_str().unwrap().starts_with("Unreachable ("), "{status}");
    place.await_health();
}
