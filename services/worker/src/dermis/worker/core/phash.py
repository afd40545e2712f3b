"""A 64-bit perceptual hash by which near-duplicates are found."""

import cv2
import numpy as np

from dermis.worker.core.prepare import Image, resize


def phash(image: Image) -> int:
    """Hash uint8[H,W,3] to 64 bits, the top left coefficient first.

    Grey at 32 x 32, type-II DCT, the lowest 8 x 8 coefficients, each 1 if above their median.
    Source: Zauner 2010, "Implementation and benchmarking of perceptual image hash functions"; the order of imagehash's
    `phash`.
    """
    grey = cv2.cvtColor(resize(image, width=32, height=32), cv2.COLOR_RGB2GRAY)
    low = cv2.dct(grey.astype(np.float32))[:8, :8]
    return int.from_bytes(np.packbits(low > np.median(low)).tobytes(), "big")


def to_text(value: int) -> str:
    return f"{value:016x}"


def distance(one: int, other: int) -> int:
    """Return the Hamming distance, 0 to 64."""
    return (one ^ other).bit_count()
