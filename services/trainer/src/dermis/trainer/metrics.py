"""Measures of a differential under case weights, so that one call gives a figure and all its bootstrap draws.

scikit-learn has most of them for one weighting at a time, and the tests hold each against it; here `weights` [R,N]
holds R weightings of the N cases at once, and each measure returns [R]. docs/explanation/evaluation.md says what each
means and where it is from.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.integer[Any]]
Hits = npt.NDArray[np.bool_]
BINS = 10
DRAWS = 1000
FEWEST_GROUPS = 10
"""Groups of connected cases under which a bootstrap says nothing of the spread: no interval is given."""
TOPS = (1, 3, 5)
SELECTED = (0.5, 0.8)
"""Shares answered, most confident first, at which the risk is stated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """N cases as decided.

    Calibrated `probabilities` [N,K], `labels` [N], `target` [N,K], `sets` bool[N,K], `answered` bool[N].

    `fold` [N]: whose model spoke; only cases of one fold are ranked against each other. `reasons` [N]: why each got no
    answer, "" where it got one; None where nothing was decided.
    """

    probabilities: Floats
    labels: Ints
    target: Floats
    sets: Hits
    answered: Hits
    fold: Ints
    reasons: tuple[str, ...] | None = None

    @classmethod
    def undecided(cls, probabilities: Floats, *, labels: Ints, target: Floats, fold: Ints) -> "Judged":
        """Return cases of which nothing was decided: each is answered, and no set holds anything."""
        sets, answered = np.zeros(probabilities.shape, bool), np.ones(len(labels), bool)
        return cls(probabilities=probabilities, labels=labels, target=target, sets=sets, answered=answered, fold=fold)

    def __len__(self) -> int:
        return len(self.labels)

    def at(self, here: Hits) -> "Judged":
        return Judged(
            probabilities=self.probabilities[here],
            labels=self.labels[here],
            target=self.target[here],
            sets=self.sets[here],
            answered=self.answered[here],
            fold=self.fold[here],
            reasons=None if self.reasons is None else tuple(itertools.compress(self.reasons, here)),
        )


def draw_weights(groups: Sequence[str], rng: np.random.Generator, *, draws: int = DRAWS) -> npt.NDArray[np.float32]:
    """Return [1 + draws, N]: ones, then bootstrap weights.

    A draw takes whole groups of connected cases (Field & Welsh 2007).
    """
    _, place = np.unique(np.asarray(groups, str), return_inverse=True)
    count = int(place.max()) + 1
    drawn = rng.multinomial(count, np.full(count, 1 / count), draws)
    return np.concatenate([np.ones((1, len(place)), np.float32), drawn[:, place].astype(np.float32)])


def interval(samples: Floats) -> tuple[float, float] | None:
    """Return the middle 95 % of what `draw_weights` gave, the first value apart.

    None where less than half of the draws have a value.
    """
    drawn = samples[1:][np.isfinite(samples[1:])]
    if len(drawn) < max(1, (len(samples) - 1) / 2):
        return None
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(high)


def hits(probabilities: Floats, labels: Ints, *, top: int) -> Hits:
    """Return bool[N]: is the condition among the `top` most probable ones; of equal ones the first counts."""
    ranked = np.argsort(-probabilities, axis=1, kind="stable")[:, :top]
    return np.asarray((ranked == labels[:, None]).any(1))


def soft_hits(probabilities: Floats, target: Floats, *, top: int) -> Floats:
    """Return [N]: how much of the reference differential the `top` most probable conditions hold."""
    ranked = np.argsort(-probabilities, axis=1, kind="stable")[:, :top]
    return np.asarray(np.take_along_axis(target, ranked, axis=1).sum(1))


def mean(values: Floats | Hits, weights: Floats, *, among: Hits | None = None) -> Floats:
    """Return the weighted mean of [N] values, `among` some of the cases; NaN where none of them has weight."""
    here = np.ones(len(values)) if among is None else among.astype(float)
    return _ratio(weights @ (values * here), weights @ here)


