"""D1 to D8: feeds that change between two polls, and servers that answer oddly."""

import time

from feeds import atom, entry, item, json_feed, rss
from program import wait_for
from registry import case, expect


class Feed:
    """A source over a feed that a case changes; polled each second."""

    def __init__(self, run, routes, path="/f", **settings):
        self.web = run.web()
        self.web.routes.update(routes)
        self.url = self.web.base + path
        source = {"type": "feed", "url": self.url, "bootstrap": "all", "poll_interval": "1s"} | settings
        self.program = run.program({"sources": {"f": source}})
        wait_for(lambda: self.program.source("f")["status"] == "healthy" or self.program.source("f")["pending_failure"], 8)

    def answer(self, body, path="/f", status=200, headers=None):
        """Changes the answer, and waits until it was read twice."""
        self.web.routes[path] = (status, headers or {}, body)
        self.polled(2, path)

    def polled(self, times=2, path="/f", seconds=15):
        """Waits for so many more requests."""
        before = self.web.count(path)
        wait_for(lambda: self.web.count(path) >= before + times, seconds)
        time.sleep(0.4)

    def told(self):
        """type and title of each event, such as `new One`."""
        return [f"{event['event_type'].split('_')[-1]} {event['data'].get('title')}" for event in self.program.events() if event["event_type"].startswith("feed")]

    def said(self):
        """What health says."""
        return self.program.said("f")


def bare(title, link="", more=""):
    """An item without a guid."""
    return f"<item><title>{title}</title>{f'<link>{link}</link>' if link else ''}{more}</item>"


def guid(number, title, more=""):
    """An item with a guid."""
    return f'<item><guid isPermaLink="false">{number}</guid><title>{title}</title><link>https://d.example/{title}</link>{more}</item>'


def one(body):
    """A route."""
    return {"/f": (200, {}, body)}


@case("D1", "B", "two items under one guid: A, then B and A, then B", "each told once")
def same_guid(run):
    feed = Feed(run, one(rss(guid(1, "Alpha"))))
    feed.answer(rss(guid(1, "Beta"), guid(1, "Alpha")))
    feed.answer(rss(guid(1, "Beta")))
    told = feed.told()
    expect(len(told) == 2 and sum("Alpha" in t for t in told) == 1 and sum("Beta" in t for t in told) == 1, told)


@case("D1-order", "B", "two items under one guid change places at each poll; three of them", "each told once")
def same_guid_order(run):
    items = [guid(1, title) for title in ("Alpha", "Beta", "Gamma")]
    feed = Feed(run, one(rss(*items)))
    for order in ((2, 1, 0), (1, 0, 2), (0, 1, 2)):
        feed.answer(rss(*(items[n] for n in order)))
    expect(len(feed.told()) == 3, feed.told())


@case("D2", "B", "one link for all items, no guid", "two events")
def same_link(run):
    alpha, beta = (bare(title, "https://d.example/") for title in ("Alpha", "Beta"))
    feed = Feed(run, one(rss(alpha)))
    feed.answer(rss(beta, alpha))
    feed.answer(rss(beta))
    expect(len(feed.told()) == 2, feed.told())


@case("D2-nothing", "B", "neither guid nor link; one leaves, one comes back, the order changes", "each told once")
def no_identity(run):
    items = [bare(title, more=f"<description>of {title}</description>") for title in ("Alpha", "Beta", "Gamma")]
    feed = Feed(run, one(rss(*items)))
    feed.answer(rss(items[2], items[0]))
    feed.answer(rss(*items))
    expect(len(feed.told()) == 3, feed.told())


@case("D3", "B", "moved for good (301), then a page for sale is there", "the entries of the old address are told", slow=True)
def moved_then_page(run):
    feed = Feed(run, {"/f": (301, {"Location": "/new"}, b""), "/new": (200, {}, rss(guid(1, "Alpha")))})
    feed.polled(2, "/new")
    feed.web.routes["/f"] = (200, {}, rss(guid(2, "Fresh"), guid(1, "Alpha")))
    feed.web.routes["/new"] = (200, {"Content-Type": "text/html"}, "<html>This domain is for sale</html>")
    told = wait_for(lambda: any("Fresh" in t for t in feed.told()), 40)
    expect(told, f"{feed.told()}; the old address was asked {feed.web.count('/f')} times; {feed.said()}")


