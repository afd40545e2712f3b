"""Scenes in other colour spaces, with the profiles that say so: built here from the spaces' published numbers."""

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.support.images import encode

Pixels = npt.NDArray[Any]
Plane = npt.NDArray[np.float64]
D50 = (0.9642, 1.0, 0.8249)


def srgb_light(x: Plane) -> Plane:
    """IEC 61966-2-1."""
    return np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)


def srgb_sample(light: Plane) -> Plane:
    light = np.clip(light, 0, 1)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """An RGB space.

    `matrix` from linear RGB to XYZ relative to D50, its curve both ways, and ICC's parameters of it (type 3, or 0).
    """

    matrix: Plane
    light: Callable[[Plane], Plane]
    sample: Callable[[Plane], Plane]
    parameters: tuple[float, ...]


def _power(gamma: float) -> dict[str, Any]:
    return {"light": lambda x: x**gamma, "sample": lambda y: np.clip(y, 0, 1) ** (1 / gamma), "parameters": (gamma,)}


_SRGB_CURVE: dict[str, Any] = {
    "light": srgb_light,
    "sample": srgb_sample,
    "parameters": (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045),
}
# Matrices: Lindbloom's tables adapted to D50 by Bradford, Display P3 as in Apple's profile.
SRGB = Space(
    matrix=np.array(
        [[0.4360747, 0.3850649, 0.1430804], [0.2225045, 0.7168786, 0.0606169], [0.0139322, 0.0971045, 0.7141733]]
    ),
    **_SRGB_CURVE,
)
SPACES = {
    "sRGB": SRGB,
    "Display P3": Space(
        matrix=np.array(
            [[0.5151215, 0.2919769, 0.1571045], [0.2411957, 0.6922455, 0.0665741], [-0.0010376, 0.0418854, 0.7840729]]
        ),
        **_SRGB_CURVE,
    ),
    "Adobe RGB": Space(
        matrix=np.array(
            [[0.6097559, 0.2052401, 0.1492240], [0.3111242, 0.6256560, 0.0632197], [0.0194811, 0.0608902, 0.7448387]]
        ),
        **_power(563 / 256),
    ),
    "ProPhoto RGB": Space(
        matrix=np.array([[0.7976749, 0.1351917, 0.0313534], [0.2880402, 0.7118741, 0.0000857], [0.0, 0.0, 0.8252100]]),
        **_power(1.8),
    ),
}


def in_space(image: Pixels, space: Space, *, bits: int = 8) -> Pixels:
    """Return uint8[H,W,3] of sRGB as the same colours in another space, uint8 or uint16."""
    xyz = srgb_light(image / 255.0) @ SRGB.matrix.T
    samples = space.sample(xyz @ np.linalg.inv(space.matrix).T)
    return np.round(samples * (2**bits - 1)).astype(f"u{bits // 8}")


def profile_of(
    space: Space, *, version: int = 4, curve: str = "para", text: str = "A space", grey: bool = False
) -> bytes:
    """Return an ICC profile of a space, version 2 or 4.

    Its curve is "para" (parameters), "gamma" (one number) or "table" (1,024).
    """
    tags = {b"desc": _text(text, version), b"cprt": _text(text, version), b"wtpt": _xyz(D50)}
    if grey:
        tags[b"kTRC"] = _curve(space, curve)
    else:
        tags |= {name: _xyz(space.matrix[:, n]) for n, name in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))}
        tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), _curve(space, curve))
    return icc_file(tags, space=b"GRAY" if grey else b"RGB ", version=version)


def table_profile(space: Space, *, inks: int = 0, text: str = "Tables") -> bytes:
    """Return a profile that has only a table.

    It is of a space, or of four inks that each take away one third of its light, black all.
    """
    channels, samples = inks or 3, 1024
    corners = np.array(np.meshgrid(*[[0.0, 1.0]] * channels, indexing="ij")).reshape(channels, -1).T
    light = (1 - corners[:, :3]) * (1 - corners[:, 3:]) if inks else corners
    steps = np.linspace(0, 1, samples)
    inputs = np.tile(steps if inks else space.light(steps), channels)
    numbers = np.concatenate([inputs * 65535, (light @ space.matrix.T).ravel() * 32768, np.tile([0, 65535], 3)])
    unity = [65536, 0, 0, 0, 65536, 0, 0, 0, 65536]
    head = struct.pack(">4s4xBBBx9iHH", b"mft2", channels, 3, 2, *unity, samples, 2)
    tags = {
        b"desc": _text(text, 2),
        b"wtpt": _xyz(D50),
        b"A2B0": head + np.round(np.clip(numbers, 0, 65535)).astype(">u2").tobytes(),
    }
    return icc_file(tags, space=b"CMYK" if inks else b"RGB ", version=2)


