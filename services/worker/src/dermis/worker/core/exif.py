"""EXIF's orientation of an image that still has its metadata; a broken block counts as none, as in every viewer."""

import struct
from collections.abc import Iterator

ORIENTATION_TAG = 0x0112


def orientation_in(data: bytes) -> int:
    """Return the orientation (1-8, EXIF 2.32) that a JPEG, PNG or WebP states, or 1."""
    for block in _blocks(data):
        try:
            return _orientation(block)
        except (struct.error, ValueError):
            continue
    return 1


def _blocks(data: bytes) -> Iterator[bytes]:
    if data.startswith(b"\xff\xd8"):
        return _jpeg_blocks(data)
    if data.startswith(b"\x89PNG"):
        return _chunks(data, start=8, name=b"eXIf", size_first=True)
    return _chunks(data, start=12, name=b"EXIF", size_first=False)


def _jpeg_blocks(data: bytes) -> Iterator[bytes]:
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:
        size = int.from_bytes(data[at + 2 : at + 4], "big")
        body = data[at + 4 : at + 2 + size]
        if data[at + 1] == 0xE1 and body.startswith(b"Exif\0\0"):
            yield body
        at += 2 + size


def _chunks(data: bytes, *, start: int, name: bytes, size_first: bool) -> Iterator[bytes]:
    """Yield the bodies of PNG chunks (size, name, body, sum) or RIFF chunks (name, size, body, padding) called `name`."""
    at = start
    while at + 8 <= len(data):
        first, second = data[at : at + 4], data[at + 4 : at + 8]
        size = int.from_bytes(first, "big") if size_first else int.from_bytes(second, "little")
        if (second if size_first else first) == name:
            yield data[at + 8 : at + 8 + size]
        at += 12 + size if size_first else 8 + size + size % 2


def _orientation(block: bytes) -> int:
    tiff = block.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        raise ValueError("no byte order")
    (directory,) = struct.unpack_from(f"{order}I", tiff, 4)
    (count,) = struct.unpack_from(f"{order}H", tiff, directory)
    for entry in range(directory + 2, directory + 2 + 12 * count, 12):
        tag, _kind, _count, value = struct.unpack_from(f"{order}HHIH", tiff, entry)
        if tag == ORIENTATION_TAG:
            return value if 1 <= value <= 8 else 1
    return 1
