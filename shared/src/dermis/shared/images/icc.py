"""Reads what the samples of an image mean as colours, as numbers: no text and no names are kept.

Sources: ICC.1:2022 (profiles), ITU-T H.273 (code points of HEIC, AVIF and PNG's cICP), PNG third edition, DCF 2.0
(Adobe RGB).
"""

import math
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from dermis.shared.images.color_profile import (
    ADOBE_RGB,
    D50,
    PARAMETERS,
    PRIMARIES,
    SRGB_CURVE,
    SRGB_MATRIX,
    TABLE_POINTS,
    Color,
    ColorProfile,
    Curve,
    CurveKind,
    Matrix,
    Row,
    is_srgb,
    power_curve,
    rgb_to_xyz,
)

MAX_BYTES = 4 << 20
"""Largest ICC profile that is read; those of print are about 2 MB."""
_KEPT_BYTES = 16 << 10
_PARAMETERS_OF = {0: 1, 1: 3, 2: 4, 3: 5, 4: 7}
"""How many numbers each kind of ICC's parametric curves has."""
_MAX_TAGS = 128
_SAME_CURVE = 0.0005
_WHITE_TOLERANCE = 0.15


@dataclass(frozen=True, slots=True, kw_only=True)
class ColorTags:
    """What an image's container says of its colours; `icc` as embedded, which is deflated in a PNG.

    `cicp`: primaries, transfer, matrix, full range (ITU-T H.273); `gamma`: PNG's gAMA x 100,000; `chromaticities`: the
    eight numbers of PNG's cHRM x 100,000; `srgb`: the container states sRGB (PNG's chunk, EXIF's ColorSpace 1);
    `adobe_rgb`: EXIF's interoperability index is R03 with an uncalibrated ColorSpace.
    """

    icc: bytes = b""
    cicp: tuple[int, int, int, int] | None = None
    gamma: int | None = None
    chromaticities: tuple[int, ...] = ()
    srgb: bool = False
    adobe_rgb: bool = False


def color_of(tags: ColorTags) -> Color | None:
    """Return what an image's tags say, the first that counts (PNG, third edition, 4.3).

    None for sRGB or where there are none.

    A HEIF that has both a profile and code points means the profile: give that alone.
    """
    if tags.cicp:
        return from_cicp(*tags.cicp[:2])
    if tags.icc:
        return read_icc(_inflated(tags.icc))
    if tags.srgb:
        return None
    return ADOBE_RGB if tags.adobe_rgb else from_png(tags.gamma, tags.chromaticities)


def _inflated(data: bytes) -> bytes:
    if data[36:40] == b"acsp":
        return data
    try:
        return zlib.decompressobj().decompress(data, MAX_BYTES)
    except zlib.error:
        return b""


def read_icc(data: bytes) -> Color | None:
    """Return what an ICC profile says; None if it says sRGB, is broken or of no image's colour space.

    Its bytes are returned for profiles by tables (A2B tags, CMYK): they have no few numbers that say the same.
    """
    if not 132 <= len(data) <= MAX_BYTES or data[36:40] != b"acsp":
        return None
    return _read_again(bytes(data)) if len(data) <= _KEPT_BYTES else _read(data)


def _read(data: bytes) -> Color | None:
    tags = _tags(data)
    if cicp := tags.get(b"cicp"):
        return from_cicp(cicp[8], cicp[9]) if len(cicp) >= 12 else None
    space = data[16:20]
    if space in (b"RGB ", b"GRAY", b"CMYK") and tags.keys() & {b"A2B0", b"A2B1"}:
        return bytes(data)
    try:
        if space == b"RGB ":
            return _of_rgb(tags)
        return _unless_srgb(ColorProfile((_curve(tags[b"kTRC"]),))) if space == b"GRAY" else None
    except (KeyError, struct.error, ValueError, OverflowError):
        return None


_read_again = lru_cache(maxsize=64)(_read)
"""One camera writes one profile into all its images."""


def from_cicp(primaries: int, transfer: int) -> ColorProfile | None:
    """Return what a pair of code points (H.273) says; None for sRGB, and for what is unspecified or unknown.

    The transfers of video (1, 6, 14, 15) count as sRGB's, as every viewer shows them.
    """
    chromaticities = PRIMARIES.get(primaries)
    curve = _TRANSFERS.get(transfer)
    if chromaticities is None or curve is None:
        return None
    return _unless_srgb(ColorProfile((curve,), rgb_to_xyz(*chromaticities)))


def from_png(gamma: int | None, chromaticities: Sequence[int] | None) -> ColorProfile | None:
    """Return what PNG's gAMA and cHRM say, both as stored (times 100,000); None for sRGB or what makes no sense.

    A gamma of 45,455 is how PNG writes sRGB's curve.
    """
    if gamma is None or not 1_000 <= gamma <= 1_000_000:
        return None
    curve = SRGB_CURVE if abs(gamma - 45_455) <= 500 else power_curve(100_000 / gamma)
    try:
        matrix = SRGB_MATRIX
        if chromaticities:
            white, red, green, blue = _pairs(chromaticities)
            matrix = rgb_to_xyz(red, green, blue, white)
        return _unless_srgb(ColorProfile((curve,), matrix)) if _makes_sense(matrix) else None
    except (ValueError, ZeroDivisionError):
        return None


