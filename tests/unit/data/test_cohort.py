"""The flow of a cohort: no case is lost without a reason, and none is counted twice."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dermis.data.cohort import STAYS, cohort, label_steps, narrowed
from dermis.data.dataset import open_dataset
from dermis.data.samples import Sample


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.sampled_from([STAYS, "A", "B"]), st.sampled_from([STAYS, "B", "C"])),
        max_size=30,
    )
)
def test_what_a_step_leaves_and_leaves_out_is_what_the_step_before_left(cases: list[tuple[int, str, str]]) -> None:
    images = [n for n, _, _ in cases]
    first, second, third = narrowed(
        images,
        {"tables": [STAYS] * len(cases), "one": [a for _, a, _ in cases], "two": [b for _, _, b in cases]},
    )
    assert (first.cases, first.images, first.dropped) == (len(cases), sum(images), ())
    for before, after in ((first, second), (second, third)):
        assert before.cases == after.cases + sum(drop.cases for drop in after.dropped)
        assert before.images == after.images + sum(drop.images for drop in after.dropped)
        assert all(drop.cases for drop in after.dropped)
    assert third.cases == sum(a == b == STAYS for _, a, b in cases)


def test_only_where_graders_judged_photos_is_there_a_step_for_those_they_could_not_use() -> None:
    assert list(label_steps(["", "NO_CONDITION"])) == ["tables", "labelled"]
    graded = label_steps(["", "NOT_GRADABLE", "NO_PATHOLOGY"])
    tables, gradable, labelled = narrowed([1, 2, 3], graded)
    assert (tables.cases, gradable.cases, labelled.cases) == (3, 2, 1)
    assert [drop.reason for drop in (*gradable.dropped, *labelled.dropped)] == ["NOT_GRADABLE", "NO_PATHOLOGY"]


@pytest.fixture(scope="module")
def samples() -> tuple[Sample, ...]:
    drawn = open_dataset("generated:3:30:64").samples
    return (replace(drawn[0], target={}, top=None, unlabelled="NO_CONDITION"), *drawn[1:])


def test_a_part_and_a_models_conditions_narrow_the_labelled(samples: tuple[Sample, ...]) -> None:
    known = sorted({name for sample in samples for name in sample.target})[:2]
    part_of = {sample.id: "test" if place % 2 else "train" for place, sample in enumerate(samples[:-1])}
    steps = {step.name: step for step in cohort(samples, known, part_of=part_of, part="test")}
    assert list(steps) == ["tables", "labelled", "part", "known"]
    assert steps["labelled"].cases == 29
    assert {drop.reason for drop in steps["part"].dropped} == {"PART_TRAIN", "PART_NONE"}
    here = [sample for sample in samples[1::2] if sample.id in part_of]
    assert steps["part"].cases == len(here)
    kept = [sample for sample in here if sample.top in known]
    assert (steps["known"].cases, steps["known"].images) == (len(kept), sum(len(sample.images) for sample in kept))
    assert [step.name for step in cohort(samples, known)] == ["tables", "labelled", "known"]
