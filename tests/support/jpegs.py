"""JPEGs taken apart by their markers and put together otherwise: what phones, scanners and broken programs write."""

import io
import struct

import cv2
import numpy as np
from PIL import Image as Pillow

from tests.support.images import Pixels

Segment = tuple[int, bytes, bytes]
"""Marker, content, and for a scan its coded data."""


def segments(data: bytes) -> list[Segment]:
    """Return what stands between SOI and EOI of a sound JPEG."""
    parts, at = [], 2
    while data[at + 1] != 0xD9:
        marker, end = data[at + 1], at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        body, coded = data[at + 4 : end], b""
        if marker == 0xDA:
            stop = end
            while data[stop] != 0xFF or data[stop + 1] in (0, *range(0xD0, 0xD8)):
                stop += 1
            coded, end = data[end:stop], stop
        parts.append((marker, body, coded))
        at = end
    return parts


def join(parts: list[Segment], *, end: bytes = b"\xff\xd9") -> bytes:
    """Return the JPEG of these segments."""
    return b"\xff\xd8" + b"".join(segment(*part) for part in parts) + end


def segment(marker: int, body: bytes, coded: bytes = b"") -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body + coded


def exif(orientation: int, *, kind: int = 3) -> bytes:
    """Return an APP1 segment with an orientation, as SHORT (3) or LONG (4)."""
    value = struct.pack(">HH" if kind == 3 else ">I", *((orientation, 0) if kind == 3 else (orientation,)))
    return segment(0xE1, b"Exif\0\0MM\0*\0\0\0\x08\0\x01" + struct.pack(">HHI", 0x0112, kind, 1) + value + bytes(4))


def sampled(pixels: Pixels, factors: str) -> bytes:
    """Return a JPEG with the sampling that OpenCV calls `factors` ("420", "422", "440", "411", "444")."""
    code = getattr(cv2, f"IMWRITE_JPEG_SAMPLING_FACTOR_{factors}")
    return cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, code])[1].tobytes()


def with_factors(data: bytes, factors: tuple[int, ...]) -> bytes:
    """Return a JPEG whose frame states other sampling factors, so that its data no longer fit.

    0x21 is 2 across, 1 down.
    """
    parts = segments(data)
    return join(
        [(marker, _refactored(body, factors) if marker == 0xC0 else body, coded) for marker, body, coded in parts]
    )


def _refactored(body: bytes, factors: tuple[int, ...]) -> bytes:
    changed = bytearray(body)
    changed[7::3] = bytes(factors)
    return bytes(changed)


def grey_channels(planes: list[Pixels], factors: tuple[int, ...]) -> bytes:
    """Return a sound JPEG with a scan of its own for each plane, of any sampling.

    Its channels are coded one by one by Pillow.
    """
    frame, scans, tables = b"", [], []
    height, width = planes[0].shape
    for n, (plane, factor) in enumerate(zip(planes, factors, strict=True), start=1):
        out = io.BytesIO()
        Pillow.fromarray(plane).save(out, "JPEG", quality=90)
        parts = segments(out.getvalue())
        tables = [part for part in parts if part[0] in (0xDB, 0xC4)]
        coded = next(coded for marker, _, coded in parts if marker == 0xDA)
        frame += bytes([n, factor, 0])
        scans.append((0xDA, bytes([1, n, 0, 0, 63, 0]), coded))
    return join([*tables, (0xC0, struct.pack(">BHHB", 8, height, width, len(planes)) + frame, b""), *scans])


def lossless(width: int, height: int) -> bytes:
    """Return a lossless JPEG (SOF3) of noise, which a decoder that scales by DCT must not be given (T.81, annex H)."""
    huffman = segment(0xC4, b"\x00" + bytes([0, 1, 5, 1, 1, 1, 1, 1, 1, *[0] * 7]) + bytes(range(12)))
    frame = segment(0xC3, struct.pack(">BHHB", 8, height, width, 1) + bytes([1, 0x11, 0]))
    coded = np.random.default_rng(0).integers(0, 255, width * height // 2, np.uint8).tobytes()
    return b"\xff\xd8" + huffman + frame + segment(0xDA, bytes([1, 1, 0, 1, 0, 0]), coded) + b"\xff\xd9"


def scan_bomb(scans: int, side: int) -> bytes:
    """Return a small progressive JPEG whose last scan over nothing is repeated.

    Source: libjpeg-turbo's advisory LJT-01-004.
    """
    out = io.BytesIO()
    Pillow.new("L", (side, side), 128).save(out, "JPEG", progressive=True, quality=30)
    parts = segments(out.getvalue())
    last = max(index for index, (marker, body, _) in enumerate(parts) if marker == 0xDA and body[-3] > 0)
    return join([*parts, *[parts[last - 1], parts[last]] * scans])
