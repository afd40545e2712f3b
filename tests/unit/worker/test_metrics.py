"""What the worker counts of a case."""

from datetime import timedelta

import pytest
from prometheus_client import CollectorRegistry

from dermis.shared.case import Outcome, OutcomeKind
from dermis.shared.ids import made_at, new_id
from dermis.worker.metrics import Metrics


@pytest.mark.parametrize(("seconds", "in_time"), [(29, 1), (31, 0), (-5, 1)])
def test_a_case_counts_from_its_id_to_its_outcome(seconds: float, in_time: int) -> None:
    registry, case_id = CollectorRegistry(), new_id("case")
    finished_at = made_at(case_id) + timedelta(seconds=seconds)
    Metrics(registry).note(Outcome(case_id=case_id, finished_at=finished_at, kind=OutcomeKind.ABSTENTION))
    assert registry.get_sample_value("dermis_worker_case_seconds_bucket", {"le": "30.0"}) == in_time
    assert registry.get_sample_value("dermis_worker_case_seconds_count") == 1


@pytest.mark.parametrize("reason", ["FACT_BROKEN", "INTERNAL", "TIME_LIMIT", "WORKER_LOST"])
def test_a_failure_that_never_was_is_shown_as_0(reason: str) -> None:
    registry = CollectorRegistry()
    Metrics(registry)
    assert registry.get_sample_value("dermis_worker_failures_total", {"reason": reason}) == 0
