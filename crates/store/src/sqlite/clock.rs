//! The store's one clock, which knows two times.
//!
//! - The *stamp* is the wall clock to the microsecond: what is stored now gets it.
//! - The *trusted* time judges ages: what has expired, what is due, what may be removed. It is the wall clock as well,
//!   unless that one is in doubt.
//!
//! A wall clock that stands more than a day ahead of where it should be, after the last time that is known and the time
//! that passed since, is in doubt: a battery may have died, somebody may have mistyped a year. Until it is back, or there
//! is reason to believe it, the trusted time goes on from where it was, with the time that really passes. So nothing is
//! removed that a wrong clock calls old, and what becomes old meanwhile still does. Small steps back are absorbed, larger
//! ones were made on purpose and are followed.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use inboxclaw_contract::store::ClockState;
use inboxclaw_contract::{Clock, Witness};
use jiff::{SignedDuration, Timestamp};

use super::values::Micros;

const SECOND: i64 = 1_000_000;
/// Steps back up to this are absorbed: the clock stands still until the wall clock has caught up.
const ABSORBED: i64 = 60 * SECOND;
/// A clock that is further ahead is in doubt.
const AHEAD: i64 = 24 * 60 * 60 * SECOND;
/// For so long it is; then it is followed, since it cannot be corrected any more by a program that sets clocks at the
/// start of a system. For as long a step back is remembered, so that the way forth again is no surprise.
const LASTS: Duration = Duration::from_secs(60 * 60);
/// How often a witness is looked for.
const ASKS: Duration = Duration::from_secs(1);

/// Both times at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Now {
    pub(super) stamp: Micros,
    pub(super) trusted: Micros,
}

/// The last time that is known, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LastTime {
    /// What was trusted.
    pub(super) trusted: i64,
    /// What it would have been without a step back a short while ago; else the same.
    pub(super) before: i64,
}

pub(super) struct StoreClock {
    wall: Arc<dyn Clock>,
    state: Mutex<State>,
    /// Whether doubts are logged: a command that only looks would tell of the same one again and again.
    tells: bool,
}

/// All times are in microseconds since 1970, all durations since the start of the wall clock's own counter.
#[derive(Debug, Clone, Copy)]
struct State {
    stamp: i64,
    /// The trusted time when the counter was at `at`; `None` before the clock was first looked at, in a new store.
    trusted: Option<i64>,
    at: Duration,
    doubt: Option<Warning>,
    /// What the clock would show, when the counter was at that, had it not been set back.
    before: Option<(i64, Duration)>,
}

#[derive(Debug, Clone, Copy)]
struct Warning {
    since: Duration,
    /// When a witness was last looked for.
    asked: Option<Duration>,
}

/// What is worth a line in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    None,
    Back { by: i64 },
    Doubted { by: i64 },
    Returned,
    Believed { why: Why },
}

/// Why a clock in doubt is followed after all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    Hour,
    Person,
    Witness(Witness),
}

impl StoreClock {
    /// A clock that has already shown `last`, if it is not new.
    pub(super) fn new(wall: Arc<dyn Clock>, last: Option<LastTime>) -> Self {
        let (trusted, at) = (last.map(|last| last.trusted), wall.uptime());
        let before = last.filter(|last| last.before > last.trusted).map(|last| (last.before, at));
        let state = State { stamp: trusted.unwrap_or(0), trusted, at, doubt: None, before };
        Self { wall, state: Mutex::new(state), tells: true }
    }

    /// The same for a command that only looks.
    pub(super) fn silent(wall: Arc<dyn Clock>, last: Option<LastTime>) -> Self {
        Self { tells: false, ..Self::new(wall, last) }
    }

    pub(super) fn now(&self) -> Now {
        self.look(|| self.wall.witness().map(Why::Witness))
    }

    /// Follows the wall clock because a person says that it is right.
    pub(super) fn accept(&self) {
        // A doubt asks only now and then: this one is to be asked at once.
        if let Some(doubt) = &mut self.state().doubt {
            doubt.asked = None;
        }
        self.look(|| Some(Why::Person));
    }

    /// How it stands.
    pub(super) fn report(&self) -> ClockState {
        self.now();
        let state = *self.state();
        let left = state.doubt.map(|doubt| LASTS.saturating_sub(state.at.saturating_sub(doubt.since)));
        let now = micros(state.trusted.unwrap_or(state.stamp)).0;
        ClockState { now, wall: self.wall.now(), doubted: left }
    }

    /// The time to be remembered for the next start. `None` before the first look.
    pub(super) fn last(&self) -> Option<LastTime> {
        let state = *self.state();
        let trusted = state.trusted?;
        let before = state.before_now(state.at).map_or(trusted, |before| before.max(trusted));
        Some(LastTime { trusted, before })
    }

