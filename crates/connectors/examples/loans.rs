//! A source to learn from: the loans of a library, with everything that a source does with its state.
//! `docs/connectors.md` explains it piece by piece; `cargo run -p inboxclaw-connectors --example loans` shows it at work
//! and `cargo test -p inboxclaw-connectors --example loans` tests it. Left out: settings and the way over the network, which
//! `json_url.rs` beside it shows.

#![allow(clippy::print_stdout, reason = "a program that shows something")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::collections::VecDeque;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use inboxclaw_contract::turn::Age;
use inboxclaw_contract::{Class, Draft, Evolving, Expiry, Failure, Json, NewEvent, Next, Source};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Loans looked at in one turn.
const PAGE: usize = 100;
/// Between two reminders of one loan.
const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How long returned loans are remembered.
const REMEMBERED: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// The library's side, which in a real source is a client of its API.
#[async_trait]
pub trait LoanService: Send + Sync {
    /// What changed after a token, oldest first; from the beginning without one.
    async fn changes(&self, after: Option<String>) -> Result<Page, Failure>;
}

/// A part of what changed.
pub struct Page {
    /// In the order in which they happened.
    pub changes: Vec<Change>,
    /// Where the next page starts.
    pub token: String,
    /// Whether there is one already.
    pub more: bool,
}

/// A loan as the library shows it after a change.
pub struct Change {
    /// Of the change, given by the library.
    pub id: String,
    /// Of the loan.
    pub loan: String,
    /// Of the book.
    pub title: String,
    /// In seconds since 1970.
    pub due: Option<i64>,
    /// Whether the book is back.
    pub returned: bool,
}

/// What is remembered of a loan.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Loan {
    title: String,
    due: i64,
}

impl Evolving for Loan {
    fn migrate(old: &Json) -> Option<Self> {
        // Until version 2 only the time was kept.
        Some(Self { title: String::new(), due: old.parse().ok()? })
    }
}

/// The source.
pub struct Loans {
    /// Whom it asks.
    pub desk: Arc<dyn LoanService>,
}

#[async_trait]
impl Source for Loans {
    async fn poll(&self, draft: &mut Draft<'_>) -> Result<Next, Failure> {
        let before = draft.cursor().map(str::to_owned);
        let page = self.desk.changes(before.clone()).await?;
        for change in &page.changes {
            take(draft, change).await?;
        }
        if before.as_ref() != Some(&page.token) {
            draft.set_cursor(Some(page.token))?;
            draft.sweep("returned:", Age::Updated, REMEMBERED)?;
        }
        if page.more {
            return Ok(Next::More);
        }
        remind(draft).await
    }
}

async fn take(draft: &mut Draft<'_>, change: &Change) -> Result<(), Failure> {
    let Some(due) = change.due else {
        let what = format!("the loan {} does not say when it is due", change.loan);
        draft.problem(Failure::text(Class::Upstream, what));
        return Ok(());
    };
    let key = format!("loan:{}", change.loan);
    let known: Option<Loan> = draft.get_evolving(&key).await?;
    if change.returned {
        draft.delete(&key)?;
        draft.put(&format!("returned:{}", change.loan), &due, Expiry::Never)?;
    } else {
        draft.put(&key, &Loan { title: change.title.clone(), due }, Expiry::Never)?;
    }
    let event_type = match (change.returned, known) {
        (true, _) => "library.returned",
        (false, None) => "library.lent",
        (false, Some(_)) => "library.extended",
    };
    emit(draft, &change.id, event_type, &change.loan, &change.title)
}

