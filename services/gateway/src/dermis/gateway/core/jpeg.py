"""JPEG (ITU-T T.81) by its markers: checked up to the end, metadata segments left out, scans untouched."""

import re

from dermis.gateway.core.exif import orientation
from dermis.gateway.core.image import CleanImage, Limits, damaged, unsupported

MAGIC = b"\xff\xd8\xff"
_SOI, _EOI, _SOS, _COM, _APP0, _APP1, _APP14 = 0xD8, 0xD9, 0xDA, 0xFE, 0xE0, 0xE1, 0xEE
_FRAMES = {0xC0, 0xC1, 0xC2}
_OTHER_FRAMES = {0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF}
_TABLES = {0xC4, 0xDB, 0xDD}
_APPLICATION = range(0xE0, 0xF0)
# In a scan, FF is data if 00 follows, and a restart if D0-D7 does.
_END_OF_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)
_FILL = re.compile(rb"\xff+")
_MOST_SEGMENTS = 4096


def clean(data: bytes, limits: Limits) -> CleanImage:
    """Return the image with only what is needed to decode it: tables, frame, scans, JFIF without thumbnail, Adobe's colour transform."""
    kept: list[bytes | memoryview] = [b"\xff\xd8"]
    size: tuple[int, int] | None = None
    turned, scans, at = 1, 0, 2
    for _ in range(_MOST_SEGMENTS):
        marker, body, end = _segment(data, at)
        if marker == _EOI:
            break
        if marker in _FRAMES:
            if size is not None:
                raise damaged("the JPEG has two frames")
            size = _frame(body, limits)
        elif marker in _OTHER_FRAMES:
            raise unsupported("the JPEG is lossless, hierarchical or arithmetically coded, which few programs can read")
        elif marker == _APP1 and body.startswith(b"Exif\0") and turned == 1:
            turned = orientation(body[6:])
        elif marker == _SOS:
            if size is None:
                raise damaged("the JPEG has a scan before its frame")
            scans += 1
            found = _END_OF_SCAN.search(data, end)
            if found is None:
                raise damaged("the JPEG has no end marker")
            end = found.start()
        elif marker not in _TABLES and marker != _COM and marker not in _APPLICATION:
            raise damaged(f"the JPEG has an unknown marker FF{marker:02X}")
        kept.append(_without_metadata(marker, body, memoryview(data)[at:end]))
        at = end
    else:
        raise damaged(f"the JPEG has more than {_MOST_SEGMENTS:,} segments")
    if size is None or not scans:
        raise damaged("the JPEG holds no picture")
    width, height = size
    kept.append(b"\xff\xd9")
    return CleanImage(content_type="image/jpeg", data=b"".join(kept), width=width, height=height, orientation=turned)


def _segment(data: bytes, at: int) -> tuple[int, bytes, int]:
    """Return the marker at `at`, its segment's content and where it ends."""
    fill = _FILL.match(data, at)
    if fill is None and at < len(data):
        raise damaged("the JPEG has no marker where one is due")
    at = fill.end() if fill else at
    if at >= len(data):
        raise damaged("the JPEG has no end marker")
    marker = data[at]
    if marker == _EOI:
        return marker, b"", at + 1
    length = int.from_bytes(data[at + 1 : at + 3], "big")
    end = at + 1 + length
    if length < 2 or end > len(data):
        raise damaged("the JPEG breaks off within a segment")
    return marker, data[at + 3 : end], end


def _frame(body: bytes, limits: Limits) -> tuple[int, int]:
    if len(body) < 6:
        raise damaged("the JPEG's frame header is too short")
    height, width = int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big")
    limits.check(width, height)
    if body[0] != 8 or body[5] not in (1, 3, 4):
        raise unsupported(f"the JPEG has {body[0]} bits in {body[5]} channels")
    return width, height


def _without_metadata(marker: int, body: bytes, segment: memoryview) -> bytes | memoryview:
    if marker == _APP0 and body.startswith(b"JFIF\0") and len(body) >= 14:
        return b"\xff\xe0\x00\x10" + body[:12] + b"\x00\x00"
    if marker == _APP14 and body.startswith(b"Adobe") and len(body) >= 12:
        return b"\xff\xee\x00\x0e" + body[:12]
    return b"" if marker == _COM or marker in _APPLICATION else segment
