"""Interfaces to outside things that two parts use."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from dermis.shared.errors import DermisError, Kind


class BlobNotFound(DermisError):
    def __init__(self, key: str) -> None:
        super().__init__(Kind.NOT_FOUND, "BLOB_NOT_FOUND", f"no object {key!r}")
        self.key = key

    def __reduce__(self) -> tuple[object, ...]:
        return (BlobNotFound, (self.key,))


class BlobConflict(DermisError):
    def __init__(self, key: str) -> None:
        super().__init__(Kind.CONFLICT, "BLOB_CONFLICT", f"object {key!r} is there with other content")
        self.key = key

    def __reduce__(self) -> tuple[object, ...]:
        return (BlobConflict, (self.key,))


@dataclass(frozen=True, slots=True)
class Versioned:
    """An object's bytes and the generation to name when replacing it; generation 0 is "not there"."""

    data: bytes
    generation: int


class BlobStore(Protocol):
    """Object store: keys are slash-separated, objects are whole; safe to use from several threads and processes.

    An outside fault is a `DermisError` of kind UNAVAILABLE, which may be tried again.
    """

    def put_once(self, key: str, data: bytes) -> bool:
        """Put an object if absent, atomically and durably; False if equal bytes stood there, `BlobConflict` if others."""
        ...

    def get(self, key: str) -> bytes:
        """Return an object's bytes; `BlobNotFound` if there is none."""
        ...

    def get_versioned(self, key: str) -> Versioned:
        """Return an object's bytes and generation; generation 0 and no bytes if there is none."""
        ...

    def replace(self, key: str, data: bytes, *, generation: int) -> int:
        """Compare-and-set: put if the object still has `generation`, else `BlobConflict`; return the new generation."""
        ...

    def delete(self, key: str) -> None:
        """Delete an object; no error if there is none."""
        ...

    def list(self, prefix: str, *, after: str = "") -> Iterator[str]:
        """Yield the keys that start with `prefix` and sort after `after`, in order of their UTF-8 bytes."""
        ...


def has(store: BlobStore, key: str) -> bool:
    """Return whether there is such an object, whatever is in it."""
    try:
        store.get(key)
    except BlobNotFound:
        return False
    return True
