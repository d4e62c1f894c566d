//! Which entry is which while a feed changes: several entries under one name, what counts as a change, and what an
//! earlier version of the program remembered.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod reading;
mod server;
mod support;

use inboxclaw_contract::{Expiry, OpenTurn};
use reading::build;
use serde_json::{Value, json};
use server::{Server, ok};
use sha2::{Digest, Sha256};
use support::{Memory, OWNER, Polled, poll, turn_id};

fn rss(items: &[String]) -> String {
    format!("<rss version=\"2.0\"><channel><title>D</title>{}</channel></rss>", items.concat())
}

/// An item of these elements, each a name and a text; those without a text are left out.
fn item(parts: &[(&str, &str)]) -> String {
    let parts = parts.iter().filter(|(_, text)| !text.is_empty());
    let parts: String = parts.map(|(name, text)| format!("<{name}>{text}</{name}>")).collect();
    format!("<item>{parts}</item>")
}

/// An item with guid, title and the end of a link.
fn brief(guid: &str, title: &str, link: &str) -> String {
    let link = if link.is_empty() { String::new() } else { format!("https://d.example/{link}") };
    item(&[("guid", guid), ("title", title), ("link", &link)])
}

/// A feed that is read again and again.
struct Life {
    server: Server,
    memory: Memory,
}

impl Life {
    async fn new() -> Self {
        Self { server: Server::start().await, memory: Memory::new() }
    }

    async fn poll(&self, document: impl Into<Vec<u8>>) -> Polled {
        self.server.set("/feed", ok(document));
        poll(&*build(&self.server), &self.memory).await.unwrap()
    }

    /// What a document gives: the kind and the title of each event.
    async fn told(&self, items: &[String]) -> Vec<String> {
        told(&self.poll(rss(items)).await)
    }
}

fn told(polled: &Polled) -> Vec<String> {
    let told = polled.events.iter().map(|event| {
        let data: Value = event.data.parse().unwrap();
        let kind = event.event_type.strip_prefix("feed.entry_").unwrap();
        format!("{kind} {}", data["title"].as_str().unwrap_or_default())
    });
    told.collect()
}

/// A series of documents; nothing of the last one may be told when it comes again.
async fn told_by(documents: &[&[String]]) -> Vec<Vec<String>> {
    let life = Life::new().await;
    let mut all = Vec::new();
    for items in documents {
        all.push(life.told(items).await);
        assert!(life.told(items).await.is_empty(), "the same document says the same");
    }
    all
}

#[tokio::test]
async fn a_guid_for_two_entries() {
    let (a, b) = (brief("1", "A", "a"), brief("1", "B", "b"));
    let both = [b.clone(), a.clone()];
    assert_eq!(
        told_by(&[std::slice::from_ref(&a), &both, std::slice::from_ref(&b), &both]).await,
        [vec!["published A"], vec!["published B"], vec![], vec![]]
    );
    assert_eq!(
        told_by(&[&both, std::slice::from_ref(&a), std::slice::from_ref(&b), &both]).await,
        [vec!["published A", "published B"], vec![], vec![], vec![]]
    );
    let edited = brief("1", "B2", "b");
    assert_eq!(
        told_by(&[&both, &[edited.clone(), a.clone()], &[edited]]).await[1..],
        [vec!["updated B2".to_owned()], vec![]]
    );
    let moved = brief("1", "B", "elsewhere");
    assert_eq!(told_by(&[&both, &[moved, a]]).await[1], ["updated B"]);
}

#[tokio::test]
async fn a_link_for_all_entries_and_no_guid() {
    let (a, b, c) = (brief("", "A", "x"), brief("", "B", "x"), brief("", "C", "x"));
    let two = [b.clone(), a.clone()];
    assert_eq!(
        told_by(&[std::slice::from_ref(&a), &two, std::slice::from_ref(&b)]).await,
        [vec!["published A"], vec!["published B"], vec![]]
    );
    // The oldest leaves as a new one comes.
    assert_eq!(
        told_by(&[&two, &[c.clone(), b.clone()], &[c]]).await[1..],
        [vec!["published C".to_owned()], vec![]]
    );
}

