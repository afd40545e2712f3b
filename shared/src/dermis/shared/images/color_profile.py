"""A colour profile as numbers, from samples to CIE XYZ, and the colour spaces that people have names for.

Sources: ICC.1:2022, ITU-R BT.2100 and BT.2408 (PQ, HLG), DCF 2.0 (Adobe RGB), ITU-T H.273 (primaries).
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from itertools import product

Row = tuple[float, float, float]
Matrix = tuple[Row, Row, Row]
TABLE_POINTS = 33
PARAMETERS = 7
D50: Row = (0.9642, 1.0, 0.8249)
_SAME_COLOR = 1.0
"""Profiles whose colours are all within this CIE 1976 difference of sRGB's are sRGB."""
_SAME_SPACE = 5.0
_PQ_WHITE = 203 / 10_000
_HLG_WHITE = 203 / 1_000
"""Light of diffuse white, of the brightest that PQ and HLG state (ITU-R BT.2408)."""


class CurveKind(StrEnum):
    PARAMETRIC = "PARAMETRIC"
    TABLE = "TABLE"
    PQ = "PQ"
    HLG = "HLG"


@dataclass(frozen=True, slots=True)
class Curve:
    """From a sample to light, both 0 to 1.

    PARAMETRIC: `values` are g, a, b, c, d, e, f of `(a x + b) ** g + e` from x = d on and `c x + f` below. TABLE:
    `values` are `TABLE_POINTS` of light at equal steps, joined by lines. PQ and HLG (ITU-R BT.2100) have none: diffuse
    white is 1.
    """

    kind: CurveKind
    values: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        count = {CurveKind.PARAMETRIC: PARAMETERS, CurveKind.TABLE: TABLE_POINTS}.get(self.kind, 0)
        if len(self.values) != count or not all(math.isfinite(value) for value in self.values):
            raise ValueError(f"values: {len(self.values)} of a {self.kind} curve; it has {count}, all finite")

    def __call__(self, x: float) -> float:
        return _bounded(_LIGHT[self.kind](self.values, x))


@dataclass(frozen=True, slots=True)
class ColorProfile:
    """From an image's samples to CIE XYZ relative to D50: `matrix` times the light of red, green and blue.

    None for a grey image.

    `curves` are one for all channels, or one each.
    """

    curves: tuple[Curve, ...]
    matrix: Matrix | None = None

    def __post_init__(self) -> None:
        if len(self.curves) not in (1, 3):
            raise ValueError(f"curves: there are {len(self.curves)}; a profile has 1 or 3")
        if self.matrix is not None and not all(math.isfinite(value) for row in self.matrix for value in row):
            raise ValueError("matrix: a number is not finite")

    def xyz(self, red: float, green: float, blue: float) -> Row:
        """Return the colour of a pixel, its samples 0 to 1."""
        curves = self.curves * 3 if len(self.curves) == 1 else self.curves
        light = [curve(sample) for curve, sample in zip(curves, (red, green, blue), strict=True)]
        x, y, z = (sum(a * b for a, b in zip(row, light, strict=True)) for row in self.matrix or SRGB_MATRIX)
        return x, y, z


Color = ColorProfile | bytes
"""A profile as numbers; or whole, as ICC has it, where its colours are tables in several dimensions."""


def power_curve(exponent: float) -> Curve:
    return Curve(CurveKind.PARAMETRIC, (exponent, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0))


def is_srgb(profile: ColorProfile) -> bool:
    """Whether every colour is sRGB's for all that an eye could tell: on a grid of colours and on 16 greys."""
    return _distance(profile, _SRGB) <= _SAME_COLOR


class ColorSpace(StrEnum):
    """What people call the colours of an image."""

    SRGB = "SRGB"
    DISPLAY_P3 = "DISPLAY_P3"
    ADOBE_RGB = "ADOBE_RGB"
    PROPHOTO_RGB = "PROPHOTO_RGB"
    BT_2020 = "BT_2020"
    HDR = "HDR"
    GREY = "GREY"
    TABLES = "TABLES"
    OTHER = "OTHER"


def space_of(color: Color | None) -> ColorSpace:
    """Return the name of a profile's colour space: the nearest of those in common use, or OTHER; SRGB for none."""
    if color is None:
        return ColorSpace.SRGB
    if isinstance(color, bytes):
        return ColorSpace.TABLES
    if color.curves[0].kind in (CurveKind.PQ, CurveKind.HLG):
        return ColorSpace.HDR
    if color.matrix is None:
        return ColorSpace.GREY
    return _nearest(color)


@lru_cache(maxsize=64)
def _nearest(color: ColorProfile) -> ColorSpace:
    distances = {space: _distance(color, usual) for space, usual in _USUAL.items()}
    space = min(distances, key=distances.__getitem__)
    return space if distances[space] <= _SAME_SPACE else ColorSpace.OTHER


def _distance(first: ColorProfile, second: ColorProfile) -> float:
    return max(math.dist(_lab(first.xyz(*samples)), _lab(second.xyz(*samples))) for samples in _colors())


def _colors() -> Iterator[Row]:
    yield from product((0.0, 0.25, 0.5, 0.75, 1.0), repeat=3)
    yield from ((n / 16, n / 16, n / 16) for n in range(1, 16))


def _lab(xyz: Row) -> Row:
    """Return CIE 1976 L*a*b* of a colour relative to D50."""
    x, y, z = (
        math.cbrt(ratio) if (ratio := value / white) > 216 / 24389 else (24389 / 27 * ratio + 16) / 116
        for value, white in zip(xyz, D50, strict=True)
    )
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def _bounded(value: float) -> float:
    return min(max(value, 0.0), 1.0)


