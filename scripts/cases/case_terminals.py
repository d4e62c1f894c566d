"""A10, A11, A17: what is shown on terminals, who gets a token, and who may read files."""

import json
import os
import threading

from program import wait_for
from registry import case, expect
from terminal import on_terminal
from watched import Watched

# Each mark that must not reach a terminal, with a word to find it by.
MARKS = {
    "ESC": "\x1b]0;owned\x07", "CR": "\rforged", "LF": "\nforged", "BEL": "\x07", "C1 CSI": "\u009b31m", "U+202E": "\u202e", "U+2066": "\u2066",
    "U+200B": "\u200b", "U+200F": "\u200f", "U+061C": "\u061c", "U+FEFF": "\ufeff", "U+2028": "\u2028", "U+E0041": "\U000e0041",
}  # fmt: skip


def hostile_names():
    """A file name for each mark."""
    return {mark: f"mark-{number}-{text}-end.txt" for number, (mark, text) in enumerate(MARKS.items())}


def raw_marks(shown):
    """Which names were shown with their mark as it is."""
    text = shown.decode(errors="replace").replace("\r\n", "\n")
    return [mark for mark, name in hostile_names().items() if name.removesuffix("-end.txt") in text]


def hostile(run):
    """A program that has told of files with such names."""
    watched = Watched(run, bootstrap="all", include_content_preview=True)
    for name in hostile_names().values():
        (watched.root / name).write_text(name)
    wait_for(lambda: watched.program.total() >= len(MARKS), 15)
    return watched.program


@case("A10", "A", "events of files named with ESC, CR, LF, U+202E …, on a terminal", "every mark is escaped")
def events_on_a_terminal(run):
    program = hostile(run)
    shown = on_terminal(program, "events", "-n", "50")
    expect(b"mark-0" in shown, f"no events are shown: {shown[-80:]}")
    expect(not raw_marks(shown), f"raw: {', '.join(raw_marks(shown))}")


@case("A10-others", "A", "the same by events --json, pull, subscribe, state list, state get, state history, state watch, source test", "every mark is escaped")
def others_on_a_terminal(run):
    program = hostile(run)
    key = next(key for key in program.state("files") if "mark-0" in key)

    def touch():
        for name in hostile_names().values():
            with open(run.folder / "watched" / name, "a") as file:
                file.write("more")

    commands = {
        "events --json": ("events", "-n", "50", "--json"),
        "pull": ("pull",),
        "pull --json": ("pull", "--json"),
        "state list": ("state", "list", "files"),
        "state list --json": ("state", "list", "files", "--json"),
        "state get": ("state", "get", "files", key),
        "state history": ("state", "history", "files"),
        "state export": ("state", "export", "files"),
        "source test": ("source", "test", "files"),
        "subscribe": ("subscribe",),
        "state watch": ("state", "watch", "files"),
    }
    found = {}
    for name, line in commands.items():
        follows = name in ("subscribe", "state watch")
        if follows:  # the files change while it looks
            threading.Timer(2, touch).start()
        shown = on_terminal(program, *line, seconds=8, until=b"mark-12" if follows else None)
        if follows or name in ("pull", "state list"):
            expect(b"mark-" in shown, f"{name} shows nothing: {shown[-80:]}")
        if raw_marks(shown):
            found[name] = raw_marks(shown)
    expect(not found, f"raw: {found}")


@case("A10-errors", "A", "marks in a command's own arguments, in the configuration, and in a feed's error page", "messages and the log escape them")
def errors_on_a_terminal(run):
    web = run.web()
    name = "".join(hostile_names().values())
    web.routes["/f"] = (500, {"Content-Type": "text/plain"}, name)
    web.routes["/g"] = (200, {"Content-Type": "application/xml"}, f"<rss><{name}>")
    feed = {"type": "feed", "poll_interval": "1s"}
    program = run.program({"sources": {"f": feed | {"url": web.base + "/f"}, "g": feed | {"url": web.base + "/g"}}})
    found = {}
    for line in (("state", "get", "f", name.replace("\0", "")), ("state", "list", name), ("status",), ("healthcheck",), ("events", "--source", name)):
        marks = raw_marks(on_terminal(program, *line))
        if marks:
            found[" ".join(line)[:14]] = marks
    if raw_marks(program.log().encode()):
        found["the log"] = raw_marks(program.log().encode())
    broken = run.prepared(name="broken")
    broken.write(sources={"x": {"type": "filesystem", "path": "/tmp", name: 1}})
    marks = raw_marks(on_terminal(broken, "check"))
    if marks:
        found["check"] = marks
    expect(not found, f"raw: {found}")


