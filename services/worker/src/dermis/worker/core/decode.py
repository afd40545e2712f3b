"""Decodes an image's bytes to its working image, once and no larger than needed."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np
import simplejpeg

from dermis.shared.errors import DermisError, Kind
from dermis.shared.images import cost
from dermis.shared.images.color_profile import Color, ColorProfile
from dermis.shared.images.header import CleanImage, Format, ImageHeader, ImageRefusal, clean, damaged
from dermis.worker.core import heif
from dermis.worker.core.color import to_srgb
from dermis.worker.core.prepare import Image, Pixels, shrink

_BAND = 64
"""Rows that are laid over white at a time."""
_RARE_SAMPLING = "Could not determine subsampling"
_REDUCED = {8: cv2.IMREAD_REDUCED_COLOR_8, 4: cv2.IMREAD_REDUCED_COLOR_4, 2: cv2.IMREAD_REDUCED_COLOR_2}
_TAIL = hashlib.shake_128(b"rows").digest(4096).replace(b"\xff", b"\xfe")
"""Bytes that a decoder which still waits for rows would take for some."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """`image` is upright; `width` and `height` are the original's in pixels as stored.

    `mode` is RGB, RGBA or GREY, and bits if not 8.

    `color` is what its profile said; the image is sRGB.
    """

    image: Image
    width: int
    height: int
    format: Format
    mode: str
    color: Color | None


def decode(
    data: bytes, *, content_type: str | None = None, orientation: int | None = None, color: Color | None = None
) -> Decoded:
    """Decode a JPEG, PNG, WebP, HEIC or AVIF to its working image: sRGB, uint8, upright, longest side at most 512.

    The whole container is walked and what it costs is judged before a decoder sees a byte. `content_type` is what the
    bytes are said to be, checked if given. `orientation` (EXIF, 1-8) and `color` are read from the bytes if not given;
    a HEIC or AVIF is turned by its own container (ISO/IEC 23008-12: EXIF's orientation does not count). Colours become
    sRGB, CMYK's too; transparent pixels are laid over white, 16 bits are scaled to 8, of an animation the first frame
    counts.

    Raises what `dermis.shared.images.header.clean` and `dermis.shared.images.cost.check` raise, and INVALID with
    `ImageRefusal.DAMAGED` where pixels are missing or broken. Raises UNSUPPORTED, HEIC_SUPPORT, where pi-heif is
    missing.
    """
    image = clean(data)
    if color is not None:
        image = replace(image, header=replace(image.header, color=color))
    header = image.header
    if content_type is not None and content_type not in (header.format, {Format.HEIC: "image/heif"}.get(header.format)):
        detail = f"the image is said to be {content_type!r} and is {header.format.value!r}; name it by what it is"
        raise DermisError(Kind.INVALID, ImageRefusal.FORMAT, detail)
    cost.check(header)
    if orientation is None or header.format in (Format.HEIC, Format.AVIF):
        orientation = header.orientation
    try:
        pixels = _DECODERS[header.format](image)
        return _decoded(pixels, header, orientation=orientation)
    except (MemoryError, cv2.error) as error:
        if isinstance(error, cv2.error) and error.code != cv2.Error.StsNoMem:
            raise
        detail = "the photo needs more memory to decode than a worker may take; send a smaller copy"
        raise DermisError(Kind.INVALID, ImageRefusal.COST, detail) from error


def _decoded(pixels: Pixels, header: ImageHeader, *, orientation: int) -> Decoded:
    mode = {1: "GREY", 3: "RGB", 4: "RGBA"}.get(pixels.shape[2] if pixels.ndim == 3 else 1)
    if mode is None:
        raise damaged(f"the photo decodes to {pixels.shape[2]} channels")
    return Decoded(
        image=_turn(_working(pixels, header), orientation),
        width=header.width,
        height=header.height,
        format=header.format,
        mode=mode if pixels.dtype == np.uint8 else f"{mode}{pixels.dtype.itemsize * 8}",
        color=header.color,
    )


def _jpeg(image: CleanImage) -> Pixels:
    header = image.header
    at_least = {
        "min_width" if header.width >= header.height else "min_height": min(
            cost.WORKING_SIZE, max(header.width, header.height)
        )
    }
    colours = {1: "GRAY", 3: "RGB", 4: "CMYK"}[header.channels]
    try:
        height, width, *_ = simplejpeg.decode_jpeg_header(image.data, **at_least)
        if (width, height) != cost.decoded_size(header):  # the decoder's buffer would not be the one that is due
            raise _undecodable(f"two sizes: {width} x {height} pixels and {header.width} x {header.height}")
        pixels = np.asarray(simplejpeg.decode_jpeg(image.data, colorspace=colours, **at_least))
    except ValueError as error:  # strict: libjpeg's warnings too, of which a cut-off image is one
        if _RARE_SAMPLING in str(error) and header.channels == 3:
            return _rarely_sampled_jpeg(image)
        raise _undecodable(error) from error
    return to_srgb(255 - pixels, header.color) if header.channels == 4 else pixels  # all programs store 255 for no ink


def _rarely_sampled_jpeg(image: CleanImage) -> Pixels:
    """Decode a JPEG whose sampling simplejpeg doesn't know.

    OpenCV takes any, and does not say whether rows are missing.

    Where rows are missing, bytes put before the end marker would become pixels.
    """
    longest = max(image.header.width, image.header.height)
    flags = next((flag for factor, flag in _REDUCED.items() if longest >= factor * cost.WORKING_SIZE), cv2.IMREAD_COLOR)
    one, other = (
        cv2.imdecode(np.frombuffer(data, np.uint8), flags | cv2.IMREAD_IGNORE_ORIENTATION)
        for data in (image.data, image.data[:-2] + _TAIL + image.data[-2:])
    )
    if one is None or other is None:
        raise _undecodable("OpenCV can't read it")
    if not np.array_equal(one, other):
        raise _undecodable("premature end")
    return np.asarray(cv2.cvtColor(one, cv2.COLOR_BGR2RGB))


def _by_opencv(image: CleanImage) -> Pixels:
    header = image.header
    try:
        pixels = cv2.imdecode(np.frombuffer(image.data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        if error.code == cv2.Error.StsNoMem:
            raise
        raise _undecodable(error.err) from error
    if pixels is None or pixels.shape[:2] != (header.height, header.width):
        raise _undecodable("pixels are missing")
    return np.asarray(pixels)


def _undecodable(why: object) -> DermisError:
    if "premature end" in str(why).lower():
        return damaged("the photo breaks off: its last rows are missing")
    return damaged(f"the photo can't be decoded ({' '.join(str(why).split())})")


_DECODERS: dict[Format, Callable[[CleanImage], Pixels]] = {
    Format.JPEG: _jpeg,
    Format.PNG: _by_opencv,
    Format.WEBP: _by_opencv,
    Format.HEIC: heif.pixels_of,
    Format.AVIF: heif.pixels_of,
}

_BLUE_FIRST = (Format.PNG, Format.WEBP, Format.AVIF)
"""Decoded by OpenCV."""


def _working(pixels: Pixels, header: ImageHeader) -> Image:
    color = header.color
    if pixels.ndim == 3 and pixels.shape[2] == 4:
        pixels = _over_white(pixels)
    pixels = shrink(pixels, cost.WORKING_SIZE)
    if pixels.ndim == 2 or pixels.shape[2] == 1:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB)
    elif header.format in _BLUE_FIRST:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
    if isinstance(color, ColorProfile) and color.matrix is None and header.channels > 2:
        color = None  # a grey profile of an image in colour: no viewer obeys it
    return to_srgb(pixels, color)


def _over_white(pixels: Pixels) -> Pixels:
    top = np.iinfo(pixels.dtype).max
    if pixels[..., 3].min() == top:
        return np.ascontiguousarray(pixels[..., :3])
    out = np.empty((*pixels.shape[:2], 3), pixels.dtype)
    for start in range(0, len(pixels), _BAND):  # in bands, or it would take five times the memory of the image
        band = pixels[start : start + _BAND]
        out[start : start + _BAND] = top - cv2.multiply(
            top - band[..., :3], cv2.merge([band[..., 3]] * 3), scale=1 / top
        )
    return out


def _turn(image: Image, orientation: int) -> Image:
    """Return the image upright: EXIF's 5-8 lie on their side, then 2-4 of what is left are mirrored or upside down."""
    if orientation in (5, 6, 7, 8):
        image = image.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    return np.ascontiguousarray(image)
