"""A7, A8, A9: copies of the database, restores, and damage."""

import contextlib
import http.client
import json
import os
import shutil
import sqlite3

from program import Stream, wait_for
from registry import case, expect
from watched import Watched

REFUSED = "refused, by a message that says what to do"


def only(folder, source):
    """A folder with one file, as data.db."""
    folder.mkdir(exist_ok=True)
    shutil.copyfile(source, folder / "data.db")


def refuses(program, because):
    """Expects that listen, and commands that read, end with an error about the database."""
    done = program.command("listen", timeout=10)
    expect(done.code is not None, f"{because}: listen runs on it")
    expect(done.code != 0 and "data.db" in done.err, f"{because}: exit {done.code}: {done.err.strip()[-100:]}")
    expect("panicked" not in done.err, f"{because}: {done.err[:100]}")
    read = program.command("events")
    expect(read.code != 0, f"{because}: events ends with {read.code}: {(read.out + read.err).strip()[:60]}")


def young(run):
    """A program with some events, never checkpointed: all is in data.db-wal."""
    watched = Watched(run, lambda w: [w.put(f"{n}.txt") for n in range(5)], bootstrap="all")
    wait_for(lambda: watched.program.total() >= 5, 15)
    return watched.program


@case("A7", "A", "cp of data.db alone of a young running program, listen on it", REFUSED)
def young_copy(run):
    program = young(run)
    copy = run.prepared(name="copy")
    only(copy.folder, program.database)
    tables = 0
    with sqlite3.connect(f"file:{copy.database}?immutable=1", uri=True) as opened:
        tables = opened.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if tables == 0:
        refuses(copy, "our mark and no tables")
    else:
        copy.start()
        expect(copy.total() >= 5, f"{copy.total()} of 5 events are in the copy")


@case("A7-empty", "A", "data.db cut to 0 bytes or to its first page beside the lock file", REFUSED)
def emptied(run):
    program = young(run)
    program.stop()
    whole = program.database.read_bytes()
    for size in (0, 100, 4096):
        for path in program.folder.glob("data.db-*"):
            path.unlink()
        program.database.write_bytes(whole[:size])
        refuses(program, f"{size} bytes")


@case("A7-backup", "A", "inboxclaw store backup FILE beside the running program, under writes; listen on the copy", "a whole copy, 0600, never over a file")
def backup(run):
    program = young(run)
    target = run.folder / "backup.db"
    done = program.command("store", "backup", str(target))
    expect(done.code == 0, f"exit {done.code}: {(done.err or done.out).strip()[-100:]}")
    expect(target.stat().st_mode & 0o077 == 0, f"mode {target.stat().st_mode & 0o777:o}")
    with sqlite3.connect(f"file:{target}?immutable=1", uri=True) as opened:
        state = opened.execute("PRAGMA integrity_check").fetchone()[0]
    expect(state == "ok", state)
    again = program.command("store", "backup", str(target))
    expect(again.code != 0, "a second backup went over the first")
    copy = run.prepared(name="copy", config=program.config)
    only(copy.folder, target)
    copy.start()
    expect(copy.total() >= 5, f"{copy.total()} of 5 events are in the copy")
    program.stop()
    stopped = run.folder / "stopped.db"
    done = program.command("store", "backup", str(stopped))
    expect(done.code == 0 and stopped.stat().st_size > 4096, f"of a program that does not run: exit {done.code}: {done.err.strip()[-80:]}")


def numbered(run, count, **more):
    """A program and a function that makes events until there are so many."""
    watched = Watched(run, watch_mode="hybrid", **more)

    def until(total):
        names = [f"{os.urandom(4).hex()}.txt" for _ in range(total - watched.program.total())]
        for name in names:
            watched.put(name)
        wait_for(lambda: watched.program.total() >= total, 20)
        return names

    until(count)
    return watched, until


def reader_is_told(program, last, names, also_sse=True):
    """Expects that a reader who saw number `last` gets the events of these names, or is told that numbers were lost."""
    numbers = {event["data"]["path"]: event["id"] for event in program.events() if event["data"].get("path") in names}
    expect(len(numbers) == len(names), f"{len(numbers)} of {len(names)} new events are in the log")
    again = sorted(number for number in numbers.values() if number <= last)
    if also_sse:
        stream = Stream(program, "/sse/", {"Last-Event-ID": str(last)})
        told = lambda messages: any(m.get("event") == "truncated" for m in messages)
        whole = lambda messages: set(numbers.values()) <= {int(m["id"]) for m in messages if m.get("event") == "message"}
        messages = stream.wait(lambda m: told(m) or whole(m), 5)
        stream.close()
        expect(told(messages) or whole(messages), f"numbers {again} are used again; the stream after {last} says {[m.get('event') for m in messages]}")
    expect(not again, f"numbers {again} are used again, each with two contents")


