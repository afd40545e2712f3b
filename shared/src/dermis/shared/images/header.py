"""Reads an image's header and makes a clean copy; its first bytes tell the format, never its name."""

from collections.abc import Callable
from dataclasses import replace

from dermis.shared.errors import DermisError
from dermis.shared.images import heif, jpeg, png, webp
from dermis.shared.images.formats import (
    CleanImage,
    Format,
    ImageHeader,
    ImageRefusal,
    Walk,
    damaged,
    is_refusal,
    unsupported,
)

__all__ = [
    "CleanImage",
    "Format",
    "ImageHeader",
    "ImageRefusal",
    "clean",
    "damaged",
    "is_refusal",
    "read_header",
    "unsupported",
]

_WHITE_SPACE = b" \t\r\n"
_NAMES = {
    b"%PDF": "a PDF",
    b"GIF8": "a GIF",
    b"II*\0": "a TIFF or raw image",
    b"MM\0*": "a TIFF or raw image",
    b"PK\3\4": "a ZIP archive",
    b"data": "a data URL, which is text",
    b"<svg": "an SVG drawing",
    b"<htm": "a web page",
    b"<!DO": "a web page",
    b"8BPS": "a Photoshop document",
}


def read_header(data: bytes) -> ImageHeader:
    """Return what an image says of itself; its whole container is walked, and no pixel is decoded.

    Raises UNSUPPORTED with `ImageRefusal.FORMAT` for what is none of the formats taken, INVALID with
    `ImageRefusal.DAMAGED` for what breaks its format.
    """
    return _walk(data).header


def clean(data: bytes) -> CleanImage:
    """Return a copy of an image that holds only what is needed to decode it; raises what `read_header` raises."""
    walk = _walk(data)
    return CleanImage(header=walk.header, data=b"".join(walk.pieces))


def _walk(data: bytes) -> Walk:
    data = data.lstrip(_WHITE_SPACE)
    for matches, walk in _WALKERS:
        if matches(data):
            image = walk(data)
            if not (image.header.width and image.header.height):
                raise damaged(f"its header states {image.header.width} x {image.header.height} pixels")
            coded_bytes = image.header.coded_bytes or sum(map(len, image.pieces))
            return replace(image, header=replace(image.header, coded_bytes=coded_bytes))
    raise _unknown(data)


_WALKERS: tuple[tuple[Callable[[bytes], bool], Callable[[bytes], Walk]], ...] = (
    (lambda data: data.startswith(jpeg.MAGIC), jpeg.walk),
    (lambda data: data.startswith(png.MAGIC), png.walk),
    (webp.is_webp, webp.walk),
    (heif.is_heif, heif.walk),
)


def _unknown(data: bytes) -> DermisError:
    if data[4:8] == b"ftyp":
        return unsupported(
            "it is a film or a raw image", "let the camera or the phone save or share a still photo as JPEG"
        )
    name = _NAMES.get(data[:4]) or ("a BMP" if data[:2] == b"BM" else "no image that can be read")
    return unsupported(f"it is {name}, whatever its name says")
