//! How the contract's values stand in columns: times as integer microseconds, JSON as the text it is.

use inboxclaw_contract::DeliveryOrigin;
use inboxclaw_contract::Json;
use inboxclaw_contract::turn::DeliveryState;
use jiff::Timestamp;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};

/// A time to the microsecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Micros(pub(super) Timestamp);

impl Micros {
    /// Microseconds since 1970.
    pub(super) fn get(self) -> i64 {
        self.0.as_microsecond()
    }
}

impl FromSql for Micros {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Timestamp::from_microsecond(value.as_i64()?).map(Self).map_err(FromSqlError::other)
    }
}

impl ToSql for Micros {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.get().into())
    }
}

/// JSON that was checked before it was stored.
pub(super) struct Text(pub(super) Json);

impl FromSql for Text {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Ok(Self(Json::from_store(value.as_str()?.into())))
    }
}

/// How a delivery's state stands in its column.
pub(super) const fn state_number(state: DeliveryState) -> i64 {
    match state {
        DeliveryState::Waiting => 0,
        DeliveryState::Dead => 1,
    }
}

/// The state behind a number of the column.
pub(super) const fn state_of(number: i64) -> DeliveryState {
    if number == 0 { DeliveryState::Waiting } else { DeliveryState::Dead }
}

/// How a delivery's origin stands in its column. Replays are numbered from 1.
pub(super) fn origin_number(origin: DeliveryOrigin) -> Option<i64> {
    match origin {
        DeliveryOrigin::Log => None,
        DeliveryOrigin::Retry => Some(0),
        DeliveryOrigin::Replay(replay) => Some(i64::try_from(replay).unwrap_or(i64::MAX)),
    }
}

/// The origin behind a number of the column.
pub(super) fn origin_of(number: Option<i64>) -> DeliveryOrigin {
    match number.map(u64::try_from) {
        None => DeliveryOrigin::Log,
        Some(Ok(replay)) if replay > 0 => DeliveryOrigin::Replay(replay),
        Some(_) => DeliveryOrigin::Retry,
    }
}

/// Where the keys of a prefix end: the smallest text that is beyond them all.
pub(super) enum End {
    Before(String),
    Never,
}

impl End {
    /// The end of the keys that start with `prefix`. UTF-8 sorts like the characters it stands for.
    pub(super) fn of(prefix: &str) -> Self {
        let mut end = prefix.to_owned();
        while let Some(last) = end.pop() {
            if let Some(next) = following(last) {
                end.push(next);
                return Self::Before(end);
            }
        }
        Self::Never
    }
}

/// The next character; none after the last. The half pairs of UTF-16 are no characters.
fn following(c: char) -> Option<char> {
    if c == '\u{D7FF}' { Some('\u{E000}') } else { char::from_u32(u32::from(c) + 1) }
}

/// To be compared with `key < ?`: a blob sorts after every text.
impl ToSql for End {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Before(end) => ValueRef::Text(end.as_bytes()),
            Self::Never => ValueRef::Blob(&[]),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_where_the_next_one_starts() {
        let end = |prefix: &str| match End::of(prefix) {
            End::Before(end) => Some(end),
            End::Never => None,
        };
        assert_eq!(end("a/").as_deref(), Some("a0"));
        assert_eq!(end("é").as_deref(), Some("ê"));
        assert_eq!(end("a\u{D7FF}").as_deref(), Some("a\u{E000}"));
        assert_eq!(end("a\u{10FFFF}\u{10FFFF}").as_deref(), Some("b"));
        assert_eq!(end("\u{10FFFF}"), None);
        assert_eq!(end(""), None);
    }
}
