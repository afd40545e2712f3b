"""HEIC is measured and freed of all but its pictures, without decoding and without moving a byte."""

import contextlib
import struct
from pathlib import Path

import numpy as np
import pi_heif
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dermis.shared.errors import DermisError, Kind
from dermis.shared.images import cost
from dermis.shared.images.header import clean

HEIC = (Path(__file__).parents[3] / "support" / "generated.heic").read_bytes()
"""A generated image of 450 x 602 pixels with EXIF (GPS, orientation 6) and XMP, as libheif writes it."""


def box(kind: bytes, *content: bytes) -> bytes:
    body = b"".join(content)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def full(kind: bytes, version: int, *content: bytes) -> bytes:
    return box(kind, bytes([version, 0, 0, 0]), *content)


def built(*, method: int = 0, size: tuple[int, int] = (640, 480), places: tuple[tuple[int, int, int], ...] = (), version: int = 1) -> bytes:
    """Return a HEIC of one picture, one Exif item and a description, whose pieces lie where `places` (item, start, length) say."""

    def whole(base: int) -> bytes:
        pieces = places or ((1, base, 7), (2, base + 7, 6))
        construction = struct.pack(">H", method) if version else b""
        iloc = b"".join(
            struct.pack(">I" if version == 2 else ">H", item) + construction + struct.pack(">HHII", 0, 1, start, length)
            for item, start, length in pieces
        )
        count = struct.pack(">I" if version == 2 else ">H", len(pieces))
        infe = [full(b"infe", 2, struct.pack(">HH4s", n, 0, kind), b"SECRET\0") for n, kind in ((1, b"hvc1"), (2, b"Exif"))]
        payload = b"PICTURE" + b"SECRET"
        meta = full(
            b"meta",
            0,
            full(b"hdlr", 0, b"\0\0\0\0pict"),
            full(b"pitm", 0, b"\0\1"),
            full(b"iloc", version, b"\x44\0", count, iloc),
            full(b"iinf", 0, struct.pack(">H", 2), *infe),
            box(b"iprp", box(b"ipco", full(b"ispe", 0, struct.pack(">II", *size)), full(b"udes", 0, b"SECRET\0")), full(b"ipma", 0)),
            box(b"uuid", b"SECRET"),
            *([box(b"idat", payload)] if method == 1 else []),
        )
        return box(b"ftyp", b"mif1\0\0\0\0mif1heic") + meta + box(b"mdat", *([] if method == 1 else [payload])) + box(b"uuid", b"SECRET")

    return whole(0) if method == 1 else whole(whole(0).index(b"PICTURE"))


def refusal(data: bytes) -> DermisError:
    with pytest.raises(DermisError) as caught:
        cost.check(clean(data).header)
    return caught.value


def pixels(data: bytes) -> np.ndarray:
    return np.array(pi_heif.open_heif(data))


def test_the_pixels_stay_and_nothing_else_does() -> None:
    assert HEIC.count(b"SECRET") == 2
    found = clean(HEIC)
    assert (found.header.format, found.header.width, found.header.height, found.header.orientation) == ("image/heic", 450, 602, 1)
    assert not any(secret in found.data for secret in (b"SECRET", b"Exif", b"xmp", b"mime"))
    assert len(found.data) == len(HEIC)
    assert (pixels(found.data) == pixels(HEIC)).all()
    assert pi_heif.open_heif(found.data).info["exif"] is None
    assert clean(found.data) == found


@pytest.mark.parametrize(("method", "version"), [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2)])
def test_wherever_the_pieces_lie(method: int, version: int) -> None:
    found = clean(built(method=method, version=version))
    assert (found.header.width, found.header.height) == (640, 480)
    assert b"PICTURE" in found.data
    assert b"SECRET" not in found.data


@pytest.mark.parametrize("size", [(60_000, 60_000), (8_193, 8_192)])
def test_a_bomb_is_refused_by_its_header(size: tuple[int, int]) -> None:
    assert refusal(built(size=size)).reason == "IMAGE_DIMENSIONS"


@pytest.mark.parametrize("place", [(1, 0, 40), (1, 1 << 31, 7), (1, 20, 0xFFFFFFF0)], ids=["header", "beyond", "long"])
def test_a_picture_that_lies_elsewhere_is_refused(place: tuple[int, int, int]) -> None:
    assert refusal(built(places=(place,))).reason == "IMAGE_DAMAGED"


@pytest.mark.parametrize(
    "data",
    [
        b"\0\0\0\x20ftypavif\0\0\0\0avifmif1miaf",
        b"\0\0\0\x18ftypmif1\0\0\0\0mif1avif",
        b"\0\0\0\x18ftypqt  \0\0\0\0qt  heic",
        b"\0\0\0\x18ftypmsf1\0\0\0\0msf1hevc",
        built().replace(b"hvc1", b"av01"),
    ],
    ids=["avif", "mif1", "film", "sequence", "codec"],
)
def test_other_kinds_in_the_same_container_are_refused(data: bytes) -> None:
    assert refusal(data).kind is Kind.UNSUPPORTED


@given(st.sampled_from([HEIC, built(), built(method=1)]), st.data())
def test_any_change_gives_a_clean_image_or_a_refusal(image: bytes, data: st.DataObject) -> None:
    changed = bytearray(image[: data.draw(st.integers(0, len(image)))] if data.draw(st.booleans()) else image)
    for _ in range(data.draw(st.integers(0, 4)) if changed else 0):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(DermisError):
        found = clean(bytes(changed))
        assert len(found.data) == len(changed)


def test_too_many_pieces_are_refused() -> None:
    assert refusal(built(places=tuple((3, 0, 0) for _ in range(4000)))).detail.startswith("the HEIC's items have more than 4,096 pieces")
