//! Events as lines in files, one file for each day.
//!
//! Delivery is at least once, files show each event once: the length of a file that is known to be complete is part
//! of the same commit as the position, and what stands behind it was written by a delivery whose commit was lost.
//! Such lines are not written again, and a line that broke off in the middle is removed.
//!
//! Left out: rotation by size, compression, removal of old days. Two sinks want two folders.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::ensure;
use async_trait::async_trait;
use inboxclaw_contract::envelope::{Format, wire_time};
use inboxclaw_contract::{
    Delivery, DeliveryPolicy, Draft, Expiry, Failure, Outside, Push, Receipt, Sink, SinkSettings,
};
use inboxclaw_settings::coerce;

use crate::json_lines::{self, LineFile};

/// How long the length of a day's file is remembered. Without it the file is read from its beginning.
const REMEMBERED: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Appends each event to `PATH/YYYY-MM-DD.jsonl`, by the UTC day on which it was stored.
#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Folder of the files; made if it is missing. A relative path starts at the folder of the configuration file.
    #[serde(deserialize_with = "coerce::lax")]
    path: String,
    /// What a line looks like. A change holds for the lines that are written from then on.
    #[serde(default)]
    format: Format,
}

impl SinkSettings for Settings {
    const KIND: &'static str = "folder";

    fn policy(&self, policy: &mut DeliveryPolicy) {
        policy.batch_max = json_lines::BATCH;
    }

    fn build(self, outside: &Outside) -> anyhow::Result<Push> {
        ensure!(!self.path.is_empty(), "path is empty");
        let path: PathBuf = outside.base_dir.join(&self.path).components().collect();
        let lock = json_lines::lock_of(Self::KIND, &path, outside);
        Ok(Push::Sink(Box::new(Folder { path, format: self.format, lock })))
    }
}

struct Folder {
    path: PathBuf,
    format: Format,
    /// Held while writing.
    lock: Arc<Mutex<()>>,
}

#[async_trait]
impl Sink for Folder {
    async fn deliver(
        &self,
        batch: &[Delivery],
        receipts: &mut Vec<Receipt>,
        draft: &mut Draft<'_>,
    ) -> Result<(), Failure> {
        let mut days: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for Delivery { event, .. } in batch {
            let date = wire_time(event.created_at).split('T').next().unwrap_or_default().to_owned();
            days.entry(date).or_default().push(json_lines::line(event, self.format));
        }
        for (date, lines) in days {
            let key = format!("file:{date}");
            let known = draft.entry(&key).await?.and_then(|entry| entry.parse::<u64>().ok()).unwrap_or(0);
            let path = self.path.join(format!("{date}.jsonl"));
            let lock = self.lock.clone();
            let appending = tokio::task::spawn_blocking(move || append(&path, known, &lines, &lock));
            let length = appending.await.map_err(Failure::internal)??;
            draft.put(&key, &length, Expiry::For(REMEMBERED))?;
        }
        // At the end, because the order of days need not be that of events.
        receipts.resize(batch.len(), Receipt::Done);
        Ok(())
    }
}

/// Appends the lines to the file of a day and returns the length that is durable now.
fn append(path: &Path, known: u64, lines: &[String], lock: &Mutex<()>) -> Result<u64, Failure> {
    let _held = crate::lock::lock(lock);
    let write = || {
        let mut file = LineFile::open(path)?;
        let tail = file.tail(known, lines)?;
        file.append(&tail, lines, true)
    };
    write().map_err(|error| json_lines::failure(path, error))
}
