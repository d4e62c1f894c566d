"""D: what HTTP clients send."""

import json

from registry import case, expect


@case("D-head", "D", "HEAD of /, /healthcheck, /healthcheck/live, /metrics, /openapi.json, /api/events, a state, an entry", "as GET, without a body")
def head(run):
    program = run.program()
    program.put("m", "k", "1")
    wrong = []
    paths = ("/", "/healthcheck", "/healthcheck/live", "/metrics", "/openapi.json", "/api/events", "/api/owners")
    for path in paths + ("/api/sources/m/state", "/api/sources/m/state/k", "/api/events/recent", "/nosuch"):
        get, asked = (program.request(method, path) for method in ("GET", "HEAD"))
        if get.status != asked.status or asked.body or get.headers.get("content-type") != asked.headers.get("content-type"):
            wrong.append(f"{path}: GET {get.status}, HEAD {asked.status}")
    expect(not wrong, "; ".join(wrong))


@case("D-head-extract", "D", "HEAD of /inbox/extract and of the streams", "405, nothing happens")
def head_of_extract(run):
    program = run.program()
    program.wake()
    for path in ("/inbox/extract", "/inbox/extract?lease=1h", "/sse/", "/api/sources/m/watch"):
        asked = program.request("HEAD", path, timeout=5)
        expect(asked.status == 405, f"{path}: {asked.status}")
    expect(program.extract()["events"], "events are leased")


def refused(program, key):
    """Puts an entry under a key, on a path that nobody tidies; the status."""
    return program.request("PUT", f"/api/sources/m/state/{key}", "1").status


@case("D-dots", "D", "keys . and .., plain and as %2E; by the command; by an import", "refused everywhere")
def dot_keys(run):
    program = run.program()
    taken = [key for key in (".", "..", "%2E", "%2e%2E") if refused(program, key) < 400]
    expect(not taken, f"taken: {taken}")
    for key in (".", ".."):
        done = program.command("state", "set", "m", key, "1")
        expect(done.code != 0, f"state set {key} ends with 0")
        line = json.dumps({"key": key, "value": 1})
        expect(program.command("state", "import", "m", stdin=line + "\n").code != 0, f"an import of {key} ends with 0")
    expect(not {".", ".."} & set(program.state("m")), "they are in the state")


@case("D-dot-names", "D", "keys such as a/../b, ..., .a, a/. (escaped); sources named . and ..", "kept as they are; such names are refused")
def dots_within(run):
    program = run.program()
    for key in ("a/../b", "...", ".a", "a.", "a/."):
        expect(program.put("m", key, "1").status == 201, f"{key} is refused")
        expect(program.entry("m", key), f"{key} cannot be read")
    for name in (".", ".."):
        program.write(sources={name: {"type": "mock"}})
        expect(program.command("check").code != 0, f"a source named {name} is valid")


@case("D-range", "D", "numbers out of range: limit=0, -1, 10^20, text; batch_size=0", "422 that names the parameter, never 500")
def odd_numbers(run):
    program = run.program()
    for path in ("/api/events?limit=-1", "/api/events?limit=100000000000000000000", "/api/events?limit=x", "/inbox/extract?batch_size=-1"):
        answer = program.request("GET", path)
        name = path.split("?")[1].split("=")[0]
        expect(answer.status == 422 and name in answer.body.decode(), f"{path}: {answer.status} {answer.body[:60]}")


@case("D-large", "D", "a value of 2 MiB, of 15 MiB, of 17 MiB", "taken, taken, refused")
def large_bodies(run):
    program = run.program()
    for size in (2, 15):
        status = program.put("m", f"k{size}", json.dumps("x" * (size << 20))).status
        expect(status == 201, f"{size} MiB: {status}")
    try:
        status = program.put("m", "k17", json.dumps("x" * (17 << 20))).status
    except OSError:  # answered and closed while we still sent
        status = 413
    expect(status in (413, 422) and program.entry("m", "k17") is None, f"17 MiB: {status}")


@case("D-openapi", "D", "/openapi.json", "there; does not say that deletes by age cannot be undone")
def openapi(run):
    program = run.program()
    answer = program.request("GET", "/openapi.json")
    expect(answer.status == 200, answer.status)
    text = answer.body.decode().lower()
    at = text.find("older_than")
    expect("no undo" not in text and "cannot be undone" not in text, f"it says: …{text[at + 60 : at + 200]}")
