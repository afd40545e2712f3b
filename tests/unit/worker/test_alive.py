"""The worker's sign of life."""

from pathlib import Path
from types import SimpleNamespace

from kombu.asynchronous.timer import Timer

from dermis.worker.adapters.alive import signs_of_life


def test_the_file_is_touched_by_the_workers_own_timer(tmp_path: Path) -> None:
    file = tmp_path / "alive"
    worker = SimpleNamespace(timer=Timer())
    step = signs_of_life(file)(worker)
    step.start(worker)
    assert not file.exists()  # only a loop that turns touches it
    [entry] = worker.timer.queue
    entry.entry()
    assert file.exists()
    step.stop(worker)
    assert all(left.entry.canceled for left in worker.timer.queue)
