"""Every hazard names a cause, a control and a test that is there."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINES = (ROOT / "docs" / "hazards.md").read_text(encoding="utf-8").splitlines()
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in LINES if line.startswith("| ")][1:]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_hazard_is_whole_and_its_test_tests(row: list[str]) -> None:
    hazard, cause, control, test = row
    assert all((hazard, cause, control))
    assert "def test_" in (ROOT / test).read_text(encoding="utf-8")
