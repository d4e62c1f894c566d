//! A document as text, by what is known of its encoding, in this order: a byte order mark, the shape of UTF-16 and
//! UTF-32, what the HTTP header says, what the XML declaration says, the bytes themselves.
//!
//! A word in a header is often nobody's intention, while bytes that are valid UTF-8 beyond ASCII are hardly ever
//! anything else. So an announced encoding counts where the bytes can be of it, and UTF-8 needs no announcement. Bytes
//! that are broken become U+FFFD: one of them costs a character and not the feed.
//!
//! Left out: UTF-7, which no reader supports any more, because it hides markup from whoever looks for it.

use std::borrow::Cow;

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, ISO_2022_JP, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

/// How far a declaration is looked for: servers write warnings before it.
const DECLARATION: usize = 2 << 10;
/// How many bytes tell UTF-16 and UTF-32 by their zeros.
const SHAPE: usize = 64;
/// How many bytes a guess needs at most.
const GUESS: usize = 64 << 10;
/// From so many broken bytes on, without a single character of UTF-8 beyond ASCII, a document is not the UTF-8 that it
/// says it is. Below it is UTF-8 with a blemish.
const NO_UTF_8: usize = 4;

/// Decodes the body of an answer with that `Content-Type`.
pub(super) fn decode<'a>(body: &'a [u8], content_type: Option<&str>) -> Cow<'a, str> {
    if let Some((wide, mark)) = utf_32(body) {
        return Cow::Owned(wide_text(&body[mark..], wide));
    }
    if let Some((encoding, mark)) = Encoding::for_bom(body) {
        return encoding.decode_without_bom_handling(&body[mark..]).0;
    }
    let announced = [content_type.and_then(charset), declared(body)];
    let announced: Vec<&Encoding> = announced.iter().flatten().filter_map(|label| named(label)).collect();
    let encoding = utf_16(body).unwrap_or_else(|| narrow(body, &announced));
    encoding.decode_without_bom_handling(body).0
}

/// The encoding of a body whose characters begin with a byte of their own.
fn narrow(body: &[u8], announced: &[&'static Encoding]) -> &'static Encoding {
    let Err(_) = str::from_utf8(body) else {
        // Plain ASCII, unless it is the one encoding that hides in it.
        let hidden = announced.contains(&ISO_2022_JP) && body.contains(&0x1b);
        return if hidden { ISO_2022_JP } else { UTF_8 };
    };
    let (whole, broken) = utf_8(body);
    if whole > broken {
        return UTF_8;
    }
    let is_clean = |encoding: &'static Encoding| !encoding.decode_without_bom_handling(body).1;
    let mut others = announced.iter().copied().filter(|encoding| *encoding != UTF_8);
    let first = others.clone().next();
    match others.find(|encoding| is_clean(encoding)).or(first) {
        Some(encoding) => encoding,
        None if announced.contains(&UTF_8) && (whole > 0 || broken < NO_UTF_8) => UTF_8,
        None => guess(body),
    }
}

/// How many characters beyond ASCII are whole, and how many are broken, if it is UTF-8.
fn utf_8(body: &[u8]) -> (usize, usize) {
    body.utf8_chunks().fold((0, 0), |(whole, broken), chunk| {
        let beyond = chunk.valid().chars().filter(|c| !c.is_ascii()).count();
        (whole + beyond, broken + usize::from(!chunk.invalid().is_empty()))
    })
}

/// By what the bytes are most likely to be. Western where nothing tells.
fn guess(body: &[u8]) -> &'static Encoding {
    let start = body.iter().position(|byte| !byte.is_ascii()).unwrap_or_default().saturating_sub(SHAPE);
    let part = &body[start..body.len().min(start + GUESS)];
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    detector.feed(part, true);
    let found = detector.guess(None, Utf8Detection::Deny);
    if found == UTF_8 { WINDOWS_1252 } else { found }
}

/// The encoding behind a label, if it is one that a body without zeros can have.
fn named(label: &str) -> Option<&'static Encoding> {
    let label = label.trim().to_ascii_lowercase();
    // Names that the list for browsers lacks (https://encoding.spec.whatwg.org/#names-and-labels).
    let label = match label.as_str() {
        "cp932" => "shift_jis",
        "cp936" => "gbk",
        "cp949" => "euc-kr",
        "cp950" => "big5",
        "utf8mb4" | "utf_8" => "utf-8",
        label => label,
    };
    let found = Encoding::for_label_no_replacement(label.as_bytes())?;
    (found != UTF_16LE && found != UTF_16BE).then_some(found)
}

