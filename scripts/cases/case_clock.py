"""A3, A4: times to live, and clocks that are wrong."""

import json
import time

from clock import DAY, HOUR, Clock, library
from program import wait_for
from registry import NotRun, case, expect

MOCK = {"m": {"type": "mock", "interval": "1h"}}


def clocked(run, config=None, offset=0, **more):
    """A program with a clock that can be shifted, started."""
    if not library():
        raise NotRun("no faketime (Debian: apt install faketime)")
    clock = Clock(run.folder, offset)
    return run.program({"sources": MOCK} | (config or {}), clock=clock, **more), clock


def at(program, offset):
    """Waits until the program lives at this offset."""
    def there():
        text = program.health()["checked_at"][:19]
        return abs(time.mktime(time.strptime(text, "%Y-%m-%dT%H:%M:%S")) - time.timezone - time.time() - offset) < 120

    wait_for(there, 10)


def waiting(program, sink="inbox"):
    """Which events a sink hands out now."""
    return {event["id"] for event in program.get(f"/{sink}/extract")["events"]}


def logged(program):
    """Which events there are."""
    return {event["id"] for event in program.events()}


def lost(before, after):
    """What is missing, for people."""
    return f"{len(before - after)} of {len(before)} events"


@case("A3", "A", "http_pull without default_ttl; two hours later", "the events are handed out")
def no_ttl(run):
    program, clock = clocked(run)
    program.wake()
    before = logged(program)
    clock.shift(2 * HOUR)
    at(program, 2 * HOUR)
    expect(before <= waiting(program), f"{lost(before, waiting(program))} are hidden; health: {program.health()['status']}")


@case("A3-forms", "A", "ttl_enabled: true alone; event_ttl of another type only; five hours later", "the events are handed out")
def no_ttl_forms(run):
    sink = {
        "inbox": {"type": "http_pull", "ttl_enabled": True},
        "other": {"type": "http_pull", "event_ttl": {"user.*": "1m"}},
    }
    program, clock = clocked(run, {"sink": sink})
    program.wake()
    before = logged(program)
    clock.shift(5 * HOUR)
    at(program, 5 * HOUR)
    for name in sink:
        expect(before <= waiting(program, name), f"{name} hides {lost(before, waiting(program, name))}")


@case("A3-told", "A", "events that expire by a configured default_ttl", "counted in /metrics and in status")
def ttl_is_counted(run):
    program, clock = clocked(run, {"sink": {"inbox": {"type": "http_pull", "default_ttl": "1h"}}})
    program.wake()
    before = logged(program)
    clock.shift(2 * HOUR)
    at(program, 2 * HOUR)
    expect(not before & waiting(program), "they are still handed out")

    def counted():
        lines = program.request("GET", "/metrics").body.decode().splitlines()
        return [line for line in lines if "expire" in line and not line.startswith("#") and not line.endswith(" 0")]

    expect(wait_for(counted, 10), "no metric counts it")
    status = program.command("status").out
    expect("expired" in status, "status does not say it")


@case("A3-examples", "A", "the configuration that init writes", "no time to live")
def no_ttl_in_examples(run):
    program = run.prepared()
    done = program.command("init", str(run.folder / "new.yaml"), config=False)
    text = (run.folder / "new.yaml").read_text()
    live = [line for line in text.splitlines() if "ttl" in line and not line.strip().startswith("#")]
    expect(done.code == 0 and not live, f"exit {done.code}; {live}")
    # And it works for longer than an hour: nothing is said of an hour either.
    expect("1h" not in text, [line for line in text.splitlines() if "1h" in line])


def filled(program):
    """Something of every kind that time can remove; what must be there later."""
    program.wake(times=2)
    program.put("m", "lasting", "1", "?ttl=60d")
    program.put("m", "note", '"old"')
    program.put("m", "note", '"new"')
    return logged(program)


def all_there(program, before):
    """Fails when time removed anything."""
    expect(before <= logged(program), f"{lost(before, logged(program))} are gone from the log")
    expect(before <= waiting(program), f"{lost(before, waiting(program))} are not handed out any more")


def kept_after(program, before):
    """With the clock right again: events, the entry that lasts and the history are there."""
    all_there(program, before)
    expect(program.entry("m", "lasting"), "an entry that lasts 60 days is gone")
    undone = program.request("POST", "/api/sources/m/undo", "")
    expect(undone.status == 200 and program.entry("m", "note")["value"] == "old", f"undo answers {undone.status}: the history is gone")


@case("A4", "A", "a start with the clock 400 days ahead, and a start with the right one", "nothing is removed; a warning in health")
def start_ahead(run):
    program, clock = clocked(run)
    before = filled(program)
    program.stop()
    clock.shift(400 * DAY)
    program.start()
    time.sleep(4)
    all_there(program, before)
    health = program.request("GET", "/healthcheck").body.decode()
    expect("clock" in health, "health says nothing of the clock")
    program.stop()
    clock.shift(0)
    program.start()
    kept_after(program, before)


