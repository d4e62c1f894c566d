//! Reading for a push sink: what it owes already, and the log from where it stands.

use inboxclaw_contract::store::{DeliveryQuery, ReadLimit, Truncation, TruncationCause};
use inboxclaw_contract::turn::DeliveryState;
use inboxclaw_contract::{Class, Event, Failure, Seq, State, printable};
use jiff::Timestamp;
use tokio::time::Instant;

use super::queue::{MOST_STORED, Queue};
use super::record::Replaying;
use super::{DeliveryLoop, Stop};
use crate::replay::{self, Replay};
use crate::stats::count;

/// Events that are read ahead of the sends, at least, and their bytes at most; one larger event is read all the same.
const WINDOW: usize = 200;
const WINDOW_BYTES: usize = 1 << 20;
/// Rows that are read at once.
const ROWS: usize = 10_000;

/// The place in the log that a cursor names; `None` for no cursor.
///
/// # Errors
/// When it is no number.
pub(crate) fn place(cursor: Option<&str>) -> Result<Option<Seq>, String> {
    let parse =
        |text: &str| text.parse().map(Seq).map_err(|_| format!("the cursor {text:?} is no place in the log"));
    cursor.map(parse).transpose()
}

impl DeliveryLoop {
    /// Reads everything that waits and where the sink stands.
    pub(super) async fn refresh(&mut self) -> Result<(), Stop> {
        let env = self.runner.env.clone();
        let (store, id) = (env.store.as_ref(), self.runner.id);
        let snapshot = State::snapshot(store, id).await?;
        self.looked_at_clock(snapshot.now);
        let place = place(snapshot.cursor.as_deref()).map_err(|problem| {
            let action =
                "set the cursor to the seq after which to go on, or clear it to go on where the sink began";
            Failure::text(Class::Configuration, problem).action(action)
        })?;
        let position = place.unwrap_or(self.intake.after);
        let mut queue = Queue::new(&self.policy, position);
        self.rows_left = self.read_rows(&mut queue, DeliveryState::Waiting, Seq(0)).await?;
        self.read_rows(&mut queue, DeliveryState::Dead, position).await?;
        self.replay = match store.entries(id, &[replay::KEY.to_owned()]).await?.pop().flatten() {
            Some(entry) => entry.parse::<Replay>().ok().filter(|replay| !replay.ended).map(Replaying::new),
            None => None,
        };
        (self.queue, self.head, self.stale) = (queue, None, false);
        (self.version, self.cursor, self.cursor_at) = (snapshot.version, snapshot.cursor, Instant::now());
        self.runner.env.health().touched(&self.runner.owner);
        Ok(())
    }

    /// Reads the rows in a state that lie beyond a place; `true` when there are more than are kept in memory.
    async fn read_rows(&self, queue: &mut Queue, state: DeliveryState, after: Seq) -> Result<bool, Stop> {
        let (store, mut read) = (&self.runner.env.store, 0);
        let mut query = DeliveryQuery { state: Some(state), after, rows: ROWS, bytes: usize::MAX };
        loop {
            let page = store.deliveries(self.runner.id, query).await?;
            for row in &page.deliveries {
                match state {
                    DeliveryState::Waiting => queue.restore(row),
                    DeliveryState::Dead => queue.restore_dead(row.seq),
                }
            }
            read += page.deliveries.len();
            match page.deliveries.last() {
                Some(last) if !page.complete && read < MOST_STORED => query.after = last.seq,
                _ => return Ok(!page.complete),
            }
        }
    }

    /// Whether more of the log may be read ahead.
    pub(super) fn has_room(&self) -> bool {
        let (events, bytes) = self.queue.window();
        // What has a row that was not read is not to be taken for new.
        let has_room = self.queue.stored() < MOST_STORED && !self.rows_left;
        events < self.window() && bytes < WINDOW_BYTES && has_room
    }

    /// Whether there are rows left to read, and much room for them.
    pub(super) fn has_rows_to_read(&self) -> bool {
        self.rows_left && self.queue.stored() < MOST_STORED / 2
    }

    /// Whether the log is to be read on now: in larger pieces, not an event whenever one is sent.
    pub(super) fn may_read_on(&self) -> bool {
        self.head.is_none() && self.has_room() && self.queue.window().0 <= self.window() / 2
    }

    /// Whether the replay is to be read on now: when everything else has been sent.
    pub(super) fn may_replay_on(&self) -> bool {
        let is_idle = self.queue.window().0 == 0 && self.queue.replaying() == 0;
        self.head.is_some() && is_idle && self.replay.as_ref().is_some_and(|replaying| !replaying.is_read())
    }

    fn window(&self) -> usize {
        WINDOW.max(2 * self.policy.batch_max.saturating_mul(self.policy.concurrency))
    }

