//! Fetches messages, several at a time, and reports those that no rule hides.

use std::collections::HashMap;
use std::future::ready;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::{StreamExt as _, stream};
use inboxclaw_contract::{Draft, Failure};

use super::api::{Api, Depth, HistoryId, Message};
use super::context::Rules;
use super::events;
use super::message_records::{HiddenReason, MessageRecord, Messages, ReportedMessage, Retry};
use crate::google::{AT_ONCE, Refusal};

/// Most messages that a turn reads.
pub(super) const MOST: usize = 500;

/// What asking for a message brought.
#[derive(Debug)]
pub(super) enum FetchedMessage {
    /// It is there.
    Message(Box<Message>),
    /// It is not there, or not yet.
    Missing,
    /// This one is refused while others are not.
    Refused,
}

/// What asking for several messages brought.
#[derive(Debug, Default)]
pub(super) struct FetchedMessages {
    found: HashMap<String, FetchedMessage>,
    /// Whether some were not asked for, or have to be asked for again.
    pub(super) cut: bool,
}

impl FetchedMessages {
    /// What came of a message; nothing when it has to be asked for again.
    pub(super) fn get(&self, id: &str) -> Option<&FetchedMessage> {
        self.found.get(id)
    }
}

/// Asks for messages in order. At the first refusal that may pass no more are begun; what came until then counts,
/// and the next turn asks for the rest. The same holds when the turn has asked for long enough. A refusal for good is a
/// problem of its message, unless the token is not good for any.
///
/// # Errors
/// When nothing came and something may later: then there is nothing to commit.
pub(super) async fn fetch(
    api: &Api,
    draft: &mut Draft<'_>,
    ids: &[String],
    depth: Depth,
) -> Result<FetchedMessages, Refusal> {
    let stopped = AtomicBool::new(false);
    let (stop, most) = (&stopped, ids.len().min(MOST));
    let deadline = api.deadline();
    let goes_on = || !stop.load(Ordering::Relaxed) && !deadline.is_over();
    let asked = stream::iter(ids[..most].to_vec()).take_while(|_| ready(goes_on())).map(|id| async move {
        let answer = match api.message(&id, depth).await {
            Ok(message) => FetchResult::Is(message),
            Err(refusal) if refusal.is_missing() => FetchResult::Missing,
            Err(refusal) if api.retry_limit.may_retry(&id, &refusal) => FetchResult::NotNow(refusal),
            Err(refusal) => FetchResult::Never(refusal),
        };
        if matches!(answer, FetchResult::Is(_) | FetchResult::Missing) {
            api.retry_limit.succeeded(&id);
        }
        stop.fetch_or(matches!(answer, FetchResult::NotNow(_)), Ordering::Relaxed);
        (id, answer)
    });
    let answers: Vec<_> = asked.buffered(AT_ONCE).collect().await;
    sort(draft, answers, ids.len())
}

/// What asking for one message brought.
enum FetchResult {
    Is(Message),
    Missing,
    /// It has to be asked for again.
    NotNow(Refusal),
    /// It is refused for good, or as good as that.
    Never(Refusal),
}

/// Tells answers from refusals of all kinds.
fn sort(
    draft: &mut Draft<'_>,
    answers: Vec<(String, FetchResult)>,
    wanted: usize,
) -> Result<FetchedMessages, Refusal> {
    let (mut found, mut passing, mut lasting) = (HashMap::new(), None, Vec::new());
    for (id, answer) in answers {
        match answer {
            FetchResult::Is(message) => drop(found.insert(id, FetchedMessage::Message(Box::new(message)))),
            FetchResult::Missing => drop(found.insert(id, FetchedMessage::Missing)),
            FetchResult::NotNow(refusal) => drop(passing.get_or_insert(refusal)),
            FetchResult::Never(refusal) => lasting.push((id, refusal)),
        }
    }
    if found.is_empty() {
        let of_scope = lasting.iter().position(|(_, refusal): &(_, Refusal)| refusal.is_of_scope());
        if let Some(refusal) = passing.or_else(|| Some(lasting.swap_remove(of_scope?).1)) {
            return Err(refusal);
        }
    }
    for (id, refusal) in lasting {
        let failure = Failure::from(refusal);
        draft.problem(Failure {
            cause: failure.cause.context(format!("cannot read the message {id}")),
            ..failure
        });
        found.insert(id, FetchedMessage::Refused);
    }
    Ok(FetchedMessages { cut: found.len() < wanted, found })
}

/// Handles a message that may be news: reports it, or remembers why not. Says whether it was reported.
///
/// # Errors
/// Those of the draft.
pub(super) fn apply(
    rules: &Rules,
    draft: &mut Draft<'_>,
    messages: &mut Messages,
    (id, found): (&str, &FetchedMessage),
    upto: HistoryId,
) -> Result<bool, Failure> {
    let message = match found {
        FetchedMessage::Message(message) => message,
        // A message can be named before it can be read.
        FetchedMessage::Missing | FetchedMessage::Refused => {
            let since = matches!(found, FetchedMessage::Missing).then(|| draft.now());
            messages.set(draft, id, MessageRecord::Retry(Retry::new(upto, since)))?;
            return Ok(false);
        }
    };
    let hidden = if rules.hides(&message.label_ids) {
        Some(HiddenReason::Label)
    } else {
        rules.filters(message).then_some(HiddenReason::Filter)
    };
    if let Some(why) = hidden {
        messages.set(draft, id, MessageRecord::hidden(why, upto))?;
        return Ok(false);
    }
    events::mail(draft, id, message)?;
    messages.set(
        draft,
        id,
        MessageRecord::Reported(ReportedMessage { thread: message.thread_id.clone(), upto }),
    )?;
    Ok(true)
}
