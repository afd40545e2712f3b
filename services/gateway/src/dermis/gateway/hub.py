"""Wakes the requests of this process that wait for a case."""

import asyncio
import contextlib
from collections.abc import Iterator

_WITH_NEWS_S = 2.0
_WITHOUT_NEWS_S = 0.25


class Hub:
    """Wakes those who wait for a case; without `fed` (no news arrive) they look for themselves, often."""

    def __init__(self) -> None:
        self.fed = False
        self.stopped = False
        self._waiting: dict[str, set[asyncio.Event]] = {}

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
        """Return at news, or when it is time to look without."""
        if self.stopped:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_WITH_NEWS_S if self.fed else _WITHOUT_NEWS_S):
                await event.wait()
        event.clear()

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
