//! Events as lines of one file, which may be rotated.
//!
//! Delivery is at least once, the file shows each event once: see `json_lines`. Besides the length the state holds which
//! file that is, so that one that another program moved away, or that a rotation made whose commit was lost, is read from
//! its beginning.
//!
//! The file is rotated before a delivery is written, and only when nothing stands behind the known length. So what a lost
//! commit left is always in the file that the next delivery reads, and a rotation that is repeated finds a new file.
//!
//! Left out: compression and rotation by time. Two sinks want two files.

use std::ffi::OsString;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use anyhow::ensure;
use async_trait::async_trait;
use inboxclaw_contract::envelope::Format;
use inboxclaw_contract::{
    Delivery, DeliveryPolicy, Draft, Expiry, Failure, Json, Outside, Push, Receipt, Sink, SinkSettings,
};
use inboxclaw_settings::{Size, coerce};

use crate::json_lines::{self, LineFile, sync_folder};

/// Where the state keeps what is known of the file.
const KEY: &str = "file";

/// Appends each event to one file, as a line of JSON. A reader such as `tail -F` sees whole lines.
#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The file; it and the folders that it is in are made if they are missing. A relative path starts at the folder of the
    /// configuration file.
    #[serde(deserialize_with = "coerce::lax")]
    path: String,
    /// When the file is moved to `PATH.1` and a new one begun, `PATH.1` to `PATH.2` and so on. Without it the file grows;
    /// a program such as logrotate may move it away at any time.
    #[serde(default)]
    rotate: Option<Rotate>,
    /// `batch`: events count as delivered when they are on the disk. `never` leaves it to the system when they get there,
    /// which is faster; what it did not write before it crashed is lost.
    #[serde(default)]
    fsync: Fsync,
    /// What a line looks like. A change holds for the lines that are written from then on.
    #[serde(default)]
    format: Format,
}

/// When to begin a new file.
#[derive(Debug, Clone, Copy, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Rotate {
    /// The size from which on the next delivery goes into a new file.
    #[serde(deserialize_with = "coerce::lax")]
    size: Size,
    /// How many files are kept besides the one that is written, from 1. Without it none is ever removed.
    #[serde(default, deserialize_with = "coerce::lax")]
    keep: Option<u32>,
}

#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
enum Fsync {
    #[default]
    Batch,
    Never,
}

impl SinkSettings for Settings {
    const KIND: &'static str = "file";

    fn policy(&self, policy: &mut DeliveryPolicy) {
        policy.batch_max = json_lines::BATCH;
    }

    fn build(self, outside: &Outside) -> anyhow::Result<Push> {
        ensure!(!self.path.is_empty() && !self.path.ends_with('/'), "path names no file");
        if let Some(rotate) = self.rotate {
            ensure!(rotate.size.0 > 0, "rotate.size is 0, it must be larger");
            ensure!(rotate.keep != Some(0), "rotate.keep is 0, the least is 1");
        }
        let path: PathBuf = outside.base_dir.join(&self.path).components().collect();
        ensure!(!outside.own_files.contains(&path), "path is the database of inboxclaw itself");
        let lock = json_lines::lock_of(Self::KIND, &path, outside);
        let target =
            Target { path, format: self.format, rotate: self.rotate, sync: self.fsync == Fsync::Batch, lock };
        Ok(Push::Sink(Box::new(FileSink(Arc::new(target)))))
    }
}

struct FileSink(Arc<Target>);

struct Target {
    path: PathBuf,
    format: Format,
    rotate: Option<Rotate>,
    sync: bool,
    /// Held while writing.
    lock: Arc<Mutex<()>>,
}

/// What is known of the file, as the state holds it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
struct Known {
    inode: u64,
    /// Up to here it is complete.
    length: u64,
}

#[async_trait]
impl Sink for FileSink {
    async fn deliver(
        &self,
        batch: &[Delivery],
        receipts: &mut Vec<Receipt>,
        draft: &mut Draft<'_>,
    ) -> Result<(), Failure> {
        let known = draft.entry(KEY).await?.and_then(|entry| entry.parse().ok()).unwrap_or_default();
        let format = self.0.format;
        let lines: Vec<String> =
            batch.iter().map(|delivery| json_lines::line(&delivery.event, format)).collect();
        let target = self.0.clone();
        let writing = tokio::task::spawn_blocking(move || {
            let _held = crate::lock::lock(&target.lock);
            target.write(known, &lines).map_err(|error| json_lines::failure(&target.path, error))
        });
        let known = writing.await.map_err(Failure::internal)??;
        draft.put(KEY, &Json::from_value(&known).map_err(Failure::internal)?, Expiry::Never)?;
        receipts.resize(batch.len(), Receipt::Done);
        Ok(())
    }
}

impl Target {
    fn write(&self, known: Known, lines: &[String]) -> io::Result<Known> {
        let mut file = LineFile::open(&self.path)?;
        let length = if file.inode()? == known.inode { known.length } else { 0 };
        let mut tail = file.tail(length, lines)?;
        if let Some(rotate) = self.rotate.filter(|rotate| !tail.has_lines && tail.whole >= rotate.size.0) {
            self.rotate(rotate.keep)?;
            file = LineFile::open(&self.path)?;
            tail = file.tail(0, lines)?;
        }
        let length = file.append(&tail, lines, self.sync)?;
        Ok(Known { inode: file.inode()?, length })
    }

    /// Moves the file away. Only free names are moved to, the last file first: a crash in between leaves a gap, which the
    /// next rotation fills, and never a file that was written over.
    fn rotate(&self, keep: Option<u32>) -> io::Result<()> {
        let free = (1_u32..).find(|number| !exists(&self.numbered(*number))).unwrap_or(u32::MAX);
        for number in (1..free).rev() {
            fs::rename(self.numbered(number), self.numbered(number + 1))?;
        }
        fs::rename(&self.path, self.numbered(1))?;
        for number in keep.map_or(1..1, |keep| keep + 1..free.saturating_add(1)) {
            match fs::remove_file(self.numbered(number)) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        if self.sync { sync_folder(&self.path) } else { Ok(()) }
    }

    fn numbered(&self, number: u32) -> PathBuf {
        let mut name = OsString::from(self.path.as_os_str());
        name.push(format!(".{number}"));
        name.into()
    }
}

fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}