def _pairs(numbers: Sequence[int]) -> list[tuple[float, float]]:
    if len(numbers) != 8:
        raise ValueError(f"cHRM: {len(numbers)} numbers; it has 8")
    return [(numbers[at] / 100_000, numbers[at + 1] / 100_000) for at in range(0, 8, 2)]


def _tags(data: bytes) -> dict[bytes, bytes]:
    count = int.from_bytes(data[128:132], "big")
    tags: dict[bytes, bytes] = {}
    for n in range(min(count, _MAX_TAGS, (len(data) - 132) // 12)):
        name, start, size = struct.unpack_from(">4sII", data, 132 + 12 * n)
        if start + size <= len(data):
            tags.setdefault(name, data[start : start + size])
    return tags


def _of_rgb(tags: dict[bytes, bytes]) -> ColorProfile | None:
    columns = [_xyz(tags[name]) for name in (b"rXYZ", b"gXYZ", b"bXYZ")]
    x, y, z = zip(*columns, strict=True)
    curves = tuple(_curve(tags[name]) for name in (b"rTRC", b"gTRC", b"bTRC"))
    profile = ColorProfile(curves[:1] if len(set(curves)) == 1 else curves, (x, y, z))
    return _unless_srgb(profile) if _makes_sense((x, y, z)) else None


def _makes_sense(matrix: Matrix) -> bool:
    """Whether white is near D50 and the primaries span a space; viewers ignore other profiles."""
    (a, b, c), (d, e, f), (g, h, i) = matrix
    spans = abs(a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)) > 0.001
    return spans and all(abs(sum(row) - white) <= _WHITE_TOLERANCE for row, white in zip(matrix, D50, strict=True))


def _xyz(tag: bytes) -> Row:
    kind, x, y, z = struct.unpack_from(">4s4x3i", tag)
    if kind != b"XYZ ":
        raise ValueError("the tag holds no XYZ")
    return x / 65536, y / 65536, z / 65536


def _curve(tag: bytes) -> Curve:
    kind, count = struct.unpack_from(">4s4xI", tag)
    if kind == b"para":
        return _parametric(count >> 16, tag[12:])
    if kind != b"curv":
        raise ValueError("the tag holds no curve")
    if count == 0:
        return power_curve(1)
    if count == 1:
        return power_curve(struct.unpack_from(">H", tag, 12)[0] / 256)
    if len(tag) < 12 + 2 * count:
        raise ValueError("the curve breaks off")
    return _of_table(lambda n: struct.unpack_from(">H", tag, 12 + 2 * n)[0] / 65535, count)


def _parametric(kind: int, data: bytes) -> Curve:
    """Return a curve of one of ICC's five kinds (ICC.1, table 68)."""
    count = _PARAMETERS_OF.get(kind)
    if count is None:
        raise ValueError(f"a curve of an unknown kind {kind}")
    numbers = [value / 65536 for value in struct.unpack_from(f">{count}i", data)]
    g, a, b, c, d, e, f = numbers + [0.0] * (PARAMETERS - count)
    if kind == 0:
        a = 1.0
    elif kind in (1, 2):
        c, d, e, f = 0.0, -b / a if a else 0.0, c, c
    curve = Curve(CurveKind.PARAMETRIC, (g, a, b, c, d, e, f))
    if not all(math.isfinite(curve(step / 32)) for step in range(33)):
        raise ValueError("the curve has no end")
    return curve


def _of_table(light: Callable[[int], float], count: int) -> Curve:
    """Return a table as one of the usual curves where it is one, else by fewer points."""

    def at(x: float) -> float:
        place = x * (count - 1)
        low = min(int(place), count - 2)
        return light(low) + (place - low) * (light(low + 1) - light(low))

    middle = at(0.5)
    usual = [SRGB_CURVE, *([power_curve(round(math.log(middle, 0.5), 3))] if 0 < middle < 1 else [])]
    for curve in usual:
        if all(abs(curve(step / 256) - at(step / 256)) <= _SAME_CURVE for step in range(257)):
            return curve
    return Curve(CurveKind.TABLE, tuple(round(at(n / (TABLE_POINTS - 1)), 5) for n in range(TABLE_POINTS)))


def _unless_srgb(profile: ColorProfile) -> ColorProfile | None:
    return None if is_srgb(profile) else profile


_TRANSFERS = {
    **dict.fromkeys((1, 6, 11, 13, 14, 15), SRGB_CURVE),
    4: power_curve(2.2),
    5: power_curve(2.8),
    8: power_curve(1),
    16: Curve(CurveKind.PQ),
    18: Curve(CurveKind.HLG),
}
