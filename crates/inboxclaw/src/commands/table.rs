//! Tables for people: aligned columns, one line each, nothing that could play tricks with a terminal.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use inboxclaw_contract::printable;
use jiff::Timestamp;

use super::output;

/// The width that is taken where there is no terminal.
const WIDTH: usize = 160;
/// The last column gets at least this much.
const LEAST: usize = 16;

/// On which side of a column its texts stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Left,
    Right,
}

/// A table that is printed piece by piece. The first piece decides about the widths; the last column takes what is
/// left of the line, and its texts are cut there. No other column makes room for more than half a line: a text that is
/// longer stands out, so that it can still be copied, and moves nothing but its own row.
pub(super) struct Table<const N: usize> {
    columns: [(&'static str, Side); N],
    widths: Option<[usize; N]>,
    width: usize,
}

impl<const N: usize> Table<N> {
    pub(super) fn new(columns: [(&'static str, Side); N]) -> Self {
        Self { columns, widths: None, width: width() }
    }

    /// Prints rows, and the heads before the first ones.
    pub(super) fn rows(&mut self, rows: &[[String; N]]) -> io::Result<()> {
        for line in self.lines(rows) {
            output::line(&line)?;
        }
        Ok(())
    }

    /// The lines of rows, and the heads before the first ones.
    pub(super) fn lines(&mut self, rows: &[[String; N]]) -> Vec<String> {
        let printed = |row: &[String; N]| row.each_ref().map(|cell| printable(cell).into_owned());
        let rows: Vec<[String; N]> = rows.iter().map(printed).collect();
        let mut lines = Vec::with_capacity(rows.len() + 1);
        let widths = match self.widths {
            Some(widths) => widths,
            None => {
                let mut widths = self.columns.map(|(head, _)| columns(head));
                for row in &rows {
                    for (width, cell) in widths.iter_mut().zip(row) {
                        *width = columns(cell).min(self.width / 2).max(*width);
                    }
                }
                self.widths = Some(widths);
                lines.push(self.line(&self.columns.map(|(head, _)| head.to_owned()), &widths));
                widths
            }
        };
        lines.extend(rows.iter().map(|row| self.line(row, &widths)));
        lines
    }

    fn line(&self, cells: &[String; N], widths: &[usize; N]) -> String {
        let mut line = String::new();
        let mut used = 0;
        for (index, cell) in cells.iter().enumerate() {
            if index + 1 == N && self.columns[index].1 == Side::Left {
                line.push_str(&cut(cell, self.width.saturating_sub(used).max(LEAST)));
                break;
            }
            let gap = " ".repeat(widths[index].saturating_sub(columns(cell)));
            match self.columns[index].1 {
                Side::Left => line.extend([cell, gap.as_str(), "  "]),
                Side::Right => line.extend([gap.as_str(), cell, "  "]),
            }
            used += columns(cell).max(widths[index]) + 2;
        }
        line.truncate(line.trim_end().len());
        line
    }
}

/// How wide a line may be.
pub(super) fn width() -> usize {
    let out = io::stdout();
    let terminal = if out.is_terminal() { rustix::termios::tcgetwinsize(&out).ok() } else { None };
    let terminal = terminal.map(|size| usize::from(size.ws_col)).filter(|width| *width > 0);
    let told = || std::env::var("COLUMNS").ok().and_then(|width| width.parse().ok());
    terminal.or_else(told).unwrap_or(WIDTH)
}

/// The start of a text that may be long, as it can be printed.
pub(super) fn start(text: &str, most: usize) -> String {
    let end = text.char_indices().nth(most + 1).map_or(text.len(), |(end, _)| end);
    cut(&printable(&text[..end]), most)
}

/// A text, cut to so many columns.
fn cut(text: &str, most: usize) -> String {
    if columns(text) <= most {
        return text.to_owned();
    }
    let mut used = 1;
    let kept = text.chars().take_while(|c| {
        used += column(*c);
        used <= most
    });
    let mut kept: String = kept.collect();
    kept.push('…');
    kept
}

fn columns(text: &str) -> usize {
    text.chars().map(column).sum()
}

/// How many columns a terminal gives a character: near enough for tables.
fn column(c: char) -> usize {
    match u32::from(c) {
        0x0300..=0x036F | 0xFE00..=0xFE0F => 0,
        0x1100..=0x115F
        | 0x2E80..=0xA4CF
        | 0xAC00..=0xD7A3
        | 0xF900..=0xFAFF
        | 0xFE30..=0xFE6F
        | 0xFF00..=0xFF60
        | 0xFFE0..=0xFFE6
        | 0x1F300..=0x1FAFF
        | 0x20000..=0x3FFFD => 2,
        _ => 1,
    }
}

/// A number of bytes for people.
pub(super) fn size(bytes: u64) -> String {
    let mut units = ["KiB", "MiB", "GiB", "TiB"].into_iter();
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let (mut size, mut unit) = (bytes as f64 / 1024.0, units.next().unwrap_or_default());
    for larger in units {
        if size < 1023.95 {
            break;
        }
        (size, unit) = (size / 1024.0, larger);
    }
    format!("{size:.1} {unit}")
}

/// How far a time is from now: `5 m ago`, `in 5 m`.
pub(super) fn distance(at: Timestamp, now: Timestamp) -> String {
    let gone = now.duration_since(at);
    let length = length(gone.unsigned_abs());
    match (gone.is_negative(), length.as_str()) {
        (_, "0 s") => "now".to_owned(),
        (true, length) => format!("in {length}"),
        (false, length) => format!("{length} ago"),
    }
}

/// A length of time in its largest unit, to the nearest one.
fn length(time: Duration) -> String {
    let seconds = time.as_secs() + u64::from(time.subsec_millis() >= 500);
    for (unit, long) in [("d", 24 * 60 * 60), ("h", 60 * 60), ("m", 60)] {
        if seconds >= long {
            return format!("{} {unit}", (seconds + long / 2) / long);
        }
    }
    format!("{seconds} s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_the_last_is_cut() {
        let mut table = Table::new([("KEY", Side::Left), ("SIZE", Side::Right), ("VALUE", Side::Left)]);
        table.width = 32;
        let row = |key: &str, size: &str, value: &str| [key, size, value].map(str::to_owned);
        let first =
            table.lines(&[row("a", "1 B", "1"), row("漢字", "12 B", "\"0123456789012345678901234\"")]);
        assert_eq!(first, ["KEY   SIZE  VALUE", "a      1 B  1", "漢字  12 B  \"012345678901234567…"]);
        let more = table.lines(&[row("longer than before", "1 B", "\"0123456789012345678\"")]);
        assert_eq!(more, ["longer than before   1 B  \"01234567890123…"], "no second heads");
    }

    #[test]
    fn one_long_text_moves_nothing_but_its_row() {
        let mut table = Table::new([("KEY", Side::Left), ("VALUE", Side::Left)]);
        table.width = 16;
        let row = |key: &str, value: &str| [key, value].map(str::to_owned);
        let lines = table.lines(&[row("a", "1"), row("0123456789", "2")]);
        assert_eq!(lines, ["KEY       VALUE", "a         1", "0123456789  2"]);
    }

    #[test]
    fn the_start_of_a_text_is_printable() {
        assert_eq!(start("abcdef", 4), "abc…");
        assert_eq!(start("\u{1}\u{1}", 4), "\\u0…");
        assert_eq!(start("abcd", 4), "abcd");
    }

    #[test]
    fn sizes_and_times_are_short() {
        for (bytes, shown) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1 << 20, "1.0 MiB"),
            ((1 << 20) - 1, "1.0 MiB"),
        ] {
            assert_eq!(size(bytes), shown);
        }
        let now: Timestamp = "2026-11-22T06:00:00Z".parse().unwrap();
        for (at, shown) in [
            ("2026-11-22T06:00:00.4Z", "now"),
            ("2026-11-22T05:55:00Z", "5 m ago"),
            ("2026-11-22T06:05:29Z", "in 5 m"),
            ("2026-12-22T05:59:59.6Z", "in 30 d"),
            ("2026-11-20T05:00:00Z", "2 d ago"),
            ("2026-11-22T05:59:01Z", "59 s ago"),
            ("2026-11-22T08:00:00Z", "in 2 h"),
        ] {
            assert_eq!(distance(at.parse().unwrap(), now), shown, "{at}");
        }
    }
}