async fn remind(draft: &mut Draft<'_>) -> Result<Next, Failure> {
    let after: Option<String> = draft.get("reminded_up_to").await?;
    let page = draft.list("loan:", after.as_deref(), PAGE).await?;
    let marks: Vec<String> = page.iter().map(|entry| entry.key.replacen("loan:", "reminded:", 1)).collect();
    let reminded = draft.get_many::<bool>(&marks).await?;
    for ((entry, mark), reminded) in page.iter().zip(&marks).zip(reminded) {
        let loan: Loan = entry.parse_evolving().map_err(Failure::internal)?;
        let late = draft.now().as_second() - loan.due;
        if late <= 0 || reminded.is_some() {
            continue;
        }
        draft.put(mark, &true, Expiry::For(WEEK))?;
        let id = &entry.key["loan:".len()..];
        let event_id = format!("{id}:overdue:{}:{}", loan.due, late / WEEK.as_secs().cast_signed());
        emit(draft, &event_id, "library.overdue", id, &loan.title)?;
    }
    match page.last() {
        Some(last) if page.len() == PAGE => {
            draft.put("reminded_up_to", &last.key, Expiry::Never)?;
            Ok(Next::More)
        }
        _ => {
            if after.is_some() {
                draft.delete("reminded_up_to")?;
            }
            Ok(Next::Wait)
        }
    }
}

fn emit(draft: &mut Draft<'_>, id: &str, event_type: &str, loan: &str, title: &str) -> Result<(), Failure> {
    let data = Json::from_value(&json!({ "loan": loan, "title": title })).map_err(Failure::internal)?;
    draft.emit(NewEvent::new(id, event_type, data).entity(loan).at(draft.now()))
}

/// A desk that answers with what it was given, and then with nothing new.
#[derive(Default)]
struct Scripted {
    answers: Mutex<VecDeque<Result<Page, Failure>>>,
}

impl Scripted {
    fn answer(&self, answer: Result<Page, Failure>) {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).push_back(answer);
    }

    fn page(&self, token: &str, more: bool, changes: Vec<Change>) {
        self.answer(Ok(Page { changes, token: token.to_owned(), more }));
    }
}

#[async_trait]
impl LoanService for Scripted {
    async fn changes(&self, after: Option<String>) -> Result<Page, Failure> {
        let answer = self.answers.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let nothing = || Page { changes: Vec::new(), token: after.unwrap_or_default(), more: false };
        answer.unwrap_or_else(|| Ok(nothing()))
    }
}

/// The first second of 2026-12.
const DECEMBER: i64 = 1_796_083_200;

