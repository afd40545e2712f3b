"""Draws where in an image the model saw evidence for a condition, to lay over the image."""

import cv2
import numpy as np
import numpy.typing as npt

from dermis.shared.manifest import ImageFit
from dermis.worker.core.prepare import inner_box

Floats = npt.NDArray[np.float32]
LONGEST = 256
"""Longest side of an overlay in pixels: a cam has some 12 x 12 positions, so more would show nothing more."""
_OPACITY = 0.75


def peak(cam: Floats, place: int) -> float:
    """Return the largest share of a condition's logit in cam [3, h, w, K] over all images of a case.

    0 if nothing speaks for it.
    """
    return max(0.0, float(cam[..., place].max()))


def overlay(cam: Floats, *, height: int, width: int, most: float, how: ImageFit = "LETTERBOX") -> bytes:
    """Return a PNG with transparency, of the aspect of an image of `height` x `width`, longest side `LONGEST`.

    `cam` [h, w] covers the square that the model saw, into which the image was put as `how` says. Opacity grows with
    what speaks for the condition, from 0 to `most` (the case's peak, so that its images can be compared); what speaks
    against it is left clear. Colours from blue to green, which no skin tone has.
    """
    top, left, inner_height, inner_width = inner_box(height, width, size=LONGEST, how=how)
    whole = cv2.resize(np.maximum(cam, 0), (LONGEST, LONGEST), interpolation=cv2.INTER_LINEAR)
    inner = whole[top : top + inner_height, left : left + inner_width]
    if how == "STRETCH":
        _, _, shown_height, shown_width = inner_box(height, width, size=LONGEST)
        inner = cv2.resize(inner, (shown_width, shown_height), interpolation=cv2.INTER_LINEAR)
    levels = np.round(255 * np.clip(inner / most, 0, 1) if most > 0 else np.zeros_like(inner)).astype(np.uint8)
    opacity = np.round(levels * _OPACITY).astype(np.uint8)
    _, data = cv2.imencode(".png", np.dstack([cv2.applyColorMap(levels, cv2.COLORMAP_WINTER), opacity]))
    return bytes(data)
