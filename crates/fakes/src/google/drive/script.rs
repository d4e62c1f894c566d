//! The changes of files. Each goes into the history and into the logs that must show it. `tree` holds what a change of a
//! folder means for everything below it, and shared drives.

use super::log::Item;
use super::{Change, Drive, File, Home, NewFile, Person, ROOT, USER, What};
use jiff::Timestamp;

impl Drive {
    /// My Drive with `n` text files at its top, each with an entry in the log and in the history.
    #[must_use]
    pub fn bulk(now: Timestamp, n: usize) -> Self {
        let mut drive = Self::default();
        for number in 1..=n {
            drive.create(now, NewFile::text(&format!("File {number}.txt"), &format!("Text {number}")));
        }
        drive
    }

    /// Creates a file of the user's own, or in a shared drive if its parent is there. Its id. A parent that is not
    /// there means My Drive.
    pub fn create(&mut self, now: Timestamp, new: NewFile) -> String {
        let (parent, home) =
            match new.parent.clone().and_then(|id| self.home_below(&id).map(|home| (id, home))) {
                Some((id, Home::Drive(drive))) => (id, Home::Drive(drive)),
                Some((id, _)) => (id, Home::Mine),
                None => (ROOT.to_owned(), Home::Mine),
            };
        let owner = self.me.clone();
        self.insert(now, new, Some(parent), home, owner, What::Created)
    }

    /// Somebody shares a file of theirs with the user. Its id.
    pub fn share_with_me(&mut self, now: Timestamp, new: NewFile, by: Person) -> String {
        let parent = new.parent.clone().filter(|id| self.home_below(id).is_some());
        let home = Home::SharedWithMe { by: by.clone(), at: now };
        self.insert(now, new, parent, home, by, What::SharedWithMe)
    }

    fn insert(
        &mut self,
        now: Timestamp,
        new: NewFile,
        parent: Option<String>,
        home: Home,
        owner: Person,
        what: What,
    ) -> String {
        let created = new.created.unwrap_or(now);
        let mut file = File {
            id: self.new_id("1"),
            name: new.name,
            mime: new.mime,
            trashed: self.is_in_trash(parent.as_deref()),
            parent,
            explicitly_trashed: false,
            created,
            modified: created,
            version: 1,
            home,
            editor: owner.clone(),
            owner,
            content: [].into(),
            digest: String::new(),
            description: new.description,
            shared_with: Vec::new(),
            downloadable: true,
            refusal: None,
        };
        file.fill(new.content);
        let (id, serial) = (file.id.clone(), self.made);
        self.by_id.insert(id.clone(), serial);
        self.put(serial, file.clone());
        self.note(now, what, false, None, Some(file));
        id
    }

    /// Changes the content.
    pub fn edit(&mut self, now: Timestamp, id: &str, content: impl Into<Vec<u8>>) -> bool {
        let me = self.me.clone();
        self.change(now, id, What::Edited, |file| {
            file.fill(content.into());
            file.modified = now;
            file.editor =
                if matches!(file.home, Home::SharedWithMe { .. }) { file.owner.clone() } else { me };
        })
    }

    /// Changes the name, which leaves the time of modification alone.
    pub fn rename(&mut self, now: Timestamp, id: &str, name: &str) -> bool {
        self.change(now, id, What::Renamed, |file| name.clone_into(&mut file.name))
    }

    /// Changes the description.
    pub fn describe(&mut self, now: Timestamp, id: &str, description: &str) -> bool {
        self.change(now, id, What::Described, |file| description.clone_into(&mut file.description))
    }

    /// Gives the file a new version without anything to be seen.
    pub fn touch(&mut self, now: Timestamp, id: &str) -> bool {
        self.change(now, id, What::Touched, |_| {})
    }

    /// Shares a file of the user's own with somebody.
    pub fn share(&mut self, now: Timestamp, id: &str, email: &str) -> bool {
        self.change(now, id, What::Shared, |file| file.shared_with.push(email.to_owned()))
    }

    /// Makes somebody else the owner; the user still sees the file.
    pub fn give_away(&mut self, now: Timestamp, id: &str, to: Person) -> bool {
        self.change(now, id, What::GivenAway, |file| {
            file.home = Home::SharedWithMe { by: to.clone(), at: now };
            file.owner = to;
        })
    }

