"""Wakes the requests of this process that wait for a case."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

T = TypeVar("T")
_WITH_NEWS_S = 2.0
_WITHOUT_NEWS_S = 0.25


class Hub:
    """Wakes those who wait for a case; without `fed` (no news arrive) they look for themselves, often."""

    def __init__(self) -> None:
        self.fed = False
        self.stopped = False
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self._looks: dict[str, asyncio.Future[Any]] = {}

    @contextlib.contextmanager
    def listen(self, case_id: str) -> Iterator[asyncio.Event]:
        """Give an event that is set at each piece of news; what is read after this call misses none."""
        event = asyncio.Event()
        waiting = self._waiting.setdefault(case_id, set())
        waiting.add(event)
        try:
            yield event
        finally:
            waiting.discard(event)
            if not waiting:
                self._waiting.pop(case_id, None)

    async def wait(self, event: asyncio.Event) -> None:
        """Return at news, or when it is time to look without: at the same time for all, who then share a look."""
        if self.stopped:
            return
        every = _WITH_NEWS_S if self.fed else _WITHOUT_NEWS_S
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(every - asyncio.get_running_loop().time() % every):
                await event.wait()
        event.clear()

    async def look(self, key: str, read: Callable[[], Awaitable[T]]) -> T:
        """Return what `read` gives, read once for all who ask for `key` meanwhile.

        Each gets a look that begins after it asked, so none misses what it was woken for.
        """
        if earlier := self._looks.get(key):
            await asyncio.wait([earlier])
        if key not in self._looks:
            look = self._looks[key] = asyncio.ensure_future(read())
            look.add_done_callback(lambda _: self._looks.pop(key))
        return await asyncio.shield(self._looks[key])

    def wake(self, case_id: str) -> None:
        for event in self._waiting.get(case_id, ()):
            event.set()

    def wake_all(self) -> None:
        for case_id in self._waiting:
            self.wake(case_id)

    def stop(self) -> None:
        """Wake everyone who waits, as the process ends."""
        self.stopped = True
        self.wake_all()
