"""BlobStore in a folder: an object is a file, put once by a hard link, so that no reader ever sees half of one."""

import contextlib
import errno
import fcntl
import hashlib
import os
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Collection, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, BinaryIO, TypeVar

from dermis.shared.errors import DermisError, Kind
from dermis.shared.ports import BlobConflict, BlobNotFound, Room, Versioned
from dermis.shared.stores.disk_layout import MARKS, by_time, is_id_name, mark_by_time, path_of, walk
from dermis.shared.stores.disk_reserve import Reserve
from dermis.shared.stores.keys import check_range, checked

T = TypeVar("T")
LEFTOVER_AGE_S = 10
_TRIES = 100
_FULL = (errno.ENOSPC, errno.EDQUOT)
_REASONS = {errno.EROFS: "STORE_READ_ONLY", errno.EACCES: "STORE_READ_ONLY"}
_MOST_MOVED = 5_000
"""Folders and marks of the older layout that are moved at once; others go with the next call."""


@contextlib.contextmanager
def _faults() -> Iterator[None]:
    try:
        yield
    except (IsADirectoryError, NotADirectoryError) as fault:
        raise DermisError(
            Kind.INVALID,
            "BLOB_KEY",
            "a folder lies where this key needs a file, or a file where it needs a folder; use another key",
        ) from fault
    except OSError as fault:
        if fault.errno in _FULL:
            detail = "the store has no space or no inodes left; cases can still be erased, which frees some"
            raise DermisError(Kind.FULL, "STORE_FULL", detail) from fault
        reason = _REASONS.get(fault.errno or 0, "STORE_UNAVAILABLE")
        raise DermisError(Kind.UNAVAILABLE, reason, f"the store refused: {os.strerror(fault.errno or 0)}") from fault


