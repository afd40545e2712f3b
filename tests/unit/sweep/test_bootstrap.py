"""One look as a whole: what one object, or one part of the store, can't do to the others."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dermis.shared.batches import batch_manifest_key
from dermis.shared.case import Consent, OpenCase, fact_key, image_key, open_key
from dermis.shared.erasing import RetentionMark, retention_key
from dermis.shared.errors import DermisError, Kind
from dermis.shared.ids import new_id
from dermis.shared.jobs import AssessJob
from dermis.shared.ports import BlobNotFound
from dermis.shared.stores.disk import DiskStore
from dermis.shared.stores.memory import MemoryStore
from dermis.shared.webhooks import DrainJob
from dermis.sweep.bootstrap import Sweep
from dermis.sweep.settings import SweepSettings
from tests.unit.sweep.test_look import OWNER, FakeQueue, received
from tests.unit.sweep.test_retention import id_at

FAR_AHEAD = "scratch_7zzzzzzzzzzzzzzzzzzzzzzzzz"


class Queue(FakeQueue):
    def waiting_drains(self) -> int:
        return 0

    def send_drain(self, job: DrainJob) -> None:
        raise AssertionError(job)

    def waiting_steps(self) -> int:
        return 0


@pytest.fixture
def queue() -> Queue:
    return Queue()


def settings(**more: object) -> SweepSettings:
    return SweepSettings.model_validate(
        {"store_url": "file:///nowhere", "resend_after_seconds": 1, "reserve_bytes": 0, **more}
    )


def open_case(store: MemoryStore | DiskStore, *, age: timedelta = timedelta(hours=1)) -> str:
    case_id = new_id("case")
    opened = OpenCase(case_id=case_id, owner=OWNER, opened_at=datetime.now(UTC) - age)
    store.put_once(open_key(case_id), opened.model_dump_json().encode())
    store.put_once(image_key(OWNER, case_id, 1, "original"), b"image")
    store.put_once(retention_key(Consent.ASSESS_ONLY, case_id), RetentionMark(owner=OWNER).model_dump_json().encode())
    store.put_once(fact_key(OWNER, case_id, "received"), received(case_id).model_dump_json().encode())
    return case_id


def test_no_object_that_is_broken_or_unreadable_stops_anything_for_the_others(tmp_path: Path, queue: Queue) -> None:
    store = DiskStore(tmp_path)
    cases = [open_case(store) for _ in range(2)]
    over = id_at(datetime.now(UTC) - timedelta(days=40), "case")
    store.put_once(retention_key(Consent.ASSESS_ONLY, over), RetentionMark(owner=OWNER).model_dump_json().encode())
    for name in ("open", "scratch", "open-batches", "retention/ASSESS_ONLY", "retention/batches"):
        (tmp_path / name).mkdir(parents=True, exist_ok=True)
        for kind in ("case", "scratch", "batch"):
            (tmp_path / name / f"{kind}_00000000000000000000000000").symlink_to("itself")
            (tmp_path / name / f"{kind}_7zzzzzzzzzzzzzzzzzzzzzzzzz").write_bytes(b"\xff")
        (tmp_path / name / "no id at all").write_bytes(b"{")
    store.put_once(batch_manifest_key(FAR_AHEAD.replace("scratch", "batch")), b"{")
    sweep = Sweep(store, queue, settings())
    assert sweep.look()
    assert {job.case_id for job in queue.sent} == set(cases)
    assert not (tmp_path / "scratch" / FAR_AHEAD).exists()
    assert sweep.look()


def test_what_is_wrong_with_an_object_is_told_once(queue: Queue, capsys: pytest.CaptureFixture[str]) -> None:
    store = MemoryStore()
    store.put_once(open_key(new_id("case")), b"{")
    sweep = Sweep(store, queue, settings())
    for _ in range(3):
        sweep.look()
    assert capsys.readouterr().out.count("object can't be dealt with") == 1


@pytest.mark.parametrize(
    "prefix", ["open/", "open-batches/", "retention/ASSESS_ONLY/", "scratch/", "cases/", "sweep/clock/", "audit/"]
)
def test_a_part_that_breaks_off_takes_no_other_with_it(queue: Queue, prefix: str) -> None:
    store = MemoryStore()
    case_id = open_case(store)
    store.put_once(f"scratch/{FAR_AHEAD}", b"image")
    listed = store.list

    def refuse(wanted: str, *, after: str = "") -> object:
        if wanted == prefix:
            raise DermisError(Kind.UNAVAILABLE, "STORE_UNAVAILABLE", "the store refused: Input/output error")
        return listed(wanted, after=after)

    store.list = refuse  # type: ignore[method-assign,assignment]
    assert not Sweep(store, queue, settings()).look()
    assert ([job.case_id for job in queue.sent] == [case_id]) == (prefix != "open/")
    in_doubt = prefix == "sweep/clock/"
    assert (f"scratch/{FAR_AHEAD}" in store._objects) == (prefix == "scratch/" or in_doubt)


class TestTakeBack:
    """A gateway that is stopped in mid-store for longer than the sweep's patience."""

    def half_stored(self, store: MemoryStore) -> str:
        case_id = open_case(store)
        store.delete(fact_key(OWNER, case_id, "received"))
        return case_id

    def test_what_was_never_wholly_submitted_leaves_nothing(self, queue: Queue) -> None:
        store = MemoryStore(lambda: datetime.now(UTC) - timedelta(hours=1))
        self.half_stored(store)
        store.clock = lambda: datetime.now(UTC)  # type: ignore[method-assign]
        Sweep(store, queue, settings()).look()
        assert not [key for key in store.list("") if not key.startswith("sweep/")]

    def test_one_that_is_submitted_at_that_moment_stays(self, queue: Queue) -> None:
        store = MemoryStore(lambda: datetime.now(UTC) - timedelta(hours=1))
        case_id = self.half_stored(store)
        store.clock = lambda: datetime.now(UTC)  # type: ignore[method-assign]
        put_once = store.put_once

        def meanwhile(key: str, data: bytes, *, reserved: bool = False) -> bool:  # noqa: ARG001 - the port's name
            if key == fact_key(OWNER, case_id, "erased"):
                put_once(fact_key(OWNER, case_id, "received"), received(case_id).model_dump_json().encode())
            return put_once(key, data)

        store.put_once = meanwhile  # type: ignore[method-assign]
        Sweep(store, queue, settings()).look()
        assert store.get(image_key(OWNER, case_id, 1, "original")) == b"image"
        with pytest.raises(BlobNotFound):
            store.get(fact_key(OWNER, case_id, "erased"))

    def test_a_gateway_whose_clock_lags_is_not_taken_for_lost(self, queue: Queue) -> None:
        store = MemoryStore()
        case_id = self.half_stored(store)
        Sweep(store, queue, settings()).look()
        assert store.get(image_key(OWNER, case_id, 1, "original")) == b"image"


def test_a_sweep_a_month_ahead_of_the_store_erases_nothing_and_sends_all_the_same(queue: Queue) -> None:
    store = MemoryStore()
    case_id = open_case(store)
    assert Sweep(store, queue, settings()).look(datetime.now(UTC) + timedelta(days=31))
    assert [job.case_id for job in queue.sent] == [case_id]
    assert store.get(image_key(OWNER, case_id, 1, "original")) == b"image"
    assert AssessJob(case_id=case_id, owner=OWNER) in queue.sent
