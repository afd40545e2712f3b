"""A shard of a profile: a row per image whatever it is, put once."""

import json

import cv2
import numpy as np
import pytest

from dermis.shared.errors import DermisError, Kind
from dermis.shared.jobs import ShardJob, ShardList, shard_failed_key, shard_list_key, shard_result_key
from dermis.shared.ports import BlobNotFound
from dermis.shared.stores.memory import MemoryStore
from dermis.worker.bootstrap import load_policy
from dermis.worker.core import quality, shard
from dermis.worker.row_by_row import MOST_LOSSES
from dermis.worker.settings import WorkerSettings
from dermis.worker.shards import Shards
from dermis.worker.step_tasks import work
from dermis.worker.strikes import Strikes
from tests.support.images import encode, noise, quarters

POLICY = load_policy()
SEED = ("blur", "brightness_mean", "brightness_std", "underexp", "overexp", "contrast", "shadow", "sharpness")
PICTURE = cv2.resize(
    np.random.default_rng(0).integers(60, 200, (24, 32, 3), np.uint8), (320, 240), interpolation=cv2.INTER_CUBIC
)
SETTINGS = WorkerSettings(store_url="file:///nowhere", concurrency=1)
JOB = ShardJob(profile_id="images_1", shard=0)


def test_a_row_says_what_the_worker_says_of_a_case() -> None:
    data = encode(PICTURE, "PNG")
    row = shard.measure("images/1.png", data, POLICY)
    assert tuple(row) == shard.COLUMNS
    assert row["fault"] == ""
    assert tuple(row)[1:9] == SEED
    report = quality.assess(PICTURE, POLICY)  # type: ignore[arg-type]
    assert (row["verdict"], str(row["reasons"]).split()) == (report.verdict, list(report.reasons))
    assert report.measures is not None
    assert {name: row[name] for name in SEED} == {
        n: pytest.approx(v, abs=1e-6) for n, v in report.measures.model_dump().items()
    }
    assert (row["width"], row["height"], row["bytes"], row["mode"], row["format"]) == (
        320,
        240,
        len(data),
        "RGB",
        "PNG",
    )
    assert quality.Signals(**{name: row[name] for name in shard.SIGNALS})  # type: ignore[arg-type]
    assert shard.from_lines(shard.as_lines([row, row])) == [row, row]


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (encode(PICTURE, "PNG")[:2000], "IMAGE_DAMAGED"),
        (encode(PICTURE, "JPEG")[:2000], "IMAGE_DAMAGED"),
        (b"<html>Not found</html>", "IMAGE_FORMAT"),
        (b"", "IMAGE_FORMAT"),
    ],
)
def test_what_is_no_whole_image_is_a_row_with_its_reason(data: bytes, fault: str) -> None:
    row = shard.measure("images/1.png", data, POLICY)
    assert (row["verdict"], row["reasons"], row["fault"], row["bytes"]) == ("UNUSABLE", "UNREADABLE", fault, len(data))
    assert row["width"] is row["phash"] is row["blur"] is None


def test_an_image_under_the_name_of_another_format_is_judged_and_told() -> None:
    row = shard.measure("images/1.png", encode(PICTURE, "JPEG"), POLICY)
    assert (row["format"], row["fault"]) == ("JPEG", "NAMED_OTHERWISE")
    assert row["verdict"] == shard.measure("images/1.JPG", encode(PICTURE, "JPEG"), POLICY)["verdict"]
    assert shard.measure("images/1.JPG", encode(PICTURE, "JPEG"), POLICY)["fault"] == ""


def test_one_image_is_held_at_a_time() -> None:
    asked: list[str] = []

    def read(key: str) -> bytes:
        asked.append(key)
        if key == "b":
            raise BlobNotFound(key)
        return b""

    found = shard.rows(["a", "b", "c"], read, POLICY)
    assert asked == []
    assert [(next(found)["fault"], len(asked)) for _ in range(3)] == [
        ("IMAGE_FORMAT", 1),
        ("MISSING", 2),
        ("IMAGE_FORMAT", 3),
    ]


def test_the_message_is_small() -> None:
    longest = ShardJob(profile_id="x" * 64, shard=10**9)
    assert len(json.dumps(longest.model_dump())) < 200
    with pytest.raises(ValueError, match="profile_id"):
        ShardJob(profile_id="../cases", shard=0)


