//! A temporary folder with a source that looks at it, and the one check: what is reported now.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;

use inboxclaw_connectors::SOURCES;
use inboxclaw_contract::settings::StartAt;
use inboxclaw_contract::{Class, Failure, NewEvent, Next, OpenTurn, Outside, OwnerId, Settled, Source};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Memory, outside, poll};

/// A folder `root` in a temporary folder, a source, and its state.
pub(crate) struct Folder {
    dir: TempDir,
    settings: Value,
    start: Option<StartAt>,
    pub(crate) memory: Memory,
    pub(crate) source: Box<dyn Source>,
    /// The events of the last check.
    pub(crate) events: Vec<NewEvent>,
    /// What its last turn said that is no failure.
    pub(crate) notices: Vec<String>,
    /// What its last turn wanted next.
    pub(crate) next: Next,
}

impl Folder {
    /// An empty folder, looked at by polls only unless `settings` say otherwise. Nothing was polled yet.
    pub(crate) fn new(settings: Value) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("root")).unwrap();
        let mut all = json!({ "path": "root", "watch_mode": "poll" });
        all.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
        let source = build(&dir, &all, None);
        let memory = Memory::new();
        let (events, notices) = (Vec::new(), Vec::new());
        Self { dir, settings: all, start: None, memory, source, events, notices, next: Next::Wait }
    }

    /// A folder with these files, whose baseline is taken.
    pub(crate) async fn with(settings: Value, files: &[(&str, &str)]) -> Self {
        let mut folder = Self::new(settings);
        for (path, content) in files {
            folder.write(path, content);
        }
        folder.check(&[]).await;
        folder
    }

    /// Starts the program anew, with other settings if given.
    pub(crate) fn restart(&mut self, settings: Value) {
        self.settings.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
        self.source = build(&self.dir, &self.settings, self.start);
    }

    /// Starts the program anew, where `start` says.
    pub(crate) fn restart_at(&mut self, start: StartAt) {
        self.start = Some(start);
        self.restart(json!({}));
    }

    /// Says that a file was last written at that second.
    pub(crate) fn date(&self, path: &str, second: u64) {
        let file = fs::File::options().write(true).open(self.path(path)).unwrap();
        file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(second)).unwrap();
    }

    /// The path of a file; `../x` is outside of the folder.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        match path.strip_prefix("../") {
            Some(outside) => self.dir.path().join(outside),
            None => self.dir.path().join("root").join(path),
        }
    }

    /// Lets the file system's clock go on, so that the next change has a time of its own.
    pub(crate) fn tick(&self) {
        let scratch = self.dir.path().join("clock");
        let ctime = || {
            fs::write(&scratch, "").unwrap();
            let metadata = fs::metadata(&scratch).unwrap();
            (metadata.ctime(), metadata.ctime_nsec())
        };
        let before = ctime();
        while ctime() == before {}
    }

    pub(crate) fn write(&self, path: &str, content: &str) {
        self.tick();
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub(crate) fn remove(&self, path: &str) {
        self.tick();
        fs::remove_file(self.path(path)).unwrap();
    }

    pub(crate) fn rename(&self, from: &str, to: &str) {
        self.tick();
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    pub(crate) fn chmod(&self, path: &str, mode: u32) {
        self.tick();
        fs::set_permissions(self.path(path), fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Polls until the source waits; what is new must be this, in this order: `created a`, `moved a > b`.
    pub(crate) async fn check(&mut self, expected: &[&str]) {
        let (events, problems) = self.poll().await.unwrap();
        assert_eq!(events, expected);
        assert_eq!(problems, Vec::<String>::new());
    }

    /// Lets so many seconds pass for the source.
    pub(crate) fn pass(&self, seconds: u64) {
        self.memory.advance(std::time::Duration::from_secs(seconds));
    }

    /// Polls until the source waits. What is new, and the problems of the last turn.
    pub(crate) async fn poll(&mut self) -> Result<(Vec<String>, Vec<String>), Failure> {
        self.events.clear();
        loop {
            let polled = poll(&*self.source, &self.memory).await?;
            self.events.extend(polled.events);
            if polled.next != Next::More {
                (self.next, self.notices) = (polled.next, polled.notices);
                let problems = polled.problems.iter().map(|failure| format!("{}: {failure}", failure.class));
                return Ok((self.events.iter().map(describe).collect(), problems.collect()));
            }
        }
    }

    /// A poll that must fail.
    pub(crate) async fn fails(&mut self, class: Class, text: &str) {
        let failure = self.poll().await.unwrap_err();
        assert_eq!(failure.class, class);
        assert!(failure.to_string().contains(text), "{failure}");
    }

    /// A poll whose turn is lost before it is stored.
    pub(crate) async fn lost_poll(&self) {
        let mut draft =
            OpenTurn::open(&self.memory, OwnerId(1), inboxclaw_contract::turn::TurnId(0)).await.unwrap();
        self.source.poll(&mut draft).await.unwrap();
        drop(draft);
        self.source.settled(Settled::Dropped);
    }

    /// The payload of an event of the last check.
    pub(crate) fn data(&self, at: usize) -> Value {
        self.events[at].data.parse().unwrap()
    }
}

fn build(dir: &TempDir, settings: &Value, start: Option<StartAt>) -> Box<dyn Source> {
    let kind = SOURCES.iter().find(|kind| kind.name == "filesystem").unwrap();
    // The folder `way` is not there unless a test makes it a link.
    let own_files = vec![dir.path().join("way/data/own.db")];
    (kind.build)(settings.clone(), &Outside { own_files, start, ..outside(dir.path()) }).unwrap().source
}

fn describe(event: &NewEvent) -> String {
    let data: Value = event.data.parse().unwrap();
    let kind = event.event_type.strip_prefix("fs.file_").unwrap();
    match data.get("old_path") {
        Some(old) => format!("{kind} {} > {}", old.as_str().unwrap(), data["path"].as_str().unwrap()),
        None => format!("{kind} {}", data["path"].as_str().unwrap()),
    }
}
