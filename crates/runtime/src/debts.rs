//! What sinks owe to their consumers: shows what grows too old before retention removes it, and tells what went. That
//! nothing goes before is the store's business.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use inboxclaw_contract::sinks::{COUNTED, DROPPED, Debt, Lapse, SinkDebts, Untold};
use inboxclaw_contract::{
    Failure, Json, NewEvent, OpenTurn, Owner, OwnerId, OwnerKind, Seq, State, StoreError,
};
use inboxclaw_settings::Interval;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::health::{Status, iso};
use crate::runner::Env;

/// From this part of `owed_max` on, in percent, people are warned.
const NEAR: u32 = 80;
/// Most event types that a warning names.
const NAMED: usize = 3;

/// See the module.
pub(crate) struct Debts {
    env: Arc<Env>,
    /// The internal source, whose events tell what was dropped.
    internal: OwnerId,
    /// The sinks of the configuration.
    configured: Vec<(Owner, OwnerId)>,
    /// What outlived its time to live since the start of the program, by sink.
    expired: BTreeMap<OwnerId, u64>,
}

/// The data of an event that tells what was dropped; keys and order are fixed.
#[derive(Serialize)]
struct Data<'a> {
    sink: &'a str,
    #[serde(rename = "type")]
    event_type: &'a str,
    count: u64,
    from: String,
    to: String,
    first_id: i64,
    last_id: i64,
    why: &'a str,
}

impl Debts {
    pub(crate) fn new(env: Arc<Env>, internal: OwnerId, configured: Vec<(Owner, OwnerId)>) -> Self {
        Self { env, internal, configured, expired: BTreeMap::new() }
    }

    /// Shows in health what is owed for long, and the sinks that the store knows and the configuration does not. Ends
    /// the debts of those that left it too long ago.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub(crate) async fn show(&self) -> Result<(), StoreError> {
        let store = self.env.store.as_ref();
        let now = State::snapshot(store, self.internal).await?.now;
        let debts = store.debts().await?;
        let of = |id| debts.iter().find(|debts| debts.sink == id);
        for (owner, id) in &self.configured {
            self.env.health().owing(owner, of(*id).and_then(|debts| self.warning(owner, debts, now)));
        }
        for info in store.owners().await? {
            let is_configured = self.configured.iter().any(|(_, id)| *id == info.id);
            if info.kind != OwnerKind::Sink || is_configured {
                continue;
            }
            let owner = Owner::sink(info.name);
            self.env.health().add_still(&owner, &info.connector, Status::NotConfigured);
            let notice = match of(info.id) {
                Some(debts) => self.stranger(&owner, debts, now).await?,
                None => "not in the configuration: owes nothing".to_owned(),
            };
            self.env.health().notice(&owner, Some(notice));
        }
        Ok(())
    }

    /// What to say of a sink that the configuration does not name.
    async fn stranger(&self, owner: &Owner, debts: &SinkDebts, now: Timestamp) -> Result<String, StoreError> {
        let owed_max = self.env.options.owed_max;
        let left_at = debts.left_at.unwrap_or(now);
        let ends = later(left_at, owed_max);
        if ends > now {
            let owed = sum(&debts.types);
            return Ok(format!(
                "not in the configuration since {}: goes on owing {owed} until {} (database.owed_max {}); \
                 `inboxclaw forget sink:{}` ends that",
                iso(left_at),
                iso(ends),
                shown(owed_max),
                owner.name,
            ));
        }
        let why = format!(
            "the sink left the configuration longer than {} ago (database.owed_max)",
            shown(owed_max)
        );
        let owed = debts.types.iter().filter(|debt| debt.event_type != DROPPED);
        let told = owed.map(|debt| {
            let untold = Untold { count: debt.count, first: debt.oldest, last: debt.newest };
            (owner.name.clone(), debt.event_type.clone(), untold, why.clone())
        });
        self.tell(debts.sink, told.collect()).await?;
        self.env.store.release(debts.sink).await?;
        Ok(format!("not in the configuration since {}: owes nothing any more", iso(left_at)))
    }

    /// What to say of debts that retention will not keep for much longer.
    fn warning(&self, owner: &Owner, debts: &SinkDebts, now: Timestamp) -> Option<String> {
        let problem = debts.problem.as_ref().map(|problem| format!("counts as owing everything: {problem}"));
        let options = &self.env.options;
        let owed_max = options.owed_max;
        let near = self.env.options.retention().and_then(|retention| {
            let age = |debt: &Debt| Duration::try_from(now.duration_since(debt.oldest.1)).unwrap_or_default();
            // Types that are kept for ever are never removed, however long they are owed.
            let goes = |debt: &Debt| {
                retention.of(&debt.event_type).map(|kept| later(debt.oldest.1, owed_max.max(kept)))
            };
            let is_near = |debt: &&Debt| age(debt) >= owed_max / 100 * NEAR && goes(debt).is_some();
            let mut old: Vec<&Debt> = debts.types.iter().filter(is_near).collect();
            old.sort_by_key(|debt| debt.oldest.1);
            let first = old.first()?;
            let goes = old.iter().filter_map(|debt| goes(debt)).min()?;
            let (types, owed) = (types(&old), shown(owed_max));
            Some(format!(
                "not confirmed since {}: {types}; from {} on retention removes what is owed for longer than \
                 database.owed_max ({owed}): confirm it, or raise database.owed_max",
                iso(first.oldest.1),
                iso(goes),
            ))
        });
        let words: Vec<String> =
            problem.into_iter().chain(near).chain(self.old_letters(owner, debts, now)).collect();
        (!words.is_empty()).then(|| words.join("; "))
    }

    /// What to say of dead letters that will go before long.
    fn old_letters(&self, owner: &Owner, debts: &SinkDebts, now: Timestamp) -> Option<String> {
        let (since, dead_max) = (debts.deliveries.dead_since?, self.env.options.dead_max);
        let age = Duration::try_from(now.duration_since(since)).unwrap_or_default();
        (age >= dead_max / 100 * NEAR).then(|| {
            format!(
                "the oldest of {} dead letters is one since {}; from {} on it goes (database.dead_max {}): retry or drop it, \
                 `inboxclaw deliveries list --sink {} --state dead` shows them",
                debts.deliveries.dead,
                iso(since),
                iso(later(since, dead_max)),
                shown(dead_max),
                owner.name,
            )
        })
    }

    /// Counts what has outlived its time to live.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub(crate) async fn expire(&mut self) -> Result<(), StoreError> {
        let expired = self.env.store.expire().await?;
        for one in expired.iter().filter(|one| one.count > 0) {
            let Some((owner, _)) = self.configured.iter().find(|(_, id)| *id == one.sink) else { continue };
            let (event_type, events) = (&one.event_type, one.count);
            tracing::warn!(%owner, event_type, events, "events outlived their time to live unconfirmed");
            let all = self.expired.entry(one.sink).or_default();
            *all += events;
            let lapsed =
                format!("events that outlived their time to live unconfirmed since the start: {all}");
            self.env.health().lapsed(owner, lapsed);
        }
        Ok(())
    }

    /// Why retention removes what is owed.
    pub(crate) fn owed_for_long(&self) -> String {
        format!("owed for longer than {} (database.owed_max)", shown(self.env.options.owed_max))
    }

    /// Why dead letters go.
    pub(crate) fn dead_for_long(&self) -> String {
        format!("a dead letter for longer than {} (database.dead_max)", shown(self.env.options.dead_max))
    }

    /// Tells what went although it was owed, and `why`.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub(crate) async fn tell_dropped(&self, why: String) -> Result<(), StoreError> {
        let lapses = self.env.store.lapses().await?;
        let untold: Vec<(&Lapse, Untold)> =
            lapses.iter().filter_map(|lapse| Some((lapse, lapse.untold?))).collect();
        if untold.is_empty() {
            return Ok(());
        }
        let names: BTreeMap<OwnerId, String> =
            self.env.store.owners().await?.into_iter().map(|info| (info.id, info.name)).collect();

        for (lapse, untold) in untold {
            if let Some(name) = names.get(&lapse.sink) {
                let told = (name.clone(), lapse.event_type.clone(), untold, why.clone());
                self.tell(lapse.sink, vec![told]).await?;
            }
            self.env.store.set_told(lapse).await?;
        }
        Ok(())
    }

    /// Stores an event for each event type of a sink. Told again after a crash they are the same events.
    async fn tell(
        &self,
        sink: OwnerId,
        told: Vec<(String, String, Untold, String)>,
    ) -> Result<(), StoreError> {
        let mut draft = OpenTurn::open(self.env.store.as_ref(), self.internal, self.env.turn_id()).await?;
        for (name, event_type, untold, why) in told {
            let (events, from, to) = (untold.count, untold.first.0.0, untold.last.0.0);
            tracing::warn!(sink = name, event_type, events, from, to, why, "events are no longer owed");
            let emitted = event(sink, &name, &event_type, untold, &why).and_then(|event| draft.emit(event));
            if let Err(failure) = emitted {
                tracing::error!(sink = name, cause = %failure, "cannot tell what was dropped");
            }
        }
        draft.commit().await.map(drop)?;
        self.env.health().store_works(true);
        Ok(())
    }
}

