//! Incremental sync: a pass over the history from the cursor to its end, one page a turn. The cursor moves after the
//! last page, to where the mailbox was at the first one.

use std::collections::HashSet;

use inboxclaw_contract::{Draft, Expiry, Failure, Next};
use serde::{Deserialize, Serialize};

use super::api::{Depth, HistoryId, HistoryPage, Record};
use super::context::Gmail;
use super::events::{self, LabelChange};
use super::fetch_messages::{self, FetchedMessage, FetchedMessages, MOST};
use super::history_steps::{self, Step, StepKind};
use super::message_records::{
    HiddenMessage, HiddenReason, MessageRecord, Messages, RETRY, ReportedMessage, Retry,
};
use super::state::{PASS, SYNCED, Synced};
use crate::google::{check_next, stored};

/// A pass in progress.
#[derive(Debug, Serialize, Deserialize)]
struct Pass {
    /// The cursor it started from.
    from: String,
    /// The page to handle; none for the first.
    page: Option<String>,
    /// Where the mailbox was at the first page; none until that is handled.
    next: Option<HistoryId>,
}

/// How a turn of a pass ends.
pub(super) enum PassEnd {
    /// The turn is done.
    Next(Next),
    /// The history from the cursor on is not to be had: the mailbox itself has to be listed.
    Lost,
}

impl Gmail {
    /// Goes on with the pass, or begins one.
    pub(super) async fn pass(&self, draft: &mut Draft<'_>, cursor: &str) -> Result<PassEnd, Failure> {
        let pass = stored::<Pass>(draft, PASS).await?.filter(|pass| pass.from == cursor);
        let Ok(from) = cursor.parse().map(HistoryId) else { return Ok(PassEnd::Lost) };
        let retried = if pass.is_none() { self.retry(draft).await? } else { RetrySummary::default() };
        // What is refused again and again must not keep the source from its history.
        if retried.cut && retried.done > 0 {
            return Ok(PassEnd::Next(Next::More));
        }
        let pass = pass.unwrap_or(Pass { from: cursor.to_owned(), page: None, next: None });
        match self.api.history(from, pass.page.as_deref()).await {
            Ok(page) => self.page(draft, pass, page, MOST - retried.asked).await,
            Err(refusal) if refusal.is_lost() => match pass.page {
                None => Ok(PassEnd::Lost),
                // The next poll begins anew at the cursor; at once could be for ever.
                Some(_) => {
                    draft.delete(PASS)?;
                    draft.problem(refusal.into());
                    Ok(PassEnd::Next(Next::Wait))
                }
            },
            // What was tried again and is done now need not be asked for a third time.
            Err(refusal) if retried.done > 0 && refusal.is_transient() => Ok(PassEnd::Next(Next::More)),
            Err(refusal) => Err(refusal.into()),
        }
    }

    /// Handles a page, or as much of it as the service gives.
    async fn page(
        &self,
        draft: &mut Draft<'_>,
        pass: Pass,
        page: HistoryPage,
        budget: usize,
    ) -> Result<PassEnd, Failure> {
        let (records, token) = (page.history, page.next_page_token);
        check_next(pass.page.as_deref(), token.as_deref())?;
        let next = pass.next.unwrap_or(page.history_id);
        let from = pass.from.parse().map_or(next, HistoryId);
        if next < from && pass.page.is_none() && self.api.now().await? < from {
            // A cursor ahead of the mailbox was never given by it, and would wait for the mailbox in silence.
            return Ok(PassEnd::Lost);
        }
        // The cursor moves last, after the last page, and to where the mailbox was at the first: what happened
        // meanwhile is read again, and the records of messages tell what of it is done.
        if !self.records(draft, records, budget).await? {
            draft.put(PASS, &Pass { next: Some(next), ..pass }, Expiry::Never)?;
            return Ok(PassEnd::Next(Next::More));
        }
        if token.is_some() {
            draft.put(PASS, &Pass { page: token, next: Some(next), ..pass }, Expiry::Never)?;
            return Ok(PassEnd::Next(Next::More));
        }
        if draft.entry(PASS).await?.is_some() {
            draft.delete(PASS)?;
        }
        if next > from {
            draft.set_cursor(Some(next.0.to_string()))?;
            let began = stored::<Synced>(draft, SYNCED).await?.and_then(|synced| synced.began);
            draft.put(SYNCED, &Synced { at: draft.now(), began }, Expiry::Never)?;
        }
        Ok(PassEnd::Next(Next::Wait))
    }

