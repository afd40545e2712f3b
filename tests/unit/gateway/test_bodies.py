"""Bodies while they come in: their pace, the room that they share, and forms whose parts' headers never end."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from dermis.gateway.bodies import Bodies, Body, Pace
from dermis.gateway.problems import BusyError, RefusedError
from tests.support.clocks import run_jumping
from tests.unit.gateway.conftest import new_key

HEAD = b'--b\r\nContent-Disposition: form-data; name="images"; filename="a"\r\n\r\n'
FORM = {"Content-Type": "multipart/form-data; boundary=b"}


def post(gateway: Any, content: AsyncIterator[bytes], headers: dict[str, str]) -> httpx.Response:
    async def run() -> httpx.Response:
        async with gateway.client() as client:
            response: httpx.Response = await client.post("/v1/cases", content=content, headers=FORM | headers)
            return response

    response: httpx.Response = gateway.runner.run(run())
    return response


class TestPace:
    @pytest.mark.parametrize("setting", ["upload_pause_seconds", "upload_seconds"])
    def test_an_upload_that_pauses_or_lasts_too_long_is_cut_off_and_its_room_given_back(
        self, gateway: Any, jpeg: bytes, setting: str
    ) -> None:
        gateway.settings[setting] = 0.2

        async def trickle() -> AsyncIterator[bytes]:
            yield HEAD + jpeg
            await asyncio.sleep(60)

        refused = post(gateway, trickle(), {})
        assert (refused.status_code, refused.json()["reason"]) == (408, "REQUEST_TIMEOUT")
        assert "0.2 s" in refused.json()["detail"]
        assert gateway.keys == []
        assert "dermis_gateway_upload_bytes 0.0" in gateway.get("/metrics").text

    @pytest.mark.parametrize(
        ("path", "body"),
        [("/v1/cases/case_01k9x4q7e8f3rtw5m2c6b0dvza/feedback", "application/json"), ("/v1/batches", "text/csv")],
    )
    def test_no_other_body_may_trickle_either(self, gateway: Any, path: str, body: str) -> None:
        gateway.settings["upload_pause_seconds"] = 0.2
        _, key = new_key(gateway, "admin")  # type: ignore[arg-type]

        async def run() -> httpx.Response:
            async def trickle() -> AsyncIterator[bytes]:
                while True:
                    yield b" "
                    await asyncio.sleep(0.02)

            async with gateway.client() as client:
                response: httpx.Response = await client.post(
                    path, content=trickle(), headers=key | {"Content-Type": body}
                )
                return response

        assert gateway.runner.run(run()).status_code == 408

    @pytest.mark.parametrize(("rate", "ends"), [(900, "whole"), (100, "408")])
    def test_slow_bodies_pass_down_to_the_least_rate(self, rate: int, ends: str) -> None:
        async def run() -> str:
            left = 60

            async def receive() -> Any:
                nonlocal left
                await asyncio.sleep(10 / rate)
                left -= 1
                return {"type": "http.request", "body": bytes(10), "more_body": left > 0}

            pace = Pace(receive, least_rate=300, patience=0.2, longest=60)
            try:
                while (await pace())["more_body"]:
                    pass
            except Exception as error:  # noqa: BLE001
                return str(getattr(error, "status_code", error))
            return "whole"

        assert run_jumping(run()) == ends

    def test_once_the_answer_is_under_way_the_clients_end_may_be_waited_for(self) -> None:
        async def run() -> Any:
            async def receive() -> Any:
                await asyncio.sleep(0.2)
                return {"type": "http.disconnect"}

            pace = Pace(receive, least_rate=1, patience=0.05, longest=60)
            asyncio.get_running_loop().call_later(0.01, pace.ends)
            return await pace()

        assert run_jumping(run()) == {"type": "http.disconnect"}


def bodies(**bounds: int) -> Bodies:
    return Bodies(
        **({"most_bytes": 100, "most_bytes_per_key": 80, "most_per_address": 2} | bounds), show=lambda _: None
    )


class TestRoom:
    def test_what_is_only_declared_takes_no_room(self, gateway: Any, jpeg: bytes) -> None:
        gateway.settings["max_upload_bytes"] = 1_500_000

        async def run() -> list[int]:
            begun, go = asyncio.Semaphore(0), asyncio.Event()

            async def silent() -> AsyncIterator[bytes]:
                yield HEAD
                begun.release()
                await go.wait()

            async with gateway.client() as client:
                declared = FORM | {"Content-Length": "1400000"}
                held = [
                    asyncio.ensure_future(client.post("/v1/cases", content=silent(), headers=declared))
                    for _ in range(20)
                ]
                for _ in held:
                    await begun.acquire()
                answer = await client.post("/v1/cases", files=[("images", jpeg)])
                go.set()
                return [answer.status_code, *{(await each).status_code for each in held}]

        assert gateway.runner.run(run()) == [202, 422]

    def test_where_there_is_no_room_the_largest_that_is_still_read_gives_way(self) -> None:
        async def run() -> None:
            shared = bodies()
            with shared.open("a", by_key=True) as large, shared.open("b", by_key=True) as small:
                reading = asyncio.ensure_future(large.read(asyncio.sleep(60)))
                await asyncio.sleep(0)
                shared.book(large, 70)
                shared.book(small, 25)
                shared.book(small, 25)
                with pytest.raises(BusyError):
                    await reading
                assert (large.bytes, small.bytes) == (0, 50)

        asyncio.run(run())

    def test_what_is_read_already_or_smaller_keeps_its_room(self) -> None:
        async def run() -> None:
            shared = bodies()
            with (
                shared.open("a", by_key=True) as whole,
                shared.open("b", by_key=True) as small,
                shared.open("c", by_key=True) as late,
            ):
                shared.book(whole, 70)  # it is being stored: nobody reads it any more
                reading = asyncio.ensure_future(small.read(asyncio.sleep(0.01)))
                await asyncio.sleep(0)
                shared.book(small, 20)
                with pytest.raises(BusyError):
                    shared.book(late, 21)
                await reading

        asyncio.run(run())

    def test_one_body_may_be_larger_than_the_room(self) -> None:
        async def run() -> None:
            shared = bodies(most_bytes=10)
            with shared.open("a", by_key=True) as body:
                shared.book(body, 70)

        asyncio.run(run())

    def test_a_key_has_a_share_and_all_room_is_given_back(self) -> None:
        async def run() -> None:
            shared = bodies()
            for _ in range(3):
                with shared.open("a", by_key=True) as first, shared.open("a", by_key=True) as second:
                    shared.book(first, 60)
                    with pytest.raises(RefusedError) as refused:
                        shared.book(second, 30)
                    assert refused.value.headers["Retry-After"]
                    with shared.open("b", by_key=True) as other:
                        shared.book(other, 40)

        asyncio.run(run())

    def test_an_address_without_a_key_has_so_many_bodies(self) -> None:
        shared = bodies()
        with contextlib.ExitStack() as held:
            for caller in ("public:1", "public:1", "public:2"):
                held.enter_context(shared.open(caller, by_key=False))
            with pytest.raises(RefusedError):
                held.enter_context(shared.open("public:1", by_key=False))
        with shared.open("public:1", by_key=False) as body:
            assert isinstance(body, Body)

    @pytest.mark.parametrize(("proxies", "refused"), [(0, False), (1, True)])
    def test_addresses_count_only_behind_proxies_that_are_trusted(
        self, gateway: Any, jpeg: bytes, proxies: int, refused: bool
    ) -> None:
        gateway.settings |= {"trusted_proxies": proxies, "max_address_uploads": 1}

        async def run() -> int:
            begun, go = asyncio.Event(), asyncio.Event()

            async def slow() -> AsyncIterator[bytes]:
                yield HEAD
                begun.set()
                await go.wait()

            async with gateway.client() as client:
                client.headers["X-Forwarded-For"] = "192.0.2.9"
                held = asyncio.ensure_future(client.post("/v1/cases", content=slow(), headers=FORM))
                await begun.wait()
                status: int = (await client.post("/v1/cases", files=[("images", jpeg)])).status_code
                go.set()
                await held
                return status

        assert gateway.runner.run(run()) == (429 if refused else 202)


@pytest.mark.parametrize(
    "start",
    [b'--b\r\nContent-Disposition: form-data; name="images"; x=', b"--b\r\n", b"--b\r\nX: a\r\nY", b"\r\n" * 9000],
    ids=["a value", "a name", "a second header", "what stands before the form"],
)
def test_a_parts_header_that_never_ends_is_refused_early(gateway: Any, start: bytes) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        yield start
        while sent < 50_000_000:
            sent += 65536
            yield b"a" * 65536

    response = post(gateway, endless(), {})
    assert (response.status_code, response.json()["reason"]) == (422, "FORM_BROKEN")
    assert sent <= 2 * 65536
    assert gateway.keys == []
