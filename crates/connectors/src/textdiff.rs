//! The difference of two texts, block by block: what `content_diff` and `contentDiff` hold in payloads.
//!
//! A block is a run of lines without an empty line. The comparison (in `matcher`) follows the Ratcliff/Obershelp
//! method with the choices of Python's `difflib.SequenceMatcher`, so that numbers and order are those people know.
//! Left out: differences within a block.

mod matcher;
#[cfg(test)]
mod tests;

use serde::Serialize;

use crate::text::cut;
use matcher::Opcode;

/// Most blocks on either side. The method needs the square of it in the worst case.
pub const MAX_BLOCKS: usize = 4_096;

/// What a cut text ends with.
const CUT: &str = " (truncated)";

/// How much of a difference is shown. The counts are never cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Most pairs in [`TextDiff::changes`].
    pub sections: usize,
    /// Most characters of each text of a pair, before the mark that it was cut.
    pub section_chars: usize,
}

/// The default of `max_changed_sections`.
pub(crate) fn default_sections() -> usize {
    5
}

/// The default of `max_section_chars`.
pub(crate) fn default_section_chars() -> usize {
    300
}

/// What changed from one text to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TextDiff {
    /// How many blocks changed, the larger side counted where blocks were replaced.
    pub total_changed_sections: usize,
    /// The first changes, in the order of the text.
    pub changes: Vec<Change>,
    /// Characters of the new blocks.
    pub added_char_count: usize,
    /// Characters of the blocks that they replace.
    pub removed_char_count: usize,
}

/// One block, before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The old block; `None` where one was added.
    pub before: Option<String>,
    /// The new block; `None` where one was removed.
    pub after: Option<String>,
}

/// Compares two texts; `None` when one has more than [`MAX_BLOCKS`] blocks.
#[must_use]
pub fn diff(old: &str, new: &str, bounds: Bounds) -> Option<TextDiff> {
    let (old, new) = (blocks(old), blocks(new));
    if old.len().max(new.len()) > MAX_BLOCKS {
        return None;
    }
    let mut diff = TextDiff {
        total_changed_sections: 0,
        changes: Vec::new(),
        added_char_count: 0,
        removed_char_count: 0,
    };
    for Opcode { old: from, new: to } in matcher::changes(&old, &new) {
        let (before, after) = (&old[from], &new[to]);
        diff.total_changed_sections += before.len().max(after.len());
        diff.removed_char_count += joined_chars(before);
        diff.added_char_count += joined_chars(after);
        let missing = bounds.sections - diff.changes.len();
        diff.changes.extend((0..before.len().max(after.len())).take(missing).map(|at| Change {
            before: before.get(at).map(|text| cut(text, bounds.section_chars, CUT)),
            after: after.get(at).map(|text| cut(text, bounds.section_chars, CUT)),
        }));
    }
    Some(diff)
}

/// The blocks of a text: line ends unified, lines and blocks trimmed.
fn blocks(text: &str) -> Vec<String> {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut blocks = Vec::new();
    let mut block = String::new();
    for line in text.split('\n').map(|line| line.trim_end_matches(is_space)).chain([""]) {
        if !line.is_empty() {
            if !block.is_empty() {
                block.push('\n');
            }
            block.push_str(line);
        } else if !block.is_empty() {
            blocks.push(block.trim_start_matches(is_space).to_owned());
            block.clear();
        }
    }
    blocks
}

/// White space as Python's `str.strip` and `\s` see it: Unicode's and the four information separators.
fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// Length in code points of blocks joined by an empty line.
fn joined_chars(blocks: &[String]) -> usize {
    let chars: usize = blocks.iter().map(|block| block.chars().count()).sum();
    chars + 2 * blocks.len().saturating_sub(1)
}
