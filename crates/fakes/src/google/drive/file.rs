//! The types of the model: a file as a script describes it, a file as Drive keeps it, shared drives, a change.

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// The type of a folder.
pub const FOLDER: &str = "application/vnd.google-apps.folder";
/// The type of a Google Doc.
pub const DOC: &str = "application/vnd.google-apps.document";

/// The user's own corpus. That of a shared drive bears the id of the drive.
pub(super) const USER: &str = "";

/// A user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The name shown.
    pub name: String,
    /// The address.
    pub email: String,
}

impl Person {
    /// A user of this name and address.
    #[must_use]
    pub fn new(name: &str, email: &str) -> Self {
        Self { name: name.to_owned(), email: email.to_owned() }
    }
}

/// A file as a script describes it.
#[derive(Debug, Clone, Default)]
pub struct NewFile {
    /// Its name.
    pub name: String,
    /// Its type.
    pub mime: String,
    /// The id of a folder or of a shared drive; none = My Drive, or nowhere where it is somebody else's.
    pub parent: Option<String>,
    /// Its content; of a document of Google's own, what an export yields.
    pub content: Vec<u8>,
    /// Its description.
    pub description: String,
    /// When it was created and last modified; none = now.
    pub created: Option<Timestamp>,
}

impl NewFile {
    /// A text file.
    #[must_use]
    pub fn text(name: &str, text: &str) -> Self {
        let content = text.as_bytes().to_vec();
        Self { name: name.to_owned(), mime: "text/plain".to_owned(), content, ..Self::default() }
    }

    /// A Google Doc.
    #[must_use]
    pub fn doc(name: &str, text: &str) -> Self {
        Self::text(name, text).mime(DOC)
    }

    /// A folder.
    #[must_use]
    pub fn folder(name: &str) -> Self {
        Self::text(name, "").mime(FOLDER)
    }

    /// Of another type.
    #[must_use]
    pub fn mime(self, mime: &str) -> Self {
        Self { mime: mime.to_owned(), ..self }
    }

    /// In a folder, or at the top of a shared drive.
    #[must_use]
    pub fn inside(self, parent: &str) -> Self {
        Self { parent: Some(parent.to_owned()), ..self }
    }

    /// Created and last modified at another time than now.
    #[must_use]
    pub fn created(self, at: Timestamp) -> Self {
        Self { created: Some(at), ..self }
    }
}

/// Whose a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Home {
    /// The user owns it.
    Mine,
    /// Somebody else owns it and shared it with the user.
    SharedWithMe {
        /// Who shared it.
        by: Person,
        /// When.
        at: Timestamp,
    },
    /// It belongs to the shared drive of this id.
    Drive(String),
}

/// A file in Drive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its type.
    pub mime: String,
    /// The folder or drive it is in; none = in none that the user can see.
    pub parent: Option<String>,
    /// Whether it or a folder above it is in the trash.
    pub trashed: bool,
    /// Whether it is itself in the trash.
    pub explicitly_trashed: bool,
    /// When it was created.
    pub created: Timestamp,
    /// When its content was last modified.
    pub modified: Timestamp,
    /// Grows with every change, seen or not.
    pub version: u64,
    /// Whose it is.
    pub home: Home,
    /// Who owns it; without meaning in a shared drive.
    pub owner: Person,
    /// Who last modified it.
    pub editor: Person,
    /// Its content.
    pub content: Arc<[u8]>,
    /// SHA-256 of the content in hexadecimal digits.
    pub digest: String,
    /// Its description.
    pub description: String,
    /// Addresses of those with whom the user shares it.
    pub shared_with: Vec<String>,
    /// Whether the user may download it.
    pub downloadable: bool,
    /// Status and reason with which its content is refused.
    pub refusal: Option<(u16, String)>,
}

impl File {
    /// Whether it is a folder.
    #[must_use]
    pub fn is_folder(&self) -> bool {
        self.mime == FOLDER
    }

    /// Whether its type is one of Google's own, which have no content to download.
    #[must_use]
    pub fn is_native(&self) -> bool {
        self.mime.starts_with("application/vnd.google-apps.")
    }

    /// The shared drive it belongs to.
    #[must_use]
    pub fn drive(&self) -> Option<&str> {
        if let Home::Drive(id) = &self.home { Some(id) } else { None }
    }

    pub(super) fn corpus(&self) -> &str {
        self.drive().unwrap_or(USER)
    }

    pub(super) fn fill(&mut self, content: Vec<u8>) {
        self.digest = Sha256::digest(&content).iter().map(|byte| format!("{byte:02x}")).collect();
        self.content = content.into();
    }
}

/// A shared drive.
#[derive(Debug, Clone)]
pub struct SharedDrive {
    /// Its id, which is also the id of its top folder.
    pub id: String,
    /// Its name.
    pub name: String,
    /// When it was created.
    pub created: Timestamp,
}

/// Something that happened.
#[derive(Debug, Clone)]
pub struct Change {
    /// When; also the time of its entry in a change log.
    pub at: Timestamp,
    /// The id of the file, or of the shared drive.
    pub id: String,
    /// What happened.
    pub what: What,
    /// Whether it happened only because it happened to a folder above.
    pub inherited: bool,
    /// The file before; none where it was not to be seen.
    pub before: Option<File>,
    /// The file after; none where it is no longer to be seen.
    pub after: Option<File>,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// A file was created.
    Created,
    /// Its content changed.
    Edited,
    /// Its name changed.
    Renamed,
    /// Its description changed.
    Described,
    /// It went to another folder, perhaps of another drive.
    Moved,
    /// It went to the trash.
    Trashed,
    /// It came back from the trash.
    Restored,
    /// It got a new version, and nothing to be seen is different.
    Touched,
    /// The user shared it with somebody.
    Shared,
    /// Somebody shared a file with the user.
    SharedWithMe,
    /// The user gave it to somebody else and can still see it.
    GivenAway,
    /// The user may no longer download it.
    DownloadForbidden,
    /// The user may no longer see it.
    Unshared,
    /// It was deleted for good.
    Removed,
    /// The user became a member of a shared drive.
    DriveAdded,
    /// The user is no longer a member of a shared drive, or it is gone.
    DriveRemoved,
}
