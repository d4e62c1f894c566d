"""D: pages of docs/ that must say what the program does. They lie beside the binary that a build of the repository made."""

import pathlib
import re

from program import wait_for
from registry import NotRun, case, expect


def page(run, name):
    """The text of a page of the repository that the binary was built in, on one line."""
    for folder in (run.binary, __file__):
        for parent in pathlib.Path(folder).resolve().parents:
            if (parent / "docs" / name).exists() and (parent / "Cargo.toml").exists():
                return " ".join((parent / "docs" / name).read_text().split())
        if run.is_before:
            raise NotRun("the older binary lies in no repository")
    raise NotRun(f"docs/{name} is nowhere")


def row(text, *words):
    """Whether a page has these words near each other, in this order."""
    return re.search(".{0,300}?".join(words), text, re.IGNORECASE)


@case("D-doc-openapi", "D", "differences.md on /openapi.json", "not 404: the program serves it")
def openapi_page(run):
    text = page(run, "differences.md")
    status = run.program().request("GET", "/openapi.json").status
    says_404 = re.search(r"\|[^|]*/openapi\.json[^|]*\|[^|]*\|\s*404", text)
    expect(status != 200 or not says_404, f"it says 404, the program answers {status}")


@case("D-doc-body", "D", "differences.md on the limit of bodies", "16 MiB for values of states is named")
def body_page(run):
    expect(row(page(run, "differences.md"), "body", "16 MiB"), "only 1 MiB is named")


@case("D-doc-lines", "D", "differences.md: 'prints the same lines'", "not said, since healthcheck, status, pull --json differ")
def lines_page(run):
    expect("prints the same lines" not in page(run, "differences.md"), "it says so")


@case("D-doc-state", "D", "docs/state.md on delete --older-than and undo", "what undo does")
def state_page(run):
    text = page(run, "state.md")
    expect(not row(text, "older-than", "cannot be undone"), "it says that it cannot be undone")


MISSING = {
    "which revision it compares with": ("newest|revision|commit",),
    "memory is not taken over, the first start is a silent baseline": ("taken over|not read|baseline", "baseline|taken over"),
    "retention keeps what is owed": ("retention", "owe"),
    "relative paths start at the configuration's folder": ("relative",),
    "LIKE patterns matched without case": ("case",),
    "bootstrap: all": ("bootstrap",),
    "atomic replace, and rename out of an ignored name": ("replace|ignored",),
    "mime_type from a table of its own": ("mime_type|MIME",),
    "a position of folder that lasts": ("`folder`|folder sink",),
    "message is null when healthy, a mock is healthy at once": ("mock",),
    "Origin: null": ("origin: null|`null`",),
    "keys without effect": ("without effect|no effect|no meaning",),
    "no time to live by default": ("ttl",),
    "the pull sink's start: a new sink begins at the head": ("new sink|start: now|begins at",),
}


@case("D-doc-rows", "D", "differences.md: rows that were missing (revision, memory, retention, relative paths, LIKE, bootstrap, Origin …)", "each is there")
def rows(run):
    text = page(run, "differences.md")
    lacking = [name for name, words in MISSING.items() if not row(text, *words)]
    expect(not lacking, f"{len(lacking)} are missing: {'; '.join(lacking)}")


@case("D-doc-folder", "D", "a folder that is missing at the start, then made; what the reference says", "found within a minute, and the page says so", slow=True)
def missing_folder(run):
    folder = run.folder / "late"
    program = run.program({"sources": {"files": {"type": "filesystem", "path": str(folder), "bootstrap": "all"}}})
    wait_for(lambda: program.source("files")["checked_at"], 10)
    folder.mkdir()
    (folder / "a.txt").write_text("a")
    expect(wait_for(lambda: program.total() >= 1, 75, 0.5), f"not found after 75 s: {program.said('files')}")
    text = " ".join(program.command("schema", config=False).out.split())
    expect("every 15 minutes" not in text, "the reference says: every 15 minutes")
