"""How long each stage of a case takes."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dermis.shared.case import Stage
from dermis.shared.tracing import span


class Stages:
    """Wall time of each named stage, in milliseconds; a stage entered again adds up."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._ms: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        start = self._clock()
        try:
            with span(name):
                yield
        except BaseException as fault:
            fault.add_note(name)  # says in which stage a time limit was met
            raise
        finally:
            self._ms[name] = self._ms.get(name, 0) + (self._clock() - start) * 1000

    def taken(self) -> tuple[Stage, ...]:
        return tuple(Stage(name=name, ms=round(ms, 2)) for name, ms in self._ms.items())
