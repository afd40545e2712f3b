"""A taxonomy places every label of SCIN once, with a reason."""

import os
from pathlib import Path

import pytest

from dermis.data.dataset import conditions_of, open_dataset
from dermis.data.scin.source import load_policy
from dermis.data.scin.taxonomy import Taxonomy, load_taxonomy
from dermis.shared.errors import DermisError
from dermis.shared.manifest import Condition

SMALL = Taxonomy.model_validate(
    {
        "name": "small",
        "version": 1,
        "clinical_review": "none",
        "parents": [{"id": "RASH", "name": "A rash"}],
        "groups": [
            {"id": "ECZEMA", "name": "Eczema", "parent": "RASH", "contains": ["dermatitis"]},
            {"id": "BITE", "name": "A bite", "parent": "RASH", "contains": ["bite"]},
        ],
        "labels": [{"label": "Animal bite dermatitis", "group": "BITE", "reason": "a bite"}],
    }
)


def changed(**changes: object) -> Taxonomy:
    return Taxonomy.model_validate({**SMALL.model_dump(), **changes})


def test_a_row_goes_before_words_and_words_go_in_the_order_of_the_groups() -> None:
    assert SMALL.group_of("ANIMAL BITE dermatitis") == "BITE"
    assert SMALL.group_of("Tick bite dermatitis") == "ECZEMA"
    assert SMALL.group_of("Psoriasis") is None
    assert SMALL.unplaced(["Psoriasis", "Tick bite"]) == ["Psoriasis"]


def test_the_groups_of_a_models_conditions_leave_out_what_holds_none() -> None:
    groups = SMALL.groups_of([Condition(id="A", name="Atopic dermatitis"), Condition(id="P", name="Psoriasis")])
    assert [(group.id, group.parent, group.conditions) for group in groups] == [
        ("RASH", None, ()),
        ("ECZEMA", "RASH", ("A",)),
    ]


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"labels": [{"label": "Boil", "group": "NONE", "reason": "x"}]}, "NONE"),
        ({"labels": [{"label": name, "group": "BITE", "reason": "x"} for name in ("Boil", "boil")]}, "boil"),
        ({"parents": []}, "RASH"),
    ],
)
def test_a_place_that_is_not_there_or_stands_twice_is_named(changes: dict[str, object], names: str) -> None:
    with pytest.raises(ValueError, match=names):
        changed(**changes)


def test_one_that_is_not_there_is_named() -> None:
    with pytest.raises(DermisError, match="no taxonomy 'none'"):
        load_taxonomy("none")


def test_the_taxonomy_of_scin_says_what_it_is_and_gives_each_row_a_reason() -> None:
    scin = load_taxonomy()
    assert scin.clinical_review == "none"
    assert 12 <= len(scin.groups) <= 18
    assert {row.group for row in scin.labels} == {group.id for group in scin.groups}
    assert all(len(row.reason) > 5 for row in scin.labels)
    assert scin.reference.startswith("scin/1 sha256:")


def test_the_words_of_a_group_agree_with_most_rows() -> None:
    """They place the labels that have no row: they have to do for those that have one."""
    scin = load_taxonomy()
    words = scin.model_copy(update={"labels": ()})
    agree = sum(words.group_of(row.label) == row.group for row in scin.labels)
    assert agree / len(scin.labels) >= 0.85


@pytest.mark.skipif("REAL_DATA" not in os.environ, reason="needs REAL_DATA")
def test_every_label_of_the_tables_has_a_row() -> None:
    dataset = open_dataset(str(Path(os.environ["REAL_DATA"], "scin")), policy=load_policy("scin-all"))
    conditions = conditions_of(dataset.samples)
    scin = load_taxonomy()
    rows = {row.label.casefold() for row in scin.labels}
    assert [condition.name for condition in conditions if condition.name.casefold() not in rows] == []
    inside = [condition for group in scin.groups_of(conditions) for condition in group.conditions]
    assert sorted(inside) == sorted(condition.id for condition in conditions)
