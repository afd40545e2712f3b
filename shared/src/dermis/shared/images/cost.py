"""What decoding an image costs, by its header, and the one limit on it."""

from dataclasses import dataclass

from dermis.shared.errors import DermisError, Kind
from dermis.shared.images.formats import ImageHeader, Reason

MAX_PIXELS = 1 << 26
MAX_SIDE = 16_384
"""Largest image that is decoded at all, by its header."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    cpu_seconds: float
    memory_bytes: int


def check(header: ImageHeader) -> None:
    """Raise INVALID if an image is larger than is taken."""
    width, height = header.width, header.height
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        raise DermisError(
            Kind.INVALID,
            Reason.DIMENSIONS,
            f"the photo is {width} x {height} pixels; at most {MAX_PIXELS:,} in all and {MAX_SIDE:,} on a side are taken: send a smaller copy",
        )
