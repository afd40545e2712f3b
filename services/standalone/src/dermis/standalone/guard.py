"""Ends the parts when their supervisor is gone, even if that was killed.

Runs as a process of its own, with the standard library alone. Reads "+<pid>" and "-<pid>" lines, leaders of process
groups, from a pipe that only the supervisor holds; at the pipe's end it kills the groups that are left.
"""

import os
import signal
import subprocess
import sys
from contextlib import suppress


class ProcessGuard:
    def __init__(self) -> None:
        reading, writing = os.pipe()
        command = [sys.executable, "-I", "-S", __file__]
        self._process = subprocess.Popen(command, stdin=reading, start_new_session=True)  # noqa: S603
        os.close(reading)
        self._pipe = writing

    def watch(self, pid: int) -> None:
        self._tell(f"+{pid}\n")

    def forget(self, pid: int) -> None:
        self._tell(f"-{pid}\n")

    def close(self) -> None:
        """Let the guard go; what is still watched is killed."""
        os.close(self._pipe)
        self._process.wait()

    def _tell(self, line: str) -> None:
        with suppress(BrokenPipeError):  # somebody killed the guard; the parts run on without it
            os.write(self._pipe, line.encode())


def main() -> None:
    groups: set[int] = set()
    for line in sys.stdin:
        (groups.add if line.startswith("+") else groups.discard)(int(line[1:]))
    for group in groups:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    main()