@case("D3-gone", "B", "moved for good, then the new place answers 404, 410, nothing", "the entries of the old address are told", slow=True)
def moved_then_gone(run):
    feed = Feed(run, {"/f": (308, {"Location": "/new"}, b""), "/new": (200, {}, rss(guid(1, "Alpha")))})
    feed.polled(2, "/new")
    feed.web.routes["/f"] = (200, {}, rss(guid(2, "Fresh"), guid(1, "Alpha")))
    feed.web.routes["/new"] = (410, {}, b"gone")
    told = wait_for(lambda: any("Fresh" in t for t in feed.told()), 40)
    expect(told, f"{feed.told()}; the old address was asked {feed.web.count('/f')} times; {feed.said()}")


def now():
    """The time, as Atom writes it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


@case("D4", "B", "atom:updated follows the clock", "one event")
def updated_is_now(run):
    def document(_):
        return 200, {}, atom(f"<entry><id>x</id><title>No alerts</title><updated>{now()}</updated></entry>")

    feed = Feed(run, {"/f": document})
    feed.polled(5)
    expect(len(feed.told()) == 1, feed.told())


@case("D4-dates", "B", "pubDate, lastBuildDate, date_modified and a counter of views in an unknown element change", "one event each")
def dates_change(run):
    def document(_):
        date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime())
        views = f"<pubDate>{date}</pubDate><x:views xmlns:x='https://x.example'>{time.monotonic_ns()}</x:views>"
        return 200, {}, rss(guid(1, "Alpha", views), channel=f"<lastBuildDate>{date}</lastBuildDate>")

    def other(_):
        return 200, {}, json_feed('[{"id":"1","title":"T","content_text":"x","date_modified":"%s"}]' % now())

    feed = Feed(run, {"/f": document})
    feed.polled(4)
    expect(len(feed.told()) == 1, feed.told())
    feed = Feed(run.nested(), {"/f": other})
    feed.polled(4)
    expect(len(feed.told()) == 1, feed.told())


@case("D5", "B", "another enclosure under the same entry", "an update")
def enclosure(run):
    file = lambda name: f'<enclosure url="https://cdn.example/{name}.mp3" type="audio/mpeg" length="1"/>'  # noqa: E731
    feed = Feed(run, one(rss(item(1, more=file("1")))))
    feed.answer(rss(item(1, more=file("1-fixed"))))
    expect(len(feed.told()) == 2, feed.told())


@case("D5-fields", "B", "another author, then another category, then another link", "an update each")
def other_fields(run):
    form = lambda author, category, link: atom(  # noqa: E731
        f'<entry><id>1</id><title>T</title><link href="https://a.example/{link}"/><author><name>{author}</name></author>'
        f'<category term="{category}"/><updated>2026-11-02T10:00:00Z</updated></entry>'
    )
    feed = Feed(run, one(form("Mia", "a", 1)))
    for number, values in enumerate((("Mira", "a", 1), ("Mira", "b", 1), ("Mira", "b", 2)), 2):
        feed.answer(form(*values))
        expect(len(feed.told()) == number, f"after change {number - 1}: {feed.told()}")


def location(raw):
    """A 301 whose Location has these bytes."""

    def answer(handler):
        handler.wfile.write(b"HTTP/1.1 301 Moved Permanently\r\nLocation: " + raw + b"\r\nContent-Length: 0\r\n\r\n")

    return answer


@case("D6", "B", "a Location in UTF-8", "followed")
def location_utf8(run):
    feed = Feed(run, {"/f": location("/лента".encode()), "/%D0%BB%D0%B5%D0%BD%D1%82%D0%B0": (200, {}, rss(guid(1, "Alpha")))})
    expect(wait_for(lambda: feed.told(), 6), feed.said())


@case("D6-forms", "B", "a Location with blanks, without a path, with a fragment, in Latin-1", "followed")
def location_forms(run):
    good = (200, {}, rss(guid(1, "Alpha")))
    cases = {"blank": (b"/a b", "/a%20b"), "relative": (b"new", "/new"), "fragment": (b"/g#top", "/g"), "latin": (b"/caf\xe9", "/caf%E9")}
    for name, (raw, path) in cases.items():
        feed = Feed(run.nested(), {"/f": location(raw), path: good})
        expect(wait_for(lambda feed=feed: feed.told(), 6), f"{name}: asked {[a.path for a in feed.web.asked][-1:]}; {feed.said()}")


@case("D7", "B", "a body that breaks off", "no advice about max_bytes; says that it breaks off")
def body_breaks_off(run):
    text = rss(guid(1, "Alpha")).encode()

    def answer(handler):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % (len(text) + 50) + text)
        handler.close_connection = True

    def chunked(handler):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n40\r\n" + text[:50])
        handler.close_connection = True

    for name, route in (("length", answer), ("chunked", chunked)):
        feed = Feed(run.nested(), {"/f": route})
        said = wait_for(lambda feed=feed: "broke off" in feed.said() and feed.said(), 5) or feed.said()
        expect("max_bytes" not in said and "broke off" in said, f"{name}: {said}")


@case("D7-max", "B", "a feed larger than max_bytes", "the advice names max_bytes")
def too_large(run):
    feed = Feed(run, one(rss(*(item(n) for n in range(100)))), max_bytes=2048)
    said = wait_for(lambda: "max_bytes" in feed.said() and feed.said(), 5) or feed.said()
    expect("max_bytes" in said, said)


@case("D8", "B", "203 from a proxy", "read")
def status_203(run):
    feed = Feed(run, {"/f": (203, {}, rss(guid(1, "Alpha")))})
    expect(wait_for(lambda: feed.told(), 6), feed.said())


@case("D8-226", "B", "226 with all entries; 304 though nothing was asked with; an empty 200", "read; a problem; a problem")
def other_statuses(run):
    feed = Feed(run.nested(), {"/f": (226, {"IM": "feed"}, rss(guid(1, "Alpha")))})
    expect(wait_for(lambda: feed.told(), 6), f"226: {feed.said()}")
    for name, route in (("empty", (200, {}, b"")), ("304", (304, {}, b""))):
        feed = Feed(run.nested(), {"/f": route})
        time.sleep(1.5)
        expect(feed.said() != "healthy", f"{name}: healthy")


@case("F-etag", "B", "an ETag that changes though the text does not; a Last-Modified in the future", "one event")
def etag_changes(run):
    def answer(_):
        return 200, {"ETag": f'"{time.monotonic_ns()}"', "Last-Modified": "Fri, 01 Jan 2100 00:00:00 GMT"}, rss(guid(1, "Alpha"))

    feed = Feed(run, {"/f": answer})
    feed.polled(3)
    expect(len(feed.told()) == 1, feed.told())


@case("F-damaged", "B", "a feed is damaged for a while (an ampersand, cut off, empty) and well again", "no event of it", slow=True)
def damaged_for_a_while(run):
    whole = rss(guid(1, "Alpha"), guid(2, "Beta"), guid(3, "Gamma"))
    feed = Feed(run, one(whole))
    for body in (whole.replace("Beta", "Be & ta", 1).replace("Be & ta", "Beta"), whole[:-150], rss(), whole):
        feed.web.routes["/f"] = (200, {}, body)
        feed.polled(2, seconds=8)
    feed.web.routes["/f"] = (200, {}, whole)
    feed.polled(1, seconds=40)
    expect(len(feed.told()) == 3, feed.told())


@case("F-upgrade", "B", "feeds that an older version read, then this version; nothing changed", "no event", upgrade=True)
def upgraded(run):
    bodies = {
        "/rss": rss(guid(1, "Alpha", "<pubDate>Mon, 02 Nov 2026 10:00:00 GMT</pubDate><author>mia@example.org (Mia)</author>"), guid(2, "A &amp; b")),
        "/atom": atom(entry(1), entry(2, title='<title type="html">A &amp;amp; b</title>')),
        "/json": json_feed('[{"id":"1","title":"T","content_text":"x"},{"id":"2","content_html":"<b>y</b>"}]'),
        "/bare": rss(bare("Alpha"), bare("Beta", "https://d.example/"), bare("Gamma", "https://d.example/")),
        "/twice": rss(guid(1, "Alpha"), guid(1, "Beta")),
    }
    web = run.web()
    for path, body in bodies.items():
        web.routes[path] = (200, {}, body)
    sources = {path[1:]: {"type": "feed", "url": web.base + path, "bootstrap": "all", "poll_interval": "1s"} for path in bodies}
    program = run.prepared({"sources": sources}, binary=run.before)
    program.start()
    wait_for(lambda: all(web.count(path) >= 2 for path in bodies), 10)
    time.sleep(1)
    before = program.total()
    program.stop()
    program.binary = run.binary
    asked = {path: web.count(path) for path in bodies}
    program.start()
    wait_for(lambda: all(web.count(path) >= asked[path] + 2 for path in bodies), 15)
    time.sleep(0.5)
    new = [f"{e['source_name']} {e['event_type']} {e['data'].get('title')}" for e in program.events()[before:]]
    expect(not new, f"{len(new)} events: {new}")
