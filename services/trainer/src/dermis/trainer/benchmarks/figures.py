"""The figures of contenders, each with n and an interval: of all cases, of pairs of contenders, and by skin tone."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dermis.data.samples import NOT_GIVEN
from dermis.shared.evaluation import Figure
from dermis.trainer import metrics as measures
from dermis.trainer.benchmarks.cross_validation import HeldOut
from dermis.trainer.evaluation.intervals import with_interval
from dermis.trainer.evaluation.slices import TONE_GROUPS
from dermis.trainer.metrics import Floats, Hits, Judged

FLOOR = "floor: the best constant list"
TONES = {
    f"{scale}={group}": (scale, values)
    for scale, groups in TONE_GROUPS.items()
    for group, values in {**groups, NOT_GIVEN: (NOT_GIVEN,)}.items()
}
"""Each scale stands for itself: none is converted into another."""


class Estimate(Figure):
    """A figure of `n` cases; its interval, 95 %, is by a bootstrap over groups of connected cases."""

    n: int


Draws = tuple[Floats, Hits]
"""What a figure comes to by each weighting [R], and of which cases it is, bool[N]."""
Measures = Callable[[Judged, Floats], dict[str, Draws]]
"""Return every figure of cases as judged under weights [R,N]."""
ByContender = Mapping[str, Mapping[str, Estimate]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ContenderFigures:
    """The estimates by name: `overall` by contender, `differences` by pair, `by_tone` by group and contender."""

    held_out: HeldOut
    overall: ByContender
    differences: Mapping[tuple[str, str], Mapping[str, Estimate]]
    by_tone: Mapping[str, ByContender]


def of_every_condition(judged: Judged, weights: Floats) -> dict[str, Draws]:
    """Return the figures of a benchmark in which every condition is ranked."""
    everyone, values = np.ones(len(judged), bool), measures.figures(judged, weights)
    names = ("top_1", "top_3", "balanced_accuracy", "macro_auroc", "brier")
    return {name.replace("_", " "): (values[name], everyone) for name in names}


def of_all_but_the_last(judged: Judged, weights: Floats) -> dict[str, Draws]:
    """Return the figures of a benchmark whose last condition puts all others together: it is learned, never ranked.

    Macro AUROC is of every case: does it name the condition? Top-k is of those whose top condition is no other, among
    the ranked ones; `soft`: the share of the differential, scaled to these, that the first k hold.
    """
    probabilities, target = judged.probabilities[:, :-1], judged.target[:, :-1]
    everyone, ranked = np.ones(len(judged), bool), judged.labels < target.shape[1]
    whole = target.sum(1, keepdims=True)
    share = np.divide(target, whole, out=np.zeros_like(target), where=whole > 0)
    gains: dict[str, Floats | Hits] = {
        **{f"top {top}": measures.hits(probabilities, judged.labels, top=top) for top in (1, 3)},
        "soft top 3": measures.soft_hits(probabilities, share, top=3),
    }
    area = measures.of_ranking(judged, weights, positive=target > 0)["macro_auroc"]
    return {
        "macro auroc": (area, everyone),
        **{name: (measures.mean(gain, weights, among=ranked), ranked) for name, gain in gains.items()},
    }


def figures_of(
    held_out: HeldOut,
    measures_of: Measures = of_every_condition,
    *,
    pairs: Sequence[tuple[str, str]],
    tones: Mapping[str, tuple[str, tuple[str, ...]]] = TONES,
) -> ContenderFigures:
    """Return the figures of every contender and of the best constant list; all share the draws, so pairs are paired.

    `tones`: the groups of people, by scale and values, of which they are stated too.
    """
    labels = held_out.judged(next(iter(held_out.predictions.values()))).labels
    constant = np.bincount(labels, minlength=len(held_out.conditions)) / len(labels)
    predictions = {**held_out.predictions, FLOOR: np.tile(constant, (len(labels), 1))}
    judged = {name: held_out.judged(probabilities) for name, probabilities in predictions.items()}
    weights = measures.draw_weights(held_out.groups, np.random.default_rng(0))
    draws = {name: measures_of(one, weights) for name, one in judged.items()}
    by_tone: dict[str, ByContender] = {}
    for group, (scale, values) in tones.items():
        here = np.array([sample.slices.get(scale) in values for sample in held_out.dataset.samples])
        own = list(itertools.compress(held_out.groups, here))
        if here.any():
            by_tone[group] = {
                name: _estimates(measures_of(one.at(here), weights[:, here]), own) for name, one in judged.items()
            }
    return ContenderFigures(
        held_out=held_out,
        overall={name: _estimates(values, held_out.groups) for name, values in draws.items()},
        differences={(one, other): _differences(draws[one], draws[other], held_out.groups) for one, other in pairs},
        by_tone=by_tone,
    )


def _differences(one: Mapping[str, Draws], other: Mapping[str, Draws], groups: Sequence[str]) -> dict[str, Estimate]:
    less = {name: (values - other[name][0], among) for name, (values, among) in one.items()}
    return _estimates(less, groups, share=False)


def _estimates(draws: Mapping[str, Draws], groups: Sequence[str], *, share: bool = True) -> dict[str, Estimate]:
    estimates = {}
    for name, (values, among) in draws.items():
        figure = with_interval(values, list(itertools.compress(groups, among)), share=share)
        estimates[name] = Estimate(n=int(among.sum()), value=figure.value, interval=figure.interval)
    return estimates
