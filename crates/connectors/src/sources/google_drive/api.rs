//! The requests to Drive and what their answers hold. `fields` keeps the answers to what is used.
//!
//! Reference: <https://developers.google.com/workspace/drive/api/reference/rest/v3>.

use inboxclaw_contract::{Class, Failure};
use serde::Deserialize;
use serde_json::Value;

use crate::google::retry_limit::RetryLimit;
use crate::google::{ApiRequest, Client, Deadline, Refusal, is_id};

/// What is asked of a file.
const FILE: &str = "id,name,mimeType,parents,trashed,createdTime,modifiedTime,version,ownedByMe,\
    owners(displayName,emailAddress),sharedWithMeTime,sharingUser(displayName,emailAddress),\
    permissions(type,emailAddress,domain,allowFileDiscovery,permissionDetails),description,contentHints/indexableText,\
    lastModifyingUser(displayName,emailAddress),webViewLink,size,capabilities(canDownload),driveId";
/// The largest page of changes and of files.
const PAGE: &str = "1000";
/// Quota units: <https://developers.google.com/workspace/drive/api/guides/limits#per-method-quota>.
const READ: u32 = 5;
const LIST: u32 = 100;
const DOWNLOAD: u32 = 200;
/// Most pages of shared drives, of 100 each.
const DRIVE_PAGES: usize = 100;

/// A log of changes, and the files that it is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Log {
    /// What the user sees outside shared drives.
    User,
    /// A shared drive, by its id.
    Drive(String),
}

impl Log {
    /// The id of the shared drive.
    pub(super) fn drive(&self) -> Option<&str> {
        match self {
            Self::User => None,
            Self::Drive(id) => Some(id),
        }
    }

    /// The word for it in events and entries.
    pub(super) fn name(&self) -> &str {
        self.drive().unwrap_or("user")
    }
}

/// A page of a log.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ChangePage {
    pub(super) next_page_token: Option<String>,
    pub(super) new_start_page_token: Option<String>,
    pub(super) changes: Vec<Change>,
}

/// What a log says of a file: its state now, or that it is gone.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Change {
    pub(super) file_id: Option<String>,
    pub(super) removed: bool,
    pub(super) time: Option<String>,
    pub(super) file: Option<File>,
}

/// A page of files.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct FilePage {
    pub(super) next_page_token: Option<String>,
    pub(super) incomplete_search: bool,
    pub(super) files: Vec<File>,
}

/// A file as the service describes it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct File {
    pub(super) id: String,
    pub(super) name: Option<String>,
    pub(super) mime_type: Option<String>,
    pub(super) parents: Vec<String>,
    pub(super) trashed: bool,
    pub(super) created_time: Option<String>,
    pub(super) modified_time: Option<String>,
    pub(super) version: Option<String>,
    pub(super) owned_by_me: Option<bool>,
    pub(super) owners: Option<Value>,
    pub(super) shared_with_me_time: Option<String>,
    pub(super) sharing_user: Option<Value>,
    pub(super) permissions: Option<Value>,
    pub(super) description: Option<String>,
    pub(super) content_hints: Option<ContentHints>,
    pub(super) last_modifying_user: Option<Value>,
    pub(super) web_view_link: Option<String>,
    pub(super) size: Option<String>,
    pub(super) capabilities: Option<Capabilities>,
    pub(super) drive_id: Option<String>,
}

/// What helps a search.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ContentHints {
    pub(super) indexable_text: Option<String>,
}

/// What the user may do with a file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Capabilities {
    pub(super) can_download: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct DrivePage {
    next_page_token: Option<String>,
    drives: Vec<DriveId>,
}

#[derive(Debug, Deserialize)]
struct DriveId {
    id: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StartToken {
    start_page_token: String,
}

/// Drive as one account sees it.
pub(super) struct Api {
    client: Client,
    restrict: bool,
    corpus_removals: bool,
    /// With files whose content the service fails at.
    pub(super) retry_limit: RetryLimit,
}

impl Api {
    /// No I/O. `restrict` and `corpus_removals` as in the settings.
    pub(super) fn new(client: Client, restrict: bool, corpus_removals: bool) -> Self {
        Self { client, restrict, corpus_removals, retry_limit: RetryLimit::default() }
    }

    /// Until when a turn begins requests.
    pub(super) fn deadline(&self) -> Deadline<'_> {
        self.client.deadline()
    }

