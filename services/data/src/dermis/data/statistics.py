"""Shares, differences and agreement with 95 % intervals; each function names its method and source."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Z = 1.959963984540054
RESAMPLES = 1000


def wilson(successes: npt.ArrayLike, n: npt.ArrayLike, *, z: float = Z) -> tuple[Floats, Floats]:
    """Return the Wilson score interval of a share (Wilson 1927); (0, 1) where n is 0."""
    k, size = np.asarray(successes, float), np.asarray(n, float)
    trials = np.maximum(size, 1)
    share = k / trials
    centre = share + z**2 / (2 * trials)
    half = z * np.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    scale = 1 + z**2 / trials
    low = np.where(k == 0, 0, (centre - half) / scale)
    high = np.where(k == size, 1, (centre + half) / scale)
    return np.where(size > 0, low, 0.0), np.where(size > 0, high, 1.0)


def share_difference(
    a: npt.ArrayLike, n_a: npt.ArrayLike, b: npt.ArrayLike, n_b: npt.ArrayLike, *, z: float = Z
) -> tuple[Floats, Floats, Floats]:
    """Return share b - share a with its hybrid score interval (Newcombe 1998, method 10)."""
    (low_a, high_a), (low_b, high_b) = wilson(a, n_a, z=z), wilson(b, n_b, z=z)
    share_a = np.asarray(a, float) / np.maximum(np.asarray(n_a, float), 1)
    share_b = np.asarray(b, float) / np.maximum(np.asarray(n_b, float), 1)
    difference = share_b - share_a
    low = difference - np.sqrt((share_b - low_b) ** 2 + (high_a - share_a) ** 2)
    high = difference + np.sqrt((high_b - share_b) ** 2 + (share_a - low_a) ** 2)
    return difference, low, high


def holm_differences(
    pairs: Mapping[str, tuple[int, int, int, int]], *, alpha: float = 0.05
) -> dict[str, tuple[float, float, float]]:
    """Return share b - share a of each (a, n_a, b, n_b) with intervals that hold together at 1 - `alpha`.

    The most certain difference of m gets Newcombe's interval at 1 - alpha / m, the next at 1 - alpha / (m - 1); from
    the first that holds 0 on, the level stays (Holm 1979, by the two-sided test of two shares).
    """
    certain = sorted(pairs, key=lambda name: -abs(_two_shares(*pairs[name])))
    intervals, left = {}, len(certain)
    for name in certain:
        intervals[name] = share_difference(*pairs[name], z=NormalDist().inv_cdf(1 - alpha / (2 * left)))
        if intervals[name][1] > 0 or intervals[name][2] < 0:
            left = max(1, left - 1)
    return {name: (float(one), float(low), float(high)) for name in pairs for one, low, high in (intervals[name],)}


def _two_shares(a: int, n_a: int, b: int, n_b: int) -> float:
    """Return z of the test that two shares are one; 0 where it has nothing to go by."""
    if not n_a or not n_b:
        return 0.0
    pooled = (a + b) / (n_a + n_b)
    spread = (pooled * (1 - pooled) * (1 / n_a + 1 / n_b)) ** 0.5
    return (b / n_b - a / n_a) / spread if spread else 0.0


def agreement(pairs: Floats, *, seed: int = 0) -> dict[str, tuple[float, float, float]]:
    """Return exact and within-one agreement, mean absolute difference and quadratic-weighted kappa.

    Each has an interval (kappa: Cohen 1968).

    `pairs`: [cases, K, K], how often two raters gave grades i and j to a case. Intervals: percentile bootstrap over
    cases, 1,000 resamples.
    """
    cases, size, _ = pairs.shape
    flat = pairs.reshape(cases, size * size)
    draws = np.random.default_rng(seed).multinomial(cases, np.full(cases, 1 / cases), RESAMPLES)
    tables = np.concatenate([flat.sum(0, keepdims=True), draws @ flat]).reshape(-1, size, size)
    tables = tables[tables.sum((1, 2)) > 0]
    tables = tables / tables.sum((1, 2), keepdims=True)
    gap = np.abs(np.subtract.outer(np.arange(size), np.arange(size)))
    by_chance = tables.sum(2)[:, :, None] * tables.sum(1)[:, None, :]
    expected = (by_chance * gap**2).sum((1, 2))
    measures = {
        "exact": (tables * (gap == 0)).sum((1, 2)),
        "within one": (tables * (gap <= 1)).sum((1, 2)),
        "mean absolute difference": (tables * gap).sum((1, 2)),
        # Without any spread in the grades kappa is undefined.
        "quadratic-weighted kappa": 1 - (tables * gap**2).sum((1, 2)) / np.where(expected > 0, expected, np.nan),
    }
    return {name: _with_interval(values[0], values[1:]) for name, values in measures.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Kappa:
    """Agreement beyond chance on `n` cases; `observed`: the share of pairs of ratings that agree.

    `low` and `high`: percentile bootstrap over cases, 1,000 resamples. NaN where only one value was ever given: kappa
    is undefined.
    """

    n: int
    observed: float
    kappa: float
    low: float
    high: float


def cohen_kappa(one: Sequence[str], other: Sequence[str], *, seed: int = 0) -> Kappa:
    """Return the agreement of two raters on the same cases, values without an order (Cohen 1960)."""
    columns, places = _columns([*one, *other])
    first, second = np.eye(columns)[places[: len(one)]], np.eye(columns)[places[len(one) :]]
    weights = _draws(len(one), seed)
    size = weights.sum(1)
    observed = weights @ (first * second).sum(1) / size
    expected = ((weights @ first) * (weights @ second)).sum(1) / size**2
    return _kappa(len(one), observed, expected)


def fleiss_kappa(ratings: Sequence[Sequence[str]], *, seed: int = 0) -> Kappa:
    """Return the agreement of two or more raters a case, whoever they are (Fleiss 1971).

    Cases may have different numbers of ratings (Fleiss, Levin & Paik 2003, 18.3): a case's pairs count as one case.
    """
    sizes = np.array([len(each) for each in ratings])
    columns, places = _columns([value for each in ratings for value in each])
    counts = np.zeros((len(ratings), columns))
    np.add.at(counts, (np.repeat(np.arange(len(ratings)), sizes), places), 1)
    weights = _draws(len(ratings), seed)
    agreed = ((counts**2).sum(1) - sizes) / (sizes * (sizes - 1))
    shares = weights @ counts / (weights @ sizes)[:, None]
    return _kappa(len(ratings), weights @ agreed / weights.sum(1), (shares**2).sum(1))


def _columns(values: Sequence[str]) -> tuple[int, npt.NDArray[np.intp]]:
    unique, places = np.unique(np.asarray(values, str), return_inverse=True)
    return len(unique), places


def _draws(cases: int, seed: int) -> Floats:
    """Return float64[1 + RESAMPLES, cases]: ones, then how often each case was drawn."""
    drawn = np.random.default_rng(seed).multinomial(cases, np.full(cases, 1 / cases), RESAMPLES)
    return np.concatenate([np.ones((1, cases)), drawn])


def _kappa(n: int, observed: Floats, expected: Floats) -> Kappa:
    beyond = np.where(expected < 1 - 1e-12, 1 - expected, np.nan)
    value, low, high = _with_interval(
        (observed[0] - expected[0]) / beyond[0], (observed[1:] - expected[1:]) / beyond[1:]
    )
    return Kappa(n=n, observed=float(observed[0]), kappa=value, low=low, high=high)


def share_interval(values: Floats, *, seed: int = 0) -> tuple[float, float, float]:
    """Return the mean of one share per case with its interval: `mean_interval`, Wilson's where all are 0 or all 1."""
    if len(values) and values.min() == values.max() and values[0] in (0, 1):
        low, high = wilson(values.sum(), len(values))
        return float(values[0]), float(low), float(high)
    return mean_interval(values, seed=seed) if len(values) else (np.nan, np.nan, np.nan)


def mean_interval(values: Floats, *, seed: int = 0) -> tuple[float, float, float]:
    """Return the mean of one value per case with a percentile bootstrap over cases, 1,000 resamples."""
    draws = np.random.default_rng(seed).multinomial(len(values), np.full(len(values), 1 / len(values)), RESAMPLES)
    return _with_interval(values.mean(), draws @ values / len(values))


def _with_interval(value: np.float64, resampled: Floats) -> tuple[float, float, float]:
    finite = resampled[~np.isnan(resampled)]
    low, high = np.percentile(finite, [2.5, 97.5]) if finite.size else (np.nan, np.nan)
    return float(value), float(low), float(high)
