//! A pass: one look at everything, or at what is said to have changed, from the walk to the last entry. It pauses
//! wherever a turn's budget ends and goes on in the next turn.

use std::collections::BTreeSet;
use std::sync::Arc;

use inboxclaw_contract::settings::StartAt;
use inboxclaw_contract::{Draft, Failure};

use super::budget::Budget;
use super::compare::Comparison;
use super::mounts::Mounts;
use super::moves::Moves;
use super::path::{Family, Rel};
use super::root::{Mark, Root, unmounted};
use super::walk::Walk;
use super::watch::{Scopes, Watch};
use super::work::Worklist;
use super::write::{Rest, Writer};
use super::{Config, blocking};

/// Changes of a turn besides those of files: the entry about the folder, put at the beginning and at the end, and
/// the one about disks in it.
const MARKS: usize = 3;

/// A pass and how far it is.
pub(super) struct Pass {
    pub(super) scopes: Scopes,
    pub(super) rest: Rest,
    /// Whether writing took more than one turn.
    pub(super) is_split: bool,
    /// Whether it is the second one of a baseline.
    pub(super) is_repeated: bool,
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

/// What a pass needs in one turn.
pub(super) struct Turn<'a, 'd> {
    pub(super) config: &'a Arc<Config>,
    pub(super) watch: Option<&'a Arc<Watch>>,
    pub(super) draft: &'a mut Draft<'d>,
    pub(super) budget: Budget,
    /// Takes what has become known since the pass began, and remembers that it is being looked at.
    pub(super) more: &'a (dyn Fn() -> BTreeSet<Rel> + Sync),
}

impl Pass {
    /// A pass at its beginning.
    pub(super) fn new(scopes: Scopes, root: Root, config: &Config, watch: Option<&Arc<Watch>>) -> Self {
        let walk = walk(&scopes, &root, config, watch);
        Self {
            scopes,
            rest: Rest::default(),
            is_split: false,
            is_repeated: false,
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
    pub(super) async fn advance(
        mut self,
        turn: &mut Turn<'_, '_>,
        silent: bool,
    ) -> Result<(Self, bool), Failure> {
        loop {
            turn.budget.restart();
            let (stage, is_done) = match self.stage {
                Stage::Walk(walk) => {
                    let notes = (&mut self.rest, &mut self.mounts);
                    Self::walk(walk, &self.root, &mut self.scopes, notes, turn).await?
                }
                Stage::Compare(mut comparison) => {
                    if comparison.advance(turn.draft, &mut turn.budget).await? {
                        (Stage::Moves(Moves::new(comparison.into_differences())), true)
                    } else {
                        (Stage::Compare(comparison), false)
                    }
                }
                Stage::Moves(moves) => Self::moves(moves, &self.root, turn).await?,
                Stage::Work(worklist) => {
                    turn.budget.take(MARKS);
                    let (worklist, is_done) =
                        Self::work(worklist, &self.root, &mut self.rest, turn, silent).await?;
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

    async fn walk(
        mut walk: Walk,
        root: &Root,
        scopes: &mut Scopes,
        (rest, mounts): (&mut Rest, &mut Mounts),
        turn: &mut Turn<'_, '_>,
    ) -> Result<(Stage, bool), Failure> {
        let watch = turn.watch.filter(|_| !scopes.all).cloned();
        let (walk, is_done) = spend(turn, move |budget| {
            let is_done = walk.advance(budget);
            if let Some(watch) = watch.filter(|_| is_done) {
                watch.catch_up();
            }
            (walk, is_done)
        })
        .await?;
        if !is_done {
            return Ok((Stage::Walk(walk), false));
        }
        check_root(turn, root).await?;
        // Whoever took the first half of a rename must not miss the second.
        let more = if scopes.all { BTreeSet::new() } else { (turn.more)() };
        if !more.is_empty() {
            scopes.paths.extend(more);
            return Ok((Stage::Walk(self::walk(scopes, root, turn.config, turn.watch)), true));
        }
        let mut found = walk.into_found();
        let tops = std::mem::take(&mut found.mounts);
        let (known, missing) = Mounts::compare(tops, root, &turn.config.filter, scopes, turn.draft).await?;
        *mounts = known;
        found.blocked.extend(missing);
        for (path, error) in &found.blocked {
            rest.unreadable.insert(path.clone(), error);
        }
        Ok((Stage::Compare(Comparison::new(turn.config.filter.clone(), scopes, found)), true))
    }

    async fn moves(mut moves: Moves, root: &Root, turn: &mut Turn<'_, '_>) -> Result<(Stage, bool), Failure> {
        let path = root.path.clone();
        let (moves, is_done) = spend(turn, move |budget| {
            let is_done = moves.advance(&path, budget);
            (moves, is_done)
        })
        .await?;
        Ok(if is_done { (Stage::Work(moves.into_worklist()), true) } else { (Stage::Moves(moves), false) })
    }

    async fn work(
        mut worklist: Worklist,
        root: &Root,
        rest: &mut Rest,
        turn: &mut Turn<'_, '_>,
        silent: bool,
    ) -> Result<(Worklist, bool), Failure> {
        while !worklist.is_empty() && !turn.budget.is_spent() {
            let (config, path) = (turn.config.clone(), root.path.clone());
            let (list, batch) = spend(turn, move |budget| {
                let batch = worklist.check(&path, |file| config.keep(file), budget);
                (worklist, batch)
            })
            .await?;
            worklist = list;
            if batch.iter().any(|checked| checked.gone.is_some()) {
                check_root(turn, root).await?;
            }
            let rest = (&mut worklist, &mut *rest, &mut turn.budget);
            Writer::write(turn.config, turn.draft, silent, batch, rest).await?;
        }
        let is_done = worklist.is_empty();
        Ok((worklist, is_done))
    }
}

/// Whether the configured folder was there before.
///
/// # Errors
/// When the store cannot be read.
pub(super) async fn is_known(config: &Config, draft: &mut Draft<'_>) -> Result<bool, Failure> {
    let mark: Option<Mark> = draft.entry(Mark::KEY).await?.and_then(|entry| entry.parse().ok());
    Ok(mark.is_some_and(|mark| mark.is_of(&config.path)))
}

/// Brings the entry about the folder up to date. Answers whether the baseline is still being taken.
///
/// # Errors
/// When the folder seems to lack its disk, or the store cannot be read.
pub(super) async fn begin(config: &Config, root: &Root, draft: &mut Draft<'_>) -> Result<bool, Failure> {
    let old: Option<Mark> = draft.entry(Mark::KEY).await?.and_then(|entry| entry.parse().ok());
    let is_other = old.as_ref().is_some_and(|old| old.is_other(&Mark::new(&config.path, root, false)));
    if is_other {
        for prefix in Family::ALL.into_iter().flat_map(Family::prefixes) {
            draft.delete_prefix(prefix)?;
        }
        draft.delete(Mounts::KEY)?;
    }
    let complete = match &old {
        Some(old) if !is_other => old.complete,
        _ => config.start == StartAt::All,
    };
    let is_unmounted = old.as_ref().is_some_and(|old| !is_other && old.looks_unmounted(root));
    if is_unmounted && !draft.list(Family::File.prefixes()[0], None, 1).await?.is_empty() {
        return Err(unmounted(&config.path));
    }
    put_mark(config, root, complete, old.as_ref(), draft)?;
    Ok(!complete)
}

/// Writes down that the baseline is complete.
///
/// # Errors
/// When the turn has no room.
pub(super) fn complete(config: &Config, root: &Root, draft: &mut Draft<'_>) -> Result<(), Failure> {
    put_mark(config, root, true, None, draft)
}

fn put_mark(
    config: &Config,
    root: &Root,
    complete: bool,
    old: Option<&Mark>,
    draft: &mut Draft<'_>,
) -> Result<(), Failure> {
    let mark = Mark::new(&config.path, root, complete);
    if old == Some(&mark) { Ok(()) } else { draft.put(Mark::KEY, &mark, inboxclaw_contract::Expiry::Never) }
}

fn walk(scopes: &Scopes, root: &Root, config: &Config, watch: Option<&Arc<Watch>>) -> Walk {
    let starts = if scopes.all { BTreeSet::from([Rel::root()]) } else { scopes.paths.clone() };
    Walk::new(root.path.clone(), config.filter.clone(), watch.cloned(), starts)
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
