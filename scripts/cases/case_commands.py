"""D: what people and scripts type."""

import concurrent.futures
import json
import signal
import sqlite3
import subprocess
import time

from program import wait_for
from registry import case, expect


def following(program, *line):
    """A command that goes on, begun."""
    return subprocess.Popen(
        [program.binary, *line, "--config", str(program.file)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=program.folder, env=program.environment(),
    )  # fmt: skip


def end_of_server(run, ends, *line):
    """What a command that follows does when the server goes away: its exit code, or None while it tries again."""
    program = run.program()
    child = following(program, *line)
    run.defer(child.wait)
    run.defer(child.kill)
    program.wake()
    expect(child.stdout.readline(), "it printed nothing of the first event")
    ends(program)
    try:
        code = child.wait(8)
    except subprocess.TimeoutExpired:
        # It tries again: then nothing may be missed.
        program.start()
        program.wake()
        wanted = program.events()[-1]["event_id"].encode()
        reader = concurrent.futures.ThreadPoolExecutor(1)
        run.defer(reader.shutdown, False)
        found = reader.submit(lambda: any(wanted in text for text in child.stdout))
        try:
            expect(found.result(70), "it ended without the event after the restart")
        except concurrent.futures.TimeoutError:
            expect(False, "it goes on, and never shows the event after the restart")
        return
    expect(code != 0, "exit 0: a script thinks that all was told")


@case("D-subscribe", "D", "subscribe while the server is stopped", "another exit code than 0, or it goes on and misses nothing")
def subscribe_stopped(run):
    end_of_server(run, lambda program: program.stop(), "subscribe")


@case("D-subscribe-kill", "D", "subscribe while the server is killed", "another exit code than 0, or it goes on and misses nothing")
def subscribe_killed(run):
    end_of_server(run, lambda program: program.kill(), "subscribe")


@case("D-watch-kill", "D", "state watch while the server is stopped", "another exit code than 0, or it goes on and misses nothing")
def watch_stopped(run):
    program = run.program()
    child = following(program, "state", "watch", "m")
    run.defer(child.wait)
    run.defer(child.kill)
    time.sleep(1)
    program.put("m", "k", "1")
    expect(child.stdout.readline(), "it printed nothing")
    program.stop()
    try:
        code = child.wait(8)
    except subprocess.TimeoutExpired:
        return
    expect(code != 0, "exit 0: a script thinks that all was told")


@case("D-json-none", "D", "--json of nothing: events, events --source, pull, state list, state history, state owners", "JSON, an empty list")
def json_of_nothing(run):
    program = run.program()
    lines = [("events",), ("events", "--source", "m"), ("events", "--event-type", "x"), ("pull",), ("state", "list", "m"), ("state", "history", "m")]
    for _ in range(2):  # beside the program and without it
        for line in lines:
            if line == ("pull",) and not program.runs():
                continue
            done = program.command(*line, "--json")
            try:
                parsed = json.loads(done.out) if done.out.strip() or not line[0] == "state" else []
            except ValueError:
                expect(False, f"{' '.join(line)}: {done.out.strip()[:60]}")
            expect(done.code == 0, f"{' '.join(line)}: exit {done.code}")
            expect(line[0] != "events" or parsed == [], f"{' '.join(line)}: {parsed}")
        program.stop()


@case("D-hung", "D", "the program hangs (SIGSTOP): state list, set, source pause, pull, status, healthcheck …", "each ends within 70 s, not with 0, and says why; what the database alone tells is told", slow=True)
def hung(run):
    program = run.program()
    program.put("m", "k", "1")
    program.process.send_signal(signal.SIGSTOP)
    lines = [
        ("state", "list", "m"), ("state", "get", "m", "k"), ("state", "set", "m", "k", "2"), ("state", "undo", "m"), ("state", "owners"),
        ("state", "export", "m"), ("state", "history", "m"), ("source", "pause", "m"), ("pull",), ("healthcheck",), ("status",),
        ("state", "watch", "m"), ("subscribe",),
    ]  # fmt: skip
    try:
        with concurrent.futures.ThreadPoolExecutor(len(lines)) as pool:
            ended = list(pool.map(lambda line: program.command(*line, timeout=70), lines))
    finally:
        program.process.send_signal(signal.SIGCONT)
    late = [" ".join(line[:2]) for line, done in zip(lines, ended) if done.code is None]
    expect(not late, f"no end after 70 s: {', '.join(late)}")
    reads = ("list", "get", "owners", "export", "history")
    wrong = [" ".join(line[:2]) for line, done in zip(lines, ended) if done.code == 0 and line[0] != "status" and line[1:2] not in [(read,) for read in reads]]
    expect(not wrong, f"exit 0: {', '.join(wrong)}")
    silent = [" ".join(line[:2]) for line, done in zip(lines, ended) if not (done.err + done.out).strip()]
    expect(not silent, f"no word: {', '.join(silent)}")


@case("D-hung-import", "D", "the program hangs while a large import is sent", "it ends within 100 s, not with 0", slow=True)
def hung_import(run):
    program = run.program()
    program.process.send_signal(signal.SIGSTOP)
    data = "".join(json.dumps({"key": f"k{n}", "value": "x" * 1000}) + "\n" for n in range(20000))
    try:
        done = program.command("state", "import", "m", stdin=data, timeout=100)
    finally:
        program.process.send_signal(signal.SIGCONT)
    expect(done.code is not None, "no end after 100 s")
    expect(done.code != 0, "exit 0")


@case("D-rewind", "D", "rewind --to 1h on a history of seconds", "refused, or says when history begins")
def rewind_young(run):
    program = run.program()
    for key in ("a", "b"):
        program.put("m", key, "1")
    for _ in range(2):
        done = program.command("state", "rewind", "m", "--to", "1h")
        kept = {"a", "b"} <= set(program.state("m")) if program.runs() else program.command("state", "get", "m", "a").code == 0
        said = (done.out + done.err).lower()
        told = "begin" in said or "begun" in said or "start" in said or "before" in said or "no history" in said or "oldest" in said
        expect(told and (kept or done.code == 0), f"exit {done.code}, {'kept' if kept else 'all is removed'}: {said.strip()[:80]}")
        program.command("state", "undo", "m")
        program.stop()
        program.command("state", "set", "m", "a", "1")


@case("D-rewind-dates", "D", "rewind --to 2020-01-01 (a date); to a version that never was, to -1h, to soon", "as a time; refused, nothing changed")
def rewind_odd(run):
    program = run.program()
    program.put("m", "a", "1")
    for to in ("9999", "-1h", "soon"):
        done = program.command("state", "rewind", "m", f"--to={to}")
        expect(done.code not in (0, None) and "a" in program.state("m"), f"--to {to}: exit {done.code}, {program.state('m')}")
    done = program.command("state", "rewind", "m", "--to=2020-01-01")
    expect(done.code in (0, 1), f"a date: exit {done.code}: {done.err.strip()[:80]}")


def foreign(path):
    """A database of the Python program."""
    with sqlite3.connect(path) as opened:
        opened.execute("CREATE TABLE events (id INTEGER PRIMARY KEY, data TEXT)")


def of_the_future(path):
    """A database of ours with a layout that nobody knows yet."""
    with sqlite3.connect(path) as opened:
        opened.execute("PRAGMA user_version = 9999")


@case("D-check-database", "D", "check where listen refuses the database: another program's, a newer layout, a folder, no database, two names", "check refuses it as well")
def check_database(run):
    def made(name, make):
        program = run.prepared(name=name)
        make(program)
        return program

    def ours(program):
        program.spawn()
        wait_for(lambda: "Starting server" in program.log(), 15)
        program.stop()

    def newer(program):
        ours(program)
        of_the_future(program.database)

    def twice(program):
        ours(program)
        (program.folder / "other.db").hardlink_to(program.database)

    cases = {
        "another program's": lambda p: foreign(p.database),
        "a newer layout": newer,
        "a folder": lambda p: p.database.mkdir(),
        "no database": lambda p: p.database.write_text("these are only words\n" * 500),
        "two names": twice,
    }
    valid = []
    for name, make in cases.items():
        program = made(name.replace(" ", "-"), make)
        listens = program.command("listen", timeout=6)
        if listens.code in (0, None):
            continue
        if program.command("check").code == 0:
            valid.append(name)
    expect(not valid, f"check calls it valid: {', '.join(valid)}")


@case("D-check-good", "D", "match: *, mock.*, mock.random_number, inboxclaw.*", "valid, no warning")
def check_good_patterns(run):
    program = run.prepared()
    for pattern in ("*", "mock.*", "mock.random_number", "inboxclaw.*", "inboxclaw.source.gap"):
        program.write(sink={"inbox": {"type": "http_pull", "match": [pattern]}})
        done = program.command("check")
        expect(done.code == 0 and "warn" not in (done.out + done.err).lower(), f"{pattern}: {(done.out + done.err).strip()[-90:]}")


@case("D-forerunner", "D", "commands of the forerunner: install, restart, logs, update, config, stats, nordigen", "a sentence of their own, not the nearest guess")
def forerunner_commands(run):
    program = run.prepared()
    wrong = []
    for line in (("install",), ("restart",), ("logs",), ("update",), ("config",), ("stats",), ("nordigen", "list"), ("webhook-deliveries",)):
        done = program.command(*line, config=False)
        said = done.out + done.err
        if "similar" in said or "unrecognized" in said or done.code == 0:
            wrong.append(line[0])
    expect(not wrong, f"the nearest guess or none: {', '.join(wrong)}")


@case("D-schema", "D", "the schema, for what check takes: win11toast, extensions: null", "takes it too")
def schema(run):
    program = run.prepared()
    program.write(sources={"f": {"type": "filesystem", "path": "/tmp", "extensions": None}}, sink={"t": {"type": "win11toast"}})
    expect(program.command("check").code == 0, "check refuses it: " + program.command("check").err[:100])
    text = program.command("schema", config=False).out
    expect("win11toast" in text, "win11toast is not in the schema")

    def find(node):
        if isinstance(node, dict):
            if "extensions" in node and isinstance(node["extensions"], dict):
                yield node["extensions"]
            for value in node.values():
                yield from find(value)
        elif isinstance(node, list):
            for value in node:
                yield from find(value)

    shapes = list(find(json.loads(text)))
    expect(shapes and all("null" in json.dumps(shape) for shape in shapes), f"extensions is {json.dumps(shapes)[:90]}")


@case("D-older-than", "D", "delete --older-than, then undo; what help says of it", "help says what undo does")
def older_than(run):
    program = run.program()
    program.put("m", "old:1", "1")
    time.sleep(1.2)
    done = program.command("state", "delete", "m", "--prefix", "old:", "--older-than", "1s")
    expect(done.code == 0 and "old:1" not in program.state("m"), f"exit {done.code}: {done.err[:80]}")
    undone = program.command("state", "undo", "m").code == 0 and "old:1" in program.state("m")
    told = " ".join(program.command("state", "delete", "--help", config=False).out.split())
    cannot = any(words in told for words in ("cannot be undone", "cannot be taken back", "Except with --older-than"))
    expect(undone != cannot, f"undo {'brings it back' if undone else 'does not'}, help says that it {'cannot' if cannot else 'can'}")
