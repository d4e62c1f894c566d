//! The types of the model: a mail as a script describes it, a message as the mailbox keeps it, a change.

use jiff::Timestamp;

/// The order of messages: time in milliseconds since 1970, then id.
pub(super) type Key = (i64, String);

/// A mail as a script describes it. The default is an unread one in the inbox, from somebody to the mailbox.
#[derive(Debug, Clone)]
pub struct Mail {
    /// The `From` header.
    pub from: String,
    /// The `To` header; empty = the mailbox's own address.
    pub to: String,
    /// The `Subject` header.
    pub subject: String,
    /// The ids of its labels.
    pub labels: Vec<String>,
    /// The snippet; empty = the beginning of the text, with entities.
    pub snippet: String,
    /// The text.
    pub text: String,
    /// More headers. One that bears the name of a header above, in whatever case, takes its place.
    pub headers: Vec<(String, String)>,
    /// The thread it belongs to; none = a new one.
    pub thread: Option<String>,
    /// Its internal date; none = now.
    pub date: Option<Timestamp>,
}

impl Default for Mail {
    fn default() -> Self {
        Self {
            from: "Somebody <somebody@example.org>".to_owned(),
            to: String::new(),
            subject: "Hello".to_owned(),
            labels: names(&["INBOX", "UNREAD"]),
            snippet: String::new(),
            text: "Hello, how are you?".to_owned(),
            headers: Vec::new(),
            thread: None,
            date: None,
        }
    }
}

impl Mail {
    /// An unread one in the inbox.
    #[must_use]
    pub fn incoming(from: &str, subject: &str) -> Self {
        Self { from: from.to_owned(), subject: subject.to_owned(), ..Self::default() }
    }

    /// One that the mailbox's owner sent.
    #[must_use]
    pub fn sent(to: &str, subject: &str) -> Self {
        let mail = Self { from: String::new(), to: to.to_owned(), ..Self::incoming("", subject) };
        mail.labelled(&["SENT"])
    }

    /// One that the mailbox's owner sent to their own address: a single message, sent and received.
    #[must_use]
    pub fn to_oneself(subject: &str) -> Self {
        Self::sent("", subject).labelled(&["UNREAD", "SENT", "INBOX"])
    }

    /// One that the filter caught.
    #[must_use]
    pub fn spam(from: &str, subject: &str) -> Self {
        Self::incoming(from, subject).labelled(&["SPAM", "UNREAD"])
    }

    /// With these labels and no others.
    #[must_use]
    pub fn labelled(self, labels: &[&str]) -> Self {
        Self { labels: names(labels), ..self }
    }

    /// In a thread that is there.
    #[must_use]
    pub fn thread(self, thread: &str) -> Self {
        Self { thread: Some(thread.to_owned()), ..self }
    }

    /// Its headers in the order in which they are sent; an empty address stands for `address`.
    pub(super) fn all_headers(&self, id: &str, date: Timestamp, address: &str) -> Vec<(String, String)> {
        let or_me = |given: &str| if given.is_empty() { address.to_owned() } else { given.to_owned() };
        let usual = [
            ("From", or_me(&self.from)),
            ("To", or_me(&self.to)),
            ("Subject", self.subject.clone()),
            ("Date", date.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string()),
            ("Message-ID", format!("<{id}@mail.example.com>")),
        ];
        let given = |name: &str| self.headers.iter().any(|(found, _)| found.eq_ignore_ascii_case(name));
        let usual = usual.into_iter().filter(|(name, _)| !given(name));
        usual.map(|(name, value)| (name.to_owned(), value)).chain(self.headers.iter().cloned()).collect()
    }

    /// The snippet given, or the beginning of the text with entities.
    pub(super) fn shown(&self) -> String {
        if !self.snippet.is_empty() {
            return self.snippet.clone();
        }
        let start: String = self.text.chars().take(100).collect();
        start.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('\'', "&#39;")
    }
}

/// A message in the mailbox.
#[derive(Debug, Clone)]
pub struct Message {
    /// Its id: 16 hexadecimal digits.
    pub id: String,
    /// The id of its thread.
    pub thread: String,
    /// The ids of its labels.
    pub labels: Vec<String>,
    /// Its headers, with names as the sender wrote them.
    pub headers: Vec<(String, String)>,
    /// The snippet, with entities.
    pub snippet: String,
    /// The text.
    pub text: String,
    /// Its internal date in milliseconds since 1970.
    pub date_ms: i64,
    /// The last history record that changed it.
    pub history_id: u64,
}

impl Message {
    /// Whether it has a label.
    #[must_use]
    pub fn has(&self, label: &str) -> bool {
        self.labels.iter().any(|found| found == label)
    }

    pub(super) fn key(&self) -> Key {
        (self.date_ms, self.id.clone())
    }
}

/// Something that happened to a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// When.
    pub at: Timestamp,
    /// The history record that tells of it. Several changes may share one.
    pub record: u64,
    /// The message's id.
    pub message: String,
    /// The id of its thread.
    pub thread: String,
    /// What happened.
    pub what: What,
    /// The message's labels after it; of a deletion, those it had.
    pub labels: Vec<String>,
}

/// What happened to a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// It came into the mailbox: received, sent, or written as a draft.
    Arrived,
    /// It got these labels.
    LabelsAdded(Vec<String>),
    /// It lost these labels.
    LabelsRemoved(Vec<String>),
    /// It was deleted for good. Trash is a label.
    Deleted,
}

pub(super) fn names(labels: &[&str]) -> Vec<String> {
    labels.iter().map(|label| (*label).to_owned()).collect()
}
