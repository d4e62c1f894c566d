//! The clock of this machine, and who says that it is right: the system when it sets the clock by others, and the servers
//! that connectors ask.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use inboxclaw_contract::{Clock, Witness};
use jiff::{SignedDuration, Timestamp};

/// So far a server's clock may be from ours: it counts whole seconds, and its answer takes a while.
const SERVERS_AGREE: SignedDuration = SignedDuration::from_mins(10);
/// So far the system's own clock may be from the one that this process sees. A process can be given another.
const SYSTEM_AGREES: SignedDuration = SignedDuration::from_secs(5);
/// How many servers have to agree, and how many are remembered for how long.
const SERVERS: usize = 2;
const REMEMBERED: usize = 64;
const REMEMBERED_FOR: Duration = Duration::from_secs(60 * 60);

/// The clock of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

/// The same with what servers say of it.
#[derive(Debug, Default)]
pub struct HeardClock {
    servers: Servers,
}

/// What servers said of the time.
#[derive(Debug, Default)]
struct Servers(Mutex<BTreeMap<String, Said>>);

/// A time that a server told, and when.
#[derive(Debug, Clone, Copy)]
struct Said {
    date: Timestamp,
    at: Duration,
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn uptime(&self) -> Duration {
        uptime()
    }

    fn witness(&self) -> Option<Witness> {
        let system = synchronised()?;
        is_near(system, self.now(), SYSTEM_AGREES).then_some(Witness::System)
    }
}

impl Clock for HeardClock {
    fn now(&self) -> Timestamp {
        SystemClock.now()
    }

    fn uptime(&self) -> Duration {
        SystemClock.uptime()
    }

    fn witness(&self) -> Option<Witness> {
        let servers = || self.servers.agree(self.now(), self.uptime()).then_some(Witness::Servers);
        SystemClock.witness().or_else(servers)
    }

    fn heard(&self, server: &str, date: Timestamp) {
        self.servers.note(server, Said { date, at: self.uptime() });
    }
}

impl Servers {
    fn note(&self, server: &str, said: Said) {
        let mut all = self.lock();
        let oldest = all.iter().min_by_key(|(_, said)| said.at).map(|(name, _)| name.clone());
        if all.len() >= REMEMBERED
            && !all.contains_key(server)
            && let Some(oldest) = oldest
        {
            all.remove(&oldest);
        }
        all.insert(server.to_owned(), said);
    }

    /// Whether enough servers say that it is about `now`.
    fn agree(&self, now: Timestamp, uptime: Duration) -> bool {
        let agrees = |said: &&Said| {
            let passed = uptime.saturating_sub(said.at);
            let theirs = said.date.checked_add(passed);
            passed <= REMEMBERED_FOR && theirs.is_ok_and(|theirs| is_near(theirs, now, SERVERS_AGREE))
        };
        self.lock().values().filter(agrees).count() >= SERVERS
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Said>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_near(one: Timestamp, other: Timestamp, within: SignedDuration) -> bool {
    one.duration_since(other).abs() <= within
}

/// Time since the start of the system. It goes on while the machine sleeps; asked of the kernel itself, so that no
/// library that shifts the clock of a process shifts it.
#[cfg(target_os = "linux")]
fn uptime() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default())
}

#[cfg(not(target_os = "linux"))]
fn uptime() -> Duration {
    use std::sync::OnceLock;
    use std::time::Instant;

    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}

/// What time it is for the kernel, if it says that its clock is synchronised: with `ntpd`, `chronyd`,
/// `systemd-timesyncd` and the like this is the case some time after they have reached others, and no more when they have
/// not for long (adjtimex(2)).
#[cfg(target_os = "linux")]
fn synchronised() -> Option<Timestamp> {
    use rtime_clock::adjtime::{Timex, adjtimex};

    const TIME_ERROR: i32 = 5;
    const STA_UNSYNC: i32 = 0x0040;
    const STA_NANO: i32 = 0x2000;
    let mut kernel = Timex::default();
    let state = adjtimex(&mut kernel).ok()?;
    let (status, time) = (kernel.0.status, kernel.0.time);
    if state == TIME_ERROR || status & STA_UNSYNC != 0 {
        return None;
    }
    let fraction = if status & STA_NANO != 0 { time.tv_usec } else { time.tv_usec.saturating_mul(1_000) };
    Timestamp::new(time.tv_sec, i32::try_from(fraction).ok()?).ok()
}

#[cfg(not(target_os = "linux"))]
fn synchronised() -> Option<Timestamp> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    fn said(second: i64, uptime: u64) -> Said {
        Said { date: at(second), at: Duration::from_secs(uptime) }
    }

    #[test]
    fn two_servers_have_to_agree_with_the_clock() {
        let servers = Servers::default();
        let agree = |now: i64, uptime: u64| servers.agree(at(now), Duration::from_secs(uptime));
        assert!(!agree(0, 10));
        servers.note("a", said(5, 0));
        servers.note("a", said(6, 1));
        assert!(!agree(15, 10), "one is not enough, however often it says so");
        servers.note("b", said(5_000_000, 1));
        assert!(!agree(15, 10), "they disagree");
        servers.note("b", said(300, 2));
        assert!(agree(15, 10));
        assert!(agree(1_015, 1_010), "time goes on for what was said");
        assert!(!agree(2_015, 1_010), "the clock was set meanwhile");
        assert!(!agree(3_700, 3_700), "too long ago");
    }

    #[test]
    fn so_many_servers_are_remembered() {
        let servers = Servers::default();
        for n in 0..1_000 {
            servers.note(&format!("host{n}"), said(0, n));
        }
        let all = servers.lock();
        assert_eq!(
            (all.len(), all.contains_key("host999"), all.contains_key("host0")),
            (REMEMBERED, true, false)
        );
    }

    #[test]
    fn the_counter_goes_on_and_the_kernel_can_be_asked() {
        let before = uptime();
        while uptime() == before {}
        assert!(uptime() > before);
        // Whether it is synchronised depends on the machine; if so, it agrees with the clock that we see.
        assert!(synchronised().is_none_or(|system| is_near(system, SystemClock.now(), SYSTEM_AGREES)));
        assert_eq!(SystemClock.witness().is_some(), synchronised().is_some());
    }
}
