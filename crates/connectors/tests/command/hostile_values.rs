//! Whatever a value holds, the shell takes it for one literal part of a word. The real `/bin/sh` says what it was given.

use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::json;

use crate::{event, sender, sent};
use inboxclaw_contract::Receipt;

/// How many commands are run. A case has up to twelve values in up to four words.
const CASES: u32 = 2_048;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quotes {
    None,
    Double,
    Single,
}

/// Part of a word: literal text, a value, more literal text, all within the same quotes.
#[derive(Debug, Clone)]
struct Part {
    quotes: Quotes,
    before: String,
    value: usize,
    as_json: bool,
    after: String,
}

fn part() -> impl Strategy<Value = Part> {
    let literal = |quotes| match quotes {
        Quotes::None => "[a-q0-9=,:.@%+/_-]{0,4}",
        Quotes::Double => "[a-q '|;&<>()*?#!{}~\t\né-]{0,6}",
        Quotes::Single => "[a-q \"`$|;&<>()*?!{}~\t\n\\\\é-]{0,6}",
    };
    prop_oneof![Just(Quotes::None), Just(Quotes::Double), Just(Quotes::Single)].prop_flat_map(move |quotes| {
        (literal(quotes), 0..3_usize, any::<bool>(), literal(quotes)).prop_map(
            move |(before, value, as_json, after)| {
                // A sign that is no part of a name ends the path.
                Part { quotes, before, value, as_json, after: format!(",{after}") }
            },
        )
    })
}

fn value() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "['\"$`\\\\()!*?\\[\\]{}~#&;|<>\n\t\r =@^%-]{1,4}",
        2 => "[a-z0-9]{1,3}",
        1 => "[\u{1}-\u{1f}\u{7f}é漢😀\u{200b}\u{2028}\u{301}]",
        2 => proptest::sample::select(vec![
            "$(touch PWNED)", "`touch PWNED`", "'; touch PWNED; '", "\"; touch PWNED; \"", "\ntouch PWNED\n", "| touch PWNED",
            "-rf", "--", "${IFS}", "$HOME", "*", "/*", "~", "~root", "$root.data", "#root.id", "'\\''", "\\", "%s\\n", "&&", "EOF",
            "a=b", "{a,b}", "$'\\x41'", "!!",
        ]).prop_map(str::to_owned),
    ];
    vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

fn template(words: &[Vec<Part>]) -> String {
    let mut text = String::new();
    for word in words {
        text.push(' ');
        for part in word {
            let quote = match part.quotes {
                Quotes::None => "",
                Quotes::Double => "\"",
                Quotes::Single => "'",
            };
            let sign = if part.as_json { '$' } else { '#' };
            text.push_str(&format!(
                "{quote}{}{sign}root.data.v{}{}{quote}",
                part.before, part.value, part.after
            ));
        }
    }
    text
}

fn expected(words: &[Vec<Part>], values: &[String]) -> Vec<String> {
    let text = |part: &Part| {
        let value = &values[part.value];
        let value = if part.as_json { serde_json::to_string(value).unwrap() } else { value.clone() };
        format!("{}{value}{}", part.before, part.after)
    };
    words.iter().map(|word| word.iter().map(text).collect()).collect()
}

fn is_possible(words: &[Vec<Part>]) -> bool {
    let parts = || words.iter().flatten();
    // Between single quotes a `$` in front of a reference is literal, outside it is refused; a backslash likewise. A word of
    // the literal alphabet may begin a tilde prefix or a comment only within quotes.
    parts().all(|part| !part.before.contains("root") && !part.after.contains("root"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, ..ProptestConfig::default() })]

    #[test]
    fn a_value_is_one_literal_part_of_a_word(
        words in vec(vec(part(), 1..4), 1..5),
        values in vec(value(), 3),
    ) {
        prop_assume!(is_possible(&words));
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        let command = format!("printf -- '%s\\0'{} > {}", template(&words), out.display());
        let data = json!({ "v0": values[0], "v1": values[1], "v2": values[2] });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let receipts = runtime.block_on(async {
            sent(&*sender(json!({ "command": command })), &[event(1, &data)]).await
        });
        prop_assert_eq!(&receipts[..], &[Receipt::Done][..], "{}", command);
        let bytes = std::fs::read(&out).unwrap();
        let given: Vec<String> =
            bytes.split(|byte| *byte == 0).map(|word| String::from_utf8(word.to_vec()).unwrap()).collect();
        let mut wanted = expected(&words, &values);
        wanted.push(String::new());
        prop_assert_eq!(given, wanted, "{}", command);
        prop_assert!(!Path::new("PWNED").exists());
    }

}

proptest! {
    #[test]
    fn an_argument_of_a_list_is_what_it_is(words in vec(vec(part(), 1..4), 1..5), values in vec(value(), 3)) {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        let mut command: Vec<String> =
            ["sh", "-c", "printf -- '%s\\0' \"$@\" > \"$0\""].map(str::to_owned).to_vec();
        command.extend([out.to_str().unwrap().to_owned(), "--".to_owned()]);
        // Within one argument quotes are text.
        let bare = |word: &Vec<Part>| word.iter().cloned().map(|part| Part { quotes: Quotes::None, ..part }).collect();
        let words: Vec<Vec<Part>> = words.iter().map(bare).collect();
        command.extend(words.iter().map(|word| template(std::slice::from_ref(word))));
        let data = json!({ "v0": values[0], "v1": values[1], "v2": values[2] });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let receipts = runtime.block_on(async {
            sent(&*sender(json!({ "command": command })), &[event(1, &data)]).await
        });
        prop_assert_eq!(&receipts[..], &[Receipt::Done][..]);
        let bytes = std::fs::read(&out).unwrap();
        let given: Vec<&[u8]> = bytes.split(|byte| *byte == 0).collect();
        let mut wanted = vec!["--".to_owned()];
        wanted.extend(expected(&words, &values).into_iter().map(|word| format!(" {word}")));
        wanted.push(String::new());
        let wanted: Vec<&[u8]> = wanted.iter().map(|word| word.as_bytes()).collect();
        prop_assert_eq!(given, wanted);
    }
}
