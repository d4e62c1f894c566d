"""A3 and its neighbours: what a sink is owed, from when, and for how long."""

import json
import time

from case_clock import at, clocked, lost, waiting
from clock import HOUR
from program import wait_for
from registry import case, expect

PULL = {"type": "http_pull"}


def reconfigured(program, **sinks):
    """Starts the program again with these sinks beside `inbox`; which events there were by then."""
    program.stop()
    program.write(sink={"inbox": PULL} | sinks)
    program.start()
    return {event["id"] for event in program.events()}


@case("A3-new-sink", "A", "a sink that is new in the configuration: by default, with start: all, with start: now", "begins at the head; has all; begins at the head")
def new_sink(run):
    program = run.program()
    program.wake(times=2)
    old = reconfigured(program, late=PULL, whole=PULL | {"start": "all"}, fresh=PULL | {"start": "now"})
    for name, right in (("late", set()), ("whole", old), ("fresh", set())):
        have = waiting(program, name) & old
        expect(have == right, f"{name} hands out {len(have)} of {len(old)} old events")
    program.wake()
    new = {event["id"] for event in program.events()} - old
    for name in ("late", "whole", "fresh", "inbox"):
        expect(new <= waiting(program, name), f"{name} lacks {lost(new, waiting(program, name))} that came later")


@case("A3-new-type", "A", "a type that enters match later", "begins at the head of that moment; nothing new is lost")
def new_type(run):
    program = run.prepared()
    program.write(sink={"inbox": PULL, "picky": PULL | {"match": ["user.*"]}})
    program.start()
    program.wake(times=2)
    old = reconfigured(program, picky=PULL | {"match": ["user.*", "mock.*"]})
    have = waiting(program, "picky") & old
    expect(not have, f"{len(have)} of {len(old)} old events are handed out")
    program.wake()
    new = {event["id"] for event in program.events()} - old
    expect(new <= waiting(program, "picky"), f"it lacks {lost(new, waiting(program, 'picky'))} that came later")


@case("A3-left", "A", "a sink that is out of the configuration for one start, and back", "it is owed what it was, and what came meanwhile")
def left_and_back(run):
    program = run.prepared()
    program.write(sink={"inbox": PULL, "other": PULL})
    program.start()
    program.wake(times=2)
    reconfigured(program)
    program.wake()
    everything = reconfigured(program, other=PULL)
    expect(everything <= waiting(program, "other"), f"it lacks {lost(everything, waiting(program, 'other'))}")


def live(program, clock, first, last, hours=12):
    """Lives from one step to another, each of so many hours: the clock is never doubted."""
    for step in range(first + 1, last + 1):
        clock.shift(step * hours * HOUR)
        at(program, step * hours * HOUR)
        program.put("m", "step", json.dumps(step))
        time.sleep(0.1)


@case("A3-owed", "A", "nobody confirms for 27 days, then for 35", "health warns; then inboxclaw.sink.dropped says what went", slow=True)
def owed_for_long(run):
    program, clock = clocked(run)
    program.wake()

    before = {event["id"] for event in program.events()}
    live(program, clock, 0, 54)
    expect(before <= waiting(program), "after 27 days the event is not handed out any more")
    health = lambda: program.request("GET", "/healthcheck").body.decode()  # noqa: E731
    warned = wait_for(lambda: "owed" in health(), 65, 1)
    inbox = next(sink for sink in program.health()["sinks"] if sink["name"] == "inbox")
    expect(warned, f"after 27 days health says of the sink: {inbox}")
    live(program, clock, 54, 70)
    dropped = lambda: [event for event in program.events() if event["event_type"] == "inboxclaw.sink.dropped"]  # noqa: E731
    expect(wait_for(dropped, 65, 1), "nothing says inboxclaw.sink.dropped after 35 days")
    data = dropped()[0]["data"]
    missing = {"sink", "type", "count", "from", "to", "why"} - set(data)
    expect(not missing, f"it lacks {sorted(missing)}: {data}")


@case("A3-paused", "A", "a paused sink while others confirm, retention_days 1, ten days", "it is owed all of it")
def paused_sink(run):
    config = {"database": {"retention_days": 1}, "sink": {"inbox": PULL, "other": PULL}}
    program, clock = clocked(run, config)
    program.wake(times=2)
    before = {event["id"] for event in program.events()}
    program.command("sink", "pause", "other")
    program.take()
    live(program, clock, 0, 13, 18)
    program.command("sink", "resume", "other")
    expect(before <= waiting(program, "other"), f"it lacks {lost(before, waiting(program, 'other'))}")
