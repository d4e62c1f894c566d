//! What is to come over from the Python program, and what was found of it, as plain data.

use inboxclaw_contract::Intake;
use inboxclaw_settings::Ttl;
use jiff::Timestamp;

/// What the configuration takes over.
#[derive(Debug, Clone, Default)]
pub struct ImportPlan {
    /// The sources that are configured.
    pub sources: Vec<ImportedSource>,
    /// The sinks that are configured and remember what they delivered.
    pub sinks: Vec<ImportedSink>,
}

/// A source that takes over what it had.
#[derive(Debug, Clone)]
pub struct ImportedSource {
    /// Its name, here and there.
    pub name: String,
    /// Its connector.
    pub connector: String,
    /// Whether its cursor means the same here.
    pub cursor: bool,
    /// The prefixes of keys that mean the same here. The others stay behind.
    pub prefixes: Vec<&'static str>,
}

/// A sink that takes over what it owed.
#[derive(Debug, Clone)]
pub struct ImportedSink {
    /// Its name, here and there.
    pub name: String,
    /// Its connector.
    pub connector: String,
    /// What it takes here.
    pub intake: Intake,
    /// Where the Python program noted what it delivered.
    pub table: DeliveryTable,
    /// The time to live by which it decides what was still owed there.
    pub ttl: Option<Ttl>,
    /// After so many attempts the Python program gave an event up.
    pub max_attempts: u32,
}

/// Where the Python program noted what a sink delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryTable {
    /// Of a webhook.
    Webhook,
    /// Of a command.
    Command,
    /// The batches that consumers confirmed.
    Pull,
}

/// What would come over, and what not.
#[derive(Debug, Clone, Default)]
pub struct ImportSurvey {
    /// Events of the log.
    pub events: u64,
    /// The number of the last one.
    pub last_event: i64,
    /// The last number that the Python program has given, also to what does not come over.
    pub last_number: i64,
    /// Events that were still coalesced, which are published now.
    pub pending: u64,
    /// When the Python program last did something, as far as the file tells.
    pub active_at: Option<Timestamp>,
    /// The sources that are configured and in the file.
    pub sources: Vec<SourceSurvey>,
    /// The sinks that are configured and in the file.
    pub sinks: Vec<SinkSurvey>,
    /// Sources and sinks of the file that the configuration does not name.
    pub unnamed: Vec<String>,
    /// How many rows cannot come over.
    pub refused: u64,
    /// The first of them, with the reasons.
    pub refusals: Vec<Refusal>,
    /// Names this state of the file.
    pub(super) mark: i64,
}

/// What comes over of a source.
#[derive(Debug, Clone, Default)]
pub struct SourceSurvey {
    /// Its name.
    pub name: String,
    /// Whether its cursor comes over.
    pub cursor: bool,
    /// Entries that come over.
    pub entries: u64,
    /// Entries that mean nothing here.
    pub left: u64,
    /// The health that it last told.
    pub(super) announced: Option<String>,
}

/// What comes over of a sink.
#[derive(Debug, Clone, Default)]
pub struct SinkSurvey {
    /// Its name.
    pub name: String,
    /// Events that it owes.
    pub owed: u64,
    /// Events that it had delivered, or whose consumer had confirmed them.
    pub delivered: u64,
    /// Events that the Python program had given up.
    pub given_up: u64,
    /// Events that had outlived their time to live.
    pub expired: u64,
    /// Where it stands.
    pub(super) stand: Stand,
}

/// A row that cannot come over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Which.
    pub what: String,
    /// Why.
    pub why: String,
}

/// Where a sink stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Stand {
    /// Its cursor.
    pub(super) cursor: Option<String>,
    /// What it owes before that.
    pub(super) rows: Vec<OwedRow>,
}

/// An event that a sink owes out of order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OwedRow {
    pub(super) seq: i64,
    pub(super) attempts: u32,
    pub(super) tried_at: Option<Timestamp>,
}

/// Whether an import did anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Imported {
    /// All of it is durable.
    Now,
    /// The same state of the same file had been imported before.
    Before,
}

/// Called with how many events are done, and of how many.
pub type ImportProgress = Box<dyn FnMut(u64, u64) + Send>;
