"""A mapping file: how a table of another data set becomes SCIN's words."""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, field_validator

from dermis.shared.errors import DermisError, Kind
from dermis.trainer.data.core.attributes import REPORTED, WHO, Answers, Attribute
from dermis.trainer.data.core.policy import Frozen, Labels
from dermis.trainer.data.core.tables import SHOWN_FAULTS, Fault, ScinTables

CONDITION = "condition"
COMPARED: dict[str, Attribute] = {
    **WHO,
    CONDITION: Attribute(title="Top condition", read=lambda _: ()),
    **REPORTED,
}
"""What two data sets can be compared by, in the order shown."""


class MappedColumn(Frozen):
    """A column and what its cells mean: named in `values`, a whole number in one of `ranges` (both ends in), or `absent`.

    With neither values nor ranges a cell is taken as it stands.
    """

    column: str
    values: dict[str, str] = Field(default_factory=dict)
    ranges: dict[str, tuple[int, int]] = Field(default_factory=dict)
    absent: tuple[str, ...] = ("",)
    note: str = ""

    def read(self, cell: str) -> str | None:
        """Return the value in SCIN's words, None if absent; ValueError with the remedy for a cell that is not foreseen."""
        if cell in self.absent:
            return None
        if cell in self.values:
            return self.values[cell]
        if self.ranges and cell.isdecimal():
            for name, (first, last) in self.ranges.items():
                if first <= int(cell) <= last:
                    return name
        if self.values or self.ranges:
            raise ValueError("is not foreseen by the mapping: add it to values, ranges or absent")
        return cell


class DataMapping(Frozen):
    """A data set in one CSV table. `image` names the column with the image's key under `images`, `unit` that of the person or case."""

    format: Literal["dermis.data-mapping/1"] = "dermis.data-mapping/1"
    name: str
    licence: str
    table: str = "manifest.csv"
    image: str
    images: str = ""
    unit: str
    attributes: Annotated[dict[str, MappedColumn], Field(min_length=1)]

    @field_validator("attributes")
    @classmethod
    def _known(cls, attributes: dict[str, MappedColumn]) -> dict[str, MappedColumn]:
        unknown = sorted(set(attributes) - set(COMPARED))
        if unknown:
            raise ValueError(f"{unknown[0]!r} is no attribute; use one of {', '.join(COMPARED)}")
        return attributes


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSide:
    """One of two data sets that are compared: by attribute the answers per unit."""

    name: str
    units: int
    answers: Mapping[str, Answers]
    notes: Mapping[str, str]


def read_mapped(mapping: DataMapping, data: bytes) -> DataSide:
    """Read a data set's table; a unit has of each attribute the first value given; INVALID with row, column, value and remedy."""
    try:
        reader = csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True)
        rows = list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        raise DermisError(Kind.INVALID, "DATA_TABLE", f"{mapping.table} is no CSV in UTF-8 ({error}): export it again") from error
    wanted = {mapping.image, mapping.unit, *(column.column for column in mapping.attributes.values())}
    missing = sorted(wanted - set(reader.fieldnames or ()))
    if missing:
        raise DermisError(Kind.INVALID, "DATA_TABLE", f"{mapping.table} has no column {missing[0]!r}: name another one in the mapping")
    faults: list[Fault] = []
    units: dict[str, dict[str, tuple[str, ...]]] = {}
    for number, row in enumerate(rows, start=2):
        unit = units.setdefault(row[mapping.unit], {})
        for name, column in mapping.attributes.items():
            try:
                value = column.read(row[column.column])
            except ValueError as error:
                cell = row[column.column]
                faults.append(Fault(file=mapping.table, row=number, column=column.column, value=cell, remedy=str(error)))
                continue
            if value is not None:
                unit.setdefault(name, (value,))
    if faults:
        raise DermisError(Kind.INVALID, "DATA_TABLE", "\n".join(map(str, faults[:SHOWN_FAULTS])))
    return DataSide(
        name=mapping.name,
        units=len(units),
        answers={name: [unit.get(name) for unit in units.values()] for name in mapping.attributes},
        notes={name: column.note for name, column in mapping.attributes.items() if column.note},
    )


def scin_side(tables: ScinTables, labels: Labels, name: str = "SCIN") -> DataSide:
    """Return SCIN as one side: every attribute, a case being the unit."""
    answers = {attribute: COMPARED[attribute].read(tables.cases) for attribute in (*WHO, *REPORTED)}
    answers[CONDITION] = [(top,) if has else None for top, has in zip(labels.frame["top"], labels.has_label, strict=True)]
    return DataSide(name=name, units=len(tables.cases), answers=answers, notes={"fitzpatrick_estimated": "by the first dermatologist."})
