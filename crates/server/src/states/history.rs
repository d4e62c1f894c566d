//! History, and going back in it.

use axum::http::StatusCode;
use inboxclaw_contract::Version;
use inboxclaw_contract::store::HistoryLimit;
use inboxclaw_edit::{To, Which};
use inboxclaw_settings::Interval;
use inboxclaw_settings::moment;
use jiff::{SignedDuration, Timestamp};

use super::problem::Problem;
use super::progress;
use super::request::{Call, order, wrong};
use super::types::{HistoryPage, HistoryTurn, RewindTo, RewoundState, UndoWhat, UndoneChange, VersionOrTime};
use crate::reply::{self, Reply};

/// About how many bytes of replaced values a page of history reads.
const PAGE_BYTES: usize = 8 << 20;

pub(super) async fn history(Call { states, whose, ask, .. }: Call) -> Result<Reply, Problem> {
    let before = ask.integer("before", 0..=i64::MAX)?.map(Version);
    let (limit, values) = (ask.limit(50)?, ask.flag("values")?);
    let turns =
        states.store.history(whose.id, before, HistoryLimit { turns: limit, bytes: PAGE_BYTES }).await?;
    let last = turns.last().map(|turn| turn.version);
    let older = match last {
        Some(last) => states.store.history(whose.id, Some(last), HistoryLimit { turns: 1, bytes: 0 }).await?,
        None => Vec::new(),
    };
    let next = last.filter(|_| !older.is_empty()).map(|last| last.0);
    let turns = turns.into_iter().map(|turn| HistoryTurn::of(turn, values)).collect();
    Ok(reply::json(StatusCode::OK, &HistoryPage { turns, next }))
}

pub(super) async fn undo(Call { states, whose, ask, author }: Call) -> Result<Reply, Problem> {
    let lines = ask.accepts_lines();
    let what: UndoWhat = ask.into_body(order(&states)).await?;
    let which = match (what.turn, what.version) {
        (true, Some(_)) => return Err(wrong("give turn or version, not both")),
        (true, None) => Which::Any,
        (false, Some(version)) => Which::Version(Version(version)),
        (false, None) => Which::Person,
    };
    let editor = states.editor(&author);
    progress::answer(lines, move |progress| async move {
        let tell = |done, of| progress.set(done, of);
        states.turn_to_edit(&whose.owner).await;
        let undone = editor.undo(whose.id, which, what.force, &tell).await?;
        states.wake(&whose.owner);
        Ok(UndoneChange::from(undone))
    })
    .await
}

pub(super) async fn rewind(Call { states, whose, ask, author }: Call) -> Result<Reply, Problem> {
    let lines = ask.accepts_lines();
    let RewindTo { to } = ask.into_body(order(&states)).await?;
    let to = match to {
        VersionOrTime::Version(version) => To::Version(Version(version)),
        VersionOrTime::Time(text) => aim(&text, states.store.snapshot(whose.id).await?.now)?,
    };
    let editor = states.editor(&author);
    progress::answer(lines, move |progress| async move {
        let tell = |done, of| progress.set(done, of);
        states.turn_to_edit(&whose.owner).await;
        let rewound = editor.rewind(whose.id, to, &tell).await?;
        states.wake(&whose.owner);
        Ok(RewoundState::from(rewound))
    })
    .await
}

/// What a text means as the end of a rewind.
fn aim(text: &str, now: Timestamp) -> Result<To, Problem> {
    if let Ok(version) = text.parse() {
        return Ok(To::Version(Version(version)));
    }
    if let Some(time) = moment::parse(text) {
        if time > now {
            return Err(wrong(format!("to must be a time that has passed, not {time}: it is {now}")));
        }
        return Ok(To::Time(time));
    }
    let ago = text.parse::<Interval>().ok().and_then(|ago| SignedDuration::try_from(ago.as_duration()).ok());
    let time = ago.and_then(|ago| now.checked_sub(ago).ok());
    time.map(To::Time).ok_or_else(|| {
        wrong(format!(
            "to must be a version, a time (RFC 3339), a date or a length of time (1h), not {text:?}"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_a_version_a_time_or_so_long_ago() {
        let now: Timestamp = "2026-11-22T06:00:00Z".parse().unwrap();
        let time = |text: &str| Some(To::Time(text.parse().unwrap()));
        for (text, wanted) in [
            ("7", Some(To::Version(Version(7)))),
            ("1h 30m", time("2026-11-22T04:30:00Z")),
            ("2026-11-20T00:00:00+01:00", time("2026-11-19T23:00:00Z")),
            ("2026-11-22", time("2026-11-22T00:00:00Z")),
            ("2026-11-23", None),
            ("2030-01-01T00:00:00Z", None),
            ("yesterday", None),
            ("", None),
        ] {
            assert_eq!(aim(text, now).ok(), wanted, "{text}");
        }
    }
}
