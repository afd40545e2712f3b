"""BlobStore in a folder: an object is a file, put once by a hard link, so that no reader ever sees half of one."""

import contextlib
import errno
import fcntl
import hashlib
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

from dermis.shared.errors import DermisError, Kind
from dermis.shared.ports import BlobConflict, BlobNotFound, Versioned
from dermis.shared.stores.keys import check_range, checked, is_segment

LEFTOVER_AGE_S = 10
_TRIES = 100
_REASONS = {errno.ENOSPC: "STORE_FULL", errno.EDQUOT: "STORE_FULL", errno.EROFS: "STORE_READ_ONLY", errno.EACCES: "STORE_READ_ONLY"}


@contextlib.contextmanager
def _faults() -> Iterator[None]:
    try:
        yield
    except (IsADirectoryError, NotADirectoryError) as fault:
        raise DermisError(Kind.INVALID, "BLOB_KEY", "on disk no key may be the beginning of another and a slash") from fault
    except OSError as fault:
        reason = _REASONS.get(fault.errno or 0, "STORE_UNAVAILABLE")
        raise DermisError(Kind.UNAVAILABLE, reason, f"the store refused: {os.strerror(fault.errno or 0)}") from fault


class DiskStore:
    """Objects under `root`, which is made when first written to.

    Durable when a call returns: the file is synced before it gets its name, then the folder that names it, and the
    folders above that were made for it. The file system must know hard links and flock. What a killed writer left in
    `.tmp` is told by its lock, which ends with its writer, and removed by any later put or delete.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._tmp = root / ".tmp"
        self._next_clearing = 0.0

    def put_once(self, key: str, data: bytes) -> bool:
        path = self._path(key)
        with _faults(), self._temporary(data) as temporary:
            for _ in range(_TRIES):
                with contextlib.suppress(FileNotFoundError):  # a delete took the folder, or the object, in between
                    new = _link(temporary, path)
                    if not new and path.read_bytes() != data:
                        raise BlobConflict(key)
                    _sync_folder(path.parent)  # also if another put it: it may not have come so far
                    return new
        raise _busy(key)

    def get(self, key: str) -> bytes:
        path = self._path(key)
        with _faults():
            try:
                return path.read_bytes()
            except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
                raise BlobNotFound(key) from None

    def get_versioned(self, key: str) -> Versioned:
        path = self._path(key)
        with _faults():
            try:
                with path.open("rb") as file:
                    data = file.read()
                    return Versioned(data, _generation(data, os.fstat(file.fileno())))
            except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
                return Versioned(b"", 0)

    def replace(self, key: str, data: bytes, *, generation: int) -> int:
        path = self._path(key)
        with _faults(), self._temporary(data) as temporary, self._lock():
            if self.get_versioned(key).generation != generation:
                raise BlobConflict(key)
            written = _generation(data, temporary.stat())
            for _ in range(_TRIES):
                with contextlib.suppress(FileNotFoundError):
                    if generation:
                        os.replace(temporary, path)
                    elif not _link(temporary, path):  # put_once takes no lock
                        raise BlobConflict(key)
                    _sync_folder(path.parent)
                    return written
        raise _busy(key)

    def delete(self, key: str) -> None:
        path = self._path(key)
        with _faults():
            self._clear_leftovers()
            with contextlib.suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError), self._lock():
                path.unlink()
            folder = path.parent
            while folder != self._root:
                try:
                    folder.rmdir()
                except FileNotFoundError:
                    pass
                except OSError:  # not empty
                    break
                folder = folder.parent
            _sync_folder(folder)

    def list(self, prefix: str, *, after: str = "") -> Iterator[str]:
        check_range(prefix, after)
        folder = prefix.rpartition("/")[0]
        return self._walk(self._root / folder, f"{folder}/" if folder else "", prefix, after)

    def _walk(self, folder: Path, base: str, prefix: str, after: str) -> Iterator[str]:
        with _faults():
            try:
                with os.scandir(folder) as entries:
                    # A folder sorts as its name and a slash, as its keys do; code points sort as their UTF-8 does.
                    names = sorted(f"{entry.name}/" if entry.is_dir() else entry.name for entry in entries if is_segment(entry.name))
            except (FileNotFoundError, NotADirectoryError):
                return
        for name in names:
            key = base + name
            if name.endswith("/"):
                if (key.startswith(prefix) or prefix.startswith(key)) and (key > after or after.startswith(key)):
                    yield from self._walk(folder / name, key, prefix, after)
            elif key.startswith(prefix) and key > after:
                yield key

    def _path(self, key: str) -> Path:
        return self._root / checked(key)

    @contextlib.contextmanager
    def _temporary(self, data: bytes) -> Iterator[Path]:
        _make_folder(self._tmp)
        self._clear_leftovers()
        path = self._tmp / secrets.token_hex(12)
        try:
            with path.open("xb") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                file.write(data)
                file.flush()
                now = time.time_ns()
                os.utime(file.fileno(), ns=(now, now))  # the kernel's own clock ticks too slowly to tell two puts apart
                os.fsync(file.fileno())
                yield path
        finally:
            with contextlib.suppress(OSError):
                path.unlink()

    def _clear_leftovers(self) -> None:
        """Remove the files whose writers are dead; one that is younger may not be locked yet."""
        now = time.time()
        if now < self._next_clearing:
            return
        self._next_clearing = now + LEFTOVER_AGE_S
        for path in self._tmp.glob("*"):
            with contextlib.suppress(FileNotFoundError, BlockingIOError), path.open("rb") as file:
                if os.fstat(file.fileno()).st_mtime < now - LEFTOVER_AGE_S:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    path.unlink()

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        with (self._root / ".lock").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _link(temporary: Path, path: Path) -> bool:
    """Give the file its name; False if the name is taken."""
    _make_folder(path.parent)
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    return True


def _make_folder(folder: Path) -> None:
    if not folder.is_dir():
        _make_folder(folder.parent)
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
        _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(FileNotFoundError):  # deleted since, and what was in it
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _generation(data: bytes, status: os.stat_result) -> int:
    return int.from_bytes(hashlib.sha256(b"%d %b" % (status.st_mtime_ns, data)).digest()[:7], "big") or 1


def _busy(key: str) -> DermisError:
    return DermisError(
        Kind.UNAVAILABLE, "STORE_BUSY", f"{key!r} could not be put: others delete in its folder all the time, or emptied .tmp"
    )
