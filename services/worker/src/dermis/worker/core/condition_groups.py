"""Answers over a tree of conditions and groups: a nested family, and the narrowest member that is sure enough.

Source: Mortier et al. 2025, Conformal Prediction in Hierarchical Classification with Constrained Representation
Complexity (arXiv:2501.19038): prediction sets of at most r nodes of a hierarchy, split conformal over a nested family.
The family here is grown from its widest member down, so that it is nested by construction.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dermis.shared.manifest import Condition, ConditionGroup, GroupedAnswers

Floats = npt.NDArray[np.floating[Any]]
_EQUAL = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A condition (`height` 0) or a group; `places`: of its conditions among the model's."""

    id: str
    name: str
    places: tuple[int, ...]
    children: tuple["Node", ...] = ()
    height: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class NestedAnswer:
    """Nodes, most probable first, none within another, and what probability they hold together."""

    entries: tuple[Node, ...]
    probability: float

    @property
    def places(self) -> list[int]:
        return [place for entry in self.entries for place in entry.places]


def top_nodes(conditions: Sequence[Condition], groups: Sequence[ConditionGroup], *, largest_share: float) -> list[Node]:
    """Return the widest nodes that may be an answer; they hold every condition once.

    A group with more than `largest_share` of the conditions gives way to what it holds; a condition without a group
    stands alone.
    """
    place = {condition.id: n for n, condition in enumerate(conditions)}
    leaves = {each.id: Node(id=each.id, name=each.name, places=(place[each.id],)) for each in conditions}

    def node(group: ConditionGroup) -> Node:
        within = [node(other) for other in groups if other.parent == group.id]
        children = (*within, *(leaves[condition] for condition in group.conditions))
        return Node(
            id=group.id,
            name=group.name,
            places=tuple(n for child in children for n in child.places),
            children=children,
            height=1 + max(child.height for child in children),
        )

    grouped = {condition for group in groups for condition in group.conditions}
    tops = [node(group) for group in groups if group.parent is None]
    alone = [leaf for name, leaf in leaves.items() if name not in grouped]
    return [each for top in (*tops, *alone) for each in _small_enough(top, largest_share * len(conditions))]


def _small_enough(node: Node, most: float) -> Iterator[Node]:
    if len(node.places) <= most or not node.children:
        yield node
    else:
        for child in node.children:
            yield from _small_enough(child, most)


def nested_answers(probabilities: Floats, tops: Sequence[Node], *, most_entries: int) -> list[NestedAnswer]:
    """Return answers from the narrowest to the widest, each within the next, of at most `most_entries` nodes.

    The widest holds the most probable of `tops`. Each step down drops an entry, or takes the most probable of what is
    directly within it instead: whichever costs the least probability for each condition that it removes.
    `probabilities` [K] add up to 1.
    """

    def mass(nodes: Sequence[Node]) -> float:
        return float(sum(probabilities[place] for node in nodes for place in node.places))

    entries = _most_probable(tops, mass)[:most_entries]
    family: list[NestedAnswer] = []
    while entries:
        answer = NestedAnswer(entries=tuple(_most_probable(entries, mass)), probability=mass(entries))
        if not family or len(answer.places) < len(family[-1].places):
            family.append(answer)
        elif len(entries) <= len(family[-1].entries):  # a group of one: name the one
            family[-1] = answer
        entries = min(_narrower(entries, mass, most_entries), key=lambda step: step[0], default=(0.0, []))[1]
    return family[::-1]


def _narrower(
    entries: list[Node], mass: Callable[[Sequence[Node]], float], most_entries: int
) -> Iterator[tuple[float, list[Node]]]:
    """Yield what each step down costs, in probability for each condition removed, and what it leaves."""
    for entry in entries:
        rest = [other for other in entries if other is not entry]
        if rest:
            yield mass([entry]) / len(entry.places), rest
        children = _most_probable(entry.children, mass)
        for count in range(1, min(len(children), most_entries - len(rest)) + 1):
            kept, left = children[:count], children[count:]
            removed = sum(len(child.places) for child in left)
            yield mass(left) / removed if removed else -1.0, [*rest, *kept]


def _most_probable(nodes: Sequence[Node], mass: Callable[[Sequence[Node]], float]) -> list[Node]:
    """Return nodes, the most probable first; of equals the one that comes first."""
    return sorted(nodes, key=lambda node: -mass([node]))


def narrowest_above(family: Sequence[NestedAnswer], threshold: float) -> NestedAnswer | None:
    """Return the first answer whose probability exceeds the threshold; None, an abstention, where none does."""
    return next((answer for answer in family if answer.probability > threshold + _EQUAL), None)


def needed_threshold(family: Sequence[NestedAnswer], conditions: int) -> npt.NDArray[np.float64]:
    """Return [K] the least threshold at which the answer, or the abstention, holds each condition.

    An abstention holds all. Never falls as a condition enters later: that is the conformity score of the condition.
    """
    needed = np.full(conditions, family[-1].probability)
    for narrower, wider in reversed(list(zip([None, *family], family, strict=False))):
        needed[wider.places] = narrower.probability if narrower else 0.0
    return needed


def grouped_answer(probabilities: Floats, conditions: Sequence[Condition], sets: GroupedAnswers) -> NestedAnswer | None:
    """Return the answer of a bundle's rule to calibrated probabilities [K]; None where it abstains."""
    tops = top_nodes(conditions, sets.groups, largest_share=sets.largest_share)
    return narrowest_above(nested_answers(probabilities, tops, most_entries=sets.most_entries), sets.threshold)
