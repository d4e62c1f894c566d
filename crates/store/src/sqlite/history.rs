//! History: what each turn replaced, one row for each turn. Here is how a row is written and read, and the walk
//! along an owner's rows; their removal is in `sweep.rs`.

use std::collections::BTreeMap;

use inboxclaw_contract::store::{Before, PastTurn};
use inboxclaw_contract::{Entry, Json, OwnerId, SpaceId, Turn, Version};
use jiff::Timestamp;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension};

use super::values::Micros;

/// The most that history keeps of one turn, in bytes of keys and values. Beyond it, only the fact is kept.
const KEPT: usize = 16 << 20;

/// The first byte of a row's changes: how the rest is written.
const FORMAT: u8 = 1;

// What an entry of the list was before.
const ABSENT: u8 = 0;
const PRESENT: u8 = 1;
const EXPIRING: u8 = 2;
const SECRET: u8 = 3;

/// Owner and version make sure that a row is the one meant: numbers of swept rows may come back.
const ROW: &str = "
    SELECT previous, bytes, at, author, replaced, undoes, changes FROM history
    WHERE id = ?1 AND owner = ?2 AND version = ?3";

const ADD: &str = "
    INSERT INTO history (owner, version, previous, at, author, bytes, replaced, undoes, changes)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";

const HEAD: &str = "SELECT history, version FROM owners WHERE id = ?1 AND forgotten = 0";

/// What a row costs besides its changes, about.
const ROW_BYTES: usize = 48;

/// What a turn replaces.
#[derive(Default)]
pub(super) struct Replaced {
    /// The cursor before, if it changes.
    pub(super) cursor: Option<Option<String>>,
    /// The entries before, by key; `None` for absent. Empty when there were too many.
    pub(super) entries: BTreeMap<String, Option<Entry>>,
    /// The space, if the turn puts another one in place. Then the entries are those of the other.
    pub(super) space: Option<i64>,
    bytes: usize,
    /// Whether there was too much to keep.
    pub(super) too_much: bool,
}

impl Replaced {
    /// Whether the turn changes the state at all.
    pub(super) fn is_empty(&self) -> bool {
        self.cursor.is_none() && self.entries.is_empty() && !self.too_much && self.space.is_none()
    }

    /// Notes what was under `key`. What was noted first is what was there.
    pub(super) fn note(&mut self, key: &str, old: Option<Entry>) {
        if self.too_much || self.entries.contains_key(key) {
            return;
        }
        self.bytes += key.len() + old.as_ref().map_or(0, |old| old.value.len());
        if self.bytes > KEPT {
            self.too_much = true;
            self.entries.clear();
            return;
        }
        self.entries.insert(key.to_owned(), old);
    }

    /// The form in which it is stored; `None` when there was too much.
    fn encode(&self) -> Option<Vec<u8>> {
        if self.too_much {
            return None;
        }
        let mut out = Vec::with_capacity(64 + self.bytes);
        out.push(FORMAT);
        out.push(match &self.cursor {
            None => 0,
            Some(None) => 1,
            Some(Some(_)) => 2,
        });
        if let Some(Some(cursor)) = &self.cursor {
            write_text(&mut out, cursor);
        }
        for (key, old) in &self.entries {
            write_text(&mut out, key);
            match old {
                // The old value of a secret is never kept.
                Some(old) if old.secret => out.push(SECRET),
                Some(old) => write_entry(&mut out, old),
                None => out.push(ABSENT),
            }
        }
        Some(out)
    }
}

/// Adds the row of a turn, given the version that it makes and the owner's row before it. Returns its number and its
/// size in bytes.
pub(super) fn add(
    connection: &Connection,
    turn: &Turn,
    version: i64,
    previous: Option<i64>,
    at: Micros,
    replaced: &Replaced,
) -> rusqlite::Result<(i64, i64)> {
    let (changes, author) = (replaced.encode(), turn.author.as_deref());
    let bytes = ROW_BYTES + changes.as_ref().map_or(0, Vec::len) + author.map_or(0, str::len);
    let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
    let undoes = turn.undoes.map(|version| version.0);
    let row = (turn.owner.0, version, previous, at, author, bytes, replaced.space, undoes, changes);
    Ok((connection.prepare_cached(ADD)?.insert(row)?, bytes))
}

