"""A5, A6: what people give to `state import`."""

import json
import subprocess

from registry import case, expect

LINE = b'{"key":"a","value":1}'
BOM = b"\xef\xbb\xbf"


def imports(run, data, *options):
    """The exit codes of an import beside the running program, over HTTP and by the command without it; with what each left."""
    program = run.program()
    results = {}

    def left():
        value = program.command("state", "get", "m", "a")
        return value.out.strip() if value.code == 0 else None

    done = program.command("state", "import", "m", *options, stdin=data)
    results["running"] = (done.code, left())
    program.request("DELETE", "/api/sources/m/state/a")
    place = "/api/sources/m/import" + ("?mode=replace" if options else "")
    results["http"] = (program.request("POST", place, data).status, left())
    program.stop()
    program.command("state", "delete", "m", "a")
    done = program.command("state", "import", "m", *options, stdin=data)
    results["stopped"] = (done.code, left())
    return results


def imported(run, data, *options):
    """Expects that all three took it."""
    for way, (code, left) in imports(run, data, *options).items():
        expect(code in (0, 200) and left == "1", f"{way}: {'HTTP' if way == 'http' else 'exit'} {code}, a is {left}")


@case("A5", "A", "state import: a last line without a line end; running, stopped, over HTTP", "imported")
def no_line_end(run):
    imported(run, LINE)


@case("A5-replace", "A", "the same with --replace", "imported")
def no_line_end_replace(run):
    imported(run, LINE, "--replace")


@case("A5-forms", "A", "CR LF; a BOM before the first line; blank lines between; blanks at the end", "imported")
def line_forms(run):
    program = run.program()
    other = b'{"key":"b","value":2}'
    for data in (LINE + b"\r\n" + other, BOM + LINE + b"\n" + other, LINE + b"\n\n" + other + b"\n\n", LINE + b"\n" + other + b"  \n  "):
        for key in ("a", "b"):
            program.request("DELETE", f"/api/sources/m/state/{key}")
        done = program.command("state", "import", "m", stdin=data)
        have = sorted(set(program.state("m")) & {"a", "b"})
        expect(done.code == 0 and have == ["a", "b"], f"{data!r}: exit {done.code}, {have}: {done.err.strip()[-80:]}")


@case("A5-half", "A", "a last line that breaks off in the middle", "refused, nothing changed")
def half_a_line(run):
    program = run.program()
    for data in (LINE + b'\n{"key":"b","va', LINE + b'\n{"key":"b","value":2'):
        done = program.command("state", "import", "m", stdin=data)
        expect(done.code == 1 and "a" not in program.state("m"), f"exit {done.code}, {program.state('m')}")


NOTHING = (b"", b"\n", b"\r\n", b"  \n\n", BOM, BOM + b"\n", b"\t\n\t")


def refuses(run, inputs, replace_by_http=True):
    """Expects that --replace refuses each, and keeps what is there."""
    program = run.program()

    def tries(way):
        for data in inputs:
            program.command("state", "set", "m", "keep", "1")
            done = program.command("state", "import", "m", "--replace", stdin=data)
            kept = program.command("state", "get", "m", "keep").code == 0
            expect(kept and done.code not in (0, None), f"{way}, {data!r}: exit {done.code}, {'kept' if kept else 'everything is removed'}")

    tries("running")
    if replace_by_http:
        for data in inputs:
            program.put("m", "keep", "1")
            status = program.request("POST", "/api/sources/m/import?mode=replace", data).status
            kept = "keep" in program.state("m")
            expect(kept and 400 <= status < 500, f"http, {data!r}: {status}, {'kept' if kept else 'everything is removed'}")
    program.stop()
    tries("stopped")


@case("A6", "A", "import --replace of no bytes, line ends, blanks, a BOM; running, stopped, over HTTP", "refused, nothing changed")
def replace_by_nothing(run):
    refuses(run, NOTHING)


@case("A6-forms", "A", "import --replace of a BOM in UTF-16, U+00A0, U+200B, NUL, vertical tabs, an empty gzip, null, [], {}", "refused, nothing changed")
def replace_by_other_nothing(run):
    empty_gzip = bytes.fromhex("1f8b08000000000000030300000000000000000000")
    refuses(run, (b"\xff\xfe\r\x00\n\x00", "\u00a0\n".encode(), "\u200b".encode(), b"\0\0\n", b"\v\f\n", empty_gzip, b"null\n", b"[]", b"{}\n"))


@case("A-torn-export", "A", "state export into a pipe that nobody reads on; the program starts and changes every entry; then the rest is read", "every entry is of one instant")
def torn_export(run):
    program = run.prepared({"sources": {"m": {"type": "mock", "stopped": True}}})
    rows = lambda word: "".join(json.dumps({"key": f"k{number:05}", "value": word * 200}) + "\n" for number in range(40_000))
    expect(program.command("state", "import", "m", stdin=rows("old")).code == 0, "the import failed")
    line = [program.binary, "state", "export", "m", "--config", str(program.file)]
    export = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=program.folder, env=program.environment())
    first = export.stdout.readline()
    program.start()
    expect(program.command("state", "import", "m", stdin=rows("new"), timeout=60).code == 0, "the second import failed")
    program.stop()
    text, said = export.stdout.read(), export.stderr.read()
    export.wait(60)
    values = [json.loads(row).get("value", "old") for row in (first + text).decode().splitlines()]
    counts = {word: sum(value.startswith(word) for value in values) for word in ("old", "new")}
    refused = export.returncode != 0
    expect(refused or min(counts.values()) == 0, f"exit 0 with {counts['old']} old and {counts['new']} new entries; {said.decode()[:80]}")
    expect(refused or len(values) >= 40_000, f"{len(values)} of 40000 entries")
