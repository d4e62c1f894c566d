//! Full resync: listings of the mailbox in place of its history, at the first start and when Google no longer knows the
//! cursor.
//!
//! The point from which the history will go on is pinned first; the cursor moves there last. In between, one page a
//! turn: messages that carry a hiding label; messages since a time, reported if nobody knows them; then, after a
//! lost cursor, messages that were hidden and are no longer, and messages that are gone. A message that was looked at
//! is marked with the pinned point, so an interrupted turn is repeated without harm and without asking twice.

use std::collections::HashSet;
use std::time::Duration;

use inboxclaw_contract::settings::StartAt;
use inboxclaw_contract::{Draft, Entry, Expiry, Failure, Next};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::api::{Depth, HistoryId, MessageList, Search};
use super::context::Gmail;
use super::events;
use super::fetch_messages::{self, FetchedMessage, MOST};
use super::message_records::{
    HIDDEN, HiddenMessage, HiddenReason, MessageRecord, Messages, ReportedMessage, SEEN,
};
use super::state::{PASS, RECOVERY, SYNCED, Synced};
use crate::google::gap::{Gap, PASSING};
use crate::google::{check_next, is_id, stored};

/// Entries looked at in a turn.
const SCANNED: usize = 5_000;
/// How much earlier than the last known moment messages are looked for: mail can be dated before it appears.
const MARGIN: SignedDuration = SignedDuration::from_hours(24);

/// A listing in progress.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Recovery {
    /// The cursor that was refused; none at the first start.
    pub(super) lost: Option<String>,
    /// The point from which the history will go on.
    pin: HistoryId,
    /// When it was pinned.
    pinned: Timestamp,
    /// The messages that are looked for.
    look: SearchRange,
    /// When the lost cursor was known to be good.
    from: Option<Timestamp>,
    /// What is being done.
    stage: Stage,
    /// The page to handle, or the key of the last entry that was.
    at: Option<String>,
    /// Messages reported so far.
    found: u64,
    /// Deletions reported so far.
    deleted: u64,
}

/// The messages that are looked for, besides hidden ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum SearchRange {
    /// None.
    Nowhere,
    /// Those since then.
    Since(Timestamp),
    /// All.
    Everywhere,
}

impl SearchRange {
    fn since(self) -> Option<Timestamp> {
        match self {
            Self::Since(since) => Some(since),
            Self::Nowhere | Self::Everywhere => None,
        }
    }
}

/// What a listing is busy with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Stage {
    /// The messages with the hiding label of this number.
    Hidden(usize),
    /// The messages since then.
    Listed,
    /// The messages that are remembered as hidden by a label and were not listed with one.
    Shown,
    /// The messages that are remembered as reported and were not listed.
    Deleted,
}

/// Pins where the history will go on. `lost` is the cursor that was refused.
pub(super) async fn begin(gmail: &Gmail, draft: &mut Draft<'_>, lost: Option<&str>) -> Result<Next, Failure> {
    let (pin, now) = (gmail.api.now().await?, draft.now());
    let synced = stored::<Synced>(draft, SYNCED).await?;
    let look = match (lost, gmail.start) {
        (Some(_), _) => {
            let synced = synced.as_ref();
            let before = synced.map(|synced| synced.at.checked_sub(MARGIN).unwrap_or(synced.at));
            let began = synced.and_then(|synced| synced.began);
            let since = [window(gmail, now), before, began].into_iter().flatten().max();
            since.map_or(SearchRange::Everywhere, SearchRange::Since)
        }
        (None, StartAt::Now) => SearchRange::Nowhere,
        (None, StartAt::All) => SearchRange::Everywhere,
        (None, StartAt::Since(since)) => SearchRange::Since(since),
    };
    let recovery = Recovery {
        lost: lost.map(str::to_owned),
        pin,
        pinned: now,
        look,
        from: synced.map(|synced| synced.at).filter(|_| lost.is_some()),
        stage: Stage::Hidden(0),
        at: None,
        found: 0,
        deleted: 0,
    };
    draft.put(RECOVERY, &recovery, Expiry::Never)?;
    Ok(Next::More)
}

/// Where the window for looking back begins; nothing when it is longer than time.
fn window(gmail: &Gmail, now: Timestamp) -> Option<Timestamp> {
    SignedDuration::try_from(gmail.rules.window).ok().and_then(|window| now.checked_sub(window).ok())
}

/// One turn of a listing in progress.
pub(super) async fn turn(
    gmail: &Gmail,
    draft: &mut Draft<'_>,
    mut recovery: Recovery,
) -> Result<Next, Failure> {
    match recovery.stage {
        Stage::Hidden(number) => match gmail.rules.hiding.get(number) {
            Some(label) => recovery.hidden(gmail, draft, number, label).await,
            None if recovery.look != SearchRange::Nowhere => recovery.go_on(draft, Stage::Listed, None),
            None => recovery.finish(gmail, draft),
        },
        Stage::Listed => recovery.listed(gmail, draft).await,
        Stage::Shown => recovery.find_shown(gmail, draft).await,
        Stage::Deleted => recovery.find_deleted(gmail, draft).await,
    }
}

