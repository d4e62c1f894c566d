//! A pass: a walk over everything, or over what is said to have changed, then the comparison with state, then the
//! writing. It pauses wherever a turn's budget ends and goes on in the next turn.

use std::collections::BTreeSet;
use std::sync::Arc;

use inboxclaw_contract::settings::StartAt;
use inboxclaw_contract::{Draft, Failure};

use super::budget::Budget;
use super::compare::Comparison;
use super::config::{Config, blocking};
use super::inbox::Scopes;
use super::links::Hidden;
use super::mounts::Mounts;
use super::moves::Moves;
use super::path::{KeyFamily, RelPath};
use super::root::{Root, RootRecord, unmounted};
use super::walk::Walk;
use super::watch::Watch;
use super::worklist::{ReadPolicy, Worklist};
use super::write::{PassResult, Writer};

/// Changes of a turn besides those of files: the entry about the folder, put at the beginning and at the end, and
/// the one about disks in it.
const MARKS: usize = 3;
/// How often a walk is repeated for news that came meanwhile. Where they come faster than it is walked, the rest of
/// them is for the next pass.
const REPEATS: usize = 3;

/// A pass and how far it is.
pub(super) struct Pass {
    pub(super) scopes: Scopes,
    pub(super) result: PassResult,
    /// Whether writing took more than one turn.
    pub(super) is_split: bool,
    /// Whether it is the second one of a baseline.
    pub(super) is_repeated: bool,
    repeats: usize,
    mounts: Mounts,
    root: Root,
    stage: Stage,
}

enum Stage {
    Walk(Walk),
    Compare(Comparison),
    Moves(Moves),
    Work(Worklist),
}

impl Default for Stage {
    /// Nothing to do any more.
    fn default() -> Self {
        Self::Work(Worklist::default())
    }
}

/// What a pass needs in one turn.
pub(super) struct Turn<'a, 'd> {
    pub(super) config: &'a Arc<Config>,
    pub(super) watch: Option<&'a Arc<Watch>>,
    pub(super) draft: &'a mut Draft<'d>,
    pub(super) budget: Budget,
    pub(super) policy: ReadPolicy,
    /// Whether fewer links are followed than before: what is known of the others is forgotten without a word.
    pub(super) is_narrowed: bool,
    /// Takes what has become known since the pass began, and remembers that it is being looked at.
    pub(super) more: &'a (dyn Fn() -> BTreeSet<RelPath> + Sync),
}

impl Pass {
    /// A pass at its beginning.
    pub(super) fn new(scopes: Scopes, root: Root, watch: Option<&Arc<Watch>>) -> Self {
        let walk = walk(&scopes, &root, watch);
        Self {
            scopes,
            result: PassResult::default(),
            is_split: false,
            is_repeated: false,
            repeats: 0,
            mounts: Mounts::default(),
            root,
            stage: Stage::Walk(walk),
        }
    }

    /// Whether it looks at the folder that is there now.
    pub(super) fn is_of(&self, root: &Root) -> bool {
        self.root.is_same(root)
    }

    /// Whether it has come to writing. Before, nothing of it depends on what became of its turns.
    pub(super) fn is_writing(&self) -> bool {
        matches!(self.stage, Stage::Work(_))
    }