def _power(values: tuple[float, ...], x: float) -> float:
    g, a, b, c, d, e, f = values
    if x < d:
        return c * x + f
    base = max(a * x + b, 0.0)
    if base == 0 and g <= 0:
        raise ValueError("the curve has no end")
    return float(base**g) + e


def _between(values: tuple[float, ...], x: float) -> float:
    place = _bounded(x) * (TABLE_POINTS - 1)
    low = min(int(place), TABLE_POINTS - 2)
    return values[low] + (place - low) * (values[low + 1] - values[low])


def _pq(_values: tuple[float, ...], x: float) -> float:
    """Return the light of a PQ sample (SMPTE ST 2084); what is brighter than diffuse white is cut off."""
    root = _bounded(x) ** (32 / 2523)
    return float((max(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (8192 / 1305) / _PQ_WHITE)


def _hlg(_values: tuple[float, ...], x: float) -> float:
    """Return the light of an HLG sample on a display of 1,000 cd/m2, channel by channel (ITU-R BT.2100)."""
    scene = x * x / 3 if x <= 0.5 else (math.exp((x - 0.55991073) / 0.17883277) + 0.28466892) / 12
    return float(scene**1.2 / _HLG_WHITE)


_LIGHT: dict[CurveKind, Callable[[tuple[float, ...], float], float]] = {
    CurveKind.PARAMETRIC: _power,
    CurveKind.TABLE: _between,
    CurveKind.PQ: _pq,
    CurveKind.HLG: _hlg,
}


def rgb_to_xyz(
    red: tuple[float, float], green: tuple[float, float], blue: tuple[float, float], white: tuple[float, float]
) -> Matrix:
    """Return linear RGB to XYZ of primaries and white by their chromaticities, adapted to D50 (Bradford)."""
    points = [(x / y, 1.0, (1 - x - y) / y) for x, y in (red, green, blue)]
    light = (white[0] / white[1], 1.0, (1 - white[0] - white[1]) / white[1])
    basis: Matrix = tuple(zip(*points, strict=True))  # type: ignore[assignment]
    shares = _times(_inverse(basis), light)
    scaled: Matrix = tuple(tuple(a * b for a, b in zip(row, shares, strict=True)) for row in basis)  # type: ignore[assignment]
    before, after = _times(_BRADFORD, light), _times(_BRADFORD, D50)
    cones = _product(_BRADFORD, scaled)
    adapted: Matrix = tuple(tuple(v * b / a for v in row) for row, a, b in zip(cones, before, after, strict=True))  # type: ignore[assignment]
    return _product(_inverse(_BRADFORD), adapted)


def _times(matrix: Matrix, vector: Row) -> Row:
    x, y, z = (sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix)
    return x, y, z


def _product(left: Matrix, right: Matrix) -> Matrix:
    columns = [_times(left, column) for column in zip(*right, strict=True)]
    x, y, z = zip(*columns, strict=True)
    return x, y, z


def _inverse(matrix: Matrix) -> Matrix:
    (a, b, c), (d, e, f), (g, h, i) = matrix
    whole = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)
    return (
        ((e * i - f * h) / whole, (c * h - b * i) / whole, (b * f - c * e) / whole),
        ((f * g - d * i) / whole, (a * i - c * g) / whole, (c * d - a * f) / whole),
        ((d * h - e * g) / whole, (b * g - a * h) / whole, (a * e - b * d) / whole),
    )


_BRADFORD: Matrix = ((0.8951, 0.2664, -0.1614), (-0.7502, 1.7135, 0.0367), (0.0389, -0.0685, 1.0296))
_D65, _C = (0.3127, 0.3290), (0.310, 0.316)
PRIMARIES = {
    1: ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060), _D65),  # BT.709, sRGB
    4: ((0.670, 0.330), (0.210, 0.710), (0.140, 0.080), _C),
    5: ((0.640, 0.330), (0.290, 0.600), (0.150, 0.060), _D65),
    6: ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), _D65),
    7: ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), _D65),
    8: ((0.681, 0.319), (0.243, 0.692), (0.145, 0.049), _C),
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), _D65),  # BT.2020
    11: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.314, 0.351)),
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), _D65),  # Display P3
    22: ((0.630, 0.340), (0.295, 0.605), (0.155, 0.077), _D65),
}
SRGB_CURVE = Curve(CurveKind.PARAMETRIC, (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045, 0.0, 0.0))
SRGB_MATRIX = rgb_to_xyz(*PRIMARIES[1])
_SRGB = ColorProfile((SRGB_CURVE,), SRGB_MATRIX)
ADOBE_RGB = ColorProfile((power_curve(563 / 256),), rgb_to_xyz((0.640, 0.330), (0.210, 0.710), (0.150, 0.060), _D65))
"""What EXIF means by a colour space of 65,535 and the interoperability index R03 (DCF 2.0, optional colour space)."""
_USUAL = {
    ColorSpace.DISPLAY_P3: ColorProfile((SRGB_CURVE,), rgb_to_xyz(*PRIMARIES[12])),
    ColorSpace.ADOBE_RGB: ADOBE_RGB,
    ColorSpace.PROPHOTO_RGB: ColorProfile(
        (power_curve(1.8),),
        rgb_to_xyz((0.734699, 0.265301), (0.159597, 0.840403), (0.036598, 0.000105), (0.345704, 0.358540)),
    ),
    ColorSpace.BT_2020: ColorProfile((SRGB_CURVE,), rgb_to_xyz(*PRIMARIES[9])),
}
