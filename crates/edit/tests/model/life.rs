//! A life: each step on the store and on the model, and what must come of it.

use inboxclaw_contract::space::Copied;
use inboxclaw_contract::turn::{Conflict, EntryChange, Swap};
use inboxclaw_contract::{
    Clock, Entry, Housekeeping, Outcome, OwnerId, Spaces, State, StoreError, Turn, Version,
};
use inboxclaw_edit::{Condition, EditError, EntryFilter, Mode, To, Which};

use crate::compare::{adopt, compare};
use crate::edits::{Edit, Exported, Since};
use crate::ground::{Ground, export, json, lines, unseen};
use crate::state::{OWNERS, Row, Rows, World, is_live, owner};
use crate::steps::{Back, Build, Chosen, Put, Step, Wanted};
use crate::turns::Expected;

pub(crate) struct Life {
    ground: Ground,
    world: World,
    exports: Vec<Exported>,
}

/// Lives these steps.
pub(crate) async fn live(steps: Vec<Step>) {
    let ground = Ground::new();
    for place in 0..OWNERS {
        assert_eq!(ground.source(&format!("owner {place}")).await, owner(place));
    }
    let mut world = World::new(&*ground.clock);
    adopt(&mut world, &ground).await;
    let mut life = Life { ground, world, exports: Vec::new() };
    for step in steps {
        life = life.step(&step).await;
        life.world.tick(&*life.ground.clock);
        if matches!(step, Step::Kill) {
            // What only reads had seen of the clock died with the store; what is stored tells the rest.
            let found = life.ground.store.snapshot(owner(0)).await.unwrap().now;
            let ahead = found.duration_since(life.ground.clock.now()).as_secs();
            assert!((0..=60).contains(&ahead), "{ahead} s ahead of the wall clock");
            life.world.now = found;
        }
        if matches!(step, Step::Sweep) {
            life.world.sweep();
        }
        adopt(&mut life.world, &life.ground).await;
        compare(&life.world, &life.ground).await;
    }
}

impl Life {
    async fn step(mut self, step: &Step) -> Self {
        match step {
            Step::Turn(plan) => self.turn(plan.turn(&self.world)).await,
            Step::Swap(build) => self.swap(build).await,
            Step::Put { owner, key, put, condition } => self.put(*owner, key, put, *condition).await,
            Step::Delete { owner, key, condition } => self.delete(*owner, key, *condition).await,
            Step::Cursor { owner, cursor } => self.cursor(*owner, cursor.map(str::to_owned)).await,
            Step::DeleteChosen { owner, choice, dry_run } => {
                self.delete_matching(*owner, choice, *dry_run).await
            }
            Step::Undo { owner, which, force } => self.undo(*owner, *which, *force).await,
            Step::Rewind { owner, to } => self.rewind(*owner, *to).await,
            Step::Export { owner, secrets } => self.export(*owner, *secrets).await,
            Step::Import { owner, export, mode } => self.import(*owner, *export, *mode).await,
            Step::Copy { from, to, prefix, mode } => self.copy((*from, *to), prefix, *mode).await,
            Step::Govern { owner: place, policy } => {
                self.ground.store.set_limits(owner(*place), policy.clone()).await.unwrap();
                self.world.owners[*place].set_limits(policy.clone());
            }
            Step::Clock(seconds) => self.ground.clock.step(*seconds),
            Step::Sweep => self.ground.sweep().await,
            Step::Reopen => {
                self.ground = self.ground.reopen();
                self.world.forget_rules();
            }
            Step::Kill => {
                self.ground = self.ground.killed();
                self.world.forget_rules();
            }
        }
        self
    }

    async fn turn(&mut self, turn: Turn) {
        let found = self.ground.store.commit(turn.clone()).await;
        if found.as_ref().ok() == Some(&Outcome::Conflict(Conflict::Unknown))
            && self.world.has_forgotten(&turn)
        {
            return;
        }
        let place = place(&turn);
        let (expected, after, counter) = self.world.turn(&turn);
        let version = match (&expected, &found) {
            (Expected::Done(version) | Expected::RefusedOr(version), Ok(Outcome::Committed(found))) => {
                assert_eq!(found.version, Version(*version));
                self.world.owners[place] = after;
                self.world.counter = counter;
                return;
            }
            (Expected::Conflict, Ok(Outcome::Conflict(_))) => return,
            (Expected::Refused | Expected::RefusedOr(_), Err(StoreError::OverLimit(_))) => return,
            (expected, _) => format!("{expected:?}"),
        };
        panic!("expected {version}, found {found:?} for {turn:?}");
    }