class DiskStore:
    """Objects under `root`, which is made when first written to, for its owner alone.

    Durable when a call returns: the file is synced before it gets its name, then the folder that names it, and the
    folders above that were made for it. The file system must know hard links and flock. The folder of a key's first
    segment may be a mount of its own: `.tmp` and `.lock` lie in it, and it stays when it is empty. What a killed writer
    left in a `.tmp` is told by its lock, which ends with its writer, and removed by any later put or delete. Without
    `links` an object that a symbolic link stands for, or that lies behind one, is none.
    """

    def __init__(self, root: Path, *, links: bool = True) -> None:
        self._root = root
        self._reserve = Reserve(root / ".reserve")
        self._links = links
        self._next_clearing = 0.0

    def put_once(self, key: str, data: bytes, *, reserved: bool = False) -> bool:
        while True:
            try:
                with _faults():
                    return self._put_once(key, data)
            except DermisError as error:
                if error.kind is not Kind.FULL or not reserved or not self._reserve.let_go(len(data)):
                    raise

    def _put_once(self, key: str, data: bytes) -> bool:
        with self._temporary(key, data) as temporary:
            for _ in range(_TRIES):
                path = self._path(key)
                with contextlib.suppress(FileNotFoundError):  # a delete took the folder, or the object, in between
                    new = _link(temporary, path)
                    if not new and path.read_bytes() != data:
                        raise BlobConflict(key)
                    _sync_folder(path.parent)  # also if another put it: it may not have come so far
                    return new
        raise _busy(key)

    def get(self, key: str, *, most: int | None = None) -> bytes:
        with _faults(), self._file(key) as file:
            return file.read(-1 if most is None else most)

    def written_at(self, key: str) -> datetime:
        with _faults():
            try:
                status = self._where_it_lies(key, Path.stat)
            except (FileNotFoundError, NotADirectoryError):
                raise BlobNotFound(key) from None
            if not stat.S_ISREG(status.st_mode):
                raise BlobNotFound(key)
            return datetime.fromtimestamp(status.st_mtime, UTC)

    def clock(self) -> datetime:
        with _faults():
            _make_folder(self._root)
            with _open_lock(self._root) as file:
                os.utime(file.fileno())  # the time of who keeps the file system, not ours
                return datetime.fromtimestamp(os.fstat(file.fileno()).st_mtime, UTC)

    def room(self) -> Room | None:
        with _faults():
            folder = self._root
            while not folder.exists():
                folder = folder.parent
            status = os.statvfs(folder)
        # A file system that makes inodes as it needs them counts none.
        return Room(bytes=status.f_bavail * status.f_frsize, inodes=status.f_favail if status.f_files else None)

    def tend(self, *, reserve_bytes: int, busy: Collection[str]) -> None:
        with _faults():
            if not self._root.is_dir():
                return
            _close_to_others(self._root)
            self._reserve.fill(reserve_bytes)
            self._keep_by_time(busy)

    def get_versioned(self, key: str) -> Versioned:
        with _faults(), contextlib.suppress(BlobNotFound), self._file(key) as file:
            data = file.read()
            return Versioned(data, _generation(data, os.fstat(file.fileno())))
        return Versioned(b"", 0)

    def replace(self, key: str, data: bytes, *, generation: int) -> int:
        path = self._path(key)
        with _faults(), self._temporary(key, data) as temporary, _lock(self._top(key)):
            now = time.time_ns()
            os.utime(temporary, ns=(now, now))  # the kernel's own clock ticks too slowly to tell two puts apart
            if self.get_versioned(key).generation != generation:
                raise BlobConflict(key)
            written = _generation(data, temporary.stat())
            for _ in range(_TRIES):
                with contextlib.suppress(FileNotFoundError):
                    if generation:
                        temporary.replace(path)
                    elif not _link(temporary, path):  # put_once takes no lock
                        raise BlobConflict(key)
                    _sync_folder(path.parent)
                    return written
        raise _busy(key)

    def make_folders(self, *names: str) -> None:
        """Make folders of first segments, so that each can be mounted alone before there is an object in it."""
        with _faults():
            for name in names:
                _make_folder(self._root / checked(name))

    def delete(self, key: str, *, generation: int | None = None) -> None:
        checked(key)
        top = self._top(key)
        with _faults():
            self._clear_leftovers()
            with contextlib.suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError), _lock(top):
                if generation not in (None, self.get_versioned(key).generation):
                    return
                self._where_it_lies(key, Path.unlink)
            folder = self._path(key).parent
            while folder != top:
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
        return self._list(prefix, after)

    def _list(self, prefix: str, after: str) -> Iterator[str]:
        with _faults():
            yield from walk(self._root, prefix, after, links=self._links)

    def _path(self, key: str) -> Path:
        return path_of(self._root, checked(key))

    def _top(self, key: str) -> Path:
        """Return the folder of a key's first segment, which may be a mount of its own.

        The root for a key of one segment.
        """
        first, slash, _ = checked(key).partition("/")
        return self._root / first if slash else self._root

    @contextlib.contextmanager
    def _file(self, key: str) -> Iterator[BinaryIO]:
        """Open the file of `key` for reading; `BlobNotFound` if there is none."""
        for _ in range(_TRIES):
            path = self._path(key)
            if not self._links and path.resolve() != self._root.resolve() / path.relative_to(self._root):
                break
            try:
                file = open(path, "rb", opener=_at_once)  # noqa: SIM115 - closed below
            except (FileNotFoundError, NotADirectoryError):
                if self._path(key) != path:  # its folder was moved to the layout by time in between
                    continue
                break
            except IsADirectoryError:
                break
            except OSError as fault:
                detail = f"an object of the store can't be read: {os.strerror(fault.errno or 0)}"
                raise DermisError(Kind.UNAVAILABLE, "BLOB_UNREADABLE", detail) from fault
            with file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    break
                yield file
                return
        raise BlobNotFound(key)

    def _where_it_lies(self, key: str, act: Callable[[Path], T]) -> T:
        """Return what `act` does with an object's file.

        It acts once more if its folder was moved to the layout by time in between.
        """
        for _ in range(_TRIES):
            path = self._path(key)
            try:
                return act(path)
            except (FileNotFoundError, NotADirectoryError):
                if self._path(key) == path:
                    raise
        raise _busy(key)

    def _keep_by_time(self, busy: Collection[str]) -> None:
        """Move what an id names, of the layout before and directly in its parent, to where it lies by time.

        One that `busy` names is left for later: a put that is under way would make its folder anew.
        """
        left = _MOST_MOVED
        for parent in (*_folders(self._root / "cases"), self._root / "batches"):
            left -= _move_all(
                [path for path in _folders(parent) if is_id_name(path.name) and path.name not in busy][:left], by_time
            )
        for parent in _folders(self._root / MARKS):
            left -= _move_all(
                [path for path in _files(parent) if is_id_name(path.name) and path.name not in busy][:left],
                mark_by_time,
            )

    @contextlib.contextmanager
    def _temporary(self, key: str, data: bytes) -> Iterator[Path]:
        folder = self._top(key) / ".tmp"  # no link and no rename crosses a mount
        _make_folder(folder)
        self._clear_leftovers()
        path = folder / secrets.token_hex(12)
        try:
            with open(path, "xb", opener=_private) as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                file.write(data)
                file.flush()
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
        for path in [*self._root.glob(".tmp/*"), *self._root.glob("*/.tmp/*")]:
            # What can't be read, or is no file, hurts no other.
            with contextlib.suppress(OSError), open(path, "rb", opener=_at_once) as file:
                if os.fstat(file.fileno()).st_mtime < now - LEFTOVER_AGE_S:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    path.unlink()


