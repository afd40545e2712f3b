"""Near-duplicate images and their groups.

They are pairs of 64-bit perceptual hashes within a Hamming radius, found by an index.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations, pairwise
from math import comb
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

Hashes = npt.NDArray[np.uint64]
Pairs = npt.NDArray[np.int64]
_BITS = 64
_SLAB = 1 << 22


def near_pairs(hashes: Hashes, radius: int) -> tuple[Pairs, npt.NDArray[np.int64]]:
    """Return every pair of places (i < j) whose hashes differ in at most `radius` bits.

    The pairs are int[P, 2]; beside them stands in how many bits they differ, int[P].

    Multi-index hashing (Norouzi, Punjani, Fleet 2012): of m pieces of two such hashes one differs in at most radius //
    m bits, so only hashes that agree in a piece, but for so many bits, are compared. Of equal hashes each is paired
    with the first alone.
    """
    values, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
    candidates = [_ordered(first[pairs]) for pairs in _candidates(values, radius)]
    places = np.arange(len(hashes))
    later = places != first[inverse]
    pairs = np.concatenate([*candidates, np.stack([first[inverse[later]], places[later]], axis=1)]).astype(np.int64)
    pairs = np.unique(pairs, axis=0) if len(pairs) else pairs.reshape(0, 2)
    return pairs, np.bitwise_count(hashes[pairs[:, 0]] ^ hashes[pairs[:, 1]]).astype(np.int64)


def _candidates(values: Hashes, radius: int) -> Iterator[Pairs]:
    """Yield pairs of places in `values`, which are distinct, within the radius; a pair may come more than once."""
    n = len(values)
    pieces = min(range(1, 9), key=lambda pieces: _cost(n, pieces, radius))
    for low, high in pairwise(np.linspace(0, _BITS, pieces + 1).astype(int).tolist()):
        whole = np.uint64((1 << (high - low)) - 1)
        keys = values >> np.uint64(low) & whole
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        ends = np.searchsorted(keys, keys, "right")
        for mask in _masks(high - low, radius // pieces):
            if mask:
                wanted = keys ^ np.uint64(mask)
                starts = np.searchsorted(keys, wanted, "left")
                stops = np.where(
                    wanted > keys, np.searchsorted(keys, wanted, "right"), starts
                )  # the other side finds the rest
            else:
                starts, stops = np.arange(1, n + 1), ends
            yield from _compared(values[order], order, starts, stops - starts, radius)


def _cost(n: int, pieces: int, radius: int) -> float:
    """Return about how long a search takes a hash, in comparisons, of which looking up one mask takes four."""
    width = _BITS / pieces
    masks = sum(comb(round(width), flips) for flips in range(radius // pieces + 1))
    return pieces * masks * (4 + n / 2**width / 2)


def _masks(width: int, flips: int) -> list[int]:
    return [sum(1 << bit for bit in bits) for count in range(flips + 1) for bits in combinations(range(width), count)]


def _compared(values: Hashes, order: Pairs, starts: Pairs, counts: Pairs, radius: int) -> Iterator[Pairs]:
    """Yield of each place's `counts` neighbours from `starts` on those within the radius.

    At most some millions at a time.
    """
    before = np.concatenate([[0], np.cumsum(counts)])
    at = 0
    while at < len(counts):
        end = max(int(np.searchsorted(before, before[at] + _SLAB, "right")) - 1, at + 1)
        left = np.repeat(np.arange(at, end), counts[at:end])
        right = np.arange(before[at], before[end]) - np.repeat(before[at:end] - starts[at:end], counts[at:end])
        near = np.bitwise_count(values[left] ^ values[right]) <= radius
        yield np.stack([order[left[near]], order[right[near]]], axis=1)
        at = end


def _ordered(pairs: Pairs) -> Pairs:
    return np.sort(pairs, axis=1)


def similar_pairs(embeddings: npt.NDArray[np.floating[Any]], least: float) -> tuple[Pairs, npt.NDArray[np.float64]]:
    """Return the pairs of rows of float[N, E] whose cosine is at least `least`, int[P, 2], and the cosines.

    All pairs, by blocks.
    """
    rows = np.asarray(embeddings, np.float32)
    rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    pairs, cosines = [np.empty((0, 2), np.int64)], [np.empty(0)]
    for at in range(0, len(rows), 1024):
        block = rows[at : at + 1024] @ rows[at:].T
        left, right = np.nonzero(np.triu(block >= least, k=1))
        pairs.append(np.stack([left + at, right + at], axis=1))
        cosines.append(block[left, right].astype(np.float64))
    return np.concatenate(pairs), np.concatenate(cosines)


def grouped(n: int, pairs: Sequence[Pairs]) -> npt.NDArray[np.int64]:
    """Return the group of each of `n` images, int[n]: connected by pairs, named by its first place.

    -1 of one that stands alone.
    """
    every = np.concatenate([np.empty((0, 2), np.int64), *pairs])
    _, component = connected_components(
        coo_array((np.ones(len(every)), (every[:, 0], every[:, 1])), shape=(n, n)), directed=False
    )
    _, first, counts = np.unique(component, return_index=True, return_counts=True)
    return np.where(counts[component] > 1, first[component], -1)