/// A loan due so many days after the first of December.
fn loan(id: &str, loan: &str, days: i64, returned: bool) -> Change {
    let (title, due) = (format!("Book {loan}"), Some(DECEMBER + days * 24 * 60 * 60));
    Change { id: id.to_owned(), loan: loan.to_owned(), title, due, returned }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let (desk, memory) = (Arc::new(Scripted::default()), support::Recorder::new());
    desk.page("t1", false, vec![loan("1", "a", 0, false), loan("2", "b", 60, false)]);
    let source = Loans { desk };
    for day in [0, 10, 20] {
        let polled = support::poll(&source, &memory).await.map_err(|failure| failure.to_string())?;
        println!("after {day} days:");
        for event in polled.events {
            println!("  {} {}", event.event_type, event.data.as_str());
        }
        memory.advance(10 * (WEEK / 7));
    }
    println!("cursor: {:?}", memory.cursor());
    for (key, value) in memory.values() {
        println!("  {key} = {value}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::support::{Recorder, poll};
    use super::*;

    fn library() -> (Arc<Scripted>, Loans, Recorder) {
        let desk = Arc::new(Scripted::default());
        (desk.clone(), Loans { desk }, Recorder::new())
    }

    async fn types(source: &Loans, memory: &Recorder) -> Vec<String> {
        let events = poll(source, memory).await.unwrap().events;
        events.into_iter().map(|event| format!("{} {}", event.event_type, event.event_id)).collect()
    }

    #[tokio::test]
    async fn pages_follow_the_token_and_nothing_new_writes_nothing() {
        let (desk, source, memory) = library();
        desk.page("t1", true, vec![loan("1", "a", 0, false), loan("2", "b", 0, false)]);
        desk.page("t2", false, vec![loan("3", "a", 9, false), loan("4", "b", 0, true)]);
        let first = poll(&source, &memory).await.unwrap();
        assert_eq!((first.next, first.events.len()), (Next::More, 2));
        assert_eq!(types(&source, &memory).await, ["library.extended 3", "library.returned 4"]);
        assert_eq!(memory.cursor().as_deref(), Some("t2"));
        let writes = memory.writes();
        assert_eq!(types(&source, &memory).await, [""; 0]);
        assert_eq!(memory.writes(), writes);
    }

    #[tokio::test]
    async fn a_reminder_comes_once_a_week() {
        let (desk, source, memory) = library();
        desk.page("t1", false, vec![loan("1", "a", 0, false)]);
        assert_eq!(types(&source, &memory).await, ["library.lent 1"]);
        memory.advance(10 * (WEEK / 7));
        assert_eq!(types(&source, &memory).await, ["library.overdue a:overdue:1796083200:0"]);
        assert_eq!(types(&source, &memory).await, [""; 0]);
        memory.advance(WEEK);
        assert_eq!(types(&source, &memory).await, ["library.overdue a:overdue:1796083200:1"]);
    }

    #[tokio::test]
    async fn many_loans_are_looked_at_over_several_turns() {
        let (desk, source, memory) = library();
        let late = |n: usize| loan(&n.to_string(), &format!("{n:03}"), -60, false);
        desk.page("t1", false, (0..250).map(late).collect());
        let mut turns = Vec::new();
        loop {
            let polled = poll(&source, &memory).await.unwrap();
            turns.push(polled.events.iter().filter(|event| event.event_type == "library.overdue").count());
            if polled.next == Next::Wait {
                break;
            }
        }
        assert_eq!(turns, [100, 100, 50]);
        assert!(!memory.values().contains_key("reminded_up_to"));
    }

    #[tokio::test]
    async fn one_broken_loan_spoils_nothing() {
        let (desk, source, memory) = library();
        let broken = Change { due: None, ..loan("1", "a", 0, false) };
        desk.page("t1", false, vec![broken, loan("2", "b", 0, false)]);
        let polled = poll(&source, &memory).await.unwrap();
        assert_eq!(polled.events.len(), 1);
        assert_eq!(polled.problems[0].to_string(), "the loan a does not say when it is due");
    }

    #[tokio::test]
    async fn a_failed_turn_changes_nothing_and_a_rewound_one_repeats_nothing() {
        let (desk, source, memory) = library();
        desk.page("t1", false, vec![loan("1", "a", 0, false)]);
        let before = memory.saved();
        assert_eq!(types(&source, &memory).await, ["library.lent 1"]);
        desk.answer(Err(Failure::text(Class::Connectivity, "the desk is closed")));
        assert_eq!(poll(&source, &memory).await.unwrap_err().class, Class::Connectivity);
        assert_eq!(memory.cursor().as_deref(), Some("t1"));
        memory.rewind(before);
        desk.page("t1", false, vec![loan("1", "a", 0, false)]);
        assert_eq!(types(&source, &memory).await, [""; 0], "the log knows the event by its id");
    }

    #[tokio::test]
    async fn what_an_earlier_version_remembered_is_read() {
        let (desk, source, memory) = library();
        desk.page("t1", false, vec![loan("1", "a", 0, false)]);
        types(&source, &memory).await;
        let (cursor, mut entries) = memory.saved();
        entries.get_mut("loan:a").unwrap().value = Json::new("1796083200").unwrap();
        memory.rewind((cursor, entries));
        desk.page("t2", false, vec![loan("2", "a", 9, false)]);
        assert_eq!(types(&source, &memory).await, ["library.extended 2"]);
    }

    #[tokio::test]
    async fn returned_loans_are_forgotten_in_the_end() {
        let (desk, source, memory) = library();
        desk.page("t1", false, vec![loan("1", "a", 0, true)]);
        types(&source, &memory).await;
        memory.advance(REMEMBERED);
        desk.page("t2", false, Vec::new());
        types(&source, &memory).await;
        assert!(memory.values().contains_key("returned:a"), "as old, but not older");
        memory.advance(Duration::from_secs(1));
        desk.page("t3", false, Vec::new());
        types(&source, &memory).await;
        assert!(memory.values().is_empty());
    }
}
