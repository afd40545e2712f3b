"""Estimates from its header what decoding an image costs, and sets the one limit for every route.

The rates are upper bounds of what `decode` took on a core of a 2-core machine for generated images of 12 and 64
megapixels, from flat to noise: JPEG 0.05-0.8 s (0.56 ns a sample and scan, up to 27 ns a coded byte), PNG 0.35-1.8 s
(up to 18 ns a byte that it unpacks to, interlaced or not), WebP 0.4-1.0 s. HEIC and AVIF by
`python -m benchmarks.heif`: HEIC of 12 megapixels 0.5-1.4 s, AVIF 0.3-1.7 s, of more than 8 bits 1.1 and 1.7 s.
`python -m benchmarks.decode_costs` measures the others again.
"""

import math
from dataclasses import dataclass

from dermis.shared.errors import DermisError, Kind
from dermis.shared.images.formats import Format, ImageHeader, ImageRefusal

WORKING_SIZE = 512
"""Longest side in pixels that an image is decoded to; a JPEG is scaled down to it, by eighths, while it is decoded."""
MAX_PIXELS = 1 << 26
"""Most pixels that come out of a decoder, at the scale used: 67 megapixels; of a JPEG in full, 4,295."""
MAX_SCANS = 100
"""Most scans of a JPEG (libjpeg-turbo's advisory LJT-01-004); an ordinary progressive one has 10."""
MAX_CPU_SECONDS = 5.0
"""Time that one image may take to decode.

Three of them, as a case may have, stay within a worker's time limit of 20 s.
"""
MAX_MEMORY_BYTES = 1 << 30
"""Memory that one image may take to decode, of the 1.5 GiB that a worker process gets."""

_NS_PER_CODED_BYTE = {Format.JPEG: 30, Format.PNG: 10, Format.WEBP: 40, Format.HEIC: 170, Format.AVIF: 150}
_NS_PER_JPEG_SAMPLE = 0.6
_NS_PER_PNG_BYTE = 14
_NS_PER_WEBP_PIXEL = 30
_NS_PER_SAMPLE = {Format.HEIC: (45, 70), Format.AVIF: (50, 130)}
"""Of 8 bits, and of more."""
_BYTES_PER_SAMPLE = {Format.HEIC: (12, 12), Format.AVIF: (20, 25)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What decoding takes at most."""

    cpu_seconds: float
    memory_bytes: int


def estimate(header: ImageHeader) -> Cost:
    """Return what decoding an image to its working image takes, at the scale used."""
    ns = header.coded_bytes * _NS_PER_CODED_BYTE[header.format]
    pixels = math.prod(decoded_size(header))
    unpacked = pixels * header.channels * (2 if header.bits > 8 else 1)
    if header.format is Format.JPEG:
        memory = unpacked + (2 * header.samples if header.frame == "progressive" or header.scans > 1 else 0)
        cpu = ns + _NS_PER_JPEG_SAMPLE * header.samples * header.scans
    elif header.format is Format.PNG:
        memory, cpu = 3 * unpacked, ns + _NS_PER_PNG_BYTE * unpacked
    elif header.format is Format.WEBP:
        memory, cpu = 3 * unpacked, ns + _NS_PER_WEBP_PIXEL * pixels * max(3, header.channels) / 3
    else:
        deep = header.bits > 8
        memory = _BYTES_PER_SAMPLE[header.format][deep] * header.samples
        cpu = ns + _NS_PER_SAMPLE[header.format][deep] * header.samples
    return Cost(cpu_seconds=cpu * 1e-9, memory_bytes=memory + 2 * header.coded_bytes)


def decoded_size(header: ImageHeader) -> tuple[int, int]:
    """Return width and height of what comes out of the decoder.

    A JPEG is scaled by the fewest eighths that leave `WORKING_SIZE`.
    """
    if header.format is not Format.JPEG:
        return header.width, header.height
    longest = max(header.width, header.height)
    eighths = next((n for n in range(1, 8) if _scaled(longest, n) >= WORKING_SIZE), 8)
    return _scaled(header.width, eighths), _scaled(header.height, eighths)


def _scaled(side: int, eighths: int) -> int:
    return -(-side * eighths // 8)


def check(header: ImageHeader) -> None:
    """Raise INVALID if an image is not worth its decoding.

    The error has `ImageRefusal.DIMENSIONS` or `ImageRefusal.COST` and says what to do.
    """
    if math.prod(decoded_size(header)) > MAX_PIXELS:
        detail = (
            f"the photo is {header.width:,} x {header.height:,} pixels; at most {MAX_PIXELS:,} in all are taken: "
            "send a smaller copy"
        )
        raise DermisError(Kind.INVALID, ImageRefusal.DIMENSIONS, detail)
    if header.format is Format.JPEG and header.scans > MAX_SCANS:
        raise _costly(f"the JPEG has {header.scans:,} scans; at most {MAX_SCANS} are taken")
    cost = estimate(header)
    if cost.cpu_seconds > MAX_CPU_SECONDS:
        raise _costly(
            f"the photo would take about {cost.cpu_seconds:.0f} s to decode; at most {MAX_CPU_SECONDS:g} s are taken"
        )
    if cost.memory_bytes > MAX_MEMORY_BYTES:
        most = MAX_MEMORY_BYTES >> 20
        raise _costly(
            f"the photo would take {cost.memory_bytes >> 20:,} MiB of memory to decode; at most {most:,} MiB are taken"
        )


def _costly(what: str) -> DermisError:
    return DermisError(
        Kind.INVALID, ImageRefusal.COST, f"{what}: save it as an ordinary (baseline) JPEG, or send a smaller copy"
    )
