"""Reads what the samples of an image mean as colours, as numbers: no text and no names are kept.

Sources: ICC.1:2022 (profiles), ITU-T H.273 (code points of HEIC, AVIF and PNG's cICP), PNG third edition, DCF 2.0
(Adobe RGB).
"""

import math
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from itertools import product

Row = tuple[float, float, float]
Matrix = tuple[Row, Row, Row]

MAX_BYTES = 4 << 20
"""Largest ICC profile that is read; those of print are about 2 MB."""
_KEPT_BYTES = 16 << 10
TABLE_POINTS = 33
_PARAMETERS = 7
_PARAMETERS_OF = {0: 1, 1: 3, 2: 4, 3: 5, 4: 7}
"""How many numbers each kind of ICC's parametric curves has."""
_MAX_TAGS = 128
_D50: Row = (0.9642, 1.0, 0.8249)
_SAME_COLOR = 1.0
"""Profiles whose colours are all within this CIE 1976 difference of sRGB's are sRGB."""
_SAME_SPACE = 5.0
_SAME_CURVE = 0.0005
_WHITE_TOLERANCE = 0.15
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
        count = {CurveKind.PARAMETRIC: _PARAMETERS, CurveKind.TABLE: TABLE_POINTS}.get(self.kind, 0)
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
    chromaticities = _PRIMARIES.get(primaries)
    curve = _TRANSFERS.get(transfer)
    if chromaticities is None or curve is None:
        return None
    return _unless_srgb(ColorProfile((curve,), _matrix(*chromaticities)))


def from_png(gamma: int | None, chromaticities: Sequence[int] | None) -> ColorProfile | None:
    """Return what PNG's gAMA and cHRM say, both as stored (times 100,000); None for sRGB or what makes no sense.

    A gamma of 45,455 is how PNG writes sRGB's curve.
    """
    if gamma is None or not 1_000 <= gamma <= 1_000_000:
        return None
    curve = _SRGB_CURVE if abs(gamma - 45_455) <= 500 else _gamma(100_000 / gamma)
    try:
        matrix = SRGB_MATRIX
        if chromaticities:
            white, red, green, blue = _pairs(chromaticities)
            matrix = _matrix(red, green, blue, white)
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
    return spans and all(abs(sum(row) - white) <= _WHITE_TOLERANCE for row, white in zip(matrix, _D50, strict=True))


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
        return _gamma(1)
    if count == 1:
        return _gamma(struct.unpack_from(">H", tag, 12)[0] / 256)
    if len(tag) < 12 + 2 * count:
        raise ValueError("the curve breaks off")
    return _of_table(lambda n: struct.unpack_from(">H", tag, 12 + 2 * n)[0] / 65535, count)


def _parametric(kind: int, data: bytes) -> Curve:
    """Return a curve of one of ICC's five kinds (ICC.1, table 68)."""
    count = _PARAMETERS_OF.get(kind)
    if count is None:
        raise ValueError(f"a curve of an unknown kind {kind}")
    numbers = [value / 65536 for value in struct.unpack_from(f">{count}i", data)]
    g, a, b, c, d, e, f = numbers + [0.0] * (_PARAMETERS - count)
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
    usual = [_SRGB_CURVE, *([_gamma(round(math.log(middle, 0.5), 3))] if 0 < middle < 1 else [])]
    for curve in usual:
        if all(abs(curve(step / 256) - at(step / 256)) <= _SAME_CURVE for step in range(257)):
            return curve
    return Curve(CurveKind.TABLE, tuple(round(at(n / (TABLE_POINTS - 1)), 5) for n in range(TABLE_POINTS)))


def _gamma(exponent: float) -> Curve:
    return Curve(CurveKind.PARAMETRIC, (exponent, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0))


def _unless_srgb(profile: ColorProfile) -> ColorProfile | None:
    return None if is_srgb(profile) else profile


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
        for value, white in zip(xyz, _D50, strict=True)
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


def _matrix(
    red: tuple[float, float], green: tuple[float, float], blue: tuple[float, float], white: tuple[float, float]
) -> Matrix:
    """Return linear RGB to XYZ of primaries and white by their chromaticities, adapted to D50 (Bradford)."""
    points = [(x / y, 1.0, (1 - x - y) / y) for x, y in (red, green, blue)]
    light = (white[0] / white[1], 1.0, (1 - white[0] - white[1]) / white[1])
    basis: Matrix = tuple(zip(*points, strict=True))  # type: ignore[assignment]
    shares = _times(_inverse(basis), light)
    scaled: Matrix = tuple(tuple(a * b for a, b in zip(row, shares, strict=True)) for row in basis)  # type: ignore[assignment]
    before, after = _times(_BRADFORD, light), _times(_BRADFORD, _D50)
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
_PRIMARIES = {
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
_SRGB_CURVE = Curve(CurveKind.PARAMETRIC, (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045, 0.0, 0.0))
_TRANSFERS = {
    **dict.fromkeys((1, 6, 11, 13, 14, 15), _SRGB_CURVE),
    4: _gamma(2.2),
    5: _gamma(2.8),
    8: _gamma(1),
    16: Curve(CurveKind.PQ),
    18: Curve(CurveKind.HLG),
}
SRGB_MATRIX = _matrix(*_PRIMARIES[1])
_SRGB = ColorProfile((_SRGB_CURVE,), SRGB_MATRIX)
ADOBE_RGB = ColorProfile((_gamma(563 / 256),), _matrix((0.640, 0.330), (0.210, 0.710), (0.150, 0.060), _D65))
"""What EXIF means by a colour space of 65,535 and the interoperability index R03 (DCF 2.0, optional colour space)."""
_USUAL = {
    ColorSpace.DISPLAY_P3: ColorProfile((_SRGB_CURVE,), _matrix(*_PRIMARIES[12])),
    ColorSpace.ADOBE_RGB: ADOBE_RGB,
    ColorSpace.PROPHOTO_RGB: ColorProfile(
        (_gamma(1.8),), _matrix((0.734699, 0.265301), (0.159597, 0.840403), (0.036598, 0.000105), (0.345704, 0.358540))
    ),
    ColorSpace.BT_2020: ColorProfile((_SRGB_CURVE,), _matrix(*_PRIMARIES[9])),
}
