"""Crop, turn and mirror of an image item (ISO/IEC 23008-12, 6.5.9-6.5.12) as one crop and one orientation."""

from dataclasses import dataclass
from fractions import Fraction
from math import floor

from dermis.shared.images.formats import damaged

_ORIENTATIONS = {(0, 0): 1, (0, 1): 2, (2, 0): 3, (2, 1): 4, (1, 1): 5, (3, 0): 6, (3, 1): 7, (1, 0): 8}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rectangle:
    """Pixels from `left` and `top` on."""

    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What is shown of an image.

    The pixels of `crop`, then mirrored left to right if `mirrored`, then turned anticlockwise `turns` times.
    """

    crop: Rectangle
    turns: int = 0
    mirrored: int = 0

    @property
    def orientation(self) -> int:
        """The same as EXIF's number, 1-8."""
        return _ORIENTATIONS[self.turns, self.mirrored]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height as they are shown."""
        return (self.crop.height, self.crop.width) if self.turns % 2 else (self.crop.width, self.crop.height)

    def turned(self, times: int) -> "View":
        return View(crop=self.crop, turns=(self.turns + times) % 4, mirrored=self.mirrored)

    def flipped(self, *, left_to_right: bool) -> "View":
        return View(crop=self.crop, turns=((0 if left_to_right else 2) - self.turns) % 4, mirrored=1 - self.mirrored)

    def cropped(self, part: Rectangle) -> "View":
        """Return the view of a part of what is shown."""
        left, top, width, height = part.left, part.top, part.width, part.height
        shown_height = self.size[1]
        for _ in range(self.turns):
            left, top, width, height, shown_height = (
                shown_height - top - height,
                left,
                height,
                width,
                self._other_side(shown_height),
            )
        if self.mirrored:
            left = self.crop.width - left - width
        crop = Rectangle(left=self.crop.left + left, top=self.crop.top + top, width=width, height=height)
        return View(crop=crop, turns=self.turns, mirrored=self.mirrored)

    def _other_side(self, side: int) -> int:
        return self.crop.width + self.crop.height - side


def whole(width: int, height: int) -> View:
    return View(crop=Rectangle(left=0, top=0, width=width, height=height))


def clean_aperture(size: tuple[int, int], numbers: tuple[int, ...]) -> Rectangle:
    """Return the pixels that a clean aperture (ISO/IEC 14496-12, 12.1.4) names in an image of `size`.

    `numbers` are numerator and denominator of width, height, horizontal and vertical offset of the centre. An edge
    within a pixel goes to the nearest one, and what lies outside of the image is left out.
    """
    if not all(numbers[1::2]):
        raise damaged("the image is cropped by a fraction without a denominator")
    width, height, across, down = (Fraction(numbers[at], numbers[at + 1]) for at in (0, 2, 4, 6))
    left, right = _edges(size[0], width, across)
    top, bottom = _edges(size[1], height, down)
    if left >= right or top >= bottom:
        raise damaged("the image is cropped to nothing")
    return Rectangle(left=left, top=top, width=right - left, height=bottom - top)


def _edges(side: int, length: Fraction, offset: Fraction) -> tuple[int, int]:
    start = offset + (side - length) / 2
    low, high = (floor(edge + Fraction(1, 2)) for edge in (start, start + length))
    return max(low, 0), min(high, side)
