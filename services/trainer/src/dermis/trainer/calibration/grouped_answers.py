"""The threshold from which answers over condition groups hold their coverage."""

from collections.abc import Sequence

import numpy as np

from dermis.shared.manifest import Condition, ConditionGroup, GroupedAnswers
from dermis.trainer.calibration.calibrate import set_threshold
from dermis.trainer.metrics import Floats
from dermis.worker.core.condition_groups import needed_threshold, nested_answers, top_nodes

MOST_ENTRIES = 3
LARGEST_SHARE = 0.25


def fit_grouped_answers(
    probabilities: Floats,
    target: Floats,
    conditions: Sequence[Condition],
    groups: Sequence[ConditionGroup],
    *,
    coverage: float,
    taxonomy: str = "",
) -> GroupedAnswers:
    """Return the rule by which answers hold `coverage` of the reference differential of new cases.

    `probabilities` [N,K] are calibrated, `target` [N,K]. Split conformal (`set_threshold`) with 1 less the threshold
    that a condition needs as its score; an abstention holds everything.
    """
    tops = top_nodes(conditions, groups, largest_share=LARGEST_SHARE)
    needed = [
        needed_threshold(nested_answers(row, tops, most_entries=MOST_ENTRIES), len(conditions))
        for row in np.asarray(probabilities, np.float64)
    ]
    return GroupedAnswers(
        coverage=coverage,
        threshold=min(1.0, max(0.0, 1 - set_threshold(1 - np.array(needed), target, coverage=coverage))),
        calibrated_on=len(target),
        groups=tuple(groups),
        most_entries=MOST_ENTRIES,
        largest_share=LARGEST_SHARE,
        taxonomy=taxonomy,
    )
