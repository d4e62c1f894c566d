//! Files of a folder: created, updated, moved, deleted.
//!
//! What is known of each file is an entry of the source's state, so changes made while the program was down are
//! reported at the next start, and an edit or a rewind of the state is honoured. The operating system's news are
//! only hints where to look. How a look works is in `pass`; this file holds the settings and the poll. Left out:
//! links to folders (not followed), what lies outside of the folder (unless asked for), pipes and devices (never
//! opened), and the content of files beyond a preview and a difference.
//!
//! # Event ids
//!
//! `{kind}:{path}:{inode}:{ctime}:{digest}[:{times}]` names a version of the file: ctime in nanoseconds, the first
//! digits of the content's SHA-256 (two contents may share a tick of the clock; of a file whose content is not read it
//! is the size, `123b`), and how often the very same version came back to the path when it left in between (a folder
//! moved away and back). For deletions it is the last version reported. The version is kept apart from the stat, which
//! moves with every `chmod`.
//!
//! Guaranteed: each version that a look sees is reported once, whatever conflicts, crashes and restarts happen in
//! between; after a rewind, what was reported is reported again under the same id, which the log knows. Not
//! guaranteed: that versions between two looks are seen; after a rewind to before a version's report, that its id
//! is the same if its metadata (mode, owner, links, name) changed after the report, since the ctime of the report
//! is then known to nobody, or if it was reported unread and is read by now: it is reported once more rather than
//! perhaps swallowed. And where a file system goes back in time
//! (a snapshot is restored), a version that comes back under inode and ctime of an earlier report is not news.

mod budget;
mod compare;
mod config;
mod deferred;
mod filter;
mod inbox;
mod links;
mod mounts;
mod moves;
mod own_files;
mod pass;
mod path;
mod poll_state;
mod problems;
mod read_file;
mod record;
mod report;
mod root;
mod settings_warnings;
mod tree;
mod walk;
mod watch;
mod worklist;
mod write;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use budget::Budget;
use config::{Config, WatchMode, blocking};
use filter::{Filter, FollowLinks};
use inbox::{Inbox, Scopes};
use inboxclaw_contract::settings::StartAt;
use inboxclaw_contract::{Clock, Draft, Failure, Next, Outside, Settled, Source, SourceSettings, Warning};
use inboxclaw_settings::{Interval, coerce};
use own_files::OwnFiles;
use pass::{Pass, PassStart, Turn};
use path::RelPath;
use poll_state::{PollAction, PollContext, PollEnd, PollState};
use problems::Findings;
use root::Root;
use watch::Watch;
use worklist::ReadPolicy;

use crate::lock::lock;
use crate::textdiff::{self, Bounds};

/// Longest preview, in characters.
const MOST_PREVIEW: usize = 16_384;
/// Largest file whose text may be kept, in bytes.
const MOST_DIFF_BYTES: usize = 1 << 20;
/// Programs write in bursts: so long after the first news, their changes are looked at together.
const DEBOUNCE: Duration = Duration::from_millis(300);

