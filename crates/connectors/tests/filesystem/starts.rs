//! Where a folder begins that is not known yet.

use std::fs;

use inboxclaw_contract::Next;
use inboxclaw_contract::settings::StartAt;
use jiff::Timestamp;
use serde_json::json;

use crate::folder::Folder;
use crate::support::poll;

const SINCE: u64 = 1_700_000_000;

fn since() -> StartAt {
    StartAt::Since(Timestamp::from_second(SINCE.cast_signed()).unwrap())
}

/// A folder with a file from before and one from the time where the source starts.
fn folder(bootstrap: &str) -> Folder {
    let folder = Folder::new(json!({ "bootstrap": bootstrap }));
    folder.write("old", "1");
    folder.write("new", "2");
    folder.date("old", SINCE - 1);
    folder.date("new", SINCE);
    folder
}

#[tokio::test]
async fn a_start_wins_over_bootstrap_and_says_nothing_of_a_folder_that_is_known() {
    for (start, bootstrap, news) in [
        (StartAt::Now, "all", vec![]),
        (StartAt::All, "baseline", vec!["created new", "created old"]),
        (since(), "all", vec!["created new"]),
    ] {
        let mut folder = folder(bootstrap);
        folder.restart_at(start);
        folder.check(&news).await;
        folder.write("late", "3");
        folder.date("late", SINCE - 1);
        folder.check(&["created late"]).await;
        folder.restart_at(StartAt::All);
        folder.check(&[]).await;
        folder.remove("old");
        folder.check(&["deleted old"]).await;
    }
}

#[tokio::test]
async fn a_start_in_the_past_reports_a_large_folder_over_turns_and_crashes() {
    let mut folder = folder("baseline");
    for at in 0..10_050 {
        fs::write(folder.path(&format!("{at:05}.png")), "").unwrap();
    }
    folder.date("00000.png", SINCE - 1);
    folder.restart_at(since());
    let mut events = Vec::new();
    while events.len() < 1_000 {
        let polled = poll(&*folder.source, &folder.memory).await.unwrap();
        assert_eq!(polled.next, Next::More);
        events.extend(polled.events);
    }
    folder.lost_poll().await;
    // What was reported and changes meanwhile is reported; what was not is not spoken of.
    let reported = events[0].entity_id.clone().unwrap();
    folder.remove(&reported);
    folder.remove("old");
    folder.write("00000.png", "written since");
    folder.restart_at(since());
    let (found, problems) = folder.poll().await.unwrap();
    assert_eq!(problems, Vec::<String>::new());
    assert!(found.contains(&format!("deleted {reported}")), "{found:?}");
    assert!(found.iter().any(|event| event.ends_with("d 00000.png")), "it was written since");
    assert_eq!(found.iter().filter(|event| event.ends_with(" old")).count(), 0);
    let created = events.len() + found.iter().filter(|event| event.starts_with("created ")).count();
    let updated = found.iter().filter(|event| event.starts_with("updated ")).count();
    assert_eq!(created + updated, 10_051, "each once");
    folder.check(&[]).await;
}
