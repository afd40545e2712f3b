"""Computing is bounded, waiting is not."""

import multiprocessing
import signal
import time

import pytest

from dermis.worker.limits import ComputedTooLong, computing_limit


def compute(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_who_computes_for_too_long_is_stopped() -> None:
    with pytest.raises(ComputedTooLong), computing_limit(soft_s=0.2, hard_s=10):
        compute(5)
    compute(0.3)  # the limit ended with its block


def test_who_waits_is_not() -> None:
    with computing_limit(soft_s=0.2, hard_s=10):
        time.sleep(0.6)


def _deaf() -> None:
    with computing_limit(soft_s=0.1, hard_s=1):
        signal.signal(signal.SIGPROF, signal.SIG_IGN)  # as code that never comes back to Python
        compute(20)


def test_code_that_does_not_come_back_ends_with_its_process() -> None:
    process = multiprocessing.get_context("spawn").Process(target=_deaf)
    process.start()
    process.join(30)
    assert process.exitcode == -signal.SIGXCPU
