"""Runs a command of the program on a terminal of its own, as a person would, and gives the bytes that it shows."""

import os
import pty
import select
import subprocess
import time


def on_terminal(program, *args, seconds=10, until=None, config=True):
    """The bytes that the terminal got. Ends the command when they hold `until`, or after so many seconds."""
    ours, theirs = pty.openpty()
    line = [program.binary, *args] + (["--config", str(program.file)] if config else [])
    child = subprocess.Popen(
        line, stdin=theirs, stdout=theirs, stderr=theirs, cwd=program.folder, env=program.environment(), start_new_session=True
    )
    os.close(theirs)
    shown, end = b"", time.monotonic() + seconds
    try:
        while time.monotonic() < end and not (until and until in shown):
            if select.select([ours], [], [], 0.1)[0]:
                part = os.read(ours, 65536)
                if not part:
                    break
                shown += part
            elif child.poll() is not None:
                break
    except OSError:  # the other end was closed
        pass
    finally:
        child.kill()
        child.wait()
        os.close(ours)
    return shown
