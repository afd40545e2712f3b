"""From an image's bytes to its working image, decoded once and no larger than needed."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import cv2
import numpy as np
import simplejpeg

from dermis.shared.errors import DermisError, Kind
from dermis.worker.core.exif import orientation_in
from dermis.worker.core.prepare import WORKING_SIZE, Image, Pixels, shrink

MAX_PIXELS = 1 << 26
MAX_SIDE = 16_384
"""Largest image that is decoded at all, by its header: 67 megapixels, above any phone's whole sensor in common use."""


class Format(StrEnum):
    JPEG = "image/jpeg"
    PNG = "image/png"
    WEBP = "image/webp"
    HEIC = "image/heic"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """`image` is upright; `width` and `height` are the original's in pixels as stored; `mode` is RGB, RGBA or GREY, and bits if not 8."""

    image: Image
    width: int
    height: int
    format: Format
    mode: str


def decode(data: bytes, *, content_type: str | None = None, orientation: int | None = None) -> Decoded:
    """Decode a JPEG, PNG, WebP or HEIC to its working image: RGB uint8, upright, longest side at most 512.

    `content_type` is what the bytes are said to be, checked if given. `orientation` (EXIF, 1-8) is read from the bytes
    if not given; a HEIC is turned by its own container (ISO/IEC 23008-12: EXIF's orientation does not count). Transparent
    pixels are laid over white, 16 bits are scaled to 8, of an animation the first frame counts; colour profiles are not applied.

    Raises INVALID: IMAGE_TYPE (of no such format, or not of `content_type`), IMAGE_TOO_LARGE (by header, before decoding),
    IMAGE_COLOURS (CMYK), IMAGE_UNREADABLE (damaged or cut off). Raises UNSUPPORTED: HEIC_SUPPORT where pi-heif is missing.
    """
    found = _format(data)
    if content_type is not None and content_type not in (found, {Format.HEIC: "image/heif"}.get(found)):
        raise DermisError(Kind.INVALID, "IMAGE_TYPE", f"the image is said to be {content_type!r} and is {found}; name it by what it is")
    try:
        pixels, width, height = _DECODERS[found](data)
        if found is Format.HEIC:
            orientation = 1
        elif orientation is None:
            orientation = orientation_in(data)
        return _decoded(pixels, orientation, width=width, height=height, found=found)
    except (MemoryError, cv2.error) as error:
        if isinstance(error, cv2.error) and error.code != cv2.Error.StsNoMem:
            raise
        detail = "the image needs more memory to decode than a worker may take; send it smaller"
        raise DermisError(Kind.INVALID, "IMAGE_TOO_LARGE", detail) from error


def _decoded(pixels: Pixels, orientation: int, *, width: int, height: int, found: Format) -> Decoded:
    mode = {1: "GREY", 3: "RGB", 4: "RGBA"}.get(pixels.shape[2] if pixels.ndim == 3 else 1)
    if mode is None:
        raise _unreadable(f"{pixels.shape[2]} channels")
    return Decoded(
        image=_turn(_working(pixels, blue_first=found in (Format.PNG, Format.WEBP)), orientation),
        width=width,
        height=height,
        format=found,
        mode=mode if pixels.dtype == np.uint8 else f"{mode}{pixels.dtype.itemsize * 8}",
    )


def _format(data: bytes) -> Format:
    if data.startswith(b"\xff\xd8\xff"):
        return Format.JPEG
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return Format.PNG
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return Format.WEBP
    if data[4:8] == b"ftyp" and data[8:12] in (b"heic", b"heix", b"heim", b"heis", b"mif1"):
        return Format.HEIC
    raise DermisError(Kind.INVALID, "IMAGE_TYPE", "the bytes are no JPEG, PNG, WebP or HEIC; send the image in one of these formats")


def _check_size(width: int, height: int) -> None:
    if not (width and height):
        raise _unreadable(f"its header states {width} x {height} pixels")
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        raise DermisError(
            Kind.INVALID,
            "IMAGE_TOO_LARGE",
            f"the image is {width} x {height} pixels; at most {MAX_PIXELS:,} pixels and {MAX_SIDE:,} on a side are decoded: send it smaller",
        )


