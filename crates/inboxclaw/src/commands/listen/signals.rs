//! The signals that ask for the end, and how long it may take. Left out: what ends.

use std::io::IsTerminal as _;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::cli::exit;

/// How long the end may take altogether.
const END: Duration = Duration::from_secs(5);
/// Signals so soon after the first are the same request: a terminal, `timeout` or a supervisor may send it to the
/// process and to its group.
const ECHO: Duration = Duration::from_secs(1);
/// The code of an end that was not waited for, as a shell shows one by SIGINT.
const AT_ONCE: i32 = 130;
/// The bit of SIGHUP in a mask of signals.
const HANGUP: u64 = 1;

/// SIGXFSZ, of which tokio has no name: a write beyond the limit of file sizes (`ulimit -f`).
#[cfg(not(any(target_arch = "mips", target_arch = "mips64")))]
const FILE_LIMIT: i32 = 25;
#[cfg(any(target_arch = "mips", target_arch = "mips64"))]
const FILE_LIMIT: i32 = 31;

/// Makes a write beyond the limit of file sizes fail, as on a full disk, instead of ending the program. The handler
/// stays for the life of the process.
pub(super) fn outlive_file_limit() -> std::io::Result<()> {
    signal(SignalKind::from_raw(FILE_LIMIT)).map(drop)
}

/// Ends the program in good order at the first request, and at once at the second or when the order takes too long.
pub(super) fn watch(shutdown: CancellationToken) -> std::io::Result<()> {
    let mut requests = requests()?;
    tokio::spawn(async move {
        if requests.recv().await.is_none() {
            return;
        }
        tracing::info!("stopping");
        shutdown.cancel();
        if tokio::time::timeout(END, again(&mut requests)).await.is_ok() {
            tracing::warn!("a second signal: ending at once");
            std::process::exit(AT_ONCE);
        }
        // Committed turns are durable and the others never happened, so nothing is lost by not waiting.
        tracing::warn!("something did not end within 5 s: ending without it");
        std::process::exit(i32::from(exit::OK));
    });
    Ok(())
}

/// A message for each signal that asks for the end.
fn requests() -> std::io::Result<mpsc::Receiver<()>> {
    let (sender, requests) = mpsc::channel(1);
    let mut kinds = vec![SignalKind::interrupt(), SignalKind::terminate()];
    // The terminal that it was started in is gone. To a service, the signal says that its configuration changed.
    if std::io::stderr().is_terminal() && !hangup_is_ignored() {
        kinds.push(SignalKind::hangup());
    } else if !hangup_is_ignored() {
        tell_of_hangups()?;
    }
    for kind in kinds {
        let mut signals = signal(kind)?;
        let sender = sender.clone();
        tokio::spawn(async move { while signals.recv().await.is_some() && sender.send(()).await.is_ok() {} });
    }
    Ok(requests)
}

/// Goes on at SIGHUP, and says so.
fn tell_of_hangups() -> std::io::Result<()> {
    let mut hangups = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        while hangups.recv().await.is_some() {
            tracing::warn!("SIGHUP changes nothing: a changed configuration is read by a restart");
        }
    });
    Ok(())
}

/// Whether this process was started to outlive its terminal, as `nohup` does it.
fn hangup_is_ignored() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores_hangup(&status))
}

fn ignores_hangup(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & HANGUP != 0)
}

/// Returns at the next request that is not an echo of the one just received; never when there can be none.
async fn again(requests: &mut mpsc::Receiver<()>) {
    let first = Instant::now();
    while requests.recv().await.is_some() {
        if first.elapsed() >= ECHO {
            return;
        }
    }
    std::future::pending().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_request_sent_twice_is_one_and_a_later_one_is_another() {
        let (sender, mut requests) = mpsc::channel(4);
        let waits = tokio::spawn(async move { again(&mut requests).await });
        for _ in 0..3 {
            tokio::time::sleep(ECHO / 4).await;
            sender.send(()).await.unwrap();
        }
        tokio::task::yield_now().await;
        assert!(!waits.is_finished(), "an echo was taken for a second request");
        tokio::time::sleep(ECHO).await;
        sender.send(()).await.unwrap();
        waits.await.unwrap();
    }

    #[test]
    fn a_program_under_nohup_outlives_its_terminal() {
        assert!(ignores_hangup("Name:\tinboxclaw\nSigIgn:\t0000000000001001\nSigCgt:\t0\n"));
        assert!(!ignores_hangup("Name:\tinboxclaw\nSigIgn:\t0000000000001000\n"));
        assert!(!ignores_hangup(""));
    }
}
