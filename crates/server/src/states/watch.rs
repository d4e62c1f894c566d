//! Watching a state: what changes in it, what expires, and when to list it again, as server-sent events.
//!
//! A watch looks when the version grows, at the instant of the next expiry, and once a second in any case, because a
//! touch moves an expiry and wakes nobody. It reads only when its client has taken what came before. Of several
//! changes of a key since the last look the last is told. `news` is what there is to tell.

mod news;

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderName, StatusCode};
use futures_util::stream::unfold;
use inboxclaw_contract::space::Look;
use inboxclaw_contract::store::{Before, HistoryLimit, PastTurn};
use inboxclaw_contract::{Clock, Editable, OwnerId, Snapshot, StoreError, Version, limits};
use jiff::Timestamp;
pub(crate) use news::{WatchChange, WatchCursor, WatchExpiry, WatchReset};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use self::news::News;
use super::problem::Problem;
use super::request::{Call, StateRequest, wrong};
use crate::reply::{self, Reply};
use crate::sse::frames;

/// Most keys, turns or expiries that are told one by one; beyond that the client is to list again.
const MANY: usize = 1_000;
/// How much history is read at once.
const PAGE: HistoryLimit = HistoryLimit { turns: 100, bytes: 1 << 20 };
/// The longest time between two looks: a change is told of at once, and an expiry has its time; this is for a clock that
/// steps.
const LOOK_EVERY: Duration = Duration::from_secs(60);

pub(super) async fn answer(Call { states, whose, ask, .. }: Call) -> Result<Reply, Problem> {
    let prefix = ask.text("prefix").unwrap_or_default();
    limits::check_prefix(prefix)?;
    let secrets = ask.flag("secrets")?;
    let last = last_event_id(&ask)?;
    let full = || Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too many streams are open");
    let place = states.bounds.streams.open(ask.client).ok_or_else(full)?;
    let watch = Watch::new(states.store.clone(), whose.id, prefix, states.clock.clone());
    let watch = watch.after(last).secrets(secrets).until(place.ended());
    Ok(reply::events(unfold((watch, place), |(mut watch, place)| async {
        let text = watch.next().await?;
        Some((Ok(text), (watch, place)))
    })))
}

/// The last version that the client was told of.
fn last_event_id(ask: &StateRequest) -> Result<Option<Version>, Problem> {
    let header = ask.header(HeaderName::from_static("last-event-id")).filter(|text| !text.is_empty());
    let Some(text) = header.or_else(|| ask.text("last_event_id")) else { return Ok(None) };
    let id = text.parse().ok().filter(|id| *id >= 0);
    id.map(|id| Some(Version(id)))
        .ok_or_else(|| wrong(format!("Last-Event-ID must be a version, not {text:?}")))
}

/// What one watcher of one state is told.
pub struct Watch {
    store: Arc<dyn Editable>,
    owner: OwnerId,
    prefix: String,
    secrets: bool,
    clock: Arc<dyn Clock>,
    shutdown: CancellationToken,
    /// Everything up to this version was told or is in `news`; `None` before the first look.
    told: Option<Version>,
    /// The last version that the client has as an id.
    sent: Option<Version>,
    news: VecDeque<News>,
    expiries: Expiries,
    look_at: Instant,
    comments: frames::Comments,
}

/// What expires when.
#[derive(Default)]
struct Expiries {
    /// Those up to here were told.
    until: Timestamp,
    /// The next ones, as of the last look.
    next: Vec<(String, Timestamp)>,
}

impl Watch {
    /// A watch of the keys under a literal prefix, and of the cursor. `clock` is only told in comments.
    #[must_use]
    pub fn new(store: Arc<dyn Editable>, owner: OwnerId, prefix: &str, clock: Arc<dyn Clock>) -> Self {
        Self {
            store,
            owner,
            prefix: prefix.to_owned(),
            secrets: false,
            clock,
            shutdown: CancellationToken::new(),
            told: None,
            sent: None,
            news: VecDeque::new(),
            expiries: Expiries::default(),
            look_at: Instant::now(),
            comments: frames::Comments::new(),
        }
    }

