//! Dates as feeds write them. What cannot be understood is no date, and never a reason to lose an entry.
//!
//! Two families: numbers from the year down (RFC 3339, the profile of ISO 8601 by the W3C, and what looks like it), and
//! words in any order (RFC 822, RFC 2822, asctime and their relatives). A date without a zone is UTC. A month may be
//! named in one of several languages; one in numbers with slashes is left out, because nobody knows which is the day.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::Offset;

/// The beginnings of the names of months, for each of them. English, German, French, Spanish, Italian, Portuguese,
/// Dutch, Danish, Norwegian, Swedish, Polish, Russian.
const MONTHS: [&[&str]; 12] = [
    &["jan", "ene", "gen", "sty", "\u{44f}\u{43d}\u{432}"],
    &["feb", "f\u{e9}v", "fev", "lut", "\u{444}\u{435}\u{432}"],
    &["mar", "m\u{e4}r", "mrt", "maa", "mrz", "\u{43c}\u{430}\u{440}"],
    &["apr", "avr", "abr", "kwi", "\u{430}\u{43f}\u{440}"],
    &["may", "mai", "mag", "mei", "maj", "\u{43c}\u{430}\u{439}", "\u{43c}\u{430}\u{44f}"],
    &["jun", "juin", "giu", "cze", "\u{438}\u{44e}\u{43d}"],
    &["jul", "juil", "lug", "lip", "\u{438}\u{44e}\u{43b}"],
    &["aug", "ao\u{fb}", "aou", "ago", "sie", "\u{430}\u{432}\u{433}"],
    &["sep", "set", "wrz", "\u{441}\u{435}\u{43d}"],
    &["oct", "okt", "out", "ott", "pa\u{17a}", "\u{43e}\u{43a}\u{442}"],
    &["nov", "lis", "\u{43d}\u{43e}\u{44f}"],
    &["dec", "dez", "d\u{e9}c", "dic", "des", "gru", "\u{434}\u{435}\u{43a}"],
];

/// Zones by name (RFC 822, section 5.1, and those that are common since), in hours and minutes east of UTC.
const ZONES: [(&str, i32); 25] = [
    ("ut", 0),
    ("utc", 0),
    ("gmt", 0),
    ("z", 0),
    ("wet", 0),
    ("bst", 100),
    ("west", 100),
    ("cet", 100),
    ("met", 100),
    ("cest", 200),
    ("mest", 200),
    ("eet", 200),
    ("sast", 200),
    ("eest", 300),
    ("msk", 300),
    ("jst", 900),
    ("kst", 900),
    ("est", -500),
    ("edt", -400),
    ("cst", -600),
    ("cdt", -500),
    ("mst", -700),
    ("mdt", -600),
    ("pst", -800),
    ("pdt", -700),
];

/// Reads a date.
pub(super) fn parse(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if text.len() > 100 {
        return None;
    }
    numeric(text).or_else(|| worded(text))
}

/// `2026-11-02T10:00:00.5+01:00`, and less of it: `2026`, `2026-11`, `20261102T1000Z`, `2026-11-02 10:00 CET`.
fn numeric(text: &str) -> Option<Timestamp> {
    let digits = |text: &str, count: usize| {
        let part = text.get(..count).filter(|part| part.bytes().all(|byte| byte.is_ascii_digit()))?;
        part.parse::<i16>().ok().map(|number| (number, text[count..].to_owned()))
    };
    let (year, mut rest) = digits(text, 4)?;
    let dashed = rest.starts_with(['-', '/', '.']);
    let part = |rest: &str| digits(if dashed { rest.get(1..)? } else { rest }, 2);
    let (mut month, mut day) = (1, 1);
    if let Some((found, behind)) = part(&rest) {
        (month, rest) = (found, behind);
        if let Some((found, behind)) = part(&rest) {
            (day, rest) = (found, behind);
        }
    }
    let date = Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()?;
    let rest = rest.trim_start_matches(['T', 't', ',', ' ']);
    let end = rest.find(|c: char| !c.is_ascii_digit() && !matches!(c, ':' | '.' | ',')).unwrap_or(rest.len());
    // A time without colons.
    let time = match &rest[..end] {
        "" => (Time::midnight(), false),
        plain if !plain.contains(':') && plain.len() >= 4 => {
            let minutes = plain.get(..4)?;
            let seconds = plain.get(4..6).unwrap_or("00");
            time(&format!("{}:{}:{seconds}", &minutes[..2], &minutes[2..]))?
        }
        plain => time(plain)?,
    };
    let rest: Vec<&str> = rest[end..].split_whitespace().collect();
    let zone = rest.iter().find_map(|word| zone(word));
    let known = rest.iter().all(zone_or_half);
    known.then(|| at(date, time, zone, half(&rest))).flatten()
}

