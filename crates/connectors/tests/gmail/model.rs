//! Random scripts, faults, interruptions and lost histories, checked against what the mailbox's history says must,
//! may and must not be reported.

use std::collections::{BTreeMap, HashMap, HashSet};

use inboxclaw_contract::Entry;
use inboxclaw_fakes::google::faults::Fault;
use inboxclaw_fakes::google::gmail::{Mail, Mailbox, What};
use inboxclaw_fakes::google::pages::Paging;
use proptest::prelude::*;
use serde_json::json;

use crate::world::{HOUR, World};

#[derive(Debug, Clone)]
enum Op {
    Arrive,
    Spam,
    Filtered,
    SaveDraft,
    SendDraft,
    Delete(usize),
    ToSpam(usize),
    FromSpam(usize),
    ArriveLate,
    Poll,
    Turn,
    Dropped,
    Restart,
    Rewind,
    Expire,
    Hour,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => Just(Op::Arrive),
        2 => Just(Op::Spam),
        1 => Just(Op::Filtered),
        2 => Just(Op::SaveDraft),
        1 => Just(Op::SendDraft),
        3 => (0..40_usize).prop_map(Op::Delete),
        2 => (0..40_usize).prop_map(Op::ToSpam),
        3 => (0..40_usize).prop_map(Op::FromSpam),
        1 => Just(Op::ArriveLate),
        3 => Just(Op::Poll),
        5 => Just(Op::Turn),
        1 => Just(Op::Dropped),
        1 => Just(Op::Restart),
        1 => Just(Op::Rewind),
        1 => Just(Op::Expire),
        1 => Just(Op::Hour),
    ]
}

/// What is to be said of a message at the end.
#[derive(Default)]
struct Story {
    /// Whether it was ever there without a label that hides it.
    was_visible: bool,
    is_visible: bool,
    is_deleted: bool,
    is_filtered: bool,
}

fn hides(labels: &[String]) -> bool {
    labels.iter().any(|label| label == "SPAM" || label == "DRAFT")
}

fn stories(world: &World, filtered: &HashSet<String>) -> BTreeMap<String, Story> {
    let mut stories: BTreeMap<String, Story> = BTreeMap::new();
    for change in &world.fake.gmail().history {
        let story = stories.entry(change.message.clone()).or_default();
        story.is_filtered = filtered.contains(&change.message);
        if change.what == What::Deleted {
            (story.is_deleted, story.is_visible) = (true, false);
        } else {
            story.is_visible = !hides(&change.labels) && !story.is_filtered;
            story.was_visible |= story.is_visible;
        }
    }
    stories
}

/// A play on the way.
struct Stage {
    world: World,
    ids: Vec<String>,
    drafts: Vec<String>,
    filtered: HashSet<String>,
    /// Deleted while the mailbox was listed: whether the message was hidden before, the state cannot know.
    blurred: HashSet<String>,
    /// There when a rewind made the source forget: whether the message was reported, the state cannot know.
    forgotten: HashSet<String>,
    past: (Option<String>, BTreeMap<String, Entry>),
}

impl Stage {
    async fn new(paging: Paging, faults: Option<u64>) -> Self {
        let settings = json!({ "filters": [{ "noise": { "in": "subject", "contains": "noise" } }] });
        let world = World::begun(settings).await;
        world.mailbox(|mailbox, _| mailbox.paging = paging);
        if let Some(seed) = faults {
            let among = vec![Fault::Unavailable, Fault::CutBefore, Fault::Internal, Fault::CutInside];
            world.fake.faults().random_among(seed, 0.2, among);
        }
        let past = world.memory.saved();
        let (ids, drafts, filtered, blurred, forgotten) = <_>::default();
        Self { world, ids, drafts, filtered, blurred, forgotten, past }
    }

    async fn play(&mut self, op: Op) {
        let before = self.world.fake.gmail().history.len();
        let is_blurred = self.world.memory.values().contains_key("recovery");
        if !self.happen(&op) {
            self.poll(op).await;
        }
        let gmail = self.world.fake.gmail();
        let deleted =
            gmail.history[before..].iter().filter(|change| is_blurred && change.what == What::Deleted);
        self.blurred.extend(deleted.map(|change| change.message.clone()));
    }

