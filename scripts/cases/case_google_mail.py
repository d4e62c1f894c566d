"""C: Gmail and Google Drive, and refusals of Google's. Numbers as in the list of cases."""

import collections
import email.utils
import threading
import time

from google import Account, Refused
from program import wait_for
from registry import case, expect


def mail(run, **more):
    """A mail box and its program."""
    return Account(run, "gmail", **more)


def drive(run, before=None, **more):
    """A drive and its program."""
    return Account(run, "google_drive", before, **more)


@case("C06", "C", "a new Drive file that keeps its createdTime of 2020; an old one given to me", "file_created each")
def old_created_time(run):
    account = drive(run, lambda s: s.put("there"))
    for ident, fields in (("web", {}), ("desktop", {"createdTime": "2020-05-01T10:00:00.000Z", "modifiedTime": "2020-05-01T10:00:00.000Z"}), ("gift", {"createdTime": "2018-01-01T00:00:00.000Z"})):
        came = account.after(lambda ident=ident, fields=fields: account.service.put(ident, **fields))
        expect(came and came[0].startswith("file_created"), f"{ident}: {came or 'nothing'}")


@case("C06-known", "C", "a known file viewed again (nothing changed); one that comes back after its removal", "nothing; file_created")
def known_file(run):
    account = drive(run, lambda s: s.put("there", createdTime="2020-05-01T10:00:00.000Z"))
    came = account.after(lambda: account.service.put("there", viewedByMeTime="2026-11-29T10:00:00.000Z"), count=0)
    expect(not came, f"viewed: {came}")
    account.after(lambda: account.service.remove("there"))
    came = account.after(lambda: account.service.put("there", createdTime="2020-05-01T10:00:00.000Z", modifiedTime="2020-05-01T10:00:00.000Z"))
    expect(came and "created" in came[0], f"back: {came or 'nothing'}")


FOLDER = "application/vnd.google-apps.folder"


@case("C07", "C", "a folder renamed in Drive; described; moved", "an event with changes.name; any or none; moved")
def folder_renamed(run):
    account = drive(run, lambda s: s.put("fold", name="Old", mimeType=FOLDER))
    came = account.after(lambda: account.service.put("fold", name="New"))
    expect(came and "name" in came[0], f"renamed: {came or 'nothing'}")
    account.after(lambda: account.service.put("fold", description="x"), count=0)
    came = account.after(lambda: account.service.put("fold", parents=["p2"]))
    expect(came and "moved" in came[0], f"moved: {came or 'nothing'}")


@case("C07-both", "C", "a folder made, then renamed and moved at once; trashed", "created; events of both; trashed")
def folder_both(run):
    account = drive(run)
    came = account.after(lambda: account.service.put("fold", name="Old", mimeType=FOLDER))
    expect(came and "created" in came[0], f"made: {came or 'nothing'}")
    came = account.after(lambda: account.service.put("fold", name="New", parents=["p2"]))
    expect(came and "name" in " ".join(came) and "moved" in " ".join(came), f"both: {came or 'nothing'}")
    came = account.after(lambda: account.service.put("fold", trashed=True))
    expect(came and "trashed" in came[0], f"trashed: {came or 'nothing'}")


def late(run, seconds):
    """A message that can be read only after so many seconds; the events of it."""
    account = mail(run)
    account.service.add("a1")
    message = account.service.messages.pop("a1")
    time.sleep(seconds)
    came = account.after(lambda: account.service.messages.update(a1=message), seconds=20)
    asked = sum(what == "a1" for _, what in account.service.asked)
    expect(came == ["message_received a1"], f"{came or 'nothing'}; it was asked for {asked} times")


@case("C08", "C", "a message that can be read after four seconds, poll_interval 1s", "message_received")
def late_message(run):
    late(run, 4)