/// `Mon, 02 Nov 2026 10:00:00 +0100`, in any order and with less or more of it.
fn worded(text: &str) -> Option<Timestamp> {
    let text = text.replace(',', " ");
    let (mut day, mut month, mut year, mut clock, mut offset) = (None, None, None, None, None);
    let mut is_weekday = false;
    let words: Vec<&str> = text.split_whitespace().flat_map(split_dashes).collect();
    for (place, word) in words.iter().enumerate() {
        let number = word.trim_end_matches(['.', 't', 's', 'h', 'n', 'r', 'd', '\u{ba}']).parse::<i16>().ok();
        let is_day = |number: &i16| (1..=31).contains(number) && word.len() <= 4;
        if word.contains(':') && clock.is_none() {
            let end =
                word.find(|c: char| !c.is_ascii_digit() && !matches!(c, ':' | '.')).unwrap_or(word.len());
            clock = Some(time(&word[..end])?);
            offset = offset.or_else(|| zone(&word[end..]));
        } else if word.starts_with(['+', '-']) {
            offset = offset.or_else(|| zone(word));
        } else if let Some(number) = number.filter(|number| day.is_none() && is_day(number)) {
            day = Some(number);
        } else if let Some(number) = number.filter(|_| year.is_none()) {
            year = Some(full_year(number, word.len()));
        } else if let Some(found) = month_of(word).filter(|_| month.is_none() || is_weekday) {
            // `mar` may be a Tuesday, where another word names a month.
            (month, is_weekday) = (Some(found), place == 0);
        } else if place > 0 {
            offset = offset.or_else(|| zone(word));
        }
    }
    let date = Date::new(year?, month?, i8::try_from(day?).ok()?).ok()?;
    at(date, clock.unwrap_or((Time::midnight(), false)), offset, half(&words))
}

/// `02-Nov-2026` are three words. An offset, which begins with its sign, is one.
fn split_dashes(word: &str) -> impl Iterator<Item = &str> {
    let whole = word.starts_with(['+', '-']) || word.contains(':');
    word.split(move |c| c == '-' && !whole).filter(|part| !part.is_empty())
}

/// A year of two digits is one of these hundred years: RFC 2822, section 4.3.
fn full_year(number: i16, length: usize) -> i16 {
    match (length, number) {
        (1 | 2, ..50) => 2000 + number,
        (1..=3, _) => 1900 + number,
        _ => number,
    }
}

fn month_of(word: &str) -> Option<i8> {
    let word = word.to_lowercase();
    let found = MONTHS.iter().position(|names| names.iter().any(|name| word.starts_with(name)))?;
    i8::try_from(found + 1).ok()
}

