"""A step of a batch: a result per row, put once, whatever happens to workers, images or the batch."""

from datetime import UTC, datetime, timedelta

import pytest
from billiard.exceptions import SoftTimeLimitExceeded

from dermis.shared.batches import (
    BatchErased,
    BatchJob,
    BatchManifest,
    BatchResult,
    BatchRow,
    as_lines,
    batch_erased_key,
    batch_failed_key,
    batch_key,
    batch_manifest_key,
    batch_result_key,
    batch_rows_key,
)
from dermis.shared.case import OutcomeKind
from dermis.shared.errors import DermisError, Kind
from dermis.shared.stores.memory import MemoryStore
from dermis.shared.vocabulary import SelfReport
from dermis.worker import step_tasks
from dermis.worker.batches import Batches
from dermis.worker.row_by_row import MOST_LOSSES
from tests.unit.worker.test_pipeline import BLACK, SETTINGS, World, skin

ID = "batch_01m82nmrzdescb95c4e8msawzy"
AT = datetime.now(UTC) - timedelta(days=31)
"""By the clock of a gateway that is far off: no batch is given up for that."""
FEVER = SelfReport.model_validate({"other_symptoms": ["FEVER"]})
ROWS = (
    BatchRow(name="one", images=("a.png", "b.png"), self_report=FEVER),
    BatchRow(name="two", images=("black.png",), self_report=FEVER),
    BatchRow(name="three", images=("a.png", "gone.png")),
)


@pytest.fixture
def made() -> World:
    made = World()
    manifest = BatchManifest(batch_id=ID, owner="public", created_at=AT, source="file:///source", rows=3, size=2)
    made.store.put_once(batch_rows_key(ID), as_lines(ROWS))
    made.store.put_once(batch_manifest_key(ID), manifest.model_dump_json().encode())
    return made


def batches(made: World) -> Batches:
    source = MemoryStore()
    for name, data in (("a.png", skin(0)), ("b.png", skin(1)), ("black.png", BLACK)):
        source.put_once(name, data)
    return Batches(made.pipeline(), lambda url: {"file:///source": source}[url])


def work(made: World, step: int, *, redelivered: bool = False) -> None:
    step_tasks.work(batches(made), BatchJob(batch_id=ID, step=step), settings=SETTINGS, redelivered=redelivered)


def results(made: World, step: int) -> list[BatchResult]:
    return [BatchResult.model_validate_json(line) for line in made.store.get(batch_result_key(ID, step)).splitlines()]


@pytest.fixture(autouse=True)
def _no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_tasks, "RETRY_AFTER_S", (0, 0))


def test_each_row_gets_what_a_case_would_get(made: World) -> None:
    work(made, 0)
    one, two = results(made, 0)
    assert one.outcome is not None
    assert two.outcome is not None
    assert (one.row, one.name, one.outcome.kind, one.outcome.images_used) == (
        0,
        "one",
        OutcomeKind.DIFFERENTIAL,
        (1, 2),
    )
    assert (two.row, two.outcome.kind, two.images[0].quality.verdict) == (1, OutcomeKind.REJECTION, "UNUSABLE")
    assert [flag.flag for flag in two.outcome.red_flags] == ["FEVER"]
    assert one.outcome.heatmaps == ()
    assert not list(made.store.list("cases/"))


def test_an_image_that_is_not_there_is_the_rows_fault_alone(made: World) -> None:
    work(made, 1)
    (three,) = results(made, 1)
    assert three.outcome is None
    assert three.fault is not None
    assert (three.row, three.fault.reason) == (2, "IMAGE_MISSING")
    assert "'gone.png'" in three.fault.detail


def test_a_step_done_twice_has_one_result(made: World) -> None:
    work(made, 0)
    first = made.store.get(batch_result_key(ID, 0))
    work(made, 0, redelivered=True)
    assert made.store.get(batch_result_key(ID, 0)) == first
    assert len(made.seen) == 1


def test_an_outage_leaves_the_step_open_and_a_bug_ends_it(made: World) -> None:
    made.faults = [DermisError(Kind.UNAVAILABLE, "SERVING_UNAVAILABLE", "away")] * 3
    work(made, 0)
    assert not list(made.store.list(f"{batch_key(ID)}/results/"))
    assert not list(made.store.list(f"{batch_key(ID)}/failed/"))
    made.faults = [ValueError("secret")]
    work(made, 0)
    assert made.store.get(batch_failed_key(ID, 0)) == b"INTERNAL: ValueError, see the worker's log"


