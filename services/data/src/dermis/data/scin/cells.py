"""One cell of a SCIN table: text in, typed value out; None is an empty cell.

A fault is a ValueError that says the remedy.
"""

import ast
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Parser = Callable[[str], Any]

_INT64 = 2**63
_LONGEST_LITERAL = 20_000
_WHOLE = re.compile(r"-?[1-9]\d*")
_EXPONENT = re.compile(r"[-+]?\d(\.\d+)?[eE][-+]?\d+")
_PATH = re.compile(r"(?:.*/)?images/(-?\d+\.png)")


def text(cell: str) -> str | None:
    return cell or None


def case_id(cell: str) -> str:
    if _EXPONENT.fullmatch(cell):
        raise ValueError(
            "a spreadsheet has rounded it and its digits are lost: download the table again and never save it "
            "from Excel"
        )
    if not _WHOLE.fullmatch(cell) or not -_INT64 <= int(cell) < _INT64:
        raise ValueError("write a signed 64-bit integer, with every digit and nothing else")
    return cell


def release(cell: str) -> str:
    if not re.fullmatch(r"1\.\d+\.\d+", cell):
        raise ValueError("only releases 1.x.y are understood")
    return cell


def year(cell: str) -> int:
    if not re.fullmatch(r"20\d\d", cell):
        raise ValueError("write a year, as 2023")
    return int(cell)


def one_of(values: Sequence[str], aliases: Mapping[str, str] | None = None) -> Parser:
    meanings = {"": None, **{value: str(value) for value in values}, **(aliases or {})}

    def parse(cell: str) -> str | None:
        try:
            return meanings[cell]
        except KeyError:
            raise ValueError(f"use one of {', '.join(values)}, or leave it empty") from None

    return parse


def some_of(values: Sequence[str]) -> Parser:
    one = "|".join(map(re.escape, values))
    pattern = re.compile(f"(?:{one})(?:,(?:{one}))*")

    def parse(cell: str) -> str | None:
        if cell and not pattern.fullmatch(cell):
            raise ValueError(f"use one or more of {', '.join(values)} joined by commas, or leave it empty")
        return cell or None

    return parse


def flag(cell: str) -> bool:
    """A ticked box; an empty one is "not ticked", which is "no" only if another box of the question is ticked."""
    if cell not in ("", "YES"):
        raise ValueError("use YES, or leave it empty")
    return cell == "YES"


def boolean(cell: str) -> bool | None:
    try:
        return {"": None, "True": True, "False": False}[cell]
    except KeyError:
        raise ValueError("use True or False, or leave it empty") from None


def monk(cell: str) -> int | None:
    if cell and not (cell.isdecimal() and cell.isascii() and 1 <= int(cell) <= 10):
        raise ValueError("use a whole number from 1 to 10, or leave it empty")
    return int(cell) if cell else None


def image_path(cell: str) -> str | None:
    """The path's last two parts, `images/<id>.png`: the object's key below the data set's folder."""
    if not cell:
        return None
    match = _PATH.fullmatch(cell)
    if match is None:
        raise ValueError("write dataset/images/<whole number>.png, or leave it empty")
    return f"images/{match[1]}"


def names(cell: str) -> tuple[str, ...]:
    return tuple(
        _each(_literal(cell, list, "['Eczema', \"Grover's disease\"]"), _is_name, "a condition's name in quotes")
    )


def confidences(cell: str) -> tuple[int, ...]:
    return tuple(_each(_literal(cell, list, "[4, 2]"), _is_confidence, "a whole number from 1 to 5"))


def weights(cell: str) -> dict[str, float]:
    literal = _literal(cell, dict, "{'Eczema': 0.67, 'Tinea': 0.33}")
    _each(list(literal), _is_name, "a condition's name in quotes")
    _each(list(literal.values()), _is_weight, "a weight above 0 and at most 1")
    total = sum(literal.values())
    if literal and abs(total - 1) > 0.05:
        raise ValueError(f"the weights add up to {total:.2f}: they have to add up to 1, give or take rounding")
    return dict(literal)


def _literal(cell: str, kind: type, example: str) -> Any:
    if not cell:
        return kind()
    try:
        literal = ast.literal_eval(cell) if len(cell) <= _LONGEST_LITERAL else None
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        literal = None
    if isinstance(literal, kind):
        return literal
    raise ValueError(f"write a Python {kind.__name__} literal, for example {example}")


def _each(values: list[Any], allowed: Callable[[Any], bool], remedy: str) -> list[Any]:
    for value in values:
        if not allowed(value):
            raise ValueError(f"{value!r} stands where {remedy} belongs")
    return values


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and value.strip() == value != ""


def _is_confidence(value: Any) -> bool:
    return type(value) is int and 1 <= value <= 5


def _is_weight(value: Any) -> bool:
    return type(value) in (int, float) and 0 < value <= 1