    /// Goes on until the end (`true`) or until the turn's budget is spent.
    ///
    /// # Errors
    /// When the folder is gone, or the store cannot be read.
    pub(super) async fn advance(mut self, turn: &mut Turn<'_, '_>) -> Result<(Self, bool), Failure> {
        // Each stage begins when the one before is done for all paths: a file is taken for deleted only after the whole
        // scope was walked, and for new only after it was looked for among those that are gone.
        loop {
            turn.budget.restart();
            let (stage, is_done) = match std::mem::take(&mut self.stage) {
                Stage::Walk(walk) => {
                    let (walk, is_done) = Self::walk(walk, &self.scopes, turn).await?;
                    if is_done { self.walked(walk, turn).await? } else { (Stage::Walk(walk), false) }
                }
                Stage::Compare(mut comparison) => {
                    if comparison.advance(turn.draft, &mut turn.budget).await? {
                        let moves = Moves::new(comparison.into_differences(), turn.config.hash_bytes);
                        (Stage::Moves(moves), true)
                    } else {
                        (Stage::Compare(comparison), false)
                    }
                }
                Stage::Moves(moves) => Self::moves(moves, &self.root, turn).await?,
                Stage::Work(worklist) => {
                    turn.budget.take(MARKS);
                    let (mut worklist, is_done) =
                        Self::work(worklist, &self.root, &mut self.result, turn).await?;
                    for (path, size, note) in worklist.notes.drain(..) {
                        self.result.note(&path, size, note);
                    }
                    self.is_split |= !is_done;
                    if is_done {
                        self.mounts.put(turn.draft)?;
                    }
                    self.stage = Stage::Work(worklist);
                    return Ok((self, is_done));
                }
            };
            self.stage = stage;
            if !is_done {
                return Ok((self, false));
            }
        }
    }

    async fn walk(mut walk: Walk, scopes: &Scopes, turn: &mut Turn<'_, '_>) -> Result<(Walk, bool), Failure> {
        let watch = turn.watch.filter(|_| !scopes.all).cloned();
        spend(turn, move |budget| {
            let is_done = walk.advance(budget);
            if let Some(watch) = watch.filter(|_| is_done) {
                watch.catch_up();
            }
            (walk, is_done)
        })
        .await
    }

    /// What follows a walk: another one, or the comparison.
    async fn walked(&mut self, walk: Walk, turn: &mut Turn<'_, '_>) -> Result<(Stage, bool), Failure> {
        check_root(turn, &self.root).await?;
        // Whoever took the first half of a rename must not miss the second.
        let is_repeatable = !self.scopes.all && self.repeats < REPEATS;
        let more = if is_repeatable { (turn.more)() } else { BTreeSet::new() };
        if !more.is_empty() {
            self.repeats += 1;
            self.scopes.paths.extend(more);
            return Ok((Stage::Walk(self::walk(&self.scopes, &self.root, turn.watch)), true));
        }
        let mut found = walk.into_found();
        let tops = std::mem::take(&mut found.mounts);
        let (known, missing) = Mounts::compare(tops, &self.root, &self.scopes, turn.draft).await?;
        self.mounts = known;
        found.blocked.extend(missing);
        for (path, error) in &found.blocked {
            self.result.findings.unreadable.insert(path.clone(), error);
        }
        let mut forgotten = BTreeSet::new();
        for (path, hidden) in std::mem::take(&mut found.hidden) {
            // A file that gave way to a link is gone; one behind a link that was followed before is not.
            if hidden == Hidden::Kernel || turn.is_narrowed {
                forgotten.insert(path.clone());
            }
            self.result.findings.unfollowed.put(path, hidden);
        }
        let (filter, most) = (turn.config.filter.clone(), turn.config.hash_bytes);
        Ok((Stage::Compare(Comparison::new(filter, &self.scopes, found, forgotten, most)), true))
    }

    async fn moves(mut moves: Moves, root: &Root, turn: &mut Turn<'_, '_>) -> Result<(Stage, bool), Failure> {
        let root = root.clone();
        let (moves, is_done) = spend(turn, move |budget| {
            let is_done = moves.advance(&root, budget);
            (moves, is_done)
        })
        .await?;
        Ok(if is_done { (Stage::Work(moves.into_worklist()), true) } else { (Stage::Moves(moves), false) })
    }

