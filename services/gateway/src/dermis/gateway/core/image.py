"""What the gateway knows of an image without decoding it, and how it refuses one."""

from dataclasses import dataclass

from dermis.shared.errors import DermisError, Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Largest image that is taken in: pixels in all and on one side, both as the header states them."""

    pixels: int
    side: int

    def check(self, width: int, height: int) -> None:
        """Raise INVALID if an image of `width` x `height` pixels is empty or larger than the limits."""
        if width < 1 or height < 1:
            raise damaged(f"its header states {width} x {height} pixels")
        if max(width, height) > self.side or width * height > self.pixels:
            raise DermisError(
                Kind.INVALID,
                "IMAGE_DIMENSIONS",
                f"its header states {width} x {height} pixels; at most {self.pixels:,} in all and {self.side:,} on a side are taken:"
                " send a smaller copy",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanImage:
    """An image without metadata, its coded pixels untouched; width and height in pixels as stored, before `orientation` (EXIF, 1-8)."""

    content_type: str
    data: bytes
    width: int
    height: int
    orientation: int


def damaged(what: str) -> DermisError:
    """Return the refusal of an image that breaks off or breaks its format."""
    return DermisError(Kind.INVALID, "IMAGE_DAMAGED", f"{what}; it is damaged or cut off: send the whole image again")


def unsupported(what: str) -> DermisError:
    """Return the refusal of an image of a kind that can't be read."""
    return DermisError(Kind.UNSUPPORTED, "IMAGE_FORMAT", f"{what}; send a JPEG, PNG, WebP or HEIC image")
