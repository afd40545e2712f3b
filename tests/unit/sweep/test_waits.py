"""What falls behind is seen: open cases, erasures, retention, and cases that were lost."""

from datetime import timedelta

import pytest
from prometheus_client import REGISTRY

from dermis.shared.case import Consent, Erased, fact_key, failed_key, open_key
from dermis.shared.erasing import RetentionMark, link_key, retention_key
from dermis.shared.errors import DermisError, Kind
from tests.unit.sweep.test_look import NOW, OWNER, Bench, failed, outcome, received
from tests.unit.sweep.test_retention import scratch_id


@pytest.fixture
def bench() -> Bench:
    return Bench()


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def show(bench: Bench, after_s: float = 0) -> tuple[float, float]:
    bench.look(after_s)
    bench.sweep.waits.show(NOW + timedelta(seconds=after_s))
    return value("dermis_sweep_oldest_open_seconds"), value("dermis_sweep_erasure_overdue_seconds")


def test_the_oldest_accepted_case_is_shown_at_looks_that_do_not_read_it_too(bench: Bench) -> None:
    assert show(bench) == (0, 0)
    bench.open("a", age_s=100)
    bench.open("b", age_s=200)
    bench.open("c", age_s=300, whole=False)
    assert show(bench) == (200, 0)
    assert show(bench, 10) == (210, 0)
    bench.put(fact_key(OWNER, "b", "outcome"), outcome("b"))
    assert show(bench, 120) == (220, 0)


def test_an_erased_case_counts_until_nothing_can_be_left(bench: Bench) -> None:
    bench.open("a", age_s=1000)
    bench.put(fact_key(OWNER, "a", "erased"), Erased(case_id="a", erased_at=NOW - timedelta(seconds=100)))
    before = value("dermis_sweep_erasure_seconds_bucket", le="120.0")
    get = bench.store.get

    def refuse(key: str, *, most: int | None = None) -> bytes:
        if key == link_key(OWNER, "a"):
            raise DermisError(Kind.UNAVAILABLE, "BLOB_UNREADABLE", key)
        return get(key, most=most)

    bench.store.get = refuse  # type: ignore[method-assign]
    assert show(bench) == (0, 100)
    assert show(bench, 10) == (0, 110)
    assert value("dermis_sweep_erasure_seconds_bucket", le="120.0") == before
    bench.store.get = get  # type: ignore[method-assign]
    assert show(bench, 15) == (0, 0)
    assert value("dermis_sweep_erasure_seconds_bucket", le="120.0") == before + 1


@pytest.mark.parametrize(("days", "over"), [(29, 0), (30, 0), (33, 3)])
def test_it_is_shown_how_far_a_case_is_past_its_time(bench: Bench, days: int, over: int) -> None:
    case_id = scratch_id(days * 86_400, "case")
    bench.put(retention_key(Consent.ASSESS_ONLY, case_id), RetentionMark(owner=OWNER))
    assert round(bench.retention.overdue(NOW) / timedelta(days=1), 3) == over


def lost_case(bench: Bench, *, age_s: float = 3600) -> str:
    case_id = scratch_id(age_s, "case")
    bench.put(fact_key(OWNER, case_id, "received"), received(case_id))
    return case_id


def test_an_accepted_case_without_marker_and_end_is_opened_again_and_counted(bench: Bench) -> None:
    case_id, before = lost_case(bench), value("dermis_sweep_lost_cases_total")
    bench.retention.mend_marks(NOW)
    assert value("dermis_sweep_lost_cases_total") == before + 1
    assert open_key(case_id) in bench.keys
    bench.look(60)
    assert [job.case_id for job in bench.queue.sent] == [case_id]


@pytest.mark.parametrize("why", ["outcome", "erased", "failed", "open", "young"])
def test_a_case_that_has_an_end_or_a_marker_or_is_young_is_not_lost(bench: Bench, why: str) -> None:
    case_id, before = lost_case(bench, age_s=10 if why == "young" else 3600), value("dermis_sweep_lost_cases_total")
    if why == "outcome":
        bench.put(fact_key(OWNER, case_id, "outcome"), outcome(case_id))
    elif why == "erased":
        bench.put(fact_key(OWNER, case_id, "erased"), Erased(case_id=case_id, erased_at=NOW))
    elif why == "failed":
        bench.put(failed_key(OWNER, case_id, 1), failed(1, case_id))
    elif why == "open":
        bench.open(case_id)
    bench.retention.mend_marks(NOW)
    assert value("dermis_sweep_lost_cases_total") == before
    assert (open_key(case_id) in bench.keys) == (why == "open")