def of_classes(judged: Judged, weights: Floats) -> dict[str, Floats]:
    """Return balanced accuracy and macro precision, recall and F1 over the conditions that have weight.

    Without a prediction, precision is 0.
    """
    size = judged.probabilities.shape[1]
    one_hot = np.eye(size)[_first(judged.probabilities)]
    true = np.eye(size)[judged.labels]
    both, actual, predicted = (weights @ table for table in (one_hot * true, true, one_hot))
    there = actual > 0
    recall = _over(_ratio(both, actual), there)
    return {
        "balanced_accuracy": recall,
        "macro_precision": _over(np.where(predicted > 0, both / np.maximum(predicted, 1e-12), 0), there),
        "macro_recall": recall,
        "macro_f1": _over(2 * both / np.maximum(actual + predicted, 1e-12), there),
    }


def of_ranking(judged: Judged, weights: Floats, *, positive: Hits | None = None) -> dict[str, Floats]:
    """Return macro AUROC and mean average precision.

    They take one condition against the rest, over those with weight on both sides. `positive` bool[N,K]: which cases
    have each of the first K conditions; by default the label alone.
    """
    there = np.arange(judged.probabilities.shape[1]) == judged.labels[:, None] if positive is None else positive
    rankings = [ranking(judged.probabilities[:, k], own, judged.fold, weights) for k, own in enumerate(there.T)]
    areas, precisions = (np.stack(each, 1) for each in zip(*rankings, strict=True))
    return {"macro_auroc": _nanmean(areas), "mean_average_precision": _nanmean(precisions)}


def ranking(scores: Floats, positive: Hits, fold: Ints, weights: Floats) -> tuple[Floats, Floats]:
    """Return AUROC (Mann-Whitney, ties count half) and average precision [R] of one condition.

    NaN without weight on both sides.

    Only pairs within a fold count: the models of two folds differ in their priors, and a constant has to come to 0.5.
    Average precision is the mean over folds, by their positives; a fold without a case on either side tells nothing.
    """
    won, pairs, precision, positives = np.zeros((4, len(weights)))
    for each in np.unique(fold):
        here = fold == each
        if positive[here].any() and not positive[here].all():
            own = _ranked(scores[here], positive[here], weights[:, here])
            won, pairs, precision, positives = won + own[0], pairs + own[1], precision + own[2], positives + own[3]
    return _ratio(won, pairs), _ratio(precision, positives)


def told_apart(base: Floats, other: Floats, base_weights: Floats, other_weights: Floats) -> Floats:
    """Return AUROC [R] of the scores of `other` cases against those of `base`, each drawn for itself."""
    scores, positive = np.r_[base, other], np.repeat([False, True], [len(base), len(other)])
    return ranking(scores, positive, np.zeros(len(scores), int), np.hstack([base_weights, other_weights]))[0]


