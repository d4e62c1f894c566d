//! The text of a file: read from the service, stored in an entry next to the snapshot, compared with what was stored.

use inboxclaw_contract::{Draft, Expiry, Failure, Json};
use sha2::{Digest, Sha256};

use super::api::Api;
use super::classify::TextComparison;
use super::settings::{Config, DOCUMENT};
use super::snapshot::Snapshot;
use super::state;
use crate::google::Refusal;
use crate::hex::hex;
use crate::textdiff::{self, Bounds, TextDiff};

/// Texts up to this many bytes, both together, are compared where they are; larger ones on a thread of their own.
const COMPARED_AT_ONCE: usize = 32 << 10;

/// Reads the text of a file; `None` when it has none, or one that is too large, or is gone meanwhile.
///
/// # Errors
/// When the service gives no content, for now or for good.
pub(super) async fn read(api: &Api, config: &Config, file: &Snapshot) -> Result<Option<String>, Refusal> {
    let limit = config.most_bytes;
    let bytes = if file.mime_type.as_deref() == Some(DOCUMENT) {
        api.export(&file.file_id, limit).await
    } else {
        api.media(&file.file_id, limit).await
    };
    match bytes {
        Ok(bytes) => {
            let bytes = bytes.filter(|bytes| bytes.len() <= limit);
            Ok(bytes.and_then(|bytes| String::from_utf8(bytes).ok()))
        }
        Err(refusal) if refusal.is_missing() || refusal.has("exportSizeLimitExceeded") => Ok(None),
        Err(refusal) => Err(refusal),
    }
}

/// Puts the text beside the snapshot `now`, or what was known of it before, and says what changed. `text` is what was
/// just read, if anything. Gives the bytes that this took, too.
///
/// # Errors
/// When the state cannot be read or written.
pub(super) async fn keep(
    draft: &mut Draft<'_>,
    bounds: Bounds,
    before: Option<&Snapshot>,
    now: &mut Snapshot,
    text: Option<String>,
) -> Result<(TextComparison, usize), Failure> {
    let key = state::text_key(&now.file_id);
    let forerunners = before.and_then(|before| before.content_snapshot.clone());
    // A text whose escapes make it too long for an entry counts as too large.
    let text = text.filter(|text| Json::from_value(text).is_ok());
    let Some(text) = text else {
        now.content_hash = before.and_then(|before| before.content_hash.clone());
        if let Some(text) = forerunners.filter(|text| Json::from_value(text).is_ok()) {
            draft.put(&key, &text, Expiry::Never)?;
        }
        return Ok((TextComparison::default(), 0));
    };
    let hash = hash(&text);
    let mut size = text.len();
    let old_hash = before.and_then(|before| before.content_hash.as_ref());
    let mut diff = None;
    if old_hash.is_some_and(|old| *old != hash) {
        let stored = draft.entry(&key).await?.and_then(|entry| entry.parse::<String>().ok());
        if let Some(old) = stored.or_else(|| forerunners.clone()) {
            size += old.len();
            diff = compare(old, text.clone(), bounds).await?;
        }
    }
    if old_hash != Some(&hash) || forerunners.is_some() {
        draft.put(&key, &text, Expiry::Never)?;
    }
    now.content_hash = Some(hash);
    Ok((TextComparison { is_read: true, diff }, size))
}

async fn compare(old: String, new: String, bounds: Bounds) -> Result<Option<TextDiff>, Failure> {
    if old.len() + new.len() <= COMPARED_AT_ONCE {
        return Ok(textdiff::diff(&old, &new, bounds));
    }
    let comparing = tokio::task::spawn_blocking(move || textdiff::diff(&old, &new, bounds));
    comparing.await.map_err(Failure::internal)
}

fn hash(text: &str) -> String {
    hex(&Sha256::digest(text))
}
