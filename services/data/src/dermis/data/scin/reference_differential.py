"""SCIN's reference differential, recomputed from what each dermatologist wrote.

The tables join the dermatologists' lists end to end and do not say where one ends. At most three conditions come from
each, and the published weights follow from the lists, so the place of each end can be found: it is where the recomputed
weights are the published ones.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

GraderList = tuple[tuple[str, int], ...]
"""One dermatologist's conditions with confidences 1-5, in the order listed.

The most likely comes first, as they were asked to.
"""

MOST_PER_GRADER = 3


def weigh(lists: Sequence[GraderList]) -> dict[str, float]:
    """Return the weight of each condition; weights add up to 1.

    A condition of rank r by confidence weighs 1/r, tied conditions share the mean of theirs; sums over dermatologists
    are normalised once.
    """
    total: dict[str, float] = {}
    for graded in lists:
        ranked = sorted((confidence for _, confidence in graded), reverse=True)
        for name, confidence in graded:
            first, ties = ranked.index(confidence) + 1, ranked.count(confidence)
            total[name] = total.get(name, 0.0) + sum(1 / rank for rank in range(first, first + ties)) / ties
    whole = sum(total.values())
    return {name: weight / whole for name, weight in total.items()}


def grader_lists(
    names: Sequence[str], confidences: Sequence[int], *, graders: int, published: Mapping[str, float]
) -> list[tuple[GraderList, ...]]:
    """Return the likeliest ways to cut the lists among `graders`.

    Empty lists are left out; each way gives the published weights to 2 decimals.

    A dermatologist who could grade may still have written nothing (several conditions seen), and hardly names a
    condition twice: ways with the fewest such come back. None at all: the weights do not follow from the lists.
    Several: nobody can tell whose words are whose.
    """
    written = tuple(zip(names, confidences, strict=True))
    if not written:
        return []
    cuts = {
        tuple(written[start:end] for start, end in pairwise(ends) if end > start)
        for ends in _cuts(len(written), graders)
    }
    ways = [way for way in cuts if {name: round(weight, 2) for name, weight in weigh(way).items()} == published]
    least = min(map(_strangeness, ways), default=None)
    return sorted(way for way in ways if _strangeness(way) == least)


def _strangeness(way: tuple[GraderList, ...]) -> tuple[int, int]:
    repeats = sum(len(graded) - len({name for name, _ in graded}) for graded in way)
    return repeats, -len(way)


def _cuts(length: int, graders: int) -> Iterator[tuple[int, ...]]:
    if graders == 0:
        if length == 0:
            yield (0,)
        return
    for last in range(min(MOST_PER_GRADER, length), -1, -1):
        for cut in _cuts(length - last, graders - 1):
            yield (*cut, length)