@case("A8", "A", "a reader at 11; data.db of the time of 7 copied back by hand", "the reader is told, no number has two contents")
def restored_by_hand(run):
    watched, until = numbered(run, 7)
    program = watched.program
    program.stop()
    only(run.folder / "kept", program.database)
    program.start()
    until(11)
    last = program.events()[-1]["id"]
    program.stop()
    for path in program.folder.glob("data.db-*"):
        path.unlink()
    shutil.copyfile(run.folder / "kept" / "data.db", program.database)
    program.start()
    told = {path.split(" ")[1] for path in watched.paths()}
    wait_for(lambda: program.total() >= 11, 20)
    names = [path.split(" ")[1] for path in watched.paths() if path.split(" ")[1] not in told]
    reader_is_told(program, last, [n for n in names if n in {p.split(" ")[1] for p in watched.paths()}])


@case("A8-backup", "A", "a reader at 11; the backup of 7 put on another machine", "the reader is told, no number has two contents")
def restored_elsewhere(run):
    watched, until = numbered(run, 7)
    program = watched.program
    target = run.folder / "backup.db"
    done = program.command("store", "backup", str(target))
    expect(done.code == 0, f"store backup ends with {done.code}")
    until(11)
    last = program.events()[-1]["id"]
    program.stop()
    other = Watched(run, root=watched.root, name="other", start=False, watch_mode="hybrid")
    only(other.program.folder, target)
    before = 7
    other.program.start()
    wait_for(lambda: other.program.total() >= before + 4, 20)
    new = [event["data"]["path"] for event in other.program.events()[before:]]
    reader_is_told(other.program, last, new)


@case("A8-pull", "A", "a pull reader's batch of before, after the restore of an older file", "404, its events come again")
def restored_pull(run):
    watched, until = numbered(run, 7)
    program = watched.program
    program.stop()
    only(run.folder / "kept", program.database)
    program.start()
    names = until(11)
    batch = program.extract()["batch_id"]
    program.stop()
    for path in program.folder.glob("data.db-*"):
        path.unlink()
    shutil.copyfile(run.folder / "kept" / "data.db", program.database)
    program.start()
    wait_for(lambda: program.total() >= 11, 20)
    status = program.request("POST", f"/inbox/mark-processed?batch_id={batch}").status
    paths = {event["data"]["path"] for event in program.extract()["events"]}
    expect(status == 404, f"confirming answers {status}")
    expect(set(names) <= paths, f"{len(set(names) - paths)} events are not handed out")


@case("A8-anew", "A", "every file of the database was removed; a reader at 30 of the old log, an event in the new one", "told, with the oldest that there is; nothing of the new log is missed")
def begun_anew(run):
    program = run.program()
    program.wake(times=2)
    program.stop()
    for path in program.folder.glob("data.db*"):
        path.unlink()
    program.start()
    program.wake()
    first = program.events()[0]["id"]
    stream = Stream(program, "/sse/", {"Last-Event-ID": "30"})
    messages = stream.wait(lambda m: len(m) >= 2, 5)
    stream.close()
    gaps = [json.loads(m["data"])["oldest"] for m in messages if m.get("event") == "truncated"]
    shown = [m for m in messages if m.get("event") == "message"]
    expect(shown or (gaps and gaps[0] <= first), f"the oldest event is {first}; told: {messages}")


@case("A8-wal", "A", "an older data.db copied back over a killed program's, whose -wal is still there", "refused with what to do, or the older content whole")
def restored_under_wal(run):
    watched, until = numbered(run, 7)
    program = watched.program
    program.stop()
    only(run.folder / "kept", program.database)
    program.start()
    until(11)
    program.kill()
    shutil.copyfile(run.folder / "kept" / "data.db", program.database)
    done = program.command("listen", timeout=4)
    if done.code is None:
        program.start()
        expect(wait_for(lambda: program.total() >= 11, 10), f"{program.total()} events; nobody was told")
        expect(all(event["id"] not in (8, 9, 10, 11) for event in program.events()), "numbers are used again")
    else:
        expect(done.code != 0 and "-wal" in done.err, f"exit {done.code}: {done.err.strip()[-100:]}")


