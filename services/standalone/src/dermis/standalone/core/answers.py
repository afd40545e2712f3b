"""A self-report from what a person typed; every fault is named with its value and the nearest known one."""

import difflib
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, cast, get_args

from pydantic import ValidationError

from dermis import client
from dermis.shared.errors import DermisError, Kind
from dermis.shared.vocabulary import SelfReport


def choices(field: str) -> tuple[str, ...]:
    """Return the vocabulary of a question."""
    annotation = SelfReport.model_fields[field].annotation
    return ("TRUE", "FALSE") if bool in get_args(annotation) else tuple(each.value for each in _enum(annotation))


def takes_several(field: str) -> bool:
    """Whether a question may have more than one answer."""
    return any(getattr(arm, "__origin__", None) is tuple for arm in get_args(SelfReport.model_fields[field].annotation))


def _enum(annotation: Any) -> type[StrEnum]:
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return annotation
    return next(enum for arm in get_args(annotation) if arm is not Ellipsis for enum in [_enum(arm)])


def unknown(value: object, allowed: Iterable[str], what: str = "value") -> str:
    """Say that `value` is not known, with the nearest known one or else all of them."""
    allowed = sorted(allowed)
    close = difflib.get_close_matches(str(value).upper(), [name.upper() for name in allowed], n=1)
    near = next((name for name in allowed if close and name.upper() == close[0]), None)
    return f"{value!r} is no known {what}; " + (f"did you mean {near}?" if near else f"use one of {', '.join(allowed)}")


def from_settings(settings: Iterable[str]) -> dict[str, Any]:
    """Return the answers in `key=value[,value...]` texts; a key may be repeated. Case does not matter in values."""
    answers: dict[str, list[str]] = {}
    faults = []
    for text in settings:
        field, equals, values = text.partition("=")
        field = field.strip().lower()
        if not equals:
            faults.append(f"--set {text!r}: write key=value")
        elif field not in SelfReport.model_fields:
            faults.append(f"--set {text!r}: " + unknown(field, SelfReport.model_fields, "answer"))
        else:
            for value in values.split(","):
                if value.strip().upper() not in choices(field):
                    faults.append(f"--set {field}: " + unknown(value.strip(), choices(field)))
                else:
                    answers.setdefault(field, []).append(value.strip().upper())
    for field, chosen in answers.items():
        if len(chosen) > 1 and not takes_several(field):
            faults.append(f"--set {field}: takes one value, not {', '.join(chosen)}")
    if faults:
        raise DermisError(Kind.INVALID, "ANSWERS", "; ".join(faults))
    return {field: chosen if takes_several(field) else chosen[0] for field, chosen in answers.items()}


def self_report(answers: Mapping[str, Any], *, source: str) -> SelfReport:
    """Return the self-report with these answers; INVALID names `source`, the place in it, the value and a remedy."""
    try:
        return SelfReport.model_validate(answers)
    except ValidationError as error:
        faults = [_fault(list(fault["loc"]), fault["input"], fault["msg"]) for fault in error.errors()]
        raise DermisError(Kind.INVALID, "ANSWERS", f"{source}: " + "; ".join(faults)) from None


def _fault(place: list[int | str], value: Any, message: str) -> str:
    field = str(place[0])
    pointer = "/" + "/".join(map(str, place))
    if field not in SelfReport.model_fields:
        return f"{pointer}: " + unknown(field, SelfReport.model_fields, "answer")
    if isinstance(value, str) and (len(place) > 1 or not takes_several(field)):
        return f"{pointer}: " + unknown(value, choices(field))
    shape = f"a list of values such as {[choices(field)[0]]}" if takes_several(field) else "one value as text"
    return f"{pointer}: {value!r} does not fit ({message}); give {shape}, or leave it out"


def as_sent(report: SelfReport) -> client.SelfReport:
    """Return a self-report as the client takes it: without the answers that were not given."""
    return cast(client.SelfReport, report.model_dump(mode="json", exclude_none=True))
