"""A1: links in a watched folder that lead elsewhere."""

import os
import secrets
import threading
import time

from program import wait_for
from registry import case, expect
from watched import PREVIEWS, Watched, traces

RIGHT = "nothing of what is outside in events, state, log, database"


def outside(run):
    """A file that is not in the watched folder, and the word in it."""
    word = "outside-" + secrets.token_hex(8)
    folder = run.folder / "elsewhere"
    folder.mkdir(exist_ok=True)
    (folder / "secret.txt").write_text(word + "\n")
    return folder / "secret.txt", word


@case("A1", "A", "a link to a file outside the folder, with previews", RIGHT)
def link_outside(run):
    file, word = outside(run)
    watched = Watched(run, lambda w: w.link(file, "before.txt"), **PREVIEWS)
    watched.link(file, "after.txt")
    watched.put("sub/own.txt", "mine")
    watched.settle()
    file.write_text(f"{word} changed\n")
    watched.program.restart()
    watched.settle()
    expect(not traces(watched.program, word), f"its text is in {', '.join(traces(watched.program, word))}")
    expect("created sub/own.txt" in watched.paths(), "a file beside it is missing")


@case("A1-environ", "A", "a link to /proc/self/environ, the token in a variable", RIGHT)
def link_environ(run):
    word = "token-" + secrets.token_hex(8)
    server = {"token": "${THE_TOKEN}"}
    program = {"env": {"THE_TOKEN": word, "OTHER": "other-" + word}}
    for follow in ({}, {"follow_links": "all"}):
        watched = Watched(run, config={"server": server}, program=program, start=False, name=f"p{len(follow)}",
                          root=run.folder / f"w{len(follow)}", **PREVIEWS, **follow)
        watched.link("/proc/self/environ", "environ.txt")
        watched.link("/proc/self/cmdline", "cmdline.txt")
        watched.link("/dev/zero", "zero.txt")
        watched.put("own.txt", "mine")
        bearer = {"Authorization": f"Bearer {word}"}
        request = watched.program.request
        watched.program.request = lambda method, path, body=None, headers=None, **more: request(
            method, path, body, (headers or {}) | bearer, **more)
        try:
            watched.program.start()
        except RuntimeError as refused:
            if follow and "follow_links" in str(refused):
                expect(False, "there is no setting follow_links")
            raise
        watched.settle()
        found = traces(watched.program, word)
        expect(not found, f"the token is in {', '.join(found)} ({follow or 'by default'})")
        told = [path for path in watched.paths() if path.endswith(("environ.txt", "cmdline.txt", "zero.txt"))]
        expect(not told, f"told of {told}")


@case("A1-forms", "A", "links by .., through another link, through a folder that is a link, in a subfolder", RIGHT)
def link_forms(run):
    file, word = outside(run)

    def fill(watched):
        watched.link("../elsewhere/secret.txt", "dots.txt")
        watched.link(f"../../{run.folder.name}/elsewhere/secret.txt", "far.txt")
        watched.link("dots.txt", "chain.txt")
        watched.link(file.parent, "folder")
        watched.link("folder/secret.txt", "through.txt")
        watched.link("../../elsewhere/secret.txt", "sub/deep.txt")
        watched.link("/proc/self/cwd/../elsewhere/secret.txt", "magic.txt")
        watched.link(f"/proc/self/root{file}", "root.txt")

    watched = Watched(run, fill, **PREVIEWS)
    watched.settle()
    found = traces(watched.program, word)
    expect(not found, f"its text is in {', '.join(found)}: {watched.paths()}")