def icc_file(tags: dict[bytes, bytes], *, space: bytes = b"RGB ", pcs: bytes = b"XYZ ", version: int = 4) -> bytes:
    """Return an ICC profile (ICC.1:2022, 7) of tags."""
    start, table, body = 132 + 12 * len(tags), b"", b""
    for name, data in tags.items():
        table += struct.pack(">4sII", name, start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    white = [round(65536 * value) for value in D50]
    form = ">I4xI4s4s4s12x4s28x3i48x"
    return (
        struct.pack(form, start + len(body), version << 24, b"mntr", space, pcs, b"acsp", *white)
        + struct.pack(">I", len(tags))
        + table
        + body
    )


def _text(text: str, version: int) -> bytes:
    if version >= 4:
        words = text.encode("utf-16-be")
        return struct.pack(">4s4xII2s2sII", b"mluc", 1, 12, b"en", b"US", len(words), 28) + words
    words = text.encode() + b"\0"
    return struct.pack(">4s4xI", b"desc", len(words)) + words + bytes(78)


def _xyz(numbers: Any) -> bytes:
    return struct.pack(">4s4x3i", b"XYZ ", *(round(float(number) * 65536) for number in numbers))


def _curve(space: Space, kind: str) -> bytes:
    if kind == "para":
        numbers = [round(number * 65536) for number in space.parameters]
        return struct.pack(f">4s4xHxx{len(numbers)}i", b"para", 3 if len(numbers) > 1 else 0, *numbers)
    if kind == "gamma":
        return struct.pack(">4s4xIH", b"curv", 1, round(space.parameters[0] * 256))
    light = np.round(space.light(np.linspace(0, 1, 1024)) * 65535).astype(">u2")
    return struct.pack(">4s4xI", b"curv", len(light)) + light.tobytes()


def with_chunk(png: bytes, name: bytes, body: bytes) -> bytes:
    """Return a PNG with a chunk after its header."""
    chunk = struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
    return png[:33] + chunk + png[33:]


def in_container(image: Pixels, space: Space, container: str) -> bytes:
    """Encode a scene of sRGB in another space as one of `CONTAINERS`."""
    return CONTAINERS[container](image, space)


def _png16(image: Pixels, space: Space) -> bytes:
    pixels = in_space(image, space, bits=16)
    height, width, _ = pixels.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows, 1)),
        (b"IEND", b""),
    ]
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(b)) + n + b + struct.pack(">I", zlib.crc32(n + b)) for n, b in chunks
    )
    return with_chunk(data, b"iCCP", b"p\0\0" + zlib.compress(profile_of(space)))


CONTAINERS: dict[str, Callable[[Pixels, Space], bytes]] = {
    "JPEG, version 4": lambda image, space: encode(in_space(image, space), "JPEG", icc_profile=profile_of(space)),
    "JPEG, version 2": lambda image, space: encode(
        in_space(image, space), "JPEG", icc_profile=profile_of(space, version=2, curve="table")
    ),
    "PNG": lambda image, space: encode(in_space(image, space), "PNG", icc_profile=profile_of(space)),
    "PNG, 16 bit": _png16,
    "WebP": lambda image, space: encode(in_space(image, space), "WEBP", icc_profile=profile_of(space)),
}


def lab(image: Pixels) -> Plane:
    """Return CIE 1976 L*a*b* (D50) of uint8[...,3] of sRGB."""
    ratio = srgb_light(image / 255.0) @ SRGB.matrix.T / SRGB.matrix.sum(axis=1)
    f = np.where(ratio > 216 / 24389, np.cbrt(ratio), (24389 / 27 * ratio + 16) / 116)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], axis=-1)


def delta_e(first: Plane, second: Plane) -> Plane:
    """Return CIEDE2000 between L*a*b* colours (Sharma, Wu and Dalal 2005)."""
    l1, a1, b1 = np.moveaxis(first, -1, 0)
    l2, a2, b2 = np.moveaxis(second, -1, 0)
    chroma = (np.hypot(a1, b1) + np.hypot(a2, b2)) / 2
    g = 1.5 - 0.5 * np.sqrt(chroma**7 / (chroma**7 + 25.0**7))
    c1, c2 = np.hypot(a1 * g, b1), np.hypot(a2 * g, b2)
    h1, h2 = np.degrees(np.arctan2(b1, a1 * g)) % 360, np.degrees(np.arctan2(b2, a2 * g)) % 360
    turn = np.where(c1 * c2 == 0, 0, (h2 - h1 + 180) % 360 - 180)
    d_l, d_c, d_h = l2 - l1, c2 - c1, 2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn) / 2)
    lm, cm = (l1 + l2) / 2, (c1 + c2) / 2
    hm = np.where(c1 * c2 == 0, h1 + h2, h1 + turn / 2)
    t = (
        1
        - 0.17 * np.cos(np.radians(hm - 30))
        + 0.24 * np.cos(np.radians(2 * hm))
        + 0.32 * np.cos(np.radians(3 * hm + 6))
        - 0.20 * np.cos(np.radians(4 * hm - 63))
    )
    s_l = 1 + 0.015 * (lm - 50) ** 2 / np.sqrt(20 + (lm - 50) ** 2)
    s_c, s_h = 1 + 0.045 * cm, 1 + 0.015 * cm * t
    turned = (
        -np.sin(2 * np.radians(30 * np.exp(-((((hm % 360) - 275) / 25) ** 2)))) * 2 * np.sqrt(cm**7 / (cm**7 + 25.0**7))
    )
    c, h = d_c / s_c, d_h / s_h
    return np.sqrt((d_l / s_l) ** 2 + c**2 + h**2 + turned * c * h)


def patches(image: Pixels, size: int = 8) -> Plane:
    """Return the mean colour of each square of `size` pixels.

    In light, as sRGB of 0 to 255: what an instrument would measure.
    """
    height, width = image.shape[0] // size * size, image.shape[1] // size * size
    light = (
        srgb_light(image[:height, :width] / 255.0)
        .reshape(height // size, size, width // size, size, 3)
        .mean(axis=(1, 3))
    )
    return 255 * srgb_sample(light)
