#!/usr/bin/env python3
"""Measures the code: functions, files and comments outside tests, for the whole workspace and for each crate.

    scripts/measure.py              a table for each crate and one line for all
    scripts/measure.py --json       the same for machines
    scripts/measure.py --longest 10 also the longest functions and files

A function counts from its `fn` line to its closing brace. Tests are files under `tests/`, modules `tests.rs` and what
stands behind `#[cfg(test)] mod`. Code lines are lines with anything besides blanks and comments.
"""

import argparse
import json
import pathlib
import re
import statistics
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
FUNCTION = re.compile(r"^\s*(?:pub(?:\([^)]*\))?\s+)?(?:const\s+|async\s+|unsafe\s+|extern\s+\"[^\"]*\"\s+)*fn\s+(\w+)")
STRIP = re.compile(
    r"""//[^\n]*|/\*.*?\*/|b?r(\#*)".*?"\1|b?"(?:\\.|[^"\\])*"|b?'(?:\\(?:x..|u\{[^}]*\}|.)|[^\\'\n])'""", re.S
)


def blank(match: re.Match) -> str:
    """The matched text with everything but its line ends taken out."""
    return "\n" * match.group(0).count("\n")


def without_test_module(text: str) -> str:
    """The text before an inline test module, which closes a file by custom."""
    at = re.search(r"^#\[cfg\(test\)\]\s*\nmod \w+ \{", text, re.M)
    return text[: at.start()] if at else text


def functions(text: str):
    """Name and length in lines of each function."""
    lines = STRIP.sub(blank, text).split("\n")
    for start, line in enumerate(lines):
        found = FUNCTION.match(line)
        if not found:
            continue
        depth, opened = 0, False
        for end in range(start, len(lines)):
            for char in lines[end]:
                if char == "{":
                    depth, opened = depth + 1, True
                elif char == "}":
                    depth -= 1
                elif char == ";" and not opened and depth == 0:
                    break
            else:
                if opened and depth == 0:
                    yield found.group(1), end - start + 1
                    break
                continue
            break


def measure(paths):
    """The figures of some files, and their functions and lengths."""
    code = docs = plain = headers = 0
    lengths, found = [], []
    for path in paths:
        text = without_test_module(path.read_text())
        lines = [line.strip() for line in text.split("\n")]
        docs += sum(line.startswith(("///", "//!")) for line in lines)
        plain += sum(line.startswith("//") and not line.startswith(("///", "//!")) for line in lines)
        code += sum(bool(line) and not line.startswith("//") for line in lines)
        headers += text.startswith("//!")
        shown = path.relative_to(ROOT)
        lengths.append((len(lines), str(shown)))
        found += [(length, f"{shown}:{name}") for name, length in functions(text)]
    spans = sorted(length for length, _ in found) or [0]
    files = sorted(length for length, _ in lengths) or [0]
    figures = {
        "files": len(lengths),
        "code": code,
        "fn_median": statistics.median_low(spans),
        "fn_p90": spans[int(len(spans) * 0.9)] if len(spans) > 1 else spans[0],
        "fn_longest": spans[-1],
        "file_median": statistics.median_low(files),
        "file_longest": files[-1],
        "docs_per_100": round(100 * docs / max(code, 1), 1),
        "plain_per_100": round(100 * plain / max(code, 1), 1),
        "headers": headers,
    }
    return figures, sorted(found, reverse=True), sorted(lengths, reverse=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--longest", type=int, default=0, metavar="N", help="also the N longest functions and files")
    options = parser.parse_args()
    crates = {}
    for crate in sorted((ROOT / "crates").iterdir()):
        paths = [path for path in sorted((crate / "src").rglob("*.rs")) if path.name != "tests.rs"]
        crates[crate.name] = [path for path in paths if "tests" not in path.relative_to(crate).parts]
    table = {name: measure(paths)[0] for name, paths in crates.items()}
    total, found, lengths = measure([path for paths in crates.values() for path in paths])
    table["all"] = total
    if options.json:
        print(json.dumps(table, indent=2))
        return 0
    columns = list(total)
    print("crate".ljust(18), *(column.rjust(max(len(column), 6)) for column in columns))
    for name, figures in table.items():
        print(name.ljust(18), *(str(figures[column]).rjust(max(len(column), 6)) for column in columns))
    for title, rows in (("longest functions", found), ("longest files", lengths)):
        if options.longest:
            print(f"\n{title}")
            for length, what in rows[: options.longest]:
                print(f"{length:6} {what}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
