"""Space that is kept back on a disk, as files without content, for what must be written when nothing else can be."""

import contextlib
import errno
import os
from pathlib import Path

PIECE = 64 * 1024
"""Bytes of one file; it keeps an inode as well."""
_MORE = 4
"""Files that are let go beyond what the data fill: for the folders that are made for it."""


class Reserve:
    """Files in `folder`, filled by one process from time to time and let go by whichever is in need."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def fill(self, size: int) -> None:
        """Bring the reserve to `size` bytes, or as near as the disk lets, at most an eighth of what would be free.

        What is above it goes.
        """
        with contextlib.suppress(FileExistsError):
            self._folder.mkdir(mode=0o700)
        kept, status = {piece.name for piece in self._folder.iterdir()}, os.statvfs(self._folder)
        most = (status.f_bavail * status.f_frsize + len(kept) * PIECE) // 8
        wanted = {str(n) for n in range(min(size, most) // PIECE)}
        for name in kept - wanted:
            with contextlib.suppress(OSError):  # a folder, for one, which is none of ours
                (self._folder / name).unlink()
        try:
            for name in wanted - kept:
                _occupy(self._folder / name)
        except OSError as fault:
            if fault.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise

    def let_go(self, size: int) -> bool:
        """Free space for an object of `size` bytes; False if nothing is kept back any more."""
        try:
            names = [piece.name for piece in self._folder.iterdir()]
        except OSError:
            return False
        freed = 0
        for name in names[: size // PIECE + _MORE]:
            with contextlib.suppress(OSError):
                (self._folder / name).unlink()
                freed += 1
        return freed > 0


def _occupy(path: Path) -> None:
    try:
        with open(path, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, PIECE)
            else:
                file.write(bytes(PIECE))
    except OSError:
        path.unlink(missing_ok=True)
        raise
