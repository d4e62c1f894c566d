//! The database under the real program: damage, copies, restores.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt as _;

use serde_json::Value;

use super::program::Place;

/// A source that keeps some kilobytes of each file in its event, from what is there at the first start.
const BODIES: &str = "  files:\n    type: filesystem\n    path: ./watched\n    poll_interval: 1h\n    bootstrap: all\n    \
    include_content_preview: true\n    content_preview_length: 16000\n    max_diff_bytes: 0\n";

fn total(place: &Place) -> Option<u64> {
    let (_, body) = place.get("/api/events?limit=1")?;
    serde_json::from_str::<Value>(&body).ok()?["total"].as_u64()
}

/// It was a bare 500 for the one who asked; log and health said nothing.
#[test]
fn damage_is_named_in_the_answer_the_log_and_health() {
    let mut place = Place::with(BODIES);
    for n in 0..200 {
        fs::write(place.watched(&format!("{n}.txt")), format!("{n:08}").repeat(1_000)).unwrap();
    }
    place.start();
    place.until("all files are events", |place| Some(total(place)? >= 200));
    place.stop();
    let file = OpenOptions::new().write(true).open(place.file("inbox.db")).unwrap();
    let middle = file.metadata().unwrap().len() / 2;
    file.write_all_at(&[0xFE; 20_000], middle).unwrap();
    drop(file);
    place.start();
    let (mut damaged, mut whole) = (Vec::new(), 0);
    for offset in 0..200 {
        let (status, body) = place.get(&format!("/api/events?limit=1&offset={offset}")).unwrap();
        if status == 200 {
            whole += 1;
        } else {
            damaged.push((status, body));
        }
    }
    assert!(whole > 100 && !damaged.is_empty(), "{whole} whole, {damaged:?}");
    for (status, body) in damaged {
        assert_eq!(status, 500, "{body}");
        assert!(body.starts_with(r#"{"detail":"the database is damaged: "#), "{body}");
        assert!(body.contains("inboxclaw store restore FILE"), "{body}");
    }
    let (status, health) = place.get("/healthcheck").unwrap();
    let health: Value = serde_json::from_str(&health).unwrap();
    assert_eq!((status, &health["store"]["code"]), (503, &Value::from("damaged")), "{health}");
    assert!(place.log().contains("the database is damaged"), "{}", place.log());
    assert_eq!(place.stop().0, Some(4), "who ends it hears of it as well");
}