    /// An edit was made: in the model it is this turn.
    fn edited(&mut self, turn: &Turn, version: Option<Version>) {
        let (expected, after, counter) = self.world.turn(turn);
        let (Expected::Done(expected) | Expected::RefusedOr(expected)) = expected else {
            panic!("{expected:?}, but it was made: {turn:?}");
        };
        if let Some(version) = version {
            assert_eq!(version, Version(expected), "version after {turn:?}");
        }
        self.world.owners[place(turn)] = after;
        self.world.counter = counter;
    }

    /// An edit was refused: by a limit, and rightly so.
    fn refused(&self, turn: &Turn, error: &EditError) {
        let (expected, ..) = self.world.turn(turn);
        let limit = matches!(expected, Expected::Refused | Expected::RefusedOr(_));
        assert!(limit && matches!(error, EditError::Refused(_)), "{expected:?}, but {error:?} for {turn:?}");
    }

    async fn swap(&mut self, build: &Build) {
        let (place, id, now) = (build.owner, owner(build.owner), self.world.now);
        let mut turn = build.turn(&self.world);
        let new = self.ground.store.build(id).await.unwrap();
        let changes = build.fill.iter();
        let changes: Vec<(String, Option<Entry>)> = changes
            .map(|(key, kept)| ((*key).to_owned(), kept.as_ref().map(|kept| kept.entry(key, now))))
            .collect();
        self.ground.store.fill(&new, changes.clone()).await.unwrap();
        let model = &mut self.world.owners[place];
        let mut rows = Rows::new();
        let mut born = self.world.counter;
        for (key, entry) in changes {
            born += 1;
            match entry.filter(|entry| is_live(entry, now)) {
                Some(entry) => {
                    let entry = Entry { revision: Version(model.version + 1), ..entry };
                    rows.insert(key, Row { entry, born })
                }
                None => rows.remove(&key),
            };
        }
        if let Some(prefix) = build.copy {
            let from = model.ids[model.space].unwrap();
            let mut after = None;
            loop {
                let Copied { next, .. } =
                    self.ground.store.copy(from, &new, prefix, after.as_deref(), 2).await.unwrap();
                after = next;
                if after.is_none() {
                    break;
                }
            }
            for row in model.rows().values() {
                born += 1;
                let wanted =
                    row.entry.key.starts_with(prefix) && !row.entry.secret && is_live(&row.entry, now);
                if wanted && !rows.contains_key(&row.entry.key) {
                    rows.insert(row.entry.key.clone(), Row { entry: row.entry.clone(), born });
                }
            }
        }
        self.world.counter = born;
        if build.abandon {
            return;
        }
        model.spaces.push(rows);
        model.ids.push(Some(new.id));
        turn.swap = Some(Swap { space: new.id, keep_secrets: build.keep_secrets });
        self.turn(turn).await;
    }

    fn condition(&self, place: usize, key: &str, wanted: Wanted) -> (Condition, bool) {
        let present = self.world.owners[place].live(key, self.world.now).map(|entry| entry.revision);
        match wanted {
            Wanted::This(condition) => {
                let holds = match condition {
                    Condition::Absent => present.is_none(),
                    Condition::Present => present.is_some(),
                    _ => true,
                };
                (condition, holds)
            }
            Wanted::Revision(off) => {
                let wanted = Version(present.map_or(1, |present| present.0) + off);
                (Condition::Revision(wanted), present == Some(wanted))
            }
        }
    }

    fn not_met(&self, place: usize, key: &str, error: &EditError) {
        let found = self.world.owners[place].live(key, self.world.now).map(|entry| entry.revision);
        match error {
            EditError::Condition { key: named, found: named_found } => {
                assert_eq!((named.as_str(), *named_found), (key, found));
            }
            error => panic!("{error:?}"),
        }
    }

