//! Text of strangers, for a terminal or a line of a log: file names, titles, keys, messages of other programs.

use std::borrow::Cow;
use std::fmt::Write as _;

/// The text with everything spelled out, as JSON does it, that moves the cursor, forges a line, turns the direction of
/// its neighbours or cannot be seen: control characters (line ends and tabs among them), the separators of lines and
/// paragraphs, and what Unicode calls ignorable by default (bidirectional marks, zero-width characters, tags, fillers,
/// variation selectors), but for the selector of how an emoji looks. Of a JSON text on one line it makes another JSON
/// text of the same value.
pub fn printable(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    let mut before = ' ';
    for c in text.chars() {
        match c {
            '\n' => shown.push_str("\\n"),
            '\t' => shown.push_str("\\t"),
            '\r' => shown.push_str("\\r"),
            '\u{FE0E}' | '\u{FE0F}' if is_pictured(before) => shown.push(c),
            c if is_hidden(c) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    // Writing to a string cannot fail.
                    let _ = write!(shown, "\\u{unit:04x}");
                }
            }
            c => shown.push(c),
        }
        before = c;
    }
    Cow::Owned(shown)
}

/// Whether a character does something to a terminal, or shows nothing. The ranges from U+00AD on are
/// `Default_Ignorable_Code_Point` of Unicode 14 (`DerivedCoreProperties.txt`), and the controls of annotations.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{AD}'
                | '\u{34F}'
                | '\u{61C}'
                | '\u{115F}'..='\u{1160}'
                | '\u{17B4}'..='\u{17B5}'
                | '\u{180B}'..='\u{180F}'
                | '\u{200B}'..='\u{200F}'
                | '\u{2028}'..='\u{202E}'
                | '\u{2060}'..='\u{206F}'
                | '\u{3164}'
                | '\u{FE00}'..='\u{FE0F}'
                | '\u{FEFF}'
                | '\u{FFA0}'
                | '\u{FFF0}'..='\u{FFFB}'
                | '\u{1BCA0}'..='\u{1BCA3}'
                | '\u{1D173}'..='\u{1D17A}'
                | '\u{E0000}'..='\u{E0FFF}'
        )
}

/// Whether a selector behind this character may say that it is to look like an emoji: keycaps and symbols.
fn is_pictured(c: char) -> bool {
    matches!(c, '#' | '*' | '0'..='9' | '©' | '®') || (c >= '\u{203C}' && !c.is_alphabetic() && !is_hidden(c))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_plays_tricks_with_a_terminal() {
        for (text, shown) in [
            ("a\u{1b}[31m\n\t\r\u{0}\u{7f}", "a\\u001b[31m\\n\\t\\r\\u0000\\u007f"),
            ("\u{80}\u{85}\u{9b}2J\u{9f}", "\\u0080\\u0085\\u009b2J\\u009f"),
            (
                "exe.\u{202e}fdp\u{2066}\u{2069}\u{200e}\u{200f}\u{61c}",
                "exe.\\u202efdp\\u2066\\u2069\\u200e\\u200f\\u061c",
            ),
            (
                "a\u{200b}b\u{200c}\u{200d}\u{2060}\u{feff}\u{ad}",
                "a\\u200bb\\u200c\\u200d\\u2060\\ufeff\\u00ad",
            ),
            ("a\u{2028}b\u{2029}", "a\\u2028b\\u2029"),
            ("\u{e0041}\u{e007f}\u{e0100}", "\\udb40\\udc41\\udb40\\udc7f\\udb40\\udd00"),
            ("\u{3164}\u{115f}\u{ffa0}\u{180e}\u{fff9}", "\\u3164\\u115f\\uffa0\\u180e\\ufff9"),
            ("a\u{fe0f}\u{fe01}☺\u{fe0f}\u{fe0f}☺\u{fe00}", "a\\ufe0f\\ufe01☺\u{fe0f}\\ufe0f☺\\ufe00"),
            ("ž😀 漢字 é عربي \u{301}", "ž😀 漢字 é عربي \u{301}"),
            ("\\u001b", "\\u001b"),
        ] {
            assert_eq!(printable(text), shown, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn json_stays_what_it_is(text in "\\PC{0,9}.{0,9}\\p{Cf}{0,9}") {
            let json = serde_json::to_string(&text).unwrap();
            let shown = printable(&json);
            prop_assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), text);
            prop_assert_eq!(printable(&shown), shown.as_ref());
        }
    }
}
