"""From the form of a reading to what a review or an adjudication is made of."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from pydantic import ValidationError

from dermis.gateway.problems import fault
from dermis.shared.reviews import CaseReading
from dermis.shared.vocabulary import Gradable

FORM = "application/x-www-form-urlencoded"
MOST_BYTES = 16 * 1024
LONGEST_S = 24 * 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingForm:
    """`reading`: the fields that a review and an adjudication share; `seconds` from the photos' display."""

    token: str
    reading: dict[str, Any]
    seconds: float | None


def fields_of(body: bytes) -> dict[str, list[str]]:
    """Return the fields of a form; INVALID where it is none."""
    try:
        return parse_qs(body.decode("ascii"), keep_blank_values=True, max_num_fields=200)
    except ValueError:
        raise fault("FORM_BROKEN", "the form can't be read; load the page again") from None


def reading_form_of(fields: Mapping[str, Sequence[str]], *, labels: Collection[str]) -> ReadingForm:
    """Return the reading that a form holds; INVALID names what is wrong.

    A case that is not gradable, or shows nothing, has no conditions: those in the form are dropped.
    """
    gradable = _one(fields, "gradable")
    if gradable not in list(Gradable):
        raise fault("GRADABLE", f"gradable: {gradable[:40]!r} is not known; use one of {', '.join(Gradable)}")
    reading = {
        "gradable": Gradable(gradable),
        "conditions": _conditions(fields, labels) if gradable == Gradable.DEFAULT_YES_IMAGE_QUALITY_SUFFICIENT else (),
        "fitzpatrick_skin_type": _one(fields, "fitzpatrick_skin_type") or None,
        "monk_skin_tone": _one(fields, "monk_skin_tone") or None,
    }
    try:
        CaseReading.model_validate({"case_id": "", "reader": "", "read_at": 0, **reading})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = ".".join(map(str, first["loc"]))
        raise fault("READING", f"{name}: {first['msg']}".removeprefix(": Value error, ")) from None
    return ReadingForm(token=_one(fields, "token"), reading=reading, seconds=_seconds(_one(fields, "seconds")))


def _conditions(fields: Mapping[str, Sequence[str]], labels: Collection[str]) -> tuple[dict[str, str], ...]:
    names, levels = fields.get("condition", ()), fields.get("confidence", ())
    if unknown := [name for name in names if name not in labels]:
        raise fault("CONDITION", f"condition: {unknown[0][:80]!r} is none of SCIN's labels; choose one from the list")
    if len(levels) != len(names):
        raise fault("CONFIDENCE", f"confidence: {len(levels)} stand beside {len(names)} conditions; give one for each")
    return tuple({"label": name, "confidence": level} for name, level in zip(names, levels, strict=True))


def _one(fields: Mapping[str, Sequence[str]], name: str) -> str:
    return next(iter(fields.get(name, ())), "")


def _seconds(text: str) -> float | None:
    """Return how long a reading took, None where that is not said sensibly: nothing hangs on it."""
    try:
        seconds = float(text)
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and 0 <= seconds <= LONGEST_S else None
