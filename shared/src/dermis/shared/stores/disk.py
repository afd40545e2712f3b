"""BlobStore in a folder: an object is a file, put once by a hard link, so that no reader ever sees half of one."""

import contextlib
import errno
import fcntl
import hashlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from dermis.shared.errors import DermisError, Kind
from dermis.shared.ports import BlobConflict, BlobNotFound, Versioned
from dermis.shared.stores.keys import checked

_REASONS = {errno.ENOSPC: "STORE_FULL", errno.EDQUOT: "STORE_FULL", errno.EROFS: "STORE_READ_ONLY", errno.EACCES: "STORE_READ_ONLY"}


@contextlib.contextmanager
def _faults() -> Iterator[None]:
    try:
        yield
    except OSError as fault:
        reason = _REASONS.get(fault.errno or 0, "STORE_UNAVAILABLE")
        raise DermisError(Kind.UNAVAILABLE, reason, f"the store refused: {os.strerror(fault.errno or 0)}") from fault


class DiskStore:
    """Objects under `root`; the folder is made when first written to. Durable: files and folders are synced."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._tmp = root / ".tmp"

    def put_once(self, key: str, data: bytes) -> bool:
        path = self._path(key)
        with _faults(), self._temporary(data) as temporary:
            if self._link(temporary, path):
                return True
        if self.get(key) != data:
            raise BlobConflict(key)
        return False

    def get(self, key: str) -> bytes:
        path = self._path(key)
        with _faults():
            try:
                return path.read_bytes()
            except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
                raise BlobNotFound(key) from None

    def get_versioned(self, key: str) -> Versioned:
        try:
            data = self.get(key)
        except BlobNotFound:
            return Versioned(b"", 0)
        return Versioned(data, _generation(data))

    def replace(self, key: str, data: bytes, *, generation: int) -> int:
        path = self._path(key)
        with _faults(), self._temporary(data) as temporary, self._lock():
            if self.get_versioned(key).generation != generation:
                raise BlobConflict(key)
            path.parent.mkdir(parents=True, exist_ok=True)
            os.replace(temporary, path)
            _sync_folder(path.parent)
        return _generation(data)

    def delete(self, key: str) -> None:
        path = self._path(key)
        with _faults():
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                path.unlink()
            for folder in path.parents:
                if folder == self._root:
                    break
                try:
                    folder.rmdir()
                except OSError:
                    break

    def list(self, prefix: str, *, after: str = "") -> Iterator[str]:
        folder = prefix.rpartition("/")[0]
        with _faults():
            yield from self._walk(self._root / folder if folder else self._root, f"{folder}/" if folder else "", prefix, after)

    def _walk(self, folder: Path, base: str, prefix: str, after: str) -> Iterator[str]:
        try:
            with os.scandir(folder) as entries:
                # A folder sorts as its name and a slash, as its keys do.
                found = sorted((e.name.encode() + (b"/" if e.is_dir() else b""), e.name) for e in entries if not e.name.startswith("."))
        except (FileNotFoundError, NotADirectoryError):
            return
        for as_key, name in found:
            key = base + name
            if as_key.endswith(b"/"):
                key += "/"
                if (key.startswith(prefix) or prefix.startswith(key)) and not (after > key and not after.startswith(key)):
                    yield from self._walk(folder / name, key, prefix, after)
            elif key.startswith(prefix) and key.encode() > after.encode():
                yield key

    def _path(self, key: str) -> Path:
        return self._root / checked(key)

    @contextlib.contextmanager
    def _temporary(self, data: bytes) -> Iterator[Path]:
        self._tmp.mkdir(parents=True, exist_ok=True)
        path = self._tmp / secrets.token_hex(12)
        try:
            with path.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            yield path
        finally:
            with contextlib.suppress(OSError):
                path.unlink()

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        with (self._tmp / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    @staticmethod
    def _link(temporary: Path, path: Path) -> bool:
        while True:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(temporary, path)
            except FileExistsError:
                return False
            except FileNotFoundError:
                continue  # delete() took the empty folder between the two calls
            _sync_folder(path.parent)
            return True


def _generation(data: bytes) -> int:
    return int.from_bytes(hashlib.sha256(data).digest()[:7], "big") or 1


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
