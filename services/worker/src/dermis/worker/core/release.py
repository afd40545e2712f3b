"""Which cases fall to a canary: a share of them by a stable hash, so that a case tried again falls to the same."""

import hashlib

from dermis.shared.releases import Arm

_SPACE = 2**64


def arm_of(case_id: str, percent: int) -> Arm | None:
    """Return the arm of a case while a canary takes `percent` of them, 0 to 50; None for cases beyond both arms.

    The control arm is the next `percent`, so that both are as large. A larger share keeps the cases of a smaller one.
    """
    place = int.from_bytes(hashlib.sha256(case_id.encode()).digest()[:8]) / _SPACE * 100
    if place < percent:
        return Arm.CANARY
    return Arm.CONTROL if place < 2 * percent else None
