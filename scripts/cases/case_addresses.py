"""A2: addresses that the program learns from outside, by redirects and by names."""

import subprocess
import time

from program import wait_for
from registry import NotRun, case, expect

FEED = '<rss version="2.0"><channel><title>F</title><item><guid isPermaLink="false">1</guid><title>Read</title></item></channel></rss>'
RIGHT = "refused, and health says so; no event leased, nothing asked there"


def feed(url, **more):
    """A source."""
    return {"type": "feed", "url": url, "bootstrap": "all", "poll_interval": "1s"} | more


def redirect(place, status=302):
    """An answer that leads elsewhere."""
    return (status, {"Location": place}, b"")


def trap(run, forms):
    """Feeds that redirect to our own server in each of these forms; the program, after their polls."""
    web = run.web()
    program = run.prepared()
    sources = {"m": {"type": "mock", "interval": "1h"}}
    for number, (host, status) in enumerate(forms):
        web.routes[f"/{number}"] = redirect(f"http://{host}:{program.port}/inbox/extract?lease=24h", status)
        sources[f"f{number}"] = feed(f"{web.base}/{number}", stopped=True)
    program.write(sources=sources)
    program.start()
    program.wake()
    for number in range(len(forms)):
        program.request("POST", f"/api/sources/f{number}/resume")
    wait_for(lambda: all(web.count(f"/{number}") >= 1 for number in range(len(forms))), 20)
    time.sleep(1.5)
    return program


def check_own(program, forms):
    """Nothing was leased, and nobody thinks that the feed is well."""
    waiting = {event["id"] for event in program.extract()["events"]}
    expect(waiting == {event["id"] for event in program.events()}, "waiting events are leased to nobody")
    for number, form in enumerate(forms):
        said = program.said(f"f{number}")
        expect("redirect" in said.lower() or "address" in said.lower() or "own" in said.lower(), f"{form}: health says {said}")


@case("A2", "A", "a feed answers 302 to our own /inbox/extract?lease=24h", RIGHT)
def redirect_to_us(run):
    forms = [("127.0.0.1", 302)]
    check_own(trap(run, forms), forms)


@case("A2-forms", "A", "the same as localhost, 127.1, 2130706433, 0x7f000001, 0177.0.0.1, 0.0.0.0, ::ffff:127.0.0.1; 301, 307, 308", RIGHT)
def redirect_forms(run):
    hosts = ("localhost", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0.0.0.0", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]")
    forms = [(host, status) for host, status in zip(hosts, (301, 302, 303, 307, 308, 302, 301, 302))]
    check_own(trap(run, forms), forms)


@case("A2-twice", "A", "over a second redirect; and our own server as the configured url", RIGHT)
def redirect_twice(run):
    web = run.web()
    program = run.prepared()
    own = f"http://127.0.0.1:{program.port}/inbox/extract?lease=24h"
    web.routes["/a"] = redirect("/b", 301)
    web.routes["/b"] = redirect(own)
    program.write(sources={"m": {"type": "mock", "interval": "1h"}, "f0": feed(f"{web.base}/a", stopped=True), "f1": feed(own, stopped=True)})
    program.start()
    program.wake()
    for name in ("f0", "f1"):
        program.request("POST", f"/api/sources/{name}/resume")
    wait_for(lambda: web.count("/b"), 10)
    time.sleep(2)
    check_own(program, ["over a second redirect", "as configured"])


@case("A2-relay", "A", "a feed's server passes our request on to our own server, headers and all", "refused by our server: a request of its own")
def relayed(run):
    web = run.web()
    program = run.prepared()
    answers = []

    def relay(handler):
        headers = {k: v for k, v in handler.headers.items() if k.lower() not in ("host", "connection", "accept-encoding")}
        answer = program.request("GET", "/inbox/extract", headers=headers)
        answers.append(answer)
        return answer.status, {}, answer.body

    web.routes["/feed"] = relay
    program.write(sources={"m": {"type": "mock", "interval": "1h"}, "f": feed(f"{web.base}/feed")})
    program.start()
    program.wake()
    wait_for(lambda: answers, 10)
    came = sorted({answer.status for answer in answers})
    expect(answers and min(came) >= 400, f"our server answers it with {came}")


