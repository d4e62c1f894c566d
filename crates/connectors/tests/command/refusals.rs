//! Commands that cannot have a value are refused before anything runs; those that can are taken.

use inboxclaw_contract::Receipt;
use serde_json::json;

use crate::{built, event, reason, refusal, sender, sent};

/// Commands in which a value could be read as something else.
const UNSAFE: &[&str] = &[
    "echo $(echo #root.id)",
    "echo \"$(echo '#root.id')\"",
    "echo `echo #root.id`",
    "echo \"`echo #root.id`\"",
    "cat <<EOF\n#root.data\nEOF",
    "cat <<-'EOF'\n$root\nEOF\n",
    "cat <<< #root.id",
    "echo $((1 + #root.id))",
    "((x = #root.id))",
    "echo ${X:-#root.id}",
    "echo \"${X:-#root.id}\"",
    "echo ${X:-'}'} #root.id",
    "echo $(echo \"x\") #root.id",
    "echo $(case x in x) echo ';;' ;; esac) #root.id",
    "echo x # #root.id",
    "echo \\#root.id",
    "echo \"\\#root.id\"",
    "echo $#root.id",
    "echo \"$#root.id\"",
    "echo $'a\\'b' #root.id",
    "echo '#root.id",
    "echo \"#root.id",
    "eval echo #root.id",
    "eval \"echo '#root.id'\"",
    "if true; then eval #root.id; fi",
    "X=#root.id; eval \"echo $X\"",
    "X=#root.id; $X now",
    "sh -c 'echo #root.id'",
    "/bin/sh -c \"echo #root.id\"",
    "bash -xc \"echo #root.id\"",
    "zsh -c #root.id -x",
    "dash -c \"$X\" #root.id",
    "env A=1 sh -c 'echo #root.id'",
    "sudo -u me bash -c 'echo #root.id'",
    "env -S \"echo #root.id\"",
    "ssh host echo #root.id",
    "su -c 'echo #root.id'",
    "sudo su -c 'echo #root.id'",
    "xargs echo #root.id",
    "echo #root.id | xargs echo",
    "echo #root.id | sh",
    "echo #root.id | bash -s",
    "echo #root.id | python3",
    "echo #root.id | sh -",
    ". #root.data.file",
    "source #root.data.file x",
    "find . -exec sh -c 'echo #root.id' \\;",
    "awk '{print \"#root.id\"}' file",
    "sed s/x/#root.id/ file",
    "perl -ne 'print \"#root.id\"' file",
    "python3 -c 'print(\"#root.id\")'",
    "python3.12 -c \"print('#root.id')\"",
    "node -e 'x(\"#root.id\")'",
    "node --eval='x(\"#root.id\")'",
    "ruby -e 'x #root.id'",
    "php -r 'x(#root.id);'",
    "sqlite3 db \"insert into t values ('#root.id')\"",
    "jq '.a = \"#root.id\"' file",
    "trap 'echo #root.id' EXIT",
    "export #root.data.name=1",
    "[[ #root.id -eq 1 ]]",
    "#root.data.program x",
    "./run-#root.event_type.sh x",
    "true && #root.data.program",
    "#root.data.program",
    "$root",
    "sh -c 'eval \"$1\"' sh #root.id",
    "sudo -n #root.data.program x",
    "env A=1 #root.data.program",
    "timeout 5 \"#root.data.program\"",
    "exec #root.data.program",
    "find . -exec #root.data.program {} +",
    "echo $[#root.id]",
    "a[#root.id]=1",
    "printf -v \"a[#root.id]\" x",
    "test -v #root.id",
    "X=#root.id; echo $((X + 1))",
    "for x in #root.id; do echo ${Y:x}; done",
    "echo \"$\\\n(echo \"x\" #root.id)\"",
    "echo <\\\n< EOF #root.id",
    "sh -c 'echo \"$1\" | sh' sh #root.id",
];

