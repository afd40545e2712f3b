"""Faults that files switch on and off: a store that is slow, a clock that is off.

Python loads this at the start of each part that has this folder in PYTHONPATH. CHAOS_CONTROLS names the folder of the
switches; a switch that is absent or empty is off.
"""

import datetime
import os
import time
from pathlib import Path
from typing import Any

CONTROLS = Path(os.environ["CHAOS_CONTROLS"])
OPERATIONS = ("get", "put_once", "delete", "get_versioned", "list", "written_at")


def number(switch: str) -> float:
    try:
        return float((CONTROLS / switch).read_text() or 0)
    except (OSError, ValueError):
        return 0.0


def slow_down(store: type) -> None:
    """Let each operation of a store take `slow_s` seconds longer."""
    for name in OPERATIONS:
        operation = getattr(store, name)

        def slow(self: Any, *args: Any, operation: Any = operation, **options: Any) -> Any:
            time.sleep(number("slow_s"))
            return operation(self, *args, **options)

        setattr(store, name, slow)


def shift_clock() -> None:
    """Let this part's clock be off by `clock_PART_s` seconds."""
    command = Path("/proc/self/cmdline").read_text()
    part = next((word for word in ("sweep", "gateway", "worker") if f"dermis.{word}" in command), "")
    real_time, real_ns = time.time, time.time_ns

    class Shifted(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> "Shifted":
            return cls.fromtimestamp(time.time(), tz)

    time.time = lambda: real_time() + number(f"clock_{part}_s")
    time.time_ns = lambda: real_ns() + int(number(f"clock_{part}_s") * 1e9)
    datetime.datetime = Shifted  # type: ignore[misc]


try:
    from dermis.shared.stores.disk import DiskStore
except ImportError:  # another Python of the same process tree: pip, for one
    pass
else:
    slow_down(DiskStore)
    shift_clock()
