//! The sync state machine of a calendar, one step a turn: which pass begins, what its page changes, and what follows
//! it.
//!
//! A round of a calendar is: the changes since the sync token; then, at most once an hour, what came nearer than the
//! window by the passing of time. Without a sync token it is the baseline, or a reconciliation where snapshots are.
//! A changed window comes before the changes when it is smaller, so that what is beyond it is forgotten and not
//! reported, and after them when it is larger, so that nothing that happened is taken for old. What comes after the
//! changes and is refused does not hold up those of the next round.

use inboxclaw_contract::{Class, Draft, Failure};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::api::{self, Page, Query};
use super::context::{Calendar, CalendarContext, FailingCalendar, Step, Stop};
use super::state::{CalendarState, Keys, Mode, Pass};
use super::times::{whole, zone};
use super::{apply_page, scan_snapshots, size_limit};
use crate::google::gap::{Gap, PASSING};
use crate::google::listing::Listing;
use crate::google::{Refusal, check_next};

/// The window is listed again when it moved by so much.
const STRETCH: SignedDuration = SignedDuration::from_hours(1);
/// Before a window grows, it is listed when it moved by so much.
const LAST_STRETCH: SignedDuration = SignedDuration::from_mins(5);
/// Listings overlap by this: the start of a listing is exclusive, and an event may have no length.
const OVERLAP: SignedDuration = SignedDuration::from_secs(1);
/// A sync token that brought no changes is renewed when it is older. They are valid for longer than that.
const TOKEN_AGE: SignedDuration = SignedDuration::from_hours(24);
/// A reconciliation lists so much more at both ends, because one that is known and not listed passes for gone: what was
/// moved out of the window by less than that is found and updated, and the zone of the calendar may be another than
/// that by which whole days were listed before.
const MARGIN: SignedDuration = SignedDuration::from_hours(24);

/// The next step of a calendar, the first of a round or a further one.
///
/// # Errors
/// When its request is refused; see [`Stop`].
pub(super) async fn step(
    context: &CalendarContext,
    calendar: &Calendar,
    is_first: bool,
    draft: &mut Draft<'_>,
) -> Result<Step, Stop> {
    let keys = Keys(&calendar.id);
    let mut known = CalendarState::read(draft, keys).await?;
    let pass = match known.pass.take().filter(|pass| !(is_first && pass.is_unbegun())) {
        Some(pass) => pass,
        None => {
            if known.has_pass {
                Listing::new(keys.listed()).clear(draft)?;
            }
            begin(calendar, &known, draft).await?
        }
    };
    let zone = zone(known.zone.as_deref().unwrap_or_default());
    let walk = PassTurn { context, calendar, keys, known, pass, zone };
    match walk.pass.mode {
        Mode::Narrow => walk.narrow(draft).await,
        Mode::Reconcile if walk.pass.token.is_some() => walk.vanished(draft).await,
        _ => walk.page(draft).await,
    }
}

/// The pass that a round begins with.
async fn begin(calendar: &Calendar, known: &CalendarState, draft: &mut Draft<'_>) -> Result<Pass, Failure> {
    let now = draft.now();
    if known.token.is_some() {
        let mode = if known.reaches_beyond(calendar.window) { Mode::Narrow } else { Mode::Changes };
        return Ok(pass(mode, known.token.clone(), now, now, calendar.window));
    }
    let snapshots = draft.keys(&Keys(&calendar.id).snapshots(), None, 1).await?;
    if snapshots.is_empty() {
        return Ok(pass(Mode::Baseline, None, now, now, calendar.window));
    }
    Ok(reconciliation(calendar, known, now))
}

/// Compares within the window that the snapshots stand for; what is beyond it is no news.
fn reconciliation(calendar: &Calendar, known: &CalendarState, now: Timestamp) -> Pass {
    let window = known.window.map_or(calendar.window, |known| known.min(calendar.window));
    pass(Mode::Reconcile, known.token.clone(), now, now, window)
}

fn pass(mode: Mode, from: Option<String>, now: Timestamp, since: Timestamp, window: SignedDuration) -> Pass {
    // A window beyond the end of time reaches up to it.
    let until = whole(now.saturating_add(window).unwrap_or(Timestamp::MAX));
    let window = window.as_secs_f64();
    Pass { mode, from, began: now, since: whole(since), until, window, ..Pass::default() }
}

/// A pass of a calendar in one turn.
struct PassTurn<'a> {
    context: &'a CalendarContext,
    calendar: &'a Calendar,
    keys: Keys<'a>,
    known: CalendarState,
    pass: Pass,
    zone: TimeZone,
}

