"""Temporary folders of a process that may be killed: the next one removes what the killed one left."""

import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_LOCK = "lock"


@contextmanager
def held_folder(prefix: str) -> Iterator[Path]:
    """Give a new temporary folder while the context lasts, after removing those of this prefix whose holders are gone.

    A folder is told by a lock in it, which ends with its holder and the children that it forked.
    """
    _clear(prefix)
    with tempfile.TemporaryDirectory(prefix=prefix) as name, (Path(name) / f"{_LOCK}.new").open("x") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        Path(lock.name).rename(Path(name) / _LOCK)  # not before: who clears up must not find it free
        yield Path(name)


def _clear(prefix: str) -> None:
    for path in Path(tempfile.gettempdir()).glob(f"{prefix}*/{_LOCK}"):
        with suppress(OSError), path.open("rb") as lock:  # held, another user's, or another one clears up too
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path.parent)
