//! The actions on files and shared drives.

use jiff::{SignedDuration, Timestamp};

use super::round::{Action, Simulation};
use super::texts::{ADDRESSES, DRIVES, FILES, FOLDERS, TEXTS};
use crate::google::api::Service;
use crate::google::drive::{Drive, File, Home, NewFile, Person};

pub(super) const ACTIONS: &[Action<Drive>] = &[
    (18, create),
    (6, create_doc),
    (3, create_image),
    (3, create_folder),
    (18, edit),
    (8, rename),
    (3, describe),
    (3, touch),
    (8, move_to),
    (6, trash),
    (4, restore),
    (6, share_with_me),
    (3, share),
    (3, unshare),
    (1, give_away),
    (4, remove),
    (1, add_drive),
    (1, remove_drive),
];

fn create(sim: &mut Simulation, drive: &mut Drive, now: Timestamp) -> Option<String> {
    let (name, kind) = (sim.file_name(), sim.text_of(&["txt", "md", "csv"]));
    let mime = match kind {
        "md" => "text/markdown",
        "csv" => "text/csv",
        _ => "text/plain",
    };
    let name = format!("{name}.{kind}");
    let file = NewFile::text(&name, &sim.text()).mime(mime);
    let file = sim.perhaps_old(now, file);
    sim.create_anywhere(drive, now, file);
    Some(format!("drive: new file: {name}"))
}

fn create_doc(sim: &mut Simulation, drive: &mut Drive, now: Timestamp) -> Option<String> {
    let name = sim.file_name();
    let file = NewFile::doc(&name, &sim.text());
    sim.create_anywhere(drive, now, file);
    Some(format!("drive: new document: {name}"))
}

fn create_image(sim: &mut Simulation, drive: &mut Drive, now: Timestamp) -> Option<String> {
    let name = format!("{}.png", sim.file_name());
    let content = [b"\x89PNG\r\n\x1a\n".as_slice(), &sim.random.u64(..).to_le_bytes()].concat();
    let file = NewFile { name: name.clone(), mime: "image/png".to_owned(), content, ..NewFile::default() };
    sim.create_anywhere(drive, now, file);
    Some(format!("drive: new picture: {name}"))
}

fn create_folder(sim: &mut Simulation, drive: &mut Drive, now: Timestamp) -> Option<String> {
    let name = format!("{} {}", sim.text_of(&FOLDERS), sim.random.u32(2020..2030));
    let file = NewFile::folder(&name);
    sim.create_anywhere(drive, now, file);
    Some(format!("drive: new folder: {name}"))
}

fn edit(sim: &mut Simulation, drive: &mut Drive, now: Timestamp) -> Option<String> {
    let file = sim.any_file(drive, |file| !file.trashed && !file.is_folder() && file.mime != "image/png")?;
    let text = sim.edited(&String::from_utf8_lossy(&file.content));
    drive.edit(now, &file.id, text).then(|| format!("drive: edited: {}", file.name))
}

fn rename(sim: &mut Simulation, drive: &mut Drive, now: Timestamp) -> Option<String> {
    let file = sim.any_file(drive, |file| !file.trashed)?;
    let name = format!("{} {}", sim.file_name(), sim.random.u32(2..1000));
    drive.rename(now, &file.id, &name).then(|| format!("drive: {} is called {name} now", file.name))
}

fn describe(sim: &mut Simulation, drive: &mut Drive, now: Timestamp) -> Option<String> {
    let file = sim.any_file(drive, |file| !file.trashed)?;
    let text = format!("{} ({})", sim.text_of(&TEXTS), sim.random.u32(1..1000));
    drive.describe(now, &file.id, &text).then(|| format!("drive: described: {}", file.name))
}

fn touch(sim: &mut Simulation, drive: &mut Drive, now: Timestamp) -> Option<String> {
    let file = sim.any_file(drive, |file| !file.trashed)?;
    drive.touch(now, &file.id).then(|| format!("drive: nothing that shows: {}", file.name))
}