/// The `charset` of a content type.
fn charset(content_type: &str) -> Option<&str> {
    content_type.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches(['"', '\'']))
    })
}

/// The `encoding` of an XML declaration near the start.
fn declared(body: &[u8]) -> Option<&str> {
    let start = &body[..body.len().min(DECLARATION)];
    let from = find(start, b"<?xml")?;
    let end = find(&start[from..], b">").map_or(start.len(), |length| from + length);
    let declaration = &start[from..end];
    let value = declaration[find(declaration, b"encoding")? + b"encoding".len()..].trim_ascii_start();
    let value = value.strip_prefix(b"=")?.trim_ascii_start();
    let quote = value.first().filter(|quote| matches!(quote, b'"' | b'\''))?;
    let value = value[1..].split(|byte| byte == quote).next()?;
    str::from_utf8(value).ok()
}

fn find(text: &[u8], word: &[u8]) -> Option<usize> {
    text.windows(word.len()).position(|part| part == word)
}

/// UTF-16 without a mark: ASCII, of which markup is made, has a zero before or behind each letter, and nothing else has
/// any.
fn utf_16(body: &[u8]) -> Option<&'static Encoding> {
    let start = &body[..body.len().min(SHAPE)];
    let zeros = |at: usize| start.iter().skip(at).step_by(2).filter(|byte| **byte == 0).count();
    match (zeros(0), zeros(1)) {
        (2.., 0) => Some(UTF_16BE),
        (0, 2..) => Some(UTF_16LE),
        _ => None,
    }
}

/// The order of bytes of UTF-32.
#[derive(Clone, Copy)]
enum Wide {
    Little,
    Big,
}

/// UTF-32 with or without a mark, and the length of that.
fn utf_32(body: &[u8]) -> Option<(Wide, usize)> {
    match body {
        [0xff, 0xfe, 0, 0, ..] => Some((Wide::Little, 4)),
        [0, 0, 0xfe, 0xff, ..] => Some((Wide::Big, 4)),
        [b'<' | b'{', 0, 0, 0, ..] => Some((Wide::Little, 0)),
        [0, 0, 0, b'<' | b'{', ..] => Some((Wide::Big, 0)),
        _ => None,
    }
}

