//! Sending for a push sink: calls that run beside each other, or one batch in a turn; and what their ends mean.

use std::sync::Arc;
use std::time::Duration;

use inboxclaw_contract::turn::FactsPatch;
use inboxclaw_contract::{
    Class, Delivery, DeliveryOrigin, Failure, Json, NewEvent, OpenTurn, Outcome, Receipt, Seq,
};
use tokio::time::Instant;

use super::call::{End, Ended, call};
use super::queue::{Picked, ahead};
use super::record::{Recorded, fill, is_ended};
use super::{DeliveryLoop, Stop, Target, UNRECORDED};
use crate::health::Trouble;
use crate::schedule::{self, AGAIN, jittered};
use crate::turn::seen_version;

/// A sink whose receiver says for so long that it is gone is paused.
const GONE: Duration = Duration::from_secs(60 * 60);

impl DeliveryLoop {
    /// Starts as many calls as may run.
    pub(super) async fn send(&mut self) -> Result<(), Stop> {
        while self.has_free_call() && self.receiver.takes() {
            let Some(batch) = self.next_batch().await? else { break };
            if batch.is_empty() {
                // All of it was owed no longer.
                continue;
            }
            let Target::Sender(sender) = &self.target else { break };
            let bounds = self.runner.env.bounds(self.runner.env.options.delivery_timeout);
            self.calls.spawn(call(Arc::clone(sender), bounds, batch));
        }
        Ok(())
    }

    /// Whether another call may run beside those that do.
    pub(super) fn has_free_call(&self) -> bool {
        let most = if self.receiver.is_down() { 1 } else { self.policy.concurrency.max(1) };
        self.calls.len() < most && self.unrecorded() < UNRECORDED
    }

    /// The events of the next call; `None` when none may be sent now.
    async fn next_batch(&mut self) -> Result<Option<Vec<Delivery>>, Stop> {
        let probes = self.receiver.is_down() && matches!(self.target, Target::Sender(_));
        let most = if probes { 1 } else { self.receiver.batch() };
        if !probes && self.batch_ready().is_some_and(|at| at > Instant::now()) && !self.is_due() {
            return Ok(None);
        }
        self.look_at_clock_when_due().await?;
        let Picked { seqs, bodies } = self.queue.pick(self.now(), most, probes);
        if seqs.is_empty() {
            return Ok(None);
        }
        self.receiver.started(seqs.len());
        let events = match self.bodies(&seqs, bodies).await {
            Ok(events) => events,
            Err(stop) => {
                self.queue.put_down(&seqs);
                return Err(stop);
            }
        };
        Ok(Some(events.into_iter().map(|event| self.queue.delivery(event)).collect()))
    }

    fn is_due(&self) -> bool {
        self.queue.next_due().is_some_and(|due| due <= self.now())
    }

    /// When the events of the log that may be sent are sent, though they are fewer than a batch.
    pub(super) fn batch_ready(&self) -> Option<Instant> {
        if self.policy.batch_wait.is_zero() {
            return None;
        }
        let (ready, since) = self.queue.ready(self.receiver.batch());
        if ready >= self.receiver.batch() { since } else { since.map(|since| since + self.policy.batch_wait) }
    }

    /// What is due is due by the store's clock, which may have been set.
    async fn look_at_clock_when_due(&mut self) -> Result<(), Stop> {
        if self.queue.next_due().is_some() && self.clock.1.elapsed() >= Duration::from_secs(1) {
            let now = self.runner.env.store.snapshot(self.runner.id).await?.now;
            self.looked_at_clock(now);
        }
        Ok(())
    }

    /// Draws the conclusions from the end of a call.
    pub(super) async fn ended(&mut self, ended: Ended) -> Result<(), Stop> {
        let Ended { batch, receipts, begun, end } = ended;
        let left: Vec<Seq> = batch[receipts.len()..].iter().map(|delivery| delivery.event.seq).collect();
        let failing = self.apply(&batch, receipts, begun);
        self.conclude(end, (batch.len(), &left), begun, failing).await
    }

