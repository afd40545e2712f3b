"""The words of a release by degrees, and the marks by which the answers of a canary are counted."""

import hashlib
from collections import Counter
from collections.abc import Iterable
from enum import StrEnum

from dermis.shared.case import case_key

RELEASES = "releases/"
SHADOW_FOLDER = "shadow/"
"""Of a case: what versions on trial made of it, an `Outcome` each, which is shown to nobody."""


class Arm(StrEnum):
    """Who a case falls to while there is a canary: to it, or to the current version as one of as many others."""

    CANARY = "CANARY"
    CONTROL = "CONTROL"


class ReleaseAnswer(StrEnum):
    """What a version made of a case. FAILED: it could not answer; DROPPED: it was not asked, as others waited."""

    ANSWERED = "ANSWERED"
    ABSTAINED = "ABSTAINED"
    FAILED = "FAILED"
    DROPPED = "DROPPED"


Tally = Counter[tuple[Arm, ReleaseAnswer]]


def release_prefix(promotion: str) -> str:
    return f"{RELEASES}{promotion}/"


def mark_key(promotion: str, arm: Arm, answer: ReleaseAnswer, case_id: str) -> str:
    """Return the key of a case's mark, an empty object: by its digest, so that it leads to no case."""
    return f"{release_prefix(promotion)}{arm}/{answer}/{hashlib.sha256(case_id.encode()).hexdigest()[:32]}"


def tally(keys: Iterable[str]) -> Tally:
    """Count marks by their keys; what is none is left out."""
    counts: Tally = Counter()
    for key in keys:
        parts = key.split("/")
        if len(parts) == 5 and parts[2] in set(Arm) and parts[3] in set(ReleaseAnswer):
            counts[Arm(parts[2]), ReleaseAnswer(parts[3])] += 1
    return counts


def shadow_key(owner: str, case_id: str, name: str, version: int) -> str:
    return f"{case_key(owner, case_id)}/{SHADOW_FOLDER}{name}-{version}.json"
