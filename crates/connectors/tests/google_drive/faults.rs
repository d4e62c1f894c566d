//! Pages of all sorts, and requests that fail: progress is kept, nothing is told twice.

use inboxclaw_contract::Next;
use inboxclaw_fakes::google::drive::NewFile;
use inboxclaw_fakes::google::faults::{Fault, Rule};
use inboxclaw_fakes::google::pages::Paging;

use crate::world::{World, told};

/// Creates files called 0, 1, 2 …
fn create(world: &World, count: usize) -> Vec<String> {
    let now = world.later();
    let names: Vec<String> = (0..count).map(|number| number.to_string()).collect();
    names.iter().for_each(|name| _ = world.drive().create(now, NewFile::text(name, name)));
    names.iter().map(|name| format!("created {name}")).collect()
}

#[tokio::test]
async fn pages_of_all_sorts() {
    let paging = [
        Paging { largest_page: Some(1), ..Paging::default() },
        Paging { empty_pages: true, largest_page: Some(2), ..Paging::default() },
        Paging { overlap: 1, duplicates: true, largest_page: Some(3), ..Paging::default() },
        Paging::irregular(),
    ];
    for paging in paging {
        let world = World::new().await;
        world.drive().paging = paging.clone();
        create(&world, 7);
        assert!(world.told().await.is_empty(), "{paging:?}");
        let mut expected = create(&world, 10);
        let mut events = world.told().await;
        events.sort();
        expected.sort();
        assert_eq!(events, expected, "{paging:?}");
        world.is_quiet().await;
        world.is_well_asked();
    }
}

#[tokio::test]
async fn a_page_gets_through_when_every_second_text_fails() {
    let world = World::new().await;
    world.round().await;
    let expected = create(&world, 40);
    for nth in (2..200).step_by(2) {
        // A failure of the service itself would end its patience with a file after three in a row.
        world.fake.faults().rule(Rule::nth("alt=media", nth, Fault::CutInside));
    }
    let mut events = Vec::new();
    let (mut turns, mut failed) = (0, 0);
    while events.len() < expected.len() {
        turns += 1;
        assert!(turns < 200, "{} of {} after {turns} turns", events.len(), expected.len());
        match world.turn().await {
            Ok(polled) => events.extend(polled.events.iter().map(told)),
            Err(_) => failed += 1,
        }
    }
    assert_eq!(events, expected);
    assert!(turns - failed > 2, "it took several turns");
    world.fake.faults().off();
    assert!(world.told().await.is_empty());
    world.is_quiet().await;
    let texts = world.memory.values().keys().filter(|key| key.starts_with("gdrive:text:")).count();
    assert_eq!(texts, 40);
}

#[tokio::test]
async fn a_failure_before_anything_is_done_changes_nothing() {
    let world = World::new().await;
    world.round().await;
    create(&world, 3);
    let before = (world.memory.cursor(), world.memory.values(), world.memory.writes());
    world.fake.faults().rule(Rule::always("alt=media", Fault::Unavailable));
    assert!(world.turn().await.is_err());
    world.fake.faults().rule(Rule::always("/changes", Fault::CutInside));
    assert!(world.turn().await.is_err());
    assert_eq!((world.memory.cursor(), world.memory.values(), world.memory.writes()), before);
    world.fake.faults().off();
    assert_eq!(world.told().await.len(), 3);
}

#[tokio::test]
async fn one_turn_takes_so_many_texts_and_not_more() {
    let world = World::new().await;
    world.round().await;
    create(&world, 600);
    let first = world.turn().await.unwrap();
    assert_eq!((first.events.len(), first.next), (500, Next::More));
    assert_eq!(world.told().await.len(), 100);
    world.is_quiet().await;
}

#[tokio::test]
async fn a_slow_service_delays_texts_and_does_not_use_up_the_time_of_a_turn() {
    let world = World::new().await;
    world.round().await;
    let expected = create(&world, 60);
    world.drag(500);
    let mut told: Vec<Vec<String>> = Vec::new();
    while told.iter().map(Vec::len).sum::<usize>() < expected.len() {
        let polled = world.turn().await.unwrap();
        told.push(polled.events.iter().map(crate::world::told).collect());
    }
    world.drag(0);
    assert!(told.len() > 3 && told.iter().all(|turn| !turn.is_empty()), "{told:?}");
    assert_eq!(told.concat(), expected);
    assert!(world.told().await.is_empty());
    world.is_quiet().await;
}

#[tokio::test]
async fn one_turn_takes_so_much_text_and_not_more() {
    let world = World::new().await;
    world.round().await;
    let now = world.later();
    for number in 0..8 {
        world.drive().create(now, NewFile::text(&number.to_string(), &"x".repeat(9 << 20)));
    }
    let first = world.turn().await.unwrap();
    assert_eq!((first.events.len(), first.next), (4, Next::More));
    assert_eq!(world.told().await.len(), 4);
}

#[tokio::test]
async fn a_rewind_repeats_nothing() {
    let world = World::new().await;
    let id = world.drive().create(world.fake.clock().now(), NewFile::text("a", "1"));
    world.round().await;
    let saved = world.memory.saved();
    world.drive().edit(world.later(), &id, "22");
    let other = world.drive().create(world.later(), NewFile::text("b", ""));
    assert_eq!(world.told().await, ["updated a", "created b"]);
    world.drive().remove(world.later(), &other);
    assert_eq!(world.told().await, ["removed b"]);
    world.memory.rewind(saved);
    assert!(world.told().await.is_empty(), "the log shows what is now, under the ids of then");
    world.drive().edit(world.later(), &id, "333");
    assert_eq!(world.told().await, ["updated a"]);
}

#[tokio::test]
async fn an_edited_snapshot_counts_as_unknown() {
    let world = World::new().await;
    let id = world.drive().create(world.fake.clock().now(), NewFile::text("a", "1"));
    world.round().await;
    world.edit(&format!("gdrive:file:{id}"), Some(serde_json::json!("nonsense"))).await;
    world.drive().edit(world.later(), &id, "22");
    assert_eq!(
        world.told().await,
        ["created a"],
        "within the tolerance of clocks, a file that is not known is new"
    );
    world.is_quiet().await;
}

#[tokio::test]
async fn one_text_that_the_service_fails_at_holds_up_nothing() {
    let world = World::new().await;
    world.round().await;
    let now = world.later();
    let broken = world.drive().create(now, NewFile::doc("broken", "text"));
    let fine = world.drive().create(now, NewFile::doc("fine", "text"));
    world.fake.faults().rule(Rule::always(&format!("/files/{broken}/export"), Fault::Internal));
    let (mut told, mut problems, mut failed) = (Vec::new(), 0, 0);
    while told.len() < 2 {
        match world.turn().await {
            Ok(polled) => {
                problems += polled.problems.len();
                told.extend(polled.events.into_iter().filter_map(|event| event.entity_id));
            }
            Err(_) => failed += 1,
        }
        assert!(failed < 4, "{told:?}");
    }
    assert_eq!((told, problems), (vec![broken, fine], 1));
}
