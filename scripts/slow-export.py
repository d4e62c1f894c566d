#!/usr/bin/env python3
"""How large the write-ahead log becomes while nobody takes from an export, beside 100 turns a second.

    scripts/slow-export.py [SECONDS] [BINARY]     (600 seconds, target/release/inboxclaw)

Starts the program in a folder of its own with a state of 40 MB, one export on the command line and one over HTTP, reads
a little of both and then nothing, changes the state 100 times a second, and prints the size of the log every 10 s.
Ends with 1 when the log ever had more than 64 MiB, or when the export that is then taken is not of one instant.
"""

import http.client
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import threading
import time

SECONDS = float(sys.argv[1]) if len(sys.argv) > 1 else 600
ROOT = pathlib.Path(__file__).resolve().parent.parent
BINARY = sys.argv[2] if len(sys.argv) > 2 else str(ROOT / "target/release/inboxclaw")
KEYS, SIZE, RATE, MOST = 4_000, 10_000, 100, 64 << 20


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def main(folder):
    port = free_port()
    (folder / "config.yaml").write_text(
        f"server: {{port: {port}}}\ndatabase: {{db_path: ./data.db}}\n"
        "sources: {m: {type: mock, stopped: true}}\nsink: {inbox: {type: http_pull}}\n"
    )
    line = lambda n, text: json.dumps({"key": f"k{n:06}", "value": text * (SIZE // len(text))}) + "\n"  # noqa: E731
    filled = "".join(line(n, "old") for n in range(KEYS))
    subprocess.run([BINARY, "state", "import", "m"], input=filled, text=True, cwd=folder, check=True, capture_output=True)
    log = open(folder / "log", "w")
    program = subprocess.Popen([BINARY, "listen"], cwd=folder, stderr=log, stdout=log)
    try:
        return watch(folder, port)
    finally:
        program.terminate()
        program.wait(10)


def watch(folder, port):
    while True:
        try:
            http.client.HTTPConnection("127.0.0.1", port).connect()
            break
        except OSError:
            time.sleep(0.05)
    export = subprocess.Popen([BINARY, "state", "export", "m"], cwd=folder, stdout=subprocess.PIPE)
    first = export.stdout.read(1_000)
    slow = http.client.HTTPConnection("127.0.0.1", port)
    slow.request("GET", "/api/sources/m/state/export")
    slow.getresponse().read(1_000)
    done, ended = [0], threading.Event()
    writer = threading.Thread(target=write, args=(port, done, ended))
    writer.start()
    most, begun = 0, time.monotonic()
    next_print = 10
    while (passed := time.monotonic() - begun) < SECONDS:
        size = (folder / "data.db-wal").stat().st_size
        most = max(most, size)
        if passed >= next_print:
            next_print += 10
            print(f"{passed:6.0f} s  {done[0]:7} turns  log {size / 2**20:8.1f} MiB  database {(folder / 'data.db').stat().st_size / 2**20:8.1f} MiB", flush=True)
        time.sleep(0.5)
    ended.set()
    writer.join()
    rows = (first + export.stdout.read()).decode().splitlines()[1:]
    old = sum(json.loads(row)["value"].startswith("old") for row in rows)
    print(f"{done[0]} turns in {SECONDS:.0f} s; the log had {most / 2**20:.1f} MiB at most; the export has {len(rows)} rows, {old} of them as they were; exit {export.wait()}")
    return 0 if most <= MOST and (len(rows), old, export.returncode) == (KEYS, KEYS, 0) else 1


def write(port, done, ended):
    connection = http.client.HTTPConnection("127.0.0.1", port)
    begun = time.monotonic()
    while not ended.is_set():
        body = json.dumps("new" * (SIZE // 3))
        connection.request("PUT", f"/api/sources/m/state/k{done[0] % KEYS:06}", body)
        answer = connection.getresponse()
        answer.read()
        assert answer.status < 300, answer.status
        done[0] += 1
        time.sleep(max(0, begun + done[0] / RATE - time.monotonic()))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        sys.exit(main(pathlib.Path(name)))