/// Reports files of a folder that are created, updated, moved or deleted (`fs.file_created` and so on).
///
/// Regular files count, and links to such, under the link's own path; links to folders are not followed. Changes
/// made while the program does not run are reported at the next start. The operating system gives no news of a link
/// when the file that it leads to changes: that is noticed by a look at everything, so with `watch_mode: watch` at
/// the next start.
///
/// A link that leads out of the folder is not followed unless `follow_links` says so: whoever may write into the
/// folder could otherwise have any file of the machine read. Files are opened in such a way that links which are
/// swapped while the program looks change nothing about that. Hard links and bind mounts are not recognised: what is
/// in the folder by way of one is in the folder. What the kernel makes up, such as all in `/proc`, is never looked at.
///
/// Small files never wait for large ones: files of more than 1 MiB are read when nothing else is to be done. A file that
/// is written all the time is reported ever more rarely, at least every 10 seconds, or every 5 minutes if it has more
/// than 1 MiB. One that changes whenever it is read is reported after half a minute, by its size and times.
///
/// A disk that is mounted within the folder and then is not, so that its mount point is an empty folder, is a problem
/// that is shown, and its files are not taken for deleted. When they are gone for good, remove the empty folder. A
/// mount point that holds files of its own is not recognised: then the files of the disk are reported as deleted.
#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The folder, or a link to it. A relative path starts at the folder of the configuration file. A folder that is
    /// missing, or cannot be read, is a failure, and its files are not taken for deleted; it is looked for again
    /// within a minute. A link that is turned to another folder is noticed at once on Linux, else within half a
    /// minute. The program's own database in the folder is left out.
    path: String,
    /// How changes are noticed: `watch` by news from the operating system, `poll` by looking at everything each
    /// `poll_interval`, `hybrid` by both. News do not reach over network file systems and cost the system one watch
    /// per folder. Every mode looks at everything at the start, and when news were lost.
    #[serde(default)]
    watch_mode: WatchMode,
    /// Time between two looks at everything. With `watch` only used while the operating system gives no news.
    #[serde(default = "default_interval")]
    poll_interval: Interval,
    /// Which links to files are followed: `inside` those to files within the folder, `all` also those to files outside,
    /// but never into `/proc`, `/sys` or `/dev`, `none` none. Health says which links are not followed. Files that a
    /// change of this setting hides leave the state without an event.
    #[serde(default)]
    follow_links: FollowLinks,
    /// Only files with these extensions (`.md`), without regard to case; empty for all. Only what follows the last dot
    /// is the extension.
    #[serde(default, deserialize_with = "coerce::one_or_many")]
    #[schemars(schema_with = "coerce::one_or_many_schema")]
    extensions: Option<Vec<String>>,
    /// Paths to leave out, as shell patterns of the path relative to the folder: `*` (which also matches `/`), `?`,
    /// `[a-z]`, `[!a-z]`; `**` means the same as `*`. A pattern is tried on the whole path and on each leading part
    /// of it: `build` leaves out the folder of that name at the top with all it holds, `*/build` those below. A list
    /// of yours takes the place of the default one.
    #[serde(default = "default_ignore", deserialize_with = "coerce::one_or_many")]
    #[schemars(schema_with = "coerce::one_or_many_schema")]
    ignore_patterns: Vec<String>,
    /// Whether folders within the folder count.
    #[serde(default = "yes", deserialize_with = "coerce::lax")]
    recursive: bool,
    /// What happens with files that are there at the first start. `start` says it too, and wins: `now` means
    /// `baseline`, `all` is the same word, and a time reports the files that were last written since then as created.
    #[serde(default)]
    bootstrap: Bootstrap,
    #[serde(skip)]
    start: Option<StartAt>,
    /// Whether events hold the beginning of the text (`content_preview`). Files of binary types by their extension,
    /// such as `.png` or `.pdf`, have none.
    #[serde(default, deserialize_with = "coerce::lax")]
    include_content_preview: bool,
    /// Characters of the preview, at most 16384.
    #[serde(default = "default_preview", deserialize_with = "coerce::lax")]
    content_preview_length: usize,
    /// Most changed sections that `content_diff` of an updated text file shows.
    #[serde(default = "textdiff::default_sections", deserialize_with = "coerce::lax")]
    max_changed_sections: usize,
    /// Most characters of each section shown there.
    #[serde(default = "textdiff::default_section_chars", deserialize_with = "coerce::lax")]
    max_section_chars: usize,
    /// Largest text file, in bytes, whose text is kept in the source's state so that `content_diff` can be made; at
    /// most 1048576. Larger files are reported without it; 0 keeps no texts.
    #[serde(default = "default_diff_bytes", deserialize_with = "coerce::lax")]
    max_diff_bytes: usize,
    /// Largest file, in bytes, that is read as a whole to know its content. Of a larger one a new size or time of the
    /// last write is a change, and a copy of it under another name is not recognised when the first one goes. 0 reads
    /// no more than what previews need.
    #[serde(default = "default_hash_bytes", deserialize_with = "coerce::lax")]
    max_hash_bytes: u64,
}

/// What happens with files that are there at the first start.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Bootstrap {
    /// They are taken note of without an event.
    #[default]
    Baseline,
    /// Each is reported as created.
    All,
}

fn default_interval() -> Interval {
    Interval::from_secs(5 * 60)
}

fn default_ignore() -> Vec<String> {
    [".git/**", "*/.git/**", "*.tmp", ".trash/**", "*/.trash/**"].map(str::to_owned).to_vec()
}

fn yes() -> bool {
    true
}

fn default_preview() -> usize {
    200
}

fn default_diff_bytes() -> usize {
    64 << 10
}

