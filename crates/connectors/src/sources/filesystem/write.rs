//! Writes checked tasks into a draft: entries and events, always both or neither.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use inboxclaw_contract::settings::StartAt;
use inboxclaw_contract::{Draft, Entry, Expiry, Failure, Json};

use super::budget::{Budget, STORED};
use super::config::{Config, blocking};
use super::deferred::Note;
use super::path::{KeyFamily, RelPath};
use super::problems::Findings;
use super::read_file::{FileSnapshot, ReadOutcome};
use super::record::{Record, Stat, Version};
use super::report::{Kind, Report, is_text, preview};
use super::worklist::{CheckedTask, Task, Worklist};
use crate::textdiff::{self, TextDiff};

/// How long the last version of a file that is gone is remembered, so that its return is told from a rewind.
const GONE_KEPT: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// What became of the tasks of a pass besides what was written.
#[derive(Debug, Default)]
pub(super) struct PassResult {
    /// What could not be read, and what is not looked at.
    pub(super) findings: Findings,
    /// How files behaved, with their sizes.
    pub(super) notes: BTreeMap<RelPath, (u64, Note)>,
}

impl PassResult {
    /// Takes note of how a file behaved. What comes later says more.
    pub(super) fn note(&mut self, path: &RelPath, size: u64, note: Note) {
        self.notes.insert(path.clone(), (size, note));
    }
}

/// Writes one batch.
pub(super) struct Writer<'a, 'd> {
    config: &'a Config,
    draft: &'a mut Draft<'d>,
    /// During the baseline nothing is reported, but for files written since the time where the source starts.
    silent: bool,
    known: HashMap<RelPath, PathRecords>,
    worklist: &'a mut Worklist,
    result: &'a mut PassResult,
    budget: &'a mut Budget,
}

/// What the state holds about a path.
#[derive(Default)]
struct PathRecords {
    record: Option<Record>,
    gone: Option<Version>,
}

