"""Boxes of ISO/IEC 14496-12 and the numbers in them: read within their bounds, written by their content."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from dermis.shared.images.formats import damaged

MOST_BOXES = 4096
"""Most boxes that one box may hold, and most entries of a table; a photo of 200 megapixels in tiles of 512 has 768."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """Kind, and where content and box end in the bytes that were read."""

    kind: bytes
    content: int
    end: int


def boxes(data: bytes, start: int, end: int) -> Iterator[Box]:
    """Yield the boxes that lie from `start` to `end`; one that passes its parent's end is INVALID."""
    for box in _walk(data, start, end):
        if box.end > end:
            raise damaged(f"the file has a box {_name(box.kind)} that is longer than what it lies in")
        yield box


def file_boxes(data: bytes) -> Iterator[Box]:
    """Yield the boxes of a file: the last one may break off or be no box at all, and then ends where the file does."""
    for box in _walk(data, 0, len(data)):
        yield Box(kind=box.kind, content=box.content, end=min(box.end, len(data)))


def _walk(data: bytes, start: int, end: int) -> Iterator[Box]:
    at = start
    for _ in range(MOST_BOXES):
        if at + 8 > end:
            return
        size, content = int.from_bytes(data[at : at + 4], "big"), at + 8
        if size == 1:
            size, content = int.from_bytes(data[at + 8 : at + 16], "big"), at + 16
        elif size == 0:
            size = end - at
        if content > end or size < content - at:
            return
        yield Box(kind=data[at + 4 : at + 8], content=content, end=at + size)
        at += size
    if at + 8 <= end:
        raise damaged(f"the file has more than {MOST_BOXES:,} boxes in one")


def _name(kind: bytes) -> str:
    return repr(kind.decode("ascii", "replace"))


class Numbers:
    """Big-endian numbers, one after the other, from `at` to `end`."""

    def __init__(self, data: bytes, at: int, end: int) -> None:
        self._data = data
        self._end = end
        self.at = at

    def take(self, size: int) -> int:
        """Return the number in the next `size` bytes; without bytes it is 0."""
        return int.from_bytes(self.part(size), "big")

    def signed(self, size: int) -> int:
        return int.from_bytes(self.part(size), "big", signed=True)

    def part(self, size: int) -> bytes:
        start, self.at = self.at, self.at + size
        if self.at > self._end:
            raise damaged("the file has a box that breaks off")
        return self._data[start : self.at]

    def rest(self) -> bytes:
        start, self.at = self.at, self._end
        return self._data[start : self._end]


class Bits:
    """Bits, the highest of a byte first; Exp-Golomb numbers as in ITU-T H.265, 9.2."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "big")
        self._left = 8 * len(data)

    def take(self, count: int) -> int:
        self._left -= count
        if self._left < 0:
            raise damaged("the header of the coded image breaks off")
        return self._value >> self._left & ((1 << count) - 1)

    def exp_golomb(self) -> int:
        zeros = 0
        while not self.take(1):
            zeros += 1
            if zeros > 32:
                raise damaged("the header of the coded image has a number of more than 32 bits")
        return (1 << zeros) - 1 + self.take(zeros)


def box(kind: bytes, *content: bytes) -> bytes:
    """Return a box with its length."""
    body = b"".join(content)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def full_box(kind: bytes, *content: bytes, version: int = 0, flags: int = 0) -> bytes:
    """Return a box that states its version and flags."""
    return box(kind, struct.pack(">I", version << 24 | flags), *content)