/// Commands in which it cannot.
const SAFE: &[&str] = &[
    "echo #root.id",
    "echo \"a #root.id\" 'b #root.data' c=$root.data.x",
    "cd \"$HOME\" && notify --id=#root.id || exit 1",
    "echo $(date +%s) #root.id `id -u` ${X:-y} $((1 + 2)) \"$(date) #root.id\"",
    "echo x # a comment\necho #root.id",
    "echo \\\"#root.id\\\" '\\' \"\\\\\" #root.id",
    "if test -e /x; then echo #root.id; else echo no; fi",
    "echo it is time #root.data.time",
    "sudo -u me env A=#root.id nice -n 10 notify #root.id",
    "find #root.data.folder -name x -exec rm {} +",
    "for x in #root.id; do echo \"$x\"; done",
    "case #root.event_type in a.*) echo a ;; *) echo b ;; esac",
    "X=#root.data.x notify",
    "echo #root.id > /tmp/x 2>&1 >| /tmp/y",
    "(echo #root.id; echo x) | cat",
    "bash notify.sh #root.id",
    "python3 notify.py -- #root.data.x",
    "sh -c 'notify \"$1\"' sh #root.id",
    "python3 -c 'import sys; print(sys.argv)' -- #root.id",
    "psql -v id=#root.id -f q.sql",
    "jq -n --arg x #root.data.x '$ARGS'",
    "echo please look at #root.data.time and make it work",
    "notify \\\n  --id #root.id",
    "X=#root.id; notify \"$X\" ${X}",
    "curl --data-raw '$root' https://example.org",
    "echo #hashtag x",
    // Without a placeholder anything goes.
    "eval \"$(cat)\"",
    "sh -c 'cat <<EOF\nx\nEOF'",
];

#[test]
fn a_text_for_the_shell_with_a_placeholder_where_none_is_safe() {
    for command in UNSAFE {
        let message = refusal(json!({ "command": command }));
        assert!(message.starts_with("command: "), "{command}: {message}");
        assert!(message.contains("a list of arguments") && message.contains("standard input"), "{message}");
        let message = refusal(json!({ "command": "true", "batch_command": command }));
        assert!(message.starts_with("batch_command: "), "{command}: {message}");
    }
}

#[test]
fn a_text_for_the_shell_with_a_placeholder_that_is_safe() {
    for command in SAFE {
        assert!(
            built(json!({ "command": command })).is_ok(),
            "{command}: {:?}",
            built(json!({ "command": command })).err()
        );
    }
}

#[test]
fn lists_of_arguments() {
    for command in [
        json!([]),
        json!([""]),
        json!(["#root.data.program"]),
        json!(["sh", "-c", "echo #root.id"]),
        json!(["/usr/bin/env", "bash", "-c", "echo $root"]),
        json!(["ssh", "host", "echo", "#root.id"]),
        json!(["python3", "-c", "print('#root.id')"]),
        json!(["x", "a\0b"]),
    ] {
        assert!(refusal(json!({ "command": command })).starts_with("command"), "{command}");
    }
    for command in [
        json!(["notify", "#root.id", "'#root.data'", "$(#root.id)", "\\#root.id", "`$root`"]),
        json!(["sh", "-c", "notify \"$1\"", "sh", "#root.data.x"]),
        json!(["sh", "-c", "eval \"$(cat)\""]),
        json!(["python3", "notify.py", "#root.id"]),
    ] {
        assert!(built(json!({ "command": command })).is_ok(), "{command}");
    }
}

#[test]
fn settings_that_cannot_be() {
    for (settings, message) in [
        (json!({}), "missing field `command`"),
        (json!({ "command": 5 }), "expected a string or a list of strings, found 5"),
        (json!({ "command": "  " }), "command is empty"),
        (
            json!({ "command": "$NO_SUCH/run" }),
            "command: `$NO_SUCH/run` begins with `#` or `$` and holds no space, so it is read as one \
             path; it leads nowhere and becomes the text `null`: a path begins with `root`, and a space makes it a text",
        ),
        (json!({ "command": "x", "timeout": 0 }), "timeout is 0 seconds, it must be longer"),
        (json!({ "command": "x", "retry_interval": 0 }), "retry_interval is 0 seconds, it must be longer"),
    ] {
        assert_eq!(refusal(settings), message);
    }
}