class Counting(MemoryStore):
    """A source that counts what is read; `broken` is raised instead of an answer."""

    def __init__(self, broken: Exception | None = None) -> None:
        super().__init__()
        self.reads: list[str] = []
        self.broken = broken

    def get(self, key: str) -> bytes:
        self.reads.append(key)
        if self.broken:
            raise self.broken
        return super().get(key)


@pytest.fixture
def source() -> Counting:
    found = Counting()
    for n in range(5):
        found.put_once(
            f"images/{n}.png", encode(quarters() if n else noise(height=64, width=64, level=2, spread=1), "PNG")
        )
    return found


@pytest.fixture
def store() -> MemoryStore:
    made = MemoryStore()
    keys = tuple(f"images/{n}.png" for n in range(7))
    listed = ShardList(source="file:///source", quality_policy=POLICY.model_dump(mode="json"), size=3, keys=keys)
    made.put_once(shard_list_key("images_1"), listed.model_dump_json().encode())
    return made


def test_shards_cover_each_image_once(source: Counting, store: MemoryStore) -> None:
    shards = Shards(Strikes(store=store), {"file:///source": source}.__getitem__)
    assert [shards.run(ShardJob(profile_id="images_1", shard=n)) for n in (2, 0, 1)] == [1, 3, 3]
    rows = [row for n in range(3) for row in shard.from_lines(store.get(shard_result_key("images_1", n)))]
    assert [row["image"] for row in rows] == [f"images/{n}.png" for n in range(7)]
    assert [row["fault"] for row in rows] == [""] * 5 + ["MISSING"] * 2
    assert rows[0]["verdict"] == "UNUSABLE"
    assert shards.run(JOB) == 0, "a shard that has its result is not measured again"
    assert len(source.reads) == 7


def test_the_first_result_stands(source: Counting, store: MemoryStore) -> None:
    class Late(Counting):
        """While the image is read, another worker puts its result."""

        def get(self, key: str) -> bytes:
            if shard_result_key("images_1", 0) not in store.list("profiles/"):
                store.put_once(shard_result_key("images_1", 0), b"the other's\n")
            return source.get(key)

    assert Shards(Strikes(store=store), lambda _: Late()).run(JOB) == 3
    assert store.get(shard_result_key("images_1", 0)) == b"the other's\n"


def test_what_can_be_done_later_is_left_and_what_never_can_is_told(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dermis.worker.step_tasks.RETRY_AFTER_S", (0,))
    away = Counting(DermisError(Kind.UNAVAILABLE, "STORE_UNAVAILABLE", "away"))
    work(Shards(Strikes(store=store), lambda _: away), JOB, settings=SETTINGS, redelivered=False)
    assert len(away.reads) == 2
    assert list(store.list("profiles/images_1/failed/")) == []
    closed = Counting(DermisError(Kind.PERMISSION, "STORE_PERMISSION", "bucket refused this process"))
    work(Shards(Strikes(store=store), lambda _: closed), JOB, settings=SETTINGS, redelivered=False)
    assert store.get(shard_failed_key("images_1", 0)) == b"bucket refused this process"
    assert len(closed.reads) == 1


def test_a_try_that_took_long_is_the_last_one(store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dermis.worker.step_tasks.RETRY_WITHIN_S", -1)
    away = Counting(DermisError(Kind.DEADLINE, "SERVING_DEADLINE_EXCEEDED", "no answer"))
    work(Shards(Strikes(store=store), lambda _: away), JOB, settings=SETTINGS, redelivered=False)
    assert len(away.reads) == 1
    assert list(store.list("profiles/images_1/failed/")) == []


def test_a_shard_that_loses_its_worker_each_time_is_told(source: Counting, store: MemoryStore) -> None:
    shards = Shards(Strikes(store=store), lambda _: source)
    images = 3
    for _ in range(SETTINGS.max_redeliveries + MOST_LOSSES * images):
        assert shards.count_redelivery(JOB)
    work(shards, JOB, settings=SETTINGS, redelivered=True)
    assert b"worker was lost" in store.get(shard_failed_key("images_1", 0))
    assert source.reads == []
    work(shards, ShardJob(profile_id="images_1", shard=1), settings=SETTINGS, redelivered=True)
    assert store.get(shard_result_key("images_1", 1))


def test_a_list_that_is_none_is_told(store: MemoryStore, source: Counting) -> None:
    store.put_once(shard_list_key("images_2"), b'{"source": 1}')
    job = ShardJob(profile_id="images_2", shard=0)
    work(Shards(Strikes(store=store), lambda _: source), job, settings=SETTINGS, redelivered=False)
    assert b"shards.json" in store.get(shard_failed_key("images_2", 0))
