"""Which cases: plain conditions on columns, read without eval."""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

import numpy as np
import numpy.typing as npt

from dermis.data.scin.attributes import REPORTED, WHO, Answers, monk_bin
from dermis.data.scin.fetch import Fetched, fetch, images_of
from dermis.data.scin.label_policy import Labels
from dermis.data.scin.source import Scin, open_scin
from dermis.data.scin.tables import ScinTables
from dermis.shared.errors import DermisError, Kind
from dermis.shared.stores import open_store

_CONDITION = re.compile(r"\s*(\w+)\s*(!=|>=|<=|=)\s*(.*?)\s*", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """`field=a|b`: one of the values (an empty one: no response); `!=`: none of them.

    `>=`, `<=`: a number, and one is given.
    """

    field: str
    operator: Literal["=", "!=", ">=", "<="]
    values: tuple[str, ...]

    def holds(self, answer: tuple[str, ...] | None) -> bool:
        if self.operator in (">=", "<="):
            bound = float(self.values[0])
            return any(
                float(value) >= bound if self.operator == ">=" else float(value) <= bound for value in answer or ()
            )
        return bool(set(answer or ("",)) & set(self.values)) == (self.operator == "=")


def parse_where(text: str) -> Where:
    """Parse `field=value|value`, `field!=value`, `field>=number` or `field<=number`; INVALID with an example else."""
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise _refused(
            f"{text!r} is no condition: write field=value|value, field!=value, field>=number or field<=number"
        )
    field, operator, right = match.groups()
    values = tuple(value.strip() for value in right.split("|"))
    if operator in (">=", "<=") and not re.fullmatch(r"-?\d+(\.\d+)?", right):
        raise _refused(f"{text!r}: {right!r} is no number")
    return Where(field=field, operator=cast(Literal["=", "!=", ">=", "<="], operator), values=values)


def fields(tables: ScinTables, labels: Labels) -> dict[str, Answers]:
    """Return what can be asked for.

    The profile's attributes, the tables' own columns, and label, status, differential, monk_bin.
    """
    cases, frame = tables.cases, labels.frame
    return {
        **{name: [(cell,) if cell else None for cell in tables.original[name]] for name in tables.original},
        **{name: attribute.read(cases) for name, attribute in (WHO | REPORTED).items()},
        "label": [(top,) if has else None for top, has in zip(frame["top"], labels.has_label, strict=True)],
        "differential": [tuple(named) or None for named in frame["differential"]],
        "status": [(str(status),) for status in frame["status"]],
        "monk_bin": [(tone,) for tone in monk_bin(cases)],
        "images": [(str(len(images)),) for images in cases["images"]],
    }


def select(conditions: Iterable[Where], fields_by_name: Mapping[str, Answers], cases: int) -> npt.NDArray[np.bool_]:
    """Return a mask of the cases for which every condition holds.

    INVALID for an unknown field or a value that no case has.
    """
    mask = np.ones(cases, bool)
    for where in conditions:
        if where.field not in fields_by_name:
            close = difflib.get_close_matches(where.field, fields_by_name, n=3)
            raise _refused(
                f"no field {where.field!r}"
                + (f": did you mean {' or '.join(close)}?" if close else f": use {', '.join(fields_by_name)}")
            )
        answers = fields_by_name[where.field]
        _check_values(where, answers)
        mask &= np.fromiter(map(where.holds, answers), bool, cases)
    return mask


def _check_values(where: Where, answers: Sequence[tuple[str, ...] | None]) -> None:
    met = {value for answer in answers for value in answer or ("",)}
    if where.operator in (">=", "<="):
        if not all(re.fullmatch(r"-?\d+(\.\d+)?", value) for value in met - {""}):
            raise _refused(f"field {where.field!r} is not a number: use = or !=")
        return
    for value in where.values:
        if value not in met:
            close = difflib.get_close_matches(value, met, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"it has {', '.join(repr(v) for v in sorted(met)[:12])}"
            raise _refused(f"no case has {where.field} = {value!r}: {hint}")


def _refused(detail: str) -> DermisError:
    return DermisError(Kind.INVALID, "WHERE", detail)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """Selected cases and the keys of their images."""

    scin: Scin
    case_ids: list[str]
    keys: list[str]

    def bring_to(self, folder: Path, *, step: Callable[[], None]) -> Fetched:
        return fetch(self.scin, self.case_ids, open_store(folder.resolve().as_uri()), step=step)


def choose(source: str, policy: str, where: Sequence[str]) -> Chosen:
    conditions = [parse_where(text) for text in where]
    scin = open_scin(source)
    mask = select(conditions, fields(scin.tables, scin.labels(policy)), len(scin.cases))
    case_ids = list(scin.cases.loc[mask, "case_id"])
    return Chosen(scin=scin, case_ids=case_ids, keys=images_of(scin, case_ids))
