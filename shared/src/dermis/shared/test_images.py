"""Test images: generated drawings, each of which forces one end of a case that came with a test key."""

import hashlib
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from dermis.shared.case import Received

_SIDE, _CELLS = 128, 8
REJECTIONS = (
    "UNREADABLE",
    "LOW_RESOLUTION",
    "TOO_DARK",
    "TOO_BRIGHT",
    "NOTHING_VISIBLE",
    "BLURRED",
    "NOT_SKIN",
)
"""Every reason for which an image is refused; its advice comes with it."""
ABSTENTIONS = (
    "LOW_PROBABILITY",
    "LARGE_PREDICTION_SET",
    "NO_ANSWER_SURE_ENOUGH",
    "OUT_OF_DISTRIBUTION",
    "NOT_MEASURED_FOR_GROUP",
    "UNDER_18",
)
"""Every reason for which a case with an image is not answered."""


class ForcedKind(StrEnum):
    """How a case ends; SLOW is a differential whose job waits for the sweep, a minute or so."""

    DIFFERENTIAL = "DIFFERENTIAL"
    ABSTENTION = "ABSTENTION"
    REJECTION = "REJECTION"
    FAILED = "FAILED"
    SLOW = "SLOW"


@dataclass(frozen=True, slots=True, kw_only=True)
class ForcedEnd:
    """What a test image forces; `reason` of an abstention or a rejection."""

    kind: ForcedKind
    reason: str | None = None

    @property
    def name(self) -> str:
        """The test image's name: kind and reason in lower case, with hyphens."""
        return "-".join(filter(None, (self.kind, self.reason))).lower().replace("_", "-")

    @property
    def is_usable(self) -> bool:
        """Whether the image counts as good enough to answer."""
        return self.kind is not ForcedKind.REJECTION


def _ends() -> Iterator[ForcedEnd]:
    yield ForcedEnd(kind=ForcedKind.DIFFERENTIAL)
    yield from (ForcedEnd(kind=ForcedKind.ABSTENTION, reason=reason) for reason in ABSTENTIONS)
    yield from (ForcedEnd(kind=ForcedKind.REJECTION, reason=reason) for reason in REJECTIONS)
    yield ForcedEnd(kind=ForcedKind.FAILED)
    yield ForcedEnd(kind=ForcedKind.SLOW)


FORCED_ENDS = tuple(_ends())


@cache
def drawing(name: str) -> bytes:
    """Return the PNG of a test image: grey squares told by the name, the same bytes on every machine."""
    digest = hashlib.sha256(f"dermis test image {name}".encode()).digest()
    half = _CELLS // 2
    levels = [[64 + digest[half * y + x] // 2 for x in range(half)] for y in range(_CELLS)]
    width = _SIDE // _CELLS
    rows = [bytes(level for level in (*row, *reversed(row)) for _ in range(width)) for row in levels]
    pixels = b"".join(b"\0" + row for row in rows for _ in range(width))
    # Stored, not deflated: how far data is compressed differs from one zlib to another.
    length = len(pixels)
    stored = b"\x78\x01\x01" + struct.pack("<HH", length, length ^ 0xFFFF) + pixels
    header = struct.pack(">IIBBBBB", _SIDE, _SIDE, 8, 0, 0, 0, 0)
    data = stored + struct.pack(">I", zlib.adler32(pixels))
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def digest_of_drawing(name: str) -> str:
    return hashlib.sha256(drawing(name)).hexdigest()


@cache
def _by_digest() -> dict[str, ForcedEnd]:
    return {digest_of_drawing(end.name): end for end in FORCED_ENDS}


def forced_by_image(sha256: str, *, livemode: bool) -> ForcedEnd | None:
    """Return what an image as received forces; None for any other image, and for a live case in any case."""
    return None if livemode else _by_digest().get(sha256)


def forced_by(received: Received) -> ForcedEnd | None:
    """Return what the first test image of a case forces."""
    ends = (forced_by_image(image.sha256, livemode=received.livemode) for image in received.images)
    return next(filter(None, ends), None)
