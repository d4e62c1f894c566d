"""Shows the results: a table in Markdown, or a line of JSON for each case."""

import json
import sys
import threading

WIDTH = 110
_lock = threading.Lock()


def plain(text, most=WIDTH):
    """A text of strangers on one line: no control or direction marks, no column marks, cut."""
    shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in " ".join(text.split()))
    shown = shown.replace("|", "\\|")
    return shown if len(shown) <= most else shown[: most - 1] + "…"


def cell(result):
    """One cell."""
    if result is None:
        return "–"
    status, came, _ = result
    return status + (f": {plain(came)}" if came else "")


def table(cases, results, with_before):
    """Prints the table."""
    heads = ["case", "tried", "right"] + (["before"] if with_before else []) + ["after"]
    print("| " + " | ".join(heads) + " |")
    print("|:--" * len(heads) + "|")
    for case in cases:
        of = results[case.id]
        cells = [case.id, case.tried, case.right] + ([cell(of.get("before"))] if with_before else []) + [cell(of["after"])]
        print("| " + " | ".join(cells) + " |")


def lines(cases, results, _):
    """Prints JSON, one object a line."""
    for case in cases:
        sides = {side: dict(zip(("status", "came", "seconds"), of)) for side, of in results[case.id].items()}
        print(json.dumps({"id": case.id, "group": case.group, "tried": case.tried, "right": case.right} | sides))


def progress(results, cases, sides):
    """Says on standard error how far the run is, where somebody watches."""
    if sys.stderr.isatty():
        with _lock:
            done = sum(len(result) for result in results.values())
            print(f"\r{done}/{len(cases) * sides} ", end="", file=sys.stderr, flush=True)
