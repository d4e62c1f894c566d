"""The list of cases and what one needs while it runs: a folder, programs, servers, all of them ended with the case."""

import contextlib
import dataclasses
import os
import pathlib
import shutil
import tempfile
import typing

from program import Program
from web import Web


class Wrong(Exception):
    """The program did something else than what is right; the text says what came."""


class NotRun(Exception):
    """The case could not be tried here; the text says what is missing."""


@dataclasses.dataclass
class Case:
    """One case. `group` is A (data and privacy), B (feeds and folders), C (Google) or D (HTTP, commands, documents)."""

    id: str
    group: str
    tried: str
    right: str
    run: typing.Callable
    namespace: bool = False  # in a network and mount namespace of its own
    upgrade: bool = False  # needs the other binary as well
    slow: bool = False  # begun first
    limit: int = 150  # seconds


CASES: dict[str, Case] = {}


def case(ident, group, tried, right, **more):
    """Adds the function below to the list of cases."""

    def add(function):
        if ident in CASES:
            raise ValueError(f"two cases are named {ident}")
        CASES[ident] = Case(ident, group, tried, right, function, **more)
        return function

    return add


class Run:
    """What a case gets: `binary` is the one to try, `before` the older one to upgrade from (or None)."""

    def __init__(self, binary, before=None, is_before=False):
        self.binary = binary
        self.before = before
        self.is_before = is_before
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="inboxclaw-case-"))
        self._open = contextlib.ExitStack()
        self.programs = []
        self.inner = []

    def program(self, config=None, **more):
        """A program in a folder of its own, started."""
        program = self.prepared(config, **more)
        program.start()
        return program

    def prepared(self, config=None, name="program", binary=None, **more):
        """The same, not started yet."""
        folder = self.folder / name
        program = Program(binary or self.binary, folder, config or {}, **more)
        self.programs.append(program)
        self._open.callback(program.end)
        return program

    def nested(self):
        """A run within this one, for a second program and its servers."""
        inner = Run(self.binary, self.before, self.is_before)
        self.inner.append(inner)
        self._open.callback(inner.close)
        return inner

    def web(self, **more):
        """A web server of ours on loopback."""
        web = Web(**more)
        self._open.callback(web.close)
        return web

    def defer(self, function, *args):
        """Calls `function` when the case ends."""
        self._open.callback(function, *args)

    def kill(self):
        """Ends every process of the case at once, so that a case that hangs comes to an end."""
        for program in self.programs:
            program.kill()
        for inner in self.inner:
            inner.kill()

    def close(self):
        """Ends what is still running and removes the folder."""
        try:
            self._open.close()
        finally:
            # Folders that a case made unreadable.
            for path, folders, _ in os.walk(self.folder):
                for name in folders:
                    with contextlib.suppress(OSError):
                        entry = os.path.join(path, name)
                        if not os.path.islink(entry):
                            os.chmod(entry, 0o700)
            shutil.rmtree(self.folder, ignore_errors=True)
            subprocess_rm(self.folder)


def subprocess_rm(folder):
    """Removes what Python cannot: paths longer than the system's limit."""
    if folder.exists():
        os.spawnlp(os.P_WAIT, "rm", "rm", "-rf", str(folder))


def expect(holds, came):
    """Fails the case with what came, unless it holds."""
    if not holds:
        raise Wrong(str(came))
