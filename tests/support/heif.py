"""HEIC and AVIF files put together box by box around images that are already coded, with whatever else a file may hold.

No encoder of HEVC is needed: `generated.heic` and `tile.heic` beside this file were coded once, of generated images.
"""

import io
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from PIL import Image as Pillow

from dermis.shared.images.boxes import box, full_box
from dermis.shared.images.isobmff import read
from tests.support.images import Pixels

GENERATED = (Path(__file__).parent / "generated.heic").read_bytes()
"""A generated image of 450 x 602 pixels, to be turned by 270 degrees, as libheif writes it.

It has EXIF (GPS, orientation 6) and XMP.
"""
ALPHA = b"urn:mpeg:hevc:2015:auxid:1\0"
DEPTH = b"urn:mpeg:hevc:2015:auxid:2\0"
GAIN_MAP = b"urn:com:apple:photo:2020:aux:hdrgainmap\0"


@dataclass(frozen=True, kw_only=True)
class Part:
    """One item as it is written: its number is its place in the list, from 1 on.

    `links` go to other numbers by kind.
    """

    kind: bytes
    payload: bytes
    properties: tuple[bytes, ...] = ()
    links: tuple[tuple[bytes, tuple[int, ...]], ...] = ()
    name: bytes = b""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How a file is laid out around its items."""

    primary: int = 1
    brands: tuple[bytes, ...] = (b"heic", b"mif1", b"heic")
    method: int = 0
    iloc_version: int = 1
    handler: bytes = b""
    in_meta: tuple[bytes, ...] = ()
    before: tuple[bytes, ...] = ()
    after: tuple[bytes, ...] = ()
    trailing: bytes = b""
    wide_sizes: bool = False
    pieces: int = 1
    essential: frozenset[bytes] = field(default=frozenset({b"hvcC", b"av1C", b"clap", b"irot", b"imir"}))


def coded(
    data: bytes = GENERATED,
    *extra: bytes,
    kind: bytes = b"hvc1",
    size: tuple[int, int] | None = None,
    **options: Any,
) -> Part:
    """Return the primary image of a file as a part, with `extra` properties behind its own.

    `size` is what `ispe` states.
    """
    root = read(data).root
    config = box(b"av1C" if root.kind == b"av01" else b"hvcC", root.config)
    kind = root.kind if root.kind == b"av01" else kind
    return Part(
        kind=kind,
        payload=root.payload,
        properties=(config, ispe(*(size or (root.width, root.height))), *extra),
        **options,
    )  # type: ignore[arg-type]


def avif(image: Pixels, *, alpha: Pixels | None = None, **options: Any) -> bytes:
    """Encode as AVIF by Pillow."""
    picture = Pillow.fromarray(image)
    if alpha is not None:
        picture.putalpha(Pillow.fromarray(alpha))
    out = io.BytesIO()
    picture.save(out, "AVIF", **{"quality": 90, "speed": 10, **options})
    return out.getvalue()


def ispe(width: int, height: int) -> bytes:
    return full_box(b"ispe", struct.pack(">II", width, height))


def irot(turns: int) -> bytes:
    return box(b"irot", bytes([turns]))


def imir(axis: int) -> bytes:
    return box(b"imir", bytes([axis]))


def clap(*numbers: int) -> bytes:
    """Return a crop; `numbers` are numerator and denominator of width, height and the two offsets."""
    return box(b"clap", struct.pack(">IIIIiIiI", *numbers))


def aux(name: bytes) -> bytes:
    return full_box(b"auxC", name)


def nclx(primaries: int, transfer: int, matrix: int, full: bool = True) -> bytes:
    return box(b"colr", b"nclx", struct.pack(">HHHB", primaries, transfer, matrix, 0x80 * full))


def profile(content: bytes) -> bytes:
    return box(b"colr", b"prof", content)


def grid(rows: int, columns: int, width: int, height: int, tiles: Sequence[int], *extra: bytes) -> Part:
    payload = struct.pack(">BBBBII", 0, 1, rows - 1, columns - 1, width, height)
    return Part(
        kind=b"grid", payload=payload, properties=(ispe(width, height), *extra), links=((b"dimg", tuple(tiles)),)
    )


def overlay(width: int, height: int, offsets: Sequence[tuple[int, int]], layers: Sequence[int], *extra: bytes) -> Part:
    """Return an overlay on a canvas of opaque red."""
    places = [number for place in offsets for number in place]
    payload = struct.pack(f">BB4HII{len(places)}i", 0, 1, 0xFFFF, 0, 0, 0xFFFF, width, height, *places)
    return Part(
        kind=b"iovl", payload=payload, properties=(ispe(width, height), *extra), links=((b"dimg", tuple(layers)),)
    )


def compose(*items: Part, layout: Layout | None = None) -> bytes:
    """Return the file."""
    layout = layout or Layout()
    start = _sized(layout, b"ftyp", layout.brands[0], bytes(4), *layout.brands[1:]) + b"".join(layout.before)
    payload = b"".join(item.payload for item in items)

    def meta(base: int) -> bytes:
        inside = [
            full_box(b"hdlr", bytes(4), b"pict", bytes(12), layout.handler, b"\0"),
            full_box(b"pitm", struct.pack(">H", layout.primary)),
            _iloc(items, layout, base),
            full_box(
                b"iinf",
                struct.pack(">H", len(items)),
                *(_infe(number, item) for number, item in enumerate(items, start=1)),
            ),
            *_iref(items),
            _iprp(items, layout),
            *layout.in_meta,
        ]
        return full_box(b"meta", *inside, *([box(b"idat", payload)] if layout.method else []))

    base = 0 if layout.method else len(start) + len(meta(0)) + (16 if layout.wide_sizes else 8)
    content = _sized(layout, b"mdat", b"" if layout.method else payload)
    return start + meta(base) + content + b"".join(layout.after) + layout.trailing


def _sized(layout: Layout, kind: bytes, *content: bytes) -> bytes:
    body = b"".join(content)
    return struct.pack(">I4sQ", 1, kind, 16 + len(body)) + body if layout.wide_sizes else box(kind, body)


def _iloc(items: Sequence[Part], layout: Layout, base: int) -> bytes:
    rows = []
    for number, item in enumerate(items, start=1):
        edges = [base + len(item.payload) * at // layout.pieces for at in range(layout.pieces + 1)]
        method = struct.pack(">H", layout.method) if layout.iloc_version else b""
        rows.append(
            struct.pack(">I" if layout.iloc_version == 2 else ">H", number)
            + method
            + struct.pack(">HH", 0, layout.pieces)
        )
        rows += [struct.pack(">II", low, high - low) for low, high in pairwise(edges)]
        base += len(item.payload)
    count = struct.pack(">I" if layout.iloc_version == 2 else ">H", len(items))
    return full_box(b"iloc", b"\x44\0", count, *rows, version=layout.iloc_version)


def _infe(number: int, item: Part) -> bytes:
    mime = b"application/rdf+xml\0" if item.kind == b"mime" else b""
    return full_box(b"infe", struct.pack(">HH4s", number, 0, item.kind), item.name, b"\0", mime, version=2)


def _iref(items: Sequence[Part]) -> list[bytes]:
    links = [
        box(kind, struct.pack(f">HH{len(targets)}H", number, len(targets), *targets))
        for number, item in enumerate(items, start=1)
        for kind, targets in item.links
    ]
    return [full_box(b"iref", *links)] if links else []


def _iprp(items: Sequence[Part], layout: Layout) -> bytes:
    indexes: dict[bytes, int] = {}
    for item in items:
        for one in item.properties:
            indexes.setdefault(one, len(indexes) + 1)
    rows = [
        struct.pack(">HB", number, len(item.properties))
        + b"".join(struct.pack(">H", (one[4:8] in layout.essential) << 15 | indexes[one]) for one in item.properties)
        for number, item in enumerate(items, start=1)
    ]
    return box(b"iprp", box(b"ipco", *indexes), full_box(b"ipma", struct.pack(">I", len(rows)), *rows, flags=1))
