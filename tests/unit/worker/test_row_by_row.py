"""Images that kill the process which decodes them: each is named, and everything else is done."""

import multiprocessing
import os
import signal
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

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
    batch_key,
    batch_manifest_key,
    batch_result_key,
    batch_rows_key,
    open_batch_key,
)
from dermis.shared.erasing import erase_batch
from dermis.shared.errors import DermisError, Kind
from dermis.shared.jobs import ShardJob, ShardList, shard_list_key, shard_result_key
from dermis.shared.ports import BlobStore
from dermis.shared.stores import open_store
from dermis.shared.stores.memory import MemoryStore
from dermis.worker.batches import Batches
from dermis.worker.bootstrap import load_policy
from dermis.worker.core import decode, shard
from dermis.worker.limits import ComputedTooLong
from dermis.worker.ports import AtRisk
from dermis.worker.row_by_row import MOST_LOSSES, RowByRow
from dermis.worker.shards import Shards
from dermis.worker.step_tasks import work
from dermis.worker.strikes import Strikes
from tests.unit.worker.test_pipeline import SETTINGS, World, skin

ID = "batch_01m82nmrzdescb95c4e8msawzy"
ROWS, SIZE, POISONOUS = 50, 8, {3, 5, 41}
POISON = b"poison"


def deadly(data: bytes, **options: Any) -> decode.Decoded:
    """A decoder that takes its process along where an image says so, as one that writes beyond its buffer does."""
    if data.endswith(POISON):
        os.kill(os.getpid(), signal.SIGKILL)
    return DECODE(data, **options)


DECODE = decode.decode


def until_done(do: Callable[[bool], None]) -> int:
    """Deliver a job, and again each time that its process is lost; return how often."""
    for deliveries in range(1, 100):
        child = multiprocessing.get_context("fork").Process(target=do, args=(deliveries > 1,))
        child.start()
        child.join()
        if child.exitcode == 0:
            return deliveries
        assert child.exitcode == -signal.SIGKILL
    raise AssertionError("the job never ends")


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, BlobStore]:
    monkeypatch.setattr(decode, "decode", deadly)
    url = f"file://{tmp_path / 'source'}"
    store = open_store(url)
    for n in range(ROWS):
        store.put_once(f"images/{n}.png", skin(n) + (POISON if n in POISONOUS else b""))
    return url, store


@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_of_a_batch_with_three_poisonous_images_47_rows_are_done_and_3_named(
    tmp_path: Path, source: tuple[str, BlobStore]
) -> None:
    made = World(store=open_store(f"file://{tmp_path / 'store'}"))  # type: ignore[arg-type]
    manifest = BatchManifest(
        batch_id=ID, owner="public", created_at=datetime.now(UTC), source=source[0], rows=ROWS, size=SIZE
    )
    made.store.put_once(
        batch_rows_key(ID), as_lines([BatchRow(name=f"row {n}", images=(f"images/{n}.png",)) for n in range(ROWS)])
    )
    made.store.put_once(batch_manifest_key(ID), manifest.model_dump_json().encode())

    def deliver(step: int, redelivered: bool) -> None:
        batches = Batches(made.pipeline(), lambda _: source[1])
        work(batches, BatchJob(batch_id=ID, step=step), settings=SETTINGS, redelivered=redelivered)

    deliveries = [until_done(lambda again, step=step: deliver(step, again)) for step in range(manifest.steps)]  # type: ignore[misc]
    assert deliveries == [2 + 2 * MOST_LOSSES, 1, 1, 1, 1, 2 + MOST_LOSSES, 1]
    lines = [line for step in range(manifest.steps) for line in made.store.get(batch_result_key(ID, step)).splitlines()]
    results = [BatchResult.model_validate_json(line) for line in lines]
    assert [result.row for result in results] == list(range(ROWS))
    assert {result.row for result in results if result.fault} == POISONOUS
    assert sum(result.outcome is not None for result in results) == 47
    for row in POISONOUS:
        fault = results[row].fault
        assert fault is not None
        assert (fault.reason, f"images/{row}.png" in fault.detail) == ("WORKER_LOST", True)
    assert not list(made.store.list(f"{batch_key(ID)}/rows/")), "what was noted of rows is gone"
    assert not list(made.store.list(f"{batch_key(ID)}/failed/"))


@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_of_a_shard_with_a_poisonous_image_the_others_are_measured(
    tmp_path: Path, source: tuple[str, BlobStore]
) -> None:
    store = open_store(f"file://{tmp_path / 'store'}")
    keys = tuple(f"images/{n}.png" for n in range(8))
    listed = ShardList(source=source[0], quality_policy=load_policy().model_dump(mode="json"), size=8, keys=keys)
    store.put_once(shard_list_key("images_1"), listed.model_dump_json().encode())
    job = ShardJob(profile_id="images_1", shard=0)
    until_done(
        lambda again: work(Shards(Strikes(store=store), lambda _: source[1]), job, settings=SETTINGS, redelivered=again)
    )
    rows = shard.from_lines(store.get(shard_result_key("images_1", 0)))
    assert [row["image"] for row in rows] == list(keys)
    assert {n for n, row in enumerate(rows) if row["fault"] == "WORKER_LOST"} == {3, 5}
    assert all(row["phash"] for row in rows if not row["fault"])
    assert not list(store.list("profiles/images_1/rows/"))


