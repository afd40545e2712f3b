"""Decoding that takes more processor time than an image may ends its process, once the case has its end."""

import dataclasses
import multiprocessing
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from dermis.shared.case import Status
from dermis.shared.stores import open_store
from dermis.worker import tasks
from dermis.worker.adapters import cpu_guard
from dermis.worker.adapters.cpu_guard import EXIT_CODE, CpuGuard
from dermis.worker.core import decode
from dermis.worker.facts import read
from tests.unit.worker.test_pipeline import JOB, SETTINGS, skin, world


def burn(seconds: float) -> None:
    begun = time.process_time()
    while time.process_time() - begun < seconds:
        sum(range(10_000))


@pytest.fixture(autouse=True)
def _look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu_guard, "_LOOK_EVERY_S", 0.01)


def test_who_takes_too_long_is_told_and_ended() -> None:
    ended = threading.Event()
    calls: list[object] = []

    def end(code: int) -> None:
        calls.append(code)
        ended.set()

    with CpuGuard(0.1, end=end)(lambda: calls.append("exceeded")):
        burn(0.5)
    assert ended.wait(5)
    assert calls == ["exceeded", EXIT_CODE]


def test_waiting_costs_nothing() -> None:
    calls: list[object] = []
    with CpuGuard(0.2, end=calls.append)(lambda: calls.append("exceeded")):
        time.sleep(0.5)
    assert calls == []


def test_the_process_ends_also_where_the_store_is_away() -> None:
    ended = threading.Event()

    def away() -> None:
        raise ConnectionError

    hook, threading.excepthook = threading.excepthook, lambda _: None
    try:
        with CpuGuard(0.05, end=lambda _: ended.set())(away):
            burn(0.3)
        assert ended.wait(5)
    finally:
        threading.excepthook = hook


@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_a_case_whose_image_takes_too_long_fails_at_once_with_its_own_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = world(skin())
    store = open_store(f"file://{tmp_path}")
    for key in made.store.list(""):
        store.put_once(key, made.store.get(key))
    made.store = store  # type: ignore[assignment]

    def decoder(*_: object, **__: Any) -> decode.Decoded:
        burn(20)
        raise AssertionError("nobody ended this process")

    monkeypatch.setattr(decode, "decode", decoder)
    pipeline = dataclasses.replace(made.pipeline(), guard=CpuGuard(0.1))

    def work(redelivered: bool = False) -> None:
        tasks.work(pipeline, JOB, settings=SETTINGS, redelivered=redelivered, metrics=made.metrics)

    child = multiprocessing.get_context("fork").Process(target=work)
    child.start()
    child.join(15)
    assert child.exitcode == EXIT_CODE
    state = read(pipeline, JOB)
    assert state.status is Status.FAILED
    assert state.failed is not None
    assert (state.failed.reason, "image 1" in state.failed.detail) == ("IMAGE_COST", True)
    begun = time.process_time()
    work(redelivered=True)  # Celery delivers the job of a lost process again
    assert time.process_time() - begun < 1
    assert read(pipeline, JOB) == state