impl<'a, 'd> Writer<'a, 'd> {
    /// Reads what is known about the tasks and writes what became of them.
    ///
    /// # Errors
    /// When the store cannot be read, or the turn has no room.
    pub(super) async fn write(
        config: &'a Config,
        draft: &'a mut Draft<'d>,
        silent: bool,
        batch: Vec<CheckedTask>,
        (worklist, result, budget): (&'a mut Worklist, &'a mut PassResult, &'a mut Budget),
    ) -> Result<(), Failure> {
        let mut writer = Self { config, draft, silent, known: HashMap::new(), worklist, result, budget };
        let room = writer.draft.room();
        writer.read(&batch).await?;
        for checked in batch {
            writer.task(checked).await?;
        }
        writer.budget.take(room - writer.draft.room());
        Ok(())
    }

    async fn read(&mut self, batch: &[CheckedTask]) -> Result<(), Failure> {
        let mut paths: Vec<&RelPath> = Vec::new();
        let mut arrived: Vec<&RelPath> = Vec::new();
        for checked in batch {
            match &checked.task {
                Task::Forget(path) | Task::Gone(path) | Task::Changed(path, _) => paths.push(path),
                Task::New(path, _) => {
                    paths.push(path);
                    arrived.push(path);
                }
                Task::Moved { from, to, .. } => {
                    paths.extend([from, to]);
                    arrived.push(to);
                }
            }
        }
        for (path, entry) in paths.iter().zip(self.entries(KeyFamily::File, &paths).await?) {
            // What a person made unreadable says nothing.
            let record = entry.and_then(|entry| entry.parse().ok());
            self.known.insert((*path).clone(), PathRecords { record, gone: None });
        }
        if self.reports() {
            for (path, entry) in arrived.iter().zip(self.entries(KeyFamily::Gone, &arrived).await?) {
                let gone = entry.and_then(|entry| entry.parse().ok());
                self.known.entry((*path).clone()).or_default().gone = gone;
            }
        }
        Ok(())
    }

    async fn entries(
        &mut self,
        family: KeyFamily,
        paths: &[&RelPath],
    ) -> Result<Vec<Option<Entry>>, Failure> {
        let keys: Vec<String> = paths.iter().map(|path| path.key(family).0).collect();
        self.draft.entries(&keys).await
    }

    async fn task(&mut self, CheckedTask { task, gone, look }: CheckedTask) -> Result<(), Failure> {
        match (task, gone, look) {
            (Task::Forget(path), ..) => self.drop_entries(&path),
            (Task::Gone(path), Some(gone), _) => self.check_gone(&path, gone),
            (Task::Moved { from, to, .. }, Some(Ok(true)), Some(ReadOutcome::File(seen)))
                if self.record(&from).is_some() && self.record(&to).is_none() =>
            {
                self.moved(&from, &to, seen).await
            }
            (Task::Moved { from, to, .. }, Some(gone), Some(look)) => {
                self.check_gone(&from, gone)?;
                self.check_file(&to, look).await
            }
            (Task::New(path, _) | Task::Changed(path, _), _, Some(look)) => {
                self.check_file(&path, look).await
            }
            (task, ..) => Err(Failure::internal(anyhow::anyhow!("the task {task:?} was not checked"))),
        }
    }

    fn check_gone(&mut self, path: &RelPath, gone: std::io::Result<bool>) -> Result<(), Failure> {
        match gone {
            Ok(true) => return self.deleted(path),
            Ok(false) => {
                let size = self.record(path).map_or(0, |record| record.stat.size);
                self.result.note(path, size, Note::Unstable);
            }
            Err(error) => self.result.findings.unreadable.insert(path.clone(), &error),
        }
        Ok(())
    }

    async fn check_file(&mut self, path: &RelPath, look: ReadOutcome) -> Result<(), Failure> {
        match (look, self.record(path).cloned()) {
            (ReadOutcome::File(seen), None) => return self.created(path, seen),
            (ReadOutcome::File(seen), Some(record)) if record.holds(&seen.stat, seen.sha256.as_deref()) => {
                return self.refresh(path, record, seen);
            }
            (ReadOutcome::File(seen), Some(record)) => return self.updated(path, &record, seen).await,
            (ReadOutcome::Absent, None) | (ReadOutcome::Unfinished(_), _) => {}
            (ReadOutcome::Absent, Some(record)) => {
                self.result.note(path, record.stat.size, Note::Unstable);
            }
            (ReadOutcome::Unstable(size), _) => self.result.note(path, size, Note::Unstable),
            (ReadOutcome::Unreadable(error), _) => {
                self.result.findings.unreadable.insert(path.clone(), &error)
            }
        }
        Ok(())
    }

    fn created(&mut self, path: &RelPath, seen: FileSnapshot) -> Result<(), Failure> {
        let gone = self.known.get(path).and_then(|known| known.gone);
        let version = Version::after(&seen.stat, gone);
        self.report(Kind::Created, path, &seen, version, None, None)?;
        if gone.is_some() {
            self.draft.delete(&path.key(KeyFamily::Gone).0)?;
        }
        let text = self.text(path, &seen);
        self.put_text(path, text.as_deref(), false)?;
        self.put(path, Record::new(seen.stat, seen.sha256, version, text.is_some()))
    }

    /// The content is the one that is known; only the stat moved.
    fn refresh(&mut self, path: &RelPath, known: Record, seen: FileSnapshot) -> Result<(), Failure> {
        let text = self.text(path, &seen);
        if text.is_some() != known.text {
            self.put_text(path, text.as_deref(), known.text)?;
        }
        let version = known.version();
        self.put(path, Record::new(seen.stat, seen.sha256.or(known.sha256), version, text.is_some()))
    }

    async fn updated(&mut self, path: &RelPath, known: &Record, seen: FileSnapshot) -> Result<(), Failure> {
        let version = Version::after(&seen.stat, None);
        let text = self.text(path, &seen);
        let diff =
            if self.is_silent(&seen.stat) { None } else { self.diff(path, known, text.as_deref()).await? };
        self.report(Kind::Updated, path, &seen, version, diff, None)?;
        self.put_text(path, text.as_deref(), known.text)?;
        self.put(path, Record::new(seen.stat, seen.sha256, version, text.is_some()))
    }

    /// Reports the new path. What was written at the same time is reported as a change of its own, later.
    async fn moved(&mut self, from: &RelPath, to: &RelPath, seen: FileSnapshot) -> Result<(), Failure> {
        let Some(known) = self.record(from).cloned() else { return Ok(()) };
        let gone = self.known.get(to).and_then(|known| known.gone);
        let version = Version::after(&seen.stat, gone);
        self.report(Kind::Moved, to, &seen, version, None, Some(from))?;
        let is_changed = !known.holds(&seen.stat, seen.sha256.as_deref());
        let text = if is_changed { self.old_text(from, &known).await? } else { self.text(to, &seen) };
        self.drop_entries(from)?;
        self.remember_gone(from, &known)?;
        if gone.is_some() {
            self.draft.delete(&to.key(KeyFamily::Gone).0)?;
        }
        self.put_text(to, text.as_deref(), false)?;
        let mut record = Record::new(seen.stat, known.sha256, version, text.is_some());
        if is_changed {
            // The content is still the old one, and so is what tells it from the new one.
            (record.stat.size, record.stat.mtime) = (known.stat.size, known.stat.mtime);
            self.worklist.put(Task::Changed(to.clone(), seen.stat));
        }
        self.put(to, record)
    }

    fn deleted(&mut self, path: &RelPath) -> Result<(), Failure> {
        let Some(known) = self.record(path).cloned() else { return Ok(()) };
        let seen = FileSnapshot { stat: known.stat, sha256: known.sha256.clone(), head: Vec::new() };
        self.report(Kind::Deleted, path, &seen, known.version(), None, None)?;
        self.drop_entries(path)?;
        self.remember_gone(path, &known)
    }

    fn report(
        &mut self,
        kind: Kind,
        path: &RelPath,
        seen: &FileSnapshot,
        version: Version,
        diff: Option<TextDiff>,
        old_path: Option<&RelPath>,
    ) -> Result<(), Failure> {
        if self.is_silent(&seen.stat) {
            return Ok(());
        }
        let preview = self.config.preview.filter(|_| is_text(path)).map(|chars| preview(&seen.head, chars));
        let (sha256, size) = (seen.sha256.as_deref(), seen.stat.size);
        match kind {
            Kind::Created | Kind::Updated => {
                self.result.note(path, size, Note::Reported { read: sha256.is_some() })
            }
            Kind::Moved | Kind::Deleted => self.result.note(old_path.unwrap_or(path), size, Note::Gone),
        }
        Report { kind, path, version, sha256, size, preview, diff, old_path }.emit(self.draft)
    }

    /// Whether anything is reported at all.
    fn reports(&self) -> bool {
        !self.silent || matches!(self.config.start, StartAt::Since(_))
    }

    /// Whether nothing is reported of the file with this stat: what was reported of it depends on the same time.
    fn is_silent(&self, stat: &Stat) -> bool {
        let is_new = match self.config.start {
            StartAt::Since(since) => i128::from(stat.mtime) >= since.as_nanosecond(),
            StartAt::Now | StartAt::All => false,
        };
        self.silent && !is_new
    }

    async fn diff(
        &mut self,
        path: &RelPath,
        known: &Record,
        new: Option<&str>,
    ) -> Result<Option<TextDiff>, Failure> {
        let (Some(old), Some(new)) = (self.old_text(path, known).await?, new.map(str::to_owned)) else {
            return Ok(None);
        };
        let bounds = self.config.bounds;
        blocking(move || textdiff::diff(&old, &new, bounds)).await
    }

    async fn old_text(&mut self, path: &RelPath, known: &Record) -> Result<Option<String>, Failure> {
        let entry = if known.text { self.draft.entry(&path.key(KeyFamily::Text).0).await? } else { None };
        Ok(entry.and_then(|entry| entry.parse().ok()))
    }

    /// The text to keep for the next difference.
    fn text(&self, path: &RelPath, seen: &FileSnapshot) -> Option<String> {
        let is_whole = seen.head.len() as u64 == seen.stat.size;
        let is_kept = is_whole && seen.head.len() <= self.config.diff_bytes && self.config.diff_bytes > 0;
        (is_kept && is_text(path)).then(|| String::from_utf8_lossy(&seen.head).into_owned())
    }

    fn record(&self, path: &RelPath) -> Option<&Record> {
        self.known.get(path)?.record.as_ref()
    }

    fn put(&mut self, path: &RelPath, mut record: Record) -> Result<(), Failure> {
        let (key, is_readable) = path.key(KeyFamily::File);
        record.path = (!is_readable).then(|| path.escaped().into_owned());
        record.fresh |= record.stat.is_fresh(self.draft.now());
        if self.record(path) == Some(&record) {
            return Ok(());
        }
        self.draft.put(&key, &record, Expiry::Never)
    }

    fn put_text(&mut self, path: &RelPath, text: Option<&str>, had_text: bool) -> Result<(), Failure> {
        let (key, _) = path.key(KeyFamily::Text);
        match text {
            Some(text) => {
                let json = Json::from_value(text).map_err(Failure::internal)?;
                self.budget.take_bytes(json.len() * STORED);
                self.draft.put(&key, &json, Expiry::Never)
            }
            None if had_text => self.draft.delete(&key),
            None => Ok(()),
        }
    }

    fn drop_entries(&mut self, path: &RelPath) -> Result<(), Failure> {
        let has_text = self.record(path).is_none_or(|record| record.text);
        if has_text {
            self.draft.delete(&path.key(KeyFamily::Text).0)?;
        }
        self.draft.delete(&path.key(KeyFamily::File).0)
    }

    fn remember_gone(&mut self, path: &RelPath, known: &Record) -> Result<(), Failure> {
        if self.is_silent(&known.stat) {
            return Ok(());
        }
        self.draft.put(&path.key(KeyFamily::Gone).0, &known.version(), Expiry::For(GONE_KEPT))
    }
}
