//! `inboxclaw state import`: what comes out of pipes, editors and here-strings, through the running program and alone.

use crate::support::{Place, Ran};

const CONFIG: &str =
    "server: {port: 0}\nsources: {mail: {type: mock, interval: 1h}}\nsink: {inbox: {type: http_pull}}\n";
const HEAD: &str = "{\"inboxclaw\":\"state\",\"format\":1,\"cursor\":\"c\"}";
const A: &str = "{\"key\":\"a\",\"value\":1}";
const BOM: &str = "\u{feff}";

/// Runs the same with the program running, and without it.
fn both(test: impl Fn(&Place)) {
    let place = Place::with(CONFIG);
    test(&place);
    let place = Place::with(CONFIG);
    let running = place.listen(&[]);
    test(&place);
    assert_eq!(running.stop("-TERM").0, 0);
}

/// Imports into a state that holds `keep`, and says which keys are there afterwards.
fn import(place: &Place, input: &str, replace: bool) -> (Ran, String) {
    for args in [&["delete", "mail", "--all"][..], &["set", "mail", "keep", "1"]] {
        assert_eq!(place.run(&[&["state"], args].concat()).code, 0);
    }
    let mut args = vec!["state", "import", "mail"];
    args.extend(replace.then_some("--replace"));
    let ran = place.run_with(&args, input);
    let keys = place.run(&["state", "list", "mail", "--keys"]).out.lines().collect::<Vec<_>>().join(" ");
    (ran, keys)
}

#[test]
fn the_last_line_needs_no_end() {
    both(|place| {
        for input in [
            A.to_owned(),
            format!("{A}\n"),
            format!("{A}\r\n"),
            format!("{A}\r"),
            format!("{BOM}{A}"),
            format!("{HEAD}\n{A}"),
            format!("{HEAD}\r\n\r\n  \n{A}\n\n \t"),
            format!("{BOM}\n{HEAD}\n{A}"),
        ] {
            for (replace, keys) in [(false, "a keep"), (true, "a")] {
                let (ran, found) = import(place, &input, replace);
                assert_eq!((ran.code, found.as_str()), (0, keys), "{input:?} {replace}: {ran:?}");
            }
        }
        for (replace, keys) in [(false, "keep"), (true, "")] {
            let (ran, found) = import(place, HEAD, replace);
            assert_eq!((ran.code, found.as_str()), (0, keys), "the export of an empty state: {ran:?}");
        }
        let value = "x".repeat(3 << 20);
        let (ran, found) = import(place, &format!("{A}\n{{\"key\":\"b\",\"value\":\"{value}\"}}"), false);
        assert_eq!((ran.code, found.as_str()), (0, "a b keep"), "{ran:?}");
    });
}

#[test]
fn nothing_is_not_what_replaces_a_state() {
    both(|place| {
        for input in
            ["", "\n", "\r\n", "  \n\n", "\t", "\u{feff}", "\u{feff}\n", "\u{feff}\r\n \n", "\u{a0}\n"]
        {
            let (ran, keys) = import(place, input, true);
            assert_eq!((ran.code, keys.as_str()), (1, "keep"), "{input:?}: {ran:?}");
            assert!(ran.err.contains("there is nothing to import"), "{input:?}: {ran:?}");
            let (ran, keys) = import(place, input, false);
            assert_eq!((ran.code, keys.as_str()), (0, "keep"), "{input:?}: {ran:?}");
        }
    });
}

#[test]
fn a_line_that_is_cut_off_changes_nothing() {
    both(|place| {
        let whole = format!("{HEAD}\n{A}\n{{\"key\":\"é\",\"value\":[1,\"\\u00e9\"]}}");
        let last = whole.rfind('\n').unwrap() + 1;
        for end in (last + 1..whole.len()).step_by(7).filter(|end| whole.is_char_boundary(*end)) {
            let (ran, keys) = import(place, &whole[..end], true);
            assert_eq!((ran.code, keys.as_str()), (1, "keep"), "{:?}: {ran:?}", &whole[last..end]);
            assert!(ran.err.starts_with("source mail: line 3: "), "{ran:?}");
        }
        for input in [
            "\0",
            "\0\n",
            "[]",
            "null",
            "{",
            "<html>\n",
            "{\"key\":\"a\",\"value\":1}\n\u{feff}",
            "\u{fffe}{}",
        ] {
            let (ran, keys) = import(place, input, true);
            assert_eq!((ran.code, keys.as_str()), (1, "keep"), "{input:?}: {ran:?}");
        }
        let (ran, keys) = import(place, &format!("{A}\n{}", " ".repeat(33 << 20)), true);
        assert_eq!((ran.code, keys.as_str()), (1, "keep"), "{ran:?}");
        assert!(ran.err.contains("line 2: the line has more than 33619968 bytes"), "{ran:?}");
    });
}
