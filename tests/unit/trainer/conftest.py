"""Tests that need the trainer's environment are collected only there: their `pytestmark` names it."""

from importlib.util import find_spec
from pathlib import Path

collect_ignore = []
if not find_spec("tensorflow") or not find_spec("pandas"):
    for file in sorted(Path(__file__).parent.rglob("test_*.py")):
        marks = file.read_text(encoding="utf-8").partition("\npytestmark = ")[2]
        if "pytest.mark.trainer" in marks.partition("\n\n")[0]:
            collect_ignore.append(str(file))
