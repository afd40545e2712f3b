"""HEIC and AVIF (ISO/IEC 23008-12; AV1 Image File Format): the primary image alone, read and written anew.

Only what the image is decoded from is taken over: the tree of its items (tiles, overlaid images, transparency), of
their properties those of a fixed size, and of the coded data the headers and frames. Names, addresses, profiles, other
images, Exif, XMP and whatever else a file may hold are not read, and so can't be written.
"""

import struct
from dataclasses import dataclass, field, replace

from dermis.shared.images import av1, hevc
from dermis.shared.images.boxes import Numbers, file_boxes
from dermis.shared.images.formats import damaged, unsupported
from dermis.shared.images.geometry import View, clean_aperture, whole
from dermis.shared.images.items import Items, Property, read_items

MOST_ITEMS = 1000
"""Most images that one may be made of: as many as libheif opens."""
_MOST_LEVELS = 4
_MOST_BRANDS = 256
_BRANDS = {
    b"mif1",
    b"mif2",
    b"msf1",
    b"miaf",
    b"heic",
    b"heix",
    b"heim",
    b"heis",
    b"hevc",
    b"hevx",
    b"hevm",
    b"hevs",
    b"avif",
    b"avis",
}
_REWRITERS = {b"hvc1": hevc.rewrite, b"hev1": hevc.rewrite, b"av01": av1.rewrite}
_PROPERTIES = {
    b"hvcC",
    b"av1C",
    b"ispe",
    b"pixi",
    b"pasp",
    b"colr",
    b"auxC",
    b"clap",
    b"irot",
    b"imir",
    b"a1op",
    b"lsel",
    b"clli",
    b"mdcv",
}
_ALPHA = {b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha", b"urn:mpeg:hevc:2015:auxid:1", b"urn:mpeg:avc:2015:auxid:1"}
_OTHER_CODECS = {
    b"jpeg": "JPEG",
    b"avc1": "H.264",
    b"vvc1": "H.266",
    b"evc1": "EVC",
    b"j2k1": "JPEG 2000",
    b"unci": "uncompressed pixels",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Nclx:
    """Primaries, transfer curve and matrix by their numbers (ITU-T H.273), and whether values use the full range."""

    primaries: int
    transfer: int
    matrix: int
    full_range: bool


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Item:
    """One image, with its transparency.

    It is coded (`config` and `payload` as `codec` has them) or made of `inputs` (grid, iovl).

    `width` and `height` are its own; `samples` is the number of pixels that decoding it computes and `coded_bytes` what
    it reads, inputs and transparency included.
    """

    kind: bytes
    payload: bytes
    width: int
    height: int
    samples: int
    coded_bytes: int
    bits: int
    config: bytes = b""
    nclx: Nclx | None = None
    depths: bytes = b""
    layers: tuple[tuple[bytes, bytes], ...] = ()
    inputs: tuple["Item", ...] = ()
    alpha: "Item | None" = None
    premultiplied: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StillImage:
    """A file's primary image and which part of it is shown, which way up.

    `icc` is its colour profile as it stood in the file.
    """

    root: Item
    view: View
    icc: bytes | None = None

    @property
    def codec(self) -> bytes:
        """`hvc1` or `av01`."""
        item = self.root
        while item.inputs:
            item = item.inputs[0]
        return item.kind

    @property
    def nclx(self) -> Nclx | None:
        return self.root.nclx or next((each.nclx for each in self.root.inputs), None)


def is_still_image(data: bytes) -> bool:
    """Whether a file type box, with its brands in any order, names a still image or a sequence with one."""
    if data[4:8] != b"ftyp":
        return False
    first = next(file_boxes(data), None)
    names = data[first.content : min(first.end, first.content + _MOST_BRANDS * 4)] if first else b""
    return any(names[at : at + 4] in _BRANDS for at in range(0, len(names), 4) if at != 4)


def read(data: bytes) -> StillImage:
    """Return the primary image of a HEIC or AVIF.

    Raises INVALID where the file is damaged, UNSUPPORTED where the image is of a kind that isn't read.
    """
    items = read_items(data)
    image = _ItemReader(items).image(items.primary, level=0)
    codecs = {each.kind for each in parts(image.root) if not each.inputs}
    if len(codecs) > 1:
        raise unsupported("its image is made of HEVC and AV1 at once")
    if b"av01" in codecs and any(each.kind == b"iovl" for each in parts(image.root)):
        raise unsupported("it is an AVIF of images that overlay each other")
    return image


def parts(root: Item) -> list[Item]:
    """Return an image and all that it is made of, each once and in an order that depends on nothing else."""
    order: dict[int, Item] = {}
    waiting = [root]
    while waiting:
        item = waiting.pop()
        if id(item) not in order:
            order[id(item)] = item
            waiting += reversed([*item.inputs, *([item.alpha] if item.alpha else [])])
    return list(order.values())


@dataclass(slots=True)
class _Described:
    """What an item's properties say."""

    size: tuple[int, int] | None = None
    config: bytes | None = None
    nclx: Nclx | None = None
    icc: bytes | None = None
    depths: bytes = b""
    layers: list[tuple[bytes, bytes]] = field(default_factory=list)
    transforms: list[Property] = field(default_factory=list)


class _ItemReader:
    """Builds the tree below an item, each item once."""

    def __init__(self, items: Items) -> None:
        self._items = items
        self._ready: dict[int, StillImage] = {}
        self._alphas = {
            master: item
            for (kind, item), masters in items.links.items()
            if kind == b"auxl" and self._is_alpha(item)
            for master in masters
        }

    def _is_alpha(self, item: int) -> bool:
        return any(
            each.kind == b"auxC" and each.content[4:].split(b"\0")[0] in _ALPHA for each in self._items.properties(item)
        )

    def image(self, item: int, *, level: int) -> StillImage:
        if item not in self._ready:
            if level > _MOST_LEVELS or len(self._ready) >= MOST_ITEMS:
                raise damaged(
                    f"the image is made of more than {MOST_ITEMS:,} images or in more than {_MOST_LEVELS} levels"
                )
            self._ready[item] = self._image(item, level)
        return self._ready[item]

    def _image(self, item: int, level: int) -> StillImage:
        kind = self._items.kinds.get(item, b"")
        described = self._described(item)
        if kind in (b"iden", b"tmap"):
            base = self.image(self._sources(item)[0], level=level + 1)
            return replace(base, view=_view(base.view, described.transforms), icc=described.icc or base.icc)
        if kind in _REWRITERS:
            root = self._coded(item, kind, described)
        elif kind in (b"grid", b"iovl"):
            root = self._derived(item, kind, described, level)
        else:
            raise unsupported(f"its image is stored as {_OTHER_CODECS.get(kind, 'something else than HEVC or AV1')}")
        root = self._with_alpha(item, root, level)
        view = _view(whole(root.width, root.height), described.transforms)
        return StillImage(root=root, view=view, icc=described.icc or self._icc_of_inputs(item, root))

    def _described(self, item: int) -> _Described:
        out = _Described()
        for each in self._items.properties(item):
            content = Numbers(each.content, 0, len(each.content))
            match each.kind:
                case b"ispe" if out.size is None:
                    content.take(4)
                    out.size = content.take(4), content.take(4)
                case b"hvcC" | b"av1C" if out.config is None:
                    out.config = each.content
                case b"colr":
                    _colour(content, out)
                case b"pixi":
                    content.take(4)
                    out.depths = content.part(min(content.take(1), 4))
                case b"a1op" | b"lsel":
                    out.layers.append((each.kind, content.part(1 if each.kind == b"a1op" else 2)))
                case b"clap" | b"irot" | b"imir":
                    out.transforms.append(each)
                case kind if each.essential and kind not in _PROPERTIES:
                    raise unsupported("its image needs a property that isn't known here")
        return out

    def _coded(self, item: int, kind: bytes, described: _Described) -> Item:
        if described.config is None:
            raise damaged("the file has a coded image without a description of its codec")
        coded = _REWRITERS[kind](described.config, self._items.payload(item))
        size = coded.width, coded.height
        if kind == b"av01" and described.size:
            size = described.size
        _check_not_empty(*size)
        return Item(
            kind=b"av01" if kind == b"av01" else b"hvc1",
            payload=coded.payload,
            config=coded.config,
            width=size[0],
            height=size[1],
            samples=max(coded.samples, size[0] * size[1]),
            coded_bytes=len(coded.config) + len(coded.payload),
            bits=coded.bits,
            nclx=described.nclx,
            depths=described.depths,
            layers=tuple(described.layers) if kind == b"av01" else (),
        )

    def _derived(self, item: int, kind: bytes, described: _Described, level: int) -> Item:
        inputs = []
        for source in self._sources(item):
            image = self.image(source, level=level + 1)
            if image.view != whole(image.root.width, image.root.height) or image.root.kind == kind:
                raise unsupported("its image is made of parts that are turned, cropped or made of parts themselves")
            inputs.append(image.root)
        read_size = _grid if kind == b"grid" else _overlay
        payload, width, height = read_size(self._items.payload(item), inputs)
        _check_not_empty(width, height)
        return Item(
            kind=kind,
            payload=payload,
            width=width,
            height=height,
            samples=sum(each.samples for each in inputs) + (width * height if kind == b"iovl" else 0),
            coded_bytes=sum(each.coded_bytes for each in inputs),
            bits=max(each.bits for each in inputs),
            nclx=described.nclx,
            depths=described.depths,
            inputs=tuple(inputs),
        )

    def _sources(self, item: int) -> tuple[int, ...]:
        sources = self._items.links.get((b"dimg", item), ())
        if not 0 < len(sources) <= MOST_ITEMS:
            raise damaged(f"the image is made of {len(sources)} images, and may be of 1 to {MOST_ITEMS:,}")
        return sources

    def _with_alpha(self, item: int, root: Item, level: int) -> Item:
        number = self._alphas.get(item)
        if number is None:
            return root
        alpha = self.image(number, level=level + 1).root
        premultiplied = number in self._items.links.get((b"prem", item), ())
        return replace(
            root,
            alpha=replace(alpha, alpha=None),
            premultiplied=premultiplied,
            samples=root.samples + alpha.samples,
            coded_bytes=root.coded_bytes + alpha.coded_bytes,
        )

    def _icc_of_inputs(self, item: int, root: Item) -> bytes | None:
        return self._ready[self._sources(item)[0]].icc if root.inputs else None


def _check_not_empty(width: int, height: int) -> None:
    if width < 1 or height < 1:
        raise damaged(f"the file has an image of {width} x {height} pixels")


def _colour(content: Numbers, out: _Described) -> None:
    """Read a colour box (ISO/IEC 14496-12, 12.1.5)."""
    kind = content.part(4)
    if kind == b"nclx" and out.nclx is None:
        primaries, transfer, matrix, full = content.take(2), content.take(2), content.take(2), content.take(1)
        out.nclx = Nclx(primaries=primaries, transfer=transfer, matrix=matrix, full_range=bool(full & 0x80))
    elif kind in (b"prof", b"rICC") and out.icc is None:
        out.icc = content.rest()


def _view(view: View, transforms: list[Property]) -> View:
    """Apply an item's transforms in the order in which it has them."""
    for each in transforms:
        content = Numbers(each.content, 0, len(each.content))
        if each.kind == b"irot":
            view = view.turned(content.take(1) & 3)
        elif each.kind == b"imir":
            view = view.flipped(left_to_right=bool(content.take(1) & 1))
        else:
            numbers = tuple(content.signed(4) if at in (4, 6) else content.take(4) for at in range(8))
            view = view.cropped(clean_aperture(view.size, numbers))
    return view


def _grid(payload: bytes, tiles: list[Item]) -> tuple[bytes, int, int]:
    """Read a grid (ISO/IEC 23008-12, 6.6.2.3.2): its content as it is written, width and height."""
    reader = Numbers(payload, 0, len(payload))
    reader.take(1)
    size = 4 if reader.take(1) & 1 else 2
    rows, columns = reader.take(1) + 1, reader.take(1) + 1
    width, height = reader.take(size), reader.take(size)
    if rows * columns != len(tiles):
        raise damaged(f"the image has {len(tiles)} tiles, and its header states {rows} x {columns}")
    one = tiles[0]
    if any((each.width, each.height) != (one.width, one.height) for each in tiles):
        raise damaged("the image has tiles of several sizes")
    if one.width * columns < width or one.height * rows < height:
        raise damaged("the image is larger than its tiles")
    return struct.pack(">BBBBII", 0, 1, rows - 1, columns - 1, width, height), width, height


def _overlay(payload: bytes, layers: list[Item]) -> tuple[bytes, int, int]:
    """Read an overlay (6.6.2.2.2): its content as it is written, width and height."""
    reader = Numbers(payload, 0, len(payload))
    reader.take(1)
    size = 4 if reader.take(1) & 1 else 2
    fill = reader.part(8)
    width, height = reader.take(size), reader.take(size)
    offsets = [reader.signed(size) for _ in range(2 * len(layers))]
    return struct.pack(f">BB8sII{len(offsets)}i", 0, 1, fill, width, height, *offsets), width, height