    /// Draws the conclusions from how a call of so many events ended, for those `left` without a receipt, and from the
    /// events that failed because it is the receiver that does.
    async fn conclude(
        &mut self,
        end: End,
        (events, left): (usize, &[Seq]),
        begun: Instant,
        failing: Option<(Vec<Seq>, Failure)>,
    ) -> Result<(), Stop> {
        match end {
            End::Whole => self.receiver.in_time(),
            End::Cut => {}
            End::TooLong(failure) => {
                self.receiver.too_slow(events);
                self.failed(left, begun, failure).await?;
            }
            End::BrokeOff(failure) => self.failed(left, begun, failure).await?,
        }
        if let Some((seqs, failure)) = failing {
            self.failed(&seqs, begun, failure).await?;
        }
        Ok(())
    }

    /// Turns receipts into changes of what is owed. Returns the events that count as not sent, because so many failed that
    /// it is the receiver that does.
    fn apply(
        &mut self,
        batch: &[Delivery],
        receipts: Vec<Receipt>,
        begun: Instant,
    ) -> Option<(Vec<Seq>, Failure)> {
        let (now, mut failing) = (self.now(), None::<(Vec<Seq>, Failure)>);
        for (Delivery { event, attempt, origin }, receipt) in batch.iter().zip(receipts) {
            match receipt {
                Receipt::Done => {
                    self.next.sum.done += 1;
                    self.runner.counters.received(event.created_at, now, *origin);
                    if let (DeliveryOrigin::Replay(_), Some(replaying)) = (origin, &mut self.replay) {
                        replaying.sent += 1;
                    }
                    self.queue.done(event.seq);
                    self.receiver.took(begun, true);
                    if !self.receiver.is_down() {
                        self.runner.came_through();
                    }
                }
                Receipt::Again { reason, .. }
                    if self.receiver.event_failed(begun, *attempt == 1, self.queue.stored()) =>
                {
                    let why = format!("every event fails, the last with: {reason}");
                    let failure = || (Vec::new(), Failure::text(Class::Upstream, why));
                    failing.get_or_insert_with(failure).0.push(event.seq);
                }
                Receipt::Again { wait, reason } => self.again(event.seq, now, wait, reason),
                Receipt::Never { reason } => {
                    self.next.sum.dead += 1;
                    tracing::warn!(owner = %self.runner.owner, seq = event.seq.0, reason, "never deliverable");
                    self.queue.dead(event.seq, now, reason);
                    self.receiver.took(begun, false);
                }
            }
        }
        if self.is_unrecorded() {
            self.unrecorded_since.get_or_insert_with(Instant::now);
        }
        failing
    }

    /// An event failed: it is tried again, or was tried often enough.
    fn again(&mut self, seq: Seq, now: jiff::Timestamp, wait: Option<Duration>, reason: String) {
        let attempt = self.queue.attempts(seq).saturating_add(1);
        let own = match self.policy.retry_interval {
            Some(interval) => interval.max(wait.unwrap_or_default()),
            None => AGAIN.delay(attempt, None, wait),
        };
        let wait = jittered(self.runner.env.doors.random.as_ref(), own);
        if self.queue.again(seq, now, ahead(now, wait), reason.clone()) {
            self.next.sum.again += 1;
        } else {
            self.next.sum.dead += 1;
            tracing::warn!(owner = %self.runner.owner, seq = seq.0, reason, "not deliverable, a dead letter now");
        }
        self.next.sum.reason.get_or_insert(reason);
    }

    /// A call failed whatever its events are: they are sent again, which counts as no attempt of theirs.
    async fn failed(&mut self, seqs: &[Seq], begun: Instant, failure: Failure) -> Result<(), Stop> {
        let now = self.now();
        let wait = match self.receiver.passing(begun, &failure) {
            Some(wait) => wait,
            None => {
                let policy = match self.target {
                    Target::Sender(_) => schedule::receiver_policy(failure.class),
                    Target::Sink(_) => schedule::policy(failure.class),
                };
                let wait = self.runner.failed_by(&failure, policy).await?;
                self.receiver.rest(wait);
                self.pause_when_gone(&failure).await?;
                // The receiver waits, not its events: any of them may be the next probe.
                Duration::ZERO
            }
        };
        if let Some(seq) = self.queue.missed(seqs, now, wait, self.receiver.successes()) {
            self.again(seq, now, None, failure.to_string());
        }
        Ok(())
    }