    /// What happens to the mailbox, if the step is of that kind.
    fn happen(&mut self, op: &Op) -> bool {
        let (ids, world) = (&self.ids, &self.world);
        let pick = |number: usize| ids.get(number % ids.len().max(1)).cloned().unwrap_or_default();
        let arrive = |mail: Mail| world.mailbox(|mailbox, now| mailbox.arrive(now, mail));
        let relabel = |number: &usize, add: &str, remove: &str| {
            world.mailbox(|mailbox, now| mailbox.relabel(now, &pick(*number), &[add], &[remove]));
            None
        };
        let new = match op {
            Op::Arrive => Some(arrive(Mail::default())),
            Op::Spam => Some(arrive(Mail::spam("x@x.org", "buy"))),
            Op::Filtered => {
                let id = arrive(Mail::incoming("x@x.org", "noise"));
                self.filtered.insert(id.clone());
                Some(id)
            }
            Op::SaveDraft => {
                let before = self.drafts.pop();
                let save =
                    |mailbox: &mut Mailbox, now| mailbox.save_draft(now, before.as_deref(), Mail::default());
                self.drafts.push(world.mailbox(save));
                None
            }
            Op::SendDraft => {
                let draft = self.drafts.pop();
                draft.and_then(|draft| world.mailbox(|mailbox, now| mailbox.send_draft(now, &draft)))
            }
            Op::Delete(number) => {
                world.mailbox(|mailbox, now| mailbox.delete(now, &pick(*number)));
                None
            }
            Op::ToSpam(number) => relabel(number, "SPAM", "INBOX"),
            Op::FromSpam(number) => relabel(number, "INBOX", "SPAM"),
            // It is named before it can be read.
            Op::ArriveLate => {
                let id = arrive(Mail::default());
                world.mailbox(|mailbox, _| mailbox.hold_back(&id, 1));
                Some(id)
            }
            Op::Expire => {
                world.mailbox(|mailbox, _| mailbox.expire_history());
                None
            }
            _ => return false,
        };
        self.ids.extend(new);
        true
    }

    async fn poll(&mut self, op: Op) {
        match op {
            Op::Poll => drop(self.world.endure().await),
            Op::Turn => drop(self.world.turn().await),
            Op::Dropped => self.world.dropped_turn().await,
            Op::Restart => self.world.restart(),
            Op::Rewind => {
                // A page that was refused, a recovery and a pass are three polls.
                for _ in 0..3 {
                    self.world.endure().await;
                }
                self.forgotten.extend(self.world.fake.gmail().messages().map(|message| message.id.clone()));
                let now = self.world.memory.saved();
                self.world.memory.rewind(std::mem::replace(&mut self.past, now));
            }
            _ => self.world.advance(HOUR),
        }
    }
}

async fn play(ops: Vec<Op>, paging: Paging, faults: Option<u64>) {
    let mut stage = Stage::new(paging, faults).await;
    for op in ops {
        stage.play(op).await;
    }
    stage.world.fake.faults().off();
    for _ in 0..4 {
        // What is missing is waited for so long, also where its deletion is lost.
        stage.world.advance(HOUR);
        stage.world.endure().await;
    }
    check(&stage, &stories(&stage.world, &stage.filtered));
}

fn check(stage: &Stage, stories: &BTreeMap<String, Story>) {
    let world = &stage.world;
    let events = world.memory.events();
    let places: HashMap<&str, usize> =
        events.iter().enumerate().map(|(place, event)| (&*event.event_id, place)).collect();
    for (id, story) in stories {
        let (reported, deleted) = (places.get(&**id), places.get(&*format!("{id}-deleted")));
        if story.is_visible {
            assert!(reported.is_some(), "{id} is there and was not reported");
        }
        if !story.was_visible {
            assert!(reported.is_none(), "{id} was always hidden and was reported");
        }
        let was_told = reported.is_some() && story.is_deleted;
        assert!(deleted.is_none() || was_told || stage.blurred.contains(id), "{id} is gone for no reason");
        assert!(!was_told || deleted.is_some() || stage.forgotten.contains(id), "{id} is gone unnoticed");
        assert!(deleted.is_none() || deleted > reported, "{id} was deleted before it came");
    }
    let plain = |id: &'_ str| id.trim_end_matches("-deleted").trim_end_matches("-received").to_owned();
    let known = places.keys().filter(|id| !id.starts_with("gap:")).map(|id| plain(id));
    known.for_each(|id| assert!(stories.contains_key(&id), "{id} is nobody's"));
    let waiting = world.memory.values().into_keys().filter(|key| key.starts_with("retry:"));
    assert_eq!(waiting.collect::<Vec<_>>(), [""; 0]);
    assert_eq!(world.fake.violations(), [""; 0]);
}

fn run(ops: Vec<Op>, paging: Paging, faults: Option<u64>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(play(ops, paging, faults));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, max_shrink_iters: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn events_are_what_the_history_says(
        ops in proptest::collection::vec(op(), 1..70),
        rough in any::<bool>(),
        faults in proptest::option::of(any::<u64>()),
    ) {
        let paging = if rough { Paging::irregular() } else { Paging { largest_page: Some(4), ..Paging::default() } };
        run(ops, paging, faults);
    }
}
