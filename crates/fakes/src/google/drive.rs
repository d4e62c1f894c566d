//! The model of Drive: files that scripts change and that answer like the API, written from its public reference,
//! <https://developers.google.com/workspace/drive/api/reference/rest/v3>. `file` holds the types, `script` and `tree`
//! the changes of files and shared drives, `log` the change logs, `changes` and `files` the answers, `resource` their
//! JSON. Left out: everything that writes through the API, revisions, comments, searches beyond a few terms.

mod changes;
mod file;
mod files;
mod log;
mod resource;
mod script;
#[cfg(test)]
mod tests;
mod tree;

pub use file::{Change, DOC, FOLDER, File, Home, NewFile, Person, SharedDrive, What};

use super::api::{Request, Response};
use super::pages::Paging;
use file::USER;
use jiff::Timestamp;
use log::Log;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The id of the folder "My Drive".
const ROOT: &str = "0AIroot000000000Uk9PVA";

/// One person's view of Drive.
#[derive(Debug, Clone)]
pub struct Drive {
    /// The person.
    pub me: Person,
    /// Every change so far, in order. Only grows.
    pub history: Vec<Change>,
    /// How listings and change logs are cut into pages.
    pub paging: Paging,
    /// Whether items of shared drives show in the user's log and corpus too, where a request allows it.
    pub drive_items_in_user_corpus: bool,
    /// Whether a change of a file in a shared drive names the drive beside the file.
    pub drive_id_on_file_changes: bool,
    /// Whether items that are trashed or restored with their folder get no change entries of their own.
    pub silent_inheritance: bool,
    /// Whether documents of Google's own types have a size.
    pub document_sizes: bool,
    /// Whether `drives.list` is refused for want of scopes.
    pub drives_denied: bool,
    /// What `files.list` says about its completeness.
    pub incomplete_search: bool,
    /// Files in the order in which they came to be seen, without the tops of drives.
    files: BTreeMap<u64, File>,
    by_id: HashMap<String, u64>,
    children: HashMap<String, BTreeSet<u64>>,
    corpora: HashMap<String, BTreeSet<u64>>,
    drives: BTreeMap<String, SharedDrive>,
    logs: HashMap<String, Log>,
    /// Ids made so far.
    made: u64,
    /// Grows when the tokens of listings expire.
    listings: u64,
}

impl Default for Drive {
    fn default() -> Self {
        Self {
            me: Person::new("Me Myself", "me@example.com"),
            history: Vec::new(),
            paging: Paging::default(),
            drive_items_in_user_corpus: false,
            drive_id_on_file_changes: false,
            silent_inheritance: false,
            document_sizes: false,
            drives_denied: false,
            incomplete_search: false,
            files: BTreeMap::new(),
            by_id: HashMap::new(),
            children: HashMap::new(),
            corpora: HashMap::new(),
            drives: BTreeMap::new(),
            logs: HashMap::from([(USER.to_owned(), Log::default())]),
            made: 0,
            listings: 0,
        }
    }
}

impl Drive {
    /// Answers a request.
    pub fn answer(&mut self, request: &Request, _now: Timestamp) -> Response {
        match request.segments().as_slice() {
            ["changes", "startPageToken"] => self.start_token(request),
            ["changes"] => self.list_changes(request),
            ["files"] => self.list_files(request),
            ["files", id] => self.get_file(id, request),
            ["files", id, "export"] => self.export(id, request),
            ["drives"] => self.list_drives(request),
            ["drives", id] => self.get_drive(id),
            ["about"] => self.about(request),
            _ => Response::error(404, "notFound", "Not Found"),
        }
    }

    /// The id of the folder "My Drive".
    #[must_use]
    pub fn root(&self) -> &str {
        ROOT
    }

    /// A file that is to be seen.
    #[must_use]
    pub fn file(&self, id: &str) -> Option<&File> {
        self.files.get(self.by_id.get(id)?)
    }

    /// The files that are to be seen, trashed ones included, in the order in which they came to be.
    pub fn files(&self) -> impl Iterator<Item = &File> {
        self.files.values()
    }

    /// The shared drives.
    pub fn drives(&self) -> impl Iterator<Item = &SharedDrive> {
        self.drives.values()
    }
}
