#!/usr/bin/env python3
"""How healthy the three Google sources are, and how late their events, beside a stand-in of which requests fail.

    scripts/google-health.py [--seconds N] [--faults PERCENT] [--poll INTERVAL] [--seed N]

Needs `cargo build --release -p inboxclaw -p inboxclaw-fakes`; INBOXCLAW names another binary, whose folder holds the
stand-in too. Asks for the health each second, and prints for each source the share of seconds in which it was healthy,
and the seconds from a change to its event (p50, p99), of the changes made in that time. Ends with 1 below 95 %.
"""

import argparse
import collections
import datetime
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts/cases"))

from program import Program, moment  # noqa: E402

LEAST = 0.95
SOURCES = ("mail", "files", "calendar")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=300)
    parser.add_argument("--faults", type=int, default=10, help="how many of a hundred requests fail")
    parser.add_argument("--poll", default="10s", help="poll_interval of each source")
    parser.add_argument("--seed", type=int, default=7)
    return parser.parse_args()


def sources(folder, poll):
    """The sources of the configuration that the stand-in wrote."""
    text = (folder / "config.yaml").read_text()
    kinds = dict(re.findall(r"^  (\w+):\n    type: (\w+)\n    token_file", text, re.MULTILINE))
    token, root = re.search(r'token_file: "(.*)"', text)[1], re.search(r"api_root: (\S+)", text)[1]
    return {name: {"type": kind, "token_file": token, "api_root": root, "poll_interval": poll} for name, kind in kinds.items()}


def watch(program, seconds):
    """How often each source had which status."""
    seen = collections.defaultdict(collections.Counter)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for source in json.loads(program.request("GET", "/healthcheck").body)["sources"]:
            seen[source["name"]][source["status"]] += 1
        time.sleep(1)
    return seen


def latencies(program, since):
    """Seconds from change to event, sorted, by source."""
    found = collections.defaultdict(list)
    for event in program.events():
        if event["source_name"] in SOURCES and event.get("occurred_at") and moment(event["occurred_at"]) > since:
            late = moment(event["created_at"]) - moment(event["occurred_at"])
            found[event["source_name"]].append(late.total_seconds())
    return {name: sorted(late) for name, late in found.items()}


def main(wanted, folder):
    binary = pathlib.Path(os.environ.get("INBOXCLAW", ROOT / "target/release/inboxclaw"))
    account = folder / "account"
    line = ["fake-google", "--folder", account, "--every", "2s", "--faults", wanted.faults, "--seed", wanted.seed]
    fake = subprocess.Popen([binary.with_name("inboxclaw-fakes"), *map(str, line)], stdout=subprocess.DEVNULL)
    try:
        time.sleep(2)
        program = Program(binary, folder / "program", {"sources": sources(account, wanted.poll)})
        program.start()
        # The first polls make a baseline of what is there.
        time.sleep(15)
        begun = datetime.datetime.now(datetime.timezone.utc)
        seen, late = watch(program, wanted.seconds), latencies(program, begun)
        program.stop()
    finally:
        fake.terminate()
        fake.wait()
    print("| source | healthy | otherwise | events | p50 s | p99 s |\n|:--|--:|:--|--:|--:|--:|")
    share = {}
    for name in SOURCES:
        times, all_times = seen[name], late.get(name) or [float("nan")]
        share[name] = times["healthy"] / max(1, times.total())
        others = ", ".join(f"{status} {count}" for status, count in times.items() if status != "healthy") or "-"
        p50, p99 = (all_times[min(len(all_times) - 1, int(len(all_times) * part))] for part in (0.5, 0.99))
        print(f"| {name} | {100 * share[name]:.1f} % | {others} | {len(late.get(name, []))} | {p50:.1f} | {p99:.1f} |")
    return min(share.values()) < LEAST


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="inboxclaw-google-") as place:
        sys.exit(main(arguments(), pathlib.Path(place)))
