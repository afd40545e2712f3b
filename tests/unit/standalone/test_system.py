"""A running system as `dermis doctor` sees it: each part's fault is seen and comes with a remedy."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import Any, Self

import pytest
import redis

from dermis.shared.addresses import networks_of
from dermis.shared.bundles import read_current
from dermis.shared.errors import DermisError, Kind
from dermis.shared.ids import first_id, new_id
from dermis.shared.manifest import CURRENT_KEY, Canary, VersionRef
from dermis.shared.ports import Room
from dermis.shared.stores.memory import MemoryStore
from dermis.shared.webhook_admin import Webhooks
from dermis.shared.webhooks import dead_key
from dermis.standalone import system
from dermis.standalone.bundle import ensure_bundle
from dermis.standalone.finding import Finding, Level
from dermis.standalone.peers import PeerAnswer
from dermis.standalone.state import Running
from dermis.standalone.system import RunningSystem, examine_system, find_system
from tests.unit.shared.test_presence import FakeRedis
from tests.unit.standalone.test_status import Waiting

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
    monkeypatch.setattr(system, "ask_health", lambda _: PeerAnswer(ok=True, detail="m:1 is SERVING"))
    monkeypatch.setattr(system, "CeleryQueue", lambda _: Waiting(0))
    return client


def look(store: Store | None = None, there: RunningSystem = HERE) -> dict[str, Finding]:
    stored = store or Store()
    findings = {finding.about: finding for finding in examine_system(there, lambda: stored)}
    assert list(stored.list("scratch/")) == []
    assert all(finding.remedy for finding in findings.values() if finding.level is not Level.OK)
    return findings


def test_each_part_of_a_well_system_is_ok(broker: Redis) -> None:
    findings = look()
    assert list(findings) == [
        "redis",
        "gateway",
        "worker",
        "sweep",
        "metadata",
        "serving",
        "queue",
        "webhooks",
        "store",
    ]
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
    monkeypatch.setattr(system, "ask_health", lambda _: PeerAnswer(ok=False, detail="m:1 does not answer"))
    assert look()["metadata"].level is Level.FAIL
    monkeypatch.setattr(system, "ask_health", lambda _: PeerAnswer(ok=True, detail="m:1", version="0.0.9"))
    assert (look()["metadata"].level, "0.0.9" in look()["metadata"].text) == (Level.WARN, True)
    monkeypatch.setattr(system, "ask_health", lambda _: PeerAnswer(ok=None, detail="grpc is not installed here"))
    assert look()["metadata"].level is Level.WARN


def test_a_version_on_trial_that_serving_never_loads_is_told_of(broker: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    assert broker.up
    store = Store()
    ensure_bundle(store)
    pointer = read_current(store)
    canary = Canary(ref=VersionRef(name="dermis", version=3), percent=10, promotion="promotion_x")
    changed = pointer.model_copy(update={"canary": canary}).model_dump_json().encode()
    store.replace(CURRENT_KEY, changed, generation=store.get_versioned(CURRENT_KEY).generation)
    there = RunningSystem(broker_url="r", metadata_address="m", serving_address="s:1")

    def ask_serving(_: str, ref: VersionRef) -> PeerAnswer:
        return PeerAnswer(ok=ref.version in available, detail=f"version {ref.version}")

    monkeypatch.setattr(system, "ask_serving", ask_serving)
    available = {1, 3}
    assert look(store, there)["serving"].level is Level.OK
    available = {1}
    finding = look(store, there)["serving"]
    assert (finding.level, "the canary, version 3, is not" in finding.text) == (Level.WARN, True)
    assert "--end-canary" in finding.remedy
    available = {3}
    assert look(store, there)["serving"].level is Level.FAIL


def test_dead_letters_of_webhooks_and_of_the_queue_come_with_what_to_do(broker: Redis) -> None:
    store = Store()
    assert look(store)["webhooks"].text == "there are none"
    created = Webhooks(store=store, networks=networks_of("127.0.0.0/8")).create(
        owner="public", url="http://127.0.0.1:9/hook"
    )
    assert look(store)["webhooks"].level is Level.FAIL  # nobody delivers
    broker.values["dermis:parts:webhooks:h:3"] = (version("dermis"), 1)
    assert look(store)["webhooks"].level is Level.OK
    hook = created.endpoint.endpoint_id
    store.put_once(dead_key(hook, new_id("msg")), b"{}")
    finding = look(store)["webhooks"]
    assert (finding.level, f"1 events were given up, of {hook}" in finding.text) == (Level.WARN, True)
    assert "dermis webhooks replay" in finding.remedy
    assert look(store)["queue"].level is Level.OK
    case_id = new_id("case")
    for name in ("received", "failed/1"):
        store.put_once(f"cases/public/{case_id}/{name}.json", b"{}")
    old = first_id("case", datetime.now(UTC) - timedelta(days=2))
    for name in ("received", "failed/1"):
        store.put_once(f"cases/public/{old}/{name}.json", b"{}")
    finding = look(store)["queue"]
    assert (finding.level, "1 cases failed within a day" in finding.text) == (Level.WARN, True)
    assert f"dermis replay {case_id}" in finding.remedy


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
