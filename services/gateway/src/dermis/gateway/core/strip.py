"""From the bytes that came in to an image that may be stored, without decoding it."""

from dermis.gateway.core import heic, jpeg, png, webp
from dermis.gateway.core.image import CleanImage, Limits, unsupported

_KNOWN = {b"%PDF": "a PDF", b"GIF8": "a GIF", b"II*\0": "a TIFF or raw image", b"MM\0*": "a TIFF or raw image", b"PK\3\4": "a ZIP archive"}


def clean_image(data: bytes, limits: Limits) -> CleanImage:
    """Return the image without metadata; the format is told by the content, never by a name.

    Raises UNSUPPORTED for a format that can't be read, INVALID for an image that is damaged or too large by its header.
    """
    if data.startswith(jpeg.MAGIC):
        return jpeg.clean(data, limits)
    if data.startswith(png.MAGIC):
        return png.clean(data, limits)
    if webp.is_webp(data):
        return webp.clean(data, limits)
    if heic.is_heic(data):
        return heic.clean(data, limits)
    if data[4:8] == b"ftyp":
        raise unsupported("it is an AVIF image, a sequence or a film: let the phone save or share it as JPEG")
    raise unsupported(f"it is {_KNOWN.get(data[:4], 'no image that can be read')}, whatever its name says")
