"""What a space of embeddings sorts cases by: conditions or skin tones, by three measures.

Each stands beside what chance gives.

The measures are of the space itself, never of a map of it. Vectors are float[N, E] of length 1, labels int[N], -1 where
a case has none.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import adjusted_mutual_info_score

from dermis.data.statistics import Floats, mean_interval

Ints = npt.NDArray[np.int64]
PERMUTATIONS = 200
_BLOCK = 1024


def case_vectors(embeddings: npt.NDArray[np.floating[Any]], owners: Sequence[int]) -> tuple[Ints, Floats]:
    """Return the owners that have an image, in order, and per owner the mean of its images' directions, of length 1."""
    places, rows = np.unique(np.asarray(owners), return_inverse=True)
    summed = np.zeros((len(places), embeddings.shape[1]))
    np.add.at(summed, rows, directions(embeddings))
    return places.astype(np.int64), directions(summed)


def directions(vectors: npt.NDArray[np.floating[Any]]) -> Floats:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12), np.float64)


def nearest(vectors: Floats, groups: Ints, k: int) -> tuple[Ints, Floats]:
    """Return the `k` most similar cases of other groups, int[N, k], the nearest first, and their cosines.

    Of equals the first.

    Fewer than `k` where there are not so many: k is then what every case has.
    """
    k = min(k, len(vectors) - int(np.unique(groups, return_counts=True)[1].max(initial=0)))
    if k <= 0:
        return np.empty((len(vectors), 0), np.int64), np.empty((len(vectors), 0))
    places, cosines = [], []
    for at in range(0, len(vectors), _BLOCK):
        block = vectors[at : at + _BLOCK] @ vectors.T
        block[groups[at : at + _BLOCK, None] == groups[None, :]] = -np.inf
        order = np.argsort(-block, axis=1, kind="stable")[:, :k]
        places.append(order)
        cosines.append(np.take_along_axis(block, order, axis=1))
    return np.concatenate(places), np.concatenate(cosines)


def alike(labels: Ints, near: Ints) -> Floats:
    """Return per case the share of its nearest that have its label."""
    return np.asarray((labels[near] == labels[:, None]).mean(1), np.float64)


def silhouettes(vectors: Floats, labels: Ints) -> Floats:
    """Return each case's silhouette (Rousseeuw 1987) by cosine distance, 0 for the only one of a label.

    The mean distance to a set of directions is 1 less the cosine to their mean: no pair is looked at.
    """
    names, label = np.unique(labels, return_inverse=True)
    counts = np.bincount(label).astype(float)
    sums = np.zeros((len(names), vectors.shape[1]))
    np.add.at(sums, label, vectors)
    cosines = vectors @ sums.T
    rows = np.arange(len(vectors))
    own = counts[label]
    inner = 1 - (cosines[rows, label] - (vectors**2).sum(1)) / np.maximum(own - 1, 1)
    distances = 1 - cosines / counts
    distances[rows, label] = np.inf
    outer = distances.min(1)
    value = (outer - inner) / np.maximum(np.maximum(inner, outer), 1e-12)
    return np.where((own > 1) & np.isfinite(outer), value, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sorted:
    """How far a space sorts `n` cases of `values` labels.

    An estimate, its interval where it is a mean over cases, what chance gives in the mean and at most (97.5 %), and
    `above`, the share of what is possible above chance that is reached.
    """

    measure: str
    n: int
    values: int
    estimate: float
    low: float | None
    high: float | None
    chance: float
    chance_high: float

    @property
    def above(self) -> float:
        return (self.estimate - self.chance) / (1 - self.chance) if self.chance < 1 else 0.0


def sorts_by(
    vectors: Floats, groups: Ints, clusters: Ints, labels: Ints, *, k: int, within: Ints | None = None, seed: int = 0
) -> list[Sorted]:
    """Return the three measures of cases that have a label (and one in `within`), [] if these have no two labels.

    Chance: labels permuted among these cases, 200 times; with `within` only among cases that are equal there, so that
    what the two labels share is no merit of the space. Cases that no cluster holds count as one cluster more.
    """
    labelled = (labels >= 0) & (True if within is None else within >= 0)
    vectors, groups, clusters, labels = vectors[labelled], groups[labelled], clusters[labelled], labels[labelled]
    strata = np.zeros(len(labels), np.int64) if within is None else within[labelled]
    near, _ = nearest(vectors, groups, k)
    if len(np.unique(labels)) < 2 or not near.shape[1]:
        return []
    by_case: dict[str, Callable[[Ints], Floats]] = {
        f"neighbours alike, of {near.shape[1]}": lambda permuted: alike(permuted, near),
        "silhouette": lambda permuted: silhouettes(vectors, permuted),
    }
    drawn = [_permuted(labels, strata, np.random.default_rng([seed, n])) for n in range(PERMUTATIONS)]
    rows = []
    for measure, of in by_case.items():
        estimate, low, high = mean_interval(of(labels), seed=seed)
        rows.append(_sorted(measure, labels, [float(of(permuted).mean()) for permuted in drawn], estimate, low, high))
    mutual = [float(adjusted_mutual_info_score(clusters, permuted)) for permuted in (labels, *drawn)]
    return [*rows, _sorted("adjusted mutual information with the clusters", labels, mutual[1:], mutual[0], None, None)]


def _sorted(
    measure: str, labels: Ints, by_chance: Sequence[float], estimate: float, low: float | None, high: float | None
) -> Sorted:
    return Sorted(
        measure=measure,
        n=len(labels),
        values=len(np.unique(labels)),
        estimate=estimate,
        low=low,
        high=high,
        chance=float(np.mean(by_chance)),
        chance_high=float(np.quantile(by_chance, 0.975)),
    )


def _permuted(labels: Ints, strata: Ints, rng: np.random.Generator) -> Ints:
    """Return labels in another order, each within its stratum."""
    shuffled = np.lexsort((rng.random(len(labels)), strata))
    permuted = np.empty_like(labels)
    permuted[np.argsort(strata, kind="stable")] = labels[shuffled]
    return permuted
