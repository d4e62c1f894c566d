"""A15, A16: readers of events that come back, or never confirm."""

import time

from program import Stream, wait_for
from registry import case, expect


def ids(messages):
    """The numbers of the events in these messages."""
    return [int(m["id"]) for m in messages if m.get("event") == "message"]


def reconnects(run, cut):
    """The events that a stream misses that is cut before its first event; `cut` says what happens between."""
    program = run.program()
    stream = Stream(program, "/sse/")
    greeting = stream.wait(lambda m: m, 5)
    stream.close()
    cut(program)
    program.wake(times=2)
    have = {event["id"] for event in program.events()}
    known = [m["id"] for m in greeting if m.get("id")]
    again = Stream(program, "/sse/", {"Last-Event-ID": known[-1]} if known else {})
    messages = again.wait(lambda m: have <= set(ids(m)), 5)
    missed = have - set(ids(messages))
    expect(not missed, f"{len(missed)} of {len(have)} events are missed; the greeting was {greeting}")


@case("A15", "A", "the first reconnect of a stream that had no event yet", "the greeting carries an id, nothing is missed")
def first_reconnect(run):
    reconnects(run, lambda program: None)


@case("A15-restart", "A", "the same over a restart of the program", "the greeting carries an id, nothing is missed")
def first_reconnect_restart(run):
    reconnects(run, lambda program: program.restart())


@case("A15-heartbeat", "A", "a stream whose only messages were heartbeats, on a sink whose types never came", "its last id is the end of the log")
def only_heartbeats(run):
    program = run.program({"sink": {"inbox": {"type": "http_pull"}, "sse": {"type": "sse", "match": ["user.*"], "heartbeat_timeout": "1s"}}})
    program.wake(times=2)
    stream = Stream(program, "/sse/")
    time.sleep(2.5)
    known = [m["id"] for m in stream.messages() if m.get("id")]
    expect(known and int(known[-1]) >= 2, f"ids {known} in {[m.get('event') for m in stream.messages()]}")


def records(program):
    """How many entries the sink `inbox` remembers."""
    return len(program.state("inbox", "sinks"))


@case("A16", "A", "300 extracts in a row without a confirmation", "the same batch, or a bound: at most 100 records")
def many_extracts(run):
    program = run.program()
    program.wake(times=2)
    batches = {program.extract()["batch_id"] for _ in range(300)}
    expect(records(program) <= 100, f"{records(program)} records, {len(batches)} batches")
    last = program.extract()
    done = program.request("POST", f"/inbox/mark-processed?batch_id={last['batch_id']}").status
    expect(done == 200 and not program.extract()["events"], f"confirming the last answers {done}")


@case("A16-forms", "A", "300 extracts of changing batch_size; the first batch is confirmed after them", "a bound; the first can be confirmed, or answers 404 and comes again")
def many_sizes(run):
    program = run.program()
    program.wake(times=3)
    first = program.extract("?batch_size=1")
    for number in range(300):
        program.extract(f"?batch_size={number % 3 + 1}")
    expect(records(program) <= 100, f"{records(program)} records")
    done = program.request("POST", f"/inbox/mark-processed?batch_id={first['batch_id']}").status
    left = [event["id"] for event in program.extract()["events"]]
    taken = [event["id"] for event in first["events"]]
    expect((done == 200) == (not set(taken) & set(left)), f"confirming answers {done}; {left} are left of {taken}")


@case("A16-remaining", "A", "remaining_events while everything is leased; and of a type nobody asks for", "above 0 only if the next extract gives something")
def remaining(run):
    program = run.program()
    program.wake(times=2)
    answer = program.request("POST", "/inbox/extract?lease=1h")
    if answer.status == 405:
        program.extract("?lease=1h")
    rest = program.extract()
    expect(not rest["events"] and rest["remaining_events"] == 0, f"{len(rest['events'])} events, {rest['remaining_events']} remain")


@case("A16-lease-by-get", "A", "GET /inbox/extract?lease=1h, as any page could send it", "405 with Allow: POST; POST leases")
def lease_by_get(run):
    program = run.program()
    program.wake()
    answer = program.request("GET", "/inbox/extract?lease=1h")
    expect(answer.status == 405 and "POST" in answer.headers.get("allow", ""), f"{answer.status} {answer.headers.get('allow')}")
    expect(program.extract()["events"], "the events are leased all the same")
    leased = program.request("POST", "/inbox/extract?lease=1h")
    expect(leased.status == 200 and not program.extract()["events"], f"POST answers {leased.status}")