/// A time of day, and whether it means the next day, which is what `24:00` does.
fn time(text: &str) -> Option<(Time, bool)> {
    let mut parts = text.trim_end_matches([':', '.', ',']).split(':');
    let hour: i8 = parts.next()?.parse().ok()?;
    let minute: i8 = parts.next()?.parse().ok()?;
    let seconds = parts.next().unwrap_or("0");
    let (second, fraction) = seconds.split_once(['.', ',']).unwrap_or((seconds, ""));
    let fraction = fraction.get(..fraction.len().min(9))?;
    let nanoseconds = format!("{fraction:0<9}").parse().ok()?;
    // A leap second is the last second of its minute, as everywhere.
    let second = second.parse::<i8>().ok()?.min(59);
    let time = Time::new(if hour == 24 { 0 } else { hour }, minute, second, nanoseconds).ok()?;
    Some((time, hour == 24 && minute == 0))
}

/// `+01:00`, `+0100`, `+01`, `GMT+1`, `CET`, in brackets or not.
fn zone(word: &str) -> Option<Offset> {
    let word = word.trim_matches(['(', ')', '[', ']']).to_ascii_lowercase();
    if let Some((_, number)) = ZONES.iter().find(|(name, _)| *name == word) {
        return Offset::from_seconds((number / 100 * 60 + number % 100) * 60).ok();
    }
    let word = ["gmt", "utc"].iter().find_map(|name| word.strip_prefix(name)).unwrap_or(&word);
    let sign = if word.starts_with('-') || word.starts_with('\u{2212}') { -1 } else { 1 };
    let digits = word.strip_prefix(['+', '-', '\u{2212}'])?;
    let (hours, minutes) = match (digits.split_once(':'), digits.len()) {
        (Some(parts), _) => parts,
        (None, 1 | 2) => (digits, "0"),
        (None, 3) => digits.split_at_checked(1)?,
        (None, _) => digits.split_at_checked(2)?,
    };
    let (hours, minutes): (i32, i32) = (hours.parse().ok()?, minutes.parse().ok()?);
    Offset::from_seconds(sign * (hours * 60 + minutes) * 60).ok()
}

/// Which half of the day words name, if they do.
fn half(words: &[&str]) -> Option<bool> {
    words.iter().find_map(|word| match word.trim_end_matches('.').to_ascii_lowercase().as_str() {
        "pm" | "p.m" => Some(true),
        "am" | "a.m" => Some(false),
        _ => None,
    })
}

fn zone_or_half(word: &&str) -> bool {
    zone(word).is_some() || half(&[word]).is_some() || word.starts_with(['(', '['])
}

