//! One pass of a push sink: find what to hand over, hand it over, store the receipts.

use std::collections::BTreeSet;
use std::time::Duration;

use inboxclaw_contract::store::{DeliveryQuery, Truncation, TruncationCause};
use inboxclaw_contract::turn::{DeliveryState, FactsPatch};
use inboxclaw_contract::{Class, Delivery, Draft, Failure, OpenTurn, Outcome, Push, Receipt, Seq};
use jiff::Timestamp;
use tokio::time::Instant;

use super::{BATCH, BATCH_BYTES, DeliveryLoop, Idle, MOST_WAITING, Pass, REFRESH, Stop, open, place};
use crate::health::Trouble;
use crate::outstanding::{Outstanding, ahead};
use crate::schedule::{AGAIN, Attempt, jittered};
use crate::stats::count;
use crate::turn::{panicked, seen_version, too_long};

/// Most deliveries read when everything owed is read: all that may wait, and room for dead ones; so many bytes of
/// their texts.
const READ_ALL: DeliveryQuery = DeliveryQuery {
    state: Some(DeliveryState::Waiting),
    after: Seq(0),
    rows: 2 * MOST_WAITING,
    bytes: 16 << 20,
};
/// How often the store is asked for what is due when not all of it is known here.
const ASK: Duration = Duration::from_secs(60);

/// What a pass found to do.
struct Work {
    /// To be handed over.
    batch: Vec<Delivery>,
    /// What waits afterwards, with the changes known so far.
    outstanding: Outstanding,
    /// The new position, if it moves.
    to: Option<Seq>,
    /// The log's last seq, when nothing more is to be read up to there.
    head: Option<Seq>,
}

/// What the receipts of a batch say.
#[derive(Default)]
struct Sum {
    done: u64,
    again: u64,
    dead: u64,
    reason: Option<String>,
    /// Why there are no receipts for the rest of the batch.
    failure: Option<Failure>,
}

/// How handing over a batch ended.
enum Handed {
    /// There is a receipt for each event.
    Whole,
    /// It broke off.
    BrokeOff(Failure),
    /// The program ends.
    Cut,
}

impl Work {
    /// Leaves what is behind the first events of the batch to a later pass.
    fn keep_first(&mut self, events: usize) {
        self.batch.truncate(events);
        // A fresh batch is in the order of the log, so that the position may stand at the last event kept. What was put
        // behind earlier events beyond that place is owed already, and passed over when the log is read again.
        let last = self.batch.last().map(|delivery| delivery.event.seq);
        self.to = self.to.and(last);
        self.head = None;
    }
}

impl DeliveryLoop {
    pub(super) async fn pass(&mut self) -> Result<Pass, Stop> {
        let env = self.runner.env.clone();
        if self.refreshed.is_none_or(|at| at.elapsed() >= REFRESH) {
            return self.refresh().await;
        }
        let mut draft = open(&env, self.runner.id).await?;
        let position = self.position(&mut draft)?;
        let mut work = match self.due(draft.now()).await? {
            Some(work) => work,
            None => self.fresh(position).await?,
        };
        if work.batch.is_empty() {
            return self.store(work, draft, Sum::default()).await;
        }
        let mut receipts = Vec::new();
        let failure = match self.hand_over(&work.batch, &mut receipts, &mut draft).await? {
            Handed::Whole => None,
            Handed::BrokeOff(failure) if receipts.is_empty() => return Err(failure.into()),
            Handed::BrokeOff(failure) => Some(failure),
            Handed::Cut => return Ok(Pass::Cut),
        };
        if failure.is_some() {
            work.keep_first(receipts.len());
        }
        let sum = Sum { failure, ..self.apply(&mut work, receipts, draft.now()) };
        self.store(work, draft, sum).await
    }

    /// Stores what became of the work, with the position.
    ///
    /// # Errors
    /// Also the failure that ended the batch before its end, once the receipts before it are stored.
    async fn store(&mut self, mut work: Work, mut draft: OpenTurn<'_>, sum: Sum) -> Result<Pass, Stop> {
        let changes = work.outstanding.take_changes();
        let nothing = work.batch.is_empty() && changes.is_empty();
        // Over unwanted events alone the position moves in memory only: an idle inbox writes nothing.
        let cursor = work.to.filter(|_| !nothing).map(|to| to.0.to_string());
        if let Some(cursor) = cursor.clone() {
            draft.set_cursor(Some(cursor))?;
        }
        draft.turn_mut().deliveries = changes;
        self.add_facts(&mut draft, sum.done > 0);
        let now = draft.now();
        let (wrote, seen) = (!draft.turn_mut().is_empty(), seen_version(draft.turn_mut()));
        let Outcome::Committed(committed) = draft.commit().await? else { return Ok(Pass::Conflict) };
        self.runner.committed(wrote);
        self.outstanding = work.outstanding;
        self.scanned = work.to.unwrap_or(self.scanned);
        self.cursor = cursor.map(Some).or_else(|| self.cursor.take());
        self.count(&sum);
        if let Some(failure) = sum.failure {
            return Err(failure.into());
        }
        self.batch = (self.batch * 2).min(BATCH);
        self.report(&sum, nothing);
        Ok(match work.head {
            Some(head) if nothing => {
                Pass::Idle(Idle { head, version: seen(committed.version), wait: self.idle_wait(now) })
            }
            _ => Pass::More,
        })
    }

