"""Paired differences of two models, or of one on other input, on the same cases, with their intervals."""

import itertools
from collections.abc import Sequence

import numpy as np
from scipy.stats import binomtest

from dermis.shared.errors import DermisError, Kind
from dermis.shared.evaluation import Interval, ReportModel
from dermis.shared.manifest import Manifest
from dermis.trainer import metrics as measures
from dermis.trainer.evaluation.decisions import at, decided
from dermis.trainer.evaluation.predictions import Predictions
from dermis.trainer.evaluation.report import interval_of, rounded
from dermis.trainer.evaluation.slices import TONE_SCALES, by_tone
from dermis.trainer.metrics import Floats, Judged

PAIRED = (
    "top_1",
    "top_3",
    "top_5",
    "top_1_soft",
    "top_3_soft",
    "balanced_accuracy",
    "macro_auroc",
    "brier",
    "brier_soft",
    "aurc",
)


class Difference(ReportModel):
    """A figure of this model, of the other one, and this minus the other on the same cases."""

    this: float | None
    other: float | None
    difference: float | None
    interval: Interval


class Differences(ReportModel):
    """The paired differences on `n` cases, each flat under its measure's name."""

    __pydantic_extra__: dict[str, Difference]
    n: int

    @property
    def differences(self) -> dict[str, Difference]:
        """The differences by measure."""
        return self.__pydantic_extra__


class SliceDifferences(Differences):
    """The differences among the cases of one value of a tone scale."""

    value: str


class McNemar(ReportModel):
    """The exact test of top-1 on the same cases (McNemar 1947)."""

    only_this_right: int
    only_other_right: int
    p: float


class Comparison(ReportModel):
    """How `model` differs from the model `against` on the same `n` cases; `slices`: by tone scale."""

    model: str
    against: str
    n: int
    differences: dict[str, Difference]
    mcnemar: McNemar
    slices: dict[str, tuple[SliceDifferences, ...]]


def compare(
    manifest: Manifest,
    predictions: Predictions,
    other_manifest: Manifest,
    other: Predictions,
    *,
    draws: int = measures.DRAWS,
) -> Comparison:
    """Return how a model differs from another one on the same cases.

    The difference is this minus the other, each figure by one set of bootstrap draws.

    `mcnemar`: the exact test of top-1 (McNemar 1947), which takes cases as independent. INVALID unless ids and
    reference differentials are the same.
    """
    if (
        predictions.ids != other.ids
        or predictions.conditions != other.conditions
        or not np.allclose(predictions.target, other.target, atol=1e-9)
    ):
        raise DermisError(
            Kind.INVALID,
            "NOT_PAIRED",
            f"{predictions.model} and {other.model} were not measured on the same cases: predict both",
        )
    labelled = predictions.labels >= 0
    predictions, other = at(predictions, labelled), at(other, labelled)
    one, two = decided(manifest, predictions)[0], decided(other_manifest, other)[0]
    rng = np.random.default_rng(0)
    weights = measures.draw_weights(predictions.groups, rng, draws=draws)
    rights = [measures.hits(judged.probabilities, judged.labels, top=1) for judged in (one, two)]
    only_one, only_two = int((rights[0] & ~rights[1]).sum()), int((rights[1] & ~rights[0]).sum())
    test = binomtest(only_one, only_one + only_two).pvalue if only_one + only_two else 1.0
    by_slice: dict[str, tuple[SliceDifferences, ...]] = dict.fromkeys(TONE_SCALES, ())
    for scale, value, here in by_tone(manifest, predictions):
        own = list(itertools.compress(predictions.groups, here))
        paired = differences(one.at(here), two.at(here), weights[:, here], own)
        by_slice[scale] += (SliceDifferences.model_validate({"value": value, "n": int(here.sum()), **paired}),)
    return Comparison(
        model=predictions.model,
        against=other.model,
        n=len(one),
        differences=differences(one, two, weights, predictions.groups),
        mcnemar=McNemar(only_this_right=only_one, only_other_right=only_two, p=float(test)),
        slices=by_slice,
    )


def differences(one: Judged, two: Judged, weights: Floats, groups: Sequence[str]) -> dict[str, Difference]:
    """Return by measure the paired difference of `one` minus `two`, on the same cases."""
    ours, theirs = measures.figures(one, weights), measures.figures(two, weights)
    return {
        name: Difference(
            this=rounded(ours[name][0]),
            other=rounded(theirs[name][0]),
            difference=rounded(ours[name][0] - theirs[name][0]),
            interval=interval_of(ours[name] - theirs[name], groups),
        )
        for name in PAIRED
    }
