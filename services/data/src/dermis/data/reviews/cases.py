"""The cases of a store that clinicians read and that may be learned from, as facts of their folders."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from typing import TypeVar

from pydantic import ValidationError

from dermis.shared.case import CASES_PREFIX, Consent, Outcome, Received, fact_key
from dermis.shared.ids import is_id
from dermis.shared.ports import BlobNotFound, BlobStore
from dermis.shared.reviews import Adjudication, CaseReading, Review, adjudication_key, review_key
from dermis.shared.vocabulary import FitzpatrickSkinType, MonkSkinTone

_REVIEWS = "reviews/"
Value = TypeVar("Value", FitzpatrickSkinType, MonkSkinTone)


def estimated_type(readings: Sequence[CaseReading]) -> FitzpatrickSkinType | None:
    """Return the lower median of the readers' estimates; None where none has one."""
    types = [each.fitzpatrick_skin_type for each in readings if each.fitzpatrick_skin_type is not None]
    return _lower_median([each for each in types if each is not FitzpatrickSkinType.NONE_IDENTIFIED])


def estimated_tone(readings: Sequence[CaseReading]) -> MonkSkinTone | None:
    """Return the lower median of the readers' estimates; None where none has one."""
    return _lower_median([each.monk_skin_tone for each in readings if each.monk_skin_tone is not None])


def _lower_median(values: Sequence[Value]) -> Value | None:
    """Of FST1 to FST6, or of MST1 to MST10."""
    ordered = sorted(values, key=lambda value: int(value.value[3:]))
    return ordered[(len(ordered) - 1) // 2] if ordered else None


class LeftOut(StrEnum):
    """Why nothing is learned from a case that clinicians read."""

    NO_CONSENT = "NO_CONSENT"
    TEST_CASE = "TEST_CASE"
    UNDER_18 = "UNDER_18"
    ERASED = "ERASED"
    UNREADABLE = "UNREADABLE"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewedCase:
    """A case with the readings of it, by reader; `outcome` is None where the case has none yet."""

    received: Received
    reviews: tuple[Review, ...]
    adjudication: Adjudication | None = None
    outcome: Outcome | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewedCases:
    """The cases that may be learned from, by key, and how many that were read may not be, by reason."""

    cases: tuple[ReviewedCase, ...]
    left_out: Mapping[LeftOut, int]


def reviewed_cases(store: BlobStore) -> ReviewedCases:
    """Return the cases that clinicians read and whose owners agreed that theirs make dermis better.

    A case whose facts can't be read is left out and stops nothing.
    """
    cases, left_out = [], Counter[LeftOut]()
    for (owner, case_id), group in groupby(store.list(CASES_PREFIX), key=lambda key: tuple(key.split("/")[1:3])):
        names = {key.split("/", 3)[-1] for key in group}
        if not is_id("case", case_id) or not any(_is_reading(name) for name in names):
            continue
        reviewed = LeftOut.ERASED if "erased.json" in names else _read(store, owner, case_id, names)
        if isinstance(reviewed, LeftOut):
            left_out[reviewed] += 1
        else:
            cases.append(reviewed)
    return ReviewedCases(cases=tuple(cases), left_out=left_out)


def _is_reading(name: str) -> bool:
    return name == "adjudication.json" or (name.startswith(_REVIEWS) and name.endswith(".json"))


def _read(store: BlobStore, owner: str, case_id: str, names: set[str]) -> ReviewedCase | LeftOut:
    try:
        received = Received.model_validate_json(store.get(fact_key(owner, case_id, "received")))
        if reason := _refused(received):
            return reason
        readers = sorted(name.removeprefix(_REVIEWS).removesuffix(".json") for name in names if _REVIEWS in name)
        reviews = tuple(Review.model_validate_json(store.get(review_key(owner, case_id, reader))) for reader in readers)
        adjudication = outcome = None
        if "adjudication.json" in names:
            adjudication = Adjudication.model_validate_json(store.get(adjudication_key(owner, case_id)))
        if "outcome.json" in names:
            outcome = Outcome.model_validate_json(store.get(fact_key(owner, case_id, "outcome")))
    except BlobNotFound:  # erased meanwhile
        return LeftOut.ERASED
    except ValidationError:
        return LeftOut.UNREADABLE
    return ReviewedCase(received=received, reviews=reviews, adjudication=adjudication, outcome=outcome)


def _refused(received: Received) -> LeftOut | None:
    """Return why a case may not be learned from; a review without its owner's agreement counts as without consent."""
    if not received.livemode:
        return LeftOut.TEST_CASE
    if received.consent is not Consent.KEEP_FOR_IMPROVEMENT or not received.second_read:
        return LeftOut.NO_CONSENT
    return LeftOut.UNDER_18 if received.self_report.under_18 else None
