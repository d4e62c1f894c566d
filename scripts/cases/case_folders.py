"""S1 to S9: folders as people use them."""

import os
import pathlib
import signal
import socket
import subprocess
import threading
import time

from program import wait_for
from registry import NotRun, case, expect
from watched import Watched

GIB = 1 << 30


def sparse(path, size):
    """A file of this size that takes no place on the disk."""
    with open(path, "wb") as file:
        file.truncate(size)


def latency(watched, name, most=40):
    """Seconds from writing a note to its event, or None."""
    begun = time.monotonic()
    watched.put(name, "note")
    if wait_for(lambda: any(path.endswith(f" {name}") for path in watched.paths()), most):
        return round(time.monotonic() - begun, 1)
    return None


def soon(watched, what, notes=1, most=5.0):
    """Expects the events of some notes within seconds."""
    took = [latency(watched, f"note{number}-{time.monotonic_ns()}.txt") for number in range(notes)]
    expect(all(one is not None and one < most for one in took), f"{what}: {took} s; {watched.program.said('files')}")


@case("S1", "B", "a note beside a new file of 6 GiB", "told within 5 s", slow=True)
def huge_file(run):
    watched = Watched(run)
    sparse(watched.root / "disk.img", 6 * GIB)
    time.sleep(1)
    soon(watched, "beside it")


@case("S1-many", "B", "notes beside twelve new files of 3 GiB in a subfolder; the huge ones are told of, too", "notes within 5 s, all within 60 s", slow=True)
def many_huge(run):
    watched = Watched(run)
    (watched.root / "images").mkdir()
    for number in range(12):
        sparse(watched.root / "images" / f"{number}.img", 3 * GIB)
    time.sleep(1)
    soon(watched, "beside them", 3)
    missing = watched.has(60, *(f"images/{number}.img" for number in range(12)))
    expect(not missing, f"{len(missing)} of 12 huge files are not told after 60 s")


@case("S1-start", "B", "bootstrap: all over a huge file and small ones", "the small ones within 8 s of the start", slow=True)
def huge_at_start(run):
    def fill(watched):
        sparse(watched.root / "a.img", 6 * GIB)
        watched.put("small.txt")

    watched = Watched(run, fill, start=False, bootstrap="all")
    watched.program.start()
    missing = watched.has(8, "small.txt")
    expect(not missing, f"{watched.paths()}; {watched.program.said('files')}")


@case("S2", "B", "a note beside a link to an endless file (/proc/self/pagemap), followed or not", "told within 5 s", slow=True)
def endless_link(run):
    watched = Watched(run)
    watched.link("/proc/self/pagemap", "link")
    time.sleep(1.5)
    soon(watched, "beside it")


@case("S2-others", "B", "a named pipe, a socket, links to /dev/zero and /dev/stdin, a link in a circle", "a note within 5 s; no event of them")
def odd_files(run):
    watched = Watched(run, bootstrap="all")
    os.mkfifo(watched.root / "pipe.txt")
    listening = socket.socket(socket.AF_UNIX)
    run.defer(listening.close)
    listening.bind(str(watched.root / "socket.txt")) if len(str(watched.root)) < 90 else None
    for target, name in (("/dev/zero", "zero"), ("/dev/stdin", "stdin"), ("circle", "circle"), ("nowhere", "broken")):
        watched.link(target, f"{name}.txt" if name != "circle" else "circle")
    time.sleep(1)
    soon(watched, "beside them")
    told = [path for path in watched.paths() if "note" not in path]
    expect(not told, told)


