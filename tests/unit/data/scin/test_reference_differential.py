"""Weights from what each dermatologist wrote: SCIN's rule, and where one list ends and the next begins."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dermis.data.scin.columns import CASES_FILE, LABELS_FILE, YES
from dermis.data.scin.reference_differential import GraderList, grader_lists, weigh
from dermis.data.scin.tables import read_tables

names = st.sampled_from(["Eczema", "Tinea", "Acne", "Psoriasis", "Urticaria", "Scabies"])
one_list = st.lists(st.tuples(names, st.integers(1, 5)), max_size=3, unique_by=lambda item: item[0]).map(tuple)


def rounded(lists: tuple[GraderList, ...]) -> dict[str, float]:
    return {name: round(weight, 2) for name, weight in weigh(lists).items()}


def test_the_documented_example() -> None:
    lists: tuple[GraderList, ...] = (
        (("Eczema", 3), ("Acute and chronic dermatitis", 2), ("Psoriasis", 1)),
        (("Eczema", 3),),
        (("Eczema", 4), ("Post-Inflammatory hyperpigmentation", 3)),
    )
    expected = {
        "Eczema": 3,
        "Acute and chronic dermatitis": 0.5,
        "Psoriasis": 1 / 3,
        "Post-Inflammatory hyperpigmentation": 0.5,
    }
    assert weigh(lists) == pytest.approx({name: weight / (4 + 1 / 3) for name, weight in expected.items()})


def test_tied_conditions_share_the_mean_of_their_weights() -> None:
    assert rounded(((("A", 4), ("B", 3), ("C", 4)),)) == {"A": 0.41, "C": 0.41, "B": 0.18}


def test_a_dermatologist_is_not_normalised_before_adding() -> None:
    assert rounded(((("A", 5),), (("B", 5), ("C", 4)))) == {"A": 0.4, "B": 0.4, "C": 0.2}


def test_the_order_in_which_conditions_are_listed_does_not_count() -> None:
    assert weigh(((("A", 1), ("B", 5)),)) == weigh(((("B", 5), ("A", 1)),))


def test_a_dermatologist_who_wrote_nothing_is_found() -> None:
    lists = grader_lists(["A", "B", "C"], [4, 2, 1], graders=3, published={"A": 0.4, "B": 0.4, "C": 0.2})
    assert lists == [((("A", 4),), (("B", 2), ("C", 1)))]


def test_weights_that_do_not_follow_from_the_lists_have_no_cut() -> None:
    assert grader_lists(["A", "B"], [4, 2], graders=1, published={"A": 0.5, "B": 0.5}) == []
    assert grader_lists([], [], graders=3, published={}) == []


def test_what_can_be_cut_in_two_ways_comes_back_in_both() -> None:
    names = ["CD", "Acne", "Miliaria", "ACD"]
    lists = grader_lists(
        names, [4, 2, 1, 3], graders=2, published=rounded(((("CD", 4),), (("Acne", 2), ("Miliaria", 1), ("ACD", 3))))
    )
    assert len(lists) == 2
    assert len({tuple(sorted(weigh(way).items())) for way in lists}) == 1


@given(st.lists(one_list, min_size=1, max_size=3).map(tuple).filter(any))
def test_weights_are_found_again_whoever_wrote_what(lists: tuple[GraderList, ...]) -> None:
    written = [item for graded in lists for item in graded]
    ways = grader_lists(
        [name for name, _ in written], [c for _, c in written], graders=len(lists), published=rounded(lists)
    )
    assert ways
    for way in ways:
        assert [item for graded in way for item in graded] == written
        assert rounded(way) == rounded(lists)
        assert sum(weigh(way).values()) == pytest.approx(1)


def test_every_real_case_is_reproduced_exactly(real_data: Path) -> None:
    cases = read_tables(*((real_data / "scin" / name).read_bytes() for name in (CASES_FILE, LABELS_FILE))).cases
    by_graders = dict.fromkeys((1, 3), 0)
    for case in cases[cases["weights"].map(bool)].itertuples():
        lists = grader_lists(case.names, case.confidences, graders=case.gradable.count(YES), published=case.weights)
        assert lists, case.case_id
        assert rounded(lists[0]) == case.weights
        by_graders[len(case.gradable)] += 1
    assert by_graders[1] > 700
    assert by_graders[3] > 200
