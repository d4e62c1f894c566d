//! Large folders: many turns of bounded size, and what happens in between.

use std::fs;

use inboxclaw_contract::Next;
use serde_json::json;

use crate::folder::Folder;
use crate::support::poll;

/// A little more than fits into one turn.
const MANY: usize = 10_050;
const TURN: usize = 10_000;

fn fill(folder: &Folder) {
    for at in 0..MANY {
        fs::write(folder.path(&format!("{at:05}.png")), "").unwrap();
    }
}

#[tokio::test]
async fn a_large_baseline_takes_turns_survives_a_crash_and_takes_in_what_appears() {
    let mut folder = Folder::new(json!({}));
    fill(&folder);
    let mut largest = 0;
    // A lost turn of the walk costs nothing.
    folder.lost_poll().await;
    while folder.memory.entries().len() < TURN / 2 {
        assert_eq!(poll(&*folder.source, &folder.memory).await.unwrap().next, Next::More);
        largest = largest.max(folder.memory.entries().len());
    }
    assert!(largest <= TURN, "{largest}");
    assert!(folder.memory.values()["baseline"].contains("\"complete\":false"));
    folder.write("00000.png", "changed meanwhile");
    folder.write("appeared meanwhile", "");
    folder.restart(json!({}));
    folder.check(&[]).await;
    assert_eq!(folder.memory.entries().len(), MANY + 3, "the mark and a text");
    assert!(folder.memory.values()["baseline"].contains("\"complete\":true"));
    folder.write("appeared later", "");
    folder.check(&["created appeared later"]).await;
}

#[tokio::test]
async fn many_changes_are_reported_over_several_turns() {
    let mut folder = Folder::with(json!({}), &[("old", "old")]).await;
    fill(&folder);
    folder.remove("old");
    let mut events = Vec::new();
    let mut turns = 0;
    for round in 0.. {
        let polled = poll(&*folder.source, &folder.memory).await.unwrap();
        assert!(2 * polled.events.len() <= TURN, "an event and an entry each");
        turns += usize::from(!polled.events.is_empty());
        events.extend(polled.events);
        if polled.next != Next::More {
            break;
        }
        match round {
            3 => folder.lost_poll().await,
            6 => folder.restart(json!({})),
            _ => {}
        }
    }
    assert!(turns >= 3, "{turns}");
    assert_eq!(events.len(), MANY + 1);
    assert_eq!(events[0].event_type, "fs.file_deleted");
    folder.check(&[]).await;
}