def _ranked(scores: Floats, positive: Hits, weights: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Return [R] of one fold: pairs ranked rightly, all pairs, precision summed over the positives, and these."""
    order = np.argsort(-scores, kind="stable")
    there = positive[order]
    ties = np.flatnonzero(np.r_[True, np.diff(scores[order]) != 0])
    holds = np.logical_or.reduceat(there, ties)
    # Ties are one step; so are neighbouring ties without a positive, which change no precision at a positive.
    starts = ties[holds | np.r_[True, holds[:-1]]]
    place = np.searchsorted(starts, np.flatnonzero(there), side="right") - 1
    first = np.flatnonzero(np.r_[True, np.diff(place) != 0])
    total = np.add.reduceat(weights[:, order], starts, axis=1)
    above = np.zeros_like(total)
    above[:, place[first]] = np.add.reduceat(weights[:, order[there]], first, axis=1)
    below = total - above
    hit, missed = above.cumsum(1), below.cumsum(1)
    positives, negatives = hit[:, -1], missed[:, -1]
    area = (below * (hit - above / 2)).sum(1, dtype=np.float64)
    precision = (above * (hit / np.maximum(hit + missed, 1e-12))).sum(1, dtype=np.float64)
    defined = negatives > 0
    return area, positives * negatives, precision * defined, positives * defined


def calibration_error(confidence: Floats, right: Floats | Hits, weights: Floats, *, bins: int = BINS) -> Floats:
    """Return the expected calibration error over equal-width bins (Naeini et al. 2015); `right` may be a share."""
    gaps = np.eye(bins)[bin_of(confidence, bins=bins)] * (confidence - right)[:, None]
    return _ratio(np.abs(weights @ gaps).sum(1), weights.sum(1))


def bin_of(confidence: Floats, *, bins: int = BINS) -> Ints:
    return np.asarray(np.clip((confidence * bins).astype(int), 0, bins - 1))


def risk_curve(confidence: Floats, wrong: Floats | Hits, weights: Floats) -> tuple[Floats, Floats]:
    """Return the share answered and the risk among these, each [R,N], as cases are answered from the most confident on.

    Cases of equal confidence are answered together: each has the risk of all of them (El-Yaniv & Wiener 2010).
    """
    order = np.argsort(-confidence, kind="stable")
    sorted_weights = np.asarray(weights[:, order], np.float64)
    answered, lost = sorted_weights.cumsum(1), (sorted_weights * wrong[order]).cumsum(1)
    last = np.searchsorted(-confidence[order], -confidence[order], side="right") - 1
    return _ratio(answered, answered[:, -1:])[:, last], _ratio(lost, answered)[:, last]


def of_selection(confidence: Floats, wrong: Hits, weights: Floats) -> dict[str, Floats]:
    """Return the area under the risk-coverage curve (Geifman et al. 2019) and the risk at each share of `SELECTED`."""
    share, risk = risk_curve(confidence, wrong, weights)
    sorted_weights = weights[:, np.argsort(-confidence, kind="stable")]
    values = {"aurc": _ratio(np.nansum(risk * sorted_weights, axis=1), sorted_weights.sum(1))}
    for answered in SELECTED:
        place = (share < answered - 1e-9).sum(1).clip(max=len(confidence) - 1)
        values[f"risk_at_{answered:.0%}".replace("%", "_percent")] = risk[np.arange(len(risk)), place]
    return values


def figures(judged: Judged, weights: Floats) -> dict[str, Floats]:
    """Return every measure of the cases as decided, each [R]."""
    size = judged.probabilities.shape[1]
    confidence, first = judged.probabilities.max(1), _first(judged.probabilities)
    right = first == judged.labels
    mass = judged.target[np.arange(len(judged)), first]
    values: dict[str, Floats] = {}
    for top in TOPS:
        values[f"top_{top}"] = mean(hits(judged.probabilities, judged.labels, top=top), weights)
        values[f"top_{top}_soft"] = mean(soft_hits(judged.probabilities, judged.target, top=top), weights)
    values |= of_classes(judged, weights) | of_ranking(judged, weights)
    return values | {
        "brier": mean(((judged.probabilities - np.eye(size)[judged.labels]) ** 2).sum(1), weights),
        "brier_soft": mean(((judged.probabilities - judged.target) ** 2).sum(1), weights),
        "expected_calibration_error": calibration_error(confidence, right, weights),
        "expected_calibration_error_soft": calibration_error(confidence, mass, weights),
        "set_coverage": mean(judged.sets[np.arange(len(judged)), judged.labels], weights),
        "set_coverage_soft": mean((judged.sets * judged.target).sum(1), weights),
        "set_size": mean(judged.sets.sum(1), weights),
        **of_selection(confidence, ~right, weights),
        "abstained": mean(~judged.answered, weights),
        "top_1_answered": mean(right, weights, among=judged.answered),
        "top_3_answered": mean(hits(judged.probabilities, judged.labels, top=3), weights, among=judged.answered),
    }


def floor(labels: Ints, prior: Floats, *, top: int) -> float:
    """Return the hit rate of the best constant list, chosen by the `prior` of the training cases."""
    return float(hits(np.tile(prior, (len(labels), 1)), labels, top=top).mean())


def soft_floor(target: Floats, prior: Floats, *, top: int) -> float:
    """Return how much of the reference differentials that list holds."""
    return float(soft_hits(np.tile(prior, (len(target), 1)), target, top=top).mean())


def perfect_calibration_error(
    confidence: Floats, rng: np.random.Generator, *, draws: int = DRAWS
) -> tuple[float, float]:
    """Return mean and 95th percentile of the error that perfectly calibrated confidences would show by chance."""
    one = np.ones((1, len(confidence)))
    errors = [
        calibration_error(confidence, rng.uniform(size=len(confidence)) < confidence, one)[0] for _ in range(draws)
    ]
    return float(np.mean(errors)), float(np.quantile(errors, 0.95))


def perfect_soft_calibration_error(
    confidence: Floats, mass: Floats, rng: np.random.Generator, *, draws: int = DRAWS
) -> tuple[float, float]:
    """Return the same for shares `mass` of a reference differential, which scatter less than 0 and 1 do.

    Their distances from the confidence are kept and signs drawn (wild bootstrap, Wu 1986).
    """
    signs = rng.choice([-1.0, 1.0], (draws, len(confidence)))
    gaps = (confidence - mass)[:, None] * np.eye(BINS)[bin_of(confidence)]
    errors = np.abs(signs @ gaps).sum(1) / len(confidence)
    return float(errors.mean()), float(np.quantile(errors, 0.95))


def perfect_coverage(
    coverage: float, rng: np.random.Generator, *, calibrated_on: int, n: int, draws: int = 10_000
) -> tuple[float, float]:
    """Return the middle 95 % of the coverage seen on n cases with an exact threshold from `calibrated_on` cases.

    The true coverage is Beta distributed (Vovk 2012), the coverage seen binomial given that.
    """
    k = int(np.floor((calibrated_on + 1) * (1 - coverage) + 1e-9))
    true = rng.beta(calibrated_on + 1 - k, k, draws) if k else np.ones(draws)
    low, high = np.quantile(rng.binomial(n, true) / n, [0.025, 0.975])
    return float(low), float(high)


def chance_gap(
    values: Floats | Hits, groups: Sequence[str], slices: Sequence[str], rng: np.random.Generator, *, draws: int = DRAWS
) -> tuple[float, float]:
    """Return mean and 95th percentile of the largest difference between slices if values did not depend on them.

    Values are dealt anew among the slices, connected cases together where they share a slice (a permutation test,
    Fisher 1935).
    """
    names, place = np.unique(np.asarray(slices, str), return_inverse=True)
    _, block = np.unique(
        [f"{group}\0{value}" for group, value in zip(groups, slices, strict=True)], return_inverse=True
    )
    slice_of_block = np.zeros(block.max() + 1, int)
    slice_of_block[block] = place
    totals, sizes = np.bincount(block, values), np.bincount(block)
    gaps = []
    for _ in range(draws):
        dealt = rng.permutation(slice_of_block)
        counts = np.bincount(dealt, sizes, len(names))
        means = np.bincount(dealt, totals, len(names)) / np.maximum(counts, 1)
        gaps.append(np.ptp(means[counts > 0]))
    return float(np.mean(gaps)), float(np.quantile(gaps, 0.95))


def agreement_of_graders(
    graders: Sequence[Sequence[Mapping[str, float]]], groups: Sequence[str], rng: np.random.Generator
) -> dict[str, Any]:
    """Return how well one grader's first condition agrees with the others', over cases with several graders.

    `top_1`: share of ordered pairs of graders whose first conditions are one; `soft`: what the others' mean
    differential gives to it;
    `any`: whether any other names it at all. With intervals by group. Cases with fewer than two graders don't count.
    """
    rows, kept = [], []
    for differentials, group in zip(graders, groups, strict=True):
        named = [each for each in differentials if each]
        if len(named) < 2:
            continue
        firsts = [max(each, key=lambda name: each[name]) for each in named]
        pairs = [(one, other) for one in range(len(named)) for other in range(len(named)) if one != other]
        rows.append(
            (
                np.mean([firsts[one] == firsts[other] for one, other in pairs]),
                np.mean([named[other].get(firsts[one], 0.0) for one, other in pairs]),
                np.mean(
                    [
                        any(firsts[one] in named[other] for other in range(len(named)) if other != one)
                        for one in range(len(named))
                    ]
                ),
            )
        )
        kept.append(group)
    if not rows:
        return {"n": 0}
    weights = draw_weights(kept, rng)
    table = np.array(rows)
    report: dict[str, Any] = {"n": len(rows), "groups": len(set(kept))}
    for name, column in zip(("top_1", "soft", "any"), table.T, strict=True):
        samples = mean(column, weights)
        report[name], report[f"{name}_interval"] = (
            float(samples[0]),
            interval(samples) if report["groups"] >= FEWEST_GROUPS else None,
        )
    return report


def _first(probabilities: Floats) -> Ints:
    return np.argsort(-probabilities, axis=1, kind="stable")[:, 0]


def _ratio(numerator: Floats, denominator: Floats, *, nothing: float = np.nan) -> Floats:
    there = denominator > 0
    return np.where(there, numerator / np.where(there, denominator, 1), nothing)


def _over(values: Floats, there: Hits) -> Floats:
    return _ratio(np.where(there, values, 0).sum(1), there.sum(1))


def _nanmean(values: Floats) -> Floats:
    return _over(np.nan_to_num(values), np.isfinite(values))
