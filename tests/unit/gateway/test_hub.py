"""One look into the store for all who follow a case."""

import asyncio

import pytest

from dermis.gateway import hub
from dermis.gateway.hub import Hub
from dermis.shared.errors import DermisError, Kind


class Reads:
    """A store that takes a while, and whose content grows by one while it is read."""

    def __init__(self, fault: Exception | None = None) -> None:
        self.begun = 0
        self.fault = fault

    async def __call__(self) -> int:
        self.begun += 1
        content = self.begun
        await asyncio.sleep(0.01)
        if self.fault:
            raise self.fault
        return content


def test_those_who_ask_at_one_time_share_a_look_that_began_after_they_asked() -> None:
    async def run() -> None:
        several, read = Hub(), Reads()
        first = asyncio.create_task(several.look("a", read))
        await asyncio.sleep(0)
        others = [asyncio.create_task(several.look("a", read)) for _ in range(500)]
        assert await first == 1
        assert set(await asyncio.gather(*others)) == {2}
        assert await several.look("a", read) == 3

    asyncio.run(run())


def test_cases_are_looked_at_apart() -> None:
    async def run() -> None:
        several, read = Hub(), Reads()
        assert await asyncio.gather(several.look("a", read), several.look("b", read)) == [1, 2]

    asyncio.run(run())


def test_a_fault_is_everyones_and_the_next_look_is_made() -> None:
    async def run() -> None:
        several, read = Hub(), Reads(DermisError(Kind.NOT_FOUND, "CASE_ERASED", "gone"))
        results = await asyncio.gather(*(several.look("a", read) for _ in range(3)), return_exceptions=True)
        assert [getattr(each, "reason", each) for each in results] == ["CASE_ERASED"] * 3
        read.fault = None
        assert await several.look("a", read) == read.begun

    asyncio.run(run())


def test_one_who_leaves_ends_nobody_elses_look() -> None:
    async def run() -> None:
        several, read = Hub(), Reads()
        leaves, stays = (asyncio.create_task(several.look("a", read)) for _ in range(2))
        await asyncio.sleep(0)
        leaves.cancel()
        assert await stays == 2

    asyncio.run(run())


def test_all_look_at_one_time_without_news(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "_WITHOUT_NEWS_S", 0.1)

    async def run() -> None:
        several, read = Hub(), Reads()

        async def follow(begins: float) -> None:
            await asyncio.sleep(begins)
            with several.listen("a") as event:
                await several.wait(event)
            await several.look("a", read)

        loop = asyncio.get_running_loop()
        await asyncio.sleep(0.1 - loop.time() % 0.1)
        await asyncio.gather(*(follow(n / 1000) for n in range(50)))
        assert read.begun <= 2

    asyncio.run(run())
