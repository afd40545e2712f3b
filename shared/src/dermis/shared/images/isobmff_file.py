"""A HEIC or AVIF of one image, with the boxes that decoding it needs and no others."""

import struct
from collections.abc import Iterable
from dataclasses import replace

from dermis.shared.images.boxes import box, full_box
from dermis.shared.images.geometry import View, whole
from dermis.shared.images.isobmff import Item, Nclx, StillImage, parts

_FILE_TYPES = {b"hvc1": (b"heic", b"mif1", b"heic"), b"av01": (b"avif", b"avif", b"mif1", b"miaf")}
_CONFIGS = {b"hvc1": b"hvcC", b"av01": b"av1C"}
_ALPHA = {b"hvc1": b"urn:mpeg:hevc:2015:auxid:1\0", b"av01": b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0"}
_UNSPECIFIED = 2
_ESSENTIAL = {b"hvcC", b"av1C", b"clap", b"irot", b"imir", b"a1op", b"lsel"}


def write(image: StillImage, *, view: View | None = None) -> bytes:
    """Return the file of an image, shown as `view` says (default: as the image says); its `icc` is left out.

    Whatever file an image was read from, the bytes depend on the image alone: reading and writing them again changes
    nothing.
    """
    items = parts(image.root)
    numbers = {id(item): number for number, item in enumerate(items, start=1)}
    masters = {id(item.alpha): item for item in items if item.alpha}
    properties = [_properties(item, image, alpha=id(item) in masters) for item in items]
    properties[0] += _transforms(image.root, view or image.view)
    start = box(b"ftyp", _FILE_TYPES[image.codec][0], bytes(4), *_FILE_TYPES[image.codec][1:])
    offsets, payload = _place([item.payload for item in items])

    def meta(base: int) -> bytes:
        return full_box(
            b"meta",
            full_box(b"hdlr", bytes(4), b"pict", bytes(13)),
            full_box(b"pitm", b"\0\1"),
            _iloc((base + offset, len(item.payload)) for offset, item in zip(offsets, items, strict=True)),
            full_box(
                b"iinf",
                struct.pack(">H", len(items)),
                *(_infe(number, item.kind) for number, item in enumerate(items, start=1)),
            ),
            *_iref(items, numbers),
            _iprp(properties),
        )

    base = len(start) + len(meta(0)) + 8
    return start + meta(base) + box(b"mdat", payload)


def _place(payloads: list[bytes]) -> tuple[list[int], bytes]:
    """Return where each payload begins, equal ones at the same place, and all of them in one."""
    places: dict[bytes, int] = {}
    end = 0
    for payload in payloads:
        if payload not in places:
            places[payload] = end
            end += len(payload)
    return [places[payload] for payload in payloads], b"".join(places)


def _properties(item: Item, image: StillImage, *, alpha: bool) -> list[bytes]:
    out = [full_box(b"ispe", struct.pack(">II", item.width, item.height))]
    if item.config:
        out.append(box(_CONFIGS[item.kind], item.config))
    if item.depths:
        out.append(full_box(b"pixi", bytes([len(item.depths)]), item.depths))
    if item.nclx:  # where the file had a profile, that counts for the colours: of these numbers only the matrix does
        out.append(_nclx(replace(item.nclx, primaries=_UNSPECIFIED, transfer=_UNSPECIFIED) if image.icc else item.nclx))
    if alpha:
        out.append(full_box(b"auxC", _ALPHA[image.codec]))
    return out + [box(kind, content) for kind, content in item.layers]


def _nclx(colour: Nclx) -> bytes:
    numbers = struct.pack(">HHHB", colour.primaries, colour.transfer, colour.matrix, 0x80 * colour.full_range)
    return box(b"colr", b"nclx", numbers)


def _transforms(root: Item, view: View) -> list[bytes]:
    """Return the properties that show `view`, in the order that MIAF asks for: crop, turn, mirror."""
    out, crop = [], view.crop
    if crop != whole(root.width, root.height).crop:
        across, down = 2 * crop.left + crop.width - root.width, 2 * crop.top + crop.height - root.height
        out.append(box(b"clap", struct.pack(">IIIIiIiI", crop.width, 1, crop.height, 1, across, 2, down, 2)))
    turns = -view.turns % 4 if view.mirrored else view.turns  # here the turn comes first and the mirror after it
    if turns:
        out.append(box(b"irot", bytes([turns])))
    if view.mirrored:
        out.append(box(b"imir", b"\1"))
    return out


def _iloc(places: Iterable[tuple[int, int]]) -> bytes:
    rows = [struct.pack(">HHHII", number, 0, 1, *place) for number, place in enumerate(places, start=1)]
    return full_box(b"iloc", b"\x44\0", struct.pack(">H", len(rows)), *rows)


def _infe(number: int, kind: bytes) -> bytes:
    return full_box(b"infe", struct.pack(">HH4s", number, 0, kind), b"\0", version=2)


def _iref(items: list[Item], numbers: dict[int, int]) -> list[bytes]:
    links = []
    for item in items:
        own = numbers[id(item)]
        if item.inputs:
            links.append(_link(b"dimg", own, [numbers[id(each)] for each in item.inputs]))
        if item.alpha:
            links.append(_link(b"auxl", numbers[id(item.alpha)], [own]))
            if item.premultiplied:
                links.append(_link(b"prem", own, [numbers[id(item.alpha)]]))
    return [full_box(b"iref", *links)] if links else []


def _link(kind: bytes, source: int, targets: list[int]) -> bytes:
    return box(kind, struct.pack(f">HH{len(targets)}H", source, len(targets), *targets))


def _iprp(properties: list[list[bytes]]) -> bytes:
    """Return all properties, equal ones once, and which item has which; more than 127 take indexes of two bytes."""
    indexes: dict[bytes, int] = {}
    for each in properties:
        for one in each:
            indexes.setdefault(one, len(indexes) + 1)
    wide = len(indexes) > 127
    rows = [
        struct.pack(">HB", number, len(each))
        + b"".join(_index(indexes[one], one[4:8] in _ESSENTIAL, wide=wide) for one in each)
        for number, each in enumerate(properties, start=1)
    ]
    return box(b"iprp", box(b"ipco", *indexes), full_box(b"ipma", struct.pack(">I", len(rows)), *rows, flags=int(wide)))


def _index(index: int, essential: bool, *, wide: bool) -> bytes:
    return struct.pack(">H", essential << 15 | index) if wide else bytes([essential << 7 | index])
