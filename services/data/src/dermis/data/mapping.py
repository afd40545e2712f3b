"""Reads a mapping file, which says how a table of another data set becomes SCIN's words."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Literal

from pydantic import Field, field_validator

from dermis.data import shipped
from dermis.data.data_source import read_data_source, scin_source
from dermis.data.scin.attributes import REPORTED, WHO, Answers, Attribute, monk_bins
from dermis.data.scin.columns import CASES_FILE, MONK
from dermis.data.scin.label_policy import Labels, PolicyModel
from dermis.data.scin.source import Scin, open_scin
from dermis.data.scin.tables import SHOWN_FAULTS, Fault, ScinTables
from dermis.metadata.core.encode import VOCABULARY
from dermis.shared.errors import DermisError, Kind
from dermis.shared.ports import BlobNotFound, BlobStore
from dermis.shared.stores import open_store
from dermis.shared.tables import TableError, check_ids, read_table

CONDITION = "condition"
COMPARED: dict[str, Attribute] = {
    **WHO,
    CONDITION: Attribute(title="Top condition", read=lambda _: ()),
    **REPORTED,
}
"""What two data sets can be compared by, in the order shown."""
MONK_BIN = "monk_bin"
_POOLS = ("monk_us", "monk_india")
_TONES = frozenset(map(str, MONK))
Per = Literal["unit", "case"]
ANSWERED = {"age_group": "age_group", "sex_at_birth": "sex_at_birth", "fitzpatrick_self": "fitzpatrick_skin_type"}
"""Attributes that are answers of a self-report, where its vocabulary has the value."""


class MappedColumn(PolicyModel):
    """A column and what its cells mean.

    It is named in `values`, a whole number in one of `ranges` (both ends in), or `absent`.

    With neither values nor ranges a cell is taken as it stands.
    """

    column: str
    values: dict[str, str] = Field(default_factory=dict)
    ranges: dict[str, tuple[int, int]] = Field(default_factory=dict)
    absent: tuple[str, ...] = ("",)
    note: str = ""

    def read(self, cell: str) -> str | None:
        """Return the value in SCIN's words, None if absent.

        ValueError with the remedy for a cell that is not foreseen.
        """
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


class DataMapping(PolicyModel):
    """A data set in one CSV table.

    `image` names the column with the image's key under `images`, `unit` that of the person, whose rows stay together in
    a split, `case` that of the case: its rows are one concern with several images; without it every row is a case.
    `attributes`: what cases are counted by. `answers`: answer of a self-report -> the columns that tell it, only where
    the question means what SCIN's does; what no column tells is absent. The attributes of `ANSWERED` are answers too.
    `slices`: more that evaluations are cut by, such as how copies were stored; a table may lack these columns.
    """

    format: Literal["dermis.data-mapping/1"] = "dermis.data-mapping/1"
    name: str
    licence: str
    table: str = "manifest.csv"
    image: str
    images: str = ""
    unit: str
    case: str | None = None
    attributes: Annotated[dict[str, MappedColumn], Field(min_length=1)]
    answers: dict[str, tuple[MappedColumn, ...]] = Field(default_factory=dict)
    slices: dict[str, MappedColumn] = Field(default_factory=dict)

    @field_validator("attributes")
    @classmethod
    def _attributes_exist(cls, attributes: dict[str, MappedColumn]) -> dict[str, MappedColumn]:
        unknown = sorted(set(attributes) - set(COMPARED))
        if unknown:
            raise ValueError(f"{unknown[0]!r} is no attribute; use one of {', '.join(COMPARED)}")
        return attributes

    @field_validator("answers")
    @classmethod
    def _in_the_vocabulary(cls, answers: dict[str, tuple[MappedColumn, ...]]) -> dict[str, tuple[MappedColumn, ...]]:
        for name, columns in answers.items():
            values = VOCABULARY.get(name)
            if values is None:
                raise ValueError(f"{name!r} is no answer of a self-report; use one of {', '.join(VOCABULARY)}")
            for column in columns:
                unknown = sorted({*column.values.values(), *column.ranges} - values)
                if unknown or not (column.values or column.ranges):
                    what = f"{unknown[0]!r} is no {name}" if unknown else "it says nothing of its cells"
                    raise ValueError(
                        f"{name}, column {column.column!r}: {what}; use one of {', '.join(sorted(values))}"
                    )
        return answers

    def columns(self) -> set[str]:
        """Return the names of all columns that the table has to have."""
        mapped = (*self.attributes.values(), *(column for columns in self.answers.values() for column in columns))
        return {self.image, self.unit, *([self.case] if self.case else []), *(column.column for column in mapped)}


@dataclass(frozen=True, slots=True, kw_only=True)
class MappedRow:
    """One row, an image: `case` is unique in the table.

    `attributes` and `answers` hold what is told, in SCIN's words.
    """

    image: str
    unit: str
    case: str
    attributes: Mapping[str, str]
    answers: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSide:
    """A data set in SCIN's words.

    Per unit, which is a case or a person, its name, its images' keys, and by attribute the answers.

    `tables`: file -> SHA-256. `scin`: all that SCIN's tables say, None for a mapped table.
    """

    name: str
    units: Sequence[str]
    images: Sequence[Sequence[str]]
    answers: Mapping[str, Answers]
    notes: Mapping[str, str]
    tables: Mapping[str, str] = field(default_factory=dict)
    scin: Scin | None = None

    def read(self, attribute: str) -> Answers | None:
        """Return each unit's answer, to `monk_bin` too (MST_NONE without a tone).

        None if the data set does not tell it.
        """
        if attribute != MONK_BIN:
            return self.answers.get(attribute)
        nobody: Answers = [None] * len(self.units)
        us, india = (self.answers.get(pool, nobody) for pool in _POOLS)
        return [(tone,) for tone in monk_bins(us, india)] if any(pool in self.answers for pool in _POOLS) else None


def read_rows(mapping: DataMapping, data: bytes) -> list[MappedRow]:
    """Read a data set's table; INVALID with row, column, value and remedy."""
    try:
        table = read_table(data)
        missing = sorted(mapping.columns() - set(table.header))
        if missing:
            raise DermisError(
                Kind.INVALID,
                "DATA_TABLE",
                f"{mapping.table} has no column {missing[0]!r}: name another one in the mapping",
            )
        rows = [(row.line, dict(zip(table.header, row.cells, strict=True))) for row in table.rows]
        for column in sorted({mapping.image, mapping.unit, *([mapping.case] if mapping.case else [])}):
            check_ids(column, [row[column] for _, row in rows], [line for line, _ in rows])
    except TableError as error:
        raise DermisError(Kind.INVALID, "DATA_TABLE", f"{mapping.table}: {error}") from None
    faults: list[Fault] = []
    pools = [mapping.attributes[pool] for pool in _POOLS if pool in mapping.attributes]

    def read(number: int, row: Mapping[str, str], column: MappedColumn) -> str | None:
        try:
            value = column.read(row[column.column])
            if value is not None and column in pools and value not in _TONES:
                raise ValueError("is no Monk skin tone: name one from 1 to 10 for it in the mapping's values")
            return value
        except ValueError as error:
            faults.append(
                Fault(file=mapping.table, row=number, column=column.column, value=row[column.column], remedy=str(error))
            )
            return None

    mapped = []
    for number, row in rows:
        present = {name: column for name, column in mapping.slices.items() if column.column in row}
        attributes = {name: read(number, row, column) for name, column in (mapping.attributes | present).items()}
        answers = {name: [read(number, row, column) for column in columns] for name, columns in mapping.answers.items()}
        mapped.append(
            MappedRow(
                image=f"{mapping.images}/{row[mapping.image]}" if mapping.images else row[mapping.image],
                unit=row[mapping.unit],
                case=f"{row[mapping.unit]} {row[mapping.case]}" if mapping.case else row[mapping.image],
                attributes={name: value for name, value in attributes.items() if value is not None},
                answers={
                    name: tuple(dict.fromkeys(v for v in values if v))
                    for name, values in answers.items()
                    if any(values)
                },
            )
        )
    if faults:
        raise DermisError(Kind.INVALID, "DATA_TABLE", "\n".join(map(str, faults[:SHOWN_FAULTS])))
    return mapped


