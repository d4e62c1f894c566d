//! The tree of files: folders and what is below them, shared drives, ids, and tokens that expire. Files themselves
//! change in `script`.

use super::log::{Item, Log};
use super::{Change, Drive, File, Home, Person, ROOT, SharedDrive, USER, What};
use jiff::Timestamp;

impl Drive {
    /// Makes the user a member of a new shared drive. Its id.
    pub fn add_drive(&mut self, now: Timestamp, name: &str) -> String {
        let id = self.new_id("0A");
        let drive = SharedDrive { id: id.clone(), name: name.to_owned(), created: now };
        self.drives.insert(id.clone(), drive);
        self.logs.insert(id.clone(), Log::default());
        self.note_drive(now, &id, What::DriveAdded);
        id
    }

    /// Takes a shared drive away from the user, with its files and its log.
    pub fn remove_drive(&mut self, now: Timestamp, id: &str) -> bool {
        if self.drives.remove(id).is_none() {
            return false;
        }
        for serial in self.corpora.get(id).cloned().unwrap_or_default() {
            self.remove_one(now, serial, What::Removed, true);
        }
        self.logs.remove(id);
        self.note_drive(now, id, What::DriveRemoved);
        true
    }

    fn note_drive(&mut self, at: Timestamp, id: &str, what: What) {
        if let Some(log) = self.logs.get_mut(USER) {
            log.note(Item::Drive(id.to_owned()), at, false);
        }
        self.history.push(Change {
            at,
            id: id.to_owned(),
            what,
            inherited: false,
            before: None,
            after: None,
        });
    }

    /// Makes the tokens of the user's change log (none) or of a shared drive's answer `status` from here on: 400, 404
    /// or 410. New start tokens hold.
    pub fn expire_tokens(&mut self, drive: Option<&str>, status: u16) -> bool {
        let log = self.logs.get_mut(drive.unwrap_or(USER));
        log.map(|log| {
            log.epoch += 1;
            log.refused = status;
        })
        .is_some()
    }

    /// Makes the page tokens of `files.list` and `drives.list` given out so far invalid.
    pub fn expire_listings(&mut self) {
        self.listings += 1;
    }

    /// An id that tells nothing of the order in which ids were made. `made` is then the serial of what it names.
    pub(super) fn new_id(&mut self, start: &str) -> String {
        self.made += 1;
        let one = scramble(self.made);
        format!("{start}{one:016x}{:016x}", scramble(one))
    }

    /// Whose a file is that is created below this: a folder, a shared drive, or the top of My Drive.
    pub(super) fn home_below(&self, id: &str) -> Option<Home> {
        if id == ROOT {
            return Some(Home::Mine);
        }
        if self.drives.contains_key(id) {
            return Some(Home::Drive(id.to_owned()));
        }
        self.file(id).filter(|file| file.is_folder()).map(|folder| folder.home.clone())
    }

    /// Whether a folder, or one above it, is in the trash.
    pub(super) fn is_in_trash(&self, folder: Option<&str>) -> bool {
        folder.and_then(|id| self.file(id)).is_some_and(|folder| folder.trashed)
    }

    /// Everything below a folder, each folder before what is in it.
    pub(super) fn below(&self, id: &str) -> Vec<u64> {
        let mut found: Vec<u64> = self.children.get(id).into_iter().flatten().copied().collect();
        let mut next = 0;
        while let Some(file) = found.get(next).and_then(|serial| self.files.get(serial)) {
            found.extend(self.children.get(&file.id).into_iter().flatten());
            next += 1;
        }
        found
    }

    /// Brings what is below a changed folder in line with it: in the trash or not, in a shared drive or not.
    pub(super) fn inherit(&mut self, now: Timestamp, id: &str, what: What) {
        let me = self.me.clone();
        for serial in self.below(id) {
            let Some(file) = self.files.get(&serial) else { continue };
            let Some(there) = file.parent.as_deref().and_then(|parent| self.home_below(parent)) else {
                continue;
            };
            let mut expected = file.clone();
            expected.change_home(&there, &me);
            expected.trashed = file.explicitly_trashed || self.is_in_trash(file.parent.as_deref());
            if expected != *file {
                self.alter(now, serial, what, true, |file| file.change_home(&there, &me));
            }
        }
    }

    /// Removes a file from the user's view, with everything below it.
    pub(super) fn remove_tree(&mut self, now: Timestamp, id: &str, what: What) -> bool {
        let Some(serial) = self.by_id.get(id).copied() else { return false };
        let below = self.below(id);
        self.remove_one(now, serial, what, false);
        for serial in below {
            self.remove_one(now, serial, what, true);
        }
        true
    }

    fn remove_one(&mut self, now: Timestamp, serial: u64, what: What, inherited: bool) {
        let Some(file) = self.take(serial) else { return };
        self.by_id.remove(&file.id);
        self.note(now, what, inherited, Some(file), None);
    }

    /// Puts a file into its place in every index.
    pub(super) fn put(&mut self, serial: u64, file: File) {
        if let Some(parent) = &file.parent {
            self.children.entry(parent.clone()).or_default().insert(serial);
        }
        self.corpora.entry(file.corpus().to_owned()).or_default().insert(serial);
        self.files.insert(serial, file);
    }

    /// Takes a file out of every index but that of ids.
    pub(super) fn take(&mut self, serial: u64) -> Option<File> {
        let file = self.files.remove(&serial)?;
        if let Some(siblings) = file.parent.as_ref().and_then(|parent| self.children.get_mut(parent)) {
            siblings.remove(&serial);
        }
        if let Some(corpus) = self.corpora.get_mut(file.corpus()) {
            corpus.remove(&serial);
        }
        Some(file)
    }
}

impl File {
    /// Moves it into a shared drive or out of one; elsewhere its owner stays what they are.
    pub(super) fn change_home(&mut self, there: &Home, me: &Person) {
        match there {
            Home::Drive(_) => self.home = there.clone(),
            _ if self.drive().is_some() => {
                self.home = Home::Mine;
                self.owner = me.clone();
            }
            _ => {}
        }
    }
}

/// Spreads a number over 64 bits, one to one (the finalizer of SplitMix64).
fn scramble(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}
