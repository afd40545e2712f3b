"""How far probabilities can be trusted: reliability by confidence, and the risk by the share that is answered."""

import itertools
from collections.abc import Sequence

import numpy as np

from dermis.data.samples import NOT_GIVEN
from dermis.shared.evaluation import ReliabilityBin, RiskPoint
from dermis.trainer import metrics as measures
from dermis.trainer.evaluation.intervals import interval_of, rounded, with_interval
from dermis.trainer.evaluation.slices import cut_by
from dermis.trainer.metrics import Floats, Judged

_CURVE = tuple(n / 20 for n in range(1, 21))


def soft_band(confidence: Floats, mass: Floats, rng: np.random.Generator, draws: int) -> tuple[float, float]:
    if np.isin(mass, (0, 1)).all():  # every reference differential is one condition: soft is hard
        return measures.perfect_calibration_error(confidence, rng, draws=draws)
    return measures.perfect_soft_calibration_error(confidence, mass, rng, draws=draws)


def reliability_bins(
    confidence: Floats, mass: Floats, judged: Judged, weights: Floats, groups: Sequence[str]
) -> tuple[ReliabilityBin, ...]:
    right = measures.hits(judged.probabilities, judged.labels, top=1)
    place, bins = measures.bin_of(confidence), []
    for b in range(measures.BINS):
        here = place == b
        if here.any():
            share = with_interval(measures.mean(right[here], weights[:, here]), list(itertools.compress(groups, here)))
            bins.append(
                ReliabilityBin(
                    low=b / measures.BINS,
                    high=(b + 1) / measures.BINS,
                    n=int(here.sum()),
                    confidence=rounded(confidence[here].mean()),
                    right=share.value,
                    interval=share.interval,
                    right_soft=rounded(mass[here].mean()),
                )
            )
    return tuple(bins)


def risk_curves(
    judged: Judged, weights: Floats, groups: Sequence[str], tones: Sequence[str]
) -> dict[str, tuple[RiskPoint, ...]]:
    of_tones = {
        value: _curve(judged.at(here), weights[:, here], list(itertools.compress(groups, here)))
        for value, here in cut_by(tones)
        if value != NOT_GIVEN
    }
    return {"overall": _curve(judged, weights, groups), **of_tones}


def _curve(judged: Judged, weights: Floats, groups: Sequence[str]) -> tuple[RiskPoint, ...]:
    """Return the top-1 risk at each share answered, most confident first, and n: of how many cases it is."""
    wrong = ~measures.hits(judged.probabilities, judged.labels, top=1)
    share, risk = measures.risk_curve(judged.probabilities.max(1), wrong, weights)
    points = []
    for answered in _CURVE:
        place = (share < answered - 1e-9).sum(1).clip(max=len(judged) - 1)
        samples = risk[np.arange(len(risk)), place]
        n = round(float(share[0, place[0]]) * len(judged))
        points.append(
            RiskPoint(answered=answered, n=n, risk=rounded(samples[0]), interval=interval_of(samples, groups))
        )
    return tuple(points)
