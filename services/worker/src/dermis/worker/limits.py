"""Limits the time that a task computes; the time that it waits for others does not count."""

import math
import resource
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager


class ComputedTooLong(Exception):
    """The task has used more CPU time than it may."""


@contextmanager
def computing_limit(*, soft_s: float, hard_s: float) -> Iterator[None]:
    """Raise `ComputedTooLong` after `soft_s` seconds of this process' CPU time.

    After `hard_s` the kernel ends the process.

    For the main thread, which alone gets signals. Code that comes back to Python too late for the first is met by the
    second, SIGXCPU.
    """

    def on_signal(*_: object) -> None:
        raise ComputedTooLong(f"more than {soft_s:g} s of CPU time")

    before, (soft, hard) = signal.signal(signal.SIGPROF, on_signal), resource.getrlimit(resource.RLIMIT_CPU)
    end = math.ceil(time.process_time() + hard_s)
    resource.setrlimit(resource.RLIMIT_CPU, (end if hard == resource.RLIM_INFINITY else min(end, hard), hard))
    signal.setitimer(signal.ITIMER_PROF, soft_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))
        signal.signal(signal.SIGPROF, before)
