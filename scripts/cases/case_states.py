"""A12, A13, A14: times to live of entries, and the ways back."""

import json
import time

from program import Stream, wait_for
from registry import case, expect


def put(program, key, value, ttl=None):
    """Puts an entry; the status."""
    return program.put("m", key, json.dumps(value), f"?ttl={ttl}" if ttl else "").status


def value(program, key):
    """What an entry holds, or None."""
    entry = program.entry("m", key)
    return entry and entry["value"]


def undo(program):
    """Undoes a person's newest change; the status."""
    return program.request("POST", "/api/sources/m/undo", "").status


@case("A12", "A", "a time to live in the past: 2020-01-01T00:00:00Z", "refused (422), the value stays")
def past_ttl(run):
    program = run.program()
    put(program, "keep", "important")
    status = put(program, "keep", "important", "2020-01-01T00:00:00Z")
    expect(status == 422, f"{status}; the value is {value(program, 'keep')}")
    expect(value(program, "keep") == "important", "the value is gone")


@case("A12-forms", "A", "times in the past as 2020-01-01, with an offset, a second ago; by state set --ttl, running and stopped", "refused, the value stays")
def past_ttl_forms(run):
    program = run.program()
    put(program, "keep", "important")
    ago = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 1))
    for ttl in ("2020-01-01", "2020-01-01T02:00:00%2B02:00", ago, "1970-01-01T00:00:00Z"):
        status = put(program, "keep", "new", ttl)
        expect(status == 422 and value(program, "keep") == "important", f"{ttl}: {status}, the value is {value(program, 'keep')}")
    for _ in range(2):
        done = program.command("state", "set", "m", "keep", '"new"', "--ttl", "2020-01-01T00:00:00Z")
        left = program.command("state", "get", "m", "keep").out.strip()
        expect(done.code not in (0, None) and left == '"important"', f"set ends with {done.code}, the value is {left}")
        program.stop()


@case("A12-undo", "A", "undo when the newest change was a value that has expired", "refused or that value's own change, never an older unrelated one")
def undo_of_expired(run):
    program = run.program()
    put(program, "first", 1)
    put(program, "keep", "old")
    put(program, "keep", "brief", "1s")
    wait_for(lambda: value(program, "keep") is None, 5)
    status = undo(program)
    kept, first = value(program, "keep"), value(program, "first")
    expect(first == 1 and (kept == "old" or status >= 400), f"undo answers {status}; keep is {kept}, first is {first}")
    # A second one must not go on silently either.
    if status >= 400:
        again = undo(program)
        expect(value(program, "first") == 1 and again >= 400, f"a second undo answers {again}; first is {value(program, 'first')}")


@case("A13", "A", "a change of expiry alone, then undo", "a version; undo takes the expiry back")
def expiry_is_a_change(run):
    program = run.program()
    put(program, "note", "mine")
    before = program.version("m")
    put(program, "note", "mine", "1h")
    after = program.version("m")
    status = undo(program)
    entry = program.entry("m", "note")
    expect(entry, f"undo answers {status} and removes the entry; versions {before}, {after}")
    expect(after > before and entry["expires_at"] is None, f"versions {before}, {after}; it expires at {entry['expires_at']}")


@case("A13-rewind", "A", "rewind to a version when the entry had a time to live; to one when it had none", "the expiry as it was")
def rewind_of_expiry(run):
    program = run.program()
    put(program, "r", 1, "1h")
    version = program.version("m")
    expires = program.entry("m", "r")["expires_at"]
    put(program, "r", 1, "none")
    without = program.version("m")
    put(program, "s", 1)
    program.request("POST", "/api/sources/m/rewind", {"to": version})
    expect(program.entry("m", "r")["expires_at"] == expires, f"expires_at is {program.entry('m', 'r')['expires_at']}")
    program.request("POST", "/api/sources/m/rewind", {"to": without})
    expect(program.entry("m", "r")["expires_at"] is None, f"back: expires_at is {program.entry('m', 'r')['expires_at']}")


@case("A13-watch", "A", "a watch while only the expiry changes, to none and to a new time", "it is told of each")
def watch_of_expiry(run):
    program = run.program()
    put(program, "w", 1, "2s")
    stream = Stream(program, "/api/sources/m/watch", {"Last-Event-ID": str(program.version("m"))})
    time.sleep(0.5)
    put(program, "w", 1, "none")
    put(program, "w", 1, "3h")
    changes = lambda messages: [m for m in messages if m.get("event") == "change" and '"w"' in m["data"]]
    messages = stream.wait(lambda m: len(changes(m)) >= 2, 5)
    told = [json.loads(m["data"])["entry"]["expires_at"] for m in changes(messages)]
    expect(len(told) == 2 and told[0] is None and told[1], f"told: {[m.get('event') for m in messages]} {told}")
    time.sleep(2.2)
    expect(not any(m.get("event") == "expire" for m in stream.messages()), "told that it expired, and it did not")


@case("A13-same", "A", "the same value put again without any change", "no version")
def nothing_changed(run):
    program = run.program()
    put(program, "note", "mine")
    before = program.version("m")
    put(program, "note", "mine")
    expect(program.version("m") == before, f"versions {before}, {program.version('m')}")


def resumed(program, deed):
    """What a watch says that was away while `deed` was done."""
    first = Stream(program, "/api/sources/m/watch")
    greeting = first.wait(lambda m: any("id" in x for x in m), 5)
    first.close()
    deed()
    last = [m["id"] for m in greeting if "id" in m][-1]
    again = Stream(program, "/api/sources/m/watch", {"Last-Event-ID": last})
    again.wait(lambda m: tells(m), 5)
    return again.messages()


def tells(messages, key="w"):
    """Whether it is told that the entry is gone, or told to read everything anew."""
    return any(m.get("event") in ("reset", "truncated") or (m.get("event") in ("expire", "change") and f'"{key}"' in m["data"]) for m in messages)


@case("A14", "A", "a watch that was away while an entry expired", "told, or told to read anew")
def expired_while_away(run):
    program = run.program()
    put(program, "w", 1, "2s")
    messages = resumed(program, lambda: wait_for(lambda: value(program, "w") is None, 6))
    expect(tells(messages), f"told: {[m.get('event') for m in messages]}")


@case("A14-restart", "A", "the same over a restart of the program; and with other changes between", "told, or told to read anew")
def expired_over_restart(run):
    program = run.program()
    put(program, "w", 1, "2s")

    def deed():
        put(program, "other", 1)
        program.stop()
        time.sleep(2.2)
        program.start()
        put(program, "other", 2)

    messages = resumed(program, deed)
    expect(tells(messages), f"told: {[(m.get('event'), m.get('data', '')[:50]) for m in messages]}")
