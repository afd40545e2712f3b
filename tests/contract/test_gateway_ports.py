"""One contract for what the gateway's broker and rates are, over a real Redis and as the fakes of the unit tests."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
import redis

from dermis.gateway.adapters.broker import RedisBroker
from dermis.gateway.adapters.rates import SharedRates
from dermis.gateway.hub import Hub
from dermis.gateway.ports import Broker, QueueLoad, Rates
from dermis.shared.batches import BatchJob
from dermis.shared.errors import DermisError, Kind
from dermis.shared.ids import new_id
from dermis.shared.jobs import AssessImageJob, AssessJob
from dermis.shared.presence import Presence
from dermis.worker.adapters.announcer import RedisAnnouncer
from tests.support.servers import free_port, redis_server
from tests.unit.gateway.conftest import FakeBroker, FakeRates


@dataclass(frozen=True)
class Brokers:
    """Makes a broker, and has a worker reply to it."""

    make: Callable[[Hub], Broker]
    reply: Callable[[Broker, str, bytes], None]


def fake_reply(broker: Broker, _scratch_id: str, report: bytes) -> None:
    assert isinstance(broker, FakeBroker)
    broker.reply = report


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    with redis_server() as url:
        yield url


@pytest.fixture(params=["fake", "redis"])
def brokers(request: pytest.FixtureRequest) -> Iterator[Brokers]:
    if request.param == "fake":
        yield Brokers(make=FakeBroker, reply=fake_reply)
        return
    url = request.getfixturevalue("redis_url")
    with redis.Redis.from_url(url) as client:
        client.flushall()
        announcer = RedisAnnouncer(client)
        yield Brokers(
            make=lambda _: RedisBroker(url), reply=lambda _, scratch_id, report: announcer.reply(scratch_id, report)
        )


@pytest.fixture(params=["fake", "redis"])
def away(request: pytest.FixtureRequest) -> Callable[[Hub], Broker]:
    """Makes a broker that nothing answers."""
    url = f"redis://127.0.0.1:{free_port()}/0"
    return (lambda hub: FakeBroker(hub, up=False)) if request.param == "fake" else (lambda _: RedisBroker(url))


@pytest.fixture(params=["fake", "redis", "redis away"])
def make_rates(request: pytest.FixtureRequest) -> Callable[[], Rates]:
    if request.param == "fake":
        return FakeRates
    url = request.getfixturevalue("redis_url") if request.param == "redis" else f"redis://127.0.0.1:{free_port()}/0"
    return lambda: SharedRates(url)


def job() -> AssessJob:
    return AssessJob(case_id=new_id("case"), owner="public")


def test_a_job_that_is_sent_waits_in_the_queue(brokers: Brokers) -> None:
    async def run() -> list[QueueLoad | None]:
        broker = brokers.make(Hub())
        loads = [await broker.load("anyone")]
        for _ in range(2):
            assert await broker.send(job())
        await asyncio.sleep(0.3)  # for as long a load may be kept
        loads.append(await broker.load("anyone"))
        await broker.close()
        return loads

    before, after = asyncio.run(run())
    assert before == QueueLoad(depth=0)
    assert after
    assert after.depth == 2
    assert 0 <= after.age < 10


@pytest.mark.parametrize("part", ["webhooks", "worker", None])
def test_a_worker_that_delivers_webhooks_is_seen(redis_url: str, part: str | None) -> None:
    async def run() -> bool | None:
        broker = RedisBroker(redis_url)
        delivers = await broker.delivers_webhooks()
        await broker.close()
        return delivers

    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
    if part:
        Presence(redis_url, part).show()
    assert asyncio.run(run()) is (part == "webhooks")


def test_whether_webhooks_are_delivered_is_not_told_without_a_broker(away: Callable[[Hub], Broker]) -> None:
    async def run() -> bool | None:
        broker = away(Hub())
        delivers = await broker.delivers_webhooks()
        await broker.close()
        return delivers

    assert asyncio.run(run()) is None


def test_an_announcement_wakes_those_who_wait_for_this_case(brokers: Brokers) -> None:
    async def run() -> None:
        hub, case_id = Hub(), new_id("case")
        broker = brokers.make(hub)
        feeding = asyncio.create_task(broker.feed(hub))
        async with asyncio.timeout(10):
            while not hub.fed:
                await asyncio.sleep(0.01)
            with hub.listen(case_id) as event, hub.listen(new_id("case")) as other:
                await broker.announce(case_id, "outcome")
                await event.wait()
                assert not other.is_set()
        feeding.cancel()
        await broker.close()

    asyncio.run(run())


def test_a_worker_that_is_asked_replies_or_nothing_comes_in_time(brokers: Brokers) -> None:
    async def run() -> tuple[bytes | None, bytes | None]:
        broker = brokers.make(Hub())
        nothing = await broker.ask(AssessImageJob(scratch_id=new_id("scratch"), content_type="image/jpeg"), seconds=1)
        asked = AssessImageJob(scratch_id=new_id("scratch"), content_type="image/jpeg")
        brokers.reply(broker, asked.scratch_id, b'{"verdict": "USABLE"}')
        reply = await broker.ask(asked, seconds=5)
        await broker.close()
        return nothing, reply

    assert asyncio.run(run()) == (None, b'{"verdict": "USABLE"}')


def test_a_broker_that_is_away_raises_only_where_a_reply_is_waited_for(away: Callable[[Hub], Broker]) -> None:
    async def run() -> None:
        broker = away(Hub())
        assert await broker.send(job()) is False
        await broker.send_batch([BatchJob(batch_id=new_id("batch"), step=0)])
        await broker.announce(new_id("case"), "outcome")
        assert await broker.load("anyone") is None
        with pytest.raises(DermisError) as refused:
            await broker.ask(AssessImageJob(scratch_id=new_id("scratch"), content_type="image/jpeg"), seconds=1)
        assert (refused.value.kind, refused.value.reason) == (Kind.UNAVAILABLE, "BROKER_UNAVAILABLE")
        await broker.close()

    asyncio.run(run())


def test_each_caller_has_so_many_calls_a_minute(make_rates: Callable[[], Rates]) -> None:
    async def run() -> None:
        rates = make_rates()
        caller = new_id("key")
        calls = [await rates.hit(caller, per_minute=3) for _ in range(5)]
        assert [call.refused for call in calls] == [False, False, False, True, True]
        assert [call.left for call in calls] == [2, 1, 0, 0, 0]
        assert all(1 <= call.reset_s <= 60 for call in calls)
        assert not (await rates.hit(new_id("key"), per_minute=1)).refused
        await rates.close()

    asyncio.run(run())