/// As much as is read in one turn.
fn default_hash_bytes() -> u64 {
    256 << 20
}

impl SourceSettings for Settings {
    const KIND: &'static str = "filesystem";

    fn interval(&self) -> Option<Duration> {
        Some(self.poll_interval.as_duration())
    }

    fn settle(&self) -> Duration {
        DEBOUNCE
    }

    fn start(&mut self, start: StartAt) -> anyhow::Result<()> {
        self.start = Some(start);
        Ok(())
    }

    fn warnings(&self, _outside: &Outside) -> Vec<Warning> {
        settings_warnings::of(
            &self.ignore_patterns,
            self.extensions.as_deref().unwrap_or_default(),
            (self.max_diff_bytes as u64, self.max_hash_bytes),
        )
    }

    fn build(self, outside: &Outside) -> anyhow::Result<Box<dyn Source>> {
        anyhow::ensure!(!self.path.is_empty(), "path is empty");
        anyhow::ensure!(
            !self.path.starts_with('~'),
            "path {:?} starts with ~, which only a shell understands; write ${{HOME}}",
            self.path
        );
        at_most("content_preview_length", self.content_preview_length, MOST_PREVIEW)?;
        at_most("max_diff_bytes", self.max_diff_bytes, MOST_DIFF_BYTES)?;
        let extensions = self.extensions.unwrap_or_default();
        let mut filter = Filter::new(&self.ignore_patterns, &extensions, self.recursive)?;
        filter.own = OwnFiles::new(outside.own_files.clone());
        filter.links = self.follow_links;
        let config = Arc::new(Config {
            path: outside.base_dir.join(self.path).components().collect(),
            watch_mode: self.watch_mode,
            interval: self.poll_interval.nonzero("poll_interval")?,
            filter: Arc::new(filter),
            start: self.start.unwrap_or(match self.bootstrap {
                Bootstrap::Baseline => StartAt::Now,
                Bootstrap::All => StartAt::All,
            }),
            preview: self.include_content_preview.then_some(self.content_preview_length),
            bounds: Bounds { sections: self.max_changed_sections, section_chars: self.max_section_chars },
            diff_bytes: self.max_diff_bytes,
            hash_bytes: self.max_hash_bytes,
        });
        let inbox = Arc::new(Inbox::default());
        // The first poll is due at once and looks at everything.
        inbox.put(Scopes::everything());
        let is_watched = config.watch_mode != WatchMode::Poll;
        let watch = is_watched.then(|| Arc::new(Watch::new(inbox.clone(), config.filter.clone())));
        Ok(Box::new(Filesystem {
            config,
            inbox,
            watch,
            clock: outside.clock.clone(),
            state: Mutex::default(),
        }))
    }
}

fn at_most(setting: &str, found: usize, limit: usize) -> anyhow::Result<()> {
    anyhow::ensure!(found <= limit, "{setting} is {found}, the limit is {limit}");
    Ok(())
}

struct Filesystem {
    config: Arc<Config>,
    inbox: Arc<Inbox>,
    watch: Option<Arc<Watch>>,
    clock: Arc<dyn Clock>,
    state: Mutex<PollState>,
}

#[async_trait]
impl Source for Filesystem {
    async fn ready(&self) {
        match &self.watch {
            Some(watch) => watch.wait().await,
            None => self.inbox.wait().await,
        }
    }

    async fn poll(&self, draft: &mut Draft<'_>) -> Result<Next, Failure> {
        let next = self.poll_folder(draft).await;
        if next.is_err() {
            lock(&self.state).want_all();
        }
        next
    }

    fn settled(&self, settled: Settled) {
        lock(&self.state).turn_ended(settled);
    }
}

