//! Texts in, differences out.

use super::*;

const BOUNDS: Bounds = Bounds { sections: 5, section_chars: 300 };

/// Pairs as `before>after`, `-` for none, and the three counts.
fn check_within(old: &str, new: &str, bounds: Bounds, changes: &[&str], counts: (usize, usize, usize)) {
    let diff = diff(old, new, bounds).unwrap();
    let shown: Vec<String> = diff
        .changes
        .iter()
        .map(|change| {
            format!("{}>{}", change.before.as_deref().unwrap_or("-"), change.after.as_deref().unwrap_or("-"))
        })
        .collect();
    assert_eq!(shown, changes, "{old:?} {new:?}");
    let found = (diff.total_changed_sections, diff.removed_char_count, diff.added_char_count);
    assert_eq!(found, counts, "{old:?} {new:?}");
}

fn check(old: &str, new: &str, changes: &[&str], counts: (usize, usize, usize)) {
    check_within(old, new, BOUNDS, changes, counts);
}

/// Blocks that each hold one word.
fn text(words: &[&str]) -> String {
    words.join("\n\n")
}

#[test]
fn white_space_alone_is_no_change() {
    check("a  \r\nb\r\r\n  c \n", "a\nb\n \t\n\n\n c", &[], (0, 0, 0));
    check("", " \n\n ", &[], (0, 0, 0));
}

#[test]
fn blocks_are_replaced_added_and_removed() {
    check("a\n\nb\n\nc", "a\n\nB!\n\nc", &["b>B!"], (1, 1, 2));
    check("a", "a\n\nb", &["->b"], (1, 0, 1));
    check("a\n\nb", "b", &["a>-"], (1, 1, 0));
    check("", "a\nb", &["->a\nb"], (1, 0, 3));
    check("x\n\ny", "p\n\nq\n\nrs", &["x>p", "y>q", "->rs"], (3, 4, 8));
}

#[test]
fn counts_are_code_points_and_see_everything() {
    check("\u{1F600}", "\u{17D}", &["\u{1F600}>\u{17D}"], (1, 1, 1));
    let bounds = Bounds { sections: 1, section_chars: 2 };
    check_within("abc\n\nde", "xyz\n\nuv", bounds, &["ab (truncated)>xy (truncated)"], (2, 7, 7));
    check_within("a", "b", Bounds { sections: 0, section_chars: 2 }, &[], (1, 1, 1));
}

#[test]
fn the_longest_run_wins_over_the_first_element() {
    // "b c d" is kept, so "a" moves as one removal and one addition.
    check(&text(&["a", "b", "c", "d"]), &text(&["b", "c", "d", "a"]), &["a>-", "->a"], (2, 1, 1));
}

#[test]
fn popular_blocks_start_no_run_in_long_texts() {
    let body = |first: &str, ends: usize| {
        let mut words = vec![first.to_owned()];
        words.extend((0..ends).flat_map(|at| [format!("w{at}"), "end".to_owned()]));
        words
    };
    let join = |words: Vec<String>| words.join("\n\n");
    // 199 new blocks: "end" still matches on its own, so two blocks differ.
    let short = diff(&join(vec!["end".into()]), &join(body("x", 99)), BOUNDS).unwrap();
    assert_eq!(short.total_changed_sections, 198);
    // 201 new blocks, "end" in 100 of them: set aside, so nothing matches.
    let long = diff(&join(vec!["end".into()]), &join(body("x", 100)), BOUNDS).unwrap();
    assert_eq!(long.total_changed_sections, 201);
}

#[test]
fn too_many_blocks_are_not_compared() {
    let blocks = |count: usize| "x\n\n".repeat(count);
    assert!(diff(&blocks(MAX_BLOCKS), "", BOUNDS).is_some());
    assert_eq!(diff(&blocks(MAX_BLOCKS + 1), "", BOUNDS), None);
    assert_eq!(diff("", &blocks(MAX_BLOCKS + 1), BOUNDS), None);
}

#[test]
fn the_payload_has_the_known_keys() {
    let json = serde_json::to_string(&diff("a", "b", BOUNDS).unwrap()).unwrap();
    assert_eq!(
        json,
        r#"{"totalChangedSections":1,"changes":[{"before":"a","after":"b"}],"addedCharCount":1,"removedCharCount":1}"#
    );
}