    /// The token from which a log lists what changes from now on.
    pub(super) async fn start_token(&self, log: &Log) -> Result<String, Refusal> {
        let request = ApiRequest::new(&["changes", "startPageToken"])
            .units(READ)
            .with("supportsAllDrives", "true")
            .with_some("driveId", log.drive())
            .with("fields", "startPageToken");
        Ok(self.client.get::<StartToken>(&request).await?.start_page_token)
    }

    /// A page of a log.
    pub(super) async fn changes(&self, log: &Log, token: &str) -> Result<ChangePage, Refusal> {
        let request = ApiRequest::new(&["changes"])
            .units(LIST)
            .with("pageToken", token)
            .with("pageSize", PAGE)
            .with("spaces", "drive")
            .with("includeRemoved", "true")
            .with("includeCorpusRemovals", self.corpus_removals.to_string())
            .with("supportsAllDrives", "true")
            .with("includeItemsFromAllDrives", "true");
        let request = match log {
            Log::User => request.with("restrictToMyDrive", self.restrict.to_string()),
            Log::Drive(id) => request.with("driveId", id),
        };
        let changes = format!("changes(fileId,removed,time,changeType,driveId,file({FILE}))");
        self.client.get(&request.with("fields", format!("nextPageToken,newStartPageToken,{changes}"))).await
    }

    /// A file; `None` when it is gone or out of reach.
    pub(super) async fn file(&self, id: &str) -> Result<Option<File>, Refusal> {
        let request = ApiRequest::new(&["files", id])
            .units(READ)
            .with("supportsAllDrives", "true")
            .with("fields", FILE);
        match self.client.get(&request).await {
            Ok(file) => Ok(Some(file)),
            Err(refusal) if refusal.is_missing() => Ok(None),
            Err(refusal) => Err(refusal),
        }
    }

    /// A page of the files that a log is about, trashed ones too.
    pub(super) async fn list(&self, log: &Log, page: Option<&str>) -> Result<FilePage, Refusal> {
        let request = ApiRequest::new(&["files"])
            .units(LIST)
            .with("spaces", "drive")
            .with("pageSize", PAGE)
            .with("supportsAllDrives", "true")
            .with("includeItemsFromAllDrives", "true")
            .with("fields", format!("nextPageToken,incompleteSearch,files({FILE})"));
        let request = match log {
            Log::User if self.restrict => request.with("corpora", "user").with("q", "'me' in owners"),
            Log::User => request.with("corpora", "user"),
            Log::Drive(id) => request.with("corpora", "drive").with("driveId", id),
        };
        self.client.get(&request.with_some("pageToken", page)).await
    }

    /// The ids of the shared drives, in order.
    pub(super) async fn drives(&self) -> Result<Vec<String>, Refusal> {
        let (mut ids, mut page) = (Vec::new(), None::<String>);
        for _ in 0..DRIVE_PAGES {
            let request = ApiRequest::new(&["drives"])
                .units(LIST)
                .with("pageSize", "100")
                .with("fields", "nextPageToken,drives(id,name)")
                .with_some("pageToken", page.as_deref());
            let found: DrivePage = self.client.get(&request).await?;
            ids.extend(found.drives.into_iter().map(|drive| drive.id).filter(|id| is_id(id)));
            match found.next_page_token {
                Some(next) => page = Some(next),
                None => {
                    ids.sort();
                    ids.dedup();
                    return Ok(ids);
                }
            }
        }
        // Drives that were not seen would count as gone.
        let endless = format!("the list of shared drives has more than {DRIVE_PAGES} pages");
        Err(Failure::text(Class::Upstream, endless).into())
    }

    /// The text of a Google document, as Markdown; `None` when it is larger than `limit` bytes.
    pub(super) async fn export(&self, id: &str, limit: usize) -> Result<Option<Vec<u8>>, Refusal> {
        let request = ApiRequest::new(&["files", id, "export"]).units(DOWNLOAD);
        self.client.bytes(&request.with("mimeType", "text/markdown"), limit).await
    }

    /// The content of a file; `None` when it is larger than `limit` bytes.
    pub(super) async fn media(&self, id: &str, limit: usize) -> Result<Option<Vec<u8>>, Refusal> {
        let request = ApiRequest::new(&["files", id]).units(DOWNLOAD);
        let request = request.with("alt", "media").with("supportsAllDrives", "true");
        self.client.bytes(&request, limit).await
    }
}
