"""Keeps processes running: passes their output on, starts a dead one again, and ends them in order."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import groupby

from dermis.shared.backoff import delay
from dermis.shared.errors import DermisError, Kind
from dermis.standalone.guard import ProcessGuard
from dermis.standalone.processes import Part

Sink = Callable[[str, str], None]
"""Takes a part's name and one line of its output; called from several threads."""

_LOOK_EVERY_S = 0.1
_FIRST_WAIT_S = 0.5
_LONGEST_WAIT_S = 15.0
_STEADY_S = 30.0
_MOST_EARLY_EXITS = 3


class Child:
    """One part and its process, if it has one now; it leads a process group of its own."""

    def __init__(self, part: Part, environ: Mapping[str, str], sink: Sink, guard: ProcessGuard) -> None:
        self.part = part
        self.exits = 0
        self.last_line = ""
        self._environ = environ
        self._sink = sink
        self._guard = guard
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self._due = 0.0

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def tend(self, now: float) -> None:
        """Start the process if it is due; if it ended, clear up after it and say when it starts again."""
        if self._process is None:
            if now >= self._due:
                self._start(now)
            return
        code = self._process.poll()
        if code is None:
            return
        self._clear()
        if code > 0 and now - self._started < _STEADY_S and (mended := self.part.mend()):
            self._sink(self.part.name, mended)
        self._back_off(now, _ending(code))

    def ask_to_end(self) -> None:
        if self._process:
            self._process.terminate()

    def wait(self, deadline: float, hurry: threading.Event) -> None:
        """Wait for the end; at `deadline`, or once told to hurry, kill what is left of the group."""
        if not self._process:
            return
        while self._process.poll() is None:
            if time.monotonic() >= deadline or hurry.is_set():
                self._sink(self.part.name, "did not end in time: killed")
                break
            time.sleep(_LOOK_EVERY_S / 5)
        self._clear()

    def _start(self, now: float) -> None:
        self._started = now
        try:
            self.part.prepare()
            self._process = subprocess.Popen(  # noqa: S603
                self.part.command,
                env={**self._environ, **self.part.variables},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # so that Ctrl-C in a terminal reaches the supervisor alone
            )
        except (OSError, DermisError) as fault:
            self.last_line = f"can't be started: {getattr(fault, 'strerror', fault)}"
            self._back_off(now, self.last_line)
            return
        self._guard.watch(self._process.pid)
        threading.Thread(target=self._read, args=(self._process,), daemon=True).start()

    def _back_off(self, now: float, why: str) -> None:
        self.exits = 1 if now - self._started >= _STEADY_S else self.exits + 1
        wait = delay(self.exits, first=_FIRST_WAIT_S, longest=_LONGEST_WAIT_S)
        self._due = now + wait
        self._sink(self.part.name, f"{why}; starts again in {wait:g} s")

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout  # noqa: S101
        with process.stdout as lines:
            for line in lines:
                text = line.decode(errors="replace").rstrip()
                self.last_line = text or self.last_line
                self._sink(self.part.name, text)

    def _clear(self) -> None:
        assert self._process  # noqa: S101
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._guard.forget(self._process.pid)
        self._process = None


class Supervisor:
    """Runs parts from `start` to `stop`; a thread tends them."""

    def __init__(self, parts: Sequence[Part], environ: Mapping[str, str], sink: Sink) -> None:
        self._guard = ProcessGuard()
        self.children = {part.name: Child(part, environ, sink, self._guard) for part in parts}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._tend, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wait_ready(self, *, seconds: float, cancelled: threading.Event) -> None:
        """Return once every part is ready, or `cancelled`; UNAVAILABLE if one keeps ending or takes too long."""
        deadline = time.monotonic() + seconds
        pending = list(self.children.values())
        while pending := [child for child in pending if child.pid is None or not child.part.ready()]:
            for child in pending:
                if child.exits >= _MOST_EARLY_EXITS:
                    detail = (
                        f"{child.part.name} ended {child.exits} times before it was ready; its last words: "
                        f"{child.last_line}"
                    )
                    raise DermisError(Kind.UNAVAILABLE, "NOT_READY", detail)
            if time.monotonic() > deadline:
                detail = "; ".join(
                    f"{child.part.name} (its last words: {child.last_line or 'none'})" for child in pending
                )
                raise DermisError(Kind.UNAVAILABLE, "NOT_READY", f"not ready within {seconds:g} s: {detail}")
            if cancelled.wait(_LOOK_EVERY_S / 2):
                return

    def stop(self, *, seconds: float, hurry: threading.Event) -> None:
        """Drain in order, each with what is left of `seconds`; once `hurry` is set, kill."""
        deadline = time.monotonic() + seconds
        self._stopping.set()
        self._thread.join()
        for _, group in groupby(
            sorted(self.children.values(), key=lambda child: child.part.leaves), lambda child: child.part.leaves
        ):
            leaving = list(group)
            for child in leaving:
                child.ask_to_end()
            for child in leaving:
                child.wait(deadline, hurry)
        self._guard.close()

    def _tend(self) -> None:
        while True:
            for child in self.children.values():
                child.tend(time.monotonic())
            if self._stopping.wait(_LOOK_EVERY_S):
                return


def _ending(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    names = {number.value: number.name for number in signal.Signals}  # not of every real-time signal
    return f"killed by {names.get(-code, f'signal {-code}')}"
