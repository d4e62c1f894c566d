//! Wild lives: anything happens to a file any number of times between two looks, tokens are lost, shared drives come and
//! go, turns fail and are killed. What was told and what is known must fit what is there.

use std::collections::{BTreeMap, BTreeSet};

use inboxclaw_contract::Event;
use inboxclaw_fakes::google::drive::{Drive, File, NewFile, Person};
use inboxclaw_fakes::google::faults::Fault;
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::random_histories::cases;
use crate::world::{World, data};

/// One life: what happens before each look, and the seed of its faults.
#[derive(Debug, Clone)]
struct Life {
    looks: Vec<Vec<(u8, u16)>>,
    seed: u64,
    rough: bool,
}

fn life() -> impl Strategy<Value = Life> {
    let look = proptest::collection::vec((0_u8..17, any::<u16>()), 0..10);
    (proptest::collection::vec(look, 1..7), any::<u64>(), any::<bool>())
        .prop_map(|(looks, seed, rough)| Life { looks, seed, rough })
}

/// Does something.
fn act(drive: &mut Drive, now: Timestamp, what: u8, choice: u16) {
    let files: Vec<File> = drive.files().cloned().collect();
    let drives: Vec<String> = drive.drives().map(|drive| drive.id.clone()).collect();
    let pick = |length: usize| usize::from(choice) % length.max(1);
    let name = format!("{what}-{choice}-{now}");
    let places: Vec<String> = [drive.root().to_owned()].into_iter().chain(drives.clone()).collect();
    let place = &places[pick(places.len())];
    match (what, files.get(pick(files.len()))) {
        (0 | 1, _) => _ = drive.create(now, NewFile::text(&name, &name).inside(place)),
        (2, _) => _ = drive.create(now, NewFile::doc(&name, &name).inside(place)),
        (3, _) => {
            let ann = Person::new("Ann", "ann@example.com");
            drive.share_with_me(now, NewFile::doc(&name, &name), ann);
        }
        (4, _) if choice.is_multiple_of(4) => _ = drive.add_drive(now, &name),
        (5, _) if choice.is_multiple_of(4) => {
            _ = drives.get(pick(drives.len())).map(|id| drive.remove_drive(now, id))
        }
        (6, _) if choice.is_multiple_of(2) => {
            let log = places.get(pick(places.len())).filter(|place| **place != drive.root()).cloned();
            drive.expire_tokens(log.as_deref(), [400, 404, 410][usize::from(choice / 2) % 3]);
        }
        (7, _) => drive.expire_listings(),
        (8 | 9, Some(file)) => _ = drive.edit(now, &file.id, name),
        (10, Some(file)) => _ = drive.rename(now, &file.id, &name),
        (11, Some(file)) if file.explicitly_trashed => _ = drive.restore(now, &file.id),
        (11, Some(file)) => _ = drive.trash(now, &file.id),
        (12, Some(file)) => _ = drive.remove(now, &file.id),
        (13.., Some(file)) => _ = drive.move_to(now, &file.id, place),
        _ => {}
    }
}

/// Turns until the source waits without trouble, some of which fail, are lost or are the last of a program.
async fn look(world: &mut World, rng: &mut u64, fails: bool) {
    let mut faults = vec![Fault::CutBefore, Fault::CutInside, Fault::UserRateLimit];
    if fails {
        faults.extend([Fault::Internal, Fault::Unavailable]);
    }
    world.endures(rng, faults).await;
    world.round().await;
}

type Files = BTreeMap<String, File>;

fn files(world: &World) -> Files {
    world.drive().files().map(|file| (file.id.clone(), file.clone())).collect()
}

