"""C: Google Calendar. Numbers as in the list of cases."""

import datetime
import zoneinfo

from clock import Clock, library
from google import Account, in_hours, iso, now
from program import wait_for
from registry import NotRun, case, expect


def calendar(run, before=None, **more):
    """A calendar and its program."""
    return Account(run, "google_calendar", before, **more)


def at_clock(run, hour, minute, zone):
    """A clock that stands at this time of the next day in UTC, and the date in the zone then."""
    if not library():
        raise NotRun("no faketime (Debian: apt install faketime)")
    there = (now() + datetime.timedelta(days=1)).replace(hour=hour, minute=minute, second=0, microsecond=0)
    # Not more than a day ahead, which a program would rightly doubt.
    there -= datetime.timedelta(days=1) if there - now() > datetime.timedelta(hours=23) else datetime.timedelta()
    clock = Clock(run.folder, int((there - now()).total_seconds()))
    return clock, there.astimezone(zoneinfo.ZoneInfo(zone)).date()


def day(today, first, days=1):
    """The times of an event of whole days, counted from today."""
    date = lambda number: {"date": (today + datetime.timedelta(days=number)).isoformat()}  # noqa: E731
    return {"start": date(first), "end": date(first + days)}


def all_told(account, steps):
    """Does each step, and expects its events; a step is (what, deed, right)."""
    wrong = []
    for what, deed, right in steps:
        came = account.after(deed, count=len(right))
        if came != right:
            wrong.append(f"{what}: {came or 'nothing'}")
    expect(not wrong, "; ".join(wrong))


@case("C03", "C", "whole days at 16:42 in Los Angeles, 00:42 UTC: today made, renamed, deleted; moved to today; a trip's last day", "created, updated, deleted; updated; created", slow=True)
def whole_days_west(run):
    clock, today = at_clock(run, 0, 42, "America/Los_Angeles")

    def fill(service):
        service.put("known", **day(today, 1))
        service.put("known-today", **day(today, 0))

    account = calendar(run, fill, service={"zone": "America/Los_Angeles"}, program={"clock": clock})
    put = account.service.put
    all_told(account, (
        ("made for today", lambda: put("new", **day(today, 0)), ["created new"]),
        ("renamed", lambda: put("new", summary="T", **day(today, 0)), ["updated new summary"]),
        ("deleted", lambda: account.service.cancel("new"), ["deleted new"]),
        ("moved to today", lambda: put("known", **day(today, 0)), ["updated known end,start"]),
        ("a trip's last day", lambda: put("trip", **day(today, -2, 3)), ["created trip"]),
        ("for tomorrow", lambda: put("tomorrow", **day(today, 1)), ["created tomorrow"]),
    ))  # fmt: skip


@case("C03-east", "C", "whole days at 06:30 in Auckland, 17:30 UTC of the day before: today and tomorrow made, today renamed", "created, created, updated", slow=True)
def whole_days_east(run):
    clock, today = at_clock(run, 17, 30, "Pacific/Auckland")
    account = calendar(run, lambda s: s.put("known", **day(today, 0)), service={"zone": "Pacific/Auckland"}, program={"clock": clock})
    put = account.service.put
    all_told(account, (
        ("made for today", lambda: put("new", **day(today, 0)), ["created new"]),
        ("made for tomorrow", lambda: put("next", **day(today, 1)), ["created next"]),
        ("renamed", lambda: put("known", summary="T"), ["updated known summary"]),
        ("yesterday, which is over", lambda: put("over", **day(today, -1)), []),
    ))  # fmt: skip


@case("C03-lost", "C", "the same evening; the sync token is lost, nothing else happened", "no event but a gap", slow=True)
def whole_days_lost(run):
    clock, today = at_clock(run, 0, 42, "America/Los_Angeles")
    account = calendar(run, lambda s: (s.put("today", **day(today, 0)), s.put("next", **day(today, 1))),
                       service={"zone": "America/Los_Angeles"}, program={"clock": clock})  # fmt: skip
    account.service.lost = True
    came = account.after(lambda: account.polled(4), count=0)
    expect(all(text.startswith("gap") for text in came), came)


@case("C04", "C", "a meeting that ended early; one moved from this afternoon to this morning, and back", "updated, updated, updated")
def ended_early(run):
    early, over, soon = in_hours(-0.5), in_hours(-0.01), in_hours(0.5)

    def fill(service):
        service.put("running", start=early, end=soon)
        service.put("later", start=in_hours(2), end=in_hours(3))

    account = calendar(run, fill)
    put = account.service.put
    all_told(account, (
        ("ended early", lambda: put("running", end=over), ["updated running end"]),
        ("moved to the morning", lambda: put("later", start=in_hours(-3), end=in_hours(-2)), ["updated later end,start"]),
        ("and back", lambda: put("later", start=in_hours(2), end=in_hours(3)), ["updated later end,start"]),
    ))  # fmt: skip


