//! Texts in, trees or problems out.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::env::Environment;

fn read(text: &str) -> (Option<Json>, Vec<String>) {
    let mut report = Report::default();
    let node = parse(text, &mut report);
    let mut problems: Vec<String> = report.problems.iter().map(|problem| problem.line("f")).collect();
    problems.extend(node.as_ref().err().map(|problem| problem.line("f")));
    (node.ok().map(|node| node.to_json()), problems)
}

fn check(text: &str, expected: Json) {
    assert_eq!(read(text), (Some(expected), Vec::new()), "{text}");
}

fn refused(text: &str, problem: &str) {
    assert_eq!(read(text).1, [problem], "{text}");
}

#[test]
fn scalars_keep_the_meanings_of_yaml_1_1() {
    check(
        "a: yes\nb: 'yes'\nc: 017\nd: 1:30\ne:\nf: 2026-11-22\ng: 1.5\nh: !!str 5\ni: \"\\u017e\"\n",
        json!({"a": true, "b": "yes", "c": 15, "d": 90, "e": null, "f": "2026-11-22", "g": 1.5, "h": "5", "i": "ž"}),
    );
    check("a: 123456789012345678901234567890\n", json!({"a": "123456789012345678901234567890"}));
    check("a: |\n  x\n  y\nb: [1, {c: d}]\n", json!({"a": "x\ny\n", "b": [1, {"c": "d"}]}));
}

#[test]
fn anchors_and_merge_keys() {
    check(
        "base: &b {x: 1, y: 2}\nall:\n  <<: *b\n  y: 3\nmany:\n  <<: [{y: 9}, *b]\ntext: \"<<\"\n",
        json!({"base": {"x": 1, "y": 2}, "all": {"y": 3, "x": 1}, "many": {"y": 9, "x": 1}, "text": "<<"}),
    );
    refused("a:\n  <<: 5\n", "f:2:3: a: `<<` takes a mapping or a list of mappings");
    refused("a: &a [*a]\n", "f:1:8: a.0: this alias stands inside of what it stands for");
}

#[test]
fn doubled_keys_are_told_with_both_places() {
    refused(
        "a:\n  b: 1\n  c: 2\n  b: 3\n",
        "f:4:3: a.b: the key `b` stands here again, it was already given in line 2, column 3",
    );
}

#[test]
fn a_placeholder_that_is_a_comment_is_told() {
    let warned = |text: &str| -> Vec<(usize, String)> {
        let mut report = Report::default();
        parse(text, &mut report).unwrap();
        let warnings = report.warnings.iter();
        warnings.map(|warning| (warning.place.unwrap().line, warning.path.clone())).collect()
    };
    let cut = "command: echo #root.id >> x\npayload:\n  title: #root.event_type\n  text: see\n    more #root.id\n  b: 5\n\
               list:\n  - a\n  - b #root.x\n\"last\": #root\n";
    let expected = [(1, "command"), (3, "payload.title"), (5, "payload.text"), (9, "list.1"), (10, "last")];
    assert_eq!(warned(cut), expected.map(|(line, path)| (line, path.to_owned())));
    let whole = "a: 'echo #root.id'\nb: \"#root.id\"\nc: |\n  echo #root.id\nd: x#root.id\ne: x # about #root.id\n# #root\n\
                 f: é # root\n#root.id\ng: {h: '#root', i: \"#root\"} # x\nj:\n  #root\n  k: 1\n";
    assert_eq!(warned(whole), []);
}

#[test]
fn keys_are_texts() {
    refused("5: a\n", "f:1:1: this key is read as a number, not as a text; put it in quotes");
    refused("a:\n  on: b\n", "f:2:3: a: this key is read as a boolean, not as a text; put it in quotes");
    check("\"5\": a\n", json!({"5": "a"}));
}

#[test]
fn what_is_not_one_document_is_refused() {
    refused("", "f:1:1: the file is empty");
    refused("# only a comment\n", "f:2:1: the file is empty");
    refused("a: 1\n---\nb: 2\n", "f:2:1: a second document begins here; the file must hold one");
    refused("a: !secret x\n", "f:1:12: a: the tag !secret has no meaning here");
    refused("a: .inf\n", "f:1:4: a: a number must be finite");
    let (_, problems) = read("a: [1\nb: 2\n");
    assert!(problems[0].starts_with("f:2:") && problems[0].contains("this is not YAML: "), "{problems:?}");
}

#[test]
fn bombs_are_refused() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    let (_, problems) = read(&text);
    assert!(problems[0].contains("aliases expand to more than"), "{problems:?}");
    assert_eq!(read(&"[".repeat(10_000)).1.len(), 1);
    assert_eq!(read(&"- ".repeat(10_000)).1.len(), 1);
}

#[test]
fn a_long_text_cannot_be_multiplied_without_end() {
    let text = format!("a: &a {}\nb: [{}]\n", "x".repeat(100_000), vec!["*a"; 1_000].join(", "));
    let (_, problems) = read(&text);
    assert!(problems[0].contains("8388608 bytes of text"), "{problems:?}");
}

#[test]
fn one_mapping_of_very_many_keys_takes_no_longer_than_many_small_ones() {
    let time = |text: &str| {
        let begun = std::time::Instant::now();
        (read(text).1, begun.elapsed())
    };
    let inner: String = (0..100).map(|key| format!("  key{key}: 1\n")).collect();
    let small: String = (0..400).map(|map| format!("map{map}:\n{inner}")).collect();
    let (problems, parts) = time(&small);
    assert!(problems.is_empty(), "{problems:?}");
    let mut large: String = (0..40_000).map(|key| format!("key{key}: 1\n")).collect();
    large.push_str("key7: 2\n");
    let (problems, whole) = time(&large);
    assert_eq!(
        problems,
        ["f:40001:1: key7: the key `key7` stands here again, it was already given in line 8, column 1"]
    );
    assert!(whole < parts * 5, "{whole:?} for one mapping, {parts:?} for many");
}

#[test]
fn every_value_knows_its_place() {
    let mut report = Report::default();
    let root = parse("a:\n  ž: [1,\n    two]\n", &mut report).unwrap();
    let entry = root.get("a").unwrap().value.get("ž").unwrap();
    assert_eq!(
        (entry.place, entry.value.place),
        (Place { line: 2, column: 3 }, Place { line: 2, column: 6 })
    );
    let Value::List(items) = &entry.value.value else { panic!("no list") };
    assert_eq!(items[1].place, Place { line: 3, column: 5 });
}

proptest! {
    #[test]
    fn no_text_breaks_a_reader(text in "([a-z$\\{\\}:\\[\\]&*!|>'\"#0-9.,\\-<= \\\\]|\\n|\\PC){0,80}") {
        let mut report = Report::default();
        // Whatever it is: a tree or a problem, and both reached in the end.
        let read = parse(&text, &mut report);
        prop_assert!(read.is_ok() || read.is_err_and(|problem| problem.place.is_some()));
        let mut env = Environment::new([("a", "1")]);
        prop_assert!(env.add_dotenv(&text).len() <= text.lines().count());
        prop_assert!(env.expand(&text).text.len() <= text.len() * 80);
    }
}