    /// The place to read from.
    fn position(&mut self, draft: &mut Draft<'_>) -> Result<Seq, Stop> {
        let cursor = draft.cursor().map(str::to_owned);
        if self.cursor.as_ref() != Some(&cursor) {
            let place = place(cursor.as_deref()).map_err(|problem| {
                let action = "set the cursor to the seq after which to go on, or clear it to go on where the sink began";
                Failure::text(Class::Configuration, problem).action(action)
            })?;
            self.scanned = place.unwrap_or(self.intake.after);
            self.cursor = Some(cursor);
        }
        Ok(self.scanned)
    }

    /// What is due again; `None` when nothing is.
    async fn due(&mut self, now: Timestamp) -> Result<Option<Work>, Stop> {
        if !self.partial && self.outstanding.next_due().is_none_or(|due| due > now) {
            return Ok(None);
        }
        let store = self.runner.env.store.as_ref();
        let query = DeliveryQuery { bytes: BATCH_BYTES, ..READ_ALL };
        let mut page = store.deliveries(self.runner.id, query).await?;
        page.deliveries.retain(|row| row.due <= now);
        page.complete &= page.deliveries.len() <= self.batch;
        page.deliveries.truncate(self.batch);
        let up_to = page.deliveries.last().filter(|_| !page.complete).map(|last| last.seq);
        let found: BTreeSet<Seq> = page.deliveries.iter().map(|delivery| delivery.seq).collect();
        self.outstanding.keep_due(now, &found, up_to);
        let mut outstanding = self.outstanding.clone();
        let mut free = Vec::new();
        for delivery in &page.deliveries {
            outstanding.note(delivery);
            if !self.wants(&delivery.event_type, delivery.created_at, now) {
                outstanding.done(delivery.seq);
                continue;
            }
            match outstanding.blocked(delivery) {
                None => free.push(delivery.seq),
                // The earlier one is in this batch; this one follows when that has come through.
                Some(due) if due <= now => {}
                Some(_) => drop(outstanding.put_behind(delivery)),
            }
        }
        // What does not fit into the bytes stays due.
        let events = if free.is_empty() { Vec::new() } else { store.events(&free, BATCH_BYTES).await? };
        let batch: Vec<_> = events.into_iter().map(|event| outstanding.delivery(event)).collect();
        let something = !batch.is_empty() || !outstanding.is_unchanged();
        Ok(something.then_some(Work { batch, outstanding, to: None, head: None }))
    }

    /// What the log holds after the position.
    async fn fresh(&mut self, position: Seq) -> Result<Work, Stop> {
        let mut outstanding = self.outstanding.clone();
        if outstanding.len() >= MOST_WAITING {
            let head = self.runner.env.store.head().await?;
            return Ok(Work { batch: Vec::new(), outstanding, to: None, head: Some(head) });
        }
        let page = self.runner.env.store.read(&self.intake.from_place(position), self.read_limit()).await?;
        if let Some(truncation) = page.truncation {
            self.tell_truncated(position, truncation);
        }
        let last = page.events.last().map(|event| event.seq);
        let to = if page.complete { Some(page.head.max(position)) } else { last };
        let unseen = page.events.into_iter().filter(|event| !self.outstanding.holds(event.seq));
        // Only what waited before this batch counts here; within a batch the sink keeps the order.
        let batch = unseen.filter(|event| !outstanding.put_behind(event));
        let batch = batch.map(Delivery::first).collect();
        Ok(Work { batch, outstanding, to, head: page.complete.then_some(page.head) })
    }

    /// Gives a batch to the sink.
    async fn hand_over(
        &mut self,
        batch: &[Delivery],
        receipts: &mut Vec<Receipt>,
        draft: &mut OpenTurn<'_>,
    ) -> Result<Handed, Stop> {
        let env = &self.runner.env;
        let bounds = env.bounds(env.options.delivery_timeout);
        let sink = &self.sink;
        let sending = async {
            match sink {
                Push::Sink(sink) => sink.deliver(batch, receipts, draft).await,
                Push::Sender(sender) => sender.send(batch, receipts).await,
            }
        };
        let failure = match bounds.attempt(sending).await {
            Attempt::Done(Ok(())) if receipts.len() == batch.len() => return Ok(Handed::Whole),
            Attempt::Done(Ok(())) => {
                let text = format!("the sink gave {} receipts for {} events", receipts.len(), batch.len());
                // Nobody knows which events they are for.
                receipts.clear();
                Failure::text(Class::Internal, text)
            }
            Attempt::Done(Err(failure)) => failure,
            Attempt::Panicked(message) => panicked("the sink", &message),
            Attempt::Cut => return Ok(Handed::Cut),
            Attempt::TooLong => {
                // The same batch would take as long again.
                self.batch = (self.batch.min(batch.len()) / 2).max(1);
                too_long("the delivery", &bounds)
            }
        };
        // A sink may have made any words of its own of what the draft gave it.
        draft.store_error().map_or(Ok(Handed::BrokeOff(failure)), |error| Err(error.into()))
    }