impl Filesystem {
    async fn poll_folder(&self, draft: &mut Draft<'_>) -> Result<Next, Failure> {
        let config = self.config.clone();
        let root = blocking(move || Root::open(&config.path, &config.filter)).await??;
        let beginning = pass::begin(&self.config, &root, draft).await?;
        let context = PollContext {
            config: &self.config,
            root: &root,
            is_watching: self.watch.as_ref().is_some_and(|watch| watch.trouble().is_none()),
            needs_all: beginning.is_silent || beginning.is_narrowed,
            now: draft.now(),
        };
        // The notifications are taken before anything is read: whatever they announce, the walk sees it or something
        // newer.
        let start = lock(&self.state).start(&context, || self.news());
        let (pass, background) = match start {
            PollAction::Idle => {
                self.report(
                    draft,
                    &lock(&self.state).findings(&Scopes::default(), Findings::default(), false),
                );
                return Ok(lock(&self.state).next(&context));
            }
            PollAction::Resume(pass) => (Some(*pass), None),
            PollAction::Background(file, pass) => (pass.map(|pass| *pass), Some(file)),
            PollAction::Look(scopes) => (Some(self.begin(scopes, &root).await?), None),
        };
        let pass = match (pass.filter(|pass| pass.is_of(&root)), &background) {
            (Some(pass), _) => pass,
            (None, Some(file)) => {
                let scopes = Scopes { all: false, paths: BTreeSet::from([file.clone()]) };
                Pass::new(scopes, root.clone(), self.watch.as_ref())
            }
            (None, None) => self.begin(Scopes::everything(), &root).await?,
        };
        self.run(pass, background, beginning, &context, draft).await
    }

    /// A pass at its beginning. A watch is renewed before everything is looked at.
    async fn begin(&self, scopes: Scopes, root: &Root) -> Result<Pass, Failure> {
        if scopes.all {
            lock(&self.state).want_all();
        }
        if let Some(watch) = self.watch.clone().filter(|_| scopes.all) {
            let (root, config) = (root.clone(), self.config.clone());
            blocking(move || watch.start(&root, &config.path)).await?;
        }
        Ok(Pass::new(scopes, root.clone(), self.watch.as_ref()))
    }

    async fn run(
        &self,
        pass: Pass,
        background: Option<RelPath>,
        beginning: PassStart,
        context: &PollContext<'_>,
        draft: &mut Draft<'_>,
    ) -> Result<Next, Failure> {
        let more = || self.more();
        let clock = self.clock.clone();
        let budget = if background.is_some() { Budget::slice(clock) } else { Budget::new(clock) };
        let policy = ReadPolicy {
            config: self.config.clone(),
            later: lock(&self.state).later.clone(),
            now: context.now,
            is_silent: beginning.is_silent,
            is_patient: background.is_some(),
        };
        let is_narrowed = beginning.is_narrowed;
        let (config, watch) = (&self.config, self.watch.as_ref());
        let mut turn = Turn { config, watch, draft, budget, policy, is_narrowed, more: &more };
        let (pass, is_done) = pass.advance(&mut turn).await?;
        // No lock is held over an await: what the pass found becomes the state's in one step.
        let mut state = lock(&self.state);
        let findings = state.findings(&pass.scopes, pass.result.findings.clone(), is_done);
        self.report(draft, &findings);
        if !is_done {
            return Ok(state.end(PollEnd::Unfinished(Box::new(pass), background), context));
        }
        if beginning.is_silent && pass.is_split && !pass.is_repeated {
            // What appeared while the baseline was taken belongs to it.
            let mut again = Pass::new(Scopes::everything(), context.root.clone(), watch);
            (again.is_repeated, again.result.notes) = (true, pass.result.notes);
            return Ok(state.end(PollEnd::Unfinished(Box::new(again), None), context));
        }
        let all = pass.scopes.all;
        if context.needs_all && all {
            pass::complete(&self.config, context.root, draft)?;
        }
        state.note(pass.result.notes, context.now);
        Ok(state.end(PollEnd::Finished { all, at: context.now, findings, background }, context))
    }

    /// Takes the notifications of the system.
    fn news(&self) -> Scopes {
        if let Some(watch) = &self.watch {
            watch.catch_up();
        }
        self.inbox.take()
    }

    /// Takes what has become known since the pass began. A loss of news is left for the next one.
    fn more(&self) -> BTreeSet<RelPath> {
        let news = self.inbox.take();
        if news.all {
            self.inbox.put(news);
            return BTreeSet::new();
        }
        lock(&self.state).extend(&news.paths);
        news.paths
    }

    fn report(&self, draft: &mut Draft<'_>, findings: &Findings) {
        let watcher = self.watch.as_ref().and_then(|watch| watch.trouble());
        let watcher = watcher.map(problems::WatchProblem::failure);
        let failures = watcher.into_iter().chain(findings.unreadable.failures());
        failures.for_each(|failure| draft.problem(failure));
        findings.unfollowed.notices(self.config.filter.links).for_each(|notice| draft.notice(notice));
    }
}
