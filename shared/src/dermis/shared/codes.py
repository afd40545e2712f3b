"""Codes of conditions in the classifications that hospitals' systems use, from one table of our own."""

import csv
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from importlib.resources import files

from pydantic import BaseModel, ConfigDict

ICD_11 = "http://id.who.int/icd/release/11/mms"
ICD_10 = "http://hl7.org/fhir/sid/icd-10"


class Code(BaseModel):
    """A code of a condition; `system` is the classification's address in FHIR."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    system: str
    code: str
    display: str = ""


class CodeStatus(StrEnum):
    """CONFIRMED: a list of the classification has the code with this meaning; UNCONFIRMED codes are never sent."""

    CONFIRMED = "CONFIRMED"
    UNCONFIRMED = "UNCONFIRMED"
    NO_CODE = "NO_CODE"


class CodeRow(BaseModel):
    """A row of `codes.csv`: one SCIN label and one system. `source`: where the code is from; `reviewed`: by whom."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    label: str
    system: str
    code: str
    display: str
    status: CodeStatus
    source: str
    reviewed: str


@cache
def code_rows() -> tuple[CodeRow, ...]:
    """Return the table, in its order."""
    text = files("dermis.shared").joinpath("codes.csv").read_text(encoding="utf-8")
    return tuple(CodeRow.model_validate(row) for row in csv.DictReader(text.splitlines()))


@cache
def _confirmed() -> Mapping[str, tuple[Code, ...]]:
    codes: dict[str, tuple[Code, ...]] = {}
    for row in code_rows():
        if row.status is CodeStatus.CONFIRMED:
            code = Code(system=row.system, code=row.code, display=row.display)
            codes[row.label.casefold()] = (*codes.get(row.label.casefold(), ()), code)
    return codes


def codes_of(label: str) -> tuple[Code, ...]:
    """Return the confirmed codes of a condition by its name, ICD-11 first; none where no list confirmed one.

    Names that differ in the case of their letters only are one condition, as in SCIN's labels.
    """
    return _confirmed().get(label.casefold(), ())


@cache
def labels() -> tuple[str, ...]:
    """Return the names of all conditions of the table, each once, in its order."""
    return tuple(dict.fromkeys(row.label for row in code_rows()))
