"""HEIC (ISO/IEC 23008-12, in the boxes of ISO/IEC 14496-12): pictures stay where they stand, all else becomes zeros.

Places in the file are absolute, so nothing may move: what is left out is overwritten, and only what is known to be
needed for the picture is copied. Thus Exif, XMP, user descriptions, names and whatever no item refers to are gone.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from dermis.shared.images.formats import Format, ImageHeader, Walk, damaged, unsupported

_BRANDS = {b"heic", b"heix", b"heim", b"heis"}
_MAJOR = _BRANDS | {b"mif1"}
_PICTURES = {b"hvc1", b"grid", b"iden", b"iovl"}
_META = {b"hdlr", b"pitm", b"iloc", b"iref", b"dinf"}
_PROPERTIES = {b"hvcC", b"ispe", b"pixi", b"pasp", b"irot", b"imir", b"clap", b"auxC", b"colr", b"rloc", b"clli", b"mdcv"}
_NEITHER = b"skip"
_MOST_PARTS = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class _Box:
    kind: bytes
    start: int
    content: int
    end: int


def is_heic(data: bytes) -> bool:
    """Whether the file type box names HEIC's brands, which AVIF shares no more than the container with."""
    if data[4:8] != b"ftyp" or data[8:12] not in _MAJOR:
        return False
    brands = data[8 : min(int.from_bytes(data[:4], "big"), 256)]
    return any(brands[at : at + 4] in _BRANDS for at in range(0, len(brands), 4) if at != 4)


def walk(data: bytes) -> Walk:
    """Walk a HEIC; its pictures and the boxes that describe them are kept, all else becomes zeros, so that it stays as long as it came.

    `orientation` is 1: a HEIC is turned by a property of its own, which stays (EXIF's does not count).
    """
    out = _Copy(data)
    meta: _Box | None = None
    payloads: list[tuple[int, int]] = []
    for box in _boxes(data, 0, len(data), last_may_be_open=True):
        if box.kind == b"ftyp":
            out.keep(box.start, box.end)
        elif box.kind == b"mdat":
            out.keep(box.start, box.content)
            payloads.append((box.content, box.end))
        elif box.kind == b"meta" and meta is None:
            meta = box
        else:
            out.free(box)
    if meta is None:
        raise damaged("the HEIC has no description of its items")
    out.keep(meta.start, meta.content + 4)
    boxes: dict[bytes, _Box] = {}
    for box in _boxes(data, meta.content + 4, meta.end):
        boxes.setdefault(box.kind, box)
        if box.kind in _META and boxes[box.kind] is box:
            out.keep(box.start, box.end)
        elif box.kind == b"idat" and boxes[box.kind] is box:
            out.keep(box.start, box.content)
        elif box.kind not in (b"iinf", b"iprp"):
            out.free(box)
    if missing := {b"pitm", b"iloc", b"iinf", b"iprp"} - boxes.keys():
        raise damaged(f"the HEIC lacks {min(missing).decode()!r}")
    width, height = _properties(out, boxes[b"iprp"])
    pictures = _items(out, boxes[b"iinf"])
    inside = boxes.get(b"idat")
    for item, method, start, end in _extents(data, boxes[b"iloc"]):
        if item not in pictures:
            continue
        if method == 1 and inside:
            start, end, places = start + inside.content, end + inside.content, [(inside.content, inside.end)]
        else:
            places = payloads if method == 0 else []
        if not any(low <= start and end <= high for low, high in places):
            raise damaged("the HEIC names a place of a picture that it doesn't hold")
        out.keep(start, end)
    return Walk(header=ImageHeader(format=Format.HEIC, width=width, height=height), pieces=(bytes(out.bytes),))


class _Copy:
    """Zeros, into which what may stay is copied."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.bytes = bytearray(len(data))

    def keep(self, start: int, end: int) -> None:
        self.bytes[start:end] = memoryview(self.data)[start:end]

    def free(self, box: _Box) -> None:
        """Leave a box's length and make it one that readers skip."""
        self.keep(box.start, box.content)
        self.bytes[box.start + 4 : box.start + 8] = b"free"


