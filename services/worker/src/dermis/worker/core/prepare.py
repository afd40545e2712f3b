"""Makes the prepared image and the model's input from the working image."""

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import simplejpeg

from dermis.shared.manifest import ImageFit

Image = npt.NDArray[np.uint8]
"""RGB pixels, uint8[H, W, 3]."""
Pixels = npt.NDArray[Any]
"""Samples [H, W] or [H, W, channels] of any type."""
"""Longest side of a working image in pixels; measures, hash and prepared image are taken from it."""


def resize(image: Image, *, width: int, height: int) -> Image:
    """Resize by area when shrinking and linearly when growing."""
    shrinking = width * height < image.shape[0] * image.shape[1]
    return np.asarray(
        cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR), np.uint8
    )


def shrink(pixels: Pixels, longest: int) -> Pixels:
    """Shrink by area so that the longest side is `longest` pixels, aspect and type kept.

    Smaller pixels are returned as they are.
    """
    height, width = pixels.shape[:2]
    scale = longest / max(height, width)
    if scale >= 1:
        return pixels
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    while (
        max(pixels.shape[:2]) >= 2 * longest and min(pixels.shape[:2]) > 1
    ):  # halving is ten times as fast as any other area
        rows, columns = pixels.shape[0] // 2, pixels.shape[1] // 2
        pixels = cv2.resize(pixels[: 2 * rows, : 2 * columns], (columns, rows), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), pixels.dtype)


def fit(image: Image, size: int, how: ImageFit = "LETTERBOX") -> Image:
    """Return uint8[H,W,3] as uint8[size,size,3]: letterboxed (aspect kept, centred, padded with zeros) or stretched."""
    height, width = image.shape[:2]
    top, left, inner_height, inner_width = inner_box(height, width, size=size, how=how)
    boxed = np.zeros((size, size, 3), np.uint8)
    boxed[top : top + inner_height, left : left + inner_width] = resize(image, width=inner_width, height=inner_height)
    return boxed


def inner_box(height: int, width: int, *, size: int, how: ImageFit = "LETTERBOX") -> tuple[int, int, int, int]:
    """Return where an image lies in the model's square: top, left, height, width in pixels; stretched it fills it."""
    if how == "STRETCH":
        return 0, 0, size, size
    scale = size / max(height, width)
    inner_height, inner_width = max(1, round(height * scale)), max(1, round(width * scale))
    return (size - inner_height) // 2, (size - inner_width) // 2, inner_height, inner_width


def encode_prepared(working: Image) -> bytes:
    """Encode a working image as the prepared JPEG: quality 95, 4:4:4, no metadata."""
    encoded: bytes = simplejpeg.encode_jpeg(np.ascontiguousarray(working), quality=95, colorsubsampling="444")
    return encoded
