"""Reviews: what a reading may hold, and where it stands."""

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from dermis.shared.reviews import Review, ReviewedCondition, reader_id, review_key
from dermis.shared.vocabulary import Gradable

AT = datetime(2026, 1, 1, tzinfo=UTC)


def review(**values: Any) -> Review:
    return Review(**{"case_id": "case_a", "reader": "reader_a", "read_at": AT, **values})


def test_a_gradable_case_has_a_condition_and_another_none() -> None:
    eczema = ReviewedCondition(label="Eczema", confidence=4)
    assert review(gradable=Gradable.DEFAULT_YES_IMAGE_QUALITY_SUFFICIENT, conditions=(eczema,)).conditions == (eczema,)
    assert review(gradable=Gradable.NO_IMAGE_QUALITY_INSUFFICIENT).conditions == ()
    for values in (
        {"gradable": Gradable.DEFAULT_YES_IMAGE_QUALITY_SUFFICIENT},
        {"gradable": Gradable.YES_IMAGE_QUALITY_SUFFICIENT_NO_DISCERNIBLE_PATHOLOGY, "conditions": (eczema,)},
    ):
        with pytest.raises(ValidationError, match="conditions"):
            review(**values)


def test_a_condition_stands_once() -> None:
    twice = tuple(ReviewedCondition(label="Eczema", confidence=n) for n in (1, 2))
    with pytest.raises(ValidationError, match="twice"):
        review(gradable=Gradable.DEFAULT_YES_IMAGE_QUALITY_SUFFICIENT, conditions=twice)


def test_a_reader_is_known_by_a_pseudonym_alone() -> None:
    reader = reader_id("https://accounts.example", "alice@example.org")
    assert "alice" not in reader
    assert reader != reader_id("https://other.example", "alice@example.org")
    assert review_key("public", "case_a", reader) == f"cases/public/case_a/reviews/{reader}.json"