    /// Handles records; says whether all of them are.
    async fn records(
        &self,
        draft: &mut Draft<'_>,
        records: Vec<Record>,
        budget: usize,
    ) -> Result<bool, Failure> {
        let steps = history_steps::steps(records, &self.rules);
        let ids = steps.iter().map(|step| &*step.message.id);
        let mut messages = Messages::load(draft, ids, self.rules.window).await?;
        let fleeting = forget_fleeting(draft, &mut messages, &steps)?;
        let wanted = self.wanted(&steps, &messages, &fleeting);
        let now = &wanted[..wanted.len().min(budget)];
        let fetched = fetch_messages::fetch(&self.api, draft, now, Depth::Headers).await?;
        let waiting: HashSet<&str> =
            wanted.iter().map(|id| &**id).filter(|id| fetched.get(id).is_none()).collect();
        for step in steps.iter().filter(|step| !waiting.contains(&*step.message.id)) {
            self.step(draft, &mut messages, step, &fetched)?;
        }
        Ok(waiting.is_empty())
    }

    /// The messages that have to be read to handle the steps, in their order.
    fn wanted(&self, steps: &[Step], messages: &Messages, deleted: &HashSet<&str>) -> Vec<String> {
        let (mut wanted, mut listed, mut hidden) = (Vec::new(), HashSet::new(), HashSet::new());
        for step in steps {
            let id = &*step.message.id;
            let is_new = match step.what {
                StepKind::Added => messages.get(id).is_none(),
                StepKind::Shown => may_show(messages.get(id), step.record) || hidden.contains(id),
                StepKind::Deleted | StepKind::LabelsAdded | StepKind::LabelsRemoved => false,
            };
            if is_new && step.what == StepKind::Added && self.rules.hides(&step.message.label_ids) {
                hidden.insert(id);
            } else if is_new && !deleted.contains(id) && listed.insert(id) {
                wanted.push(id.to_owned());
            }
        }
        wanted
    }

    fn step(
        &self,
        draft: &mut Draft<'_>,
        messages: &mut Messages,
        step: &Step,
        fetched: &FetchedMessages,
    ) -> Result<(), Failure> {
        let id = &*step.message.id;
        let known = messages.get(id);
        match step.what {
            StepKind::Added if known.is_some() => {}
            StepKind::Added if self.rules.hides(&step.message.label_ids) => {
                messages.set(draft, id, MessageRecord::hidden(HiddenReason::Label, step.record))?;
            }
            StepKind::Shown if !may_show(known, step.record) => {}
            StepKind::Added | StepKind::Shown => {
                if let Some(found) = fetched.get(id) {
                    fetch_messages::apply(&self.rules, draft, messages, (id, found), step.record)?;
                }
            }
            StepKind::Deleted => self.deleted(draft, messages, step)?,
            StepKind::LabelsAdded | StepKind::LabelsRemoved => self.relabelled(draft, known, step)?,
        }
        Ok(())
    }

    fn deleted(&self, draft: &mut Draft<'_>, messages: &mut Messages, step: &Step) -> Result<(), Failure> {
        let id = &*step.message.id;
        let known = messages.get(id).cloned();
        let thread = match &known {
            Some(MessageRecord::Reported(seen)) => seen.thread.as_deref(),
            _ => None,
        };
        let was_reported = matches!(known, None | Some(MessageRecord::Reported(_)));
        if was_reported && !self.rules.hides(&step.message.label_ids) {
            events::deleted(draft, id, step.message.thread_id.as_deref().or(thread))?;
        }
        match known {
            None => Ok(()),
            Some(known) if known.is_gone() => Ok(()),
            Some(_) => messages.set(draft, id, MessageRecord::hidden(HiddenReason::Gone, step.record)),
        }
    }

