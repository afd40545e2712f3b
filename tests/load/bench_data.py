"""Rows on the tools for data sets: tables per second, images against CleanVision and against bare decoding.

They need the extra `data`, which is in the trainer's environment alone; `CLEANVISION_PYTHON` names an interpreter that has CleanVision.
"""

import json
import subprocess
from pathlib import Path

from tests.load.bench_measure import Result, Row

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-trainer/bin/python"


def run() -> Result:
    command = [str(PYTHON), "-m", "tests.load.bench_data_rows"]
    found = json.loads(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)
    return Result(rows=tuple(Row(**row) for row in found["rows"]), notes=tuple(found["notes"]))
