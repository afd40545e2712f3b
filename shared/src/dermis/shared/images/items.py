"""Reads the tables in which HEIC and AVIF list their items: kinds, places, links, properties.

Source: ISO/IEC 23008-12, in the boxes of ISO/IEC 14496-12.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from dermis.shared.images.boxes import MOST_BOXES, Box, Numbers, boxes, file_boxes
from dermis.shared.images.formats import damaged, unsupported

_MOST_LINKS = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class Property:
    """A property's box; a reader that doesn't know an `essential` one must not show the item."""

    kind: bytes
    content: bytes
    essential: bool


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an item lies: in the file (method 0) or in idat (1), as pairs of start and length.

    0 means all that is there.
    """

    method: int
    parts: tuple[tuple[int, int], ...]


@dataclass(slots=True)
class Items:
    """The items of a file by their numbers; what two boxes say differently counts as the first says it."""

    data: bytes
    primary: int
    kinds: dict[int, bytes]
    links: dict[tuple[bytes, int], tuple[int, ...]]
    _places: dict[int, _Place]
    _properties: list[Property]
    _associations: dict[int, list[tuple[int, bool]]]
    _inside: Box | None
    _payloads: dict[_Place, bytes] = field(default_factory=dict)

    def properties(self, item: int) -> Iterator[Property]:
        """Yield the properties of an item in their order."""
        for index, essential in self._associations.get(item, []):
            if index > len(self._properties):
                raise damaged("the file names a property that it doesn't hold")
            if index:
                one = self._properties[index - 1]
                yield Property(kind=one.kind, content=one.content, essential=essential)

    def payload(self, item: int) -> bytes:
        """Return the bytes of an item; all items together have no more of them than the file."""
        place = self._places.get(item)
        if place is None:
            raise damaged("the file has an image without data")
        if place not in self._payloads:
            self._payloads[place] = self._read(place)
            if sum(map(len, self._payloads.values())) > len(self.data):
                raise damaged("the file's items are longer than the file")
        return self._payloads[place]

    def _read(self, place: _Place) -> bytes:
        if place.method > 1 or (place.method and self._inside is None):
            raise damaged("the file has an image whose data lies nowhere")
        low, high = (self._inside.content, self._inside.end) if place.method and self._inside else (0, len(self.data))
        parts, total = [], 0
        for start, length in place.parts:
            start, end = low + start, low + start + length if length else high
            total += end - start
            if not start <= end <= high or total > len(self.data):
                raise damaged("the file breaks off before the end of its image")
            parts.append(self.data[start:end])
        return b"".join(parts)


def read_items(data: bytes) -> Items:
    """Read the tables of the first `meta` box; INVALID where one is missing, breaks off or has too many entries."""
    meta = next((box for box in file_boxes(data) if box.kind == b"meta"), None)
    if meta is None:
        raise _without_items(data)
    inside: dict[bytes, Box] = {}
    for box in boxes(data, meta.content + 4, meta.end):
        inside.setdefault(box.kind, box)
    if missing := {b"pitm", b"iloc", b"iinf", b"iprp"} - inside.keys():
        raise damaged(f"the file lacks {min(missing).decode()!r}, of which its images are made")
    links = _links(data, inside[b"iref"]) if b"iref" in inside else {}
    properties, associations = _all_properties(data, inside[b"iprp"])
    primary = _table(data, inside[b"pitm"])
    return Items(
        data=data,
        primary=primary.reader.take(4 if primary.version else 2),
        kinds=_kinds(data, inside[b"iinf"]),
        links=links,
        _places=_places(data, inside[b"iloc"]),
        _properties=properties,
        _associations=associations,
        _inside=inside.get(b"idat"),
    )


def _without_items(data: bytes) -> Exception:
    if any(box.kind == b"moov" for box in file_boxes(data)):
        return unsupported("it is a film or a sequence without a still image: save one photo of it as JPEG")
    return damaged("the file has no description of its images")


@dataclass(frozen=True, slots=True)
class _Table:
    version: int
    flags: int
    reader: Numbers

    def rows(self, size: int) -> range:
        count = self.reader.take(size)
        if count > MOST_BOXES:
            raise damaged(f"the file has a table of more than {MOST_BOXES:,} entries")
        return range(count)