    /// Goes on after that version, if there is one and it is still known what changed and what has expired since. What
    /// has expired since that version was made may be told again.
    #[must_use]
    pub fn after(self, last: Option<Version>) -> Self {
        Self { sent: last, ..self }
    }

    /// Shows the values of secrets.
    #[must_use]
    pub fn secrets(self, secrets: bool) -> Self {
        Self { secrets, ..self }
    }

    /// Ends at `shutdown`.
    #[must_use]
    pub fn until(self, shutdown: CancellationToken) -> Self {
        Self { shutdown, ..self }
    }

    /// The next whole message. `None` at the end: shutdown, an owner that is gone, or a store that cannot be read;
    /// then the client connects again and misses nothing. Must not be dropped before it is ready.
    pub async fn next(&mut self) -> Option<String> {
        while !self.shutdown.is_cancelled() {
            if let Some(comment) = self.comment() {
                return Some(comment);
            }
            let said = match self.news.pop_front() {
                Some(news) => self.tell(news).await.map(Some),
                None if Instant::now() >= self.look_at => self.look().await.map(|()| None),
                None => self.wait().await.map(|()| None),
            };
            match said {
                Ok(Some(message)) => return Some(message),
                Ok(None) => {}
                Err(StoreError::NoOwner(_)) => return None,
                Err(error) => {
                    tracing::warn!(%error, "a watch ends: the state cannot be read");
                    return None;
                }
            }
        }
        None
    }

    async fn tell(&mut self, news: News) -> Result<String, StoreError> {
        if let Some(id) = news.id() {
            self.sent = Some(id);
        }
        news.write(self.store.as_ref(), self.owner, self.secrets).await
    }

    /// Finds out what there is to tell.
    async fn look(&mut self) -> Result<(), StoreError> {
        let snapshot = self.store.snapshot(self.owner).await?;
        let changed = match (self.told, self.sent) {
            (None, None) => {
                self.expiries.until = snapshot.now;
                None
            }
            (None, Some(last)) => {
                self.expiries.until = self.made(last).await?.min(snapshot.now);
                self.changes(last, snapshot.version).await?
            }
            (Some(told), _) => self.changes(told, snapshot.version).await?,
        };
        let since = self.expiries.until;
        let mut due = self.due(&snapshot).await?;
        // Of what is removed already nobody knows any more. Asked last: a sweep may be at work.
        let resumes = self.told.is_none() && changed.is_some();
        if resumes && self.store.swept_until(self.owner).await?.is_some_and(|until| until > since) {
            due = None;
        }
        match (changed, due) {
            (Some((target, turns)), Some(due)) => self.spread(target, &turns, due),
            _ => self.reset(snapshot.version),
        }
        Ok(())
    }

    /// When a version was made: everything that had expired by then was seen by whoever has that version. The beginning
    /// of time when that is not known.
    async fn made(&self, version: Version) -> Result<Timestamp, StoreError> {
        let next = Version(version.0.saturating_add(1));
        let turn =
            self.store.history(self.owner, Some(next), HistoryLimit { turns: 1, bytes: 0 }).await?.pop();
        Ok(turn.filter(|turn| turn.version == version).map_or(Timestamp::MIN, |turn| turn.at))
    }

    /// The turns after `told`, newest first, without what they replaced, and the version that they lead to. `None`
    /// when they are too many, or not all known.
    async fn changes(
        &self,
        told: Version,
        present: Version,
    ) -> Result<Option<(Version, Vec<PastTurn>)>, StoreError> {
        let mut turns: Vec<PastTurn> = Vec::new();
        let mut keys = 0;
        // All of what is newer than this is in `turns`.
        let mut reached = present;
        while reached > told {
            let before = turns.last().map(|turn| turn.version);
            let page = self.store.history(self.owner, before, PAGE).await?;
            if page.is_empty() {
                return Ok(None);
            }
            for mut turn in page.into_iter().take_while(|turn| turn.version > told) {
                keys += turn.entries.len();
                let is_next = turns.last().is_none_or(|newer| turn.version.0 == newer.version.0 - 1);
                if !is_next || turn.marker || turn.replaced.is_some() || turns.len() + keys > MANY {
                    return Ok(None);
                }
                reached = Version(turn.version.0 - 1);
                // Only the keys are told: what was under them may be large.
                turn.entries.iter_mut().for_each(|(_, before)| *before = Before::Absent);
                turns.push(turn);
            }
            if turns.last().map(|turn| turn.version) == before {
                return Ok(None);
            }
        }
        let target = turns.first().map_or(present, |newest| newest.version);
        Ok((present >= told).then_some((target, turns)))
    }