fn move_to(sim: &mut Simulation, drive: &mut Drive, now: Timestamp) -> Option<String> {
    let file =
        sim.any_file(drive, |file| !file.trashed && !matches!(file.home, Home::SharedWithMe { .. }))?;
    let (folder, name) = sim.any_folder(drive)?;
    let same = file.parent.as_deref() == Some(&folder);
    let done = !same && drive.move_to(now, &file.id, &folder);
    done.then(|| format!("drive: moved: {} into {name}", file.name))
}

fn trash(sim: &mut Simulation, drive: &mut Drive, now: Timestamp) -> Option<String> {
    let file =
        sim.any_file(drive, |file| !file.trashed && !matches!(file.home, Home::SharedWithMe { .. }))?;
    drive.trash(now, &file.id).then(|| format!("drive: into the trash: {}", file.name))
}

fn restore(sim: &mut Simulation, drive: &mut Drive, now: Timestamp) -> Option<String> {
    let file = sim.any_file(drive, |file| file.explicitly_trashed)?;
    drive.restore(now, &file.id).then(|| format!("drive: out of the trash: {}", file.name))
}

fn share_with_me(sim: &mut Simulation, drive: &mut Drive, now: Timestamp) -> Option<String> {
    let name = format!("{}.txt", sim.file_name());
    let file = NewFile::text(&name, &sim.text());
    let file = sim.perhaps_old(now, file);
    let by = sim.person();
    let text = format!("drive: {} shares with me: {name}", by.email);
    drive.share_with_me(now, file, by);
    Some(text)
}

fn share(sim: &mut Simulation, drive: &mut Drive, now: Timestamp) -> Option<String> {
    let email = sim.text_of(&ADDRESSES);
    let unknown = |file: &File| !file.shared_with.iter().any(|known| known == email);
    let file = sim.any_file(drive, |file| file.home == Home::Mine && !file.trashed && unknown(file))?;
    drive.share(now, &file.id, email).then(|| format!("drive: I share with {email}: {}", file.name))
}

fn unshare(sim: &mut Simulation, drive: &mut Drive, now: Timestamp) -> Option<String> {
    let file = sim.any_file(drive, |file| matches!(file.home, Home::SharedWithMe { .. }))?;
    drive.unshare(now, &file.id).then(|| format!("drive: no longer shared with me: {}", file.name))
}

fn give_away(sim: &mut Simulation, drive: &mut Drive, now: Timestamp) -> Option<String> {
    let file = sim.any_file(drive, |file| file.home == Home::Mine && !file.trashed && !file.is_folder())?;
    let to = sim.person();
    let text = format!("drive: {} owns now: {}", to.email, file.name);
    drive.give_away(now, &file.id, to).then_some(text)
}

fn remove(sim: &mut Simulation, drive: &mut Drive, now: Timestamp) -> Option<String> {
    let file = sim.any_file(drive, |file| !matches!(file.home, Home::SharedWithMe { .. }))?;
    drive.remove(now, &file.id).then(|| format!("drive: gone for good: {}", file.name))
}

fn add_drive(sim: &mut Simulation, drive: &mut Drive, now: Timestamp) -> Option<String> {
    let known: Vec<&str> = drive.drives().map(|drive| drive.name.as_str()).collect();
    let free: Vec<&str> = DRIVES.into_iter().filter(|name| !known.contains(name)).collect();
    let name = sim.one_of(free)?;
    drive.add_drive(now, name);
    Some(format!("drive: a shared drive: {name}"))
}

