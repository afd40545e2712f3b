"""AV1 as an image item stores it: its sequence header and its frames, and nothing beside them.

What is left out: metadata, where text may stand, padding, delimiters, and whatever is reserved.
Source: AV1 Bitstream & Decoding Process Specification, 5.3-5.5; AV1 Codec ISO Media File Format Binding, 2.3.
"""

from collections.abc import Iterator

from dermis.shared.images.boxes import Bits, Numbers
from dermis.shared.images.formats import damaged
from dermis.shared.images.hevc import Coded

_SEQUENCE, _FRAME_HEADER, _TILES, _FRAME = 1, 3, 4, 6


def rewrite(config: bytes, payload: bytes) -> Coded:
    """Return an image of the sequence header and frames that `config` (av1C) and `payload` hold, each with its size."""
    reader = Numbers(config, 0, len(config))
    fixed = reader.part(4)
    headers = [content for kind, _, content in _units(reader.rest()) if kind == _SEQUENCE]
    units = list(_units(payload))
    headers = [content for kind, _, content in units if kind == _SEQUENCE] or headers
    frames = [
        (kind, extension, content) for kind, extension, content in units if kind in (_FRAME_HEADER, _TILES, _FRAME)
    ]
    if not headers or not frames:
        raise damaged("the AVIF holds a coded image without its header or its data")
    if any(header != headers[0] for header in headers):
        raise damaged("the AVIF has an image with two headers that differ")
    width, height = _size(headers[0])
    pictures = sum(kind != _TILES for kind, _, _ in frames)
    return Coded(
        config=bytes([0x81, fixed[1], fixed[2], 0]),
        payload=_unit(_SEQUENCE, b"", headers[0]) + b"".join(_unit(*frame) for frame in frames),
        width=width,
        height=height,
        samples=width * height * pictures,
        bits=(12 if fixed[2] & 0x20 else 10) if fixed[2] & 0x40 else 8,
    )


def _units(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield kind, extension (empty or one byte) and content of each unit; the last may go without its size."""
    reader = Numbers(data, 0, len(data))
    while reader.at < len(data):
        header = reader.take(1)
        extension = reader.part(1) if header & 4 else b""
        yield header >> 3 & 15, extension, reader.part(_leb128(reader)) if header & 2 else reader.rest()


def _unit(kind: int, extension: bytes, content: bytes) -> bytes:
    size, length = b"", len(content)
    while length > 127:
        size, length = size + bytes([length & 127 | 128]), length >> 7
    return bytes([kind << 3 | bool(extension) << 2 | 2]) + extension + size + bytes([length]) + content


def _leb128(reader: Numbers) -> int:
    value = 0
    for place in range(8):
        byte = reader.take(1)
        value |= (byte & 127) << 7 * place
        if byte < 128:
            return value
    raise damaged("the AVIF has a unit whose size breaks off")


def _size(header: bytes) -> tuple[int, int]:
    """Read a sequence header (5.5.1) as far as the largest width and height of a frame."""
    bits = Bits(header)
    bits.take(4)
    if bits.take(1):
        bits.take(5)
    else:
        _skip_timing_and_operating_points(bits)
    across, down = bits.take(4) + 1, bits.take(4) + 1
    return bits.take(across) + 1, bits.take(down) + 1


def _skip_timing_and_operating_points(bits: Bits) -> None:
    delay_bits = 0
    if bits.take(1):
        bits.take(64)
        if bits.take(1):
            bits.exp_golomb()
        if bits.take(1):
            delay_bits = bits.take(5) + 1
            bits.take(42)
    display_delay = bits.take(1)
    for _ in range(bits.take(5) + 1):
        bits.take(12)
        if bits.take(5) > 7:
            bits.take(1)
        if delay_bits and bits.take(1):
            bits.take(2 * delay_bits + 1)
        if display_delay and bits.take(1):
            bits.take(4)
