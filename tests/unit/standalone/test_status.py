"""`dermis status`: what is read, and what is a fault."""

from datetime import UTC, datetime, timedelta

import pytest

from dermis.shared.batches import BatchJob
from dermis.shared.bundles import read_current
from dermis.shared.case import Consent, Erased, OpenCase, fact_key, open_key
from dermis.shared.erasing import RetentionMark, retention_key
from dermis.shared.errors import DermisError, Kind
from dermis.shared.ids import first_id
from dermis.shared.jobs import AssessJob
from dermis.shared.manifest import CURRENT_KEY, Canary, VersionRef
from dermis.shared.settings import RetentionSettings
from dermis.shared.stores.memory import MemoryStore
from dermis.shared.webhooks import DrainJob
from dermis.standalone.backup.save import save
from dermis.standalone.bundle import ensure_bundle
from dermis.standalone.commands.status import describe
from dermis.standalone.status import PartStatus, SystemStatus, look

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
SETTINGS = RetentionSettings(store_url="file:///store")


class Waiting:
    """A queue of so many jobs; None is one that doesn't answer."""

    def __init__(self, jobs: int | None) -> None:
        self._jobs = jobs

    def waiting(self) -> int:
        if self._jobs is None:
            raise DermisError(Kind.UNAVAILABLE, "BROKER", "Redis doesn't answer")
        return self._jobs

    def waiting_steps(self) -> int:
        return 0

    def send(self, job: AssessJob) -> None:
        raise NotImplementedError

    def waiting_drains(self) -> int:
        return 0

    def send_drain(self, job: DrainJob) -> None:
        raise AssertionError(job)

    def send_step(self, job: BatchJob) -> None:
        raise NotImplementedError


@pytest.fixture
def store() -> MemoryStore:
    store = MemoryStore(lambda: NOW)
    ensure_bundle(store)
    return store


def status_of(store: MemoryStore, *, jobs: int | None = 0, parts: tuple[PartStatus, ...] = ()) -> SystemStatus:
    return look(lambda: store, Waiting(jobs), parts, settings=SETTINGS, now=NOW)


def put_case(store: MemoryStore, *, age: timedelta, is_open: bool = True) -> str:
    case_id = first_id("case", NOW - age)
    written, store._clock = store._clock, lambda: NOW - age
    if is_open:
        marker = OpenCase(case_id=case_id, owner="public", opened_at=NOW - age)
        store.put_once(open_key(case_id), marker.model_dump_json().encode())
    mark = RetentionMark(owner="public").model_dump_json().encode()
    store.put_once(retention_key(Consent.ASSESS_ONLY, case_id), mark)
    store._clock = written
    return case_id


def test_a_system_that_does_well_has_no_fault(store: MemoryStore) -> None:
    put_case(store, age=timedelta(minutes=2))
    parts = (PartStatus(name="gateway", ok=True, version="0.1.0"), PartStatus(name="serving", ok=None))
    status = status_of(store, jobs=3, parts=parts)
    assert status.faults == []
    assert (status.open_cases, status.oldest_open_s, status.waiting_jobs) == (1, 120, 3)
    assert status.current_model == "dermis/1, purpose demo"
    text = describe(status, NOW)
    assert "gateway   ok        0.1.0" in text
    assert "cases     1 open, the oldest for 120 s; 0 open batches" in text
    assert "backup    none yet" in text


def test_what_an_operator_should_look_at_is_named(store: MemoryStore) -> None:
    put_case(store, age=timedelta(minutes=16))
    put_case(store, age=timedelta(days=30, hours=2), is_open=False)
    put_case(store, age=timedelta(days=30, minutes=5), is_open=False)
    store.put_once("sweep/doubt.json", b"{}")
    status = status_of(store, jobs=None, parts=(PartStatus(name="worker", ok=False, detail="nobody"),))
    assert (status.overdue_cases, status.waiting_jobs, status.clock_in_doubt) == (1, None, True)
    starts = ("worker does not", "Redis does not", "a case is open for 960 s", "1 cases should", "the sweep doubts")
    assert [next(start for start in starts if fault.startswith(start)) for fault in status.faults] == list(starts)
    assert describe(status, NOW).count("look at:") == len(starts)


def test_a_store_without_a_model_is_a_fault() -> None:
    assert status_of(MemoryStore()).faults[0].startswith("no models/current.json")


def test_a_store_that_cant_be_opened_is_a_fault_and_the_rest_is_shown() -> None:
    def open_it() -> MemoryStore:
        raise DermisError(Kind.PERMISSION, "STORE", "the bucket refused")

    parts = (PartStatus(name="gateway", ok=True, version="0.1.0"),)
    status = look(open_it, Waiting(2), parts, settings=SETTINGS, now=NOW)
    assert status.faults == ["the bucket refused"]
    assert (status.waiting_jobs, len(status.parts)) == (2, 1)


def test_versions_on_trial_are_shown(store: MemoryStore) -> None:
    pointer = read_current(store)
    canary = Canary(ref=VersionRef(name="dermis", version=3), percent=10, promotion="promotion_x")
    changed = pointer.model_copy(update={"shadow": VersionRef(name="dermis", version=2), "canary": canary})
    generation = store.get_versioned(CURRENT_KEY).generation
    store.replace(CURRENT_KEY, changed.model_dump_json().encode(), generation=generation)
    text = describe(status_of(store), NOW)
    assert "before: none; canary: dermis/3, 10 % of cases; shadow: dermis/2" in text


def test_erased_cases_whose_marker_stands_are_counted(store: MemoryStore) -> None:
    case_id = put_case(store, age=timedelta(seconds=20))
    tombstone = Erased(case_id=case_id, erased_at=NOW).model_dump_json().encode()
    store.put_once(fact_key("public", case_id, "erased"), tombstone)
    assert status_of(store).unfinished_erasures == 1


def test_the_last_backup_is_told_by_its_receipt(store: MemoryStore) -> None:
    save(store, MemoryStore(), dermis="0", say=lambda _objects, _bytes: None)
    assert "backup    0.0 h ago" in describe(status_of(store), NOW)
