//! Templates: the table of the program before this one, and values that must survive.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use inboxclaw_connectors::template::{Payload, Root, Text, quote};
use inboxclaw_contract::{Event, Json, OwnerId, Seq};
use serde_json::json;

const ROOT: &str = r#"{"id":1,"event_id":"e 1","data":{"t":true,"n":null,"d":{"k-x":5,"f":1.0}}}"#;

fn root(json: &str) -> Root {
    Root::value(&Json::new(json).unwrap())
}

/// The result as JSON, as in a webhook's payload.
fn typed(template: &str, root: &Root) -> String {
    Payload::new(&json!(template)).render(root)
}

#[test]
fn the_table_of_results() {
    let root = root(ROOT);
    for (template, json, quoted) in [
        ("#root.event_id", r#""e 1""#, Some("'e 1'")),
        ("#root.id", "1", Some("1")),
        ("#root.data.d", r#"{"k-x":5,"f":1.0}"#, Some(r#"'{'"'"'k-x'"'"': 5, '"'"'f'"'"': 1.0}'"#)),
        ("$root.data.d", r#""{\"k-x\": 5, \"f\": 1.0}""#, Some(r#"'{"k-x": 5, "f": 1.0}'"#)),
        ("x $root.data.d", r#""x {\"k-x\":5,\"f\":1.0}""#, Some(r#"x '{"k-x":5,"f":1.0}'"#)),
        ("v=#root.data.t", r#""v=True""#, Some("v=True")),
        ("v=#root.data.n|", r#""v=|""#, Some("v=''|")),
        ("#root.data.d.k-x", "5", Some("5")),
        ("v #root.data.d.k-x", r#""v -x""#, Some("v ''-x")),
        ("#hashtag", "null", None),
        ("#root.event_id.", "null", None),
        ("#root.event_id,#root.id", "null", None),
        ("$5", r#""null""#, Some("null")),
        ("cost $5 x", r#""cost $5 x""#, Some("cost $5 x")),
        ("#a b", r##""#a b""##, Some("#a b")),
        ("#{root.id} x", r##""#{root.id} x""##, Some("#{root.id} x")),
        ("#ROOT.id x", r##""#ROOT.id x""##, Some("#ROOT.id x")),
        ("see #root.event_id.", r#""see e 1.""#, Some("see 'e 1'.")),
        (" #root.id", r#"" 1""#, Some(" 1")),
        // Beyond the table.
        ("", r#""""#, Some("")),
        ("#", "null", None),
        ("$", r#""null""#, Some("null")),
        ("#root.data.n", "null", None),
        ("$root.data.n", r#""null""#, Some("null")),
        ("x$root.none|$root.data.n", r#""xnull|null""#, Some("xnull|null")),
        ("#root.0.event_id", "null", None),
        ("#root.id\t#root.id", "null", None),
        ("x\t#root.id#root.data.t", r#""x\t1True""#, Some("x\t1True")),
        ("é$$root.id", r#""é$1""#, Some("é$1")),
        ("$root.event_id.x y", r#""null y""#, Some("null y")),
    ] {
        assert_eq!(typed(template, &root), json, "{template}");
        assert_eq!(Text::new(template).quoted(&root).as_deref(), quoted, "{template}");
    }
}

#[test]
fn a_payload_of_the_old_tests() {
    let payload = json!({
        "msg": "Event #root.event_id happened with #root.data.foo",
        "raw_num": "#root.data.num",
        "full_json": "Data: $root.data",
        "#root.id": [1, 2.50, null, true, {"in": "#root.data.foo"}],
    });
    let root = root(r#"{"event_id":"7","data":{"foo":"bar","num":42}}"#);
    assert_eq!(
        Payload::new(&payload).render(&root),
        "{\"msg\":\"Event 7 happened with bar\",\"raw_num\":42,\"full_json\":\"Data: {\\\"foo\\\":\\\"bar\\\",\\\"num\\\":42}\",\
         \"#root.id\":[1,2.5,null,true,{\"in\":\"bar\"}]}"
    );
}

#[test]
fn numbers_and_texts_come_through_as_they_are() {
    let data = r#"{"big":123456789012345678901234567890,"exp":1E5,"tiny":0.10,"neg":-0,"s":"\u0041\u0000\ud83d\ude00\/"}"#;
    let root = root(&format!(r#"{{"data":{data}}}"#));
    assert_eq!(typed("#root.data", &root), data);
    for (path, text) in [
        ("big", "123456789012345678901234567890"),
        ("exp", "1E5"),
        ("tiny", "0.10"),
        ("neg", "-0"),
        ("s", "A\0\u{1f600}/"),
    ] {
        assert_eq!(Text::new(&format!("#root.data.{path}")).plain(&root), text);
        assert_eq!(Text::new(&format!("< #root.data.{path}")).plain(&root), format!("< {text}"));
    }
    assert_eq!(typed("#root.data.s", &root), r#""\u0041\u0000\ud83d\ude00\/""#);
    assert_eq!(typed("x #root.data.s", &root), "\"x A\\u0000\u{1f600}/\"");
}

#[test]
fn lists_and_objects_are_shown_as_python_shows_them() {
    for (json, shown) in [
        (
            r#"{"a":[true,false,null,1,1.5,"x"],"b":{},"c":[]}"#,
            "{'a': [True, False, None, 1, 1.5, 'x'], 'b': {}, 'c': []}",
        ),
        (
            r#"["it's","say \"x\"","both ' \"","\\ \n\r\t","\u0000\u007f\u0085\u00ad\u00a0"]"#,
            r#"["it's", 'say "x"', 'both \' "', '\\ \n\r\t', '\x00\x7f\x85\xad\xa0']"#,
        ),
        (
            r#"["é\u0301 漢 😀","\u200b\u2028\ufeff","\ue000","\udb40\udc41"]"#,
            "['é\u{301} 漢 😀', '\\u200b\\u2028\\ufeff', '\\ue000', '\\U000e0041']",
        ),
        (r#"{"a:b,c":"true, false","[":"{"}"#, "{'a:b,c': 'true, false', '[': '{'}"),
    ] {
        assert_eq!(Text::new("#root ").plain(&root(json)), format!("{shown} "));
    }
}

#[test]
fn an_event_is_its_envelope_and_a_batch_a_list_of_them() {
    let event = Event {
        seq: Seq(17),
        source: OwnerId(3),
        source_name: "mail".to_owned(),
        event_id: "a".to_owned(),
        event_type: "t".to_owned(),
        entity_id: None,
        created_at: "2026-11-22T06:46:26Z".parse().unwrap(),
        occurred_at: None,
        data: Json::new(r#"{ "x": 1 }"#).unwrap(),
        meta: Json::empty_object(),
    };
    let one = Root::event(&event);
    assert_eq!(
        Text::new("#root.id #root.source.name $root.data #root.entity_id|").plain(&one),
        "17 mail {\"x\":1} |"
    );
    let batch = Root::batch([&event, &event]);
    assert_eq!(batch.json(), format!("[{0},{0}]", one.json()));
    // A list has no members, and an index is none.
    assert_eq!(Text::new("#root.event_id|$root.0.event_id ").plain(&batch), "|null ");
    assert_eq!(Root::batch([]).json(), "[]");
}

#[test]
fn a_deep_value_is_found_and_shown() {
    let deep = format!("{}1{}", "[".repeat(120), "]".repeat(120));
    let root = root(&format!(r#"{{"a":{{"b":{{"skip":{deep},"deep":{deep}}}}}}}"#));
    assert_eq!(Text::new("#root.a.b.deep ").plain(&root), format!("{deep} "));
}

#[test]
fn quoting_is_posix() {
    for (text, quoted) in [
        ("", "''"),
        ("a-Z_0@%+=:,./", "a-Z_0@%+=:,./"),
        ("a b", "'a b'"),
        ("$(x)`y`", "'$(x)`y`'"),
        ("it's", "'it'\"'\"'s'"),
        ("~", "'~'"),
        ("é", "'é'"),
        ("a\nb", "'a\nb'"),
    ] {
        assert_eq!(quote(text), quoted);
    }
}

#[test]
fn texts_that_can_never_have_a_value_are_warned_of() {
    let payload = json!({"channel": "#general", "price": ["$5"], "ok": ["#root.x", "#root", "a #general", "$root.data.k-x"], "dot": "#root.id."});
    let warnings = Payload::new(&payload).warnings("payload");
    let paths: Vec<_> = warnings.iter().map(|warning| warning.path.as_str()).collect();
    assert_eq!(paths, ["payload.channel", "payload.price.0", "payload.dot"]);
    assert!(warnings[0].message.starts_with("`#general` begins with"), "{}", warnings[0].message);
}
