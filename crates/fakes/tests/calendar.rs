//! A reader of the calendar over HTTP, while a simulation changes it: what it sees is what happened, and looks as Google describes
//! it where the descriptions are there.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail this way")]

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use inboxclaw_fakes::google::simulation::Simulation;
use inboxclaw_fakes::google::{Fake, Options};
use serde_json::Value;

struct Reader {
    fake: Fake,
    token: String,
}

impl Reader {
    fn start() -> Self {
        let fake = Fake::spawn(Options::default()).unwrap();
        let now = fake.clock().now();
        let token = fake.tokens().grant(now, &Options::default().scopes).access;
        Self { fake, token }
    }

    fn get(&self, path: &str, query: &[(&str, &str)]) -> Value {
        let base = self.fake.base();
        let host = base.trim_start_matches("http://");
        let query: Vec<String> = query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let (token, query) = (&self.token, query.join("&"));
        let mut stream = TcpStream::connect(host).unwrap();
        let asked = write!(
            stream,
            "GET /calendar/v3/{path}?{query} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\n\
             connection: close\r\n\r\n"
        );
        asked.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 "), "{answer}");
        serde_json::from_str(body).unwrap()
    }

    /// Every page: the items and the sync token.
    fn events(&self, more: &[(&str, &str)]) -> (Vec<Value>, String) {
        let mut items = Vec::new();
        let mut next = None;
        loop {
            let mut query = vec![("singleEvents", "true"), ("showDeleted", "true")];
            query.extend(more);
            query.extend(next.as_deref().map(|next| ("pageToken", next)));
            let page = self.get("calendars/primary/events", &query);
            items.extend(page["items"].as_array().unwrap().iter().cloned());
            match page["nextPageToken"].as_str() {
                Some(token) => next = Some(token.to_owned()),
                None => return (items, page["nextSyncToken"].as_str().unwrap().to_owned()),
            }
        }
    }
}

#[test]
fn a_reader_sees_each_change_and_nothing_else() {
    let reader = Reader::start();
    let mut simulation = Simulation::new(11);
    reader.fake.calendar().switches.page = Some(20);
    reader.fake.calendar().switches.empty_pages = true;
    reader.fake.calendar().switches.overlap = true;
    // Short enough for many rounds, and longer than any first instance is away.
    reader.fake.calendar().switches.ahead_days = 70;
    let (_, mut token) = reader.events(&[]);
    let (mut done, mut seen) = (0, 0);
    for _ in 0..40 {
        for _ in 0..4 {
            let now = reader.fake.clock().now();
            simulation.step_calendar(&mut reader.fake.calendar(), now);
        }
        simulation.end_round();
        let history = reader.fake.calendar().history.clone();
        let changed: BTreeSet<&str> = history[done..].iter().map(|change| change.id.as_str()).collect();
        done = history.len();
        let (items, next) = reader.events(&[("syncToken", token.as_str())]);
        token = next;
        seen += items.len();
        let names =
            |item: &Value| ["id", "recurringEventId"].map(|key| item[key].as_str().map(str::to_owned));
        let shown: BTreeSet<String> = items.iter().flat_map(names).flatten().collect();
        let missed: Vec<&&str> = changed.iter().filter(|id| !shown.contains(**id)).collect();
        assert!(missed.is_empty(), "{missed:?}");
        let surplus = items.iter().find(|item| {
            let [id, series] = names(item);
            [id, series].into_iter().flatten().all(|id| !changed.contains(id.as_str()))
        });
        assert_eq!(surplus, None);
    }
    assert!(seen > done, "a change of a series shows as its instances");
    let shown = reader.get("users/me/calendarList", &[]);
    assert_eq!(shown["items"][0]["id"], "me@example.com");
    assert_eq!(reader.fake.violations(), Vec::<String>::new());
}
