"""A folder that the program watches, for cases about files."""

import itertools
import json
import os
import pathlib

from program import wait_for

PREVIEWS = {"include_content_preview": True, "content_preview_length": 2000, "bootstrap": "all"}


class Watched:
    """A program with the source `files` over the folder `root`. `before` fills the folder before the start."""

    def __init__(self, run, before=None, root=None, start=True, name="program", config=None, program=None, **settings):
        self.root = pathlib.Path(root or run.folder / "watched")
        if not os.path.lexists(self.root):
            self.root.mkdir()
        if before:
            before(self)
        source = {"type": "filesystem", "path": str(self.root), "poll_interval": "2s"} | settings
        self.program = run.prepared({"sources": {"files": source}} | (config or {}), name=name, **(program or {}))
        self.numbers = itertools.count()
        if start:
            self.program.start()
            # Watching begins with the first look at everything.
            wait_for(lambda: self.program.source("files")["status"] not in ("starting", "unknown"), 20)

    def put(self, path, text="x"):
        """Writes a file."""
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(text if isinstance(text, bytes) else text.encode())
        return place

    def link(self, target, path):
        """Makes a symbolic link."""
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        os.symlink(target, place)

    def paths(self):
        """type and path of every event so far, such as `created a/b`."""
        return [f"{event['event_type'].removeprefix('fs.file_')} {event['data'].get('path')}" for event in self.program.events()]

    def settle(self, seconds=20):
        """Writes a file and waits until its event came, so that all that was there before is told; the paths."""
        name = f"settle-{next(self.numbers)}.txt"
        self.put(name)
        wait_for(lambda: any(name in path for path in self.paths()), seconds)
        return [path for path in self.paths() if "settle-" not in path]

    def has(self, seconds, *wanted):
        """Waits until events of these paths came; those that did not."""
        missing = lambda: [name for name in wanted if not any(path.endswith(f" {name}") for path in self.paths())]
        wait_for(lambda: not missing(), seconds)
        return missing()


def traces(program, *words):
    """Where a text occurs: in events, states, the log, or the files of the database."""
    found = []
    places = {"events": lambda: json.dumps(program.events()).encode()}
    for source in program.config.get("sources", {}):
        places[f"state of {source}"] = lambda source=source: program.request(
            "GET", f"/api/sources/{source}/state?limit=1000"
        ).body
    places["the log"] = lambda: program.log().encode()
    for file in sorted(program.folder.glob("data.db*")):
        places[file.name] = file.read_bytes
    for place, read in places.items():
        text = read()
        if any(word.encode() in text for word in words):
            found.append(place)
    return found
