"""A running system as `dermis doctor` sees it: each part's fault is seen and comes with a remedy."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import Any, Self

import pytest
import redis

from dermis.shared.errors import DermisError, Kind
from dermis.shared.ports import Room
from dermis.shared.stores.memory import MemoryStore
from dermis.standalone import system
from dermis.standalone.finding import Finding, Level
from dermis.standalone.state import Running
from dermis.standalone.system import RunningSystem, examine_system, find_system
from tests.unit.shared.test_presence import FakeRedis

HERE = RunningSystem(broker_url="redis://x", metadata_address="m:1", serving_address="")


class Redis(FakeRedis):
    policy = "noeviction"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def ping(self) -> bool:
        if not self.up:
            raise redis.ConnectionError
        return True

    def config_get(self, name: str) -> dict[str, str]:
        if not self.policy:
            raise redis.ResponseError("unknown command")
        return {name: self.policy}

    def info(self, _section: str) -> dict[str, str]:
        return {"redis_version": "7"}


class Store(MemoryStore):
    free: Room | None = None
    off = timedelta(0)

    def room(self) -> Room | None:
        return self.free

    def clock(self) -> datetime:
        return datetime.now(UTC) + self.off


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Redis:
    client = Redis()
    client.values = {f"dermis:parts:{part}:h:1": (version("dermis"), 1) for part in ("gateway", "worker", "sweep")}
    monkeypatch.setattr("redis.Redis.from_url", lambda *_, **__: client)
    monkeypatch.setattr(system, "serves", lambda _: lambda: True)
    return client


def look(store: Store | None = None, there: RunningSystem = HERE) -> dict[str, Finding]:
    stored = store or Store()
    findings = {finding.about: finding for finding in examine_system(there, lambda: stored)}
    assert list(stored.list("scratch/")) == []
    assert all(finding.remedy for finding in findings.values() if finding.level is not Level.OK)
    return findings


def test_each_part_of_a_well_system_is_ok(broker: Redis) -> None:
    findings = look()
    assert list(findings) == ["redis", "gateway", "worker", "sweep", "metadata", "serving", "store"]
    assert {about for about, each in findings.items() if each.level is not Level.OK} == {"serving"}  # not named
    assert broker.policy in findings["redis"].text


@pytest.mark.parametrize("part", ["gateway", "worker", "sweep"])
def test_a_part_that_is_away_fails_and_one_of_another_version_is_told_of(broker: Redis, part: str) -> None:
    broker.values[f"dermis:parts:{part}:h:2"] = ("0.0.9", 1)
    finding = look()[part]
    assert (finding.level, "0.0.9" in finding.text) == (Level.WARN, True)
    broker.values = {key: value for key, value in broker.values.items() if part not in key}
    assert look()[part].level is Level.FAIL


def test_a_redis_that_would_delete_jobs_fails_and_one_that_does_not_tell_does_not(broker: Redis) -> None:
    broker.policy = "allkeys-lru"
    assert look()["redis"].level is Level.FAIL
    broker.policy = ""
    assert look()["redis"].level is Level.OK


def test_without_redis_the_other_parts_are_looked_at(broker: Redis) -> None:
    broker.up = False
    findings = look()
    assert findings["redis"].level is Level.FAIL
    assert (findings["metadata"].level, findings["store"].level) == (Level.OK, Level.OK)


def test_a_peer_that_does_not_serve_fails(broker: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    assert broker.up
    monkeypatch.setattr(system, "serves", lambda _: lambda: False)
    assert look()["metadata"].level is Level.FAIL


@pytest.mark.parametrize(
    ("gigabytes", "off_s", "level"),
    [(3, 0, Level.OK), (1.5, 0, Level.WARN), (1, 0, Level.FAIL), (3, 90, Level.WARN), (3, 660, Level.FAIL)],
)
def test_the_store_is_tried_and_its_room_and_clock_are_looked_at(
    broker: Redis, gigabytes: float, off_s: float, level: Level
) -> None:
    assert broker.up
    store = Store()
    store.free, store.off = Room(bytes=int(gigabytes * 1e9), inodes=None), timedelta(seconds=off_s)
    assert look(store)["store"].level is level


def test_a_store_that_refuses_fails_alone(broker: Redis) -> None:
    class Refusing(Store):
        def put_once(self, key: str, data: bytes, *, reserved: bool = False) -> bool:  # noqa: ARG002 - the port's
            raise DermisError(Kind.UNAVAILABLE, "STORE_UNAVAILABLE", "the store refused")

    assert broker.up
    findings = look(Refusing())
    assert (findings["store"].level, findings["store"].text) == (Level.FAIL, "the store refused")
    assert findings["worker"].level is Level.OK


@pytest.mark.parametrize(("ready", "level"), [(True, Level.OK), (False, Level.FAIL)])
def test_a_gateway_elsewhere_is_asked_whether_it_lives(
    broker: Redis, monkeypatch: pytest.MonkeyPatch, ready: bool, level: Level
) -> None:
    asked: list[object] = []

    def answers_ok(*where: object, tls: bool) -> Callable[[], bool]:
        asked.append((*where, tls))
        return lambda: ready

    assert broker.up
    monkeypatch.setattr(system, "answers_ok", answers_ok)
    findings = look(there=RunningSystem(broker_url="r", metadata_address="m", serving_address="", url="https://h"))
    assert findings["gateway"].level is level
    assert asked == [("h", 443, "/livez", True)]


def test_where_the_parts_are_is_known_by_dermis_up_by_a_pods_variables_or_by_a_url() -> None:
    pod = {"DERMIS_BROKER_URL": "r", "DERMIS_METADATA_ADDRESS": "m", "DERMIS_SERVING_ADDRESS": "s"}
    variables = {"DERMIS_BROKER_URL": "b", "DERMIS_SERVING_ADDRESS": "t"}
    running = Running(pid=1, url="http://h", broker_url="b", variables=variables, lan_url="https://l")

    def place(*where: Any) -> tuple[str, ...]:
        there = find_system(*where)
        assert there
        return (there.broker_url, there.serving_address, there.url, *there.certificate_urls)

    assert find_system({}, None) is None
    assert find_system({"DERMIS_BROKER_URL": "r"}, None) is None
    assert place(pod, None) == ("r", "s", "")
    assert place(pod, running) == ("b", "t", "http://h", "https://l")
    assert place({}, None, "https://u") == ("", "", "https://u", "https://u")