    async fn put(&mut self, place: usize, key: &str, put: &Put, condition: Wanted) {
        let (condition, holds) = self.condition(place, key, condition);
        let editor = self.ground.editor();
        let found = editor.put(owner(place), key, json(put.value), put.expiry, put.secret, condition).await;
        if put.expiry.resolve(self.world.now, None).is_some_and(|at| at <= self.world.now) {
            assert!(matches!(found, Err(EditError::Refused(_))), "{found:?}");
            return;
        }
        if !holds {
            return self.not_met(place, key, &found.unwrap_err());
        }
        let (id, model) = (owner(place), &self.world.owners[place]);
        let before = model.live(key, self.world.now);
        let (created, was_secret) = (before.is_none(), before.is_some_and(|before| before.secret));
        let mut turn = model.edit(id);
        let put = EntryChange::Put {
            value: json(put.value),
            expiry: put.expiry,
            secret: put.secret.unwrap_or(was_secret),
        };
        turn.entries.insert(key.to_owned(), put);
        match found {
            Ok(found) => {
                self.edited(&turn, None);
                let revision = self.world.owners[place].rows()[key].entry.revision;
                assert_eq!((found.revision, found.created), (revision, created));
            }
            Err(error) => self.refused(&turn, &error),
        }
    }

    async fn delete(&mut self, place: usize, key: &str, condition: Wanted) {
        let (condition, holds) = self.condition(place, key, condition);
        let found = self.ground.editor().delete(owner(place), key, condition).await;
        if !holds {
            return self.not_met(place, key, &found.unwrap_err());
        }
        let model = &self.world.owners[place];
        assert_eq!(found.unwrap(), model.live(key, self.world.now).is_some());
        let mut turn = model.edit(owner(place));
        turn.entries.insert(key.to_owned(), EntryChange::Delete);
        self.edited(&turn, None);
    }

    async fn cursor(&mut self, place: usize, cursor: Option<String>) {
        let found = self.ground.editor().set_cursor(owner(place), cursor.clone()).await.unwrap();
        let mut turn = self.world.owners[place].edit(owner(place));
        turn.cursor = Some(cursor);
        self.edited(&turn, Some(found));
    }

    async fn delete_matching(&mut self, place: usize, choice: &EntryFilter, dry_run: bool) {
        let found =
            self.ground.editor().delete_matching(owner(place), choice, dry_run, &unseen).await.unwrap();
        let model = &self.world.owners[place];
        let chosen = model.chosen(choice, self.world.now);
        assert_eq!((found.entries, found.bytes), (chosen.len() as u64, chosen.values().sum()), "{choice:?}");
        if dry_run {
            assert_eq!(found.version, Version(model.version));
            return;
        }
        let mut turn = model.edit(owner(place));
        let deleted = chosen.into_keys().map(|key| (key, EntryChange::Delete));
        turn.entries.extend(deleted);
        self.edited(&turn, Some(found.version));
    }

    async fn undo(&mut self, place: usize, which: Chosen, force: bool) {
        let (id, now, model) = (owner(place), self.world.now, &self.world.owners[place]);
        let which = match which {
            Chosen::Person => Which::Person,
            Chosen::Any => Which::Any,
            Chosen::Back(versions) => Which::Version(Version(model.version - versions)),
        };
        let past = match model.candidate(which) {
            Ok(past) => past.clone(),
            Err(cut) => return self.nothing_to_undo(id, which, force, cut).await,
        };
        let Edit::Turn(turn) = model.undo(id, &past, now) else { return };
        let since = model.since(&past, now);
        let same = self.world.turn(&turn).1.version == model.version;
        if same
            && !force
            && !matches!(which, Which::Version(_))
            && !since.is_sure()
            && since.doubts.is_empty()
        {
            let error = self.ground.editor().undo(id, which, force, &unseen).await.unwrap_err();
            let kept = matches!(error, EditError::Kept { version, .. } if version == past.version);
            assert!(kept, "{error:?}");
            return;
        }
        match self.ground.editor().undo(id, which, force, &unseen).await {
            Ok(found) => {
                assert!(force || !since.is_sure(), "{found:?}, but changed since: {since:?}");
                assert_eq!(
                    (found.undid, found.at, &found.author),
                    (Version(past.version), past.at, &past.author)
                );
                self.edited(&turn, Some(found.version));
            }
            Err(EditError::Changed { version, keys, more, cursor }) => {
                assert!(!force && version == past.version, "{version}, forced: {force}");
                assert!(since.is_sure() || since.all || !since.doubts.is_empty(), "nothing changed since");
                if !since.all {
                    assert_changed(&since, &keys, more, cursor);
                }
            }
            // Whether something was changed since may be in doubt, and yet nothing be left to take back.
            Err(EditError::Kept { version, .. }) => assert!(same && !force && version == past.version),
            Err(error) => self.refused(&turn, &error),
        }
    }

