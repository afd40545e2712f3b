"""Augmentation of prepared images, uint8[S,S,3]: what keeps the tone of the skin, and what shifts it."""

import cv2
import numpy as np

from dermis.worker.core.prepare import Image


def tone_preserving(image: Image, rng: np.random.Generator) -> Image:
    """Mirror, turn, scale, move and now and then blur: every colour stays one of the image's own."""
    size = image.shape[0]
    if rng.uniform() < 0.5:
        image = image[:, ::-1]
    if rng.uniform() < 0.5:
        image = image[::-1]
    middle = (size / 2, size / 2)
    matrix = cv2.getRotationMatrix2D(middle, rng.uniform(-30, 30), np.exp(rng.uniform(np.log(0.9), np.log(1.4))))
    matrix[:, 2] += rng.uniform(-0.08, 0.08, 2) * size
    turned = cv2.warpAffine(
        np.ascontiguousarray(image), matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT
    )
    if rng.uniform() < 0.2:
        turned = cv2.GaussianBlur(turned, (0, 0), rng.uniform(0.4, 1.2))
    return np.asarray(turned, np.uint8)


def tone_shifting(image: Image, rng: np.random.Generator) -> Image:
    """Change exposure, contrast and the light's colour, so that the skin looks lighter, darker or warmer than it is."""
    light = np.exp(rng.normal(0, 0.15)) * np.exp(rng.normal(0, 0.05, 3))
    curve = np.exp(rng.normal(0, 0.12))
    levels = np.linspace(0, 1, 256)[:, None] ** curve * light
    table = np.clip(np.round(levels * 255), 0, 255).astype(np.uint8)
    return np.stack([table[:, c][image[..., c]] for c in range(3)], axis=-1)