    fn look(&self, witness: impl FnOnce() -> Option<Why>) -> Now {
        let mut state = self.state();
        let change = state.look(self.wall.now().as_microsecond(), self.wall.uptime(), witness);
        let State { stamp, trusted, .. } = *state;
        drop(state);
        let now = Now { stamp: micros(stamp), trusted: micros(trusted.unwrap_or(stamp)) };
        if self.tells {
            change.tell(now);
        }
        now
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes in what the wall clock and the counter show.
    ///
    /// The counter (`uptime`) cannot be set: the time at the last look and what passed since say where the wall clock
    /// should be. Up to a day beyond that it is believed, because clocks drift, machines sleep and time zones are mistaken;
    /// a step back is followed (a small one absorbed), since it makes nothing old too early. Further ahead it is in doubt, and the trusted
    /// time takes the place of the expected one. That is safe for as long as it lasts: ages grow with the time that really
    /// passes, so what should go still goes, and nothing that a wrong year calls old. A doubt ends in one of three ways,
    /// each looked at here: the wall clock is back in reach, somebody vouches for it, or it stayed for an hour, after which
    /// no start-up program will set it right any more.
    ///
    /// The way forth after a step back is measured from where the clock stood before (`before`), for an hour: a machine
    /// without a battery starts in the past and then has its clock set, which is no surprise.
    fn look(&mut self, wall: i64, uptime: Duration, witness: impl FnOnce() -> Option<Why>) -> Change {
        let Some(last) = self.trusted else {
            (self.stamp, self.trusted, self.at) = (wall, Some(wall), uptime);
            return Change::None;
        };
        let expected = last.saturating_add(length(uptime.saturating_sub(self.at)));
        let before = self.before_now(uptime);
        self.before = self.before.filter(|_| before.is_some());
        let by = wall.saturating_sub(before.map_or(expected, |before| before.max(expected)));
        if by <= AHEAD {
            let was_doubted = self.doubt.take().is_some();
            let back = self.follow(wall, expected, uptime);
            return match (was_doubted, back) {
                (true, _) => Change::Returned,
                (false, 0) => Change::None,
                (false, by) => Change::Back { by },
            };
        }
        (self.trusted, self.at) = (Some(expected), uptime);
        // Also the stamps stand still for small steps back.
        self.stamp = if absorbs(self.stamp, wall) { self.stamp } else { wall };
        let is_new = self.doubt.is_none();
        let doubt = self.doubt.get_or_insert(Warning { since: uptime, asked: None });
        let why = if uptime.saturating_sub(doubt.since) >= LASTS {
            Some(Why::Hour)
        } else if doubt.asked.is_none_or(|asked| uptime.saturating_sub(asked) >= ASKS) {
            doubt.asked = Some(uptime);
            witness()
        } else {
            None
        };
        let Some(why) = why else { return if is_new { Change::Doubted { by } } else { Change::None } };
        (self.trusted, self.doubt, self.before) = (Some(self.stamp), None, None);
        // Nobody was told of a doubt that was none.
        if is_new { Change::None } else { Change::Believed { why } }
    }

    /// Follows the wall clock; returns by how much it was set back, 0 when it was not.
    fn follow(&mut self, wall: i64, expected: i64, uptime: Duration) -> i64 {
        let last = self.trusted.unwrap_or(wall);
        let now = if absorbs(last, wall) { last } else { wall };
        (self.stamp, self.trusted, self.at) = (now, Some(now), uptime);
        if now >= last {
            return 0;
        }
        self.before = self.before.or(Some((expected, uptime)));
        last - now
    }

    /// What the clock would show had it not been set back lately.
    fn before_now(&self, uptime: Duration) -> Option<i64> {
        let (time, at) = self.before?;
        let passed = uptime.saturating_sub(at);
        (passed < LASTS).then(|| time.saturating_add(length(passed)))
    }
}

impl Change {
    fn tell(self, now: Now) {
        let (wall, trusted) = (now.stamp.0, now.trusted.0);
        match self {
            Self::None => {}
            Self::Back { by } => {
                tracing::warn!("the clock went back by {} s; the store follows it", by / SECOND);
            }
            Self::Doubted { by } => tracing::warn!(
                "the clock shows {wall}, which is {} d ahead of the last time that is known ({trusted}) and in doubt: \
                 nothing is removed because of it until the system's clock is synchronised, two servers agree, an hour \
                 has passed, or `inboxclaw clock accept` says that it is right",
                by / AHEAD
            ),
            Self::Returned => tracing::info!("the clock is back at {wall} and no longer in doubt"),
            Self::Believed { why } => {
                let why = match why {
                    Why::Hour => "it has stayed there for an hour",
                    Why::Person => "a person said so",
                    Why::Witness(Witness::System) => "the system's clock is synchronised",
                    Why::Witness(Witness::Servers) => "two servers agree",
                };
                tracing::info!("the clock shows {wall} and is believed: {why}");
            }
        }
    }
}

fn absorbs(last: i64, wall: i64) -> bool {
    wall < last && last.saturating_sub(wall) <= ABSORBED
}

fn length(duration: Duration) -> i64 {
    SignedDuration::try_from(duration)
        .ok()
        .and_then(|duration| i64::try_from(duration.as_micros()).ok())
        .unwrap_or(i64::MAX)
}

fn micros(time: i64) -> Micros {
    Micros(Timestamp::from_microsecond(time).unwrap_or(Timestamp::UNIX_EPOCH))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};

