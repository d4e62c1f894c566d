//! What a JSON text must keep, and that it comes back byte for byte.

use proptest::prelude::*;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::*;
use crate::limits::JSON_DEPTH;

fn json(text: &str) -> Json {
    Json::new(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn compact(text: &str) -> String {
    let mut out = String::new();
    json(text).write_compact(&mut out);
    out
}

fn spaced(text: &str, ascii: bool) -> String {
    let mut out = String::new();
    json(text).write_spaced(&mut out, ascii);
    out
}

#[test]
fn texts_come_back_as_they_went_in() {
    for text in [
        "null",
        "true",
        "false",
        "0",
        "-0",
        "-0.0",
        "1e5",
        "1E+05",
        "1.50e-10",
        "1e999",
        "123456789012345678901234567890",
        "0.1000000000000000055511151231257827",
        r#""""#,
        r#""\u0000 \u0041 \/ \b\f\n\r\t\"\\ é \u00E9 😀 \ud83d\uDE00""#,
        "\"\u{7f}\u{2028}\"",
        r#"{"b":1,"a":{"b":2},"":[{"a":1},{"a":1}]}"#,
        "{ \"a\" :\t[ 1 ,\n 2 ] ,\r\n\"b\":{ } , \"c\" : [ ]\n}",
    ] {
        assert_eq!(json(text).as_str(), text);
        assert_eq!(json(&format!("\r\n\t {text} \n")).as_str(), text);
        assert_eq!(json(text).into_string(), text);
    }
}

#[test]
fn refusals_name_the_problem_and_the_place() {
    for (text, message) in [
        ("", "unexpected end, expected a value at byte 0"),
        (" \n", "unexpected end, expected a value at byte 2"),
        ("{\"a\":1,\"a\":2}", "duplicate key \"a\" at byte 7"),
        ("  [{\"a\":1,\"b\":2,\"\\u0061\":2}]", "duplicate key \"a\" at byte 16"),
        ("{\"\\n\":1,\"\\u000A\":2}", "duplicate key \"\\n\" at byte 8"),
        ("{\"a\":{},\"b\":{\"a\":1},\"b\":1}", "duplicate key \"b\" at byte 20"),
        ("{\"\":1,\"\":1}", "duplicate key \"\" at byte 6"),
        (r#""\ud800""#, "lone surrogate at byte 1"),
        (r#""a\udc00""#, "lone surrogate at byte 2"),
        (r#""\ud800\ud800\udc00""#, "lone surrogate at byte 1"),
        (r#""\ud800\n""#, "lone surrogate at byte 1"),
        (r#"{"\udfff":1}"#, "lone surrogate at byte 2"),
        ("NaN", "NaN and infinity are not JSON: expected a value at byte 0"),
        ("[Infinity]", "NaN and infinity are not JSON: expected a value at byte 1"),
        ("-Infinity", "expected a digit at byte 1"),
        ("01", "number with a leading zero at byte 1"),
        ("-00", "number with a leading zero at byte 2"),
        ("+1", "expected a value at byte 0"),
        (".5", "expected a value at byte 0"),
        ("1.", "expected a digit at byte 2"),
        ("1.e5", "expected a digit at byte 2"),
        ("1e", "expected a digit at byte 2"),
        ("1e+", "expected a digit at byte 3"),
        ("-", "expected a digit at byte 1"),
        ("0x10", "text after the value at byte 1"),
        ("\"a\nb\"", "control character in a string at byte 2"),
        ("\"12345678\u{1f}\"", "control character in a string at byte 9"),
        ("\"abc", "unexpected end in a string at byte 4"),
        (r#""\x""#, "invalid escape at byte 1"),
        (r#""\u12g4""#, "invalid escape at byte 1"),
        (r#""\u12"#, "invalid escape at byte 1"),
        (r#""\u+123""#, "invalid escape at byte 1"),
        ("\"\\", "invalid escape at byte 1"),
        ("1 2", "text after the value at byte 2"),
        ("{}}", "text after the value at byte 2"),
        ("[1,]", "expected a value at byte 3"),
        ("[1 2]", "expected a comma or ] at byte 3"),
        ("[1}", "expected a comma or ] at byte 2"),
        ("[", "unexpected end, expected a value at byte 1"),
        ("[1", "unexpected end in an array or object at byte 2"),
        ("{\"a\":1,}", "expected a key in double quotes at byte 7"),
        ("{a:1}", "expected a key in double quotes at byte 1"),
        ("{\"a\" 1}", "expected a colon at byte 5"),
        ("{\"a\":}", "expected a value at byte 5"),
        ("{\"a\":1]", "expected a comma or } at byte 6"),
        ("nul", "expected a value at byte 0"),
        ("truE", "expected a value at byte 0"),
        ("nullx", "text after the value at byte 4"),
        ("// c\n1", "expected a value at byte 0"),
        ("\u{feff}1", "expected a value at byte 0"),
        ("\u{a0}1", "expected a value at byte 0"),
    ] {
        let error = Json::new(text).expect_err(text);
        assert_eq!(error.to_string(), message, "{text}");
    }
}

#[test]
fn depth_is_limited_without_recursion() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let deepest = json(&nested(JSON_DEPTH));
    // What we accept we can also parse, although serde_json alone would stop a level earlier.
    assert_eq!(Json::from_value(&deepest.parse::<Value>().unwrap()).unwrap(), deepest);
    let error = Json::new(nested(JSON_DEPTH + 1)).unwrap_err();
    assert_eq!(error.to_string(), "nested deeper than 128 levels at byte 128");
    for open in ["[", "{\"a\":"] {
        let error = Json::new(open.repeat(1_000_000)).unwrap_err();
        assert!(matches!(error, JsonError::TooDeep { limit: JSON_DEPTH, .. }), "{error}");
    }
    // Depth counts what is open at once, not how many brackets there are.
    json(&format!("[{}[]]", "[],".repeat(1000)));
}

#[test]
fn length_is_limited() {
    let string = |bytes: usize| format!("\"{}\"", "x".repeat(bytes - 2));
    assert_eq!(json(&string(JSON_BYTES)).len(), JSON_BYTES);
    assert_eq!(json(&format!(" {} ", string(JSON_BYTES))).len(), JSON_BYTES);
    let error = Json::new(string(JSON_BYTES + 1024 * 1024)).unwrap_err();
    assert_eq!(error.to_string(), "17825792 bytes, the limit is 16777216");
}

#[test]
fn duplicates_are_found_in_objects_of_any_size() {
    for count in [2, 15, 16, 17, 18, 100, 100_000] {
        let keys: Vec<String> =
            (0..count).map(|n| format!("\"k{}\":{{\"k0\":0,\"k1\":0}}", n * 7919 % count)).collect();
        // 7,919 is prime, so the keys are all different, and not in order.
        let text = format!("{{{}}}", keys.join(","));
        json(&text);
        let at = text.len();
        for again in ["\"k1\"", "\"\\u006b1\""] {
            let error = Json::new(format!("{},{again}:0,\"k0\":0}}", &text[..at - 1])).unwrap_err();
            assert_eq!(error.to_string(), format!("duplicate key \"k1\" at byte {at}"), "{count} keys");
        }
    }
}

#[test]
fn values_stay_out_of_logs() {
    assert_eq!(format!("{:?}", json(r#"{"token":"hunter2"}"#)), "Json(19 bytes)");
    let key = "k".repeat(100);
    let error = Json::new(format!("{{\"{key}\":1,\"{key}\":1}}")).unwrap_err();
    assert_eq!(error.to_string(), format!("duplicate key \"{}\" at byte 106", "k".repeat(64)));
}

#[test]
fn embedded_verbatim_by_serde_json() {
    #[derive(Serialize, Deserialize)]
    struct Wrapper {
        id: u32,
        data: Json,
    }
    let text = r#"{"id":1,"data":{"z": 123456789012345678901234567890, "a":[1.0,"\u0000"] }}"#;
    let wrapper: Wrapper = serde_json::from_str(text).unwrap();
    assert_eq!(wrapper.data.as_str(), r#"{"z": 123456789012345678901234567890, "a":[1.0,"\u0000"] }"#);
    assert_eq!(serde_json::to_string(&wrapper).unwrap(), text);
    assert_eq!(Json::from_value(&wrapper).unwrap().as_str(), text);
    let error = serde_json::from_str::<Wrapper>(r#"{"id":1,"data":{"a":1,"a":2}}"#).err().unwrap();
    assert!(error.to_string().starts_with("duplicate key \"a\" at byte 7"), "{error}");
}

#[test]
fn rust_values_are_checked_too() {
    assert_eq!(Json::from_value(&json!({"b": [1, null]})).unwrap().as_str(), r#"{"b":[1,null]}"#);
    assert_eq!(Json::from_value("é\n").unwrap().as_str(), r#""é\n""#);
    let lists = std::collections::BTreeMap::from([(vec![1], 1)]);
    assert_eq!(Json::from_value(&lists).unwrap_err().to_string(), "cannot be written as JSON");
    let mut deep = Value::Null;
    for _ in 0..=JSON_DEPTH {
        deep = Value::Array(vec![deep]);
    }
    assert!(matches!(Json::from_value(&deep), Err(JsonError::TooDeep { .. })));
    assert_eq!(json("[1,2]").parse::<Vec<u8>>().unwrap(), [1, 2]);
    assert!(json("[1,2]").parse::<String>().is_err());
}

#[test]
fn small_questions() {
    assert!(Json::empty_object().is_object() && json(" {\"a\":1}").is_object());
    assert!(!Json::null().is_object() && !json("[{}]").is_object());
    assert_eq!((Json::null().as_str(), Json::empty_object().len()), ("null", 2));
}

#[test]
fn styles_change_white_space_and_escapes_only() {
    let text =
        "{ \"a\" : [ 1.50 ,2, 1e999 ,{ } , [ ] ], \"b:, \\\"{\" :\"x ,:\\\\\", \"é\":\"😀 \u{7f}\\u00E9\" }";
    assert_eq!(
        compact(text),
        "{\"a\":[1.50,2,1e999,{},[]],\"b:, \\\"{\":\"x ,:\\\\\",\"é\":\"😀 \u{7f}\\u00E9\"}"
    );
    assert_eq!(
        spaced(text, false),
        "{\"a\": [1.50, 2, 1e999, {}, []], \"b:, \\\"{\": \"x ,:\\\\\", \"é\": \"😀 \u{7f}\\u00E9\"}"
    );
    assert_eq!(
        spaced(text, true),
        r#"{"a": [1.50, 2, 1e999, {}, []], "b:, \"{": "x ,:\\", "\u00e9": "\ud83d\ude00 \u007f\u00E9"}"#
    );
    let mut out = "kept:".to_owned();
    json("[1]").write_compact(&mut out);
    json("[1]").write_spaced(&mut out, true);
    assert_eq!(out, "kept:[1][1]");
}

#[test]
fn strings_as_python_writes_them() {
    let write = |text: &str, ascii| {
        let mut out = String::new();
        write_string(text, &mut out, ascii);
        out
    };
    let text = "\"\\/\n\r\t\u{8}\u{c}\0\u{1f}\u{7f}é\u{ffff}😀end";
    assert_eq!(write(text, true), r#""\"\\/\n\r\t\b\f\u0000\u001f\u007f\u00e9\uffff\ud83d\ude00end""#);
    assert_eq!(write(text, false), "\"\\\"\\\\/\\n\\r\\t\\b\\f\\u0000\\u001f\u{7f}é\u{ffff}😀end\"");
    assert_eq!(write("", true), "\"\"");
}

/// Valid texts with everything that is easily lost: odd numbers, escapes, white space, any order of keys.
fn texts() -> impl Strategy<Value = String> {
    let number = "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,20})?([eE][-+]?[0-9]{1,4})?";
    let string = r#""([ -!#-\[\]-~é€😀]|\\["\\/bfnrt]|\\u00[0-9a-fA-F]{2}|\\ud83d\\uDE0[0-9a-f]){0,12}""#;
    let leaf = prop_oneof![Just("null".to_owned()), Just("true".to_owned()), number, string];
    let gap = "[ \n\r\t]{0,2}";
    leaf.prop_recursive(4, 40, 6, move |inner| {
        let list = prop::collection::vec((gap, inner.clone(), gap), 0..6).prop_map(|items| {
            let items: Vec<String> = items.into_iter().map(|(a, item, b)| format!("{a}{item}{b}")).collect();
            format!("[{}]", items.join(","))
        });
        let object = prop::collection::btree_map("[a-z]{1,3}", (gap, inner, gap), 0..6).prop_map(|members| {
            let members = members
                .into_iter()
                .rev()
                .map(|(key, (a, value, b))| format!("{a}\"{key}\"{b}:{a}{value}{b}"));
            format!("{{{}}}", members.collect::<Vec<_>>().join(","))
        });
        prop_oneof![list, object]
    })
}

proptest! {
    #[test]
    fn any_valid_text_comes_back(text in texts()) {
        let value = Json::new(text.as_str()).unwrap();
        prop_assert_eq!(value.as_str(), &text);
        let embedded = serde_json::to_string(&[&value]).unwrap();
        prop_assert_eq!(&embedded, &format!("[{text}]"));
        prop_assert_eq!(&serde_json::from_str::<[Json; 1]>(&embedded).unwrap()[0], &value);
    }

    #[test]
    fn styles_keep_the_value(text in texts()) {
        let plain = compact(&text);
        prop_assert!(!compact(&plain).contains(['\n', '\t', '\r']));
        prop_assert_eq!(compact(&spaced(&text, false)), plain.clone());
        prop_assert!(spaced(&text, true).is_ascii());
        // serde_json cannot hold 1e999, so numbers are compared as texts, above, and the rest as values, here.
        if let Ok(value) = serde_json::from_str::<Value>(&text) {
            prop_assert_eq!(&serde_json::from_str::<Value>(&plain).unwrap(), &value);
            prop_assert_eq!(&serde_json::from_str::<Value>(&spaced(&text, true)).unwrap(), &value);
        }
    }

    /// One byte changed, removed or added: we refuse what serde_json refuses, and more only for a reason with a name.
    #[test]
    fn agrees_with_serde_json(text in texts(), at in any::<prop::sample::Index>(), how in 0..3, with in "[\\x00-\\x7f]|[\\[\\]{}\",:\\\\0-9eE.u+-]") {
        let mut bytes = text.into_bytes();
        let at = at.index(bytes.len());
        match how {
            0 => bytes[at] = with.as_bytes()[0],
            1 => drop(bytes.remove(at)),
            _ => bytes.insert(at, with.as_bytes()[0]),
        }
        let Ok(text) = String::from_utf8(bytes) else { return Ok(()) };
        let theirs = serde_json::from_str::<IgnoredAny>(&text).is_ok();
        match Json::new(text.as_str()) {
            Ok(_) => prop_assert!(theirs, "only we accept {text:?}"),
            Err(JsonError::Syntax { problem, at }) => prop_assert!(!theirs, "only we refuse {text:?}: {problem} at {at}"),
            Err(_) => {}
        }
    }

    #[test]
    fn written_strings_read_back(text in any::<String>(), ascii in any::<bool>()) {
        let mut out = String::new();
        write_string(&text, &mut out, ascii);
        prop_assert_eq!(json(&out).parse::<String>().unwrap(), text);
        prop_assert!(!ascii || out.is_ascii());
    }
}

#[test]
fn objects_merge_and_what_is_taken_over_stays_byte_for_byte() {
    for (first, later, merged) in [
        ("{}", "{}", "{}"),
        ("{ }", r#"{"a":1}"#, r#"{"a":1}"#),
        (r#"{"a":1}"#, "{\n}", r#"{"a":1}"#),
        (
            r#"{ "a" : 1.0e5 , "b":[1, {"a":2}] }"#,
            r#"{"c":"}{,:\""}"#,
            r#"{"a":1.0e5,"b":[1, {"a":2}],"c":"}{,:\""}"#,
        ),
        (r#"{"a":{"x":1},"b":"\\"}"#, r#"{"b":2,"a":null}"#, r#"{"a":null,"b":2}"#),
        (r#"{"\u0061":1}"#, r#"{"a":2,"\"":3}"#, r#"{"\u0061":2,"\"":3}"#),
        (r#"{"":1}"#, r#"{"":[]}"#, r#"{"":[]}"#),
        ("[1]", r#"{"a":1}"#, r#"{"a":1}"#),
        (r#"{"a":1}"#, "7", "7"),
    ] {
        assert_eq!(json(first).merged(&json(later)).unwrap().as_str(), merged, "{first} {later}");
    }
    let half = |key: &str| json(&format!("{{{key:?}:\"{}\"}}", "x".repeat(JSON_BYTES / 2)));
    assert!(matches!(half("a").merged(&half("b")), Err(JsonError::TooLarge { .. })));
    assert!(half("a").merged(&half("a")).is_ok());
}

#[test]
fn the_depth_is_that_of_the_deepest_place() {
    for (text, depth) in [("1", 0), ("\"[[\"", 0), ("{}", 1), (r#"[{"[":1},[[2]],"\"[["]"#, 3)] {
        assert_eq!(json(text).depth(), depth, "{text}");
    }
    let deepest = format!("{}{}", "[".repeat(JSON_DEPTH), "]".repeat(JSON_DEPTH));
    assert_eq!(json(&deepest).depth(), JSON_DEPTH);
    assert_eq!(Json::list_of(["1", "{}"]).as_str(), "[1,{}]");
}

proptest! {
    #[test]
    fn merging_is_what_a_map_does(
        first in proptest::collection::hash_map("[a-c\"\\\\\u{e9}]{0,3}", any::<(i64, String)>(), 0..6),
        later in proptest::collection::hash_map("[a-c\"\\\\\u{e9}]{0,3}", any::<(i64, String)>(), 0..6),
    ) {
        let [one, two] = [&first, &later].map(|map| Json::from_value(map).unwrap());
        let merged = one.merged(&two).unwrap();
        // A valid text, and the same value.
        prop_assert_eq!(&Json::new(merged.as_str()).unwrap(), &merged);
        let mut expected = first;
        expected.extend(later);
        prop_assert_eq!(merged.parse::<std::collections::HashMap<String, (i64, String)>>().unwrap(), expected);
    }
}