def read_mapped(mapping: DataMapping, data: bytes, *, per: Per = "unit") -> DataSide:
    """Read a data set's table by person or by case, which has of each attribute the first value given."""
    units: dict[str, dict[str, tuple[str, ...]]] = {}
    images: dict[str, list[str]] = {}
    for row in read_rows(mapping, data):
        name = row.unit if per == "unit" else row.case
        unit = units.setdefault(name, {})
        images.setdefault(name, []).append(row.image)
        for attribute, value in row.attributes.items():
            unit.setdefault(attribute, (value,))
    return DataSide(
        name=mapping.name,
        units=list(units),
        images=list(images.values()),
        answers={name: [unit.get(name) for unit in units.values()] for name in mapping.attributes},
        notes={name: column.note for name, column in mapping.attributes.items() if column.note},
        tables={mapping.table: hashlib.sha256(data).hexdigest()},
    )


def scin_side(tables: ScinTables, labels: Labels | None = None, name: str = "SCIN") -> DataSide:
    """Return SCIN as one side: every attribute, a case being the unit.

    The condition is the label policy's; without one that which dermatologists weighted most, of equals the first by
    name.
    """
    answers = {attribute: COMPARED[attribute].read(tables.cases) for attribute in (*WHO, *REPORTED)}
    if labels is None:
        answers[CONDITION] = [
            (max(sorted(weights), key=weights.__getitem__),) if weights else None for weights in tables.cases["weights"]
        ]
    else:
        answers[CONDITION] = [
            (top,) if has else None for top, has in zip(labels.frame["top"], labels.has_label, strict=True)
        ]
    return DataSide(
        name=name,
        units=list(tables.cases["case_id"]),
        images=[[key for key, _ in images] for images in tables.cases["images"]],
        answers=answers,
        notes={"fitzpatrick_estimated": "by the first dermatologist."},
        tables=tables.digests,
    )


