"""The supervisor over small children of its own."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from dermis.shared.errors import DermisError
from dermis.standalone.processes import Part
from dermis.standalone.supervisor import Supervisor

NEVER = threading.Event()
OBEDIENT = (
    "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(0)); print('up', flush=True); signal.pause()"
)
STUBBORN = (
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); signal.signal(signal.SIGINT, signal.SIG_IGN);"
    "print('up', flush=True)\nwhile True: signal.pause()"
)


class Log:
    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def __call__(self, part: str, line: str) -> None:
        self.lines.append((part, line))

    def says(self, text: str, part: str = "") -> bool:
        return any(text in line and part in (name, "") for name, line in self.lines)


@pytest.fixture
def log() -> Log:
    return Log()


def child(name: str, code: str = OBEDIENT, *, leaves: int = 0, ready: Callable[[], bool] = lambda: True) -> Part:
    return Part(name=name, command=(sys.executable, "-c", code), ready=ready, leaves=leaves)


@pytest.fixture
def run(log: Log) -> Iterator[Callable[..., Supervisor]]:
    running: list[Supervisor] = []

    def start(*parts: Part) -> Supervisor:
        running.append(Supervisor(parts, dict(os.environ), log))
        running[-1].start()
        return running[-1]

    yield start
    for supervisor in running:
        supervisor.stop(seconds=0, hurry=NEVER)


def until(condition: Callable[[], object], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/status")
    return not status.exists() or "\nState:\tZ" not in status.read_text()


def test_output_goes_to_the_sink_under_the_parts_name(run: Callable[..., Supervisor], log: Log) -> None:
    code = "import sys; print('out'); print('err', file=sys.stderr); sys.stdout.buffer.write(b'\\xff\\n');" + OBEDIENT
    run(child("a", code))
    until(lambda: log.says("out", "a") and log.says("err", "a") and log.says("\ufffd", "a"))


def test_parts_are_ready_once_each_says_so(run: Callable[..., Supervisor], log: Log) -> None:
    run(child("a", ready=lambda: log.says("up", "a")), child("b", ready=lambda: log.says("up", "b"))).wait_ready(
        seconds=15, cancelled=NEVER
    )
    assert log.says("up", "a")
    assert log.says("up", "b")


def test_a_killed_part_starts_again_with_back_off(run: Callable[..., Supervisor], log: Log) -> None:
    supervisor = run(child("a"))
    part = supervisor.children["a"]
    pids: list[int] = []
    for wait in ("0.5", "1"):
        until(lambda: part.pid not in (None, *pids))
        assert part.pid
        pids.append(part.pid)
        os.kill(part.pid, signal.SIGKILL)
        until(partial(log.says, f"killed by SIGKILL; starts again in {wait} s", "a"))
    until(lambda: part.pid not in (None, *pids))


@pytest.mark.skipif(not hasattr(signal, "SIGRTMIN"), reason="no real-time signals here")
def test_a_signal_without_a_name_ends_no_supervision(run: Callable[..., Supervisor], log: Log) -> None:
    supervisor = run(child("a"))
    until(partial(log.says, "up", "a"))
    number = signal.SIGRTMIN + 3
    os.kill(supervisor.children["a"].pid or 0, number)
    until(partial(log.says, f"killed by signal {number}; starts again", "a"))
    until(lambda: log.lines.count(("a", "up")) == 2)


def test_what_a_dead_part_left_behind_is_killed(run: Callable[..., Supervisor], log: Log) -> None:
    code = (
        "import subprocess, sys; print(subprocess.Popen(['sleep', '60']).pid, flush=True); input"
        + "; import signal; signal.pause()"
    )
    supervisor = run(child("a", code))
    until(lambda: log.lines)
    grandchild = int(log.lines[0][1])
    assert alive(grandchild)
    os.kill(supervisor.children["a"].pid or 0, signal.SIGKILL)
    until(lambda: not alive(grandchild))


def test_a_part_that_keeps_ending_is_given_up_with_its_last_words(run: Callable[..., Supervisor]) -> None:
    supervisor = run(
        child("a", ready=lambda: True), child("b", "import sys; sys.exit('b: no such bucket')", ready=lambda: False)
    )
    with pytest.raises(DermisError, match="b ended 3 times before it was ready; its last words: b: no such bucket"):
        supervisor.wait_ready(seconds=30, cancelled=NEVER)


def test_a_part_that_is_not_ready_in_time_is_named(run: Callable[..., Supervisor]) -> None:
    with pytest.raises(DermisError, match=r"not ready within 0\.3 s: a"):
        run(child("a", ready=lambda: False), child("b")).wait_ready(seconds=0.3, cancelled=NEVER)


def test_a_command_that_is_not_there_is_a_clear_error(run: Callable[..., Supervisor]) -> None:
    supervisor = run(Part(name="a", command=("/nonexistent",), ready=lambda: True, leaves=0))
    with pytest.raises(DermisError, match="can't be started: No such file"):
        supervisor.wait_ready(seconds=15, cancelled=NEVER)


def test_parts_leave_in_order(log: Log) -> None:
    # Each says itself when that was: on a busy machine what a part prints last may be read after the next one's first.
    leaving = (
        "import signal, sys, time\n"
        "def say(what):\n    print(what, time.monotonic_ns(), flush=True)\n"
        "def leave(*_):\n    say('leaving'); time.sleep(0.3); say('left'); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, leave); print('up', flush=True); signal.pause()"
    )
    order = {"redis": 3, "gateway": 0, "worker": 1, "sweep": 0}
    supervisor = Supervisor([child(name, leaving, leaves=n) for name, n in order.items()], dict(os.environ), log)
    supervisor.start()
    until(lambda: sum(line == "up" for _, line in log.lines) == 4)
    supervisor.stop(seconds=10, hurry=NEVER)
    until(lambda: sum(line.startswith("left ") for _, line in log.lines) == 4)
    timed = [(int(line.split()[1]), name, line.split()[0]) for name, line in log.lines if line.startswith("le")]
    events = [(name, what) for _, name, what in sorted(timed)]
    assert {name for name, _ in events[:4]} == {"gateway", "sweep"}
    assert events[4:] == [("worker", "leaving"), ("worker", "left"), ("redis", "leaving"), ("redis", "left")]


def test_a_part_that_does_not_leave_in_time_is_killed(log: Log) -> None:
    supervisor = Supervisor([child("a", STUBBORN), child("b", leaves=1)], dict(os.environ), log)
    supervisor.start()
    until(lambda: log.says("up", "a") and log.says("up", "b"))
    pids = [part.pid for part in supervisor.children.values()]
    begun = time.monotonic()
    supervisor.stop(seconds=0.5, hurry=NEVER)
    assert time.monotonic() - begun < 5
    assert log.says("did not end in time: killed", "a")
    assert not any(alive(pid) for pid in pids if pid)


def test_hurry_kills_at_once(log: Log) -> None:
    supervisor = Supervisor([child("a", STUBBORN)], dict(os.environ), log)
    supervisor.start()
    until(lambda: log.says("up", "a"))
    hurry = threading.Event()
    threading.Timer(0.3, hurry.set).start()
    begun = time.monotonic()
    supervisor.stop(seconds=60, hurry=hurry)
    assert time.monotonic() - begun < 10


def test_the_parts_end_with_a_supervisor_that_is_killed() -> None:
    code = textwrap.dedent(
        f"""
        import os, sys, time
        from dermis.standalone.processes import Part
        from dermis.standalone.supervisor import Supervisor
        stubborn = {STUBBORN!r}
        parts = [Part(name=n, command=(sys.executable, "-c", stubborn), ready=lambda: True, leaves=0) for n in "ab"]
        lines = []
        supervisor = Supervisor(parts, dict(os.environ), lambda *line: lines.append(line))
        supervisor.start()
        while len(lines) < 2:
            time.sleep(0.05)
        print(*(child.pid for child in supervisor.children.values()), flush=True)
        time.sleep(60)
        """
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as supervisor:
        assert supervisor.stdout
        pids = [int(pid) for pid in supervisor.stdout.readline().split()]
        assert len(pids) == 2
        assert all(alive(pid) for pid in pids)
        supervisor.kill()
    until(lambda: not any(alive(pid) for pid in pids))
