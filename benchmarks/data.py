"""Rows on the tools for data sets: tables per second, images against CleanVision and bare decoding, near-duplicates.

They need the extra `data`, which is in the trainer's environment alone (`make .venv-trainer/.dev`). CleanVision is AGPL
and no dependency: it gets an environment that lives as long as the run, or `CLEANVISION_PYTHON` names an interpreter
that has it.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.measure import Result, Row

ROOT = Path(__file__).parents[1]
PYTHON = ROOT / ".venv-trainer/bin/python"
PEER = "CLEANVISION_PYTHON"
CLEANVISION = "cleanvision==0.3.7"


def run() -> Result:
    with _cleanvision() as peer:
        return _rows("data_rows", {PEER: peer} if peer else {})


def run_duplicates() -> Result:
    return _rows("duplicates", {})


def run_training() -> Result:
    return _rows("trainer", {})


def _rows(module: str, more: dict[str, str]) -> Result:
    command = [str(PYTHON), "-m", f"benchmarks.{module}"]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, env=os.environ | more)
    report = json.loads(done.stdout)
    return Result(rows=tuple(Row(**row) for row in report["rows"]), notes=tuple(report["notes"]))


@contextmanager
def _cleanvision() -> Iterator[str | None]:
    """Yield an interpreter that has CleanVision, None where it can't be installed."""
    if interpreter := os.environ.get(PEER):
        yield interpreter
        return
    with tempfile.TemporaryDirectory(prefix="dermis-cleanvision-") as folder:
        python = f"{folder}/bin/python"
        try:
            subprocess.run([sys.executable, "-m", "venv", folder], check=True)
            subprocess.run(
                [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", CLEANVISION],
                check=True,
                stdout=sys.stderr,
            )
        except subprocess.CalledProcessError:
            yield None
            return
        yield python
