"""Shares a worker's processes fairly between the owners of cases.

The locks lie in the worker's own folder; the kernel gives them back whatever becomes of a process.
"""

import fcntl
import hashlib
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import redis

from dermis.shared.lines import join, line_key
from dermis.shared.telemetry import log
from dermis.worker.adapters.queues import waiting_lines

ACTIVE_S = 10.0
_BULK = "-"


class Turns:
    """Turns of the processes of one worker, one more than `shared`.

    Any work takes one of `shared` turns, of which the lines that had work here in the last ten seconds have equal
    shares, one at least. Where no turn is left, the first waiting case of a line that has nothing in work here may be
    done all the same: so one process is always left for who has nothing else in work. Work of no line ("": batches,
    profiles) counts as a line that is never first.
    """

    def __init__(self, folder: Path, shared: int, client: "redis.Redis") -> None:
        self._folder = folder
        self._shared = shared
        self._client = client

    @contextmanager
    def take(self, line: str, *, first: bool) -> Iterator[bool]:
        """Hold a turn while the block runs and give whether there was one."""
        name = _name(line) if line else _BULK
        (self._folder / f"active-{name}").touch(0o600)
        with ExitStack() as locks:
            own = self._own(name)
            if self._any(locks, own[: self._share()]) and self._any(
                locks, [f"shared-{n}" for n in range(self._shared)]
            ):
                yield True
                return
            locks.close()
            yield bool(first and line and all(self._lock(locks, each) for each in own))

    def leave(self, line: str, case_id: str) -> None:
        """Take a case out of its line, as it waits no more; a hint that may be lost."""
        try:
            self._client.zrem(line_key(line), case_id)
        except redis.RedisError as fault:
            log.warning("line not left", fault=type(fault).__name__)

    def join(self, line: str, case_id: str) -> None:
        """Put a case that waits again into its line."""
        with self._client.pipeline() as pipe:
            join(pipe, line, case_id, now=time.time())
            pipe.execute()

    def waited_for(self) -> bool:
        """Return whether a job waits that may be done at once, as its line has nothing in work here.

        Not, where Redis can't be asked or holds what can't be read.
        """
        try:
            return any(line and self._is_idle(_name(line)) for line in waiting_lines(self._client))
        except (redis.RedisError, ValueError, KeyError):
            return False

    def idle(self) -> bool:
        """Return whether no first job of anyone waits; not, where Redis can't be asked or holds what can't be read."""
        try:
            return not any(True for _ in waiting_lines(self._client))
        except (redis.RedisError, ValueError, KeyError):
            return False

    def _is_idle(self, name: str) -> bool:
        with ExitStack() as locks:
            return all(self._lock(locks, each, fcntl.LOCK_SH) for each in self._own(name))

    def _own(self, name: str) -> list[str]:
        return [f"own-{name}-{n}" for n in range(self._shared)]

    def _share(self) -> int:
        since = time.time() - ACTIVE_S
        active = sum(each.stat().st_mtime > since for each in self._folder.glob("active-*"))
        return -(-self._shared // max(1, active))

    def _any(self, locks: ExitStack, names: Sequence[str]) -> bool:
        return any(self._lock(locks, name) for name in names)

    def _lock(self, locks: ExitStack, name: str, kind: int = fcntl.LOCK_EX) -> bool:
        """Take a lock until `locks` ends, if nobody holds it."""
        descriptor = os.open(self._folder / f"turn-{name}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return False
        locks.callback(os.close, descriptor)
        return True


def _name(line: str) -> str:
    return hashlib.sha256(line.encode()).hexdigest()[:2]
