"""Small photos with all metadata that Pillow can write, as fixtures."""

import io

import piexif
import pytest
from PIL import Image, PngImagePlugin


def _picture(mode: str = "RGB", size: tuple[int, int] = (60, 40)) -> Image.Image:
    gradient = Image.linear_gradient("L").resize(size)
    return Image.merge("RGB", (gradient, gradient.rotate(90), gradient.rotate(180))).convert(mode)


@pytest.fixture(scope="session")
def exif() -> bytes:
    """EXIF with orientation 6, a place, a time, an owner and a thumbnail."""
    thumbnail = io.BytesIO()
    _picture(size=(16, 16)).save(thumbnail, "JPEG")
    return piexif.dump(
        {
            "0th": {piexif.ImageIFD.Orientation: 6, piexif.ImageIFD.Artist: b"SECRET-OWNER"},
            "Exif": {
                piexif.ExifIFD.DateTimeOriginal: b"2026:01:01 00:00:00",
                piexif.ExifIFD.UserComment: b"SECRET-NOTE",
            },
            "GPS": {piexif.GPSIFD.GPSLatitude: ((48, 1), (8, 1), (0, 1)), piexif.GPSIFD.GPSLatitudeRef: b"N"},
            "1st": {piexif.ImageIFD.Compression: 6},
            "thumbnail": thumbnail.getvalue(),
        }
    )


@pytest.fixture(scope="session")
def jpeg(exif: bytes) -> bytes:
    """A JPEG with all metadata that Pillow can write, and bytes after its end."""
    out = io.BytesIO()
    _picture().save(out, "JPEG", exif=exif, comment=b"SECRET-COMMENT", icc_profile=b"SECRET-PROFILE" * 9, quality=90)
    return out.getvalue() + b"SECRET-TRAILER"


@pytest.fixture(scope="session")
def png(exif: bytes) -> bytes:
    """A PNG with text, time of day, EXIF and bytes after its end."""
    out, text = io.BytesIO(), PngImagePlugin.PngInfo()
    text.add_text("Author", "SECRET-AUTHOR")
    text.add_text("Comment", "SECRET-COMMENT" * 20, zip=True)
    text.add_itxt("XML:com.adobe.xmp", "SECRET-XMP")
    _picture("RGBA").save(out, "PNG", pnginfo=text, exif=exif, icc_profile=b"SECRET-PROFILE" * 9, dpi=(72, 72))
    return out.getvalue() + b"SECRET-TRAILER"


@pytest.fixture(scope="session")
def webp(exif: bytes) -> bytes:
    """A WebP with EXIF, XMP and a profile, and bytes after its end."""
    out = io.BytesIO()
    _picture("RGBA").save(out, "WEBP", exif=exif, xmp=b"SECRET-XMP", icc_profile=b"SECRET-PROFILE" * 9)
    return out.getvalue() + b"SECRET-TRAILER"
