"""Starts the program with a configuration in a folder of its own, and talks to it over HTTP and by its commands."""

import collections
import contextlib
import datetime
import http.client
import itertools
import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import threading
import time
import urllib.parse

Answer = collections.namedtuple("Answer", "status headers body")
Ended = collections.namedtuple("Ended", "code out err")


_ports = itertools.count(random.randrange(20000, 31000))


def free_port():
    """A port that nobody uses just now, below those that the system gives to clients: a restart finds it free."""
    for number in _ports:
        port = 20000 + number % 12000
        with socket.socket() as taken:
            with contextlib.suppress(OSError):
                taken.bind(("127.0.0.1", port))
                return port


def wait_for(condition, seconds=15.0, pause=0.05):
    """Asks until the answer is true, and returns it; the last answer when the time is over."""
    end = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer or time.monotonic() > end:
            return answer
        time.sleep(pause)


def moment(text):
    """A time of the API; without a zone it is in UTC."""
    found = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    return found if found.tzinfo else found.replace(tzinfo=datetime.timezone.utc)


class Program:
    """`config` is a mapping; server.port and database.db_path are set here. `clock` is a Clock or None."""

    def __init__(self, binary, folder, config, clock=None, env=None, port=None):
        self.binary = str(binary)
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = port or free_port()
        self.config = dict(config)
        self.clock = clock
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("INBOXCLAW")} | (env or {})
        self.process = None
        self.file = self.folder / "config.yaml"
        self.database = self.folder / "data.db"
        self.write()

    def write(self, **sections):
        """Writes the configuration, with these sections instead of those before."""
        self.config.update(sections)
        whole = {
            "server": {"port": self.port} | self.config.get("server", {}),
            "database": {"db_path": "./data.db"} | self.config.get("database", {}),
            "sources": self.config.get("sources", {"m": {"type": "mock", "interval": "1h"}}),
            "sink": self.config.get("sink", {"inbox": {"type": "http_pull"}, "sse": {"type": "sse"}}),
        }
        self.file.write_text(json.dumps(whole, indent=1))
        self.file.chmod(0o600)

    # The process.

    def spawn(self):
        """Starts it without waiting until it answers."""
        self.log_file = open(self.folder / "log", "ab")
        self.process = subprocess.Popen(
            [self.binary, "listen", "--config", str(self.file)],
            stdin=subprocess.DEVNULL,
            stdout=self.log_file,
            stderr=subprocess.STDOUT,
            cwd=self.folder,
            env=self.environment(),
            start_new_session=True,
        )
        self.log_file.close()

    def start(self, seconds=30):
        """Starts it and waits until it answers."""
        self.spawn()
        if not wait_for(lambda: self.process.poll() is not None or self.is_alive(), seconds) or not self.runs():
            raise RuntimeError(f"the program did not start: {self.log()[-300:]}")

    def is_alive(self):
        """Whether it answers."""
        try:
            return self.request("GET", "/healthcheck/live", timeout=2).status == 200
        except (OSError, http.client.HTTPException):
            return False

    def runs(self):
        """Whether the process is there."""
        return self.process is not None and self.process.poll() is None

    def stop(self, seconds=15):
        """Ends it in good order; the exit code."""
        if self.runs():
            self.process.terminate()
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill()
        return self.process and self.process.returncode

    def restart(self):
        """Stops and starts it."""
        self.stop()
        self.start()

    def kill(self):
        """Ends it by SIGKILL."""
        if self.runs():
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    def end(self):
        """Ends it for good, also when it hangs."""
        self.stop(5)

    def environment(self):
        """The variables that it and its commands run with."""
        return self.env | (self.clock.environment() if self.clock else {})

    def log(self):
        """All that it logged."""
        try:
            return (self.folder / "log").read_text(errors="replace")
        except FileNotFoundError:
            return ""

    # Its commands.

    def command(self, *args, stdin=b"", timeout=30, config=True):
        """Runs a command of the binary; the code is None when it did not end in time."""
        line = [self.binary, *args] + (["--config", str(self.file)] if config else [])
        try:
            done = subprocess.run(
                line,
                input=stdin if isinstance(stdin, bytes) else stdin.encode(),
                capture_output=True,
                timeout=timeout,
                cwd=self.folder,
                env=self.environment(),
            )
        except subprocess.TimeoutExpired as late:
            return Ended(None, (late.stdout or b"").decode(errors="replace"), (late.stderr or b"").decode(errors="replace"))
        return Ended(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))

    # HTTP.

    def request(self, method, path, body=None, headers=None, timeout=20, host=None):
        """One request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            if isinstance(body, (dict, list)):
                body = json.dumps(body)
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            named = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, named, answer.read())
        finally:
            connection.close()

    def get(self, path, **more):
        """The JSON of an answer, whatever its status."""
        return json.loads(self.request("GET", path, **more).body)

    def put(self, owner, key, value, query=""):
        """Puts an entry of the state of a source; the answer."""
        place = f"/api/sources/{owner}/state/{urllib.parse.quote(key, safe='')}{query}"
        return self.request("PUT", place, value if isinstance(value, (bytes, str)) else json.dumps(value))

    def entry(self, owner, key):
        """An entry with its times, or None."""
        answer = self.request("GET", f"/api/sources/{owner}/state/{urllib.parse.quote(key, safe='')}?entry=1")
        return json.loads(answer.body) if answer.status == 200 else None

    def state(self, owner, kind="sources"):
        """The entries of an owner, key to value."""
        listed = self.get(f"/api/{kind}/{owner}/state?limit=1000")
        return {entry["key"]: entry.get("value") for entry in listed["entries"]}

    def version(self, owner):
        """The version of the state of a source."""
        return self.get(f"/api/sources/{owner}/cursor")["version"]

    def health(self):
        """The whole answer of /healthcheck."""
        return self.get("/healthcheck")

    def source(self, name):
        """The health of one source."""
        return next(source for source in self.health()["sources"] if source["name"] == name)

    def said(self, name):
        """What health says of a source: status, message, action, in one text."""
        source = self.source(name)
        parts = [source, source.get("pending_failure") or {}]
        return " ".join(str(part[key]) for part in parts for key in ("status", "message", "action") if part.get(key))

    # Events.

    def wake(self, owner="m", times=1):
        """Makes a mock source emit events, by edits of its state; waits for each."""
        # An edit before or within its first poll is part of it, and gives none.
        wait_for(lambda: self.source(owner)["status"] == "healthy", 5)
        for _ in range(times):
            before = self.total()
            for _ in range(4):
                self.put(owner, "wake", str(time.monotonic_ns()))
                if wait_for(lambda: self.total() > before, 5):
                    break
            else:
                raise RuntimeError("a woken source emitted nothing")

    def total(self):
        """How many events there are."""
        return self.get("/api/events?limit=1")["total"]

    def events(self):
        """All events, in their order."""
        found = []
        while True:
            page = self.get(f"/api/events?limit=500&offset={len(found)}")["events"]
            found += page
            if len(page) < 500:
                return sorted(found, key=lambda event: event["id"])

    def extract(self, query=""):
        """What the sink `inbox` hands out."""
        return self.get(f"/inbox/extract{query}")

    def take(self):
        """All events that wait in the sink `inbox`, confirmed."""
        taken = []
        while True:
            batch = self.extract("?batch_size=1000")
            if not batch["events"]:
                return taken
            taken += batch["events"]
            self.request("POST", f"/inbox/mark-processed?batch_id={batch['batch_id']}")


class Stream:
    """A stream of server-sent events, read in the background."""

    def __init__(self, program, path, headers=None):
        self.raw = b""
        self.open = True
        self.socket = socket.create_connection(("127.0.0.1", program.port))
        lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{program.port}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        self.socket.sendall("\r\n".join(lines + ["", ""]).encode())
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        try:
            while part := self.socket.recv(65536):
                self.raw += part
        except OSError:
            pass
        self.open = False

    def messages(self):
        """The messages so far, each as a mapping of its fields; comments left out."""
        _, _, body = self.raw.partition(b"\r\n\r\n")
        text, rest = b"", body
        while b"\r\n" in rest:  # chunks
            size, _, rest = rest.partition(b"\r\n")
            try:
                length = int(size, 16)
            except ValueError:
                break
            text, rest = text + rest[:length], rest[length + 2 :]
        found = []
        for block in text.decode(errors="replace").replace("\r\n", "\n").split("\n\n"):
            fields = {}
            for line in block.split("\n"):
                name, _, value = line.partition(":")
                if name:
                    fields[name] = fields.get(name, "") + value.removeprefix(" ")
            if fields:
                found.append(fields)
        return found

    def wait(self, condition, seconds=10):
        """Waits until a condition holds for the messages; them."""
        wait_for(lambda: condition(self.messages()), seconds)
        return self.messages()

    def close(self):
        """Cuts the connection."""
        self.socket.close()
