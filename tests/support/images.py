"""Images and their encodings for tests."""

import io
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow

Pixels = npt.NDArray[Any]
# What Pillow has to do to an upright image so that a viewer that obeys the EXIF orientation shows it upright again.
STORED_AS = {
    1: None,
    2: Pillow.Transpose.FLIP_LEFT_RIGHT,
    3: Pillow.Transpose.ROTATE_180,
    4: Pillow.Transpose.FLIP_TOP_BOTTOM,
    5: Pillow.Transpose.TRANSPOSE,
    6: Pillow.Transpose.ROTATE_90,
    7: Pillow.Transpose.TRANSVERSE,
    8: Pillow.Transpose.ROTATE_270,
}
LEAST_LOSS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "PNG": {},
    "WEBP": {"lossless": True},
}


def quarters(*, height: int = 64, width: int = 96) -> Pixels:
    """Return uint8[H,W,3] of four flat quarters, red, green, blue, white in reading order.

    No turn or mirror looks like another.
    """
    image = np.empty((height, width, 3), np.uint8)
    image[: height // 2, : width // 2] = (220, 40, 40)
    image[: height // 2, width // 2 :] = (40, 200, 60)
    image[height // 2 :, : width // 2] = (40, 60, 210)
    image[height // 2 :, width // 2 :] = (235, 235, 235)
    return image


def encode(image: Pixels | Pillow.Image, form: str, *, orientation: int | None = None, **options: Any) -> bytes:
    """Encode by Pillow as `form` ("JPEG", "PNG", "WEBP"), with as little loss as it allows.

    `orientation` goes into EXIF.
    """
    picture = image if isinstance(image, Pillow.Image) else Pillow.fromarray(image)
    if orientation is not None:
        exif = Pillow.Exif()
        exif[0x0112] = orientation
        options["exif"] = exif.tobytes()
    out = io.BytesIO()
    picture.save(out, form, **{**LEAST_LOSS[form], **options})
    return out.getvalue()


def stored(upright: Pixels, orientation: int) -> Pixels:
    """Return the pixels as a camera that was held so stores them."""
    way = STORED_AS[orientation]
    return upright if way is None else np.asarray(Pillow.fromarray(upright).transpose(way))


def noise(*, height: int, width: int, level: float, spread: float, seed: int = 0) -> Pixels:
    """Return a frame that shows nothing but a sensor's noise, uint8[H,W,3]."""
    grain = np.random.default_rng(seed).standard_normal((height, width, 3), np.float32)
    return np.clip(level + spread * grain, 0, 255).astype(np.uint8)