#[test]
fn the_policy_that_follows_from_settings() {
    let policy = |settings| built(settings).unwrap().policy;
    let plain = policy(json!({ "command": "x" }));
    assert_eq!((plain.batch_max, plain.max_attempts, plain.retry_interval), (100, 12, None));
    let old =
        policy(json!({ "command": "x", "max_retries": 0, "retry_interval": "10s", "batch_threshold": "5" }));
    assert_eq!((old.batch_max, old.max_attempts, old.retry_interval.unwrap().as_secs()), (100, 1, 10));
    for (settings, most) in [
        (json!({ "command": "x", "batch_threshold": 100 }), 100),
        (json!({ "command": "x", "batch_threshold": 101 }), 1),
        (json!({ "command": "x", "batch_threshold": 0 }), 100),
        (json!({ "command": ["x", "$root"] }), 100),
        (json!({ "command": ["x", "#root.id"] }), 1),
        (json!({ "command": ["x", "#root.id"], "batch_command": ["x"] }), 100),
        (json!({ "command": "x \"#root.id\"" }), 1),
    ] {
        assert_eq!(policy(settings.clone()).batch_max, most, "{settings}");
    }
}

#[test]
fn a_text_that_is_no_path_is_warned_of() {
    let warnings = built(json!({ "command": ["notify", "#general", "$5", "#root.id"] })).unwrap().warnings;
    let paths: Vec<_> = warnings.iter().map(|warning| warning.path.as_str()).collect();
    assert_eq!(paths, ["command.1", "command.2"]);
}

#[tokio::test]
async fn values_that_no_program_can_be_given_fail_their_event_alone() {
    let long = "x".repeat(128 * 1024);
    let value = |value: &str| event(1, &json!({ "x": value }));
    for (command, text, why) in [
        (json!("true #root.data.x"), "-rf", "the value of `#root.data.x` begins with `-`"),
        (json!("true \"#root.data.x\""), "-rf", "begins with `-`"),
        (json!("true ''#root.data.none#root.data.x"), "--x", "begins with `-`"),
        (json!(["true", "#root.data.x"]), "-", "begins with `-`"),
        (json!(["true", "#root.data.none#root.data.x y"]), "-", "begins with `-`"),
        (json!("true #root.data.x"), "a\0b", "holds a zero byte"),
        (json!(["true", "--", "#root.data.x"]), "a\0b", "holds a zero byte"),
        (json!("true '#root.data.x'"), &long, "the most is 131071"),
        (json!(["true", "#root.data.x"]), &long, "an argument of the command has 131072 bytes"),
        (json!("true | curl -d #root.data.x"), "@/etc/passwd", "curl takes for the name of a file"),
        (json!(["curl", "-d", "#root.data.x"]), "@/etc/passwd", "curl takes for the name of a file"),
    ] {
        let sender = sender(json!({ "command": command }));
        let receipts = sent(&*sender, &[value(text), event(2, &json!({ "x": "y" }))]).await;
        assert!(matches!(receipts[0], Receipt::Never { .. }), "{command}: {receipts:?}");
        assert!(reason(&receipts[0]).contains(why), "{command}: {receipts:?}");
        if !command.to_string().contains("curl") {
            assert_eq!(receipts[1], Receipt::Done, "{command}");
        }
    }
    for command in [
        json!("true -- #root.data.x"),
        json!("true --title=#root.data.x"),
        json!("true \"title: #root.data.x\""),
        json!("true > /dev/null x#root.data.x"),
        json!("X=#root.data.x true"),
        json!(["true", "--", "#root.data.x"]),
        json!(["true", "--title=#root.data.x"]),
    ] {
        let sender = sender(json!({ "command": command }));
        assert_eq!(sent(&*sender, &[value("-rf")]).await, [Receipt::Done], "{command}");
    }
}
