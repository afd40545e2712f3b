"""`dermis train` is asked to stop at several moments.

It has to end at once, say so in the store, and go on by the same command.
"""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from dermis.shared.stores import open_store
from dermis.trainer.records.facts import RunStatus
from dermis.trainer.records.runs import read_run, run_ids

pytestmark = pytest.mark.trainer
PAGE = """
import dataclasses
from dermis.trainer.training import loop
from dermis.trainer.configs import demo
from dermis.trainer.config import Stage
loop.CHECKPOINT_S = 0.5
STAGES = (Stage(epochs=2), Stage(after="", epochs={epochs}, images="augmented"))
CONFIG = dataclasses.replace(demo.CONFIG, image_size=48, stages=STAGES, patience=None)
"""
SOON_S = 20.0
"""A loaded machine's; a stop takes well under a second where nothing else runs."""


def started(folder: Path, epochs: int, *, ignoring: bool = False) -> subprocess.Popen[str]:
    page = folder / "page.py"
    page.write_text(PAGE.format(epochs=epochs))
    given = [
        "--data",
        "generated:31:48:48",
        "--store",
        (folder / "store").as_uri(),
        "--cache",
        str(folder / "cache"),
        "--quiet",
    ]
    environ = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "TMPDIR": str(folder)}

    by_a_script = ["sh", "-c", 'trap "" INT; exec "$@"', "sh"] if ignoring else []  # as a shell starts `command &`
    command = [*by_a_script, sys.executable, "-m", "dermis.standalone", "train", str(page), *given]
    return subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def state(folder: Path) -> Any:
    store = open_store((folder / "store").as_uri())
    return read_run(store, run_ids(store)[0])


def wait_for(process: subprocess.Popen[str], reached: Any) -> None:
    end = time.monotonic() + 180
    while not reached():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < end
        time.sleep(0.02)


def stopped(process: subprocess.Popen[str], number: signal.Signals) -> str:
    process.send_signal(number)
    said, _ = process.communicate(timeout=SOON_S)
    assert process.returncode == 128 + number, said
    return said


def epoch_of(folder: Path) -> int:
    if not (folder / "store").exists() or not run_ids(open_store((folder / "store").as_uri())):
        return 0
    epoch = state(folder).epoch
    return epoch.epoch if epoch else 0


@pytest.mark.timeout(600)
def test_a_run_ends_at_once_wherever_it_is_stopped_and_the_same_command_goes_on(tmp_path: Path) -> None:
    before_any_run = started(tmp_path, 3)
    time.sleep(2)  # while TensorFlow is loaded, or the cases are made
    assert "before a run was begun" in stopped(before_any_run, signal.SIGTERM)

    for number, ignoring in ((signal.SIGTERM, True), (signal.SIGINT, False)):
        goes_on = epoch_of(tmp_path)
        process = started(tmp_path, 100_000, ignoring=ignoring)
        wait_for(process, lambda goes_on=goes_on: epoch_of(tmp_path) > goes_on + 1)
        time.sleep(random.uniform(0, 0.5))  # noqa: S311
        said = stopped(process, number)
        found = state(tmp_path)
        assert f"the same command goes on with {found.started.run_id}" in said
        assert (found.status, found.ended.reason) == (RunStatus.STOPPED, number.name)
        assert not list(tmp_path.glob("tmp*")), "the half-made bundle was left behind"
    assert found.attempt == 2


def test_a_store_that_hangs_does_not_hold_it_and_its_handlers_are_put_back() -> None:
    said = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SOON_S,
        check=False,
    )
    assert said.returncode == 128 + signal.SIGTERM, said.stdout
    assert said.stdout.splitlines() == ["put back", "stopped by SIGTERM; this could not be noted within 0.2 s"]


SCRIPT = """
import os, signal, threading, time
from dermis.trainer.training import signals
signals.RECORD_S = 0.2
before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
with signals.ended_by_signals():
    pass
assert before == (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM))
print("put back", flush=True)
with signals.ended_by_signals() as stop:
    stop.on_signal = lambda name: time.sleep(60)
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait()  # no step of Python's own in which a handler could run
"""
