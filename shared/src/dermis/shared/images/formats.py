"""What the header of an image says, and how an image is refused."""

from dataclasses import dataclass
from enum import StrEnum

from dermis.shared.errors import DermisError, Kind
from dermis.shared.images.color_profile import Color

TAKEN = "a JPEG, PNG, WebP, HEIC or AVIF photo"


class Format(StrEnum):
    JPEG = "image/jpeg"
    PNG = "image/png"
    WEBP = "image/webp"
    HEIC = "image/heic"
    AVIF = "image/avif"


class ImageRefusal(StrEnum):
    """Why an image is refused, the same on every route."""

    FORMAT = "IMAGE_FORMAT"
    DAMAGED = "IMAGE_DAMAGED"
    DIMENSIONS = "IMAGE_DIMENSIONS"
    COST = "IMAGE_COST"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageHeader:
    """What is known of an image before it is decoded.

    `width` and `height` in pixels as stored, before `orientation` (EXIF 2.32, 1-8); `bits` and `channels` as coded (a
    palette counts as 3 channels); `frame` names the coding ("baseline", "progressive", "lossless", ...); `scans` are
    the passes over the pixels;
    `samples` those of all channels of a JPEG, whose colour is often coded in fewer, and the pixels that decoding a HEIC
    or AVIF computes, with tiles, overlaid images and transparency; `coded_bytes` the bytes that a decoder reads, those
    of a tile as often as it is used; `color` is None where the image states no colour space or states sRGB.
    """

    format: Format
    width: int
    height: int
    bits: int = 8
    channels: int = 3
    frame: str = ""
    scans: int = 1
    interlaced: bool = False
    samples: int = 0
    coded_bytes: int = 0
    orientation: int = 1
    color: Color | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanImage:
    """An image of which only what is needed to decode it is left, its coded pixels untouched."""

    header: ImageHeader
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """An image walked from its first to its last byte: its header, and the pieces of which a clean copy consists."""

    header: ImageHeader
    pieces: tuple[bytes | memoryview, ...]


def damaged(what: str) -> DermisError:
    """Return the refusal of an image that breaks off or breaks its format."""
    return DermisError(
        Kind.INVALID, ImageRefusal.DAMAGED, f"{what}; the photo is damaged or cut off: send the whole file again"
    )


def unsupported(what: str, remedy: str = "") -> DermisError:
    """Return the refusal of an image of a kind that can't be read."""
    return DermisError(Kind.UNSUPPORTED, ImageRefusal.FORMAT, f"{what}; {remedy or f'send {TAKEN}'}")


def is_refusal(error: DermisError) -> bool:
    """Whether an error says that an image is at fault, and not the machine that reads it."""
    return error.reason in set(ImageRefusal)