@contextlib.contextmanager
def _lock(folder: Path) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        try:
            fcntl.flock(stack.enter_context(_open_lock(folder)), fcntl.LOCK_EX)
        except OSError as fault:
            if fault.errno not in _FULL:  # no room for the file that was never made: nothing was ever replaced here
                raise
        yield


def _open_lock(folder: Path) -> IO[str]:
    return open(folder / ".lock", "a", opener=_private)


def _at_once(path: str, flags: int) -> int:
    """Open without waiting for who writes to a pipe of that name: it is no object."""
    return os.open(path, flags | os.O_NONBLOCK)


def _private(path: str, flags: int) -> int:
    """Open a file that its owner alone may read, whatever the process' mask."""
    return os.open(path, flags, 0o600)


def _close_to_others(root: Path) -> None:
    """Take the right to look inside from others than owner and group.

    A store of an older version was made for all to read.
    """
    status = root.stat()
    if status.st_mode & 0o007 and status.st_uid == os.geteuid():
        root.chmod(stat.S_IMODE(status.st_mode) & ~0o007)


def _folders(folder: Path) -> list[Path]:
    return [Path(entry.path) for entry in _entries(folder) if entry.is_dir(follow_symlinks=False)]


def _files(folder: Path) -> list[Path]:
    return [Path(entry.path) for entry in _entries(folder) if entry.is_file(follow_symlinks=False)]


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """Return what lies in a folder, by name, but for hidden things."""
    try:
        with os.scandir(folder) as entries:
            return sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _move_all(paths: list[Path], home: Callable[[Path, str], Path]) -> int:
    """Move what lies in one folder, as `_move` does; return how many were looked at."""
    moved = [_move(path, home(path.parent, path.name)) for path in paths]
    if any(moved):
        _sync_folder(paths[0].parent)
    return len(paths)


def _move(path: Path, to: Path) -> bool:
    """Give a folder or a mark its place by time.

    What lies in both, as somebody put into the old one meanwhile, comes together in the new.
    """
    _make_folder(to.parent)
    try:
        path.rename(to)
    except OSError as fault:
        if fault.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            return False
        for file in [file for file in path.rglob("*") if file.is_file()]:
            _link(file, to / file.relative_to(path))
            file.unlink()
        shutil.rmtree(path, ignore_errors=True)
    return True


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
            folder.mkdir(mode=0o700)
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
        Kind.UNAVAILABLE,
        "STORE_BUSY",
        f"{key!r} could not be put: others delete in its folder all the time, or emptied .tmp",
    )