    fn relabelled(
        &self,
        draft: &mut Draft<'_>,
        known: Option<&MessageRecord>,
        step: &Step,
    ) -> Result<(), Failure> {
        let is_reported = match known {
            None => true,
            // Whoever came to know the message later than this has its labels with it.
            Some(MessageRecord::Reported(ReportedMessage { upto, .. })) => *upto <= step.record,
            Some(MessageRecord::Hidden(_) | MessageRecord::Retry(_)) => false,
        };
        if !is_reported || self.rules.hides(&step.message.label_ids) {
            return Ok(());
        }
        let change = LabelChange {
            id: &step.message.id,
            thread: step.message.thread_id.as_deref(),
            record: step.record,
            added: step.what == StepKind::LabelsAdded,
            labels: &step.labels,
            all: &step.message.label_ids,
        };
        events::relabelled(draft, &change)
    }

    /// Tries again to read what could not be read in the pass before.
    async fn retry(&self, draft: &mut Draft<'_>) -> Result<RetrySummary, Failure> {
        let keys = draft.keys(RETRY, None, MOST / 2).await?;
        let ids: Vec<String> = keys.iter().map(|key| key[RETRY.len()..].to_owned()).collect();
        let mut messages = Messages::load(draft, ids.iter().map(String::as_str), self.rules.window).await?;
        for id in ids.iter().filter(|id| !matches!(messages.get(id), Some(MessageRecord::Retry(_)))) {
            draft.delete(&format!("{RETRY}{id}"))?;
        }
        let now = draft.now();
        let due = |id: &String| match messages.get(id) {
            Some(MessageRecord::Retry(retry)) if retry.next.is_none_or(|next| next <= now) => {
                Some((id.clone(), *retry))
            }
            _ => None,
        };
        let wanted: Vec<(String, Retry)> = ids.iter().filter_map(due).collect();
        let ids: Vec<String> = wanted.iter().map(|(id, _)| id.clone()).collect();
        let fetched = match fetch_messages::fetch(&self.api, draft, &ids, Depth::Headers).await {
            // Whether it is the account that is refused, or the service that is down, the history will tell.
            Err(refusal) if !refusal.is_transient() || refusal.is_of_server() => {
                draft.problem(refusal.into());
                FetchedMessages::default()
            }
            fetched => fetched?,
        };
        // A message counts as done when it need not be asked for again, whatever became of it: a pass that got
        // something done commits before the history is asked for, so that a history that is refused cannot undo it.
        let mut done = 0;
        for (id, retry) in &wanted {
            match fetched.get(id) {
                Some(FetchedMessage::Missing) => {
                    let known = match retry.missing(now) {
                        Some(retry) => MessageRecord::Retry(retry),
                        None => MessageRecord::hidden(HiddenReason::Gone, retry.upto),
                    };
                    messages.set(draft, id, known)?;
                }
                // It stays as it is.
                Some(FetchedMessage::Refused) | None => {}
                Some(found) => {
                    fetch_messages::apply(&self.rules, draft, &mut messages, (id, found), retry.upto)?;
                }
            }
            done += usize::from(!matches!(messages.get(id), Some(MessageRecord::Retry(_))));
        }
        Ok(RetrySummary { asked: ids.len(), done, cut: fetched.cut })
    }
}

/// What trying again brought.
#[derive(Default)]
struct RetrySummary {
    /// How many messages were asked for.
    asked: usize,
    /// How many of them need not be tried again.
    done: usize,
    /// Whether some have to be asked for again.
    cut: bool,
}

/// Whether a message that lost a hiding label at `record` may be news by it.
fn may_show(known: Option<&MessageRecord>, record: HistoryId) -> bool {
    match known {
        None => true,
        Some(MessageRecord::Hidden(HiddenMessage { why, upto })) => {
            *why != HiddenReason::Gone && *upto < record
        }
        Some(MessageRecord::Reported(_) | MessageRecord::Retry(_)) => false,
    }
}

/// Remembers as gone what appears and is deleted on one page: neither is reported. Returns all that is deleted on
/// the page, which is not asked for.
fn forget_fleeting<'a>(
    draft: &mut Draft<'_>,
    messages: &mut Messages,
    steps: &'a [Step],
) -> Result<HashSet<&'a str>, Failure> {
    let deleted = steps.iter().filter(|step| step.what == StepKind::Deleted);
    let deleted: HashSet<&str> = deleted.map(|step| &*step.message.id).collect();
    for step in steps.iter().filter(|step| step.what == StepKind::Added) {
        let id = &*step.message.id;
        if deleted.contains(id) && messages.get(id).is_none() {
            messages.set(draft, id, MessageRecord::hidden(HiddenReason::Gone, step.record))?;
        }
    }
    Ok(deleted)
}
