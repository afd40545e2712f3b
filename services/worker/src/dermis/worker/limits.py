"""Bounds on what a task computes: its time, in which waiting for others does not count, and its part of the cores."""

import math
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import cache
from typing import TypeVar

T = TypeVar("T")
LOW_PRIORITY = 5
"""Nice value: where others want a core too, a third of what they get (sched(7): 335 to 1,024)."""


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


def at_low_priority(work: Callable[[], T]) -> T:
    """Return what `work` returns, computed in a thread that leaves the cores to the shorter work of others.

    Linux alone lowers a thread by setpriority(2). The calling thread waits for it whatever signals come, as a decoder
    can't be interrupted.
    """
    future: Future[T] = Future()
    ended = threading.Lock()
    ended.acquire()
    _low_thread(os.getpid()).submit(_complete, future, work, ended)
    interruption: BaseException | None = None
    while True:  # by a bare lock: what a signal raises inside of a Future's wait would break its condition
        try:
            if not future.done():
                ended.acquire()
            break
        except BaseException as raised:  # noqa: BLE001 - raised again below
            interruption = interruption or raised
    if interruption is not None:
        raise interruption
    return future.result()


def _complete(future: Future[T], work: Callable[[], T], ended: threading.Lock) -> None:
    try:
        future.set_result(work())
    except BaseException as fault:  # noqa: BLE001 - raised by who waits
        future.set_exception(fault)
    finally:
        ended.release()


@cache
def _low_thread(_process: int) -> ThreadPoolExecutor:
    """Return this process' one thread of low priority, which only root could raise again; a fork has none."""
    return ThreadPoolExecutor(1, "low-priority", initializer=_lower_priority)


def _lower_priority() -> None:
    if sys.platform == "linux":  # elsewhere a thread has no priority of its own
        now = os.getpriority(os.PRIO_PROCESS, 0)
        with suppress(OSError):  # a sandbox may forbid it; the work is done all the same
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), max(now, LOW_PRIORITY))