def _boxes(data: bytes, start: int, end: int, *, last_may_be_open: bool = False) -> Iterator[_Box]:
    at = start
    for _ in range(_MOST_PARTS):
        if at == end:
            return
        size, content = int.from_bytes(data[at : at + 4], "big"), at + 8
        if size == 1:
            size, content = int.from_bytes(data[at + 8 : at + 16], "big"), at + 16
        elif size == 0 and last_may_be_open:
            size = end - at
        if content > end or size < content - at or at + size > end:
            raise damaged("the HEIC breaks off before its end")
        yield _Box(kind=data[at + 4 : at + 8], start=at, content=content, end=at + size)
        at += size
    raise damaged(f"the HEIC has more than {_MOST_PARTS:,} boxes in one")


def _properties(out: _Copy, box: _Box) -> tuple[int, int]:
    """Keep the properties of pictures and return the largest of the sizes that they state: the whole picture's."""
    out.keep(box.start, box.content)
    sizes = [(0, 0)]
    for child in _boxes(out.data, box.content, box.end):
        if child.kind == b"ipma":
            out.keep(child.start, child.end)
            continue
        if child.kind != b"ipco":
            out.free(child)
            continue
        out.keep(child.start, child.content)
        for each in _boxes(out.data, child.content, child.end):
            if each.kind not in _PROPERTIES:
                out.free(each)
                continue
            out.keep(each.start, each.end)
            if each.kind == b"ispe" and each.end - each.content == 12:
                sizes.append(struct.unpack_from(">II", out.data, each.content + 4))
    return max(sizes, key=lambda size: size[0] * size[1])


def _items(out: _Copy, box: _Box) -> set[int]:
    """Keep numbers and types of the items, without names; return the pictures' numbers. What is none gets a type that says nothing."""
    reader = _Reader(out.data, box.content, box.end)
    version = reader.number(4) >> 24
    reader.number(2 if version == 0 else 4)
    out.keep(box.start, reader.at)
    pictures = set()
    for entry in _boxes(out.data, reader.at, box.end):
        inner = _Reader(out.data, entry.content, entry.end)
        version = inner.number(4) >> 24
        if entry.kind != b"infe" or version not in (2, 3):
            raise damaged("the HEIC has an item without a type")
        item = inner.number(2 if version == 2 else 4)
        inner.number(2)
        kind = inner.number(4).to_bytes(4, "big")
        out.keep(entry.start, inner.at)
        if kind in _PICTURES:
            pictures.add(item)
        else:
            out.bytes[inner.at - 4 : inner.at] = _NEITHER
    if not pictures:
        raise unsupported("the HEIC holds no picture of a kind that can be read")
    return pictures


def _extents(data: bytes, box: _Box) -> Iterator[tuple[int, int, int, int]]:
    """Yield item, construction method, start and end of each piece of an item (8.11.3)."""
    reader = _Reader(data, box.content, box.end)
    version = reader.number(4) >> 24
    if version > 2:
        raise damaged("the HEIC's places have an unknown version")
    sizes = reader.number(2)
    offset_size, length_size, base_size, index_size = (sizes >> shift & 0xF for shift in (12, 8, 4, 0))
    count, total = reader.number(2 if version < 2 else 4), 0
    for _ in range(count):
        item = reader.number(2 if version < 2 else 4)
        method = reader.number(2) & 0xF if version else 0
        reader.number(2)
        base = reader.number(base_size)
        extents = reader.number(2)
        total += extents + 1
        if total > _MOST_PARTS:
            raise damaged(f"the HEIC's items have more than {_MOST_PARTS:,} pieces")
        for _ in range(extents):
            reader.number(index_size if version else 0)
            start = base + reader.number(offset_size)
            yield item, method, start, start + reader.number(length_size)


class _Reader:
    """Big-endian numbers, one after the other, from a box."""

    def __init__(self, data: bytes, at: int, end: int) -> None:
        self._data = data
        self._end = end
        self.at = at

    def number(self, size: int) -> int:
        start, self.at = self.at, self.at + size
        if self.at > self._end:
            raise damaged("the HEIC has a box that breaks off")
        return int.from_bytes(self._data[start : self.at], "big")
