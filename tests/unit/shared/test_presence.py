"""Parts show themselves in Redis, and are read from there."""

from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import pytest
import redis

from dermis.shared.presence import Presence, Present, read_presence


class FakeRedis:
    """What the code asks of Redis, over a dict; `up` False: it does not answer."""

    def __init__(self) -> None:
        self.values: dict[str, tuple[str, int]] = {}
        self.up = True

    def set(self, key: str, value: str, *, ex: int) -> None:
        if not self.up:
            raise redis.ConnectionError
        self.values[key] = (value, ex)

    def scan_iter(self, *, match: str, count: int) -> Iterator[bytes]:  # noqa: ARG002 - redis-py's names
        return (key.encode() for key in self.values if key.startswith(match.rstrip("*")))

    def mget(self, keys: list[bytes]) -> list[bytes | None]:
        return [self.values[key.decode()][0].encode() for key in keys]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeRedis:
    client = FakeRedis()
    monkeypatch.setattr("redis.Redis.from_url", lambda *_, **__: client)
    return client


def test_a_part_shows_its_place_and_version_for_a_time(fake: Any) -> None:
    Presence("redis://x", "sweep", lasts_s=90).show()
    assert [seconds for _, seconds in fake.values.values()] == [90]
    (present,) = read_presence(fake)
    assert (present.part, present.version) == ("sweep", version("dermis"))
    assert ":" in present.place


def test_all_parts_are_read_by_part_and_place(fake: Any) -> None:
    fake.values = {"dermis:parts:worker:b:2": ("2", 1), "dermis:parts:gateway:a:1": ("1", 1), "unacked": ("x", 1)}
    assert read_presence(fake) == [
        Present(part="gateway", place="a:1", version="1"),
        Present(part="worker", place="b:2", version="2"),
    ]


def test_without_redis_a_part_works_on(fake: Any) -> None:
    fake.up = False
    Presence("redis://x", "worker").show()
    assert fake.values == {}
    assert read_presence(fake) == []