/// What to do with a row on a walk.
pub(super) enum Step {
    Take,
    /// Passed without looking into it.
    Pass,
    /// The walk ends before it.
    End,
}

/// A walk along an owner's rows, newest first. Ends where history was swept.
pub(super) struct Walk<'a> {
    connection: &'a Connection,
    owner: OwnerId,
    /// The next row and the version that it made.
    next: Option<(i64, i64)>,
}

impl<'a> Walk<'a> {
    /// From the row `head`, which made `version`.
    pub(super) fn from(connection: &'a Connection, owner: OwnerId, head: Option<i64>, version: i64) -> Self {
        Self { connection, owner, next: head.map(|head| (head, version)) }
    }

    /// From the owner's newest row; `None` when there is no such owner.
    pub(super) fn start(connection: &'a Connection, owner: OwnerId) -> rusqlite::Result<Option<Self>> {
        let head =
            connection.prepare_cached(HEAD)?.query_row([owner.0], |row| Ok((row.get(0)?, row.get(1)?)));
        Ok(head.optional()?.map(|(head, version)| Self::from(connection, owner, head, version)))
    }

    /// The next older turn that `step` takes, told each turn's version and its size in bytes.
    pub(super) fn next(
        &mut self,
        mut step: impl FnMut(i64, usize) -> Step,
    ) -> rusqlite::Result<Option<PastTurn>> {
        let mut find = self.connection.prepare_cached(ROW)?;
        while let Some((id, version)) = self.next {
            let mut rows = find.query((id, self.owner.0, version))?;
            let Some(row) = rows.next()? else {
                self.next = None;
                break;
            };
            let step = step(version, usize::try_from(row.get::<_, i64>(1)?).unwrap_or(0));
            if matches!(step, Step::End) {
                break;
            }
            let previous: Option<i64> = row.get(0)?;
            self.next = previous.map(|previous| (previous, version - 1));
            if matches!(step, Step::Take) {
                return past_turn(version, row).map(Some);
            }
        }
        Ok(None)
    }

    /// The row where the walk goes on, and the version that it made.
    pub(super) fn place(&self) -> Option<(i64, i64)> {
        self.next
    }
}

fn past_turn(version: i64, row: &rusqlite::Row<'_>) -> rusqlite::Result<PastTurn> {
    let changes = row.get_ref(6)?.as_blob_or_null()?;
    let broken = || rusqlite::Error::FromSqlConversionFailure(6, Type::Blob, "unreadable history".into());
    let decoded = changes.map(|changes| decode(changes).ok_or_else(broken)).transpose()?;
    let marker = decoded.is_none();
    let (cursor, entries) = decoded.unwrap_or_default();
    let (at, replaced, undoes): (Micros, Option<i64>, Option<i64>) = (row.get(2)?, row.get(4)?, row.get(5)?);
    Ok(PastTurn {
        version: Version(version),
        at: at.0,
        author: row.get(3)?,
        cursor,
        entries,
        marker,
        replaced: replaced.map(SpaceId),
        undoes: undoes.map(Version),
    })
}

type Changes = (Option<Option<String>>, Vec<(String, Before)>);

fn decode(changes: &[u8]) -> Option<Changes> {
    let mut rest = changes;
    if take(&mut rest)? != FORMAT {
        return None;
    }
    let cursor = match take(&mut rest)? {
        0 => None,
        1 => Some(None),
        _ => Some(Some(read_text(&mut rest)?.to_owned())),
    };
    let mut entries = Vec::new();
    while !rest.is_empty() {
        let key = read_text(&mut rest)?;
        let old = match take(&mut rest)? {
            ABSENT => Before::Absent,
            SECRET => Before::Secret,
            tag => Before::Entry(read_entry(&mut rest, key, tag == EXPIRING)?),
        };
        entries.push((key.to_owned(), old));
    }
    Some((cursor, entries))
}

fn write_entry(out: &mut Vec<u8>, old: &Entry) {
    out.push(if old.expires_at.is_some() { EXPIRING } else { PRESENT });
    write_number(out, old.revision.0);
    let created_at = old.created_at.as_microsecond();
    let updated_at = old.updated_at.as_microsecond();
    write_number(out, created_at);
    // Close together, so that the difference is short.
    write_number(out, updated_at.wrapping_sub(created_at));
    if let Some(expires_at) = old.expires_at {
        write_number(out, expires_at.as_microsecond().wrapping_sub(updated_at));
    }
    write_text(out, old.value.as_str());
}