    async fn work(
        mut worklist: Worklist,
        root: &Root,
        result: &mut PassResult,
        turn: &mut Turn<'_, '_>,
    ) -> Result<(Worklist, bool), Failure> {
        while !worklist.is_empty() && !turn.budget.is_spent() {
            let (policy, folder) = (turn.policy.clone(), root.clone());
            let (list, batch) = spend(turn, move |budget| {
                let batch = worklist.check(&folder, &policy, budget);
                (worklist, batch)
            })
            .await?;
            worklist = list;
            if batch.iter().any(|checked| checked.gone.is_some()) {
                check_root(turn, root).await?;
            }
            let result = (&mut worklist, &mut *result, &mut turn.budget);
            Writer::write(turn.config, turn.draft, turn.policy.is_silent, batch, result).await?;
        }
        let is_done = worklist.is_empty();
        Ok((worklist, is_done))
    }
}

/// What the entry about the folder says.
#[derive(Debug, Clone, Copy)]
pub(super) struct PassStart {
    /// Whether the baseline is still being taken.
    pub(super) is_silent: bool,
    /// Whether fewer links are followed than when everything was last looked at, or others.
    pub(super) is_narrowed: bool,
}

/// Brings the entry about the folder up to date.
///
/// # Errors
/// When the folder seems to lack its disk, or the store cannot be read.
pub(super) async fn begin(config: &Config, root: &Root, draft: &mut Draft<'_>) -> Result<PassStart, Failure> {
    let old: Option<RootRecord> = draft.entry(RootRecord::KEY).await?.and_then(|entry| entry.parse().ok());
    let links = config.filter.links;
    let is_other =
        old.as_ref().is_some_and(|old| old.is_other(&RootRecord::new(&config.path, root, false, links)));
    if is_other {
        for prefix in KeyFamily::ALL.into_iter().flat_map(KeyFamily::prefixes) {
            draft.delete_prefix(prefix)?;
        }
        draft.delete(Mounts::KEY)?;
    }
    let known = old.as_ref().filter(|_| !is_other);
    let complete = known.map_or(config.start == StartAt::All, |old| old.complete);
    let is_unmounted = known.is_some_and(|old| old.looks_unmounted(root));
    if is_unmounted && !draft.list(KeyFamily::File.prefixes()[0], None, 1).await?.is_empty() {
        return Err(unmounted(&config.path));
    }
    // Until everything was looked at, the state is that of the links that were followed before.
    let followed = known.map_or(links, |old| old.follow_links);
    put_mark(RootRecord::new(&config.path, root, complete, followed), old.as_ref(), draft)?;
    Ok(PassStart { is_silent: !complete, is_narrowed: followed != links })
}

/// Writes down that everything was looked at, so that the baseline is complete.
///
/// # Errors
/// When the turn has no room.
pub(super) fn complete(config: &Config, root: &Root, draft: &mut Draft<'_>) -> Result<(), Failure> {
    put_mark(RootRecord::new(&config.path, root, true, config.filter.links), None, draft)
}

fn put_mark(mark: RootRecord, old: Option<&RootRecord>, draft: &mut Draft<'_>) -> Result<(), Failure> {
    if old == Some(&mark) {
        Ok(())
    } else {
        draft.put(RootRecord::KEY, &mark, inboxclaw_contract::Expiry::Never)
    }
}

fn walk(scopes: &Scopes, root: &Root, watch: Option<&Arc<Watch>>) -> Walk {
    let starts = if scopes.all { BTreeSet::from([RelPath::root()]) } else { scopes.paths.clone() };
    Walk::new(root.clone(), watch.cloned(), starts)
}

async fn check_root(turn: &Turn<'_, '_>, root: &Root) -> Result<(), Failure> {
    let (config, root) = (turn.config.clone(), root.clone());
    blocking(move || root.check(&config.path)).await?
}

/// Runs a blocking step with the turn's budget.
async fn spend<T: Send + 'static>(
    turn: &mut Turn<'_, '_>,
    step: impl FnOnce(&mut Budget) -> T + Send + 'static,
) -> Result<T, Failure> {
    let mut budget = turn.budget.clone();
    let (answer, budget) = blocking(move || {
        let answer = step(&mut budget);
        (answer, budget)
    })
    .await?;
    turn.budget = budget;
    Ok(answer)
}
