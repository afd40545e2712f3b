"""The SCIN protocol's figures: ten conditions, pooled folds, every figure with n and a group bootstrap interval, overall and by tone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dermis.trainer.evaluation.slices import TONE_GROUPS
from dermis.trainer.metrics import (
    FEWEST_GROUPS,
    Floats,
    Hits,
    Ints,
    draw_weights,
    hits,
    interval,
    mean,
    ranking,
    soft_hits,
)

TONES = {
    f"{scale}={group}": (scale, values) for scale, groups in TONE_GROUPS.items() for group, values in groups.items()
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pooled:
    """N cases that were held out once. `target` [N,K+1]: K conditions, then all others together; `labels`: K where the top is another."""

    target: Floats
    labels: Ints
    fold: Ints
    groups: tuple[str, ...]
    slices: Mapping[str, Sequence[str]]

    @property
    def conditions(self) -> int:
        return int(self.target.shape[1]) - 1

    @property
    def among(self) -> Hits:
        """The cases whose top condition is one of the K: top-k is asked of these, among the K."""
        return np.asarray(self.labels < self.conditions)


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """`interval`: 95 %, by a bootstrap over groups of connected cases; None where these are too few."""

    value: float
    interval: tuple[float, float] | None
    n: int


def draw(pooled: Pooled, seed: int = 0) -> Floats:
    """Return the weights that all figures of one benchmark share, so that differences between models are paired."""
    return draw_weights(pooled.groups, np.random.default_rng(seed))


def auroc(probabilities: Floats, pooled: Pooled, weights: Floats) -> Floats:
    """Return macro AUROC over the K conditions, [R]: how often a case that names a condition is ranked above one of its fold that does not."""
    areas = [
        ranking(probabilities[:, k], pooled.target[:, k] > 0, pooled.fold, weights)[0] for k in range(pooled.conditions)
    ]
    return np.asarray(np.nanmean(np.array(areas), axis=0))


def top(probabilities: Floats, pooled: Pooled, *, first: int, soft: bool) -> Floats:
    """Return [N] what the `first` most probable of the K conditions hold: the top condition, or the share of the differential (soft)."""
    k = pooled.conditions
    inside = pooled.target[:, :k]
    whole = inside.sum(1, keepdims=True)
    share = np.divide(inside, whole, out=np.zeros_like(inside), where=whole > 0)
    if soft:
        return soft_hits(probabilities[:, :k], share, top=first)
    return hits(probabilities[:, :k], pooled.labels, top=first).astype(float)


def overall(probabilities: Floats, pooled: Pooled, weights: Floats) -> dict[str, Estimate]:
    """Return every figure of one model."""
    everyone = np.ones(len(pooled.groups), bool)
    asked = {
        "top-1": mean(top(probabilities, pooled, first=1, soft=False), weights, among=pooled.among),
        "top-3": mean(top(probabilities, pooled, first=3, soft=False), weights, among=pooled.among),
        "soft top-3": mean(top(probabilities, pooled, first=3, soft=True), weights, among=pooled.among),
    }
    return {
        "macro AUROC": estimate(auroc(probabilities, pooled, weights), pooled, everyone),
        **{name: estimate(samples, pooled, pooled.among) for name, samples in asked.items()},
    }


def by_tone(probabilities: Floats, pooled: Pooled, weights: Floats) -> dict[str, Estimate | None]:
    """Return soft top-3 in each group of each scale; None without a case. No scale is converted into another."""
    values = top(probabilities, pooled, first=3, soft=True)
    by_group: dict[str, Estimate | None] = {}
    for name, (scale, group) in TONES.items():
        here = pooled.among & np.isin(np.asarray(pooled.slices[scale]), group)
        by_group[name] = estimate(mean(values, weights, among=here), pooled, here) if here.any() else None
    return by_group


def difference(one: Floats, other: Floats, pooled: Pooled, weights: Floats) -> dict[str, Estimate]:
    """Return how much `one` is above `other`, on the same cases and the same draws."""
    everyone = np.ones(len(pooled.groups), bool)
    gain = top(one, pooled, first=3, soft=True) - top(other, pooled, first=3, soft=True)
    return {
        "macro AUROC": estimate(auroc(one, pooled, weights) - auroc(other, pooled, weights), pooled, everyone),
        "soft top-3": estimate(mean(gain, weights, among=pooled.among), pooled, pooled.among),
    }


def estimate(samples: Floats, pooled: Pooled, here: Hits) -> Estimate:
    independent = len({group for group, kept in zip(pooled.groups, here, strict=True) if kept})
    return Estimate(
        value=float(samples[0]), interval=interval(samples) if independent >= FEWEST_GROUPS else None, n=int(here.sum())
    )
