"""WebP (RFC 9649) by its chunks: metadata chunks left out and the header's flags set right, coded pixels untouched."""

from collections.abc import Iterator

from dermis.gateway.core.exif import orientation
from dermis.gateway.core.image import CleanImage, Limits, damaged, unsupported

_ALPHA, _ANIMATION = 0x10, 0x02
_EXIF_HEADER = b"Exif\0\0"


def is_webp(data: bytes) -> bool:
    return data[:4] == b"RIFF" and data[8:12] == b"WEBP"


def clean(data: bytes, limits: Limits) -> CleanImage:
    """Return the image with nothing but its frame and transparency; an animation is refused."""
    kept: list[bytes] = []
    size: tuple[int, int] | None = None
    canvas: tuple[int, int] | None = None
    turned = 1
    for kind, body, chunk in _chunks(data):
        if kind == b"VP8X" and canvas is None and not kept:
            canvas = _canvas(body, limits)
            kept.append(chunk[:8] + bytes([body[0] & _ALPHA]) + b"\0\0\0" + body[4:10])
        elif kind in (b"VP8 ", b"VP8L") and size is None:
            size = _lossy(body) if kind == b"VP8 " else _lossless(body)
            limits.check(*size)
            kept.append(chunk)
        elif kind == b"ALPH" and size is None:
            kept.append(chunk)
        elif kind == b"EXIF":
            turned = orientation(body.removeprefix(_EXIF_HEADER))
        elif kind in (b"ANIM", b"ANMF"):
            raise unsupported("the WebP is an animation")
    if size is None or (canvas is not None and canvas != size):
        raise damaged("the WebP holds no picture of the size that it states")
    content = b"WEBP" + b"".join(kept)
    return CleanImage(
        content_type="image/webp",
        data=b"RIFF" + len(content).to_bytes(4, "little") + content,
        width=size[0],
        height=size[1],
        orientation=turned,
    )


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Yield each chunk's kind, content and bytes with padding; what follows the RIFF is left out."""
    whole = 8 + int.from_bytes(data[4:8], "little")
    at = 12
    while at < whole:
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        end = at + 8 + length
        if end > min(whole, len(data)):
            raise damaged("the WebP breaks off before its end")
        yield data[at : at + 4], data[at + 8 : end], data[at:end] + b"\0" * (length % 2)
        at = end + length % 2


def _canvas(body: bytes, limits: Limits) -> tuple[int, int]:
    if len(body) < 10:
        raise damaged("the WebP's header is too short")
    width, height = 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")
    limits.check(width, height)
    if body[0] & _ANIMATION:
        raise unsupported("the WebP is an animation")
    return width, height


def _lossy(body: bytes) -> tuple[int, int]:
    if len(body) < 10 or body[0] & 1 or body[3:6] != b"\x9d\x01\x2a":
        raise damaged("the WebP's frame header is broken")
    return int.from_bytes(body[6:8], "little") & 0x3FFF, int.from_bytes(body[8:10], "little") & 0x3FFF


def _lossless(body: bytes) -> tuple[int, int]:
    if len(body) < 5 or body[0] != 0x2F:
        raise damaged("the WebP's frame header is broken")
    bits = int.from_bytes(body[1:5], "little")
    return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
