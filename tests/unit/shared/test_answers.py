"""What of a self-report may become a feature."""

from dermis.shared.answers import answers_of, to_proto
from dermis.shared.vocabulary import SelfReport


def test_warning_signs_and_an_age_under_18_are_no_features() -> None:
    report = SelfReport.model_validate({"warning_signs": ["VERY_ILL"], "under_18": True, "related_category": "RASH"})
    assert answers_of(report) == {"related_category": ("RASH",)}
    assert to_proto(report).related_category == "RASH"
