"""Colour profiles, read down to numbers."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ColorProfile:
    """How an image's numbers become colours, where they are not sRGB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ColorTags:
    """What an image's container says of its colours, as the walkers come across it; `icc` as embedded, not inflated in a PNG.

    `cicp`: primaries, transfer, matrix, full range (ITU-T H.273); `gamma` PNG's gAMA x 100,000; `chromaticities` the eight
    numbers of PNG's cHRM x 100,000; `srgb`: the container states sRGB (PNG's chunk, EXIF's ColorSpace 1); `adobe_rgb`: EXIF's
    interoperability index is R03 with an uncalibrated ColorSpace.
    """

    icc: bytes = b""
    cicp: tuple[int, int, int, int] | None = None
    gamma: int | None = None
    chromaticities: tuple[int, ...] = ()
    srgb: bool = False
    adobe_rgb: bool = False


def color_of(tags: ColorTags) -> ColorProfile | None:
    """Return the profile that an image states, None for sRGB or where it states none."""
    return None