    use super::*;

    const DAY: i64 = 24 * 60 * 60;
    const START: i64 = 1_700_000_000;

    #[derive(Default)]
    struct Wall {
        micros: AtomicI64,
        seconds: AtomicU64,
        vouched: AtomicBool,
    }

    impl Clock for Wall {
        fn now(&self) -> Timestamp {
            Timestamp::from_nanosecond(i128::from(self.micros.load(Relaxed)) * 1_000 + 999).unwrap()
        }

        fn uptime(&self) -> Duration {
            Duration::from_secs(self.seconds.load(Relaxed))
        }

        fn witness(&self) -> Option<Witness> {
            self.vouched.load(Relaxed).then_some(Witness::System)
        }
    }

    /// A wall clock and the store's over it, in whole seconds since the start.
    struct World(Arc<Wall>, StoreClock);

    impl World {
        /// The clock shows `first` where `last` was the last time that is known.
        fn new(last: i64, first: i64) -> Self {
            let wall = Arc::new(Wall::default());
            wall.micros.store((START + first) * SECOND, Relaxed);
            let last = (START + last) * SECOND;
            let clock = StoreClock::new(wall.clone(), Some(LastTime { trusted: last, before: last }));
            Self(wall, clock)
        }

        /// Time passes.
        fn pass(&self, seconds: i64) -> (i64, i64) {
            self.0.seconds.fetch_add(u64::try_from(seconds).unwrap(), Relaxed);
            self.jump(seconds)
        }

        /// The wall clock is set.
        fn jump(&self, seconds: i64) -> (i64, i64) {
            self.0.micros.fetch_add(seconds * SECOND, Relaxed);
            self.now()
        }

        /// The stamp and the trusted time.
        fn now(&self) -> (i64, i64) {
            let Now { stamp, trusted } = self.1.now();
            (stamp.get() / SECOND - START, trusted.get() / SECOND - START)
        }

        fn is_doubted(&self) -> bool {
            self.1.report().doubted.is_some()
        }

        /// The time that is remembered, and the one before a step back.
        fn last(&self) -> (i64, i64) {
            let LastTime { trusted, before } = self.1.last().unwrap();
            (trusted / SECOND - START, before / SECOND - START)
        }

        /// The next start, at once.
        fn again(self) -> Self {
            let clock = StoreClock::new(self.0.clone(), self.1.last());
            Self(self.0, clock)
        }
    }

    #[test]
    fn small_steps_back_are_absorbed_and_larger_ones_followed() {
        let wall = Arc::new(Wall::default());
        let clock = StoreClock::new(wall.clone(), None);
        let at = |micros| {
            wall.micros.store(micros, Relaxed);
            let now = clock.now();
            assert_eq!(now.stamp, now.trusted);
            now.stamp.get()
        };
        assert_eq!(at(100_000_000), 100_000_000);
        assert_eq!(at(40_000_000), 100_000_000);
        assert_eq!(at(100_000_001), 100_000_001);
        assert_eq!(at(40_000_000), 40_000_000);
        assert_eq!(at(40_000_007), 40_000_007);
    }

    #[test]
    fn a_day_ahead_at_a_start_is_believed_and_more_is_in_doubt_for_an_hour() {
        assert_eq!(World::new(0, DAY).now(), (DAY, DAY));
        assert_eq!(World::new(0, -400 * DAY).now(), (-400 * DAY, -400 * DAY), "back is followed");
        let world = World::new(0, 400 * DAY);
        assert_eq!(world.now(), (400 * DAY, 0));
        assert_eq!(world.pass(10), (400 * DAY + 10, 10), "stamps go on, and so does what is trusted");
        assert_eq!(world.last(), (10, 10), "a restart doubts it again");
        assert_eq!(world.jump(-30), (400 * DAY + 10, 10), "small steps back are absorbed");
        assert_eq!(world.jump(30), (400 * DAY + 10, 10));
        assert_eq!(world.1.report().doubted, Some(Duration::from_secs(3_590)));
        assert_eq!(world.pass(3_589), (400 * DAY + 3_599, 3_599));
        assert_eq!(world.pass(1), (400 * DAY + 3_600, 400 * DAY + 3_600));
        assert!(!world.is_doubted());
        assert_eq!(world.last().0, 400 * DAY + 3_600);
    }