def large(run):
    """A program with a database of some MiB, stopped, all of it in data.db."""
    program = run.program()
    # Values in the state of a source, and events enough to fill pages of the log.
    for number in range(40):
        program.put("m", f"key{number}", json.dumps("x" * 60000))
    program.wake(times=3)
    program.stop()
    return program


WORDS = ("damage", "corrupt", "malformed", "not a database")


def names_damage(program, deeds):
    """Expects that the log names damage, and that health does too or the program ends with another code than 0."""
    named = lambda: any(word in program.log().lower() for word in WORDS)  # noqa: E731
    answers = deeds()
    expect(wait_for(lambda: not program.runs() or named(), 15) and named(), f"the log says nothing; answers: {answers}")
    with contextlib.suppress(OSError, http.client.HTTPException):
        health = program.request("GET", "/healthcheck")
        said = health.status == 503 and any(word in health.body.decode().lower() for word in WORDS)
        expect(said, f"health: {health.status} {json.loads(health.body)['store']}")
        return
    expect(wait_for(lambda: not program.runs(), 10), "nobody answers")
    expect(program.process.returncode != 0, "it ended with 0")


def on_damage(program):
    """Starts it on a damaged file; it may end at once."""
    program.spawn()
    wait_for(lambda: not program.runs() or program.is_alive(), 10)


def read_all(program):
    """Asks for everything; the statuses."""
    found = []
    for path in ("/api/events?limit=500", "/api/sources/m/state?limit=1000", "/inbox/extract"):
        try:
            answer = program.request("GET", path)
            found.append((answer.status, answer.body[:80].decode(errors="replace")))
        except (OSError, http.client.HTTPException):
            found.append("no answer")
    return found


@case("A9", "A", "20,000 random bytes in the middle of data.db, then a start", "the log, health and the answer name the damage (or it ends, and says so)")
def damaged(run):
    program = large(run)
    with open(program.database, "r+b") as file:
        file.seek(program.database.stat().st_size // 2)
        file.write(os.urandom(20000))
    on_damage(program)
    answers = []

    def deeds():
        answers.extend(read_all(program))
        return answers

    names_damage(program, deeds)
    bare = [a for a in answers if a != "no answer" and a[0] >= 500 and not any(word in a[1].lower() for word in WORDS)]
    expect(not bare, f"the answer does not name it: {bare[:1]}")


@case("A9-log", "A", "the same where the bodies of events are, by readers only", "the log, health and the answer name the damage")
def damaged_log(run):
    def fill(watched):
        for number in range(300):
            watched.put(f"{number}.txt", os.urandom(8000).hex())

    watched = Watched(run, fill, bootstrap="all", include_content_preview=True, content_preview_length=16000, max_diff_bytes=0, poll_interval="1h")
    program = watched.program
    wait_for(lambda: program.total() >= 300, 20)
    program.stop()
    with open(program.database, "r+b") as file:
        file.seek(program.database.stat().st_size // 2)
        file.write(os.urandom(20000))
    on_damage(program)
    answers = []

    def deeds():
        with contextlib.suppress(OSError, http.client.HTTPException):
            answers.extend(program.request("GET", f"/api/events?limit=30&offset={30 * page}") for page in range(10))
        return [answer.status for answer in answers]

    names_damage(program, deeds)
    bare = [answer.body[:60] for answer in answers if answer.status >= 500 and not any(word.encode() in answer.body.lower() for word in WORDS)]
    expect(not bare, f"the answer does not name it: {bare[:1]}")


@case("A9-cut", "A", "the second half of data.db is cut off, then a start", "the log and health name the damage (or it ends, and says so)")
def cut_off(run):
    program = large(run)
    whole = program.database.read_bytes()
    program.database.write_bytes(whole[: len(whole) // 8192 * 4096])
    on_damage(program)
    names_damage(program, lambda: read_all(program))


@case("A9-running", "A", "half of data.db is overwritten while it runs", "the log and health name the damage (or it ends, and says so)")
def damaged_while_running(run):
    program = large(run)
    program.start()
    size = program.database.stat().st_size
    with open(program.database, "r+b") as file:
        file.seek(size // 4)
        file.write(os.urandom(size // 2))

    def deeds():
        for number in range(3):
            with contextlib.suppress(OSError, http.client.HTTPException):
                program.put("m", f"key{number}", json.dumps("y" * 60000))
        return read_all(program)

    names_damage(program, deeds)
