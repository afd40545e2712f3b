"""Answers over a tree: nested, of few entries, no wider than allowed, and wider where more has to be sure."""

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dermis.shared.manifest import Condition, ConditionGroup, GroupedAnswers
from dermis.worker.core.condition_groups import (
    grouped_answer,
    narrowest_above,
    needed_threshold,
    nested_answers,
    top_nodes,
)

CONDITIONS = tuple(Condition(id=f"C{n}", name=f"Condition {n}") for n in range(20))


def group(name: str, first: int, last: int, parent: str | None = None) -> ConditionGroup:
    return ConditionGroup(id=name, name=name, parent=parent, conditions=tuple(f"C{n}" for n in range(first, last)))


GROUPS = (
    ConditionGroup(id="P", name="P"),
    ConditionGroup(id="WIDE", name="WIDE"),
    group("A", 0, 3, "P"),
    group("B", 3, 5, "P"),
    group("D", 5, 9, "WIDE"),
    group("E", 9, 13, "WIDE"),
    group("F", 13, 18),
)  # C18 and C19 stand alone
TOPS = top_nodes(CONDITIONS, GROUPS, largest_share=0.25)


@st.composite
def distributions(draw: st.DrawFn) -> npt.NDArray[np.float64]:
    weights = np.array(draw(st.lists(st.floats(0, 1), min_size=20, max_size=20).filter(lambda w: sum(w) > 0.01)))
    return weights / weights.sum()


def peaked(*places: int, rest: float = 0.02) -> npt.NDArray[np.float64]:
    values = np.full(20, rest / 20)
    values[list(places)] += (1 - rest) / len(places)
    return values


def test_a_group_over_a_quarter_of_the_conditions_gives_way_to_what_it_holds() -> None:
    assert [node.id for node in TOPS] == ["P", "D", "E", "F", "C18", "C19"]
    assert [node.height for node in TOPS] == [2, 1, 1, 1, 0, 0]
    assert sorted(place for node in TOPS for place in node.places) == list(range(20))


@given(p=distributions(), most_entries=st.integers(1, 3))
def test_answers_are_nested_of_few_entries_and_none_over_a_quarter(
    p: npt.NDArray[np.float64], most_entries: int
) -> None:
    family = nested_answers(p, TOPS, most_entries=most_entries)
    for narrower, wider in itertools.pairwise(family):
        assert set(narrower.places) <= set(wider.places)
        assert len(narrower.places) < len(wider.places)
        assert narrower.probability <= wider.probability + 1e-12
    for answer in family:
        assert 1 <= len(answer.entries) <= most_entries
        assert len(set(answer.places)) == len(answer.places)
        assert all(len(entry.places) <= 5 for entry in answer.entries)
        assert answer.probability == pytest.approx(p[answer.places].sum())
    assert len(family[0].places) == 1


@given(p=distributions(), low=st.floats(0, 1), high=st.floats(0, 1))
def test_a_higher_threshold_never_holds_less(p: npt.NDArray[np.float64], low: float, high: float) -> None:
    family = nested_answers(p, TOPS, most_entries=3)
    low, high = sorted((low, high))
    narrow, wide = narrowest_above(family, low), narrowest_above(family, high)
    assert wide is None or (narrow is not None and set(narrow.places) <= set(wide.places))


@given(p=distributions(), threshold=st.floats(0, 1))
def test_a_condition_is_held_from_the_threshold_on_that_it_needs(p: npt.NDArray[np.float64], threshold: float) -> None:
    family = nested_answers(p, TOPS, most_entries=3)
    needed, answer = needed_threshold(family, 20), narrowest_above(family, threshold)
    inside = np.ones(20, bool)
    if answer:
        inside[:] = False
        inside[answer.places] = True
    clear = np.abs(needed - threshold) > 1e-6
    assert (inside == (needed <= threshold))[clear].all()


@pytest.mark.parametrize(
    ("p", "threshold", "entries"),
    [
        (peaked(0), 0.9, {"C0"}),
        (peaked(0, 9, 19), 0.9, {"C0", "C9", "C19"}),
        (peaked(0, 1, 2, 3), 0.9, {"A", "C3"}),
        (peaked(0, 1, 2, 3, 4), 0.9, {"A", "B"}),
        (np.full(20, 0.05), 0.6, {"P", "F", "D"}),
        (np.full(20, 0.05), 0.9, None),
    ],
)
def test_the_most_specific_answer_that_is_sure_enough(p: Any, threshold: float, entries: set[str] | None) -> None:
    sets = GroupedAnswers(coverage=0.9, threshold=threshold, calibrated_on=100, groups=GROUPS)
    answer = grouped_answer(p, CONDITIONS, sets)
    assert (answer and {entry.id for entry in answer.entries}) == entries