    async fn nothing_to_undo(&self, id: OwnerId, which: Which, force: bool, cut: bool) {
        let error = self.ground.editor().undo(id, which, force, &unseen).await.unwrap_err();
        let forgotten = matches!(error, EditError::Forgotten(_));
        assert!(matches!(error, EditError::Nothing) || (cut && forgotten), "{error:?}");
    }

    async fn rewind(&mut self, place: usize, back: Back) {
        let (id, now, model) = (owner(place), self.world.now, &self.world.owners[place]);
        let (to, version) = match back {
            Back::Versions(versions) => {
                (To::Version(Version(model.version - versions)), Some(model.version - versions))
            }
            Back::Seconds(seconds) => {
                let time = now.checked_sub(jiff::SignedDuration::from_secs(seconds)).unwrap();
                (To::Time(time), model.version_at(time))
            }
        };
        let edit = version.map_or(Edit::Forgotten, |version| model.rewind(id, version, now));
        let turn = match edit {
            Edit::Turn(turn) => turn,
            Edit::Unsaid => return,
            Edit::Forgotten => {
                let error = self.ground.editor().rewind(id, to, &unseen).await.unwrap_err();
                assert!(matches!(error, EditError::Forgotten(_)), "{error:?}");
                return;
            }
        };
        let turns = model.version - version.unwrap();
        match self.ground.editor().rewind(id, to, &unseen).await {
            Ok(found) => {
                assert_eq!(Some(found.to.0), version, "{to:?}");
                assert_eq!(found.turns, u64::try_from(turns).unwrap());
                self.edited(&turn, Some(found.version));
            }
            // Before the first turn there was a state, but history cannot tell since when.
            Err(EditError::Forgotten(_)) if version == Some(0) && matches!(to, To::Time(_)) => {}
            Err(error) => self.refused(&turn, &error),
        }
    }

    async fn export(&mut self, place: usize, secrets: bool) {
        let text = export(&self.ground, owner(place), secrets).await;
        let model = &self.world.owners[place];
        let entries = model.all_live(self.world.now).into_iter().cloned().collect();
        self.exports.push(Exported { text, secrets, entries, cursor: model.cursor.clone() });
    }

    async fn import(&mut self, place: usize, export: usize, mode: Mode) {
        let Some(from) = self.exports.iter().rev().nth(export).cloned() else { return };
        let turn = self.world.owners[place].bring(owner(place), &from, mode, self.world.now);
        match self.ground.editor().import(owner(place), lines(&from.text), mode, &unseen).await {
            Ok(found) => {
                let now = self.world.now;
                let expired = from.entries.iter().filter(|entry| !is_live(entry, now)).count();
                assert_eq!(found.entries, from.entries.len() as u64, "read");
                if from.entries.iter().all(|entry| !entry.secret) {
                    assert_eq!((found.expired, found.secrets), (expired as u64, 0));
                }
                self.edited(&turn, Some(found.version));
            }
            Err(error) => self.refused(&turn, &error),
        }
    }

    async fn copy(&mut self, (from, to): (usize, usize), prefix: &str, mode: Mode) {
        let now = self.world.now;
        let source = &self.world.owners[from];
        let entries = source.all_live(now).into_iter().filter(|entry| entry.key.starts_with(prefix));
        let entries = entries.filter(|entry| !entry.secret).cloned().collect();
        let cursor = source.cursor.clone();
        let taken = Exported { text: Vec::new(), secrets: false, entries, cursor };
        let turn = self.world.owners[to].bring(owner(to), &taken, mode, now);
        let is_nothing = taken.entries.is_empty() && mode == Mode::Replace && !prefix.is_empty();
        match self.ground.editor().copy(owner(from), owner(to), prefix, mode, &unseen).await {
            Err(EditError::Refused(_)) if is_nothing => {}
            Ok(found) => self.edited(&turn, Some(found.version)),
            Err(error) => self.refused(&turn, &error),
        }
    }
}

fn assert_changed(since: &Since, keys: &[String], more: usize, cursor: bool) {
    assert_eq!((cursor, more.saturating_sub(keys.len())), (since.cursor, 0), "{since:?}, not {keys:?}");
    assert!(since.keys.iter().all(|key| keys.contains(key)), "{since:?}, not only {keys:?}");
    let named = |key: &String| since.keys.contains(key) || since.doubts.contains(key);
    assert!(keys.iter().all(named), "{since:?}, not {keys:?}");
    assert!(cursor || !keys.is_empty());
}

fn place(turn: &Turn) -> usize {
    usize::try_from(turn.owner.0).unwrap() - 1
}