@case("A4-step", "A", "the clock steps 400 days ahead and back while it runs", "nothing is removed; a warning in health")
def step_ahead(run):
    program, clock = clocked(run, {"database": {"retention_days": 1}})
    before = filled(program)
    clock.shift(400 * DAY)
    at(program, 400 * DAY)
    program.put("m", "other", "1")
    program.wake()
    time.sleep(4)
    all_there(program, before)
    expect("clock" in program.request("GET", "/healthcheck").body.decode(), "health says nothing of the clock")
    clock.shift(0)
    at(program, 0)
    # The newest changes are those made meanwhile, `wake` and `other`: they go first.
    for _ in range(2):
        program.request("POST", "/api/sources/m/undo", "")
    expect(program.entry("m", "other") is None, "what was put meanwhile is not undone first")
    kept_after(program, before)


@case("A4-lease", "A", "a leased batch; the clock steps two days ahead and back", "the batch can be confirmed, and hides its events")
def step_lease(run):
    program, clock = clocked(run, {"sink": {"inbox": {"type": "http_pull", "ttl_enabled": False}}})
    program.wake()
    answer = program.request("POST", "/inbox/extract?lease=12h")
    if answer.status == 405:
        answer = program.request("GET", "/inbox/extract?lease=12h")
    batch = json.loads(answer.body)
    clock.shift(2 * DAY)
    at(program, 2 * DAY)
    time.sleep(2)
    leased = {event["id"] for event in batch["events"]}
    hidden = not leased & waiting(program)
    clock.shift(0)
    at(program, 0)
    done = program.request("POST", f"/inbox/mark-processed?batch_id={batch['batch_id']}").status
    expect(done == 200, f"confirming answers {done}")
    expect(hidden, "the events were handed out to another while the clock was wrong")


@case("A4-expiry", "A", "events with default_ttl 1d; a start 400 days ahead, and back", "they still wait")
def start_ahead_ttl(run):
    program, clock = clocked(run, {"sink": {"inbox": {"type": "http_pull", "default_ttl": "1d"}}})
    program.wake(times=2)
    before = logged(program)
    program.stop()
    clock.shift(400 * DAY)
    program.start()
    time.sleep(3)
    expect(before <= waiting(program), f"at 400 days {lost(before, waiting(program))} are not handed out")
    program.stop()
    clock.shift(0)
    program.start()
    time.sleep(1)
    expect(before <= waiting(program), f"after it {lost(before, waiting(program))} are not handed out")


@case("A4-accept", "A", "400 days ahead; `inboxclaw clock accept`", "then what is old goes, and health is well")
def accept(run):
    program, clock = clocked(run, {"database": {"retention_days": 1}})
    program.wake()
    program.put("m", "brief", "1", "?ttl=1d")
    program.stop()
    clock.shift(400 * DAY)
    program.start()
    expect(program.entry("m", "brief"), "an entry expired at a clock that nobody believes")
    done = program.command("clock", "accept")
    expect(done.code == 0, f"exit {done.code}: {(done.out + done.err)[:100]}")
    gone = wait_for(lambda: program.entry("m", "brief") is None, 10)
    expect(gone, "the entry is still there")
    expect("clock" not in program.request("GET", "/healthcheck").body.decode(), "health still speaks of the clock")


@case("A4-hour", "A", "400 days ahead; the clock says that an hour passed, while seconds did", "still in doubt: an hour has to pass")
def hour_of_agreement(run):
    program, clock = clocked(run)
    program.put("m", "brief", "1", "?ttl=1d")
    program.stop()
    clock.shift(400 * DAY)
    program.start()
    time.sleep(2)
    expect(program.entry("m", "brief"), "an entry expired at a clock that nobody believes")
    clock.shift(400 * DAY + HOUR + 120)
    at(program, 400 * DAY + HOUR + 120)
    time.sleep(6)
    expect(program.entry("m", "brief"), "the clock is believed for what it says of itself")
    expect("clock" in program.request("GET", "/healthcheck").body.decode(), "health says nothing of the clock")


@case("A4-back", "A", "the clock steps a day back while it runs", "events go on, in order; a log line")
def step_back(run):
    program, clock = clocked(run, offset=DAY)
    program.wake()
    clock.shift(0)
    at(program, 0)
    program.wake()
    expect(logged(program) <= waiting(program), f"{lost(logged(program), waiting(program))} are not handed out")
    expect("clock" in program.log(), "the log says nothing of the clock")


@case("A4-small", "A", "the clock is 20 hours ahead at a start (a laptop that slept)", "no doubt: nobody is warned")
def small_step(run):
    program, clock = clocked(run)
    program.wake()
    before = logged(program)
    program.stop()
    clock.shift(20 * HOUR)
    program.start()
    time.sleep(1)
    expect("clock" not in program.request("GET", "/healthcheck").body.decode(), "health speaks of the clock")
    expect(before <= waiting(program), f"{lost(before, waiting(program))} are not handed out")
