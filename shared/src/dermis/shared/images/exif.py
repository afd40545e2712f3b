"""Reads orientation and colour space from EXIF (2.32), and nothing else.

A broken block counts as none, as in every viewer.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

PREFIX = b"Exif\0\0"
_ORIENTATION, _EXIF_IFD, _COLOR_SPACE, _INTEROPERABILITY_IFD, _INTEROPERABILITY_INDEX = (
    0x0112,
    0x8769,
    0xA001,
    0xA005,
    0x0001,
)
_ASCII = 2
_UNSIGNED = {1: "B", 3: "H", 4: "I"}
_MOST_ENTRIES = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Exif:
    """`orientation` 1-8, None if not stated; `color_space` 1 for sRGB, 65535 for another.

    `interoperability` "R03" for Adobe RGB.
    """

    orientation: int | None = None
    color_space: int | None = None
    interoperability: str | None = None


def read_exif(block: bytes) -> Exif:
    """Return what an EXIF block says, which may start with `PREFIX` and has a TIFF header (TIFF 6.0, section 2)."""
    tiff = block.removeprefix(PREFIX)
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return Exif()
    main = _directory(tiff, order, _pointer(tiff, order, 4))
    exif = _directory(tiff, order, main.get(_EXIF_IFD))
    interoperability = _directory(tiff, order, exif.get(_INTEROPERABILITY_IFD))
    orientation, color_space, index = (
        main.get(_ORIENTATION),
        exif.get(_COLOR_SPACE),
        interoperability.get(_INTEROPERABILITY_INDEX),
    )
    return Exif(
        orientation=orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else None,
        color_space=color_space if isinstance(color_space, int) else None,
        interoperability=index if isinstance(index, str) else None,
    )


def _pointer(tiff: bytes, order: str, at: int) -> int | None:
    return int(struct.unpack_from(f"{order}I", tiff, at)[0]) if at + 4 <= len(tiff) else None


def _directory(tiff: bytes, order: str, start: int | str | None) -> dict[int, int | str]:
    """Return the entries of a directory that hold one number or a short text; the first of a tag counts."""
    entries: dict[int, int | str] = {}
    if isinstance(start, int):
        for tag, value in _entries(tiff, order, start):
            entries.setdefault(tag, value)
    return entries


def _entries(tiff: bytes, order: str, start: int) -> Iterator[tuple[int, int | str]]:
    try:
        (count,) = struct.unpack_from(f"{order}H", tiff, start)
        for entry in range(start + 2, start + 2 + 12 * min(count, _MOST_ENTRIES), 12):
            tag, kind, length = struct.unpack_from(f"{order}HHI", tiff, entry)
            if kind in _UNSIGNED:
                yield tag, struct.unpack_from(f"{order}{_UNSIGNED[kind]}", tiff, entry + 8)[0]
            elif kind == _ASCII and length <= 4:
                yield tag, struct.unpack_from("4s", tiff, entry + 8)[0][:length].rstrip(b"\0").decode("latin-1")
    except struct.error:
        return