@case("C08-long", "C", "a message that can be read after 25 seconds; others come meanwhile", "both told", slow=True)
def later_message(run):
    account = mail(run)
    account.service.add("a1")
    message = account.service.messages.pop("a1")
    time.sleep(3)
    came = account.after(lambda: account.service.add("b1"))
    expect("message_received b1" in came, f"another is held up: {came or 'nothing'}")
    time.sleep(22)
    came = account.after(lambda: account.service.messages.update(a1=message), seconds=30)
    expect(came == ["message_received a1"], came or "nothing")


@case("C08-restart", "C", "the same over a restart of the program in between", "message_received")
def late_over_restart(run):
    account = mail(run)
    account.service.add("a1")
    message = account.service.messages.pop("a1")
    account.polled(4)
    account.program.restart()
    account.polled(3)
    came = account.after(lambda: account.service.messages.update(a1=message), seconds=20)
    expect(came == ["message_received a1"], came or "nothing")


def precondition():
    """What Gmail answers now and then."""
    return Refused(400, "failedPrecondition", "Precondition check failed.", domain="global", word="FAILED_PRECONDITION")


@case("C09", "C", "one passing 400 failedPrecondition while a label is added", "the label's event, no gap")
def failed_precondition(run):
    account = mail(run, emit_label_events=True)
    account.after(lambda: account.service.add("a1"))

    def deed():
        account.service.refusals["history"] = [precondition()]
        account.service.label("a1", "IMPORTANT")

    came = account.after(deed, seconds=40)
    expect(came and "label" in came[0] and not any("gap" in text for text in came), came or "nothing")


@case("C09-others", "C", "the same twice in a row; at a message; 500 backendError and 503 at both", "the events, no gap", slow=True)
def other_passing(run):
    for name, where, refusals in (
        ("twice", "history", [precondition(), precondition()]),
        ("at a message", "b1", [precondition()]),
        ("500", "history", [Refused(500, "backendError", domain="global")]),
        ("503 at a message", "b1", [Refused(503, "backendError", domain="global")]),
    ):
        account = mail(run.nested())

        def deed(account=account, where=where, refusals=refusals):
            account.service.refusals[where] = list(refusals)
            account.service.add("b1")

        came = account.after(deed, seconds=40)
        expect(came == ["message_received b1"], f"{name}: {came or 'nothing'}; {account.program.said('g')}")
        account.program.stop()


@case("C10", "C", "mail to oneself (SENT and INBOX); mail sent to others", "message_received (too); message_sent only")
def to_myself(run):
    account = mail(run)
    came = account.after(lambda: account.service.add("a2", ("SENT", "INBOX", "UNREAD")))
    expect("message_received a2" in came, came or "nothing")
    came = account.after(lambda: account.service.add("a1", ("SENT",)))
    expect(came == ["message_sent a1"], came or "nothing")


def refused(run, refusals, most, kind="gmail", count=1, where="history", unhealthy=False):
    """Expects the events of a change within seconds though Google refuses some requests; and what health is meanwhile."""
    account = Account(run, kind, poll_interval="2s")
    account.service.refusals[where] = list(refusals)
    seen, over = set(), threading.Event()

    def look():
        while not over.wait(0.3):
            source = account.program.source("g")
            seen.add(source["status"])

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    begun = time.monotonic()
    for number in range(count):
        account.service.add(f"{number:02x}0")
    got = lambda: sum("received" in event["event_type"] for event in account.program.events()) >= count  # noqa: E731
    wait_for(got, most + 20)
    took = time.monotonic() - begun
    over.set()
    thread.join()
    expect(got() and took <= most, f"told after {took:.0f} s; {account.program.said('g')}")
    expect(unhealthy or "unhealthy" not in seen, f"health was {sorted(seen)}")


def too_many(headers=None):
    """A refusal for quota."""
    return Refused(429, "rateLimitExceeded", "Too many concurrent requests for user", {"Retry-After": "1"} if headers is None else headers)


@case("C11", "C", "one 429 with Retry-After: 1", "told within 8 s, never unhealthy", slow=True)
def one_429(run):
    refused(run, [too_many()], 8)


@case("C11-two", "C", "two in a row", "told within 15 s", slow=True)
def two_429(run):
    refused(run, [too_many(), too_many()], 15, unhealthy=True)


