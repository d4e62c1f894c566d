//! Any order of emits, extracts, leases, confirmations and passing time, against a model: a confirmed event never
//! comes again, a leased one is hidden while its lease lasts, and every other one is handed out.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use inboxclaw_contract::Seq;
use inboxclaw_contract::store::DeliveryQuery;
use inboxclaw_runtime::pull::{Batch, PullSink, Wanted};
use inboxclaw_settings::Patterns;
use proptest::prelude::*;
use serde_json::json;

use super::support::Inbox;

const TYPES: [&str; 3] = ["a.x", "a.y", "b"];
const SELECTORS: [&str; 4] = ["", "a.*", "b", "a.x"];

#[derive(Debug, Clone)]
enum Step {
    Emit(Vec<usize>),
    Extract {
        size: Option<usize>,
        lease: Option<u64>,
        selector: usize,
    },
    /// Confirms one of the batches so far, counted from the newest.
    Confirm(usize),
    /// Confirms as many events of one of them, whatever was confirmed of it before.
    Ack(usize, usize),
    /// Moves the end of the lease of one of them.
    Extend(usize, u64),
    Pass(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => prop::collection::vec(0..TYPES.len(), 1..5).prop_map(Step::Emit),
        4 => (prop::option::of(1..6_usize), prop::option::of(1..20_u64), 0..SELECTORS.len())
            .prop_map(|(size, lease, selector)| Step::Extract { size, lease, selector }),
        3 => (0..4_usize).prop_map(Step::Confirm),
        2 => (0..4_usize, 0..5_usize).prop_map(|(back, count)| Step::Ack(back, count)),
        2 => (0..4_usize, prop_oneof![Just(0), 1..20_u64]).prop_map(|(back, lease)| Step::Extend(back, lease)),
        2 => (1..15_u64).prop_map(Step::Pass),
    ];
    prop::collection::vec(step, 1..40)
}

/// What should be the case, with a row per event and no positions.
#[derive(Default)]
struct Model {
    now: u64,
    types: BTreeMap<i64, &'static str>,
    confirmed: BTreeSet<i64>,
    /// When the lease of an event ends, and the batch that has it.
    leases: BTreeMap<i64, (u64, usize)>,
    batches: Vec<(Option<i64>, Vec<i64>)>,
    /// The batches that were confirmed.
    done: BTreeSet<i64>,
    /// Those with a lease.
    leased: BTreeSet<usize>,
    /// What was confirmed of a batch in part.
    acked: BTreeMap<i64, u64>,
}

impl Model {
    fn extract(&mut self, wanted: &Wanted) -> (Vec<i64>, u64) {
        let free = |id: &i64| {
            !self.confirmed.contains(id) && self.leases.get(id).is_none_or(|(end, _)| *end <= self.now)
        };
        let fits = |kind: &str| wanted.selector.as_ref().is_none_or(|selector| selector.matches(kind));
        let free: Vec<i64> =
            self.types.iter().filter(|(id, kind)| free(id) && fits(kind)).map(|(id, _)| *id).collect();
        let taken: Vec<i64> = free.iter().copied().take(wanted.size.unwrap_or(usize::MAX)).collect();
        if let Some(lease) = wanted.lease {
            let batch = self.batches.len();
            self.leases.extend(taken.iter().map(|id| (*id, (self.now + lease.as_secs(), batch))));
            self.leased.insert(batch);
        }
        let remaining = free.len() - taken.len();
        (taken, remaining as u64)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, max_shrink_iters: 400, ..ProptestConfig::default() })]

    #[test]
    fn extracts_give_what_the_model_gives(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(steps))?;
    }
}

async fn run(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let inbox = Inbox::new().await;
    let sink = inbox.pull_sink("p", json!({})).await;
    let mut model = Model::default();
    for step in steps {
        match step {
            Step::Emit(types) => {
                let types: Vec<&'static str> = types.into_iter().map(|index| TYPES[index]).collect();
                let seqs = inbox.emit(&types).await;
                model.types.extend(seqs.iter().map(|seq| seq.0).zip(types));
            }
            Step::Extract { size, lease, selector } => {
                let selector = Patterns::selector(SELECTORS[selector]);
                let wanted = Wanted { selector, size, lease: lease.map(Duration::from_secs) };
                extract(&inbox, &sink, &mut model, &wanted).await?;
            }
            Step::Confirm(back) => confirm(&inbox, &sink, &mut model, back).await?,
            Step::Ack(back, count) => acknowledge(&inbox, &sink, &mut model, (back, count)).await?,
            Step::Extend(back, lease) => extend(&inbox, &sink, &mut model, (back, lease)).await?,
            Step::Pass(seconds) => {
                inbox.clock.advance(Duration::from_secs(seconds));
                model.now += seconds;
            }
        }
    }
    // Whatever happened, what nobody confirmed is still handed out in the end.
    inbox.clock.advance(Duration::from_secs(100));
    model.now += 100;
    extract(&inbox, &sink, &mut model, &Wanted::default()).await?;
    confirm(&inbox, &sink, &mut model, 0).await?;
    prop_assert_eq!(model.extract(&Wanted::default()).0, Vec::<i64>::new());
    extract(&inbox, &sink, &mut model, &Wanted::default()).await?;
    prop_assert_eq!(
        inbox.store.deliveries(sink.owner(), DeliveryQuery::all(1000)).await.unwrap().deliveries,
        vec![],
        "no delivery is left over"
    );
    Ok(())
}