def test_a_step_that_kills_its_workers_ends(made: World) -> None:
    rows = 2
    for _ in range(SETTINGS.max_redeliveries + MOST_LOSSES * rows):
        batches(made).count_redelivery(BatchJob(batch_id=ID, step=0))
    work(made, 0, redelivered=True)
    assert b"lost" in made.store.get(batch_failed_key(ID, 0))


def test_an_erased_batch_gets_no_results(made: World) -> None:
    tombstone = BatchErased(batch_id=ID, erased_at=datetime.now(UTC)).model_dump_json().encode()
    made.meanwhile = [(batch_erased_key(ID), tombstone)]
    work(made, 0)
    assert not list(made.store.list(f"{batch_key(ID)}/results/"))
    work(made, 1)
    assert not list(made.store.list(f"{batch_key(ID)}/results/"))


def test_a_job_of_an_erased_batch_leaves_nothing_either_when_it_fails_or_comes_again(made: World) -> None:
    for key in made.store.list(""):
        made.store.delete(key)
    tombstone = BatchErased(batch_id=ID, erased_at=datetime.now(UTC)).model_dump_json().encode()
    made.store.put_once(batch_erased_key(ID), tombstone)
    work(made, 0, redelivered=True)
    batches(made).fail(BatchJob(batch_id=ID, step=0), "the source went away")
    assert list(made.store.list("")) == [batch_erased_key(ID)]


def test_an_unknown_batch_is_left_alone() -> None:
    made = World()
    work(made, 0)
    assert list(made.store.list("")) == []


@pytest.mark.parametrize(
    ("reason", "kind"), [("BLOB_UNREADABLE", Kind.UNAVAILABLE), ("STORE_PERMISSION", Kind.PERMISSION)]
)
def test_an_image_that_cannot_be_read_is_its_own_rows_fault(made: World, reason: str, kind: Kind) -> None:
    source = MemoryStore()
    source.put_once("a.png", skin(0))
    get = source.get

    def refuse(key: str, *, most: int | None = None) -> bytes:
        if key == "black.png":
            raise DermisError(kind, reason, "an object of the store can't be read: Permission denied")
        return get(key, most=most)

    source.get = refuse  # type: ignore[method-assign]
    source.put_once("b.png", skin(1))
    step_tasks.work(
        Batches(made.pipeline(), lambda _: source), BatchJob(batch_id=ID, step=0), settings=SETTINGS, redelivered=False
    )
    one, two = results(made, 0)
    assert one.outcome is not None
    assert two.fault is not None
    assert two.fault.reason == "IMAGE_UNREADABLE"


def test_a_source_that_is_away_is_waited_for_but_not_for_ever(made: World) -> None:
    away = MemoryStore()

    def refuse(_: str) -> bytes:
        raise DermisError(Kind.UNAVAILABLE, "STORE_UNAVAILABLE", "the bucket can't be reached")

    away.get = refuse  # type: ignore[assignment, method-assign]
    job = BatchJob(batch_id=ID, step=0)
    step_tasks.work(Batches(made.pipeline(), lambda _: away), job, settings=SETTINGS, redelivered=False)
    assert batch_result_key(ID, 0) not in set(made.store.list("batches/"))
    made.store._clock = lambda: datetime.now(UTC) + timedelta(days=2)
    step_tasks.work(Batches(made.pipeline(), lambda _: away), job, settings=SETTINGS, redelivered=False)
    assert {result.fault and result.fault.reason for result in results(made, 0)} == {"IMAGE_UNREADABLE"}


def test_a_step_that_waits_too_long_is_left_and_no_strike(made: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(*_: object) -> object:
        raise SoftTimeLimitExceeded

    with monkeypatch.context() as patched:
        patched.setattr(made, "predict", slow)
        for _ in range(5):
            work(made, 0, redelivered=True)
    assert not [key for key in made.store.list("batches/") if "/failed/" in key or "/redelivered/" in key]
    work(made, 0)
    assert len(results(made, 0)) == 2
