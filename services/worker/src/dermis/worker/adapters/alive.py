"""Touches a file as long as the worker takes jobs, for probes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from celery.bootsteps import StartStopStep

_EVERY_S = 5


def signs_of_life(file: Path) -> type[StartStopStep]:
    """Return a step of Celery's worker that touches `file` from its event loop.

    The loop runs only while jobs are taken.
    """

    class SignsOfLife(StartStopStep):  # type: ignore[misc]
        requires = frozenset({"celery.worker.components:Timer"})
        _stop: Callable[[], Any] | None = None

        def start(self, worker: Any) -> None:
            self._stop = worker.timer.call_repeatedly(_EVERY_S, file.touch).cancel

        def stop(self, _worker: Any) -> None:
            if self._stop:
                self._stop()

    return SignsOfLife