/// What is known is what is there, texts included where `with_texts`.
fn knows(world: &World, with_texts: bool) {
    let values = world.memory.values();
    let read =
        |key: &str| -> Option<Value> { values.get(key).map(|value| serde_json::from_str(value).unwrap()) };
    let known: BTreeSet<&str> = values.keys().filter_map(|key| key.strip_prefix("gdrive:file:")).collect();
    let there = files(world);
    assert_eq!(known, there.keys().map(String::as_str).collect());
    for (id, file) in &there {
        let known = read(&format!("gdrive:file:{id}")).unwrap();
        let found = json!([
            known["name"],
            known["parents"],
            known["trashed"],
            known["drive_id"],
            known["modified_time"]
        ]);
        let parents: Vec<&String> = file.parent.iter().collect();
        assert_eq!(
            found,
            json!([file.name, parents, file.trashed, file.drive(), format!("{:.3}", file.modified)])
        );
        if let Some(hash) = known["content_hash"].as_str().filter(|_| with_texts) {
            assert_eq!(hash, file.digest, "the text of {}", file.name);
        }
    }
    for key in values.keys() {
        let rest = ["gdrive:pass", "gdrive:listed:", "gdrive:census"];
        assert!(!rest.iter().any(|rest| key.starts_with(rest)), "{key} is left");
        if let Some(id) = key.strip_prefix("gdrive:text:") {
            assert!(there.contains_key(id), "a text is left");
        }
    }
}

/// The events of a file between two looks say how it came from one state to the other.
fn fits(before: Option<&File>, after: Option<&File>, events: &[&Event], is_text_known: bool) {
    let kind = |event: &&Event| event.event_type.trim_start_matches("google.drive.file_").to_owned();
    let kinds: Vec<String> = events.iter().map(kind).collect();
    let count = |kind: &str| kinds.iter().filter(|found| *found == kind).count();
    let told = format!("{kinds:?} {before:?} {after:?}");
    match (before, after) {
        (Some(_), None) => {
            assert_eq!((count("removed"), kinds.last().unwrap().as_str()), (1, "removed"), "{told}")
        }
        (None, None) => assert!(count("removed") <= 1, "{told}"),
        (None, Some(_)) => {
            assert!(count("removed") == 0 && count("created") + count("shared_with_you") >= 1, "{told}");
            assert!(count("created") <= 1, "{told}");
        }
        (Some(before), Some(after)) => {
            assert_eq!(count("removed") + count("created"), 0, "{told}");
            let last = |kind: &str| {
                events.iter().rfind(|event| event.event_type.ends_with(kind)).map(|event| data(event))
            };
            if before.name != after.name {
                assert_eq!(last("updated").unwrap()["name"], after.name, "{told}");
            } else if is_text_known && before.digest != after.digest {
                assert_eq!(last("updated").unwrap()["contentDiff"]["totalChangedSections"], 1, "{told}");
            }
            if before.parent != after.parent {
                assert_eq!(last("moved").unwrap()["parentIds"]["after"], json!([after.parent]), "{told}");
            }
            let flips = count("trashed").abs_diff(count("untrashed"));
            assert_eq!(flips == 1, before.trashed != after.trashed, "{told}");
        }
    }
}

async fn live(life: Life) {
    let mut world = World::lived_in(life.seed, life.rough).await;
    knows(&world, true);
    let mut rng = life.seed;
    // A text that the service fails at three times in a row is left out.
    let fails = life.seed.is_multiple_of(3);
    for actions in life.looks {
        let (before, values, from) = (files(&world), world.memory.values(), world.memory.events().len());
        let drives: BTreeSet<String> = world.drive().drives().map(|drive| drive.id.clone()).collect();
        for (what, choice) in actions {
            let now = world.later();
            act(&mut world.drive(), now, what, choice);
        }
        look(&mut world, &mut rng, fails).await;
        knows(&world, !fails);
        let (after, events) = (files(&world), world.memory.events().split_off(from));
        let told = events.iter().filter(|event| event.event_type.starts_with("google.drive."));
        let told = told.filter_map(|event| event.entity_id.as_ref());
        let ids: BTreeSet<&String> = before.keys().chain(after.keys()).chain(told).collect();
        for id in ids {
            // What a new drive holds is silent.
            let drive = after.get(id).and_then(File::drive);
            if !before.contains_key(id) && drive.is_some_and(|drive| !drives.contains(drive)) {
                continue;
            }
            let of_file: Vec<&Event> =
                events.iter().filter(|event| event.entity_id.as_ref() == Some(id)).collect();
            let is_text_known = !fails && values.contains_key(&format!("gdrive:text:{id}"));
            fits(before.get(id), after.get(id), &of_file, is_text_known);
        }
    }
    world.restart();
    world.is_quiet().await;
    world.is_well_asked();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(12), max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_told_and_what_is_known_fits_what_is_there(life in life()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(live(life));
    }
}
