"""What clinicians make of a case: their reviews and an adjudication, facts of the case, which are erased with it."""

import hashlib
from datetime import datetime
from typing import Annotated, Self

from pydantic import Field, model_validator

from dermis.shared.case import Fact, ModelRef, case_key
from dermis.shared.vocabulary import FitzpatrickSkinType, Gradable, MonkSkinTone

SECOND_READ_PREFIX = "second-read/"
MAX_CONDITIONS = 5
"""Of one reading; SCIN's graders gave at most so many."""


class ReviewedCondition(Fact):
    """A condition by its SCIN label, with the reader's confidence from 1 (low) to 5 (high)."""

    label: Annotated[str, Field(min_length=1, max_length=120)]
    confidence: Annotated[int, Field(ge=1, le=5)]


class CaseReading(Fact):
    """What one reader saw, as SCIN's graders gave it; the skin type and tone are the reader's estimates."""

    case_id: str
    reader: str
    read_at: datetime
    gradable: Gradable
    conditions: Annotated[tuple[ReviewedCondition, ...], Field(max_length=MAX_CONDITIONS)] = ()
    fitzpatrick_skin_type: FitzpatrickSkinType | None = None
    monk_skin_tone: MonkSkinTone | None = None

    @model_validator(mode="after")
    def _conditions_where_gradable(self) -> Self:
        count = len(self.conditions)
        if (self.gradable is Gradable.DEFAULT_YES_IMAGE_QUALITY_SUFFICIENT) != (count > 0):
            raise ValueError(f"conditions: {count} stand beside {self.gradable}; a gradable case has one")
        if len({each.label for each in self.conditions}) < count:
            raise ValueError("conditions: one stands twice; give each once, with one confidence")
        return self


class Review(CaseReading):
    """`reviews/<reader>.json`: a first read, made before its reader saw the model's answer or another review.

    `seconds`: from the photos' display to the submission. `model`: whose answer the reader was shown afterwards.
    """

    seconds: Annotated[float, Field(ge=0)] | None = None
    model: ModelRef | None = None


class Adjudication(CaseReading):
    """`adjudication.json`: the reading that stands where reviews disagree; `readers` are those whose reviews it saw."""

    readers: tuple[str, ...]


def reader_id(issuer: str, subject: str) -> str:
    """Return the name under which a reader's reviews are kept: a pseudonym of who signed in (OIDC issuer, subject)."""
    return "reader_" + hashlib.sha256(f"{issuer}\n{subject}".encode()).hexdigest()[:32]


def reviews_prefix(owner: str, case_id: str) -> str:
    return f"{case_key(owner, case_id)}/reviews/"


def review_key(owner: str, case_id: str, reader: str) -> str:
    return f"{reviews_prefix(owner, case_id)}{reader}.json"


def adjudication_key(owner: str, case_id: str) -> str:
    return f"{case_key(owner, case_id)}/adjudication.json"


def second_read_key(case_id: str) -> str:
    """Return the marker of a case that may be reviewed: a `RetentionMark`, put before `received.json`."""
    return f"{SECOND_READ_PREFIX}{case_id}"