impl Recovery {
    fn go_on(&mut self, draft: &mut Draft<'_>, stage: Stage, at: Option<String>) -> Result<Next, Failure> {
        (self.stage, self.at) = (stage, at);
        draft.put(RECOVERY, self, Expiry::Never)?;
        Ok(Next::More)
    }

    /// A page of a listing; none when its token was refused and the listing begins anew with the next poll.
    async fn list_page(
        &mut self,
        gmail: &Gmail,
        draft: &mut Draft<'_>,
        search: Search<'_>,
    ) -> Result<Option<MessageList>, Failure> {
        let page = self.at.as_deref();
        match gmail.api.list(search, page).await {
            Ok(mut listed) => {
                check_next(page, listed.next_page_token.as_deref())?;
                let mut once = HashSet::new();
                listed.messages.retain(|message| is_id(&message.id) && once.insert(message.id.clone()));
                Ok(Some(listed))
            }
            Err(refusal) if page.is_some() && refusal.is_lost() => {
                draft.problem(refusal.into());
                self.go_on(draft, self.stage, None)?;
                Ok(None)
            }
            // A label that does not exist hides nothing.
            Err(refusal) if matches!(search, Search::Label(_)) && refusal.is_lost() => {
                let failure = Failure::from(refusal);
                let what = "cannot list the messages of a label of exclude_label_ids";
                draft.problem(Failure { cause: failure.cause.context(what), ..failure });
                Ok(Some(MessageList { messages: Vec::new(), next_page_token: None }))
            }
            Err(refusal) => Err(refusal.into()),
        }
    }

    /// Remembers a page of messages that carry a hiding label, so that their deletion is not reported.
    async fn hidden(
        &mut self,
        gmail: &Gmail,
        draft: &mut Draft<'_>,
        number: usize,
        label: &str,
    ) -> Result<Next, Failure> {
        let Some(page) = self.list_page(gmail, draft, Search::Label(label)).await? else {
            return Ok(Next::Wait);
        };
        let ids = || page.messages.iter().map(|message| &*message.id);
        let mut messages = Messages::load(draft, ids(), gmail.rules.window).await?;
        for id in ids() {
            match messages.get(id) {
                // Reported before it was hidden.
                Some(MessageRecord::Reported(seen)) => {
                    let seen = ReportedMessage { upto: self.pin, ..seen.clone() };
                    messages.set(draft, id, MessageRecord::Reported(seen))?;
                }
                Some(known) if known.is_gone() => {}
                _ => messages.set(draft, id, MessageRecord::hidden(HiddenReason::Label, self.pin))?,
            }
        }
        match page.next_page_token {
            Some(token) => self.go_on(draft, Stage::Hidden(number), Some(token)),
            None => self.go_on(draft, Stage::Hidden(number + 1), None),
        }
    }

    /// Reports what nobody knows of a page of messages.
    async fn listed(&mut self, gmail: &Gmail, draft: &mut Draft<'_>) -> Result<Next, Failure> {
        let search = Search::Since(self.look.since());
        let Some(mut page) = self.list_page(gmail, draft, search).await? else { return Ok(Next::Wait) };
        // The oldest first, as they came.
        page.messages.reverse();
        let ids = || page.messages.iter().map(|message| &*message.id);
        let mut messages = Messages::load(draft, ids(), gmail.rules.window).await?;
        for id in ids() {
            if let Some(MessageRecord::Reported(seen)) = messages.get(id) {
                let seen = ReportedMessage { upto: self.pin, ..seen.clone() };
                messages.set(draft, id, MessageRecord::Reported(seen))?;
            }
        }
        let unknown: Vec<String> = ids().filter(|id| messages.get(id).is_none()).map(str::to_owned).collect();
        let is_cut = self.report(gmail, draft, &mut messages, &unknown).await?;
        match page.next_page_token {
            _ if is_cut => self.go_on(draft, Stage::Listed, self.at.clone()),
            Some(token) => self.go_on(draft, Stage::Listed, Some(token)),
            None if self.lost.is_some() => self.go_on(draft, Stage::Shown, None),
            None => self.finish(gmail, draft),
        }
    }

    /// Looks again at messages that a label hid and that were not listed with one: they were shown, or deleted.
    async fn find_shown(&mut self, gmail: &Gmail, draft: &mut Draft<'_>) -> Result<Next, Failure> {
        let entries = draft.list(HIDDEN, self.at.as_deref(), SCANNED).await?;
        let is_behind = |entry: &Entry| {
            entry
                .parse::<HiddenMessage>()
                .is_ok_and(|hidden| hidden.why == HiddenReason::Label && hidden.upto < self.pin)
        };
        let (ids, after) = scan(&entries, HIDDEN, is_behind);
        let mut messages = Messages::load(draft, ids.iter().map(String::as_str), gmail.rules.window).await?;
        let is_cut = self.report(gmail, draft, &mut messages, &ids).await?;
        match after {
            _ if is_cut => self.go_on(draft, Stage::Shown, self.at.clone()),
            Some(after) => self.go_on(draft, Stage::Shown, Some(after)),
            None => self.go_on(draft, Stage::Deleted, None),
        }
    }

