"""HEVC (ITU-T H.265) as an image item stores it.

That is its parameter sets and the slices of one picture, and nothing beside them.

What is left out: SEI messages, where encoders and cameras write text, other layers, filler and whatever is reserved.
"""

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dermis.shared.images.boxes import Bits, Numbers
from dermis.shared.images.formats import damaged

_VPS, _SPS, _PPS = 32, 33, 34
_SLICES = (*range(10), *range(16, 22))
_MOST_PARAMETER_SETS = 64
_CHROMA_STEPS = {0: (1, 1), 1: (2, 2), 2: (2, 1), 3: (1, 1)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Coded:
    """One coded image.

    `width` and `height` as decoded, `samples` that the decoder computes, `config` for its property box.
    """

    config: bytes
    payload: bytes
    width: int
    height: int
    samples: int
    bits: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sps:
    profile: bytes
    chroma: int
    coded: tuple[int, int]
    size: tuple[int, int]
    depths: tuple[int, int]


def rewrite(config: bytes, payload: bytes) -> Coded:
    """Return an image of the parameter sets and slices that `config` (hvcC) and `payload` hold.

    Lengths have 4 bytes.
    """
    reader = Numbers(config, 0, len(config))
    length_size = (reader.part(22)[21] & 3) + 1
    sets: dict[int, list[bytes]] = {_VPS: [], _SPS: [], _PPS: []}
    slices: list[bytes] = []
    for unit in _configured(reader):
        _sort(unit, sets, None)
    for unit in _stored(payload, length_size):
        _sort(unit, sets, slices)
    if not sets[_SPS] or not slices:
        raise damaged("the HEIC holds a coded image without its header or its data")
    headers = [_read_sps(unit) for unit in sets[_SPS]]
    largest = max(headers, key=lambda header: header.coded[0] * header.coded[1])
    return Coded(
        config=_config(headers[0], sets),
        payload=b"".join(struct.pack(">I", len(unit)) + unit for unit in slices),
        width=headers[0].size[0],
        height=headers[0].size[1],
        samples=largest.coded[0] * largest.coded[1],
        bits=8 + max(headers[0].depths),
    )


def _configured(reader: Numbers) -> Iterator[bytes]:
    for _ in range(reader.take(1)):
        reader.take(1)
        for _ in range(reader.take(2)):
            yield reader.part(reader.take(2))


def _stored(payload: bytes, length_size: int) -> Iterator[bytes]:
    reader = Numbers(payload, 0, len(payload))
    while reader.at < len(payload):
        yield reader.part(reader.take(length_size))


def _sort(unit: bytes, sets: dict[int, list[bytes]], slices: list[bytes] | None) -> None:
    """Put a NAL unit of the base layer where it belongs.

    A parameter set goes in once, a slice if it is of the first picture.
    """
    if len(unit) < 3 or (unit[0] & 1) << 5 | unit[1] >> 3:
        return
    kind = unit[0] >> 1 & 0x3F
    if kind in sets and unit not in sets[kind]:
        if sum(map(len, sets.values())) == _MOST_PARAMETER_SETS:
            raise damaged(f"the HEIC has more than {_MOST_PARAMETER_SETS} parameter sets")
        sets[kind].append(unit)
    elif slices is not None and kind in _SLICES:
        first_of_picture = unit[2] >> 7
        if bool(slices) != bool(first_of_picture):
            slices.append(unit)
        elif slices:
            raise damaged("the HEIC has an image of several pictures")


def _config(header: _Sps, sets: dict[int, list[bytes]]) -> bytes:
    """Return the content of hvcC (ISO/IEC 14496-15, 8.3.3.1), its numbers taken from the sequence's header."""
    lengths_of_4_bytes = 0x0F
    luma, chroma = header.depths
    fixed = (
        b"\1"
        + header.profile
        + bytes([0xF0, 0, 0xFC, 0xFC | header.chroma, 0xF8 | luma, 0xF8 | chroma, 0, 0, lengths_of_4_bytes])
    )
    arrays = [(kind, units) for kind, units in sets.items() if units]
    return fixed + bytes([len(arrays)]) + b"".join(_array(kind, units) for kind, units in arrays)


def _array(kind: int, units: Iterable[bytes]) -> bytes:
    content = list(units)
    return struct.pack(">BH", 0x80 | kind, len(content)) + b"".join(
        struct.pack(">H", len(unit)) + unit for unit in content
    )


def _read_sps(unit: bytes) -> _Sps:
    """Read a sequence parameter set (7.3.2.2) as far as size and depth."""
    content = unit[2:].replace(b"\0\0\3", b"\0\0")
    bits = Bits(content)
    bits.take(4)
    layers = bits.take(3)
    bits.take(1)
    bits.take(96)
    _skip_layers(bits, layers)
    bits.exp_golomb()
    chroma = bits.exp_golomb()
    if chroma not in _CHROMA_STEPS:
        raise damaged(f"the HEIC states a kind of colour, {chroma}, that doesn't exist")
    if chroma == 3:
        bits.take(1)
    width, height = bits.exp_golomb(), bits.exp_golomb()
    left, right, top, bottom = [bits.exp_golomb() for _ in range(4)] if bits.take(1) else [0] * 4
    across, down = _CHROMA_STEPS[chroma]
    depths = bits.exp_golomb(), bits.exp_golomb()
    if max(depths) > 8:
        raise damaged(f"the HEIC states {8 + max(depths)} bits a colour, which don't exist")
    size = width - across * (left + right), height - down * (top + bottom)
    return _Sps(profile=content[1:13], chroma=chroma, coded=(width, height), size=size, depths=depths)


def _skip_layers(bits: Bits, layers: int) -> None:
    """Pass what a sequence states about its temporal layers (7.3.3)."""
    stated = [(bits.take(1), bits.take(1)) for _ in range(layers)]
    if layers:
        bits.take(2 * (8 - layers))
    for profile, level in stated:
        bits.take(88 * profile + 8 * level)