#[tokio::test]
async fn one_guid_and_one_link_for_all() {
    let (a, b, c) = (brief("home", "A", "x"), brief("home", "B", "x"), brief("home", "C", "x"));
    let told = told_by(&[&[b.clone(), a.clone()], &[c.clone(), b], &[c]]).await;
    assert_eq!(told, [vec!["published A", "published B"], vec!["published C"], vec![]]);
}

#[tokio::test]
async fn a_log_whose_entries_differ_by_their_dates() {
    let at =
        |hour: u8| item(&[("title", "Door"), ("pubDate", &format!("Mon, 02 Nov 2026 {hour:02}:00:00 GMT"))]);
    let told = told_by(&[&[at(11), at(10)], &[at(12), at(11)], &[at(12)]]).await;
    assert_eq!(told, [vec!["published Door", "published Door"], vec!["published Door"], vec![]]);
}

#[tokio::test]
async fn a_lone_entry_is_itself_whatever_changes() {
    let told = told_by(&[&[brief("1", "A", "a")], &[brief("1", "B", "b")], &[brief("1", "A", "a")]]).await;
    assert_eq!(told, [vec!["published A"], vec!["updated B"], vec!["updated A"]]);
    let told = told_by(&[&[brief("", "A", "a")], &[brief("", "B", "a")]]).await;
    assert_eq!(told, [vec!["published A"], vec!["updated B"]]);
}

#[tokio::test]
async fn names_stay_when_neighbours_come_and_go() {
    let life = Life::new().await;
    let (a, b) = (brief("1", "A", "a"), brief("1", "B", "b"));
    let first = life.poll(rss(std::slice::from_ref(&a))).await.events[0].entity_id.clone().unwrap();
    life.poll(rss(&[b.clone(), a.clone()])).await;
    let edited = life.poll(rss(&[b, brief("1", "A2", "a")])).await;
    assert_eq!((first.as_str(), edited.events[0].entity_id.as_deref()), ("1", Some("1")));
}

#[tokio::test]
async fn dates_alone_are_no_change_and_everything_that_is_shown_is_one() {
    let with = |more: &str| {
        vec![format!("<item><guid>1</guid><title>t</title><link>https://d.example/1</link>{more}</item>")]
    };
    let file = |name: &str, length: u8| {
        format!("<enclosure url=\"https://d.example/{name}\" type=\"audio/mpeg\" length=\"{length}\"/>")
    };
    let life = Life::new().await;
    assert_eq!(life.told(&with("")).await, ["published t"]);
    for more in [
        "<pubDate>Mon, 02 Nov 2026 10:00:00 GMT</pubDate>",
        "<pubDate>Mon, 02 Nov 2026 11:00:00 GMT</pubDate>",
        "<updated>2026-11-02T12:00:00Z</updated>",
        "<custom>x</custom>",
        "",
    ] {
        assert!(life.told(&with(more)).await.is_empty(), "{more}");
    }
    for more in [
        file("1.mp3", 1),
        file("1-fixed.mp3", 1),
        file("1-fixed.mp3", 2),
        "<category>a</category>".to_owned(),
        "<author>Ada</author>".to_owned(),
        "<description>x</description>".to_owned(),
        "<content:encoded>x</content:encoded>".to_owned(),
        String::new(),
    ] {
        assert_eq!(life.told(&with(&more)).await, ["updated t"], "{more}");
        assert!(life.told(&with(&more)).await.is_empty(), "{more}");
    }
}

#[tokio::test]
async fn what_belongs_to_the_feed_changes_no_entry() {
    let feed = |title: &str, author: &str| {
        format!(
            "<feed xmlns=\"http://www.w3.org/2005/Atom\"><title>{title}</title><author><name>{author}</name></author>\
             <entry><id>1</id><title>t</title><updated>2026-11-02T10:00:00Z</updated></entry></feed>"
        )
    };
    let life = Life::new().await;
    assert_eq!(told(&life.poll(feed("A", "Ivo")).await), ["published t"]);
    assert!(told(&life.poll(feed("B", "Eva")).await).is_empty());
    assert!(told(&life.poll(feed("B", "Eva").replace("T10:00", "T11:00")).await).is_empty());
}

