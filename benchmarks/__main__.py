"""`make bench [ROWS=a,d,e]`: dermis against named peers and floors of the same run."""

import argparse
import importlib
import os
import sys
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from benchmarks.machine import about
from benchmarks.measure import Result, Row
from dermis.data.report.markdown import markdown_table

PAGE = Path(__file__).parents[1] / "docs/reference/benchmarks.md"
RUNS = {
    "a": ("images", "run"),
    "bcf": ("system", "run"),
    "d": ("services", "run_metadata"),
    "e": ("services", "run_serving"),
    "g": ("data", "run"),
    "h": ("data", "run_duplicates"),
    "i": ("data", "run_training"),
}
PACKAGES = (
    "numpy",
    "opencv-python-headless",
    "simplejpeg",
    "grpcio",
    "protobuf",
    "openvino",
    "celery",
    "redis",
    "fastapi",
    "uvicorn",
    "httpx",
)
NOT_MEASURED = "not measured"
COLUMNS = ("", "what", "dermis", "peer or floor", "ratio", "aim", "met", "n")
HEAD = """# Benchmarks

Each row is a ratio to a named peer or floor that ran in the same run, the sides in turn (A B A B ...). Times are
medians, with the quartiles in parentheses; a ratio is the median of the rounds' ratios where the rounds are pairs.
Images and answers are generated. An aim that is missed is shown as missed, with what bounds it.
"""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rows", default="a,b,c,d,e,f,g,h,i", help="rows to run; b, c and f come together")
    parser.add_argument("--write", action="store_true", help=f"write the page {PAGE.relative_to(PAGE.parents[2])}")
    options = parser.parse_args()
    letters_asked = set(options.rows.split(","))
    if stray := letters_asked - set("abcdefghi"):
        parser.error(f"no such rows: {', '.join(sorted(stray))}")
    load = os.getloadavg()
    results: list[Result] = []
    for letters, (module, name) in RUNS.items():
        if letters_asked & set(letters):
            print(f"running {', '.join(letters)} ...", file=sys.stderr, flush=True)
            results.append(measured(letters, partial(_run, module, name)))
    page = "\n".join((HEAD, about("benchmarks", load, packages=PACKAGES), _table(results), *_notes(results)))
    print(page)
    if options.write:
        PAGE.write_text(page.rstrip() + "\n")
    return int(any(row.ours.startswith(NOT_MEASURED) for result in results for row in result.rows))


def _run(module: str, name: str) -> Result:
    run: Callable[[], Result] = getattr(importlib.import_module(f"benchmarks.{module}"), name)
    return run()


def measured(letters: str, run: Callable[[], Result]) -> Result:
    """Return what `run` measures; where it fails, a row for each letter that says why: the others are written."""
    try:
        return run()
    except Exception as error:  # noqa: BLE001 - whatever it is, the row says so
        reason = f"{NOT_MEASURED}: {type(error).__name__}: {' '.join(str(error).split())}"
        print(reason, file=sys.stderr)
        return Result(rows=tuple(Row(bench=letter, what="", ours=reason) for letter in letters))


def _table(results: Iterable[Result]) -> str:
    rows = sorted((row for result in results for row in result.rows), key=lambda row: row.bench)
    return markdown_table(COLUMNS, map(_cells, rows)) + "\n"


def _cells(row: Row) -> tuple[str, ...]:
    met = {True: "yes", False: "**no**", None: ""}[row.met]
    return row.bench, row.what, row.ours, row.peer, row.ratio, row.aim, met, row.n


def _notes(results: Iterable[Result]) -> list[str]:
    return [f"{note}\n" for note in sorted(note for result in results for note in result.notes)]


if __name__ == "__main__":
    sys.exit(main())