fn read_entry(rest: &mut &[u8], key: &str, expiring: bool) -> Option<Entry> {
    let revision = Version(read_number(rest)?);
    let created_at = read_number(rest)?;
    let updated_at = created_at.wrapping_add(read_number(rest)?);
    let expires_at = if expiring { Some(time(updated_at.wrapping_add(read_number(rest)?))?) } else { None };
    Some(Entry {
        key: key.to_owned(),
        value: Json::from_store(read_text(rest)?.into()),
        revision,
        created_at: time(created_at)?,
        updated_at: time(updated_at)?,
        expires_at,
        secret: false,
    })
}

fn time(micros: i64) -> Option<Timestamp> {
    Timestamp::from_microsecond(micros).ok()
}

fn write_text(out: &mut Vec<u8>, text: &str) {
    write_number(out, i64::try_from(text.len()).unwrap_or(i64::MAX));
    out.extend_from_slice(text.as_bytes());
}

fn read_text<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let length = usize::try_from(read_number(rest)?).ok()?;
    let (text, after) = rest.split_at_checked(length)?;
    *rest = after;
    std::str::from_utf8(text).ok()
}

/// Small numbers of either sign take few bytes: seven bits in each, the lowest first.
fn write_number(out: &mut Vec<u8>, number: i64) {
    let mut bits = (number.wrapping_shl(1) ^ (number >> 63)).cast_unsigned();
    while bits >= 0x80 {
        out.push((bits & 0x7f) as u8 | 0x80);
        bits >>= 7;
    }
    out.push(bits as u8);
}

fn read_number(rest: &mut &[u8]) -> Option<i64> {
    let mut bits: u64 = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(rest)?;
        bits |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((bits >> 1).cast_signed() ^ -(bits & 1).cast_signed());
        }
    }
    None
}

fn take(rest: &mut &[u8]) -> Option<u8> {
    let (first, after) = rest.split_first()?;
    *rest = after;
    Some(*first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(key: &str, secret: bool, expires_at: Option<i64>) -> Entry {
        let at = |micros| Timestamp::from_microsecond(micros).unwrap();
        Entry {
            key: key.into(),
            value: Json::new(r#"{"a":"é"}"#).unwrap(),
            revision: Version(300),
            created_at: at(-5),
            updated_at: at(1_700_000_000_000_000),
            expires_at: expires_at.map(at),
            secret,
        }
    }

    #[test]
    fn what_is_written_reads_back_without_secrets() {
        let mut replaced = Replaced { cursor: Some(Some("c".into())), ..Replaced::default() };
        replaced.note("a", Some(entry("a", false, None)));
        replaced.note("b", Some(entry("b", false, Some(7))));
        replaced.note("c", None);
        replaced.note("d", Some(entry("d", true, None)));
        replaced.note("a", None);
        let encoded = replaced.encode().unwrap();
        let (cursor, entries) = decode(&encoded).unwrap();
        assert_eq!(cursor, Some(Some("c".into())));
        let wanted = [
            ("a".to_owned(), Before::Entry(entry("a", false, None))),
            ("b".to_owned(), Before::Entry(entry("b", false, Some(7)))),
            ("c".to_owned(), Before::Absent),
            ("d".to_owned(), Before::Secret),
        ];
        assert_eq!(entries, wanted);
        // The end of the list is the end of the row, so a cut between two entries cannot show.
        assert!((2..encoded.len()).any(|end| decode(&encoded[..end]).is_none()));
    }

    #[test]
    fn numbers_of_every_size_read_back() {
        for number in [0, 1, -1, 63, 64, -64, -65, i64::MAX, i64::MIN] {
            let mut out = Vec::new();
            write_number(&mut out, number);
            assert_eq!(read_number(&mut &out[..]), Some(number));
        }
        assert_eq!(read_number(&mut &[0x80][..]), None);
    }

    #[test]
    fn too_much_is_a_marker() {
        let mut replaced = Replaced::default();
        replaced.note("a", None);
        replaced.note(
            "b",
            Some(Entry { value: Json::from_store("1".repeat(KEPT).into()), ..entry("b", false, None) }),
        );
        assert!(replaced.encode().is_none() && !replaced.is_empty());
    }
}
