"""Decides whether a canary fails or abstains too often, by its marks alone: no model, no feedback, no gate."""

import math
from dataclasses import dataclass
from typing import Literal

from dermis.shared.releases import Arm, ReleaseAnswer, Tally

FEWEST = 20
"""Cases of the canary under which nothing is decided."""
MOST_FAILURES = 0.02
"""More of its cases than the current version's that a canary may fail on."""
MOST_ABSTENTIONS = 0.10
_Z = 1.96


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryRate:
    """How many of each arm's cases it is. `interval`: of the canary's share less the control's, 95 %."""

    name: Literal["FAILED", "ABSTAINED"]
    canary: int
    canary_n: int
    control: int
    control_n: int
    interval: tuple[float, float]
    bound: float

    @property
    def too_high(self) -> bool:
        """Whether the canary's share is higher by more than `bound`, beyond chance."""
        return self.canary_n >= FEWEST and self.interval[0] > self.bound


def rates(marks: Tally) -> tuple[CanaryRate, CanaryRate]:
    """Return the rates of failures and abstentions of a canary beside those of as large a share of the other cases.

    Each with Newcombe's hybrid score interval of the difference (1998, method 10).
    """
    n = {arm: sum(count for (of, _), count in marks.items() if of is arm) for arm in Arm}

    def rate(name: Literal["FAILED", "ABSTAINED"], bound: float) -> CanaryRate:
        canary, control = (marks[arm, ReleaseAnswer(name)] for arm in (Arm.CANARY, Arm.CONTROL))
        return CanaryRate(
            name=name,
            canary=canary,
            canary_n=n[Arm.CANARY],
            control=control,
            control_n=n[Arm.CONTROL],
            interval=difference(canary, n[Arm.CANARY], control, n[Arm.CONTROL]),
            bound=bound,
        )

    return rate("FAILED", MOST_FAILURES), rate("ABSTAINED", MOST_ABSTENTIONS)


def difference(hits: int, n: int, others: int, m: int) -> tuple[float, float]:
    """Return the 95 % interval of hits/n - others/m; (-1, 1) where one of both has no case."""
    if not n or not m:
        return -1.0, 1.0
    p, q = hits / n, others / m
    (low, high), (least, most) = wilson(hits, n), wilson(others, m)
    return p - q - math.hypot(p - low, most - q), p - q + math.hypot(high - p, q - least)


def wilson(hits: int, n: int) -> tuple[float, float]:
    """Return Wilson's score interval of a share (1927)."""
    p, z = hits / n, _Z**2 / n
    middle, half = (p + z / 2) / (1 + z), math.sqrt(p * (1 - p) * z + z**2 / 4) / (1 + z)
    return middle - half, middle + half
