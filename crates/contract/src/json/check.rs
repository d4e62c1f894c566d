//! The rules a JSON text must keep, checked in one pass that builds no value.
//!
//! The call stack does not grow with the depth of the text. The length limit is checked by the caller.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::error::JsonError;
use crate::limits::JSON_DEPTH;

/// What JSON takes for white space.
pub(super) const WHITE_SPACE: [char; 4] = [' ', '\t', '\n', '\r'];

/// Up to so many keys of an object are compared pair by pair, which is faster than sorting.
const FEW_KEYS: usize = 16;

/// Most characters of a repeated key that an error shows.
const SHOWN: usize = 64;

/// Checks that the text is exactly one JSON value without white space around it.
pub(super) fn check(text: &str) -> Result<(), JsonError> {
    let checker = Checker {
        text,
        bytes: text.as_bytes(),
        at: 0,
        open: Vec::with_capacity(8),
        keys: Vec::with_capacity(32),
    };
    checker.run()
}

/// Offset of the first byte at or after `from` that ends or interrupts a string: a quote, a backslash or a
/// control character. The length when there is none.
pub(super) fn string_stop(bytes: &[u8], mut from: usize) -> usize {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    // Eight bytes at a time: a byte minus n borrows into its high bit when it is below n. Such a borrow may spoil
    // bytes after a true hit, never before it, and only the first hit counts.
    while let Some(chunk) = bytes.get(from..).and_then(|rest| rest.first_chunk::<8>()) {
        let word = u64::from_le_bytes(*chunk);
        let control = word.wrapping_sub(ONES * 0x20);
        let quote = (word ^ (ONES * u64::from(b'"'))).wrapping_sub(ONES);
        let escape = (word ^ (ONES * u64::from(b'\\'))).wrapping_sub(ONES);
        let hits = (control | quote | escape) & !word & HIGH;
        if hits != 0 {
            return from + hits.trailing_zeros() as usize / 8;
        }
        from += 8;
    }
    while bytes.get(from).is_some_and(|&byte| byte >= 0x20 && byte != b'"' && byte != b'\\') {
        from += 1;
    }
    from
}

struct Checker<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    open: Vec<Level>,
    /// The keys of all open objects; each object owns the part from its `keys_from`.
    keys: Vec<Key>,
}

/// An array or object that is not closed yet.
struct Level {
    object: bool,
    keys_from: usize,
    /// Whether a key holds an escape, so that keys must be decoded before they are compared.
    escaped: bool,
}

/// A key's text between its quotes. 32 bits are enough below the length limit.
#[derive(Clone, Copy)]
struct Key {
    start: u32,
    end: u32,
}

impl Key {
    fn len(self) -> u32 {
        self.end - self.start
    }
}

