"""Evaluation reports, small and whole."""

from typing import Any

from dermis.shared.evaluation import EvaluationReport


def document(**changes: Any) -> dict[str, Any]:
    """Return a report as the oldest ones are written: without all that came later."""
    return {
        "format": "dermis.evaluation/1",
        "purpose": "demo",
        "data": "drawn",
        "n": 40,
        "interval": "95 %",
        "metrics": {"top_1": 0.5, "top_3": 0.75},
        "mean_set_size": 1.5,
        "intervals": {"top_1": [0.25, 0.75], "top_3": [0.5, 1.0]},
        "floors": {"top_1": 0.125, "top_3": 0.25, "meaning": "the best constant list"},
        "shown": {},
        "perfect_model_at_this_n": {"expected_calibration_error": [0.02, 0.03], "set_coverage": None, "meaning": ""},
        "slices": {},
        **changes,
    }


def report(**changes: Any) -> EvaluationReport:
    return EvaluationReport.model_validate(document(**changes))