def stranger(run, program):
    """A server of somebody else on the program's port, which says that all is well."""
    health = {"status": "healthy", "checked_at": "2026-01-01T00:00:00+00:00", "sources": [], "failures": [], "sinks": []}
    web = run.web(port=program.port)
    web.routes["*"] = (200, {"Content-Type": "application/json"}, json.dumps(health | {"events": [], "batch_id": 1, "remaining_events": 0}))
    return web


COMMANDS = (
    ("status",), ("healthcheck",), ("pull",), ("subscribe",), ("pull-mark-processed", "--batch-id", "1"), ("source", "pause", "m"),
    ("state", "list", "m"), ("state", "watch", "m"), ("events",), ("sink", "pause", "inbox"),
)  # fmt: skip


def keeps_token(run, program, *tokens):
    """Expects that no command gives the token away or believes what the stranger says."""
    web = stranger(run, program)
    given, believed = [], []
    for line in COMMANDS:
        before = len(web.asked)
        done = program.command(*line, timeout=6)
        asked = web.asked[before:]
        if any(token in f"{request.headers} {request.path}" for request in asked for token in tokens):
            given.append(" ".join(line[:2]))
        if asked and line[0] in ("status", "healthcheck") and "unhealthy" not in done.out and "healthy" in done.out:
            believed.append(line[0])
    expect(not given, f"a token was sent by: {', '.join(given)}")
    expect(not believed, f"believed by: {', '.join(believed)}")


@case("A11", "A", "the program stopped, another process on its port; status, pull, subscribe …", "server.token goes to nobody, 'healthy' is not believed")
def stopped_and_another(run):
    program = run.prepared({"server": {"token": "the-token-of-this-server"}})
    program.spawn()
    wait_for(lambda: "Starting server" in program.log(), 15)
    program.stop()
    keeps_token(run, program, "the-token-of-this-server")


@case("A11-stale", "A", "the same after kill -9, with a stale data.db.run, whose pid is another process's now", "server.token goes to nobody, 'healthy' is not believed")
def killed_and_another(run):
    program = run.prepared({"server": {"token": "the-token-of-this-server"}})
    program.spawn()
    wait_for(lambda: list(program.folder.glob("data.db.run")), 15)
    program.kill()
    stale = list(program.folder.glob("data.db.run"))
    expect(stale, "the script expects data.db.run to be left")
    left = json.loads(stale[0].read_text())
    token_of_run = left["token"]
    # As if another process had got its number since.
    stale[0].write_text(json.dumps(left | {"pid": os.getpid()}))
    keeps_token(run, program, token_of_run, "the-token-of-this-server")


def warned(program):
    """What check says, and what the log of a start says."""
    checked = program.command("check")
    program.spawn()
    wait_for(lambda: "Starting server" in program.log() or not program.runs(), 15)
    program.stop()
    return (checked.out + checked.err), program.log()


def expect_warning(program, file):
    """Expects the name of the file and its mode in what check says and in the log."""
    checked, log = warned(program)
    for where, text in (("check", checked), ("the log", log)):
        lines = [line for line in text.splitlines() if file in line and ("644" in line or "640" in line or "read" in line.lower())]
        warns = [line for line in lines if "warn" in line.lower()]
        expect(warns, f"{where} says nothing of the mode of {file}: {text.strip()[-80:]}")


@case("A17", "A", "a token in config.yaml with mode 644", "check and the log of a start warn")
def readable_config(run):
    program = run.prepared({"server": {"token": "a-long-token-of-this-server"}})
    program.file.chmod(0o644)
    expect_warning(program, "config.yaml")


@case("A17-env", "A", "a token in .env with mode 644; and 640", "check and the log of a start warn")
def readable_env(run):
    for mode in (0o644, 0o640):
        program = run.prepared({"server": {"token": "${THE_TOKEN}"}}, name=f"p{mode}")
        program.env.pop("THE_TOKEN", None)
        (program.folder / ".env").write_text("THE_TOKEN=a-long-token-of-this-server\n")
        (program.folder / ".env").chmod(mode)
        expect_warning(program, ".env")


@case("A17-private", "A", "the same with mode 600; and mode 644 without any token in it", "no warning")
def private_config(run):
    private = run.prepared({"server": {"token": "a-long-token-of-this-server"}}, name="private")
    without = run.prepared(name="without")
    without.file.chmod(0o644)
    for program in (private, without):
        checked, log = warned(program)
        lines = [line for line in (checked + log).splitlines() if "warn" in line.lower() and "mode" in line.lower()]
        expect(not lines, lines)