impl Checker<'_> {
    fn run(mut self) -> Result<(), JsonError> {
        loop {
            if self.value()? && !self.next_value()? {
                return Ok(());
            }
        }
    }

    /// Takes a scalar or an empty array or object, then `true`; or the beginning of a full one up to
    /// where its first value is due, then `false`.
    fn value(&mut self) -> Result<bool, JsonError> {
        match self.peek() {
            Some(b'"') => self.string().map(|_| true),
            Some(b'{') => self.open(true),
            Some(b'[') => self.open(false),
            Some(b'-' | b'0'..=b'9') => self.number().map(|()| true),
            Some(b't') => self.word("true"),
            Some(b'f') => self.word("false"),
            Some(b'n') => self.word("null"),
            Some(b'N' | b'I') => Err(self.syntax("NaN and infinity are not JSON: expected a value")),
            Some(_) => Err(self.syntax("expected a value")),
            None => Err(self.syntax("unexpected end, expected a value")),
        }
    }

    /// After a value: closes what ends here and goes on to the next value; `false` at the end of the text.
    fn next_value(&mut self) -> Result<bool, JsonError> {
        loop {
            self.white_space();
            let Some(level) = self.open.last() else {
                return if self.at == self.bytes.len() {
                    Ok(false)
                } else {
                    Err(self.syntax("text after the value"))
                };
            };
            match (self.peek(), level.object) {
                (Some(b','), object) => {
                    self.at += 1;
                    self.white_space();
                    if object {
                        self.key()?;
                    }
                    return Ok(true);
                }
                (Some(b'}'), true) | (Some(b']'), false) => self.close()?,
                (None, _) => return Err(self.syntax("unexpected end in an array or object")),
                (_, true) => return Err(self.syntax("expected a comma or }")),
                (_, false) => return Err(self.syntax("expected a comma or ]")),
            }
        }
    }

    fn open(&mut self, object: bool) -> Result<bool, JsonError> {
        if self.open.len() == JSON_DEPTH {
            return Err(JsonError::TooDeep { limit: JSON_DEPTH, at: self.at });
        }
        self.at += 1;
        self.white_space();
        self.open.push(Level { object, keys_from: self.keys.len(), escaped: false });
        if self.peek() == Some(if object { b'}' } else { b']' }) {
            return self.close().map(|()| true);
        }
        if object {
            self.key()?;
        }
        Ok(false)
    }

    fn close(&mut self) -> Result<(), JsonError> {
        self.at += 1;
        let Some(level) = self.open.pop() else { return Ok(()) };
        if self.keys.len() > level.keys_from + 1 {
            self.distinct(&level)?;
        }
        self.keys.truncate(level.keys_from);
        Ok(())
    }

    /// Takes a key, its colon, and the white space up to the value.
    fn key(&mut self) -> Result<(), JsonError> {
        if self.peek() != Some(b'"') {
            return Err(self.syntax("expected a key in double quotes"));
        }
        let start = self.at + 1;
        let escaped = self.string()?;
        self.keys.push(Key { start: start as u32, end: (self.at - 1) as u32 });
        if escaped && let Some(level) = self.open.last_mut() {
            level.escaped = true;
        }
        self.white_space();
        if self.peek() != Some(b':') {
            return Err(self.syntax("expected a colon"));
        }
        self.at += 1;
        self.white_space();
        Ok(())
    }

    /// Takes a string and tells whether it holds an escape.
    fn string(&mut self) -> Result<bool, JsonError> {
        let mut escaped = false;
        self.at += 1;
        loop {
            self.at = string_stop(self.bytes, self.at);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(escaped);
                }
                Some(b'\\') => {
                    self.escape()?;
                    escaped = true;
                }
                Some(_) => return Err(self.syntax("control character in a string")),
                None => return Err(self.syntax("unexpected end in a string")),
            }
        }
    }

    fn escape(&mut self) -> Result<(), JsonError> {
        match self.bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 2;
                Ok(())
            }
            Some(b'u') => {
                let unit = self.code_unit(self.at)?;
                let whole = match unit {
                    0xd800..=0xdbff => {
                        let pair = self.bytes.get(self.at + 6..self.at + 8) == Some(br"\u")
                            && matches!(self.code_unit(self.at + 6)?, 0xdc00..=0xdfff);
                        if pair { 12 } else { 0 }
                    }
                    0xdc00..=0xdfff => 0,
                    _ => 6,
                };
                if whole == 0 {
                    return Err(JsonError::LoneSurrogate { at: self.at });
                }
                self.at += whole;
                Ok(())
            }
            _ => Err(self.syntax("invalid escape")),
        }
    }

    /// The number in the `\uXXXX` that starts at `at`.
    fn code_unit(&self, at: usize) -> Result<u32, JsonError> {
        let digits = self.bytes.get(at + 2..at + 6).unwrap_or_default();
        let mut unit = 0;
        for &digit in digits {
            let Some(digit) = char::from(digit).to_digit(16) else {
                return Err(JsonError::Syntax { problem: "invalid escape", at });
            };
            unit = unit * 16 + digit;
        }
        if digits.len() == 4 { Ok(unit) } else { Err(JsonError::Syntax { problem: "invalid escape", at }) }
    }

    fn number(&mut self) -> Result<(), JsonError> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
            if matches!(self.peek(), Some(b'0'..=b'9')) {
                return Err(self.syntax("number with a leading zero"));
            }
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    /// Takes one digit or more.
    fn digits(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start { Err(self.syntax("expected a digit")) } else { Ok(()) }
    }

    fn word(&mut self, word: &str) -> Result<bool, JsonError> {
        if !self.bytes.get(self.at..).is_some_and(|rest| rest.starts_with(word.as_bytes())) {
            return Err(self.syntax("expected a value"));
        }
        self.at += word.len();
        Ok(true)
    }

    /// Refuses two equal keys among those from the level's first on.
    fn distinct(&mut self, level: &Level) -> Result<(), JsonError> {
        let (text, bytes) = (self.text, self.bytes);
        let keys = self.keys.get_mut(level.keys_from..).unwrap_or_default();
        let repeated = if level.escaped {
            let mut decoded: Vec<_> = keys.iter().map(|key| (decode(text, *key), key.start)).collect();
            repeated(&mut decoded, |a, b| a.0.cmp(&b.0), |key| key.1)
        } else {
            let raw = |key: &Key| &bytes[key.start as usize..key.end as usize];
            // By length first: most keys differ there, and any order does.
            let compare = |a: &Key, b: &Key| a.len().cmp(&b.len()).then_with(|| raw(a).cmp(raw(b)));
            repeated(keys, compare, |key| key.start)
        };
        let Some(start) = repeated else { return Ok(()) };
        let key = self
            .keys
            .iter()
            .find(|key| key.start == start)
            .map_or(Cow::Borrowed(""), |key| decode(text, *key));
        Err(JsonError::DuplicateKey { key: key.chars().take(SHOWN).collect(), at: start as usize - 1 })
    }

    fn white_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn syntax(&self, problem: &'static str) -> JsonError {
        JsonError::Syntax { problem, at: self.at }
    }
}

/// Where the first key starts that appeared before. Sorting keeps big objects near linear without a hash.
fn repeated<K>(
    keys: &mut [K],
    compare: impl Fn(&K, &K) -> Ordering,
    start: impl Fn(&K) -> u32,
) -> Option<u32> {
    let same = |a: &K, b: &K| compare(a, b).is_eq();
    if keys.len() <= FEW_KEYS {
        let mut all = keys.iter().enumerate();
        return all
            .find(|(n, key)| keys[..*n].iter().any(|earlier| same(earlier, key)))
            .map(|(_, key)| start(key));
    }
    keys.sort_unstable_by(|a, b| compare(a, b).then_with(|| start(a).cmp(&start(b))));
    keys.windows(2).filter(|pair| same(&pair[0], &pair[1])).map(|pair| start(&pair[1])).min()
}

/// The key with its escapes resolved. Its token, quotes included, was checked, so parsing it cannot fail.
fn decode(text: &str, key: Key) -> Cow<'_, str> {
    let (start, end) = (key.start as usize, key.end as usize);
    serde_json::from_str(&text[start - 1..=end]).map_or(Cow::Borrowed(&text[start..end]), Cow::Owned)
}
