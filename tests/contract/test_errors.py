"""The page of errors names every code that the gateway may answer, and no other."""

import re

from tests.support.reasons import ROOT, field_codes, reasons

PAGE = (ROOT / "docs" / "reference" / "errors.md").read_text(encoding="utf-8")
FIELDS, REASONS = PAGE.partition("## Codes of a field")[2].split("## Reasons")


def test_every_reason_stands_there_with_its_statuses() -> None:
    rows = re.findall(r"^\| `([A-Z_]+)` \| ([0-9, ]+) \| .+ \|$", REASONS, re.MULTILINE)
    assert {reason: set(map(int, statuses.split(", "))) for reason, statuses in rows} == reasons()
    assert [reason for reason, _ in rows] == sorted(reasons())


def test_every_code_of_a_field_stands_there() -> None:
    assert set(re.findall(r"^\| `([A-Z_]+)` \| .+ \|$", FIELDS, re.MULTILINE)) == field_codes()