@case("S2-mount", "B", "an endless regular file mounted into the folder (/proc/self/pagemap)", "a note within 5 s", namespace=True, slow=True)
def endless_mount(run):
    subprocess.run(["ip", "link", "set", "lo", "up"], capture_output=True, check=False)
    watched = Watched(run, start=False, before=lambda w: w.put("endless", ""))
    try:
        subprocess.run(["mount", "--bind", "/proc/self/pagemap", str(watched.root / "endless")], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise NotRun(f"no mounts in a namespace: {error}") from error
    run.defer(lambda: subprocess.run(["umount", str(watched.root / "endless")], check=False))
    watched.program.start()
    time.sleep(2)
    soon(watched, "beside it")


def writer(run, deed, pause):
    """Does something again and again in the background, until the case ends."""
    over = threading.Event()

    def work():
        while not over.wait(pause):
            deed()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    run.defer(thread.join, 5)
    run.defer(over.set)


@case("S3", "B", "notes beside an image of 8 GiB that is written twice a second", "told within 5 s", slow=True)
def always_written(run):
    watched = Watched(run)
    image = watched.root / "vm.img"
    sparse(image, 8 * GIB)

    def write():
        with open(image, "r+b") as file:
            file.write(os.urandom(4096))

    writer(run, write, 0.5)
    time.sleep(2)
    soon(watched, "beside it", 3)
    used = sum(int(part) for part in pathlib.Path(f"/proc/{watched.program.process.pid}/stat").read_text().split()[13:15])
    expect(used / os.sysconf("SC_CLK_TCK") < 20, f"{used / os.sysconf('SC_CLK_TCK')} s of processor time")


@case("S3-log", "B", "notes beside a log of 20 lines a second; the log itself", "notes within 5 s; the log is told of more than once and less than 20 times in 25 s", slow=True)
def growing_log(run):
    watched = Watched(run)
    log = watched.root / "app.log"
    log.write_text("begin\n")

    def write():
        with open(log, "a") as file:
            file.write("a line of the log that goes on\n")

    writer(run, write, 0.05)
    end = time.monotonic() + 25
    soon(watched, "beside it", 3)
    time.sleep(max(0, end - time.monotonic()))
    told = sum("app.log" in path for path in watched.paths())
    expect(1 < told < 20, f"{told} events of the log")


@case("S4", "B", "watch_mode watch; the folder is a link that leads elsewhere now", "a new file there is told")
def root_link(run):
    for name in ("r1", "r2"):
        (run.folder / name).mkdir()
        (run.folder / name / "page.txt").write_text(name)
    os.symlink("r1", run.folder / "current")
    watched = Watched(run, root=run.folder / "current", watch_mode="watch", poll_interval="1h")
    os.symlink("r2", run.folder / "next")
    os.rename(run.folder / "next", run.folder / "current")
    time.sleep(1)
    (run.folder / "r2" / "new.txt").write_text("n")
    missing = watched.has(20, "new.txt")
    expect(not missing, f"{watched.paths()}; {watched.program.said('files')}")
    expect("updated page.txt" in watched.paths(), f"the other file of the same name: {watched.paths()}")


@case("S4-renamed", "B", "watch_mode watch; the folder, and one above it, is renamed and another put in its place", "a new file there is told within a minute", slow=True)
def root_replaced(run):
    above = run.folder / "above"
    (above / "folder").mkdir(parents=True)
    watched = Watched(run, root=above / "folder", watch_mode="watch", poll_interval="1h")
    watched.put("one.txt")
    expect(not watched.has(10, "one.txt"), "a first file is not told")
    os.rename(above / "folder", above / "aside")
    (above / "folder").mkdir()
    (above / "folder" / "two.txt").write_text("2")
    expect(not watched.has(60, "two.txt"), f"another folder: {watched.paths()}; {watched.program.said('files')}")
    os.rename(above, run.folder / "gone")
    (above / "folder").mkdir(parents=True)
    (above / "folder" / "three.txt").write_text("3")
    expect(not watched.has(60, "three.txt"), f"another above it: {watched.paths()}; {watched.program.said('files')}")


@case("S5", "B", "22 folders of 200 characters, one in the other", "the reason (path too long) is in the message; files beside are told")
def long_path(run):
    watched = Watched(run)
    at = os.open(watched.root, os.O_RDONLY)
    for _ in range(22):
        os.mkdir("d" * 200, dir_fd=at)
        inner = os.open("d" * 200, os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = inner
    os.close(at)
    run.defer(lambda: subprocess.run(["rm", "-rf", str(watched.root)], check=False))
    time.sleep(1)
    soon(watched, "beside them")
    said = lambda: watched.program.said("files")  # noqa: E731
    wait_for(lambda: "too long" in said().lower() or "os error" in said(), 10)
    expect("too long" in said().lower() or "os error" in said(), f"{said()[:40]} … {said()[-40:]}")


@case("S5-names", "B", "names of 255 bytes, in Latin-1, with line ends; ten problems at once", "every readable file is told, problems are named")
def odd_names(run):
    watched = Watched(run)
    names = ["n" * 251 + ".txt", "line\nend.txt", " blank .txt", "ü" * 120 + ".txt", "-rf.txt"]
    for name in names:
        watched.put(name)
    with open(os.fsencode(watched.root) + b"/caf\xe9.txt", "wb") as file:
        file.write(b"x")
    missing = watched.has(10, *names)
    expect(not missing, f"not told: {[name[:20] for name in missing]}; {watched.program.said('files')[:80]}")
    expect(any("caf" in path for path in watched.paths()) or "caf" in watched.program.said("files"), "a name that is no UTF-8 is nowhere")


def check_speaks(run, key, value):
    """What check says of a setting of a folder, and whether it is a warning or an error."""
    program = run.prepared()
    program.write(sources={"files": {"type": "filesystem", "path": str(run.folder), key: value}})
    done = program.command("check")
    text = (done.out + done.err).lower()
    return (done.code != 0 or "warn" in text) and key in text


NOTHING = (
    ("ignore_patterns", ["node_modules/"]), ("ignore_patterns", ["./build"]), ("ignore_patterns", ["{a,b}/*"]),
    ("extensions", ["*.md"]), ("extensions", [".tar.gz"]), ("extensions", "md txt"),
)  # fmt: skip
ALSO_NOTHING = (
    ("ignore_patterns", ["/build"]), ("ignore_patterns", ["!keep.txt"]), ("ignore_patterns", ["../x"]), ("ignore_patterns", ["~/x"]),
    ("extensions", [".m d"]), ("extensions", ["."]), ("extensions", ["a/b"]),
)  # fmt: skip


@case("S6", "B", "check of node_modules/, ./build, {a,b}/*, *.md, .tar.gz, 'md txt'", "a warning of each")
def match_nothing(run):
    silent = [f"{key}: {value}" for key, value in NOTHING if not check_speaks(run, key, value)]
    expect(not silent, f"not a word of {'; '.join(silent)}")


@case("S6-more", "B", "check of /build, !keep.txt, ../x, ~/x, '.m d', '.', a/b", "a warning of each")
def match_nothing_more(run):
    silent = [f"{key}: {value}" for key, value in ALSO_NOTHING if not check_speaks(run, key, value)]
    expect(not silent, f"not a word of {'; '.join(silent)}")


@case("S6-good", "B", "check of build, */build, *.tmp, .md, md, [.md, .txt]", "no warning")
def match_something(run):
    good = (("ignore_patterns", ["build", "*/build", "*.tmp", "[a-z]*", "a b/*"]), ("extensions", [".md"]), ("extensions", "md"), ("extensions", [".md", ".txt"]))
    spoken = [f"{key}: {value}" for key, value in good if check_speaks(run, key, value)]
    expect(not spoken, f"a warning of {'; '.join(spoken)}")


@case("S7", "B", "a repository below the top, with commits", "nothing of its .git is told")
def nested_git(run):
    watched = Watched(run)
    for folder in ("p", "q/r/s"):
        inside = watched.root / folder / ".git" / "objects" / "ab"
        inside.mkdir(parents=True)
        for name in ("HEAD", "config", "index"):
            (inside.parent.parent / name).write_text("x")
        (inside / "cdef").write_text("x")
        (watched.root / folder / "a.txt").write_text("x")
    watched.put("p/b/.git/COMMIT_EDITMSG")
    missing = watched.has(10, "p/a.txt", "q/r/s/a.txt")
    watched.settle()
    inner = [path for path in watched.paths() if ".git" in path]
    expect(not inner and not missing, f"{len(inner)} events of .git; missing {missing}")


@case("S7-others", "B", ".gitignore, a file named .git (a worktree), .trash and x.tmp below the top", ".gitignore is told; .trash and .tmp are not")
def nested_others(run):
    watched = Watched(run)
    for path in ("p/.gitignore", "p/.github/ci.yml", "p/.trash/old.txt", "p/q/x.tmp", "gitlike.git"):
        watched.put(path)
    watched.settle()
    told = {path.split(" ", 1)[1] for path in watched.paths() if "settle-" not in path}
    expect(told == {"p/.gitignore", "p/.github/ci.yml", "gitlike.git"}, sorted(told))


@case("S9", "B", "a folder that is away for 15 s (a disk), watch and a poll_interval of 1h", "found within a minute of its return; no deletion", slow=True)
def away_for_a_moment(run):
    watched = Watched(run, watch_mode="watch", poll_interval="1h")
    watched.put("kept.txt")
    expect(not watched.has(10, "kept.txt"), "a first file is not told")
    os.rename(watched.root, run.folder / "aside")
    time.sleep(15)
    os.rename(run.folder / "aside", watched.root)
    watched.put("back.txt")
    missing = watched.has(62, "back.txt")
    expect(not missing, f"not found after 62 s: {watched.program.said('files')}")
    expect("deleted kept.txt" not in watched.paths(), watched.paths())


@case("S9-missing", "B", "a folder that is not there at the start and is made after 20 s", "found within a minute", slow=True)
def missing_at_start(run):
    folder = run.folder / "later" / "folder"
    program = run.program({"sources": {"files": {"type": "filesystem", "path": str(folder), "bootstrap": "all", "poll_interval": "1h"}}})
    time.sleep(20)
    folder.mkdir(parents=True)
    (folder / "a.txt").write_text("a")
    expect(wait_for(lambda: program.total() >= 1, 62, 0.5), f"not found after 62 s: {program.said('files')}")


@case("S9-unreadable", "B", "a subfolder, and the folder, unreadable for ten seconds (not as root)", "told within a minute; no deletion", slow=True)
def unreadable(run):
    if os.geteuid() == 0:
        # Root reads everything: let the program run as nobody.
        os.chmod(run.folder, 0o755)
    watched = Watched(run, lambda w: w.put("sub/kept.txt"), start=False, bootstrap="all")
    if os.geteuid() == 0:
        subprocess.run(["chown", "-R", "65534:65534", str(run.folder)], check=True)
        binary = watched.program.binary
        watched.program.binary = str(run.folder / "as-nobody")
        pathlib.Path(watched.program.binary).write_text(f'#!/bin/sh\nexec setpriv --reuid=65534 --regid=65534 --clear-groups "{binary}" "$@"\n')
        os.chmod(watched.program.binary, 0o755)
    watched.program.start()
    expect(not watched.has(10, "sub/kept.txt"), "a first file is not told")
    for folder, name in (("sub", "sub/one.txt"), ("", "two.txt")):
        os.chmod(watched.root / folder, 0)
        time.sleep(5)
        os.chmod(watched.root / folder, 0o755)
        place = watched.put(name)
        os.chmod(place, 0o644)
        missing = watched.has(60, name)
        expect(not missing, f"{name} is not told: {watched.program.said('files')}")
    expect(not any("deleted" in path for path in watched.paths()), watched.paths())


@case("S-stopped", "B", "a file that is written while the program is stopped (SIGSTOP) for 6 s", "told, and no word of stale or recovered", slow=True)
def paused(run):
    watched = Watched(run)
    watched.settle()
    watched.program.process.send_signal(signal.SIGSTOP)
    watched.put("while.txt")
    time.sleep(6)
    watched.program.process.send_signal(signal.SIGCONT)
    missing = watched.has(10, "while.txt")
    expect(not missing, f"not told: {watched.program.said('files')}")
    types = {event["event_type"] for event in watched.program.events()}
    expect(not any("stale" in kind or "recovered" in kind for kind in types), types)
