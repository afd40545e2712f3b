"""Reads request bodies: books each byte, gives each caller a share, and ends a body that comes too slowly."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import TypeVar

from starlette.exceptions import HTTPException
from starlette.types import Message, Receive

from dermis.gateway.problems import BusyError, RefusedError
from dermis.shared.errors import Kind

T = TypeVar("T")
RETRY_AFTER_SECONDS = 2


class Pace:
    """Receives a body, and answers 408 once the client was waited for too long.

    A wait counts against `patience` seconds, which come back as bytes do: no pause may be longer, and no body slower
    than `least_rate` bytes a second on the whole. `longest` seconds are the end in any case.
    """

    def __init__(self, receive: Receive, *, least_rate: float, patience: float, longest: float) -> None:
        self._receive = receive
        self._least_rate = least_rate
        self._patience = self._left = patience
        self._longest = longest
        self._ends: float | None = None
        self._whole = False

    async def __call__(self) -> Message:
        if self._whole:
            return await self._receive()
        begun = _now()
        self._ends = begun + self._longest if self._ends is None else self._ends
        try:
            async with asyncio.timeout_at(min(begun + self._left, self._ends)):
                message = await self._receive()
        except TimeoutError:
            if self._whole:
                return await self._receive()
            raise HTTPException(408, self._detail(), headers={"Connection": "close"}) from None
        self._left = min(
            self._patience, self._left - (_now() - begun) + len(message.get("body", b"")) / self._least_rate
        )
        self._whole |= not message.get("more_body", False)
        return message

    def ends(self) -> None:
        """Stop measuring the pace: the answer is under way, and only the client's disconnect can still come."""
        self._whole = True

    def _detail(self) -> str:
        return (
            f"the body came slower than {self._least_rate:,.0f} bytes a second for {self._patience:g} s, or not within "
            f"{self._longest:g} s; send smaller images, or try again over a better connection"
        )


class Body:
    """One body: what it holds is booked as it comes, until the block of `Bodies.open` ends."""

    def __init__(self, bodies: "Bodies", caller: str, *, by_key: bool) -> None:
        self.caller = caller
        self.by_key = by_key
        self.bytes = 0
        self._bodies = bodies
        self._reading: asyncio.Timeout | None = None
        self._gave_way = False

    async def read(self, reading: Awaitable[T]) -> T:
        """Return what `reading` does; BusyError if it had to give way meanwhile."""
        try:
            async with asyncio.timeout(None) as self._reading:
                return await reading
        except TimeoutError:
            raise _busy() from None
        finally:
            self._reading = None

    async def booked(self, stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Yield the stream's chunks once there is room for them."""
        async for chunk in stream:
            self._bodies.book(self, len(chunk))
            yield chunk

    def release(self, count: int) -> None:
        """Free `count` bytes that are in memory no more."""
        self._bodies.release(self, count)

    @property
    def may_give_way(self) -> bool:
        return self._reading is not None and not self._gave_way

    def give_way(self) -> None:
        """End the reading at its next await."""
        self._gave_way = True
        if self._reading:
            self._reading.reschedule(_now())


class Bodies:
    """All bodies that are read now: at most `most_bytes` in memory, of one API key at most `most_bytes_per_key`.

    Where there is no room, the largest that is still being read gives way. `most_per_address`: bodies at once of an
    address without a key; 0: any number.
    """

    def __init__(
        self, *, most_bytes: int, most_bytes_per_key: int, most_per_address: int, show: Callable[[int], object]
    ) -> None:
        self._most_bytes = most_bytes
        self._most_bytes_per_key = most_bytes_per_key
        self._most_per_address = most_per_address
        self._show = show
        self._open: set[Body] = set()
        self._bytes = 0

    @contextlib.contextmanager
    def open(self, caller: str, *, by_key: bool) -> Iterator[Body]:
        """Give a place for a body; EXHAUSTED if the caller has too many."""
        open_already = sum(each.caller == caller for each in self._open)
        if not by_key and self._most_per_address and open_already >= self._most_per_address:
            raise _too_many(f"this address sends {self._most_per_address} bodies at once; wait for one to end")
        body = Body(self, caller, by_key=by_key)
        self._open.add(body)
        try:
            yield body
        finally:
            self._open.discard(body)
            self._add(body, -body.bytes)

    def book(self, body: Body, count: int) -> None:
        """Book `count` more bytes of a body.

        BusyError if there is no room and no larger body, EXHAUSTED beyond the key's share.
        """
        if (
            body.by_key
            and count + sum(each.bytes for each in self._open if each.caller == body.caller) > self._most_bytes_per_key
        ):
            raise _too_many(
                f"this key sends more than {self._most_bytes_per_key:,} bytes at once; wait for a body to end"
            )
        while self._bytes > body.bytes and self._bytes + count > self._most_bytes:
            largest = max((each for each in self._open if each.may_give_way), key=lambda each: each.bytes, default=body)
            if largest.bytes <= body.bytes + count:
                raise _busy()
            largest.give_way()
            self._add(largest, -largest.bytes)
        self._add(body, count)

    def release(self, body: Body, count: int) -> None:
        """Free `count` bytes of a body, as many as it holds at most."""
        self._add(body, -min(count, body.bytes))

    def _add(self, body: Body, count: int) -> None:
        body.bytes += count
        self._bytes += count
        self._show(self._bytes)


def _busy() -> BusyError:
    return BusyError("UPLOADS_BUSY", "too many uploads are being read; come again", retry_after=RETRY_AFTER_SECONDS)


def _too_many(detail: str) -> RefusedError:
    return RefusedError(Kind.EXHAUSTED, "UPLOADS_TOO_MANY", detail, {"Retry-After": str(RETRY_AFTER_SECONDS)})


def _now() -> float:
    return asyncio.get_running_loop().time()