@case("C11-403", "C", "one 403 userRateLimitExceeded without a time", "told within 10 s, never unhealthy", slow=True)
def one_403(run):
    refused(run, [Refused(403, "userRateLimitExceeded")], 10)


@case("C11-message", "C", "a 429 at one of twenty messages", "all told within 15 s, never unhealthy", slow=True)
def one_of_twenty(run):
    refused(run, [too_many()], 15, count=20, where="070")


@case("C11-503", "C", "one 503 with Retry-After: 1", "told within 10 s, never unhealthy", slow=True)
def one_503(run):
    refused(run, [Refused(503, "backendError", headers={"Retry-After": "1"})], 10)


@case("C11-date", "C", "Retry-After as a date in 3 s; 0; a date of the past; words", "told within 14 s each", slow=True)
def retry_after_forms(run):
    past = email.utils.formatdate(time.time() - 3600, usegmt=True)
    for form in (None, "0", past, "soon"):
        value = email.utils.formatdate(time.time() + 6, usegmt=True) if form is None else form
        refused(run.nested(), [too_many({"Retry-After": value})], 14)


@case("C19", "C", "a first listing of 400 mails at 6,000 units a minute, messages.get 20", "no refusal, always healthy, 250 told within 75 s", slow=True)
def new_quota(run):
    units, whole, minute = 6000, 400, collections.deque()
    refusals, lock = [], threading.Lock()
    stamp = str(int(time.time() * 1000))

    def gate(cost):
        with lock:
            moment = time.monotonic()
            while minute and minute[0][0] < moment - 60:
                minute.popleft()
            if sum(spent for _, spent in minute) + cost > units:
                refusals.append(moment)
                raise Refused(403, "userRateLimitExceeded", "Quota exceeded for quota metric 'Queries' and limit 'Queries per minute per user'")
            minute.append((moment, cost))

    def message(ident, _):
        gate(20)
        return {"id": ident, "threadId": "t", "labelIds": ["INBOX"], "snippet": "s", "internalDate": stamp, "payload": {"headers": []}}

    def listing(_, query):
        gate(5)
        return {"messages": [] if query.get("labelIds") else [{"id": f"{n:04x}", "threadId": "t"} for n in range(whole)]}

    def history(_, query):
        gate(2)
        return {"history": [], "historyId": "1000"}

    begun = time.monotonic()
    account = Account(run, "gmail", start="all", poll_interval="10s", wait=False, handlers={
        "/gmail/v1/users/me/messages/": message, "/gmail/v1/users/me/messages": listing, "/gmail/v1/users/me/history": history,
    })  # fmt: skip
    seen, told = set(), 0
    while time.monotonic() - begun < 75 and told < whole:
        seen.add(account.program.source("g")["status"])
        told = len(account.told())
        time.sleep(1)
    expect(not refusals, f"{len(refusals)} refusals; {told} told after {time.monotonic() - begun:.0f} s; health {sorted(seen)}")
    expect(told >= 250 and "unhealthy" not in seen, f"{told} told after {time.monotonic() - begun:.0f} s; health {sorted(seen)}")


@case("C-upgrade", "C", "a mail box and a drive that an older version followed, then this version; nothing changed", "no event", upgrade=True)
def upgraded(run):
    for kind in ("gmail", "google_drive"):
        fill = (lambda s: s.put("there", createdTime="2019-01-01T00:00:00.000Z")) if kind == "google_drive" else None
        account = Account(run.nested(), kind, fill, program={"binary": run.before})
        add = account.service.put if kind == "google_drive" else account.service.add
        account.after(lambda add=add: add("a1"))
        before = len(account.told())
        account.program.stop()
        account.program.binary = run.binary
        account.program.start()
        account.polled(6)
        new = [event["event_type"] for event in account.told()[before:]]
        expect(not new, f"{kind}: {new}")
        came = account.after(lambda add=add: add("a2"))
        expect(len(came) == 1, f"{kind}: {came or 'nothing'}")
