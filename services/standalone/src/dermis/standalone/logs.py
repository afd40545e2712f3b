"""Where the parts' output goes."""

import os
import threading
from collections import deque
from contextlib import suppress
from typing import TextIO

_COLOURS = {"gateway": 36, "worker": 32, "metadata": 35, "serving": 34, "sweep": 33, "webhooks": 36, "redis": 31}


class Prefixed:
    """Writes each line after its part's name, in the part's colour on a terminal (unless NO_COLOR is set)."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._coloured = out.isatty() and not os.environ.get("NO_COLOR")
        self._lock = threading.Lock()

    def __call__(self, part: str, line: str) -> None:
        prefix = f"{part:<8} |"
        if self._coloured:
            prefix = f"\x1b[{_COLOURS.get(part, 37)}m{prefix}\x1b[0m"
        with self._lock, suppress(OSError, ValueError):  # whoever read the logs may be gone
            self._out.write(f"{prefix} {line}\n")
            self._out.flush()


class Kept:
    """Keeps the last lines, to be shown if something goes wrong."""

    def __init__(self, most: int = 200) -> None:
        self._lines: deque[tuple[str, str]] = deque(maxlen=most)

    def __call__(self, part: str, line: str) -> None:
        self._lines.append((part, line))

    def pour(self, sink: Prefixed) -> None:
        for part, line in list(self._lines):
            sink(part, line)
