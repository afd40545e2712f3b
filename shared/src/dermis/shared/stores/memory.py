"""BlobStore in memory, for tests."""

import threading
from collections.abc import Iterator

from dermis.shared.ports import BlobConflict, BlobNotFound, Versioned
from dermis.shared.stores.keys import check_range, checked


class MemoryStore:
    def __init__(self) -> None:
        self._objects: dict[str, Versioned] = {}
        self._lock = threading.Lock()
        self._generation = 0

    def put_once(self, key: str, data: bytes) -> bool:
        with self._lock:
            known = self._objects.get(checked(key))
            if known is None:
                self._put(key, data)
                return True
        if known.data != data:
            raise BlobConflict(key)
        return False

    def get(self, key: str) -> bytes:
        try:
            return self._objects[checked(key)].data
        except KeyError:
            raise BlobNotFound(key) from None

    def get_versioned(self, key: str) -> Versioned:
        return self._objects.get(checked(key), Versioned(b"", 0))

    def replace(self, key: str, data: bytes, *, generation: int) -> int:
        with self._lock:
            if self.get_versioned(key).generation != generation:
                raise BlobConflict(key)
            return self._put(key, data)

    def delete(self, key: str) -> None:
        with self._lock:
            self._objects.pop(checked(key), None)

    def list(self, prefix: str, *, after: str = "") -> Iterator[str]:
        check_range(prefix, after)
        return iter(sorted(key for key in list(self._objects) if key.startswith(prefix) and key > after))

    def _put(self, key: str, data: bytes) -> int:
        self._generation += 1
        self._objects[key] = Versioned(bytes(data), self._generation)
        return self._generation