fn event(
    sink: OwnerId,
    name: &str,
    event_type: &str,
    Untold { count, first, last }: Untold,
    why: &str,
) -> Result<NewEvent, Failure> {
    let data = Data {
        sink: name,
        event_type,
        count,
        from: iso(first.1),
        to: iso(last.1),
        first_id: first.0.0,
        last_id: last.0.0,
        why,
    };
    let data = Json::from_value(&data).map_err(Failure::internal)?;
    let (Seq(from), Seq(to)) = (first.0, last.0);
    let id = format!("dropped:{}:{from}:{to}:{event_type}", sink.0);
    // A type may be as long as an event id.
    let id = id.chars().take(1_000).collect::<String>();
    Ok(NewEvent::new(id, DROPPED, data).entity(name))
}

/// How many events of which types, the first ones by name.
fn types(debts: &[&Debt]) -> String {
    let named = debts.iter().take(NAMED).map(|debt| format!("{} {}", number(debt.count), debt.event_type));
    let mut all: Vec<String> = named.collect();
    if debts.len() > NAMED {
        all.push(format!("and {} more types", debts.len() - NAMED));
    }
    all.join(", ")
}

fn sum(debts: &[Debt]) -> String {
    let sum: u64 = debts.iter().map(|debt| debt.count).sum();
    let bounded = debts.iter().any(|debt| debt.count >= COUNTED);
    let events = if sum == 1 { "event" } else { "events" };
    format!("{}{sum} {events}", if bounded { "at least " } else { "" })
}

fn number(count: u64) -> String {
    if count >= COUNTED { format!("at least {count}") } else { count.to_string() }
}

fn shown(length: Duration) -> Interval {
    Interval::from_secs(length.as_secs())
}

fn later(at: Timestamp, by: Duration) -> Timestamp {
    let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}
