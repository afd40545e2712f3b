"""Gaps: the largest difference between groups, beside what groups that are alike would show by chance."""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from dermis.data.samples import NOT_GIVEN
from dermis.shared.evaluation import Gap
from dermis.trainer import metrics as measures
from dermis.trainer.evaluation.intervals import interval_of, rounded, rounded_pair
from dermis.trainer.metrics import Floats, Judged

COMPARED_GROUPS = (
    "monk_bin",
    "fitzpatrick_group",
    "fitzpatrick_estimated_group",
    "age_group",
    "sex_at_birth",
    "race_ethnicity",
)
"""Slices between which gaps are stated."""
FEWEST_IN_GAP = 30
"""Cases under which a slice takes no part in a gap: its own scatter would be the gap."""


def gaps_between(
    judged: Judged, groups: Sequence[str], cut: Mapping[str, Sequence[str]], weights: Floats, rng: np.random.Generator
) -> tuple[Gap, ...]:
    """Return the largest difference between slices of each kind.

    Beside it stands what slices that are alike would show by chance.
    """
    per_case = {
        "top_1": measures.hits(judged.probabilities, judged.labels, top=1).astype(float),
        "top_3": measures.hits(judged.probabilities, judged.labels, top=3).astype(float),
        "set_coverage": judged.sets[np.arange(len(judged)), judged.labels].astype(float),
        "answered": judged.answered.astype(float),
    }
    gaps = []
    for name in COMPARED_GROUPS:
        values = np.asarray(cut.get(name, ()), str)
        sizes = dict(zip(*np.unique(values, return_counts=True), strict=True)) if len(values) else {}
        kept = [str(value) for value, size in sizes.items() if size >= FEWEST_IN_GAP and value != NOT_GIVEN]
        if len(kept) < 2:
            continue
        here = np.isin(values, kept)
        own = list(itertools.compress(groups, here))
        for measure, hit in per_case.items():
            by_value = np.stack([measures.mean(hit[values == value], weights[:, values == value]) for value in kept])
            means, spread = by_value[:, 0], by_value.max(0) - by_value.min(0)
            gaps.append(
                Gap(
                    slice=name,
                    measure=measure,
                    n=int(here.sum()),
                    lowest=kept[means.argmin()],
                    lowest_value=rounded(means.min()),
                    highest=kept[means.argmax()],
                    highest_value=rounded(means.max()),
                    difference=rounded(spread[0]),
                    difference_interval=interval_of(spread, own),
                    by_chance=rounded_pair(
                        measures.chance_gap(hit[here], own, list(values[here]), rng, draws=len(weights) - 1)
                    ),
                    left_out=tuple(sorted(str(value) for value in set(sizes) - set(kept))),
                )
            )
    return tuple(gaps)
