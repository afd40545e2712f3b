"""Which cases clinicians read next, and what their readings come to."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from dermis.shared.case import Urgency
from dermis.shared.reviews import CaseReading

FEW_CASES = 50
"""Measured cases of a group at which what its rarity counts is half of what it counts for a group without any."""
_URGENCIES = list(Urgency)


class ReadingOrder(StrEnum):
    """`LEARNING`: what teaches most first; `URGENCY`: what should be looked at soonest."""

    LEARNING = "learning"
    URGENCY = "urgency"


class Standing(StrEnum):
    TO_READ = "TO_READ"
    TO_ADJUDICATE = "TO_ADJUDICATE"
    AGREED = "AGREED"
    ADJUDICATED = "ADJUDICATED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """What orders a case.

    `margin`: between its two most probable conditions, None without a differential. `set_share`: of all conditions,
    how many are in the prediction set. `group_cases`: on how many cases of the person's group the model was measured,
    None where that is not known.
    """

    case_id: str
    urgency: Urgency | None = None
    abstained: bool = False
    margin: float | None = None
    set_share: float = 0.0
    group_cases: int | None = None


def learning_value(case: Candidate) -> float:
    """Return how much a reading of a case may teach, 0 to 4: a sum of four parts of 0 to 1.

    An abstention, how close its two most probable conditions are, how large its prediction set is, and how few cases
    of its group the model was measured on.
    """
    return (
        float(case.abstained)
        + (0.0 if case.margin is None else 1 - case.margin)
        + case.set_share
        + (0.0 if case.group_cases is None else FEW_CASES / (FEW_CASES + case.group_cases))
    )


def in_order(cases: Iterable[Candidate], order: ReadingOrder) -> list[Candidate]:
    """Return cases, the first to read first; of equal ones the oldest, as ids are in the order of time."""
    if order is ReadingOrder.URGENCY:
        return sorted(cases, key=lambda case: (_urgency(case), -learning_value(case), case.case_id))
    return sorted(cases, key=lambda case: (-learning_value(case), case.case_id))


def needs_reader(*, readers: Sequence[str], claims: Sequence[str], reader: str, readers_per_case: int) -> bool:
    """Return whether `reader` is wanted for a case: `readers` have read it, `claims` are of those who are at it."""
    others_at_it = set(claims) - {*readers, reader}
    return reader not in readers and len(set(readers)) + len(others_at_it) < readers_per_case


def disagree(readings: Sequence[CaseReading]) -> bool:
    """Return whether readings of one case disagree.

    They do where one calls it gradable and another not, or where no condition is the most confident one of all of
    them; of several that a reader is equally sure of, each is.
    """
    if len({reading.gradable for reading in readings}) > 1:
        return True
    tops = [_most_confident(reading) for reading in readings if reading.conditions]
    return bool(tops) and not frozenset.intersection(*tops)


def standing(readings: Sequence[CaseReading], *, adjudicated: bool, readers_per_case: int) -> Standing:
    """Return where a case stands."""
    if adjudicated:
        return Standing.ADJUDICATED
    if len(readings) < readers_per_case:
        return Standing.TO_READ
    return Standing.TO_ADJUDICATE if disagree(readings) else Standing.AGREED


def _urgency(case: Candidate) -> int:
    return len(_URGENCIES) if case.urgency is None else _URGENCIES.index(case.urgency)


def _most_confident(reading: CaseReading) -> frozenset[str]:
    most = max(each.confidence for each in reading.conditions)
    return frozenset(each.label for each in reading.conditions if each.confidence == most)