@case("A2-same-host", "A", "a redirect on the configured local host", "followed")
def redirect_same_host(run):
    web = run.web()
    web.routes["/old"] = redirect("/new")
    web.routes["/whole"] = redirect(f"{web.base}/new", 307)
    web.routes["/new"] = (200, {}, FEED)
    program = run.program({"sources": {"f": feed(f"{web.base}/old"), "g": feed(f"{web.base}/whole")}})
    got = wait_for(lambda: sum(event["event_type"].startswith("feed") for event in program.events()) == 2, 10)
    expect(got, f"{len(program.events())} of 2 entries; {program.said('f')}")


PUBLIC = "93.184.216.34"


def public_network():
    """Gives this network namespace a public address, on its own loopback device, and names that lead here."""
    for line in (
        ["ip", "link", "set", "lo", "up"],
        ["ip", "address", "add", f"{PUBLIC}/32", "dev", "lo"],
        ["ip", "address", "add", "10.1.2.3/32", "dev", "lo"],
        ["ip", "address", "add", "169.254.169.254/32", "dev", "lo"],
    ):
        try:
            subprocess.run(line, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise NotRun(f"no addresses in a namespace: {error}") from error


def names(run, **hosts):
    """Makes these the names that this mount namespace knows."""
    file = run.folder / "hosts"
    file.write_text("127.0.0.1 localhost\n" + "".join(f"{address} {name.replace('_', '.')}\n" for name, address in hosts.items()))
    subprocess.run(["mount", "--bind", str(file), "/etc/hosts"], check=True, capture_output=True)


@case("A2-public", "A", "a public address redirects to 127.0.0.1, 10.1.2.3, 169.254.169.254, mapped and by a name", RIGHT, namespace=True)
def redirect_from_public(run):
    public_network()
    names(run, inner_example_org="127.0.0.1", feeds_example_org=PUBLIC)
    inner = run.web(host="0.0.0.0", port=8099)
    inner.routes["*"] = (200, {}, FEED)
    outer = run.web(host=PUBLIC, port=8088)
    hosts = ("127.0.0.1", "10.1.2.3", "169.254.169.254", "[::ffff:127.0.0.1]", "2130706433", "inner.example.org", "localhost")
    sources = {}
    for number, host in enumerate(hosts):
        outer.routes[f"/{number}"] = redirect(f"http://{host}:8099/{number}")
        sources[f"f{number}"] = feed(f"http://{PUBLIC if number % 2 else 'feeds.example.org'}:8088/{number}")
    outer.routes["/good"] = (200, {}, FEED)
    sources["good"] = feed("http://feeds.example.org:8088/good")
    program = run.program({"sources": sources})
    wait_for(lambda: all(outer.count(f"/{number}") for number in range(len(hosts))), 15)
    time.sleep(2)
    asked = [hosts[number] for number in range(len(hosts)) if inner.count(f"/{number}")]
    expect(not asked, f"asked at {asked}")
    told = {event["source_name"] for event in program.events() if event["event_type"].startswith("feed")}
    expect(told == {"good"}, f"entries from {sorted(told)}; {program.said('good')}")
    said = program.said("f0")
    expect("allow_private" in said, f"the setting is not named: {said}")


@case("A2-name", "A", "a configured name that leads to a private address: feeds.example.org; box.lan; allow_private", "refused; read; read", namespace=True)
def configured_name(run):
    public_network()
    names(run, feeds_example_org="127.0.0.1", box_lan="10.1.2.3", printer="127.0.0.1")
    web = run.web(host="0.0.0.0", port=8099)
    web.routes["*"] = (200, {}, FEED)
    sources = {
        "rebound": feed("http://feeds.example.org:8099/0"),
        "lan": feed("http://box.lan:8099/1"),
        "label": feed("http://printer:8099/2"),
        "literal": feed("http://10.1.2.3:8099/3"),
    }
    program = run.program({"sources": sources})
    wait_for(lambda: sum(event["event_type"].startswith("feed") for event in program.events()) >= 3, 10)
    time.sleep(1)
    told = {event["source_name"] for event in program.events() if event["event_type"].startswith("feed")}
    expect(told == {"lan", "label", "literal"}, f"entries from {sorted(told)}")
    expect("allow_private" in program.said("rebound"), program.said("rebound"))
    allowed = run.prepared(name="allowed", config={"sources": {"rebound": feed("http://feeds.example.org:8099/4", allow_private=True)}})
    allowed.start()
    expect(wait_for(lambda: allowed.events(), 10), f"allow_private: {allowed.said('rebound')}")