def open_side(url: str, mapping: str | None, policy: str | None = None, *, per: Per = "unit") -> DataSide:
    """Open the tables at a store URL by the mapping, by a shipped one that fits, or as SCIN.

    SCIN's condition is what `policy` labels.
    """
    if url.startswith("generated:"):
        detail = (
            f"{url} is drawn as it is read and has no table: write it to a folder by `dermis data generate`, and "
            "name that"
        )
        raise DermisError(Kind.INVALID, "DATA_TABLE", detail)
    store = open_store(url)
    if (rules := choose_mapping(store, mapping)) is not None:
        read = read_mapped(rules, read_mapped_table(rules, store, url), per=per)
        source = read_data_source(store, read.tables)
        return replace(read, name=source.name) if source else read
    scin = open_scin(url)
    labels = None if policy is None else scin.labels(policy)
    return replace(scin_side(scin.tables, labels, name=scin_source(store, scin.tables).name), scin=scin)


def side(tables: str | None, mapping: str | None, policy: str) -> DataSide | None:
    """Return the data set whose tables stand at a store URL, None if none is named."""
    if tables is None and mapping is not None:
        raise DermisError(
            Kind.INVALID, "DATA_TABLE", f"mapping {mapping!r} maps no table: name the store that holds it with --data"
        )
    return None if tables is None else open_side(tables, mapping, policy)


def choose_mapping(store: BlobStore, mapping: str | DataMapping | None) -> DataMapping | None:
    """Return the mapping that is asked for, or else a shipped one that fits.

    It fits where its table is there and has all its columns, and SCIN's is not.
    """
    if mapping is not None:
        return load_mapping(mapping) if isinstance(mapping, str) else mapping
    try:
        store.get(CASES_FILE)
    except BlobNotFound:
        for candidate in map(load_mapping, shipped.names("mappings")):
            try:
                header = store.get(candidate.table).split(b"\n", 1)[0].decode("utf-8-sig", "replace").strip().split(",")
            except BlobNotFound:
                continue
            if candidate.columns() <= set(header):
                return candidate
    return None


def read_mapped_table(mapping: DataMapping, store: BlobStore, url: str) -> bytes:
    """Return the bytes of the mapping's table; NOT_FOUND if the store at `url` does not hold it."""
    try:
        return store.get(mapping.table)
    except BlobNotFound as error:
        raise DermisError(
            Kind.NOT_FOUND, "DATA_TABLE", f"no {mapping.table} in {url}: name the folder that holds it"
        ) from error


def load_mapping(name: str) -> DataMapping:
    """Return the mapping that comes with dermis under `name`, or the one in the file of that name."""
    return shipped.load(name, DataMapping, folder="mappings", word="data mapping")
