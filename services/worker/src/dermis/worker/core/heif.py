"""Decodes a HEIC's or AVIF's coded images to its pixels, as the file has them: cropped, not yet turned.

A decoder sees a file of the primary image that was written anew, without crop, turn or mirror: libheif 1.23.0 refuses a
crop by its limit on sizes, OpenCV applies none of the three.
"""

import cv2
import numpy as np

from dermis.shared.errors import DermisError, Kind
from dermis.shared.images import isobmff, isobmff_file
from dermis.shared.images.formats import CleanImage, Format, damaged
from dermis.shared.images.geometry import whole
from dermis.worker.core.prepare import Pixels

_PI_HEIF_ERRORS = (ValueError, IndexError, EOFError, SyntaxError, RuntimeError, OSError)


def pixels_of(image: CleanImage) -> Pixels:
    """Return uint8 or uint16 (of the full range) [H,W], [H,W,3] or [H,W,4].

    A HEIC's in the order RGB, an AVIF's in BGR.

    Raises INVALID with `ImageRefusal.DAMAGED` where pixels are missing or broken, UNSUPPORTED, HEIC_SUPPORT, where
    pi-heif is missing.
    """
    still = isobmff.read(image.data)
    root, crop = still.root, still.view.crop
    plain = isobmff_file.write(still, view=whole(root.width, root.height))
    pixels = _heic(plain) if image.header.format is Format.HEIC else _full_range(_avif(plain), root.bits)
    if pixels.shape[:2] != (root.height, root.width):
        raise damaged(
            f"the photo decodes to {pixels.shape[1]} x {pixels.shape[0]} pixels and states {root.width} x {root.height}"
        )
    return pixels[crop.top : crop.top + crop.height, crop.left : crop.left + crop.width]


def _heic(data: bytes) -> Pixels:
    try:
        import pi_heif  # type: ignore[import-untyped,unused-ignore]
    except ImportError as error:
        raise DermisError(
            Kind.UNSUPPORTED, "HEIC_SUPPORT", "HEIC needs the package pi-heif: install the extra dermis[worker]"
        ) from error
    try:
        image = pi_heif.open_heif(data)
        pixels = np.array(image)  # a copy: pi-heif frees its pixels together with the image
    except _PI_HEIF_ERRORS as error:  # all that pi-heif raises
        raise _undecodable(error) from error
    return _over_white_when_multiplied(pixels) if image.mode == "RGBa" else pixels


def _over_white_when_multiplied(pixels: Pixels) -> Pixels:
    """Lay colours that are already multiplied by their opacity over white."""
    clear = 255 - pixels[..., 3]
    return np.asarray(cv2.add(np.ascontiguousarray(pixels[..., :3]), cv2.merge([clear] * 3)), np.uint8)


def _avif(data: bytes) -> Pixels:
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        if error.code == cv2.Error.StsNoMem:
            raise
        raise _undecodable(error.err) from error
    if pixels is None:
        raise _undecodable("pixels are missing")
    return np.asarray(pixels)


def _full_range(pixels: Pixels, bits: int) -> Pixels:
    """Repeat the upper bits of 10 or 12 below, so that the largest value is 65,535."""
    if pixels.dtype != np.uint16:
        return pixels
    return np.asarray(pixels << 16 - bits | pixels >> 2 * bits - 16, np.uint16)


def _undecodable(why: object) -> DermisError:
    return damaged(f"the photo can't be decoded ({' '.join(str(why).split())})")
