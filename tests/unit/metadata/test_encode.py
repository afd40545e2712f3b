"""Absent is its own value, race is for audit, and a value outside the vocabulary is named."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dermis.metadata.core.encode import VOCABULARY, encode, encode_batch, encoder
from dermis.shared.errors import DermisError, Kind
from dermis.shared.manifest import FeatureField, FeatureSchema
from dermis.shared.vocabulary import SelfReport

SCHEMA = FeatureSchema(
    fields=(
        FeatureField(
            name="age_group", kind="ONE_OF", values=("AGE_18_TO_29", "AGE_30_TO_39"), absent_values=("AGE_UNKNOWN",)
        ),
        FeatureField(name="condition_symptoms", kind="ANY_OF", values=("ITCHING", "PAIN", "NO_RELEVANT_EXPERIENCE")),
    )
)


def reports() -> st.SearchStrategy[SelfReport]:
    def one(name: str) -> st.SearchStrategy[object]:
        values = st.sampled_from(sorted(VOCABULARY[name]))
        single = "tuple" not in str(SelfReport.model_fields[name].annotation)
        return st.none() | (values if single else st.lists(values, unique=True, max_size=4))

    return st.fixed_dictionaries({name: one(name) for name in VOCABULARY}).map(SelfReport.model_validate)


def columns(report: SelfReport) -> set[str]:
    vector = encode(SCHEMA, report)
    assert vector.dtype == np.float32
    return {name for name, value in zip(SCHEMA.columns, vector, strict=True) if value}


def test_absent_is_a_value_of_its_own() -> None:
    assert columns(SelfReport()) == {"age_group=ABSENT", "condition_symptoms=ABSENT"}


def test_none_of_these_is_not_absent() -> None:
    report = SelfReport.model_validate({"condition_symptoms": ["NO_RELEVANT_EXPERIENCE"]})
    assert columns(report) == {"age_group=ABSENT", "condition_symptoms=NO_RELEVANT_EXPERIENCE"}


def test_several_answers_and_scins_unknown_age() -> None:
    report = SelfReport.model_validate({"age_group": "AGE_UNKNOWN", "condition_symptoms": ["PAIN", "ITCHING"]})
    assert columns(report) == {"age_group=ABSENT", "condition_symptoms=ITCHING", "condition_symptoms=PAIN"}


def test_a_value_that_this_schema_never_saw_is_absent_to_it() -> None:
    report = SelfReport.model_validate({"age_group": "AGE_70_TO_79", "condition_symptoms": ["BURNING", "PAIN"]})
    assert columns(report) == {"age_group=ABSENT", "condition_symptoms=PAIN"}


@pytest.mark.parametrize(
    ("answers", "named"),
    [
        ({"age_group": ("AGE_12",)}, "age_group='AGE_12'"),
        ({"condition_symptoms": ("ITCHING", "itching")}, "condition_symptoms='itching'"),
        ({"sex_at_birth": ("",)}, "sex_at_birth=''"),
        ({"hair": ("LONG",)}, "'hair'"),
    ],
)
def test_outside_the_vocabulary_is_refused_by_name(answers: dict[str, tuple[str, ...]], named: str) -> None:
    with pytest.raises(DermisError) as caught:
        encoder(SCHEMA).encode([answers])
    assert caught.value.kind is Kind.INVALID
    assert named in caught.value.detail


def test_a_batch_names_the_row() -> None:
    with pytest.raises(DermisError, match=r"self_reports\[1\]\.age_group='X'"):
        encoder(SCHEMA).encode([{}, {"age_group": ("X",)}])


def test_race_makes_a_schema_not_promotable() -> None:
    race = FeatureField(name="race_ethnicity", kind="ANY_OF", values=("ASIAN", "WHITE"))
    assert SCHEMA.promotable
    assert not FeatureSchema(fields=(*SCHEMA.fields, race)).promotable


@given(st.lists(reports(), max_size=6))
def test_every_question_has_exactly_one_reading(many: list[SelfReport]) -> None:
    matrix = encode_batch(SCHEMA, many)
    assert matrix.shape == (len(many), len(SCHEMA.columns))
    for row, report in zip(matrix, many, strict=True):
        assert np.array_equal(row, encode(SCHEMA, report))
        for field in SCHEMA.fields:
            answered = [row[SCHEMA.columns.index(c)] for c in field.columns[:-1]]
            absent = row[SCHEMA.columns.index(field.columns[-1])]
            assert absent == (not any(answered))
            assert field.kind == "ANY_OF" or sum(answered) + absent == 1


@given(reports())
def test_race_never_reaches_the_vector(report: SelfReport) -> None:
    without = report.model_copy(update={"race_ethnicity": None})
    assert np.array_equal(encode(SCHEMA, report), encode(SCHEMA, without))
