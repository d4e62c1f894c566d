#!/usr/bin/env python3
"""How late the notes of a watched folder are beside huge and restless files, and how much CPU the program takes.

    scripts/folder-load.py [--seconds N] [--quiet]

Needs `cargo build --release -p inboxclaw`; INBOXCLAW names another binary. The folder holds a sparse file of 30 GiB, a
virtual machine's image of 2 GiB (sparse) that is written twice a second, and a log that gets 20 lines a second; every
two seconds a note is saved. Prints the milliseconds from the end of a save to its event (p50, p99, most), and the share
of one core that the program took; `--quiet` leaves out the other files, to compare. Ends with 1 when a note is missing.
"""

import argparse
import json
import os
import pathlib
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts/cases"))

from program import Program, moment, wait_for  # noqa: E402


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=120)
    parser.add_argument("--quiet", action="store_true", help="notes only")
    return parser.parse_args()


def repeat(every, stopped, work):
    """Does something again and again, in a thread of its own, until it is stopped."""

    def loop():
        while not stopped.wait(every):
            work()

    threading.Thread(target=loop, daemon=True).start()


def load(root, stopped):
    """The files beside the notes."""
    for name, size in (("disk.img", 30 << 30), ("vm.img", 2 << 30)):
        with open(root / name, "wb") as file:
            file.truncate(size)
    image, log = open(root / "vm.img", "r+b"), open(root / "service.log", "a", buffering=1)

    def write_image():
        image.seek(int.from_bytes(os.urandom(4)) % (1 << 30))
        image.write(os.urandom(4096))
        image.flush()

    repeat(0.5, stopped, write_image)
    repeat(0.05, stopped, lambda: log.write(f"{time.time()} a line of a service that writes a lot\n"))


def cpu(process):
    """Seconds of CPU that the process took so far."""
    fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def notes(root, seconds):
    """Saves a note every two seconds; when each was there, by its name."""
    saved, end = {}, time.monotonic() + seconds
    while time.monotonic() < end:
        name = f"note-{len(saved)}.md"
        (root / name).write_text(f"# {name}\n")
        saved[name] = time.time()
        time.sleep(2)
    return saved


def main(wanted, folder):
    root, stopped = folder / "watched", threading.Event()
    root.mkdir()
    if not wanted.quiet:
        load(root, stopped)
    binary = os.environ.get("INBOXCLAW", ROOT / "target/release/inboxclaw")
    program = Program(binary, folder / "program", {"sources": {"files": {"type": "filesystem", "path": str(root)}}})
    program.start()
    wait_for(lambda: program.source("files")["status"] not in ("starting", "unknown"), 60)
    time.sleep(5)
    before, begun = cpu(program.process), time.monotonic()
    saved = notes(root, wanted.seconds)
    share = (cpu(program.process) - before) / (time.monotonic() - begun)

    def events():
        found = ((event["data"].get("path"), moment(event["created_at"]).timestamp()) for event in program.events())
        return {path: at for path, at in found if path in saved}

    wait_for(lambda: len(events()) == len(saved), 20)
    told, said = events(), program.said("files")
    stopped.set()
    program.stop()
    late = sorted(1000 * (told[name] - at) for name, at in saved.items() if name in told)
    print(f"{len(told)} of {len(saved)} notes came within 20 s of the last one")
    if late:
        p50, p99 = (late[min(len(late) - 1, int(len(late) * part))] for part in (0.5, 0.99))
        print(f"ms until the event: p50 {p50:.0f}, p99 {p99:.0f}, most {late[-1]:.0f}")
    print(f"CPU: {100 * share:.1f} % of a core; health: {said}")
    return len(told) < len(saved)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="inboxclaw-folder-") as place:
        sys.exit(main(arguments(), pathlib.Path(place)))