    /// Reads messages and reports them; says whether some are left for another turn.
    async fn report(
        &mut self,
        gmail: &Gmail,
        draft: &mut Draft<'_>,
        messages: &mut Messages,
        ids: &[String],
    ) -> Result<bool, Failure> {
        let fetched = fetch_messages::fetch(&gmail.api, draft, ids, Depth::Headers).await?;
        for id in ids {
            if let Some(found) = fetched.get(id) {
                let reported = fetch_messages::apply(&gmail.rules, draft, messages, (id, found), self.pin)?;
                self.found += u64::from(reported);
            }
        }
        Ok(fetched.cut)
    }

    /// Looks for messages that were reported and not listed, and reports those that are gone.
    async fn find_deleted(&mut self, gmail: &Gmail, draft: &mut Draft<'_>) -> Result<Next, Failure> {
        let entries = draft.list(SEEN, self.at.as_deref(), SCANNED).await?;
        let is_behind =
            |entry: &Entry| entry.parse::<ReportedMessage>().is_ok_and(|seen| seen.upto < self.pin);
        let (ids, after) = scan(&entries, SEEN, is_behind);
        let mut messages = Messages::load(draft, ids.iter().map(String::as_str), gmail.rules.window).await?;
        let fetched = fetch_messages::fetch(&gmail.api, draft, &ids, Depth::Presence).await?;
        for id in &ids {
            let Some(MessageRecord::Reported(seen)) = messages.get(id).cloned() else { continue };
            match fetched.get(id) {
                Some(FetchedMessage::Missing) => {
                    events::deleted(draft, id, seen.thread.as_deref())?;
                    self.deleted += 1;
                    messages.set(draft, id, MessageRecord::hidden(HiddenReason::Gone, self.pin))?;
                }
                Some(_) => messages.set(
                    draft,
                    id,
                    MessageRecord::Reported(ReportedMessage { upto: self.pin, ..seen }),
                )?,
                None => {}
            }
        }
        match after {
            _ if fetched.cut => self.go_on(draft, Stage::Deleted, self.at.clone()),
            Some(after) => self.go_on(draft, Stage::Deleted, Some(after)),
            None => self.finish(gmail, draft),
        }
    }

    /// Moves the cursor to the pinned point and emits the gap event, if there was a gap.
    fn finish(&self, gmail: &Gmail, draft: &mut Draft<'_>) -> Result<Next, Failure> {
        draft.delete(RECOVERY)?;
        draft.delete(PASS)?;
        draft.set_cursor(Some(self.pin.0.to_string()))?;
        let Some(lost) = &self.lost else {
            let began = match self.look {
                SearchRange::Nowhere => Some(self.pinned),
                SearchRange::Since(since) => Some(since),
                SearchRange::Everywhere => None,
            };
            draft.put(SYNCED, &Synced { at: self.pinned, began }, Expiry::Never)?;
            return Ok(Next::More);
        };
        let gap = self.gap(gmail);
        gap.emit(draft, lost, &self.pin.0.to_string())?;
        // Mail from before the stretch that was compared is none to report in the next one either.
        let began = gap.recovered_from;
        draft.put(SYNCED, &Synced { at: self.pinned, began }, Expiry::Never)?;
        // Not at once: a mailbox that refuses its own points would be listed without end.
        Ok(Next::Wait)
    }

    fn gap(&self, gmail: &Gmail) -> Gap {
        let reached = window(gmail, self.pinned);
        let days = gmail.rules.window.as_secs() / Duration::from_secs(24 * 60 * 60).as_secs();
        let deletions = format!("deletions of messages that were reported more than {days} days ago");
        let mut missing = vec![PASSING.to_owned(), deletions];
        if gmail.rules.label_events {
            missing.push("changes of labels".to_owned());
        }
        Gap {
            log: "mailbox".to_owned(),
            reason: "gmail no longer knows the history from the cursor on".to_owned(),
            from: self.from,
            to: self.pinned,
            recovered_from: self.look.since(),
            complete: self.from.is_some_and(|from| reached.is_none_or(|reached| from >= reached)),
            missing,
            found: self.found,
            deleted: self.deleted,
        }
    }
}

/// The ids of entries that have to be looked at, at most as many as a turn reads, and where to go on if there is more.
fn scan(entries: &[Entry], prefix: &str, wanted: impl Fn(&Entry) -> bool) -> (Vec<String>, Option<String>) {
    let (mut ids, mut last) = (Vec::new(), None);
    for entry in entries {
        if ids.len() == MOST {
            return (ids, last);
        }
        if let Some(id) = entry.key.strip_prefix(prefix).filter(|id| is_id(id) && wanted(entry)) {
            ids.push(id.to_owned());
        }
        last = Some(entry.key.clone());
    }
    (ids, last.filter(|_| entries.len() == SCANNED))
}