def _table(data: bytes, box: Box) -> _Table:
    reader = Numbers(data, box.content, box.end)
    return _Table(version=reader.take(1), flags=reader.take(3), reader=reader)


def _kinds(data: bytes, box: Box) -> dict[int, bytes]:
    """Read kinds of items (8.11.6), whose names are passed over; a protected item has none that can be read."""
    table = _table(data, box)
    table.rows(4 if table.version else 2)
    kinds: dict[int, bytes] = {}
    for entry in boxes(data, table.reader.at, box.end):
        item = _table(data, entry)
        if entry.kind == b"infe" and item.version in (2, 3):
            number = item.reader.take(2 if item.version == 2 else 4)
            protection = item.reader.take(2)
            kinds.setdefault(number, b"\0" * 4 if protection else item.reader.part(4))
    return kinds


def _places(data: bytes, box: Box) -> dict[int, _Place]:
    """Read places of items (8.11.3)."""
    table = _table(data, box)
    reader = table.reader
    if table.version > 2:
        raise damaged("the file's table of places has a version that doesn't exist")
    sizes = reader.take(2)
    offset_size, length_size, base_size, index_size = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
    places: dict[int, _Place] = {}
    total = 0
    for _ in table.rows(4 if table.version == 2 else 2):
        number = reader.take(4 if table.version == 2 else 2)
        method = reader.take(2) & 15 if table.version else 0
        elsewhere, base, count = reader.take(2), reader.take(base_size), reader.take(2)
        total += count
        if total > MOST_BOXES:
            raise damaged(f"the file's images have more than {MOST_BOXES:,} pieces")
        parts = []
        for _ in range(count):
            reader.take(index_size if table.version else 0)
            parts.append((base + reader.take(offset_size), reader.take(length_size)))
        places.setdefault(number, _Place(method=15 if elsewhere else method, parts=tuple(parts)))
    return places


def _links(data: bytes, box: Box) -> dict[tuple[bytes, int], tuple[int, ...]]:
    """Read links between items (8.11.12) by their kind and the item that they go out from."""
    outer = _table(data, box)
    size = 4 if outer.version else 2
    links: dict[tuple[bytes, int], tuple[int, ...]] = {}
    total = 0
    for entry in boxes(data, outer.reader.at, box.end):
        reader = Numbers(data, entry.content, entry.end)
        source, count = reader.take(size), reader.take(2)
        total += count
        if total > _MOST_LINKS:
            raise damaged(f"the file has more than {_MOST_LINKS:,} links between its images")
        links.setdefault((entry.kind, source), tuple(reader.take(size) for _ in range(count)))
    return links


def _all_properties(data: bytes, box: Box) -> tuple[list[Property], dict[int, list[tuple[int, bool]]]]:
    """Read properties and which item has which (ISO/IEC 23008-12, 9.3); an index counts from 1, and 0 is none."""
    properties: list[Property] = []
    associations: dict[int, list[tuple[int, bool]]] = {}
    for child in boxes(data, box.content, box.end):
        if child.kind == b"ipco" and not properties:
            inner = boxes(data, child.content, child.end)
            properties = [
                Property(kind=each.kind, content=data[each.content : each.end], essential=False) for each in inner
            ]
        elif child.kind == b"ipma":
            for number, one in _associated(_table(data, child)):
                associations.setdefault(number, []).append(one)
    return properties, associations


def _associated(table: _Table) -> Iterator[tuple[int, tuple[int, bool]]]:
    wide = table.flags & 1
    total = 0
    for _ in table.rows(4):
        number, count = table.reader.take(4 if table.version else 2), table.reader.take(1)
        total += count
        if total > _MOST_LINKS:
            raise damaged(f"the file has more than {_MOST_LINKS:,} links from images to their properties")
        for _ in range(count):
            value = table.reader.take(2 if wide else 1)
            highest = 0x8000 if wide else 0x80
            yield number, (value & (highest - 1), bool(value & highest))
