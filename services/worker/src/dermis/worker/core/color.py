"""Converts the colours of an image's profile to sRGB.

Numbers (three curves and a matrix) are computed by OpenCV, within dE2000 0.5 of LittleCMS and three times as fast; a
whole profile is applied by LittleCMS. The intent is relative colorimetric with black point compensation: white stays
white, black stays black, what lies outside of sRGB is cut off at its edge. For a profile of three primaries all intents
are one.
"""

import io
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow
from PIL import ImageCms

from dermis.shared.images.color_profile import SRGB_MATRIX, Color, ColorProfile, Curve
from dermis.worker.core.prepare import Image, Pixels

_TOP = 65535
_SAMPLES = 4096
_INKS = 4
_SPACES = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK"}


def to_srgb(pixels: Pixels, color: Color | None) -> Image:
    """Return pixels of a colour space as sRGB, uint8[H,W,3]; `None` says that they are sRGB already.

    `pixels`: uint8 or uint16[H,W,3], a grey image as three equal channels; or uint8[H,W,4] of CMYK, 255 for full ink. A
    whole profile of another space than the pixels', or one that can't be read, counts as none, as in every viewer; ink
    without a profile is mixed as Pillow does.
    """
    if isinstance(color, ColorProfile) and pixels.shape[2] != _INKS:
        return _by_numbers(pixels, color)
    eight = cv2.convertScaleAbs(pixels, alpha=1 / 257) if pixels.dtype == np.uint16 else pixels
    if not isinstance(color, bytes) and eight.shape[2] != _INKS:
        return np.asarray(eight, np.uint8)
    return _by_littlecms(np.ascontiguousarray(eight), color if isinstance(color, bytes) else None)


def _by_numbers(pixels: Pixels, profile: ColorProfile) -> Image:
    way = _way(profile, pixels.dtype.itemsize)
    light = cv2.transform(cv2.LUT(pixels, way.light), way.matrix)
    steps = cv2.addWeighted(light, 1, light, 0, 0, dtype=cv2.CV_16U)  # rounds and cuts off in one pass
    return np.asarray(cv2.LUT(steps, _encoded()), np.uint8)


@dataclass(frozen=True, slots=True)
class _Way:
    """`light`: float32[1,N,3], of each sample; `matrix`: float32[3,3], from it to linear sRGB up to 65,535."""

    light: npt.NDArray[np.float32]
    matrix: npt.NDArray[np.float32]


@lru_cache(maxsize=32)
def _way(profile: ColorProfile, sample_bytes: int) -> _Way:
    curves = profile.curves * (3 // len(profile.curves))
    levels = np.linspace(0, 1, 256**sample_bytes)
    light = np.stack([_sampled(curve, levels) for curve in curves], axis=-1)[np.newaxis]
    matrix = np.linalg.inv(np.array(SRGB_MATRIX)) @ np.array(profile.matrix or SRGB_MATRIX) * _TOP
    return _Way(light.astype(np.float32), matrix.astype(np.float32))


def _sampled(curve: Curve, levels: npt.NDArray[np.float64]) -> npt.NDArray[Any]:
    places = levels if len(levels) <= _SAMPLES else np.linspace(0, 1, _SAMPLES)
    return np.interp(levels, places, [curve(float(place)) for place in places])


@lru_cache(maxsize=1)
def _encoded() -> npt.NDArray[np.uint8]:
    """Return sRGB's sample of each of 65,536 steps of light (IEC 61966-2-1)."""
    light = np.linspace(0, 1, _TOP + 1)
    samples = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.round(255 * samples).astype(np.uint8).reshape(1, -1)


def _by_littlecms(pixels: npt.NDArray[np.uint8], profile: bytes | None) -> Image:
    mode = "CMYK" if pixels.shape[2] == _INKS else "RGB"
    image = Pillow.fromarray(pixels, mode)
    transform = _transform(profile, mode) if profile else None
    if transform is None:
        return np.array(image.convert("RGB"), np.uint8)
    return np.array(
        ImageCms.applyTransform(image.getchannel(0) if transform.input_mode == "L" else image, transform), np.uint8
    )


@lru_cache(maxsize=8)
def _transform(data: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(data))
        space = _SPACES.get(profile.profile.xcolor_space)
        if space is None or (mode == "CMYK") != (space == "CMYK"):
            return None
        intent, flags = ImageCms.Intent.RELATIVE_COLORIMETRIC, ImageCms.Flags.BLACKPOINTCOMPENSATION
        return ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), space, "RGB", intent, flags)
    except (OSError, ImageCms.PyCMSError):
        return None
