"""A limit on the processor time that decoding one image takes, for decoders that don't come back."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dermis.shared.telemetry import log

EXIT_CODE = 70
_LOOK_EVERY_S = 0.25


class CpuGuard:
    """Ends this process where what runs under it takes more than `seconds` of processor time, all threads together.

    A decoder in C can't be interrupted otherwise: no signal handler of Python's runs before it returns.
    """

    def __init__(self, seconds: float, *, end: Callable[[int], None] = os._exit) -> None:
        self._seconds = seconds
        self._end = end

    @contextmanager
    def __call__(self, exceeded: Callable[[], object]) -> Iterator[None]:
        """Run the body under the limit; `exceeded` is called, from another thread, before the process ends."""
        done = threading.Event()
        watch = threading.Thread(target=self._watch, args=(done, exceeded, time.process_time()), daemon=True)
        watch.start()
        try:
            yield
        finally:
            done.set()

    def _watch(self, done: threading.Event, exceeded: Callable[[], object], begun: float) -> None:
        while not done.wait(_LOOK_EVERY_S):
            if time.process_time() - begun > self._seconds:
                log.error("decoding took too long", limit_s=self._seconds)
                try:
                    exceeded()
                finally:
                    self._end(EXIT_CODE)
                return