fn remove_drive(sim: &mut Simulation, drive: &mut Drive, now: Timestamp) -> Option<String> {
    let all = drive.drives().map(|drive| (drive.id.clone(), drive.name.clone()));
    let free = all.filter(|(id, _)| {
        let mut inside = drive.files().filter(|file| file.drive() == Some(id.as_str()));
        sim.is_free(Service::Drive, id) && inside.all(|file| sim.is_free(Service::Drive, &file.id))
    });
    let free = free.collect();
    let (id, name) = sim.one_of(free)?;
    drive.remove_drive(now, &id).then(|| format!("drive: the shared drive is gone: {name}"))
}

impl Simulation {
    fn file_name(&mut self) -> String {
        self.text_of(&FILES).to_owned()
    }

    fn person(&mut self) -> Person {
        let email = self.text_of(&ADDRESSES);
        let name = email.split('@').next().unwrap_or(email);
        Person::new(name, email)
    }

    /// Some paragraphs.
    fn text(&mut self) -> String {
        let count = self.random.usize(1..6);
        let paragraphs: Vec<&str> = (0..count).map(|_| self.text_of(&TEXTS)).collect();
        paragraphs.join("\n\n")
    }

    /// One file in four was created long before it appears: an upload that keeps its date, or somebody's old file.
    fn perhaps_old(&mut self, now: Timestamp, file: NewFile) -> NewFile {
        if self.random.u8(0..4) > 0 {
            return file;
        }
        file.created(now - SignedDuration::from_hours(24 * self.random.i64(1..3000)))
    }

    /// A text in which one paragraph differs.
    fn edited(&mut self, text: &str) -> String {
        let mut paragraphs: Vec<String> = text.split("\n\n").map(str::to_owned).collect();
        let at = self.random.usize(0..=paragraphs.len());
        let fresh = format!("{} ({:08x})", self.text_of(&TEXTS), self.random.u32(..));
        match paragraphs.get_mut(at) {
            Some(paragraph) => *paragraph = fresh,
            None => paragraphs.push(fresh),
        }
        // No text grows for ever.
        let surplus = paragraphs.len().saturating_sub(12);
        paragraphs.drain(..surplus);
        paragraphs.join("\n\n")
    }

    /// Creates a file in any folder.
    fn create_anywhere(&mut self, drive: &mut Drive, now: Timestamp, file: NewFile) {
        let file = match self.any_folder(drive) {
            Some((folder, _)) => file.inside(&folder),
            None => file,
        };
        drive.create(now, file);
    }

    /// The id and the name of a folder, of a shared drive, or of My Drive.
    fn any_folder(&mut self, drive: &Drive) -> Option<(String, String)> {
        let folders = drive.files().filter(|file| {
            file.is_folder() && !file.trashed && !matches!(file.home, Home::SharedWithMe { .. })
        });
        let folders = folders.map(|folder| (folder.id.clone(), folder.name.clone()));
        let drives = drive.drives().map(|drive| (drive.id.clone(), drive.name.clone()));
        let mut places: Vec<(String, String)> = folders.chain(drives).collect();
        // My Drive is chosen as often as all other folders together.
        let mine = (drive.root().to_owned(), "My Drive".to_owned());
        places.extend(std::iter::repeat_n(mine, places.len().max(1)));
        self.one_of(places)
    }

    /// A wanted file that was not changed in this round, nor anything below it.
    fn any_file(&mut self, drive: &Drive, wanted: impl Fn(&File) -> bool) -> Option<File> {
        let mut found: Vec<&File> = drive.files().filter(|file| wanted(file)).collect();
        found.retain(|file| self.is_free(Service::Drive, &file.id));
        found.retain(|file| !file.is_folder() || self.is_unchanged_below(drive, &file.id));
        self.one_of(found).cloned()
    }

    fn is_unchanged_below(&self, drive: &Drive, folder: &str) -> bool {
        let mut busy = drive.files().filter(|file| !self.is_free(Service::Drive, &file.id));
        !busy.any(|file| {
            let parents = std::iter::successors(Some(file), |file| {
                file.parent.as_deref().and_then(|id| drive.file(id))
            });
            parents.skip(1).any(|parent| parent.id == folder)
        })
    }
}