    #[test]
    fn a_step_while_running_is_in_doubt_and_a_return_ends_it() {
        let world = World::new(0, 0);
        assert_eq!(world.pass(400 * DAY), (400 * DAY, 400 * DAY), "time that really passes is no step");
        assert_eq!(world.jump(DAY), (401 * DAY, 401 * DAY));
        assert_eq!(world.jump(DAY + 1), (402 * DAY + 1, 401 * DAY));
        assert_eq!(world.pass(60), (402 * DAY + 61, 401 * DAY + 60));
        assert!(world.is_doubted());
        assert_eq!(world.jump(-DAY - 1), (401 * DAY + 60, 401 * DAY + 60));
        assert!(!world.is_doubted());
        // It may come back a little off, in both directions.
        world.jump(400 * DAY);
        assert_eq!(world.jump(-400 * DAY - 50), (401 * DAY + 60, 401 * DAY + 60), "absorbed");
        world.jump(400 * DAY);
        assert_eq!(world.jump(-400 * DAY + 1_000), (401 * DAY + 1_010, 401 * DAY + 1_010));
        world.jump(400 * DAY);
        assert_eq!(world.jump(-500 * DAY), (301 * DAY + 1_010, 301 * DAY + 1_010), "followed");
    }

    #[test]
    fn a_witness_or_a_person_ends_a_doubt() {
        let world = World::new(0, 400 * DAY);
        assert_eq!(world.now().1, 0);
        world.0.vouched.store(true, Relaxed);
        assert_eq!(world.now().1, 0, "asked again only after a while");
        assert_eq!(world.pass(1).1, 400 * DAY + 1);
        assert_eq!(world.jump(400 * DAY).1, 800 * DAY + 1, "and at once at the next one");
        world.0.vouched.store(false, Relaxed);
        assert_eq!(world.jump(400 * DAY).1, 800 * DAY + 1);
        world.1.accept();
        assert_eq!(world.now().1, 1_200 * DAY + 1);
        world.1.accept();
        assert_eq!(world.now().1, 1_200 * DAY + 1, "nothing to accept");
    }

    #[test]
    fn the_way_forth_after_a_step_back_is_no_surprise_for_an_hour() {
        // A computer without a battery: it starts in the past, and then its clock is set.
        let world = World::new(0, -10_000 * DAY);
        assert_eq!(world.now().1, -10_000 * DAY);
        world.pass(30);
        assert_eq!(world.last(), (-10_000 * DAY + 30, 30), "remembered in case that it ends now");
        let world = world.again();
        assert_eq!(world.now().1, -10_000 * DAY + 30);
        assert_eq!(world.jump(10_000 * DAY + DAY / 2).1, DAY / 2 + 30);
        assert!(!world.is_doubted());
        // One that was set back for good.
        let world = World::new(0, -400 * DAY);
        world.now();
        assert_eq!(world.pass(3_600).1, -400 * DAY + 3_600);
        assert_eq!(world.last(), (-400 * DAY + 3_600, -400 * DAY + 3_600));
        assert_eq!(world.jump(300 * DAY).1, -400 * DAY + 3_600);
        assert!(world.is_doubted());
    }

    #[test]
    fn small_steps_back_are_absorbed_over_a_restart() {
        let world = World::new(0, 0);
        world.pass(100);
        world.jump(-5_000);
        let world = world.again();
        assert_eq!(world.jump(-50), (-4_900, -4_900));
        assert_eq!(world.again().now(), (-4_900, -4_900));
    }

    /// A random life: what is trusted never goes ahead of what passed by more than a day unless somebody said so.
    #[test]
    fn what_is_trusted_runs_at_most_a_day_ahead_in_one_step() {
        let mut random = 7_u64;
        let mut next = |below: i64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            i64::try_from(random >> 33).unwrap() % below
        };
        for _ in 0..200 {
            let world = World::new(0, 0);
            world.now();
            let mut quiet = 0;
            for _ in 0..50 {
                let passed = next(3_000);
                world.pass(passed);
                quiet = if world.is_doubted() { quiet } else { -passed };
                let jumped = [0, 0, next(100), -next(100), next(3 * DAY), -next(500 * DAY), next(500 * DAY)];
                let step = jumped[usize::try_from(next(7)).unwrap()];
                let (stamp, trusted) = world.jump(step);
                quiet = if world.is_doubted() { quiet + passed } else { 0 };
                assert!(!world.is_doubted() || stamp - trusted > DAY, "{stamp} {trusted}");
                assert!(world.is_doubted() || stamp == trusted, "{stamp} {trusted}");
                assert!(quiet <= 3_600 + 3_000, "a doubt ends");
            }
        }
    }
}