    /// Takes away the right to download the file, which `capabilities` shows.
    pub fn forbid_download(&mut self, now: Timestamp, id: &str) -> bool {
        self.change(now, id, What::DownloadForbidden, |file| file.downloadable = false)
    }

    /// Makes downloads and exports of the file answer this.
    pub fn refuse_content(&mut self, id: &str, status: u16, reason: &str) -> bool {
        let file = self.by_id.get(id).and_then(|serial| self.files.get_mut(serial));
        file.map(|file| file.refusal = Some((status, reason.to_owned()))).is_some()
    }

    /// Moves a file into the trash, with everything below it.
    pub fn trash(&mut self, now: Timestamp, id: &str) -> bool {
        let done = self.change(now, id, What::Trashed, |file| file.explicitly_trashed = true);
        self.inherit(now, id, What::Trashed);
        done
    }

    /// Takes a file out of the trash, with everything below it that is not itself there. It stays trashed as long as a
    /// folder above it is.
    pub fn restore(&mut self, now: Timestamp, id: &str) -> bool {
        let done = self.change(now, id, What::Restored, |file| file.explicitly_trashed = false);
        self.inherit(now, id, What::Restored);
        done
    }

    /// Moves a file, with everything below it, into a folder, to the top of a shared drive, or to `root()`. Not into a
    /// place that is not there, nor into itself.
    pub fn move_to(&mut self, now: Timestamp, id: &str, parent: &str) -> bool {
        let Some(there) = self.home_below(parent) else { return false };
        if parent == id || self.below(id).iter().any(|serial| self.by_id.get(parent) == Some(serial)) {
            return false;
        }
        let me = self.me.clone();
        let done = self.change(now, id, What::Moved, |file| {
            file.parent = Some(parent.to_owned());
            file.change_home(&there, &me);
        });
        self.inherit(now, id, What::Moved);
        done
    }

    /// Takes away the user's sight of a file of somebody else, and of everything below it.
    pub fn unshare(&mut self, now: Timestamp, id: &str) -> bool {
        self.remove_tree(now, id, What::Unshared)
    }

    /// Deletes a file for good, with everything below it.
    pub fn remove(&mut self, now: Timestamp, id: &str) -> bool {
        self.remove_tree(now, id, What::Removed)
    }

    fn change(&mut self, now: Timestamp, id: &str, what: What, alter: impl FnOnce(&mut File)) -> bool {
        let Some(serial) = self.by_id.get(id).copied() else { return false };
        self.alter(now, serial, what, false, alter);
        true
    }

    pub(super) fn alter(
        &mut self,
        now: Timestamp,
        serial: u64,
        what: What,
        inherited: bool,
        alter: impl FnOnce(&mut File),
    ) {
        let Some(before) = self.take(serial) else { return };
        let mut after = before.clone();
        alter(&mut after);
        after.version += 1;
        after.trashed = after.explicitly_trashed || self.is_in_trash(after.parent.as_deref());
        self.put(serial, after.clone());
        self.note(now, what, inherited, Some(before), Some(after));
    }

    /// Writes a change into the history and into the logs of every corpus that the file was or is in.
    pub(super) fn note(
        &mut self,
        at: Timestamp,
        what: What,
        inherited: bool,
        before: Option<File>,
        after: Option<File>,
    ) {
        let Some(file) = after.as_ref().or(before.as_ref()) else { return };
        let id = file.id.clone();
        let silent = self.silent_inheritance
            && inherited
            && matches!(what, What::Trashed | What::Restored | What::Moved);
        let states = || [&before, &after].into_iter().flatten();
        let mine = states().any(|file| file.home == Home::Mine);
        let mut corpora: Vec<&str> = states().map(File::corpus).collect();
        if self.drive_items_in_user_corpus {
            corpora.push(USER);
        }
        corpora.sort_unstable();
        corpora.dedup();
        for corpus in
            corpora.into_iter().filter(|_| !silent || changed_corpus(before.as_ref(), after.as_ref()))
        {
            if let Some(log) = self.logs.get_mut(corpus) {
                log.note(Item::File(id.clone()), at, mine);
            }
        }
        self.history.push(Change { at, id, what, inherited, before, after });
    }
}

/// Whether a file went from one corpus to another, which both logs show in any case.
fn changed_corpus(before: Option<&File>, after: Option<&File>) -> bool {
    before.map(File::corpus) != after.map(File::corpus)
}