    /// Pauses a sink whose receiver has been saying for an hour that it is gone, and tells of it.
    async fn pause_when_gone(&mut self, failure: &Failure) -> Result<(), Stop> {
        if failure.class != Class::Gone || self.receiver.gone() < GONE {
            return Ok(());
        }
        let (env, owner) = (self.runner.env.clone(), &self.runner.owner);
        let action = format!("correct its address, then `inboxclaw sink resume {}`", owner.name);
        tracing::error!(%owner, cause = %failure, "paused, because its receiver has been gone for an hour");
        let data =
            serde_json::json!({ "sink_name": owner.name, "message": failure.to_string(), "action": action });
        let mut turn = OpenTurn::open(env.store.as_ref(), self.internal, env.turn_id()).await?;
        let id = format!("disabled:{}:{:x}", self.runner.id.0, env.turn_id().0);
        let event = Json::from_value(&data).map(|data| NewEvent::new(id, "inboxclaw.sink.disabled", data));
        turn.emit(event.map_err(Failure::internal)?.entity(&*owner.name))?;
        turn.turn_mut()
            .facts
            .push((self.runner.id, FactsPatch { paused: Some(true), ..FactsPatch::default() }));
        turn.commit().await?;
        let trouble = Trouble {
            action: Some(action),
            ..Trouble::new(
                "gone",
                format!("paused, because its receiver has been gone for an hour: {failure}"),
            )
        };
        env.health().failed(owner, trouble);
        self.runner.look_again();
        Ok(())
    }

    /// Hands one batch to a sink with a state, in the turn that records it. Returns whether there was one.
    pub(super) async fn deliver_in_turn(&mut self) -> Result<bool, Stop> {
        if !self.receiver.takes() {
            return Ok(false);
        }
        let Some(batch) = self.next_batch().await? else { return Ok(false) };
        if batch.is_empty() {
            return Ok(true);
        }
        let env = self.runner.env.clone();
        let protection = self.runner.protected().await;
        let mut turn = OpenTurn::open(env.store.as_ref(), self.runner.id, env.turn_id()).await?;
        self.looked_at_clock(turn.now());
        if turn.cursor() != self.cursor.as_deref() {
            self.stale = true;
            return Ok(true);
        }
        let Target::Sink(sink) = &self.target else { return Ok(false) };
        let bounds = env.bounds(env.options.delivery_timeout);
        let (mut receipts, begun) = (Vec::new(), Instant::now());
        let attempt = bounds.attempt(async { sink.deliver(&batch, &mut receipts, &mut turn).await }).await;
        // A sink may have made any words of its own of what the draft gave it.
        if let Some(error) = turn.store_error() {
            self.stale = true;
            return Err(error.into());
        }
        let end = End::of(attempt, &mut receipts, batch.len(), &bounds);
        let stores = !receipts.is_empty();
        let ended = Ended { batch, receipts, begun, end };
        if stores {
            self.deliver_record(ended, turn).await?;
        } else {
            self.ended(ended).await?;
        }
        drop(protection);
        Ok(true)
    }

    /// Stores what became of a batch, with what the sink wrote.
    async fn deliver_record(&mut self, ended: Ended, mut turn: OpenTurn<'_>) -> Result<(), Stop> {
        let Ended { batch, receipts, begun, end } = ended;
        let (whole, left) = batch.split_at(receipts.len());
        let failing = self.apply(whole, receipts, begun);
        let record = self.take_record();
        let is_ended = is_ended(&mut turn, &record).await?;
        let filled = !is_ended && fill(&mut turn, &record, false);
        let (now, wrote, known) = (turn.now(), !turn.turn_mut().is_empty(), seen_version(turn.turn_mut()));
        // Until it is stored, memory is ahead of the store.
        self.stale = true;
        let outcome = if filled { turn.commit().await? } else { return Err(Stop::Conflict) };
        let Outcome::Committed(committed) = outcome else { return Err(Stop::Conflict) };
        self.stale = false;
        let stored = Recorded::Stored { known: known(committed.version), now, wrote };
        self.recorded(record, Ok(stored))?;
        let left: Vec<Seq> = left.iter().map(|delivery| delivery.event.seq).collect();
        self.conclude(end, (left.len(), &left), begun, failing).await
    }
}
