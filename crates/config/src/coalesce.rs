//! The rules by which events of a source are joined, as the configuration says them. Left out: joining, which is part of
//! the store's commit.

use std::time::Duration;

use inboxclaw_contract::SettingsError;
use inboxclaw_contract::coalesce::{Aggregation, CoalesceRule, MAX_WAIT_WINDOWS, Strategy};
use inboxclaw_settings::{Interval, Patterns};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A rule by which events of one entity become one.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CoalesceSettings {
    /// The event types. Of several rules that take a type the first one counts.
    #[serde(rename = "match")]
    patterns: Patterns,
    /// `debounce`: the event is stored once nothing more happened to its entity for the length of the window. `batch`: it is
    /// stored when the window has passed since the first event.
    strategy: Strategy,
    /// How long the window is, such as `30s` or `1.5s`.
    window: Interval,
    /// What becomes of the data of several events. `latest`: the last one's stays. `merge`: one object with the keys of all,
    /// in which the last value of a key counts. `list`: a list of all in their order; it is stored early when it has 1,000
    /// items or would have more than 1 MiB.
    #[serde(default)]
    aggregation: Aggregation,
    /// How long an event with `debounce` waits at most, however much happens to its entity. Ten windows unless set.
    #[serde(default)]
    max_wait: Option<Interval>,
}

/// The rules for the store. The paths of errors start at `coalesce`.
pub(super) fn rules(settings: &[CoalesceSettings]) -> Result<Vec<CoalesceRule>, SettingsError> {
    settings.iter().enumerate().map(|(index, settings)| settings.rule(index)).collect()
}

impl CoalesceSettings {
    fn rule(&self, index: usize) -> Result<CoalesceRule, SettingsError> {
        let wrong = |key: &str, message: anyhow::Error| SettingsError {
            path: format!("coalesce[{index}].{key}"),
            message,
        };
        let window = self.window.nonzero("the window").map_err(|error| wrong("window", error))?;
        let max_wait = match (self.max_wait, self.strategy) {
            (None, _) => window.saturating_mul(MAX_WAIT_WINDOWS),
            (Some(_), Strategy::Batch) => {
                let message = anyhow::anyhow!(
                    "a batch ends a window after its first event; remove the key, or use `debounce`"
                );
                return Err(wrong("max_wait", message));
            }
            (Some(max_wait), Strategy::Debounce) => Duration::from(max_wait),
        };
        if max_wait < window {
            let message = anyhow::anyhow!("it is shorter than the window, which would never pass");
            return Err(wrong("max_wait", message));
        }
        let (patterns, strategy, aggregation) = (self.patterns.clone(), self.strategy, self.aggregation);
        Ok(CoalesceRule { patterns, strategy, window, max_wait, aggregation })
    }
}
