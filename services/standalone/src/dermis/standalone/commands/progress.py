"""Tells now and then how far a long command is."""

import sys
import time
from types import TracebackType
from typing import Self

_EVERY_S = 2.0


class ProgressLine:
    """A line on standard error every two seconds; on a terminal in place of the one before."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._begun = self._next = time.monotonic()
        self._next += _EVERY_S
        self._open = False

    def __enter__(self) -> Self:
        return self

    def __call__(self, objects: int, size: int) -> None:
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + _EVERY_S
        end = "\r" if sys.stderr.isatty() else "\n"
        self._open = end == "\r"
        line = f"{self._what}: {objects:,} objects, {size / 1e6:,.1f} MB, {now - self._begun:.0f} s"
        print(line, end=end, file=sys.stderr, flush=True)

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._open:
            print(file=sys.stderr)
