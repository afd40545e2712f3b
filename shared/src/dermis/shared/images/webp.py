"""WebP (RFC 9649) by its chunks: one frame and its transparency are kept, coded pixels are untouched."""

from collections.abc import Iterator

from dermis.shared.images.exif import read_exif
from dermis.shared.images.formats import Format, ImageHeader, Walk, damaged
from dermis.shared.images.icc import ColorTags, color_of

_ALPHA = 0x10
_FRAMES = (b"VP8 ", b"VP8L")
_ANIMATION_FRAME_BYTES = 16
_MOST_CHUNKS = 65_536


def is_webp(data: bytes) -> bool:
    return data[:4] == b"RIFF" and data[8:12] == b"WEBP"


def walk(data: bytes) -> Walk:
    """Walk a WebP; of an animation the first frame is kept.

    The RIFF's own length counts for nothing where the chunks are whole.
    """
    canvas: bytes | None = None
    picture: list[tuple[bytes, bytes]] = []
    tags: dict[bytes, bytes] = {}
    for kind, body in _chunks(data, 12):
        if kind == b"VP8X":
            canvas = canvas or body
        elif kind == b"ANMF" and not picture:
            canvas = None  # the frame states its own size
            picture = _picture(_chunks(body, _ANIMATION_FRAME_BYTES))
        elif kind in (*_FRAMES, b"ALPH") and not _has_frame(picture):
            picture.append((kind, body))
        else:
            tags.setdefault(kind, body)
    picture = _picture(iter(picture))
    header = _header(picture, tags)
    if canvas is not None and _canvas(canvas) != (header.width, header.height):
        raise damaged("the WebP holds no picture of the size that it states")
    return Walk(header=header, pieces=tuple(_pieces(picture, header)))


def _chunks(data: bytes, at: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield the kind and content of each chunk that is whole, up to the first that is not."""
    for _ in range(_MOST_CHUNKS):
        if at + 8 > len(data):
            return
        end = at + 8 + int.from_bytes(data[at + 4 : at + 8], "little")
        if end > len(data):
            return
        yield data[at : at + 4], data[at + 8 : end]
        at = end + end % 2
    raise damaged(f"the WebP has more than {_MOST_CHUNKS:,} chunks")


def _has_frame(picture: list[tuple[bytes, bytes]]) -> bool:
    return any(kind in _FRAMES for kind, _ in picture)


def _picture(chunks: Iterator[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return transparency, where there is one before a lossy frame, and the frame."""
    alpha: list[tuple[bytes, bytes]] = []
    for kind, body in chunks:
        if kind == b"ALPH" and not alpha:
            alpha = [(kind, body)]
        elif kind == b"VP8 ":
            return [*alpha, (kind, body)]
        elif kind == b"VP8L":
            return [(kind, body)]
    raise damaged("the WebP breaks off before its picture ends")


def _header(picture: list[tuple[bytes, bytes]], tags: dict[bytes, bytes]) -> ImageHeader:
    kind, body = picture[-1]
    width, height, alpha = _lossy(body) if kind == b"VP8 " else _lossless(body)
    return ImageHeader(
        format=Format.WEBP,
        width=width,
        height=height,
        channels=4 if alpha or len(picture) == 2 else 3,
        frame="lossy" if kind == b"VP8 " else "lossless",
        orientation=read_exif(tags.get(b"EXIF", b"")).orientation or 1,
        color=color_of(ColorTags(icc=tags.get(b"ICCP", b""))),
    )


def _pieces(picture: list[tuple[bytes, bytes]], header: ImageHeader) -> Iterator[bytes]:
    if len(picture) == 2:
        size = (header.width - 1).to_bytes(3, "little") + (header.height - 1).to_bytes(3, "little")
        picture = [(b"VP8X", bytes([_ALPHA, 0, 0, 0]) + size), *picture]
    chunks = [
        part
        for kind, body in picture
        for part in (kind, len(body).to_bytes(4, "little"), body, b"\0" * (len(body) % 2))
    ]
    yield b"RIFF" + (4 + sum(map(len, chunks))).to_bytes(4, "little") + b"WEBP"
    yield from chunks


def _canvas(body: bytes) -> tuple[int, int]:
    if len(body) < 10:
        raise damaged("the WebP's header is too short")
    return 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")


def _lossy(body: bytes) -> tuple[int, int, bool]:
    if len(body) < 10 or body[0] & 1 or body[3:6] != b"\x9d\x01\x2a":
        raise damaged("the WebP's frame header is broken")
    return int.from_bytes(body[6:8], "little") & 0x3FFF, int.from_bytes(body[8:10], "little") & 0x3FFF, False


def _lossless(body: bytes) -> tuple[int, int, bool]:
    if len(body) < 5 or body[0] != 0x2F:
        raise damaged("the WebP's frame header is broken")
    bits = int.from_bytes(body[1:5], "little")
    return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF), bool(bits >> 28 & 1)
