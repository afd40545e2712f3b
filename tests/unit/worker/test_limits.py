"""Computing is bounded, waiting is not."""

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable

import pytest

from dermis.worker.limits import LOW_PRIORITY, ComputedTooLong, at_low_priority, computing_limit


def exit_code_of(work: Callable[[], None]) -> int | None:
    """Run `work` in a process of its own, as the limit counts the time of all threads and may end the process."""
    process = multiprocessing.get_context("spawn").Process(target=work)
    process.start()
    process.join(60)
    return process.exitcode


def compute(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def _computes_for_too_long() -> None:
    with pytest.raises(ComputedTooLong), computing_limit(soft_s=0.2, hard_s=10):
        compute(5)
    compute(0.3)  # the limit ended with its block


def _waits() -> None:
    with computing_limit(soft_s=0.2, hard_s=10):
        time.sleep(0.6)


@pytest.mark.parametrize("work", [_computes_for_too_long, _waits])
def test_who_computes_for_too_long_is_stopped_and_who_waits_is_not(work: Callable[[], None]) -> None:
    assert exit_code_of(work) == 0


def _deaf() -> None:
    with computing_limit(soft_s=0.1, hard_s=1):
        signal.signal(signal.SIGPROF, signal.SIG_IGN)  # as code that never comes back to Python
        compute(20)


def test_code_that_does_not_come_back_ends_with_its_process() -> None:
    assert exit_code_of(_deaf) == -signal.SIGXCPU


def test_who_computes_at_low_priority_leaves_the_cores_to_others_and_nobody_else_does() -> None:
    before = os.getpriority(os.PRIO_PROCESS, 0)
    inside = at_low_priority(lambda: os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
    assert inside == (max(before, LOW_PRIORITY) if sys.platform == "linux" else before)
    assert os.getpriority(os.PRIO_PROCESS, 0) == before


def test_what_is_computed_at_low_priority_raises_where_it_is_called() -> None:
    def fails() -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        at_low_priority(fails)


def _computes_at_low_priority_for_too_long() -> None:
    ended = threading.Event()

    def work() -> None:
        compute(1)
        ended.set()

    with pytest.raises(ComputedTooLong), computing_limit(soft_s=0.2, hard_s=10):
        at_low_priority(work)
    assert ended.is_set()  # nothing goes on behind the next case


def test_a_limit_that_is_met_at_low_priority_waits_for_the_work() -> None:
    assert exit_code_of(_computes_at_low_priority_for_too_long) == 0