fn wide_text(body: &[u8], wide: Wide) -> String {
    let number = |bytes: [u8; 4]| match wide {
        Wide::Little => u32::from_le_bytes(bytes),
        Wide::Big => u32::from_be_bytes(bytes),
    };
    let characters = body.as_chunks::<4>().0.iter().map(|bytes| char::from_u32(number(*bytes)));
    characters.map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUSSIAN: &str = "<t>\u{41f}\u{440}\u{438}\u{432}\u{435}\u{442}, \u{43c}\u{438}\u{440}</t>";
    const GERMAN: &str = "<t>Gr\u{fc}ezi</t>";

    fn encoded(text: &str, label: &str) -> Vec<u8> {
        Encoding::for_label(label.as_bytes()).unwrap().encode(text).0.into_owned()
    }

    fn with(declaration: &str, body: &[u8]) -> Vec<u8> {
        [format!("<?xml version='1.0' encoding='{declaration}'?>").as_bytes(), body].concat()
    }

    /// The end of the text, which is what was encoded.
    fn read(body: &[u8], content_type: Option<&str>) -> String {
        let text = decode(body, content_type);
        text[text.find("<t>").unwrap_or_default()..].to_owned()
    }

    #[test]
    fn a_mark_wins_over_every_word() {
        let marked = [b"\xef\xbb\xbf".as_slice(), &with("windows-1251", RUSSIAN.as_bytes())].concat();
        assert_eq!(read(&marked, Some("text/xml; charset=koi8-r")), RUSSIAN);
        let wide: Vec<u8> = RUSSIAN.encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert_eq!(read(&[b"\xfe\xff".as_slice(), &wide].concat(), Some("text/xml; charset=utf-8")), RUSSIAN);
        let wide: Vec<u8> = RUSSIAN.chars().flat_map(|c| u32::from(c).to_le_bytes()).collect();
        assert_eq!(read(&[b"\xff\xfe\0\0".as_slice(), &wide].concat(), None), RUSSIAN);
    }

    #[test]
    fn the_shape_tells_wide_characters() {
        let little: Vec<u8> = RUSSIAN.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = GERMAN.encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert_eq!(read(&little, Some("text/xml; charset=utf-8")), RUSSIAN);
        assert_eq!(read(&big, None), GERMAN);
        let big: Vec<u8> = GERMAN.chars().flat_map(|c| u32::from(c).to_be_bytes()).collect();
        assert_eq!(read(&big, None), GERMAN);
    }

    #[test]
    fn the_header_comes_before_the_declaration() {
        let cyrillic = encoded(RUSSIAN, "windows-1251");
        for content_type in
            ["text/xml; charset=windows-1251", "text/xml;charset=\"CP1251\"", "x; a=b; Charset = 'cp1251'"]
        {
            assert_eq!(read(&with("iso-8859-1", &cyrillic), Some(content_type)), RUSSIAN, "{content_type}");
        }
        assert_eq!(read(&with("windows-1251", &cyrillic), Some("text/xml")), RUSSIAN);
        assert_eq!(read(&with("windows-1251", &cyrillic), Some("text/xml; charset=none")), RUSSIAN);
        assert_eq!(read(&with("windows-1251", &cyrillic), Some("text/xml; charset=utf-8")), RUSSIAN);
    }

    #[test]
    fn utf_8_is_recognized_whatever_is_said() {
        for label in ["us-ascii", "iso-8859-1", "utf-16", "ucs-2", "windows-1252", "nonsense", ""] {
            assert_eq!(read(&with(label, GERMAN.as_bytes()), None), GERMAN, "{label}");
        }
        assert_eq!(read(GERMAN.as_bytes(), Some("text/xml; charset=ISO-8859-1")), GERMAN);
    }

    #[test]
    fn other_encodings_are_read_by_their_names() {
        for (label, text) in [
            ("Shift_JIS", "<t>\u{30d5}\u{30a1}\u{30a4}\u{30eb}</t>"),
            ("cp932", "<t>\u{30d5}\u{30a1}\u{30a4}\u{30eb}</t>"),
            ("euc-jp", "<t>\u{30d5}\u{30a1}\u{30a4}\u{30eb}</t>"),
            ("iso-2022-jp", "<t>\u{30d5}\u{30a1}\u{30a4}\u{30eb}</t>"),
            ("gb2312", "<t>\u{8054}\u{901a}</t>"),
            ("big5", "<t>\u{7e41}\u{9ad4}</t>"),
            ("euc-kr", "<t>\u{d55c}\u{ad6d}</t>"),
            ("koi8-r", RUSSIAN),
            ("iso-8859-2", "<t>\u{17e}lu\u{165}ou\u{10d}k\u{fd}</t>"),
            ("windows-1252", "<t>\u{201c}caf\u{e9}\u{201d}</t>"),
        ] {
            let known = if label == "cp932" { "shift_jis" } else { label };
            assert_eq!(read(&with(label, &encoded(text, known)), None), text, "{label}");
        }
    }

    #[test]
    fn broken_bytes_become_a_sign_for_them() {
        let broken = [b"<t>Caf\xe9 ".as_slice(), "\u{fc}ber</t>".as_bytes()].concat();
        for announced in ["utf-8", "iso-8859-1"] {
            let whole = [broken.as_slice(), "\u{e4}\u{f6}".as_bytes()].concat();
            assert!(read(&with(announced, &whole), None).starts_with("<t>Caf\u{fffd} \u{fc}ber"));
        }
        assert_eq!(read(&with("utf-8", b"<t>Caf\xe9</t>"), None), "<t>Caf\u{fffd}</t>");
    }

    #[test]
    fn what_says_nothing_true_is_guessed() {
        let west =
            encoded("<t>d\u{e9}j\u{e0} vu \u{e0} c\u{f4}t\u{e9} de l'\u{e9}t\u{e9}</t>", "windows-1252");
        for body in [west.clone(), with("utf-8", &west)] {
            assert_eq!(
                read(&body, None),
                "<t>d\u{e9}j\u{e0} vu \u{e0} c\u{f4}t\u{e9} de l'\u{e9}t\u{e9}</t>"
            );
        }
        assert_eq!(decode(b"", None), "");
        assert_eq!(decode(b"\xff", None).chars().count(), 1);
    }
}
