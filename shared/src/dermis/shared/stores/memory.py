"""BlobStore in memory, for tests."""

import threading
from collections.abc import Callable, Collection, Iterator
from datetime import UTC, datetime

from dermis.shared.ports import BlobConflict, BlobNotFound, Room, Versioned
from dermis.shared.stores.keys import check_range, checked


def _now() -> datetime:
    return datetime.now(UTC)


class MemoryStore:
    def __init__(self, clock: Callable[[], datetime] = _now) -> None:
        self._clock = clock
        self._written: dict[str, datetime] = {}
        self._objects: dict[str, Versioned] = {}
        self._lock = threading.Lock()
        self._generation = 0

    def put_once(self, key: str, data: bytes, *, reserved: bool = False) -> bool:  # noqa: ARG002 - the port's name
        with self._lock:
            standing = self._objects.get(checked(key))
            if standing is None:
                self._put(key, data)
                return True
        if standing.data != data:
            raise BlobConflict(key)
        return False

    def get(self, key: str, *, most: int | None = None) -> bytes:
        try:
            return self._objects[checked(key)].data[:most]
        except KeyError:
            raise BlobNotFound(key) from None

    def get_versioned(self, key: str) -> Versioned:
        return self._objects.get(checked(key), Versioned(b"", 0))

    def written_at(self, key: str) -> datetime:
        if checked(key) not in self._objects:
            raise BlobNotFound(key)
        return self._written[key]

    def clock(self) -> datetime:
        return self._clock()

    def room(self) -> Room | None:
        return None

    def tend(self, *, reserve_bytes: int, busy: Collection[str]) -> None:
        pass

    def replace(self, key: str, data: bytes, *, generation: int) -> int:
        with self._lock:
            if self.get_versioned(key).generation != generation:
                raise BlobConflict(key)
            return self._put(key, data)

    def delete(self, key: str, *, generation: int | None = None) -> None:
        with self._lock:
            if generation in (None, self.get_versioned(key).generation):
                self._objects.pop(checked(key), None)

    def list(self, prefix: str, *, after: str = "") -> Iterator[str]:
        check_range(prefix, after)
        return iter(sorted(key for key in list(self._objects) if key.startswith(prefix) and key > after))

    def _put(self, key: str, data: bytes) -> int:
        self._generation += 1
        self._written[key] = self._clock()
        self._objects[key] = Versioned(bytes(data), self._generation)
        return self._generation