async fn extract(
    inbox: &Inbox,
    sink: &PullSink,
    model: &mut Model,
    wanted: &Wanted,
) -> Result<(), TestCaseError> {
    let batch: Batch = sink.extract(inbox.store.as_ref(), inbox.random.as_ref(), wanted).await.unwrap();
    let ids: Vec<i64> = batch.events.iter().map(|event| event.seq.0).collect();
    prop_assert_eq!((ids.clone(), batch.remaining), model.extract(wanted));
    prop_assert_eq!(batch.id.is_some(), !ids.is_empty());
    model.batches.push((batch.id, ids));
    Ok(())
}

async fn confirm(
    inbox: &Inbox,
    sink: &PullSink,
    model: &mut Model,
    back: usize,
) -> Result<(), TestCaseError> {
    let Some(index) = model.batches.len().checked_sub(back + 1) else { return Ok(()) };
    let (Some(id), ids) = &model.batches[index] else { return Ok(()) };
    let marked = sink.confirm(inbox.store.as_ref(), inbox.random.as_ref(), *id).await.unwrap();
    let acked = model.acked.get(id).copied().unwrap_or(0);
    prop_assert_eq!(marked, if model.done.insert(*id) { ids.len() as u64 - acked } else { 0 });
    model.confirmed.extend(ids.iter());
    Ok(())
}

/// What was confirmed through another batch does not count here, unless the whole batch is confirmed.
async fn acknowledge(
    inbox: &Inbox,
    sink: &PullSink,
    model: &mut Model,
    (back, count): (usize, usize),
) -> Result<(), TestCaseError> {
    let Some(index) = model.batches.len().checked_sub(back + 1) else { return Ok(()) };
    let (Some(id), ids) = model.batches[index].clone() else { return Ok(()) };
    let Some(up_to) = ids.iter().take(count).next_back().copied() else { return Ok(()) };
    if ids.last() == Some(&up_to) {
        return confirm(inbox, sink, model, back).await;
    }
    let part: Vec<i64> = ids.iter().copied().filter(|seq| *seq <= up_to).collect();
    let fresh = part.iter().filter(|seq| !model.confirmed.contains(seq)).count() as u64;
    let marked =
        sink.acknowledge(inbox.store.as_ref(), inbox.random.as_ref(), (id, Seq(up_to))).await.unwrap();
    if model.done.contains(&id) {
        prop_assert_eq!(marked, 0);
        return Ok(());
    }
    prop_assert_eq!(marked, fresh);
    *model.acked.entry(id).or_default() += marked;
    model.confirmed.extend(part);
    Ok(())
}

/// A lease that another batch has by now is not moved.
async fn extend(
    inbox: &Inbox,
    sink: &PullSink,
    model: &mut Model,
    (back, lease): (usize, u64),
) -> Result<(), TestCaseError> {
    let Some(index) = model.batches.len().checked_sub(back + 1) else { return Ok(()) };
    let (Some(id), ids) = model.batches[index].clone() else { return Ok(()) };
    if !model.leased.contains(&index) {
        return Ok(());
    }
    let duration = Duration::from_secs(lease);
    let extended = sink.extend(inbox.store.as_ref(), inbox.random.as_ref(), (id, duration)).await.unwrap();
    let is_own = |seq: &&i64| {
        !model.confirmed.contains(seq) && model.leases.get(seq).is_some_and(|(_, batch)| *batch == index)
    };
    let own: Vec<i64> = ids.iter().filter(is_own).copied().collect();
    prop_assert_eq!(extended, if model.done.contains(&id) { 0 } else { own.len() as u64 });
    if !model.done.contains(&id) {
        model.leases.extend(own.into_iter().map(|seq| (seq, (model.now + lease, index))));
    }
    Ok(())
}
