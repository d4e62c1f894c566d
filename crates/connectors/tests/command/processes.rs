//! Child processes: how they end, and that none is left behind.

use std::path::Path;
use std::time::Duration;

use inboxclaw_contract::{Class, Receipt};
use rustix::process::{Pid, test_kill_process};
use serde_json::json;

use crate::{event, events, read, reason, send, sender, sent};

/// The processes whose numbers a command wrote into a file.
fn processes(path: &Path) -> Vec<Pid> {
    read(path).lines().map(|line| Pid::from_raw(line.trim().parse().unwrap()).unwrap()).collect()
}

fn runs(process: Pid) -> bool {
    // One that ended and that nobody waited for yet does not run any more.
    let state =
        std::fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero())).unwrap_or_default();
    let is_dead = state.rsplit(") ").next().is_some_and(|state| state.starts_with('Z'));
    test_kill_process(process).is_ok() && !is_dead
}

async fn until(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..500 {
        if done() {
            return;
        }
        tokio::task::spawn_blocking(|| std::process::Command::new("sleep").arg("0.02").status())
            .await
            .unwrap()
            .unwrap();
    }
    panic!("never: {what}");
}

#[tokio::test]
async fn exit_codes_and_signals_fail_the_event_and_say_why() {
    for (command, why) in [
        ("exit 7", "exit code 7"),
        ("echo out; echo 'went wrong: \u{1b}[31m' >&2; exit 1", "exit code 1: went wrong: \\u001b[31m"),
        ("kill -9 $$", "killed by signal 9"),
        ("no_such_program_anywhere 2>/dev/null", "exit code 127"),
        ("yes xxxxxxxxx | head -c 100000 >&2; printf last >&2; exit 2", "x\\nlast"),
    ] {
        let receipts = sent(&*sender(json!({ "command": command })), &events([1])).await;
        assert!(matches!(receipts[0], Receipt::Again { wait: None, .. }));
        assert!(reason(&receipts[0]).ends_with(why), "{receipts:?}");
        assert!(reason(&receipts[0]).len() < 1_500, "{receipts:?}");
    }
}

#[tokio::test]
async fn a_program_that_cannot_be_started_is_a_receiver_that_is_down() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("no_program");
    std::fs::write(&file, "x").unwrap();
    for program in ["/no/such/program", file.to_str().unwrap(), "/dev", "/etc/passwd/x"] {
        let sender = sender(json!({ "command": [program, "#root.id"] }));
        let (receipts, result) = send(&*sender, &events([1, 2])).await;
        let failure = result.unwrap_err();
        assert!(receipts.is_empty());
        assert_eq!(failure.class, Class::Configuration, "{failure}");
        assert!(failure.to_string().starts_with(&format!("cannot start {program}: ")), "{failure}");
    }
}

#[tokio::test]
async fn outputs_and_inputs_of_any_size_block_nobody() {
    let large = event(1, &json!({ "text": "x".repeat(3_000_000) }));
    for command in [
        // Writes a lot before it reads, and reads what is written meanwhile.
        "head -c 3000000 /dev/zero; head -c 3000000 /dev/zero >&2; cat > /dev/null",
        "cat",
        "cat >&2",
        // Does not read at all.
        "true",
        "exec < /dev/null; head -c 300000 /dev/zero",
        "exec >&- 2>&- <&-; sleep 0.1",
    ] {
        let sender = sender(json!({ "command": command, "timeout": "1m" }));
        assert_eq!(sent(&*sender, std::slice::from_ref(&large)).await, [Receipt::Done], "{command}");
    }
}

#[tokio::test]
async fn what_stays_in_the_background_holds_nobody_up() {
    let folder = tempfile::tempdir().unwrap();
    let pids = folder.path().join("pids");
    let command = format!("sleep 300 & echo $! > {}", pids.display());
    let receipts = sent(&*sender(json!({ "command": command, "timeout": "1m" })), &events([1])).await;
    assert_eq!(receipts, [Receipt::Done]);
    let [process] = processes(&pids)[..] else { panic!("one process") };
    assert!(runs(process));
    rustix::process::kill_process(process, rustix::process::Signal::KILL).unwrap();
}

#[tokio::test]
async fn a_run_that_takes_too_long_ends_with_all_it_started() {
    let folder = tempfile::tempdir().unwrap();
    let pids = folder.path().join("pids");
    let command =
        format!("sleep 300 & echo $! > {0}; echo $$ >> {0}; echo slow >&2; sleep 300", pids.display());
    let receipts = sent(&*sender(json!({ "command": command, "timeout": 0.5 })), &events([1])).await;
    assert_eq!(reason(&receipts[0]), "did not end within 0.5 s and was stopped: slow");
    let processes = processes(&pids);
    assert_eq!(processes.len(), 2);
    until("both have ended", || !processes.iter().any(|process| runs(*process))).await;
}

#[tokio::test]
async fn a_run_that_will_not_end_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let pids = folder.path().join("pids");
    let command = format!("trap '' TERM; echo $$ > {}; while :; do sleep 1; done", pids.display());
    let receipts = sent(&*sender(json!({ "command": command, "timeout": 0.3 })), &events([1])).await;
    assert!(matches!(receipts[0], Receipt::Again { .. }));
    let processes = processes(&pids);
    until("it has ended", || !runs(processes[0])).await;
}

#[tokio::test]
async fn a_call_that_is_dropped_leaves_no_process() {
    let folder = tempfile::tempdir().unwrap();
    let pids = folder.path().join("pids");
    let command = format!(
        "trap '' TERM; sleep 300 & echo $! > {0}.new; echo $$ >> {0}.new; mv {0}.new {0}; sleep 300",
        pids.display()
    );
    let sender = sender(json!({ "command": command }));
    let events = events([1]);
    tokio::select! {
        _ = sent(&*sender, &events) => panic!("it ended"),
        () = until("it has started", || pids.exists()) => {}
    }
    let processes = processes(&pids);
    assert_eq!(processes.len(), 2);
    until("both have ended", || !processes.iter().any(|process| runs(*process))).await;
}

#[tokio::test]
async fn five_runs_that_fail_in_a_row_stop_the_sink() {
    // Fails where the data says so.
    let command = json!(["sh", "-c", "exit \"$1\"", "sh", "#root.data.code"]);
    let sender = sender(json!({ "command": command }));
    let many = |codes: &[i64]| -> Vec<_> {
        codes.iter().zip(1..).map(|(code, seq)| event(seq, &json!({ "code": code }))).collect()
    };
    // A success begins the count anew, and what is wrong with a value does not count.
    let (receipts, result) = send(&*sender, &many(&[1, 1, 1, 1, 0, 1, 1, -1, 1, 1])).await;
    result.unwrap();
    assert_eq!(receipts.iter().filter(|receipt| matches!(receipt, Receipt::Again { .. })).count(), 8);
    let (receipts, result) = send(&*sender, &many(&[4, 0, 0])).await;
    assert_eq!(receipts, [Receipt::Again { wait: None, reason: "exit code 4".to_owned() }]);
    let failure = result.unwrap_err();
    assert_eq!((failure.class, failure.wait), (Class::Upstream, Some(Duration::from_secs(600))));
    assert_eq!(
        failure.to_string(),
        "5 runs of the command failed one after the other, the last: exit code 4"
    );
    // The end of the pause begins it anew as well.
    let (receipts, result) = send(&*sender, &many(&[1, 1, 1, 1])).await;
    result.unwrap();
    assert_eq!(receipts.len(), 4);
    assert!(send(&*sender, &many(&[1])).await.1.is_err());
}