def test_an_outage_is_no_loss_of_the_row() -> None:
    careful = RowByRow(strikes=Strikes(store=MemoryStore()), prefix="rows")

    def away(_: int, at_risk: AtRisk) -> bytes:
        with at_risk():
            raise ConnectionError

    for _ in range(MOST_LOSSES + 1):
        with pytest.raises(ConnectionError):
            list(careful.run(range(2), away, lambda _: b"lost"))
    assert list(careful.run(range(2), lambda n, _: b"%d" % n, lambda _: b"lost")) == [b"0", b"1"]
    assert list(careful.run(range(2), away, lambda _: b"lost")) == [b"0", b"1"], "what is done is not done again"


LIMITS = [SoftTimeLimitExceeded(), ComputedTooLong(), DermisError(Kind.UNAVAILABLE, "SERVING_UNAVAILABLE", "away")]


def batch_of(rows: int) -> tuple[World, MemoryStore]:
    made, source = World(), MemoryStore()
    for n in range(rows):
        source.put_once(f"{n}.png", skin(n))
    manifest = BatchManifest(
        batch_id=ID, owner="public", created_at=datetime.now(UTC), source="file:///source", rows=rows
    )
    made.store.put_once(
        batch_rows_key(ID), as_lines([BatchRow(name=f"row {n}", images=(f"{n}.png",)) for n in range(rows)])
    )
    made.store.put_once(batch_manifest_key(ID), manifest.model_dump_json().encode())
    return made, source


@pytest.mark.parametrize("limit", LIMITS, ids=lambda limit: type(limit).__name__)
def test_a_step_that_breaks_off_each_time_after_a_row_comes_to_its_end(
    limit: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, source = batch_of(4)
    reads: list[str] = []

    def read_one(key: str) -> bytes:
        reads.append(key)
        if len(reads) % 2 == 0:
            raise limit
        return get(key)

    get = source.get
    monkeypatch.setattr(source, "get", read_one)
    monkeypatch.setattr("dermis.worker.step_tasks.RETRY_AFTER_S", ())
    for _ in range(5):  # as the sweep sends it
        work(
            Batches(made.pipeline(), lambda _: source),
            BatchJob(batch_id=ID, step=0),
            settings=SETTINGS,
            redelivered=False,
        )
    results = [BatchResult.model_validate_json(line) for line in made.store.get(batch_result_key(ID, 0)).splitlines()]
    assert [(result.row, result.outcome is not None) for result in results] == [(n, True) for n in range(4)]
    assert len(made.seen) == 4
    assert not list(made.store.list(f"{batch_key(ID)}/rows/"))
    assert not list(made.store.list(f"{batch_key(ID)}/failed/"))


def test_a_step_whose_first_row_computes_for_too_long_fails() -> None:
    made, source = batch_of(2)
    made.faults = [ComputedTooLong()]  # type: ignore[list-item]
    work(
        Batches(made.pipeline(), lambda _: source), BatchJob(batch_id=ID, step=0), settings=SETTINGS, redelivered=False
    )
    assert list(made.store.list(f"{batch_key(ID)}/failed/"))


@pytest.mark.parametrize("redelivered", [False, True])
def test_a_step_that_breaks_off_when_its_batch_is_erased_leaves_nothing(redelivered: bool) -> None:
    made, source = batch_of(3)
    job = BatchJob(batch_id=ID, step=0)

    def erased_meanwhile(key: str) -> bytes:
        if key == "1.png":
            erase_batch(made.store, ID, at=datetime.now(UTC))
            made.store.delete(open_batch_key(ID))
        if key == "2.png":
            raise SoftTimeLimitExceeded
        return get(key)

    get, source.get = source.get, erased_meanwhile  # type: ignore[method-assign]
    work(Batches(made.pipeline(), lambda _: source), job, settings=SETTINGS, redelivered=redelivered)
    assert list(made.store.list("")) == [batch_erased_key(ID)]


def test_of_an_erased_batch_no_row_stays() -> None:
    made = World()
    made.store.put_once(f"{batch_key(ID)}/rows/3/done", b"{}")
    tombstone = BatchErased(batch_id=ID, erased_at=datetime.now(UTC)).model_dump_json().encode()
    made.store.put_once(batch_erased_key(ID), tombstone)
    work(
        Batches(made.pipeline(), lambda _: MemoryStore()),
        BatchJob(batch_id=ID, step=0),
        settings=SETTINGS,
        redelivered=True,
    )
    assert list(made.store.list("")) == [batch_erased_key(ID)]