#[tokio::test]
async fn a_document_that_breaks_off_forgets_nothing() {
    let life = Life::new().await;
    let items = [brief("3", "C", "c"), brief("2", "B", "b"), brief("1", "A", "a")];
    let whole = rss(&items);
    assert_eq!(told(&life.poll(whole.clone()).await).len(), 3);
    let cut = &whole[..whole.find("<title>B").unwrap()];
    life.server.set("/feed", ok(cut.as_bytes().to_vec()).header("etag", "\"x\""));
    let polled = poll(&*build(&life.server), &life.memory).await.unwrap();
    assert!(polled.events.is_empty());
    let text = polled.problems[0].to_string();
    assert!(
        text.starts_with("the feed breaks off at line 1, column ")
            && text.contains("1 entries before are read"),
        "{text}"
    );
    assert_eq!(life.memory.values().into_keys().collect::<Vec<_>>(), ["seen:1", "seen:2", "seen:3"]);
    // The whole document may come under the same tag.
    life.server.asked();
    assert!(told(&life.poll(whole).await).is_empty());
    assert_eq!(life.server.asked()[0].header("if-none-match"), "");
}

#[tokio::test]
async fn what_was_not_understood_is_told_while_the_feed_is_as_it_was() {
    let life = Life::new().await;
    let document = rss(&["\n<item><x/></item>\n".to_owned(), brief("1", "A", "a")]);
    life.server.set("/feed", ok(document).header("etag", "\"x\""));
    for events in [1, 0, 0] {
        let polled = poll(&*build(&life.server), &life.memory).await.unwrap();
        assert_eq!(polled.events.len(), events);
        let problem = "1 of 2 entries are not understood and left out, the first at line 2, column 1";
        assert_eq!(polled.problems[0].to_string(), problem);
    }
    assert_eq!(life.server.asked().pop().unwrap().header("if-none-match"), "\"x\"");
    let polled = life.poll(rss(&[brief("1", "A", "a")])).await;
    assert!(polled.problems.is_empty());
}

/// What the program remembered before it read feeds with a reader of its own.
#[tokio::test]
async fn what_an_earlier_version_remembered_is_no_news() {
    let life = Life::new().await;
    let old = json!({ "digest": "0".repeat(64), "mark": "1".repeat(64) });
    // Entries under one guid were named by their links.
    let variant = |link: &str| {
        let digest = Sha256::new_with_prefix((link.len() as u64).to_be_bytes()).chain_update(link).finalize();
        digest[..8].iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let [e, f] = ["e", "f"].map(|link| format!("seen:3#{}", variant(&format!("https://d.example/{link}"))));
    let mut draft = OpenTurn::open(&life.memory, OWNER, turn_id()).await.unwrap();
    for key in ["seen:1", "past:2", "seen:https://d.example/x", &e, &f] {
        draft.put(key, &old, Expiry::Never).unwrap();
    }
    let cursor = json!({ "url": format!("{}/feed", life.server.base), "etag": "\"x\"" });
    draft.set_cursor(Some(cursor.to_string())).unwrap();
    draft.commit().await.unwrap();
    let items =
        [("1", "A", "a"), ("2", "B", "b"), ("", "C", "x"), ("4", "D", "d"), ("3", "E", "e"), ("3", "F", "f")];
    let items = items.map(|(guid, title, link)| brief(guid, title, link));
    life.server.set("/feed", ok(rss(&items)).header("etag", "\"x\""));
    let polled = poll(&*build(&life.server), &life.memory).await.unwrap();
    assert_eq!(told(&polled), ["published D"], "and it was read whole, although its tag was known");
    assert_eq!(life.server.asked()[0].header("if-none-match"), "");
    let changed = items.map(|item| item.replace("<title>", "<title>New "));
    assert!(life.told(&changed).await.iter().all(|told| told.starts_with("updated New ")));
    assert_eq!(life.memory.events().len(), 7);
}
