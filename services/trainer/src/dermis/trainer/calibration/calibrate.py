"""Calibration on cases that the model was not trained on: prediction sets, abstention. Labels may be soft.

`probabilities` [N,K]; `target` [N,K]: reference differentials, rows adding up to 1, one-hot where there is but one
label.
"""

from collections.abc import Sequence
from functools import cache
from typing import get_args

import numpy as np
from scipy.stats import beta

from dermis.shared.manifest import (
    AbstentionRule,
    Condition,
    FitzpatrickGroup,
    MalignantRule,
    PredictionSets,
    SelectiveRisk,
)
from dermis.trainer.metrics import Floats, Ints, hits

SHARES = tuple(n / 20 for n in range(1, 21))
Groups = Sequence[FitzpatrickGroup | None]


def set_threshold(probabilities: Floats, target: Floats, *, coverage: float) -> float:
    """Return the threshold at which sets hold `coverage` of the reference differential of new cases.

    0 where N is too small.

    Split conformal (LAC, Sadinle et al. 2019) under labels drawn from the differential (Stutz et al. 2023): the largest
    probability with at most (N + 1)(1 - coverage) - 1 of weight below it. With one-hot targets: the k-th smallest, k =
    floor((N + 1)(1 - coverage)).
    """
    scores, weights = probabilities[target > 0], target[target > 0]
    order = np.argsort(scores, kind="stable")
    below = np.cumsum(weights[order]) - weights[order]
    missed = (len(target) + 1) * (1 - coverage) - 1
    place = int(np.searchsorted(below, missed + 1e-9, side="right")) - 1
    return float(scores[order][place]) if missed >= -1e-9 else 0.0


@cache
def fewest(coverage: float, *, margin: float = 0.05, confidence: float = 0.95) -> int:
    """Return the calibration cases that bring coverage near `coverage`.

    With that many, new cases are covered within `margin` of it or more, with this confidence.

    Given the calibration cases, the coverage of new ones is Beta distributed (Vovk 2012).
    """
    n, run, enough = 1, 0, int(np.ceil(1 / (1 - coverage)))
    while run < enough:  # k steps up once in so many n: all of a period have to hold
        k = int(np.floor((n + 1) * (1 - coverage) + 1e-9))
        run = run + 1 if k == 0 or beta.ppf(1 - confidence, n + 1 - k, k) >= coverage - margin else 0
        run = run if k else 0  # without any k the set holds everything: no calibration
        n += 1
    return n - enough


def prediction_sets(probabilities: Floats, target: Floats, groups: Groups, *, coverage: float) -> PredictionSets:
    """Return a threshold for each self-reported Fitzpatrick group from its own cases.

    From all where these are under `fewest`: pooled.
    """
    counts = {group: sum(other == group for other in groups) for group in get_args(FitzpatrickGroup)}
    pooled = tuple(group for group, count in counts.items() if count < fewest(coverage))
    thresholds = {}
    for group in counts:
        here = np.array([group in pooled or other == group for other in groups], bool)
        thresholds[group] = round(set_threshold(probabilities[here], target[here], coverage=coverage), 6)
    return PredictionSets(coverage=coverage, thresholds=thresholds, calibrated_on=counts, pooled=pooled)


def malignant_rule(
    probabilities: Floats,
    labels: Ints,
    conditions: Sequence[Condition],
    malignant: Sequence[str],
    *,
    coverage: float,
) -> MalignantRule | None:
    """Return the rule by which sets hold a malignant condition for `coverage` of the new cases of each malignant label.

    `malignant`: names of conditions; None where the model knows none of them. The score of a case is the probability of
    all malignant conditions together; of each label the k-th smallest is its threshold, k = floor((n + 1)(1 -
    coverage)), or 0 where k is 0 (split conformal by class, Vovk 2012); the lowest of them counts.
    """
    places = [place for place, condition in enumerate(conditions) if condition.name in malignant]
    if not places:
        return None
    score = probabilities[:, places].sum(1)
    own = [np.sort(score[labels == place]) for place in places]
    ranks = [int(np.floor((len(scores) + 1) * (1 - coverage) + 1e-9)) for scores in own]
    thresholds = [float(scores[rank - 1]) if rank else 0.0 for scores, rank in zip(own, ranks, strict=True)]
    return MalignantRule(
        conditions=tuple(conditions[place].id for place in places),
        threshold=float(np.floor(min(thresholds) * 1e6) / 1e6),
        coverage=coverage,
        calibrated_on={conditions[place].id: len(scores) for place, scores in zip(places, own, strict=True)},
    )


def abstention_rule(
    probabilities: Floats,
    labels: Ints,
    set_sizes: Ints,
    *,
    max_set_size: int,
    top: int,
    risk: float,
    confidence: float = 0.9,
) -> AbstentionRule | None:
    """Return the rule that answers most cases at a bounded risk.

    At most `risk` of those answered miss their label among the first `top`.

    `probabilities` are calibrated. Tried are the most confident 5 %, 10 %, ... 100 %; each has to keep the risk by its
    exact binomial bound (Clopper & Pearson 1934) at its share of 1 - confidence (Geifman & El-Yaniv 2017; Angelopoulos
    et al. 2021). None if no share does.
    """
    eligible = np.flatnonzero(set_sizes <= max_set_size)
    order = eligible[np.argsort(-probabilities[eligible].max(1), kind="stable")]
    certain = probabilities[order].max(1)
    wrong = np.cumsum(~hits(probabilities[order], labels[order], top=top))
    best = 0
    for share in SHARES:
        wanted = int(share * len(labels))
        if not 0 < wanted <= len(order):
            continue
        answered = int(np.searchsorted(-certain, -certain[wanted - 1], side="right"))  # equals are answered alike
        errors = int(wrong[answered - 1])
        bound = (
            1.0
            if errors == answered
            else float(beta.ppf(1 - (1 - confidence) / len(SHARES), errors + 1, answered - errors))
        )
        if bound <= risk:
            best = answered
    if not best:
        return None
    chosen = SelectiveRisk(
        top=top, risk=risk, confidence=confidence, answered=round(best / len(labels), 4), calibrated_on=len(labels)
    )
    return AbstentionRule(min_probability=float(certain[best - 1]), max_set_size=max_set_size, chosen_for=chosen)
