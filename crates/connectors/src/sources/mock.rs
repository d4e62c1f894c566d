//! Random numbers. The smallest source there is, and the one to copy.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use inboxclaw_contract::{Draft, Failure, Json, NewEvent, Next, Outside, Random, Source, SourceSettings};
use inboxclaw_settings::Interval;

/// Reports a random number at each interval. Useful to try a sink.
#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Time between two numbers; the first comes after one interval.
    #[serde(default = "default_interval")]
    interval: Interval,
}

fn default_interval() -> Interval {
    Interval::from_secs(10)
}

impl SourceSettings for Settings {
    const KIND: &'static str = "mock";

    fn interval(&self) -> Option<Duration> {
        Some(self.interval.as_duration())
    }

    fn build(self, outside: &Outside) -> anyhow::Result<Box<dyn Source>> {
        self.interval.nonzero("interval")?;
        Ok(Box::new(Mock {
            entity_id: format!("mock-{}", outside.name),
            random: outside.random.clone(),
            started: AtomicBool::new(false),
        }))
    }
}

struct Mock {
    entity_id: String,
    random: Arc<dyn Random>,
    /// The first poll comes at once, the first number only an interval later.
    started: AtomicBool,
}

#[async_trait]
impl Source for Mock {
    async fn poll(&self, draft: &mut Draft<'_>) -> Result<Next, Failure> {
        if self.started.swap(true, Ordering::Relaxed) {
            let event_id = uuid::Builder::from_random_bytes(self.random.next().to_be_bytes()).into_uuid();
            let number = self.random.next() % 100 + 1;
            let data = Json::from_value(&serde_json::json!({ "number": number as u8 }))
                .map_err(Failure::internal)?;
            let event = NewEvent::new(event_id.to_string(), "mock.random_number", data);
            draft.emit(event.entity(&self.entity_id).at(draft.now()))?;
        }
        Ok(Next::Wait)
    }
}
