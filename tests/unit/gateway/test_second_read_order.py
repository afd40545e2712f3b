"""Which case is read next, who is wanted for it, and what a disagreement is."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dermis.gateway.core.second_read import (
    Candidate,
    ReadingOrder,
    Standing,
    disagree,
    in_order,
    learning_value,
    needs_reader,
    standing,
)
from dermis.shared.case import Urgency
from dermis.shared.reviews import CaseReading, ReviewedCondition
from dermis.shared.vocabulary import Gradable

YES, NO, NOTHING = Gradable


def reading(*conditions: tuple[str, int], gradable: Gradable = YES) -> CaseReading:
    return CaseReading(
        case_id="c",
        reader="r",
        read_at=datetime(2026, 1, 1, tzinfo=UTC),
        gradable=gradable,
        conditions=tuple(ReviewedCondition(label=label, confidence=level) for label, level in conditions),
    )


PLAIN = Candidate(case_id="m", margin=0.9, set_share=0.1, group_cases=1000)


@pytest.mark.parametrize(
    "more",
    [
        Candidate(case_id="m", margin=0.9, set_share=0.1, group_cases=1000, abstained=True),
        Candidate(case_id="m", margin=0.1, set_share=0.1, group_cases=1000),
        Candidate(case_id="m", margin=0.9, set_share=0.5, group_cases=1000),
        Candidate(case_id="m", margin=0.9, set_share=0.1, group_cases=5),
    ],
)
def test_what_teaches_more_comes_first(more: Candidate) -> None:
    assert learning_value(more) > learning_value(PLAIN)
    assert in_order([PLAIN, more], ReadingOrder.LEARNING)[0] == more


def test_by_urgency_the_most_urgent_comes_first_and_what_has_none_last() -> None:
    cases = [Candidate(case_id=str(n), urgency=urgency) for n, urgency in enumerate((None, *reversed(Urgency)))]
    assert [case.urgency for case in in_order(cases, ReadingOrder.URGENCY)] == [*Urgency, None]


candidates = st.builds(
    Candidate,
    case_id=st.text("abc", min_size=1),
    urgency=st.none() | st.sampled_from(Urgency),
    abstained=st.booleans(),
    margin=st.none() | st.floats(0, 1),
    set_share=st.floats(0, 1),
    group_cases=st.none() | st.integers(0, 10**6),
)


@given(st.lists(candidates, unique_by=lambda case: case.case_id), st.sampled_from(ReadingOrder), st.randoms())
def test_the_order_depends_on_the_cases_alone_and_loses_none(
    cases: list[Candidate], order: ReadingOrder, rnd: object
) -> None:
    shuffled = list(cases)
    rnd.shuffle(shuffled)  # type: ignore[attr-defined]
    assert in_order(shuffled, order) == in_order(cases, order)
    assert sorted(case.case_id for case in in_order(cases, order)) == sorted(case.case_id for case in cases)
    assert all(0 <= learning_value(case) <= 4 for case in cases)


@pytest.mark.parametrize(
    ("readers", "claims", "wanted"),
    [
        ([], [], True),
        (["a"], [], True),
        (["me"], [], False),
        (["a", "b"], [], False),
        (["a"], ["b"], False),
        (["a"], ["a"], True),
        ([], ["a", "b"], False),
        (["a"], ["me"], True),
    ],
)
def test_a_reader_is_wanted_until_enough_have_read_it_or_are_at_it(
    readers: list[str], claims: list[str], wanted: bool
) -> None:
    assert needs_reader(readers=readers, claims=claims, reader="me", readers_per_case=2) is wanted


@pytest.mark.parametrize(
    ("readings", "expected"),
    [
        ([reading(("Eczema", 5)), reading(("Eczema", 2), ("Psoriasis", 1))], False),
        ([reading(("Eczema", 5)), reading(("Psoriasis", 5))], True),
        ([reading(("Eczema", 5)), reading(("Eczema", 2), ("Psoriasis", 4))], True),
        ([reading(("Eczema", 3), ("Psoriasis", 3)), reading(("Psoriasis", 5))], False),
        ([reading(("Eczema", 5)), reading(gradable=NO)], True),
        ([reading(gradable=NO), reading(gradable=NOTHING)], True),
        ([reading(gradable=NO), reading(gradable=NO)], False),
        ([reading(("Eczema", 5)), reading(("Eczema", 5)), reading(("Tinea", 5))], True),
    ],
)
def test_readings_disagree_on_the_most_confident_condition_or_on_gradable(
    readings: list[CaseReading], expected: bool
) -> None:
    assert disagree(readings) is expected
    assert disagree(readings[::-1]) is expected


def test_where_a_case_stands() -> None:
    one, other = reading(("Eczema", 5)), reading(("Psoriasis", 5))
    cases = [([one], False), ([one, other], False), ([one, one], False), ([one, other], True)]
    expected = [Standing.TO_READ, Standing.TO_ADJUDICATE, Standing.AGREED, Standing.ADJUDICATED]
    assert [standing(each, adjudicated=done, readers_per_case=2) for each, done in cases] == expected
