"""Texts of feeds, and a way to try one: serve it, read it, compare what came."""

import time

from program import wait_for
from registry import case, expect

DC = 'xmlns:dc="http://purl.org/dc/elements/1.1/"'
ATOM = 'xmlns="http://www.w3.org/2005/Atom"'


def rss(*items, head='<?xml version="1.0" encoding="utf-8"?>', attributes='version="2.0"', channel=""):
    """A feed in RSS."""
    return f"{head}<rss {attributes}><channel><title>Depot</title><link>https://depot.example/</link>{channel}{''.join(items)}</channel></rss>"


def item(number, title=None, more=""):
    """An item of it."""
    shown = f"Item {number}" if title is None else title
    return f'<item><guid isPermaLink="false">g{number}</guid><title>{shown}</title><link>https://depot.example/{number}</link>{more}</item>'


def atom(*entries, attributes=ATOM, more=""):
    """A feed in Atom."""
    return f'<?xml version="1.0" encoding="utf-8"?><feed {attributes}><title>Atelier</title>{more}{"".join(entries)}</feed>'


def entry(number, more="", title="<title>Entry</title>"):
    """An entry of it."""
    return (
        f'<entry><id>tag:atelier.example,2026:{number}</id>{title}<link href="https://atelier.example/{number}"/>'
        f"<updated>2026-11-02T10:00:00Z</updated>{more}</entry>"
    )


def json_feed(items, more='"title":"J",'):
    """A JSON feed around the text of its items."""
    return '{"version":"https://jsonfeed.org/version/1.1",%s"items":%s}' % (more, items)


def declared(encoding, title, real):
    """RSS that says it is in one encoding and is in another."""
    return f'<?xml version="1.0" encoding="{encoding}"?>'.encode() + rss(item(1, title), head="").encode(real)


def read(run, body, headers=None, seconds=6):
    """The payloads that a source makes of a document, and what health says of it then."""
    web = run.web()
    headers = headers or {"Content-Type": "application/xml"}
    web.routes["/feed"] = (200, headers, body)
    program = run.program({"sources": {"f": {"type": "feed", "url": f"{web.base}/feed", "bootstrap": "all", "poll_interval": "1h"}}})
    wait_for(lambda: program.total() or program.source("f")["status"] == "healthy" or program.source("f")["pending_failure"], seconds)
    time.sleep(0.3)
    return [event["data"] for event in program.events()], program.said("f")


def document(ident, tried, body, entries, headers=None, **fields):
    """Adds a case: a document with so many entries, of which one has these fields. A field is compared as a whole, by the
    text within (`content__has`), or by a function."""
    wanted = ", ".join(f"{name.replace('__has', ' with')} {value if not callable(value) else 'as it is'}" for name, value in fields.items())
    right = f"{entries} {'entry' if entries == 1 else 'entries'}" + (f", {wanted}" if wanted else "")

    @case(ident, "B", tried, right)
    def try_document(run):
        came, said = read(run, body if isinstance(body, bytes) else body.encode(), headers)
        expect(len(came) == entries, f"{len(came)} entries; {said}")
        if not entries:
            expect(said == "healthy", said)
        for name, value in fields.items():
            name, _, how = name.partition("__")
            shown = [payload.get(name) for payload in came]
            if callable(value):
                fits = [value(one) for one in shown]
            elif how:
                fits = [value in str(one or "") for one in shown]
            else:
                fits = [value == one for one in shown]
            expect(any(fits), f"{name} is {shown[0] if len(shown) == 1 else shown}")
