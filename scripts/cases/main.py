"""Runs cases and prints a table: what was tried, what is right, and what the binary did (and the one before it)."""

import argparse
import concurrent.futures
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import threading
import time

from registry import CASES, NotRun, Run, Wrong
import report

for subject in sorted(pathlib.Path(__file__).parent.glob("case_*.py")):
    __import__(subject.stem)

JOBS = 8
active = set()  # the runs and child processes of this moment, for the end by Ctrl-C


def arguments():
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="scripts/cases.sh",
        description="Runs cases from public bug reports against the program. INBOXCLAW names the binary; by default the "
        "release build of this repository is made and used.",
        epilog="Exit 0 when every case is ok, 1 when one fails or could not be run.",
    )
    parser.add_argument("--before", metavar="BINARY", help="an older binary to run beside it, for its own column")
    parser.add_argument("--only", metavar="IDS", help="groups (A,B,C,D), cases (A1) or beginnings (F03*), by commas")
    parser.add_argument("--json", action="store_true", help="one JSON object a case instead of the table")
    parser.add_argument("--jobs", type=int, default=JOBS, metavar="N", help=f"cases at a time (default {JOBS})")
    parser.add_argument("--list", action="store_true", help="name the cases and end")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)  # one case, in its namespace
    return parser.parse_args()


def chosen(only, before):
    """The cases that --only names."""
    cases = [case for case in CASES.values() if before or not case.upgrade]
    if not only:
        return cases
    names = [name.strip() for name in only.split(",") if name.strip()]

    def fits(case, name):
        return name in (case.id, case.group) or (name.endswith("*") and case.id.startswith(name[:-1]))

    unknown = [name for name in names if not any(fits(case, name) for case in CASES.values())]
    if unknown:
        sys.exit(f"no case is named {', '.join(unknown)}; --list names them")
    return [case for case in cases if any(fits(case, name) for name in names)]


def attempt(case, binary, before, is_before=False, inside=False):
    """Runs a case once: ("ok" | "FAIL" | "not run", what came)."""
    if case.namespace and not inside:
        return in_namespace(case, binary, before)
    run = Run(binary, before, is_before)
    active.add(run)
    late = threading.Timer(case.limit, run.kill)
    late.start()
    begun = time.monotonic()
    try:
        case.run(run)
        return "ok", ""
    except Wrong as wrong:
        return "FAIL", str(wrong)
    except NotRun as missing:
        return "not run", str(missing)
    except Exception as error:  # whatever the program did to make the script fail is what came
        if time.monotonic() - begun >= case.limit:
            return "FAIL", f"not done after {case.limit} s"
        return "FAIL", f"{type(error).__name__}: {error}"
    finally:
        late.cancel()
        run.close()
        active.discard(run)


def in_namespace(case, binary, before):
    """Runs a case in a process of its own with a network and mounts of its own."""
    if not shutil.which("unshare"):
        return "not run", "no unshare"
    line = ["unshare", "--map-root-user", "--net", "--mount", sys.executable, __file__, "--inside", "--only", case.id]
    line += ["--before", before] if before else []
    child = subprocess.Popen(
        line, env=os.environ | {"INBOXCLAW": binary}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    active.add(child)
    try:
        out, err = child.communicate(timeout=case.limit + 20)
        status, came = json.loads(out)
        return status, came
    except subprocess.TimeoutExpired:
        child.terminate()
        return "FAIL", f"not done after {case.limit} s"
    except ValueError:
        return "not run", "no namespace: " + err.decode(errors="replace").strip()[-80:]
    finally:
        active.discard(child)


def end(*_):
    """Ends every process that a case started, and this one."""
    for thing in list(active):
        if isinstance(thing, Run):
            thing.kill()
            shutil.rmtree(thing.folder, ignore_errors=True)
        else:
            thing.terminate()
    os._exit(130)


def run_all(cases, options, binary):
    """Runs the cases, a few at a time; slow ones first. {id: {side: (status, came, seconds)}}."""
    sides = [("before", options.before, None)] if options.before else []
    sides.append(("after", binary, options.before))
    results = {case.id: {} for case in cases}

    def work(case, side, tried, older):
        begun = time.monotonic()
        status, came = attempt(case, tried, older, side == "before")
        results[case.id][side] = (status, came, time.monotonic() - begun)
        report.progress(results, cases, len(sides))

    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        ordered = sorted(cases, key=lambda case: not case.slow)
        # A case of an upgrade says nothing of the older binary alone.
        tasks = [(c, *side) for c in ordered for side in sides if not (c.upgrade and side[0] == "before")]
        for done in [pool.submit(work, *task) for task in tasks]:
            done.result()
    return results


def main():
    """Runs it; the exit code."""
    options = arguments()
    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    cases = chosen(options.only, options.before)
    if options.list:
        print("\n".join(f"{case.id:8} {case.group}  {case.tried}" for case in cases))
        return 0
    binary = os.path.abspath(os.environ["INBOXCLAW"])
    options.before = options.before and os.path.abspath(options.before)
    for path in filter(None, (binary, options.before)):
        if not os.access(path, os.X_OK):
            sys.exit(f"{path} is no program")
    if options.inside:
        print(json.dumps(attempt(cases[0], binary, options.before, inside=True)))
        return 0
    begun = time.monotonic()
    results = run_all(cases, options, binary)
    (report.lines if options.json else report.table)(cases, results, bool(options.before))
    good = sum(result["after"][0] == "ok" for result in results.values())
    print(f"{good} of {len(cases)} ok, {time.monotonic() - begun:.0f} s", file=sys.stderr)
    return 0 if good == len(cases) else 1


if __name__ == "__main__":
    sys.exit(main())
