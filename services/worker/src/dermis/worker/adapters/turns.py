"""Who may work now, so that owners share: locks in the worker's own folder, which the kernel gives back whatever becomes of a process."""

import fcntl
import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import redis

from dermis.shared.lines import line_key
from dermis.shared.telemetry import log


class Turns:
    """Turns of the processes of one worker, one more than `shared`.

    Any work takes one of `shared` turns. Where none is left, the first waiting case of a line that has nothing in work here may be
    done all the same: so one process is always left for who has nothing else in work.
    """

    def __init__(self, folder: Path, shared: int, client: "redis.Redis") -> None:
        self._folder = folder
        self._shared = shared
        self._client = client

    @contextmanager
    def take(self, line: str, *, first: bool) -> Iterator[bool]:
        """Hold a turn while the block runs and give whether there was one; no line ("") is never first."""
        locks = list(self._locks(line, first=first))
        try:
            yield bool(locks)
        finally:
            for lock in locks:
                os.close(lock)

    def leave(self, line: str, case_id: str) -> None:
        """Take a case out of its line, as it waits no more; a hint that may be lost."""
        try:
            self._client.zrem(line_key(line), case_id)
        except redis.RedisError as fault:
            log.warning("line not left", fault=type(fault).__name__)

    def waits_in(self, queues: Sequence[str]) -> bool:
        """Return whether a job waits in one of these queues; not, where Redis can't be asked."""
        try:
            return bool(self._client.exists(*queues))
        except redis.RedisError:
            return False

    def _locks(self, line: str, *, first: bool) -> Iterator[int]:
        own = f"own-{hashlib.sha256(line.encode()).digest()[0]}"
        for n in range(self._shared):
            if (lock := self._lock(f"shared-{n}", fcntl.LOCK_EX)) is not None:
                yield lock
                if line and (lock := self._lock(own, fcntl.LOCK_SH)) is not None:
                    yield lock
                return
        if first and line and (lock := self._lock(own, fcntl.LOCK_EX)) is not None:
            yield lock

    def _lock(self, name: str, how: int) -> int | None:
        descriptor = os.open(self._folder / f"turn-{name}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, how | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return None
        return descriptor
