"""A figure of bootstrapped samples and its interval, rounded as a report states them."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dermis.data.statistics import wilson
from dermis.shared.evaluation import Figure, Interval
from dermis.trainer import metrics as measures
from dermis.trainer.metrics import Floats

_SHARES = frozenset(
    [f"top_{top}{kind}" for top in measures.TOPS for kind in ("", "_soft")]
    + ["set_coverage", "set_coverage_soft", "abstained", "out_of_distribution", "top_1_answered", "top_3_answered"]
)
Samples = Mapping[str, Floats]


def with_intervals(
    bootstrapped: Samples, groups: Sequence[str], answered: measures.Hits | None = None
) -> dict[str, Figure]:
    among = groups if answered is None else list(itertools.compress(groups, answered))
    return {
        name: with_interval(samples, among if name.endswith("_answered") else groups, share=name in _SHARES)
        for name, samples in bootstrapped.items()
    }


def with_interval(samples: Floats, groups: Sequence[str], *, share: bool = True) -> Figure:
    """Return the figure and its interval of what `measures.draw_weights` gave.

    Of a `share` that is 0 or 1 every draw is the same and says nothing: there it is Wilson's interval over the groups.
    """
    value, interval = samples[0], interval_of(samples, groups)
    if (
        share and interval and np.isclose(value, (0, 1), rtol=0, atol=1e-9).any()
    ):  # weights of a differential add up to 1 but for rounding
        count = len(set(groups))
        low, high = wilson(round(float(value)) * count, count)
        interval = rounded_pair((float(low), float(high)))
    return Figure(value=rounded(value), interval=interval)


def interval_of(samples: Floats, groups: Sequence[str]) -> Interval:
    middle = measures.interval(samples)
    return rounded_pair(middle) if middle and len(set(groups)) >= measures.FEWEST_GROUPS else None


def rounded(value: Any) -> Any:
    """Return a number to four places, None for NaN: the figure of cases that can't give it."""
    return round(float(value), 4) if np.isfinite(value) else None


def rounded_pair(pair: tuple[float, float]) -> tuple[float, float]:
    return round(pair[0], 4), round(pair[1], 4)