@case("A1-inside", "A", "links that lead inside: relative, absolute, over a root that is a link", "followed, under their own path")
def link_inside(run):
    real = run.folder / "real"
    real.mkdir()
    os.symlink(real, run.folder / "watched")

    def fill(watched):
        watched.put("own.txt", "the own text")
        watched.put("sub/other.txt", "x")
        watched.link("own.txt", "relative.txt")
        watched.link(real / "own.txt", "absolute.txt")
        watched.link(watched.root / "own.txt", "over-the-link.txt")
        watched.link("../own.txt", "sub/up.txt")

    watched = Watched(run, fill, root=run.folder / "watched", **PREVIEWS)
    names = ("own.txt", "relative.txt", "absolute.txt", "over-the-link.txt", "sub/up.txt")
    missing = watched.has(15, *names)
    expect(not missing, f"not told: {missing}")
    texts = {e["data"]["path"]: e["data"].get("content_preview") for e in watched.program.events()}
    expect(all(texts[name] == "the own text" for name in names), texts)
    expect(watched.program.source("files")["status"] == "healthy", watched.program.said("files"))


@case("A1-health", "A", "a link that is not followed", "health counts it and names follow_links; `all` follows, `none` follows none")
def link_settings(run):
    file, word = outside(run)

    def fill(watched):
        watched.link(file, "out.txt")
        watched.put("own.txt")
        watched.link("own.txt", "in.txt")

    watched = Watched(run, fill, **PREVIEWS)
    watched.settle()
    said = wait_for(lambda: "follow_links" in watched.program.request("GET", "/healthcheck").body.decode(), 8)
    expect(said, f"health: {watched.program.said('files')}")
    for follow, right in (("all", {"out.txt", "own.txt", "in.txt"}), ("none", {"own.txt"})):
        other = Watched(run, name=follow, root=watched.root, start=False, **PREVIEWS, follow_links=follow)
        other.program.start()
        wait_for(lambda: len(other.program.events()) >= len(right), 10)
        other.settle()
        told = {path.split(" ")[1] for path in other.paths()} & {"out.txt", "own.txt", "in.txt"}
        expect(told == right, f"follow_links: {follow} tells of {sorted(told)}")
        other.program.stop()


@case("A1-swap", "A", "a file swapped with a link to outside, thousands of times", RIGHT + "; normal writes all told", slow=True)
def link_swap(run):
    file, word = outside(run)
    watched = Watched(run, **PREVIEWS | {"poll_interval": "1s"})
    over = threading.Event()

    def swap():
        number = 0
        while not over.is_set():
            number += 1
            part = watched.root / "part.tmp"
            if number % 2:
                os.symlink(file, part)
            else:
                part.write_text("harmless")
            os.replace(part, watched.root / f"target{number % 3}.txt")
            # The same with a folder on the way.
            place, aside = watched.root / "way", watched.root / "aside.tmp"
            if os.path.islink(place):
                os.unlink(place)
                os.path.isdir(aside) and os.rename(aside, place)
            else:
                os.path.isdir(place) and os.rename(place, aside)
                os.symlink(file.parent, place)

    watched.put("way/secret.txt", "harmless")
    thread = threading.Thread(target=swap, daemon=True)
    thread.start()
    try:
        names = []
        end = time.monotonic() + 12
        while time.monotonic() < end:
            names.append(f"normal/{len(names)}.txt")
            watched.put(names[-1])
            time.sleep(0.1)
    finally:
        over.set()
        thread.join()
    found = traces(watched.program, word)
    expect(not found, f"its text is in {', '.join(found)}")
    told = lambda: {e["data"]["path"] for e in watched.program.events()}
    wait_for(lambda: set(names) <= told(), 20, 0.5)
    expect(set(names) <= told(), f"{len(set(names) - told())} of {len(names)} normal files are not told")


@case("A1-upgrade", "A", "links outside that an older version followed, then this version", "gone from the state, no event at all", upgrade=True)
def link_upgrade(run):
    file, word = outside(run)
    old = Watched(run, lambda w: (w.link(file, "out.txt"), w.put("own.txt")), program={"binary": run.before}, **PREVIEWS)
    expect(not old.has(10, "out.txt", "own.txt"), "the older version did not tell of it")
    before = len(old.paths())
    old.program.stop()
    old.program.binary = run.binary
    old.program.start()
    new = old.settle()[before:]
    expect(not new, f"events after the upgrade: {new}")
    keys = [key for key in old.program.state("files") if "out.txt" in key]
    expect(not keys, f"still in the state: {keys}")
