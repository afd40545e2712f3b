"""PNG (W3C, third edition) by its chunks: sums checked up to the end, metadata chunks left out, coded pixels untouched."""

import zlib

from dermis.gateway.core.exif import orientation
from dermis.gateway.core.image import CleanImage, Limits, damaged

MAGIC = b"\x89PNG\r\n\x1a\n"
_KEPT = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}
_MOST_CHUNKS = 65_536
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}


def clean(data: bytes, limits: Limits) -> CleanImage:
    """Return the image with nothing but header, palette, transparency and pixels; text, times, EXIF, profiles and frames are left out."""
    view = memoryview(data)
    kept: list[bytes | memoryview] = [MAGIC]
    width = height = 0
    turned, at, coded = 1, len(MAGIC), False
    for count in range(_MOST_CHUNKS):
        kind, body, end = _chunk(view, at)
        if count == 0:
            width, height = _header(kind, bytes(body), limits)
        elif kind == b"IHDR":
            raise damaged("the PNG has two headers")
        if end > len(data) or zlib.crc32(view[at + 4 : end - 4]) != int.from_bytes(view[end - 4 : end], "big"):
            raise damaged("the PNG has a chunk whose check sum is wrong")
        if kind == b"eXIf":
            turned = orientation(bytes(body))
        elif kind in _KEPT:
            kept.append(view[at:end])
        elif kind[:1].isupper():
            raise damaged(f"the PNG has an unknown critical chunk {kind!r}")
        coded = coded or kind == b"IDAT"
        at = end
        if kind == b"IEND":
            if body:
                raise damaged("the PNG's end holds something")
            break
    else:
        raise damaged(f"the PNG has more than {_MOST_CHUNKS:,} chunks")
    if not coded:
        raise damaged("the PNG holds no picture")
    return CleanImage(content_type="image/png", data=b"".join(kept), width=width, height=height, orientation=turned)


def _chunk(view: memoryview, at: int) -> tuple[bytes, memoryview, int]:
    end = at + 12 + int.from_bytes(view[at : at + 4], "big")
    kind = bytes(view[at + 4 : at + 8])
    # A header's size must be judged before the missing rest is.
    if len(kind) < 4 or (end > len(view) and kind != b"IHDR"):
        raise damaged("the PNG breaks off before its end")
    return kind, view[at + 8 : end - 4], end


def _header(kind: bytes, body: bytes, limits: Limits) -> tuple[int, int]:
    if kind != b"IHDR" or len(body) < 8:
        raise damaged("the PNG doesn't start with its header")
    width, height = int.from_bytes(body[:4], "big"), int.from_bytes(body[4:8], "big")
    limits.check(width, height)
    if len(body) != 13 or body[8] not in _DEPTHS.get(body[9], ()) or body[10:12] != b"\0\0" or body[12] > 1:
        raise damaged("the PNG's header is broken")
    return width, height
