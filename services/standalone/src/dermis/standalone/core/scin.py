"""A row of SCIN's scin_cases.csv as a self-report (scin dataset_schema.md, release 1.0.0)."""

import re
from collections.abc import Mapping

from dermis.shared.vocabulary import ScinAnswers
from dermis.standalone.core.answers import choices, takes_several, unknown

NOT_ASKED = frozenset({"monk_skin_tone"})
_SPELLINGS = {"fitzpatrick_skin_type": {"NONE_SELECTED": "NONE_IDENTIFIED"}}  # as documented -> as the data say
_ID = re.compile(r"-?[0-9]{1,19}")
_ROUNDED = re.compile(r"[+-]?[0-9]+([.,][0-9]+)?E[+-]?[0-9]+", re.IGNORECASE)


def columns() -> dict[str, tuple[str, str | None]]:
    """Map each column that holds an answer to its field and, for a box to tick, the value that it stands for."""
    column_of: dict[str, tuple[str, str | None]] = {}
    for field in ScinAnswers.model_fields:
        if field in NOT_ASKED:
            continue
        if takes_several(field):
            column_of |= {f"{field}_{value.lower()}": (field, value) for value in choices(field)}
        else:
            column_of[field] = (field, None)
    return column_of


def case_id_fault(text: str) -> str | None:
    """Say what is wrong with a case_id, a signed 64-bit integer as text; None if nothing is."""
    if _ROUNDED.fullmatch(text):
        return (
            f"{text!r} is a number that a spreadsheet (Excel) has rounded: its last digits are lost and can't be "
            "brought back; take the original table, and import case_id as text"
        )
    if not _ID.fullmatch(text) or not -(2**63) <= int(text) < 2**63:
        return f"{text!r} is no case_id; give a whole number of 64 bits, as text"
    return None


def answers_of(row: Mapping[str, str]) -> tuple[dict[str, str | list[str]], list[str]]:
    """Return the answers that a row gives and what is wrong with it, by column.

    An empty cell is an answer not given.
    """
    answers: dict[str, str | list[str]] = {}
    faults = []
    for column, (field, box) in columns().items():
        if column not in row:
            faults.append(f"column {column!r} is missing; take the whole table")
        elif not (value := (row[column] or "").strip()):
            continue
        elif box is None:
            value = _SPELLINGS.get(field, {}).get(value, value)
            if value in choices(field):
                answers[field] = value
            else:
                faults.append(f"column {column!r}: " + unknown(value, choices(field)))
        elif value == "YES":
            ticked = answers.setdefault(field, [])
            assert isinstance(ticked, list)  # noqa: S101
            ticked.append(box)
        else:
            faults.append(f"column {column!r}: " + f"{value!r} is no known value; use YES, or leave it empty")
    return answers, faults
