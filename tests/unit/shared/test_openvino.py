"""Networks come and go in a process, and its signals are answered all the same."""

import multiprocessing
import re
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from dermis.shared.openvino import core
from dermis.standalone import demo

ROOT = Path(__file__).parents[3]


def load() -> object:
    return core().compile_model(demo.BUNDLE, "CPU")


def _answer_a_signal() -> None:
    answered = []
    signal.signal(signal.SIGUSR1, lambda number, _: answered.append(number))
    signal.raise_signal(signal.SIGUSR1)
    assert answered == [signal.SIGUSR1]


def _versions_follow_each_other() -> None:
    first = load()
    second = load()
    del first
    _answer_a_signal()
    third = load()
    del second, third
    _answer_a_signal()


def _another_thread_drops_it() -> None:
    networks = [load()]
    thread = threading.Thread(target=networks.clear)
    thread.start()
    thread.join()
    _answer_a_signal()


@pytest.mark.parametrize("work", [_versions_follow_each_other, _another_thread_drops_it])
def test_a_signal_is_answered_after_networks_were_loaded_and_dropped(work: Callable[[], None]) -> None:
    process = multiprocessing.get_context("spawn").Process(target=work)
    process.start()
    process.join(60)
    assert process.exitcode == 0


def test_nobody_makes_a_core_of_their_own() -> None:
    places = (path for room in ("services", "shared", "benchmarks", "tests") for path in (ROOT / room).rglob("*.py"))
    makers = [path for path in places if re.search(r"\b(ov|openvino)\.Core\(\)", path.read_text())]
    assert makers == [ROOT / "shared/src/dermis/shared/openvino.py"]
