"""Computing is bounded, waiting is not."""

import multiprocessing
import signal
import time
from collections.abc import Callable

import pytest

from dermis.worker.limits import ComputedTooLong, computing_limit


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