def _unreadable(why: object) -> DermisError:
    return DermisError(Kind.INVALID, "IMAGE_UNREADABLE", f"the image can't be decoded ({' '.join(str(why).split())}); send it again")


def _jpeg(data: bytes) -> tuple[Pixels, int, int]:
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
        _check_size(width, height)
        if colours in ("CMYK", "YCCK"):
            raise DermisError(Kind.INVALID, "IMAGE_COLOURS", "the image is a CMYK JPEG, made for print; save it as RGB")
        at_least = {"min_width" if width >= height else "min_height": min(WORKING_SIZE, max(width, height))}
        pixels: Pixels = simplejpeg.decode_jpeg(data, colorspace="GRAY" if colours == "Gray" else "RGB", **at_least)
    except ValueError as error:  # strict: libjpeg's warnings too, of which a cut-off image is one
        raise _unreadable(error) from error
    return pixels, width, height


def _png(data: bytes) -> tuple[Pixels, int, int]:
    return _by_opencv(data, int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big"))


def _webp(data: bytes) -> tuple[Pixels, int, int]:
    little = [int.from_bytes(data[at : at + size], "little") for at, size in ((24, 3), (27, 3), (21, 4), (26, 2), (28, 2))]
    match data[12:16]:
        case b"VP8X":
            width, height = little[0] + 1, little[1] + 1
        case b"VP8L":
            width, height = (little[2] & 0x3FFF) + 1, (little[2] >> 14 & 0x3FFF) + 1
        case b"VP8 ":
            width, height = little[3] & 0x3FFF, little[4] & 0x3FFF
        case _:
            width, height = 0, 0
    return _by_opencv(data, width, height)


def _by_opencv(data: bytes, width: int, height: int) -> tuple[Pixels, int, int]:
    _check_size(width, height)
    try:
        pixels: Pixels | None = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)  # leaves EXIF's orientation alone
    except cv2.error as error:
        if error.code == cv2.Error.StsNoMem:
            raise
        raise _unreadable(error.err) from error
    if pixels is None or pixels.shape[:2] != (height, width):
        raise _unreadable("damaged or cut off")
    return pixels, width, height


def _heic(data: bytes) -> tuple[Pixels, int, int]:
    try:
        import pi_heif  # type: ignore[import-untyped,unused-ignore]
    except ImportError as error:
        raise DermisError(Kind.UNSUPPORTED, "HEIC_SUPPORT", "HEIC needs the package pi-heif: install the extra dermis[worker]") from error
    try:
        image = pi_heif.open_heif(data)
        width, height = image.size
        _check_size(width, height)
        return np.array(image), width, height  # a copy: pi-heif frees its pixels together with the image
    except (ValueError, IndexError, EOFError, SyntaxError, RuntimeError, OSError) as error:  # all that pi-heif raises
        raise _unreadable(error) from error


_DECODERS: dict[Format, Callable[[bytes], tuple[Pixels, int, int]]] = {
    Format.JPEG: _jpeg,
    Format.PNG: _png,
    Format.WEBP: _webp,
    Format.HEIC: _heic,
}


def _working(pixels: Pixels, *, blue_first: bool) -> Image:
    if pixels.ndim == 3 and pixels.shape[2] == 4:
        pixels = _over_white(pixels)
    pixels = shrink(pixels, WORKING_SIZE)
    if pixels.dtype == np.uint16:
        pixels = cv2.convertScaleAbs(pixels, alpha=1 / 257)
    if pixels.ndim == 2 or pixels.shape[2] == 1:
        return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB), np.uint8)
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB) if blue_first else pixels, np.uint8)


def _over_white(pixels: Pixels) -> Pixels:
    colours, alpha = pixels[..., :3], pixels[..., 3]
    top = np.iinfo(pixels.dtype).max
    if alpha.min() == top:
        return np.ascontiguousarray(colours)
    absent = cv2.merge([alpha] * 3)
    return np.asarray(top - cv2.multiply(top - colours, absent, scale=1 / top), pixels.dtype)


def _turn(image: Image, orientation: int) -> Image:
    """Return the image upright: EXIF's 5-8 lie on their side, then 2-4 of what is left are mirrored or upside down."""
    if orientation in (5, 6, 7, 8):
        image = image.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    return np.ascontiguousarray(image)