    /// What has expired since the last look, and when the next one is due. `None` when it is too much.
    async fn due(&mut self, snapshot: &Snapshot) -> Result<Option<Vec<(String, Timestamp)>>, StoreError> {
        let (now, since) = (snapshot.now, self.expiries.until);
        let mut due = self.store.expiring(self.owner, since, MANY + 1).await?;
        let next = due.split_off(due.partition_point(|(_, at)| *at <= now));
        let first = next.first().map_or(LOOK_EVERY, |(_, at)| now.duration_until(*at).unsigned_abs());
        self.look_at = Instant::now() + first.min(LOOK_EVERY);
        let expected = std::mem::replace(&mut self.expiries, Expiries { until: now.max(since), next }).next;
        if due.len() > MANY {
            return Ok(None);
        }
        // A sweep may have been faster than this look.
        for (key, at) in expected.into_iter().filter(|(_, at)| *at <= now) {
            let known = due.iter().any(|(due, _)| *due == key);
            if !known && key.starts_with(&self.prefix) && !self.is_there(&key).await? {
                due.push((key, at));
            }
        }
        Ok(Some(due))
    }

    async fn is_there(&self, key: &str) -> Result<bool, StoreError> {
        let look = Look { prefix: key.to_owned(), after: None, entries: 1, bytes: 0, values: false };
        let found = self.store.look(self.owner, &look).await?;
        Ok(found.entries.first().is_some_and(|entry| entry.key == key))
    }

    /// Puts into order what is to be told: for each key its last change, then what has expired.
    fn spread(&mut self, target: Version, turns: &[PastTurn], due: Vec<(String, Timestamp)>) {
        let mut seen = HashSet::new();
        let mut cursor = true;
        let mut news = Vec::new();
        for turn in turns {
            let mut of_turn: Vec<News> = Vec::new();
            for (key, _) in &turn.entries {
                if seen.insert(key.as_str()) && key.starts_with(&self.prefix) {
                    of_turn.push(News::changed(turn, key));
                }
            }
            if turn.cursor.is_some() && std::mem::take(&mut cursor) {
                of_turn.push(News::Cursor { id: None, version: turn.version });
            }
            // A client that has this id has all of the turn.
            if let Some(last) = of_turn.last_mut() {
                last.set_id(turn.version);
            }
            news.extend(of_turn.into_iter().rev());
        }
        self.news.extend(news.into_iter().rev());
        let is_ours =
            |(key, _): &(String, Timestamp)| key.starts_with(&self.prefix) && !seen.contains(key.as_str());
        let expired = due.into_iter().filter(is_ours);
        self.news.extend(expired.map(|(key, at)| News::Expired { id: target, key, at }));
        self.told = Some(target);
    }

    fn reset(&mut self, version: Version) {
        self.news.push_back(News::Reset { version });
        self.told = Some(version);
    }

    /// A comment, if it is time, and where the client stands if it was not told: others may have changed much.
    fn comment(&mut self) -> Option<String> {
        let mut text = self.comments.due(self.clock.as_ref())?;
        if self.news.is_empty()
            && let Some(told) = self.told.filter(|told| self.sent.is_some_and(|sent| sent < *told))
        {
            self.sent = Some(told);
            text.push_str(&frames::position(told.0));
        }
        Some(text)
    }

    /// Waits for a change, for the time of the next look or comment, or for the end.
    async fn wait(&mut self) -> Result<(), StoreError> {
        tokio::select! {
            () = self.shutdown.cancelled() => Ok(()),
            () = sleep_until(self.look_at.min(self.comments.next_at())) => Ok(()),
            changed = self.store.changed(self.owner, self.told.unwrap_or_default()) => {
                self.look_at = Instant::now();
                changed.map(|_| ())
            }
        }
    }
}
