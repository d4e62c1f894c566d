//! Random lives: whatever is changed, fails or is killed, each change is told once. A file changes at most once between
//! two looks at it, since Drive tells only the state of now.

use std::collections::BTreeSet;

use inboxclaw_fakes::google::drive::{Change, Drive, File, Home, NewFile, Person, What};
use inboxclaw_fakes::google::faults::Fault;
use jiff::Timestamp;
use proptest::prelude::*;

use crate::world::World;

/// One life: what happens in each round, and the seed of its faults.
#[derive(Debug, Clone)]
struct Life {
    rounds: Vec<Vec<(u8, u16)>>,
    seed: u64,
    rough: bool,
}

fn life() -> impl Strategy<Value = Life> {
    let round = proptest::collection::vec((0_u8..12, any::<u16>()), 0..8);
    (proptest::collection::vec(round, 1..7), any::<u64>(), any::<bool>())
        .prop_map(|(rounds, seed, rough)| Life { rounds, seed, rough })
}

/// Does something to a file that nothing was done to in this round.
fn act(drive: &mut Drive, now: Timestamp, what: u8, choice: u16, touched: &mut BTreeSet<String>) {
    let free: Vec<File> = drive.files().filter(|file| !touched.contains(&file.id)).cloned().collect();
    let chosen = (!free.is_empty()).then(|| &free[usize::from(choice) % free.len()]);
    let shared: Vec<String> = drive.drives().map(|drive| drive.id.clone()).collect();
    let name = format!("{what}-{choice}");
    let id = match (what, chosen) {
        (0, _) => drive.create(now, NewFile::text(&name, &name)),
        (1, _) => drive.share_with_me(now, NewFile::doc(&name, &name), Person::new("Ann", "ann@example.com")),
        (2, _) => drive.create(now, NewFile::text(&name, &name).inside(&shared[usize::from(choice) % 2])),
        (_, None) => return,
        (3 | 4, Some(file)) => {
            drive.edit(now, &file.id, format!("{name}-{now}"));
            file.id.clone()
        }
        (5, Some(file)) => {
            drive.rename(now, &file.id, &format!("{name}-{now}"));
            file.id.clone()
        }
        (6 | 7, Some(file)) => {
            if file.explicitly_trashed {
                drive.restore(now, &file.id)
            } else {
                drive.trash(now, &file.id)
            };
            file.id.clone()
        }
        (8, Some(file)) => {
            drive.remove(now, &file.id);
            file.id.clone()
        }
        (9, Some(file)) => {
            drive.touch(now, &file.id);
            file.id.clone()
        }
        (_, Some(file)) => {
            let places = [drive.root().to_owned(), shared[0].clone(), shared[1].clone()];
            let place = &places[usize::from(choice) % 3];
            if file.parent.as_ref() != Some(place) {
                drive.move_to(now, &file.id, place);
            }
            file.id.clone()
        }
    };
    touched.insert(id);
}

/// What must be told of a change.
fn told(change: &Change) -> Vec<String> {
    let is_in_drive = |file: &Option<File>| file.as_ref().is_some_and(|file| file.drive().is_some());
    let was_mine = change.before.as_ref().is_some_and(|file| file.home == Home::Mine);
    let kinds: &[&str] = match change.what {
        What::Created if is_in_drive(&change.after) => &["shared_with_you"],
        What::Created => &["created"],
        What::SharedWithMe => &["shared_with_you"],
        What::Edited | What::Renamed => &["updated"],
        What::Trashed => &["trashed"],
        What::Restored => &["untrashed"],
        What::Moved if was_mine && is_in_drive(&change.after) => &["moved", "shared_with_you"],
        What::Moved => &["moved"],
        What::Removed => &["removed"],
        _ => &[],
    };
    kinds.iter().map(|kind| format!("{kind} {} {}", change.id, change.at)).collect()
}

async fn live(life: Life) {
    let mut world = World::lived_in(life.seed, life.rough).await;
    let from = world.drive().history.len();
    let faults =
        [Fault::Internal, Fault::Unavailable, Fault::CutBefore, Fault::CutInside, Fault::UserRateLimit];
    let mut rng = life.seed;
    for round in life.rounds {
        let mut touched = BTreeSet::new();
        for (what, choice) in round {
            let now = world.later();
            act(&mut world.drive(), now, what, choice, &mut touched);
        }
        world.endures(&mut rng, faults.to_vec()).await;
    }
    world.restart();
    world.is_quiet().await;
    let mut expected: Vec<String> = world.drive().history[from..].iter().flat_map(told).collect();
    let short = |event: &inboxclaw_contract::Event| {
        let kind = event.event_type.trim_start_matches("google.drive.file_");
        format!("{kind} {} {}", event.entity_id.clone().unwrap(), event.occurred_at.unwrap())
    };
    let mut events: Vec<String> = world.memory.events().iter().map(short).collect();
    events.sort();
    expected.sort();
    assert_eq!(events, expected);
    world.is_well_asked();
}

/// How many lives are lived: so many, or as many as `INBOXCLAW_CASES` says.
#[allow(clippy::disallowed_methods, reason = "a test has no configuration")]
pub(crate) fn cases(usual: u32) -> u32 {
    std::env::var("INBOXCLAW_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(usual)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(40), max_shrink_iters: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn each_change_is_told_once(life in life()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(live(life));
    }
}