@case("C04-deleted", "C", "the meeting that ended early is deleted then; a whole day is moved to last week", "deleted; updated")
def ended_and_deleted(run):
    today = now().date()

    def fill(service):
        service.put("running", start=in_hours(-0.5), end=in_hours(0.5))
        service.put("whole", **day(today, 3))

    account = calendar(run, fill)
    account.after(lambda: account.service.put("running", end=in_hours(-0.01)))
    all_told(account, (
        ("deleted", lambda: account.service.cancel("running"), ["deleted running"]),
        ("moved to last week", lambda: account.service.put("whole", **day(today, -7)), ["updated whole end,start"]),
    ))  # fmt: skip


def in_zone(moment, hours, zone="Europe/Berlin"):
    """An instant, written with another offset."""
    return {"dateTime": moment.astimezone(datetime.timezone(datetime.timedelta(hours=hours))).isoformat(), "timeZone": zone}


def meeting(start, hours):
    """Start and end of an hour."""
    return {"start": in_zone(start, hours), "end": in_zone(start + datetime.timedelta(hours=1), hours)}


@case("C05", "C", "times in another offset: with a new title; after a lost token", "updated summary; a gap only")
def other_offset(run):
    starts = {f"e{n}": (now() + datetime.timedelta(days=n + 2)).replace(microsecond=0) for n in range(5)}
    account = calendar(run, lambda s: [s.put(ident, **meeting(start, 1)) for ident, start in starts.items()])
    service = account.service
    came = account.after(lambda: service.put("e0", summary="New", **meeting(starts["e0"], -5)))
    expect(came == ["updated e0 summary"], came)
    for ident, start in starts.items():
        service.items[ident] |= meeting(start, -5)
    service.lost = True
    came = account.after(lambda: account.polled(4), count=0)
    expect(all(text.startswith("gap") for text in came), came)


@case("C05-forms", "C", "the same instant as Z, +00:00, with .000; originalStartTime in another offset; all of it alone", "no event")
def other_spelling(run):
    start = (now() + datetime.timedelta(days=3)).replace(microsecond=0)
    end = start + datetime.timedelta(hours=1)
    forms = (
        lambda t: iso(t),
        lambda t: t.strftime("%Y-%m-%dT%H:%M:%S+00:00"),
        lambda t: t.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        lambda t: in_zone(t, 5.5)["dateTime"],
    )
    whole = lambda form: {name: {"dateTime": form(t), "timeZone": "UTC"} for name, t in (("start", start), ("end", end), ("originalStartTime", start))}  # noqa: E731
    account = calendar(run, lambda s: s.put("x", recurringEventId="r", **whole(forms[0])))
    for form in forms[1:]:
        came = account.after(lambda form=form: account.service.put("x", **whole(form)), count=0)
        expect(not came, f"{form(start)}: {came}")


@case("C16", "C", "extendedProperties with keys timeZone, tz, dateTime, dt", "as they are")
def extended_properties(run):
    account = calendar(run)
    mine = {"private": {"timeZone": "A", "tz": "B", "dateTime": "C", "dt": "D"}, "shared": {"date": "E", "dateTime": "F"}}
    account.after(lambda: account.service.put("x", start=in_hours(30), end=in_hours(31), extendedProperties=mine))
    came = account.told()[0]["data"]["event"].get("extendedProperties")
    expect(came == mine, came)


@case("C16-others", "C", "other people's words: gadget.preferences, conferenceData.parameters with such keys", "as they are")
def other_words(run):
    account = calendar(run)
    parameters = {"addOnParameters": {"parameters": {"timeZone": "A", "dateTime": "B"}}}
    gadget = {"type": "t", "preferences": {"timeZone": "C", "dateTime": "D"}}
    account.after(lambda: account.service.put("x", start=in_hours(30), end=in_hours(31), conferenceData={"parameters": parameters}, gadget=gadget))
    event = account.told()[0]["data"]["event"]
    came = (event.get("conferenceData"), event.get("gadget"))
    expect(came == ({"parameters": parameters}, gadget), came)


@case("C-calendar-upgrade", "C", "a calendar that an older version followed, then this version; nothing changed", "no event", upgrade=True)
def upgraded(run):
    today = now().date()

    def fill(service):
        service.put("timed", **meeting((now() + datetime.timedelta(days=2)).replace(microsecond=0), 1))
        service.put("whole", **day(today, 1))
        service.put("running", start=in_hours(-0.5), end=in_hours(1))

    account = calendar(run, fill, program={"binary": run.before})
    came = account.after(lambda: account.service.put("new", start=in_hours(5), end=in_hours(6)))
    expect(came == ["created new"], f"the older version: {came}")
    account.program.stop()
    account.program.binary = run.binary
    before = len(came)
    account.program.start()
    wait_for(lambda: account.program.source("g")["status"] == "healthy", 15)
    account.polled(3)
    account.service.lost = True
    account.polled(4)
    new = [event["event_type"] for event in account.told()[before:] if "gap" not in event["event_type"]]
    expect(not new, new)
    came = account.after(lambda: account.service.put("new", summary="T"))
    expect(came == ["updated new summary"], came)


