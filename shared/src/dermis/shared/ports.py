"""Interfaces to outside things that two parts use."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What a store has free; `inodes` is None where they are made as needed."""

    bytes: int
    inodes: int | None


class BlobStore(Protocol):
    """Object store: keys are slash-separated, objects are whole; safe to use from several threads and processes.

    An outside fault is a `DermisError` of kind UNAVAILABLE, or FULL where there is no space, which may be tried again.
    """

    def put_once(self, key: str, data: bytes, *, reserved: bool = False) -> bool:
        """Put an object if absent, atomically and durably; False if equal bytes stood there, `BlobConflict` if others.

        `reserved` is for what must be written although nothing else can be, as it frees space or ends accepted work: it
        may take what the store keeps back.
        """
        ...

    def get(self, key: str, *, most: int | None = None) -> bytes:
        """Return an object's bytes, the first `most` of them if that is stated; `BlobNotFound` if there is none."""
        ...

    def get_versioned(self, key: str) -> Versioned:
        """Return an object's bytes and generation; generation 0 and no bytes if there is none."""
        ...

    def written_at(self, key: str) -> datetime:
        """Return when an object was put, by the store's clock and not the writer's; `BlobNotFound` if there is none."""
        ...

    def clock(self) -> datetime:
        """Return the time by the store's own clock, by which `written_at` tells it; needs no space."""
        ...

    def room(self) -> Room | None:
        """Return what is free, None where that has no bound."""
        ...

    def tend(self, *, reserve_bytes: int, busy: Collection[str]) -> None:
        """Do what the store needs from time to time.

        It keeps `reserve_bytes` back and brings what an older version put into its place.

        `busy` are the ids of what is being worked on, which stays where it is meanwhile.
        """
        ...

    def replace(self, key: str, data: bytes, *, generation: int) -> int:
        """Compare-and-set: put if the object still has `generation`, else `BlobConflict`; return the new generation."""
        ...

    def delete(self, key: str, *, generation: int | None = None) -> None:
        """Delete an object, with `generation` only while it has that one; no error if there is none, or another."""
        ...

    def list(self, prefix: str, *, after: str = "") -> Iterator[str]:
        """Yield the keys that start with `prefix` and sort after `after`, in order of their UTF-8 bytes."""
        ...


def has(store: BlobStore, key: str) -> bool:
    """Return whether there is such an object, whatever is in it."""
    try:
        store.written_at(key)
    except BlobNotFound:
        return False
    return True