    /// Turns receipts into changes of what is owed.
    fn apply(&self, work: &mut Work, receipts: Vec<Receipt>, now: Timestamp) -> Sum {
        let mut sum = Sum::default();
        for (Delivery { event, .. }, receipt) in work.batch.iter().zip(receipts) {
            match receipt {
                Receipt::Done => {
                    sum.done += 1;
                    if work.outstanding.holds(event.seq) {
                        work.outstanding.done(event.seq);
                    }
                }
                Receipt::Again { wait, reason } => {
                    sum.again += 1;
                    let tries = work.outstanding.attempts(event.seq).saturating_add(1);
                    let wait =
                        jittered(self.runner.env.doors.random.as_ref(), AGAIN.delay(tries, None, wait));
                    work.outstanding.again(event, ahead(now, wait), reason.clone());
                    sum.reason.get_or_insert(reason);
                }
                Receipt::Never { reason } => {
                    sum.dead += 1;
                    tracing::warn!(owner = %self.runner.owner, seq = event.seq.0, reason, "never deliverable");
                    work.outstanding.dead(event, now, reason);
                }
            }
        }
        sum
    }

    fn add_facts(&self, draft: &mut OpenTurn<'_>, seen: bool) {
        let patch = match self.runner.clearing() {
            Some(patch) => FactsPatch { seen, ..patch },
            None if seen => FactsPatch { seen, ..FactsPatch::default() },
            None => return,
        };
        draft.turn_mut().facts.push((self.runner.id, patch));
    }

    fn count(&self, sum: &Sum) {
        let counters = &self.runner.counters;
        count(&counters.delivered, sum.done);
        count(&counters.again, sum.again);
        count(&counters.dead, sum.dead);
    }

    fn report(&self, sum: &Sum, nothing: bool) {
        let (runner, health) = (&self.runner, self.runner.env.health());
        let moved = sum.done + sum.dead > 0;
        match &sum.reason {
            Some(reason) if !moved => health.failed(&runner.owner, Trouble::new(AGAIN.code, reason.clone())),
            _ if moved || nothing && self.outstanding.len() == 0 => health.succeeded(&runner.owner),
            _ => health.touched(&runner.owner),
        }
    }

    /// How long there is nothing to do unless something happens.
    fn idle_wait(&self, now: Timestamp) -> Duration {
        let refresh = self.refreshed.map_or(Duration::ZERO, |at| REFRESH.saturating_sub(at.elapsed()));
        let refresh = if self.partial { refresh.min(ASK) } else { refresh };
        let Some(due) = self.outstanding.next_due() else { return refresh };
        // Timers count milliseconds: a shorter wait would be none.
        let due =
            Duration::try_from(due.duration_since(now)).unwrap_or_default().max(Duration::from_millis(1));
        due.min(refresh)
    }

    /// Reads everything that is owed, drops what outlived its time to live, and stores a position that moved
    /// over unwanted events.
    async fn refresh(&mut self) -> Result<Pass, Stop> {
        let env = self.runner.env.clone();
        let mut draft = open(&env, self.runner.id).await?;
        let page = env.store.deliveries(self.runner.id, READ_ALL).await?;
        self.partial = !page.complete;
        if self.partial {
            let read = page.deliveries.len();
            tracing::warn!(owner = %self.runner.owner, read, "too many events are owed to order them all");
        }
        let mut outstanding = Outstanding::default();
        for delivery in &page.deliveries {
            if self.wants(&delivery.event_type, delivery.created_at, draft.now()) {
                outstanding.note(delivery);
            } else {
                outstanding.done(delivery.seq);
            }
        }
        draft.turn_mut().deliveries = outstanding.take_changes();
        let cursor = draft.cursor().map(str::to_owned);
        let lags = self.cursor.as_ref() == Some(&cursor)
            && place(cursor.as_deref()).is_ok_and(|place| place.unwrap_or(self.intake.after) < self.scanned);
        let moved = lags.then(|| self.scanned.0.to_string());
        if let Some(cursor) = moved.clone() {
            draft.set_cursor(Some(cursor))?;
        }
        let wrote = !draft.turn_mut().is_empty();
        let Outcome::Committed(_) = draft.commit().await? else { return Ok(Pass::Conflict) };
        env.health().store_works(wrote);
        self.cursor = moved.map(Some).or_else(|| self.cursor.take());
        self.outstanding = outstanding;
        self.refreshed = Some(Instant::now());
        Ok(Pass::More)
    }

    /// Says that this sink has missed events.
    fn tell_truncated(&self, position: Seq, Truncation { up_to, cause }: Truncation) {
        // A new sink has missed nothing.
        if matches!(self.cursor, Some(Some(_))) {
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
