//! Settings: a struct per connector is its parser, its validator and its reference page. A registry entry
//! ([`SourceKind`], [`SinkKind`]) is made from that struct and from nothing else.

use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::condition::Condition;
use crate::delivery::DeliveryPolicy;
use crate::outside::Outside;
pub use crate::owner::StartAt;
use crate::sink::Push;
use crate::source::Source;

/// The settings of a source. Field docs are the reference page; `deny_unknown_fields` is expected.
pub trait SourceSettings: DeserializeOwned + JsonSchema + 'static {
    /// The word behind `type:` in the configuration.
    const KIND: &'static str;

    /// The time between two polls; `None` for a source that only polls when it is ready.
    fn interval(&self) -> Option<Duration> {
        None
    }

    /// After [`Source::ready`] returned, the runtime waits this long before it polls, so that a burst of news
    /// becomes one turn. Under a stream of news it is also the least time between two polls. Zero by default.
    fn settle(&self) -> Duration {
        Duration::ZERO
    }

    /// Sets where a source without any state begins, when the configuration says it with `start`; it takes the place
    /// of whatever the kind's own settings say about that. A kind whose source cannot choose refuses, as by default.
    ///
    /// # Errors
    /// Says in the words of the configuration which starts this kind knows.
    fn start(&mut self, _start: StartAt) -> anyhow::Result<()> {
        anyhow::bail!("a source of type `{}` cannot choose where it begins; remove the key", Self::KIND)
    }

    /// What can be used and is probably a mistake. It may look at files and changes nothing; what it finds is told as
    /// warnings, before anything runs.
    fn warnings(&self, _outside: &Outside) -> Vec<Warning> {
        Vec::new()
    }

    /// Checks the values and makes the source. No I/O: the file may be only checked.
    ///
    /// # Errors
    /// Names the setting and what is wrong with its value.
    fn build(self, outside: &Outside) -> anyhow::Result<Box<dyn Source>>;
}

/// The settings of a sink that pushes.
pub trait SinkSettings: DeserializeOwned + JsonSchema + 'static {
    /// The word behind `type:` in the configuration.
    const KIND: &'static str;

    /// Sets how events are handed to this kind of sink where the configuration does not say it with the keys that all
    /// sinks have.
    fn policy(&self, _policy: &mut DeliveryPolicy) {}

    /// What can be used and is probably a mistake; see [`SourceSettings::warnings`].
    fn warnings(&self, _outside: &Outside) -> Vec<Warning> {
        Vec::new()
    }

    /// Checks the values and makes the sink. No I/O.
    ///
    /// # Errors
    /// Names the setting and what is wrong with its value.
    fn build(self, outside: &Outside) -> anyhow::Result<Push>;
}

/// A setting that can be used and is probably a mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Where, as a dotted path within the settings.
    pub path: String,
    /// What is doubtful and what to do: lower case, no full stop, never a secret.
    pub message: String,
}

impl Warning {
    /// A warning about the setting at `path`.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into() }
    }
}

/// A source, ready to run.
pub struct BuiltSource {
    /// The source.
    pub source: Box<dyn Source>,
    /// See [`SourceSettings::interval`].
    pub interval: Option<Duration>,
    /// See [`SourceSettings::settle`].
    pub settle: Duration,
    /// See [`SourceSettings::warnings`].
    pub warnings: Vec<Warning>,
}

/// A sink that pushes, ready to run.
pub struct BuiltSink {
    /// The sink.
    pub push: Push,
    /// How events are handed to it.
    pub policy: DeliveryPolicy,
    /// Which of the events of its types it takes; `None` for all.
    pub condition: Option<Condition>,
    /// See [`SinkSettings::warnings`].
    pub warnings: Vec<Warning>,
}

/// Parses the settings of a kind and builds what they describe.
pub type Build<T> = fn(Value, &Outside) -> Result<T, SettingsError>;

/// An entry in the list of source kinds.
pub struct SourceKind {
    /// The word behind `type:`.
    pub name: &'static str,
    /// The schema of its settings.
    pub schema: fn(&mut SchemaGenerator) -> Schema,
    /// Parses the settings and builds the source.
    pub build: Build<BuiltSource>,
}

impl SourceKind {
    /// The entry of the kind with these settings.
    pub const fn of<S: SourceSettings>() -> Self {
        Self {
            name: S::KIND,
            schema: S::json_schema,
            build: |value, outside| {
                let mut settings: S = parse(value)?;
                if let Some(start) = outside.start {
                    settings
                        .start(start)
                        .map_err(|message| SettingsError { path: "start".into(), message })?;
                }
                let (interval, settle) = (settings.interval(), settings.settle());
                let warnings = settings.warnings(outside);
                let source = settings.build(outside).map_err(SettingsError::whole)?;
                Ok(BuiltSource { source, interval, settle, warnings })
            },
        }
    }
}

/// An entry in the list of sink kinds.
pub struct SinkKind {
    /// The word behind `type:`.
    pub name: &'static str,
    /// The schema of its settings.
    pub schema: fn(&mut SchemaGenerator) -> Schema,
    /// Parses the settings and builds the sink.
    pub build: Build<BuiltSink>,
}

impl SinkKind {
    /// The entry of the kind with these settings.
    pub const fn of<S: SinkSettings>() -> Self {
        Self {
            name: S::KIND,
            schema: S::json_schema,
            build: |value, outside| {
                let settings: S = parse(value)?;
                let mut policy = DeliveryPolicy::default();
                settings.policy(&mut policy);
                let warnings = settings.warnings(outside);
                let push = settings.build(outside).map_err(SettingsError::whole)?;
                Ok(BuiltSink { push, policy, condition: None, warnings })
            },
        }
    }
}

/// Settings that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{message:#}")]
pub struct SettingsError {
    /// Where, as a dotted path within the settings; empty for the settings as a whole.
    pub path: String,
    /// What is wrong.
    pub message: anyhow::Error,
}

impl SettingsError {
    /// An error about the settings as a whole.
    pub fn whole(message: anyhow::Error) -> Self {
        Self { path: String::new(), message }
    }
}

/// Parses settings, keeping the path to what is wrong.
///
/// # Errors
/// [`SettingsError`] with the path.
pub fn parse<S: DeserializeOwned>(value: Value) -> Result<S, SettingsError> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let path = if path == "." { String::new() } else { path };
        SettingsError { path, message: error.into_inner().into() }
    })
}