fn at(date: Date, (time, next): (Time, bool), zone: Option<Offset>, pm: Option<bool>) -> Option<Timestamp> {
    let hour = match (pm, time.hour()) {
        (Some(true), hour @ ..12) => hour + 12,
        (Some(false), 12) => 0,
        (_, hour) => hour,
    };
    let time = time.with().hour(hour).build().ok()?;
    let date = if next { date.tomorrow().ok()? } else { date };
    let local = DateTime::from_parts(date, time);
    zone.unwrap_or(Offset::UTC).to_timestamp(local).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_as_they_are_written() {
        for (text, expected) in [
            ("2026-11-02T10:00:00Z", "2026-11-02T10:00:00Z"),
            ("2026-11-02T10:00:00.25+01:00", "2026-11-02T09:00:00.25Z"),
            ("2026-11-02T10:00+01:00", "2026-11-02T09:00:00Z"),
            ("2026-11-02t10:00:00z", "2026-11-02T10:00:00Z"),
            ("2026-11-02T10:00:00+0100", "2026-11-02T09:00:00Z"),
            ("2026-11-02T10:00:00", "2026-11-02T10:00:00Z"),
            ("2026-11-02 10:00:00 +0100", "2026-11-02T09:00:00Z"),
            ("2026-11-02 10:00:00 PDT", "2026-11-02T17:00:00Z"),
            ("2026-11-02T24:00:00Z", "2026-11-03T00:00:00Z"),
            ("2026-12-31T23:59:60Z", "2026-12-31T23:59:59Z"),
            ("2026-11-02", "2026-11-02T00:00:00Z"),
            ("2026-11", "2026-11-01T00:00:00Z"),
            ("2026", "2026-01-01T00:00:00Z"),
            ("20261102", "2026-11-02T00:00:00Z"),
            ("20261102T100000Z", "2026-11-02T10:00:00Z"),
            ("2026/11/02 10:00", "2026-11-02T10:00:00Z"),
            ("Mon, 02 Nov 2026 10:00:00 +0100", "2026-11-02T09:00:00Z"),
            ("Mon, 2 Nov 2026 10:00 GMT", "2026-11-02T10:00:00Z"),
            ("02 Nov 26 10:00 EST", "2026-11-02T15:00:00Z"),
            ("Wed, 2 November 2026 9:05:00 Z", "2026-11-02T09:05:00Z"),
            ("Tue, 18 Sept 2018 15:53:56 +0300", "2018-09-18T12:53:56Z"),
            ("Tue, Jan 23 2018 02:54:55 MST", "2018-01-23T09:54:55Z"),
            ("Sat, Oct 28 2023 08:28:28 PM", "2023-10-28T20:28:28Z"),
            ("Sun, 15 Dec 2024 12:15 PM", "2024-12-15T12:15:00Z"),
            ("Sun, 15 Dec 2024 12:15 AM", "2024-12-15T00:15:00Z"),
            ("Thu, 02 Sep 2021 20:0:0 Z", "2021-09-02T20:00:00Z"),
            ("ma, 08 okt 2018 10:09:29 +0000", "2018-10-08T10:09:29Z"),
            ("Sat, 15 F\u{e9}v 2025 08:00:00 +0100", "2025-02-15T07:00:00Z"),
            ("mar., 03 nov. 2026 10:00:00 +0100", "2026-11-03T09:00:00Z"),
            ("wtorek, 3 stycznia 2026 10:00", "2026-01-03T10:00:00Z"),
            ("02-Nov-2026 10:00:00 UTC", "2026-11-02T10:00:00Z"),
            ("Mon Nov  2 10:00:00 2026", "2026-11-02T10:00:00Z"),
            ("Mon Nov 02 10:00:00 CET 2026", "2026-11-02T09:00:00Z"),
            ("Mon Nov 02 2026 10:00:00 GMT+0100 (Central European Standard Time)", "2026-11-02T09:00:00Z"),
            ("November 2, 2026", "2026-11-02T00:00:00Z"),
            ("Mon, 02 Nov 2026", "2026-11-02T00:00:00Z"),
            ("Mon, 02 Nov 2026 10:00:00 -0000", "2026-11-02T10:00:00Z"),
            ("Mon, 02 Nov 2026 10:00:00 UT", "2026-11-02T10:00:00Z"),
            (" \n Mon, 02 Nov 2026 10:00:00 GMT \n", "2026-11-02T10:00:00Z"),
        ] {
            assert_eq!(parse(text).map(|at| at.to_string()).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in [
            "",
            "Tue,",
            "now",
            "Invalid Date",
            "0",
            "02/03/2026",
            "2026-13-01",
            "2026-02-30T10:00:00Z",
            "Mon, 32 Nov 2026 10:00:00 GMT",
            "Mon, 02 Nov 2026 25:00:00 GMT",
            "0000-00-00 00:00:00",
            "2026-11-02T10:00:00 nonsense",
            "\u{f6}\u{f6}\u{f6}\u{f6}-\u{f6}",
            "+\u{f6}\u{f6}: 1 jan 2026 +\u{f6}\u{f6}\u{f6}",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(parse(&"1 ".repeat(10_000)), None);
    }

    proptest::proptest! {
        #[test]
        fn any_text_comes_to_an_end(text in "\\PC{0,40}") {
            let _ = parse(&text);
        }

        #[test]
        fn words_in_any_order_come_to_an_end(words in proptest::collection::vec("[0-9:+-]{1,6}|jan|utc|pm|mon,", 0..8)) {
            let _ = parse(&words.join(" "));
        }
    }
}