    /// Reads the log on, as far as there is room.
    pub(super) async fn read_on(&mut self) -> Result<(), Stop> {
        if !self.may_read_on() {
            return Ok(());
        }
        let (events, bytes) = self.queue.window();
        let limit = ReadLimit { events: self.window() - events, bytes: WINDOW_BYTES - bytes, count: false };
        let place = self.queue.scanned();
        let page = self.runner.env.store.read(&self.intake.from_place(place), limit).await?;
        if let Some(truncation) = page.truncation {
            self.report_truncated(place, truncation);
        }
        let last = page.events.last().map(|event| event.seq);
        for event in page.events {
            if self.queue.is_new(event.seq) && !self.is_about_itself(&event) && self.fulfils(&event) {
                self.queue.admit(event);
            }
        }
        let to = if page.complete { Some(page.head.max(place)) } else { last };
        to.into_iter().for_each(|to| self.queue.scanned_to(to));
        self.head = page.complete.then_some(page.head);
        Ok(())
    }

    /// Reads a replay on.
    pub(super) async fn replay_on(&mut self) -> Result<(), Stop> {
        let is_time = self.may_replay_on();
        let Some(replaying) = self.replay.as_mut().filter(|_| is_time) else { return Ok(()) };
        let limit = ReadLimit { events: WINDOW, bytes: WINDOW_BYTES, count: false };
        let selection = replaying.job.selection(replaying.read_to);
        let page = self.runner.env.store.read(&selection, limit).await?;
        let last = page.events.last().map(|event| event.seq);
        for event in page.events {
            if event.seq <= replaying.job.until && !self.queue.holds(event.seq) {
                self.queue.replay(event, replaying.job.id);
            }
        }
        let to = if page.complete { replaying.job.until } else { last.unwrap_or(replaying.job.until) };
        replaying.read_to = to.min(replaying.job.until);
        Ok(())
    }

    /// The bodies of events that are to be sent, in the order of the log. Those that are owed no longer are finished: their
    /// time to live is over, retention has removed them, or a person dropped them.
    pub(super) async fn bodies(&mut self, seqs: &[Seq], known: Vec<Event>) -> Result<Vec<Event>, Stop> {
        let store = self.runner.env.store.clone();
        let unknown: Vec<Seq> =
            seqs.iter().copied().filter(|seq| known.iter().all(|event| event.seq != *seq)).collect();
        let mut events = known;
        for seq in unknown {
            let query = DeliveryQuery {
                state: Some(DeliveryState::Waiting),
                after: Seq(seq.0 - 1),
                rows: 1,
                bytes: usize::MAX,
            };
            let is_owed = async |query| -> Result<bool, Stop> {
                let page = store.deliveries(self.runner.id, query).await?;
                Ok(page.deliveries.first().is_some_and(|row| row.seq == seq))
            };
            if !self.queue.is_stored(seq) || self.queue.is_changed(seq) || is_owed(query).await? {
                events.extend(store.event(seq).await?);
            }
        }
        events.sort_unstable_by_key(|event| event.seq);
        let now = self.now();
        // What a replay sends is outside of the time to live, and of what the sink takes by now.
        events.retain(|event| {
            self.queue.is_replayed(event.seq) || self.wants(&event.event_type, event.created_at, now)
        });
        for seq in seqs.iter().filter(|seq| events.iter().all(|event| event.seq != **seq)) {
            self.queue.done(*seq);
        }
        Ok(events)
    }

    /// Whether the sink still wants an event that it owes.
    fn wants(&self, event_type: &str, created_at: Timestamp, now: Timestamp) -> bool {
        let lane = self.intake.lane(event_type, now);
        lane.is_some_and(|lane| lane.created_after.is_none_or(|limit| created_at > limit))
    }

    /// Whether an event fulfils the condition. One of which that cannot be said is sent: better one too many than one that is
    /// lost.
    fn fulfils(&self, event: &Event) -> bool {
        let Some(condition) = &self.condition else { return true };
        condition.accepts(event).unwrap_or_else(|error| {
            let (owner, seq, error) = (&self.runner.owner, event.seq.0, printable(&error));
            tracing::warn!(%owner, seq, error = %error, "the condition fails, the event is sent");
            count(&self.runner.counters.undecided, 1);
            true
        })
    }

    /// Whether an event tells of this very sink: to send it would make another one whenever that fails.
    fn is_about_itself(&self, event: &Event) -> bool {
        event.source == self.internal
            && event.event_type.starts_with("inboxclaw.sink.")
            && event.entity_id.as_deref() == Some(&*self.runner.owner.name)
    }

    /// Says that this sink has missed events.
    fn report_truncated(&self, position: Seq, Truncation { up_to, cause }: Truncation) {
        // A new sink has missed nothing.
        if self.cursor.is_some() {
            let (owner, position, up_to) = (&self.runner.owner, position.0, up_to.0);
            tracing::warn!(%owner, position, up_to, ?cause, "the sink has missed events");
            let why = match cause {
                TruncationCause::Retention => format!("retention removed up to {up_to}"),
                TruncationCause::Restore => format!("after a restore the log goes on after {up_to}"),
            };
            let notice = format!("truncated: stood at {position}, {why}");
            self.runner.env.health().notice(owner, Some(notice));
        }
    }
}
