"""PNG (W3C, third edition) by its chunks.

Sums of what is kept are checked up to the end, coded pixels are untouched.
"""

import struct
import zlib

from dermis.shared.images.exif import read_exif
from dermis.shared.images.formats import Format, ImageHeader, Walk, damaged, unsupported
from dermis.shared.images.icc import ColorTags, color_of

MAGIC = b"\x89PNG\r\n\x1a\n"
_KEPT = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}
_MOST_CHUNKS = 65_536
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}
_PASSES = 7
_INDEXED = 3
_TRANSPARENCY = {0: 2, 2: 6}


def walk(data: bytes) -> Walk:
    """Walk a PNG; header, palette, transparency and pixels are kept.

    Of an animation (APNG) the picture that all viewers show is kept.
    """
    view = memoryview(data)
    pieces: list[bytes | memoryview] = [MAGIC]
    first: dict[bytes, bytes] = {}
    at = len(MAGIC)
    for _ in range(_MOST_CHUNKS):
        kind, body, end = _chunk(view, at)
        if kind in _KEPT:
            _check(kind, view[at:end], first)
            if not _is_read(kind, len(body), first):
                at = end
                continue
            pieces.append(view[at:end])
        elif kind[:1].isupper():
            raise damaged(f"the PNG has an unknown critical chunk {kind!r}")
        if kind != b"IDAT":
            first.setdefault(kind, bytes(body))
        else:
            first.setdefault(kind, b"")
        at = end
        if kind == b"IEND":
            break
    else:
        raise damaged(f"the PNG has more than {_MOST_CHUNKS:,} chunks")
    if b"IDAT" not in first:
        raise damaged("the PNG holds no picture")
    return Walk(header=_header(first), pieces=tuple(pieces))


def _chunk(view: memoryview, at: int) -> tuple[bytes, memoryview, int]:
    end = at + 12 + int.from_bytes(view[at : at + 4], "big")
    kind = bytes(view[at + 4 : at + 8])
    if kind == b"CgBI":
        raise unsupported(
            "it is a PNG of Apple's own kind (CgBI), made for the inside of an app",
            "save it as a JPEG or an ordinary PNG",
        )
    if at == len(MAGIC) and kind != b"IHDR":
        raise damaged("the PNG doesn't start with its header")
    if len(kind) < 4 or end > len(view):
        raise damaged("the PNG breaks off before its end")
    return kind, view[at + 8 : end - 4], end


def _check(kind: bytes, chunk: memoryview, first: dict[bytes, bytes]) -> None:
    if zlib.crc32(chunk[4:-4]) != int.from_bytes(chunk[-4:], "big"):
        raise damaged("the PNG has a chunk whose check sum is wrong")
    if kind == b"IEND" and len(chunk) > 12:
        raise damaged("the PNG's end holds something")
    if kind != b"IDAT" and kind in first:
        raise damaged(f"the PNG has two chunks {kind.decode()}")


def _is_read(kind: bytes, length: int, first: dict[bytes, bytes]) -> bool:
    """Whether decoders read a palette or transparency (11.2.2, 11.3.1.1).

    A palette that only suggests colours could hold any text.
    """
    header = first.get(b"IHDR", b"").ljust(13, b"\0")
    depth, colour = header[8], header[9]
    if kind == b"PLTE":
        return colour == _INDEXED and length <= 3 << depth
    if kind == b"tRNS":
        return length == _TRANSPARENCY.get(colour) or (
            colour == _INDEXED and 3 * length <= len(first.get(b"PLTE", b""))
        )
    return True


def _header(first: dict[bytes, bytes]) -> ImageHeader:
    body = first[b"IHDR"]
    if len(body) != 13 or body[8] not in _DEPTHS.get(body[9], ()) or body[10:12] != b"\0\0" or body[12] > 1:
        raise damaged("the PNG's header is broken")
    width, height = struct.unpack_from(">II", body)
    exif = read_exif(first.get(b"eXIf", b""))
    return ImageHeader(
        format=Format.PNG,
        width=width,
        height=height,
        bits=body[8],
        channels=_CHANNELS[body[9]] + (b"tRNS" in first),
        frame="interlaced" if body[12] else "plain",
        scans=_PASSES if body[12] else 1,
        interlaced=bool(body[12]),
        orientation=exif.orientation or 1,
        color=color_of(_color_tags(first)),
    )


def _color_tags(first: dict[bytes, bytes]) -> ColorTags:
    """Return what the chunks say of colours; `icc` is still deflated, after its name, a zero and the method."""
    cicp, gamma, white = first.get(b"cICP", b""), first.get(b"gAMA", b""), first.get(b"cHRM", b"")
    return ColorTags(
        icc=first.get(b"iCCP", b"").partition(b"\0")[2][1:],
        cicp=(cicp[0], cicp[1], cicp[2], cicp[3]) if len(cicp) == 4 else None,
        gamma=int.from_bytes(gamma, "big") if len(gamma) == 4 else None,
        chromaticities=struct.unpack(">8I", white) if len(white) == 32 else (),
        srgb=b"sRGB" in first,
    )
