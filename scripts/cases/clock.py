"""A clock for the program that a case can shift, by libfaketime (Debian: faketime)."""

import glob
import os
import pathlib


def library():
    """The library, or None where it is not installed."""
    for pattern in ("/usr/lib/*/faketime/libfaketimeMT.so.1", "/usr/lib/faketime/libfaketimeMT.so.1"):
        for path in glob.glob(pattern):
            return path
    return None


class Clock:
    """What the program takes for the time: now and an offset in seconds that can be changed while it runs."""

    def __init__(self, folder, offset=0):
        self.file = pathlib.Path(folder) / "clock"
        self.shift(offset)

    def shift(self, offset):
        """Sets the offset, at once for every process with this clock."""
        part = self.file.with_suffix(".part")
        part.write_text(f"{offset:+d}\n")
        os.replace(part, self.file)

    def environment(self):
        """The variables that a process needs for it. Monotonic time and the times of files stay true."""
        return {
            "LD_PRELOAD": library(),
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }


HOUR = 3600
DAY = 24 * HOUR