impl PassTurn<'_> {
    async fn page(mut self, draft: &mut Draft<'_>) -> Result<Step, Stop> {
        if self.pass.mode == Mode::Changes {
            // Pages may come hours apart, and what is reported is seen from the present.
            self.pass.until = pass(Mode::Changes, None, draft.now(), draft.now(), self.calendar.window).until;
        }
        let mut page = match self.ask().await {
            Ok(page) => page,
            Err(refusal) => return self.refused(draft, refusal),
        };
        page.items.iter_mut().for_each(size_limit::cut);
        check_next(self.pass.page.as_deref(), page.next_page_token.as_deref())
            .map_err(|failure| self.trouble(failure.into()))?;
        let is_last = page.next_page_token.is_none();
        if is_last && self.needs_token() && page.next_sync_token.is_none() {
            let what = "the last page of a listing came without a sync token";
            return Err(self.trouble(Failure::text(Class::Upstream, what).into()));
        }
        // The zone comes first, because what the items mean depends on it. Everything that a page brings and the place
        // after it are one turn: a turn that is dropped is a page that was never read.
        self.look_at_zone(draft, page.time_zone.as_deref())?;
        let (context, keys) = (self.context, self.keys);
        apply_page::items(context, keys, draft, (&mut self.pass, &self.zone), &page.items).await?;
        if self.pass.mode == Mode::Reconcile {
            let listing = Listing::new(keys.listed());
            let ids: Vec<&str> = page.items.iter().filter_map(apply_page::id).collect();
            if self.pass.pages == 0 {
                listing.clear(draft)?;
            }
            listing.add(draft, self.pass.pages, &ids)?;
        }
        if is_last {
            return self.listed(draft, &page);
        }
        self.pass.page = page.next_page_token;
        self.pass.pages += 1;
        self.go_on(draft)
    }

    async fn ask(&self) -> Result<Page, Refusal> {
        let pass = &self.pass;
        let beyond = |at: Timestamp, by| at.saturating_add(by).unwrap_or(at);
        let query = match (pass.mode, &pass.from) {
            (Mode::Changes, Some(token)) => Query::Since(token),
            (Mode::Reconcile, _) => Query::Window(beyond(pass.since, -MARGIN), beyond(pass.until, MARGIN)),
            _ => Query::Window(pass.since, pass.until),
        };
        api::page(&self.context.client, &self.calendar.id, query, pass.page.as_deref()).await
    }

    /// Whole days begin and end at the midnights of the calendar's zone, which each page names.
    fn look_at_zone(&mut self, draft: &mut Draft<'_>, named: Option<&str>) -> Result<(), Failure> {
        if let Some(name) = named.filter(|name| self.known.zone.as_deref() != Some(*name)) {
            CalendarState::set_zone(draft, self.keys, name)?;
            self.zone = zone(name);
        }
        Ok(())
    }

    fn needs_token(&self) -> bool {
        matches!(self.pass.mode, Mode::Baseline | Mode::Changes | Mode::Reconcile)
    }

    /// The last page of a pass is handled.
    fn listed(mut self, draft: &mut Draft<'_>, page: &Page) -> Result<Step, Stop> {
        let (keys, until) = (self.keys, self.pass.until);
        let token = page.next_sync_token.as_deref().unwrap_or_default();
        match self.pass.mode {
            Mode::Changes => {
                let is_news = self.pass.pages > 0 || !page.items.is_empty();
                let age = self.known.token_at.map(|at| draft.now().duration_since(at));
                if is_news || age.is_none_or(|age| age > TOKEN_AGE) {
                    CalendarState::set_token(draft, keys, token)?;
                    self.known.token = Some(token.to_owned());
                }
                self.follow_up(draft)
            }
            Mode::Reconcile => {
                self.pass.token = Some(token.to_owned());
                self.pass.page = None;
                self.pass.pages += 1;
                self.go_on(draft)
            }
            Mode::Baseline => {
                CalendarState::set_token(draft, keys, token)?;
                self.close_window(draft)
            }
            Mode::Lookahead => {
                CalendarState::set_lookahead(draft, keys, until)?;
                self.known.lookahead = Some(until);
                self.follow_up(draft)
            }
            Mode::Widen | Mode::Narrow => self.close_window(draft),
        }
    }

    /// What comes after the changes, if anything.
    fn follow_up(mut self, draft: &mut Draft<'_>) -> Result<Step, Stop> {
        let (now, window) = (draft.now(), self.calendar.window);
        let end = |window| now.saturating_add(window).unwrap_or(Timestamp::MAX);
        // What is over is no news, however long the program was off.
        let since = |at: Timestamp| at.saturating_sub(OVERLAP).unwrap_or(now).max(now);
        let is_short = self.known.falls_short_of(window);
        let (stretch, listed) = match self.known.window {
            Some(known) if is_short => (LAST_STRETCH, known),
            _ => (STRETCH, window),
        };
        let next = |mode, at| {
            pass(mode, self.known.token.clone(), now, at, if mode == Mode::Widen { window } else { listed })
        };
        // Beyond the window it cannot be right: the clock was ahead, or somebody edited it.
        let is_true = |at: Timestamp| at.duration_since(end(listed)) <= STRETCH;
        // The next stretch begins where the last one ended, so no event can come nearer unseen. A window that is to
        // grow is first brought up to its old end (`Lookahead`), because what lies beyond is new by the setting and
        // silent.
        let lookahead = self.known.lookahead.map(|at| if is_true(at) { at } else { now });
        let follows = match lookahead {
            Some(at) if end(listed).duration_since(at) >= stretch => Some(next(Mode::Lookahead, since(at))),
            // Without a window known, what is known may be incomplete from now on.
            Some(at) if is_short => {
                Some(next(Mode::Widen, if self.known.window.is_some() { since(at) } else { now }))
            }
            None if is_short => Some(next(Mode::Widen, now)),
            None => {
                CalendarState::set_lookahead(draft, self.keys, next(Mode::Lookahead, now).until)?;
                None
            }
            Some(_) => None,
        };
        match follows {
            Some(pass) => {
                self.pass = pass;
                self.go_on(draft)
            }
            None => self.done(draft),
        }
    }

    /// The snapshots stand for the pass's window now.
    fn close_window(self, draft: &mut Draft<'_>) -> Result<Step, Stop> {
        CalendarState::set_window(draft, self.keys, self.pass.window)?;
        CalendarState::set_lookahead(draft, self.keys, self.pass.until)?;
        self.done(draft)
    }

    async fn narrow(mut self, draft: &mut Draft<'_>) -> Result<Step, Stop> {
        if !scan_snapshots::narrow(self.keys, draft, (&mut self.pass, &self.zone)).await? {
            return self.go_on(draft);
        }
        // What is known before the window's new end stays complete.
        self.close_window(draft)?;
        Ok(Step::More)
    }

    async fn vanished(mut self, draft: &mut Draft<'_>) -> Result<Step, Stop> {
        match scan_snapshots::vanished(self.context, self.keys, draft, (&mut self.pass, &self.zone)).await? {
            Some(true) => {}
            Some(false) => return self.go_on(draft),
            None => {
                (self.pass.token, self.pass.after, self.pass.pages) = (None, None, 0);
                return self.go_on(draft);
            }
        }
        let token = self.pass.token.clone().unwrap_or_default();
        Listing::new(self.keys.listed()).clear(draft)?;
        if let Some(lost) = &self.pass.from {
            self.gap().emit(draft, lost, &token)?;
        }
        CalendarState::set_token(draft, self.keys, &token)?;
        self.close_window(draft)
    }

    fn gap(&self) -> Gap {
        Gap {
            log: self.calendar.id.clone(),
            reason: "the service no longer accepts the sync token".to_owned(),
            from: self.known.token_at,
            to: self.pass.began,
            recovered_from: None,
            complete: true,
            missing: vec![PASSING.to_owned()],
            found: self.pass.found,
            deleted: self.pass.deleted,
        }
    }

    /// A request that is refused. A page token that is no longer accepted restarts its pass in the next poll; a sync
    /// token that is not leads to a reconciliation at once.
    fn refused(mut self, draft: &mut Draft<'_>, refusal: Refusal) -> Result<Step, Stop> {
        if self.pass.page.is_some() && refusal.is_lost() {
            self.pass.page = None;
            self.pass.pages = 0;
            let failing = FailingCalendar::transient(&self.calendar.id, refusal.into());
            self.go_on(draft)?;
            return Ok(Step::Anew(failing));
        }
        // Without a page, what is missing is the calendar.
        if self.pass.mode == Mode::Changes && refusal.is_lost() && !refusal.is_missing() {
            self.pass = reconciliation(self.calendar, &self.known, draft.now());
            return self.go_on(draft);
        }
        Err(self.trouble(refusal))
    }

    fn trouble(&self, refusal: Refusal) -> Stop {
        FailingCalendar::of(&self.calendar.id, refusal)
    }

    fn go_on(self, draft: &mut Draft<'_>) -> Result<Step, Stop> {
        CalendarState::go_on(draft, self.keys, &self.pass)?;
        Ok(Step::More)
    }

    fn done(self, draft: &mut Draft<'_>) -> Result<Step, Stop> {
        self.known.end(draft, self.keys)?;
        Ok(Step::Done)
    }
}
