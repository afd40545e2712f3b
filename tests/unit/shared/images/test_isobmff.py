"""HEIC and AVIF: the primary image is read whatever the file looks like, and nothing but it is written."""

import contextlib
import struct
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dermis.shared.errors import DermisError, Kind
from dermis.shared.images.boxes import box, full_box
from dermis.shared.images.isobmff import MOST_ITEMS, Nclx, StillImage, is_still_image, read
from dermis.shared.images.isobmff_file import write
from tests.support import heif
from tests.support.heif import GENERATED, Layout, Part, coded, compose
from tests.support.images import quarters

SECRET = b"SECRET of a person"
TILE = coded()
AVIF = heif.avif(quarters())
AVIF_BRANDS = (b"avif", b"avif", b"mif1", b"miaf")


def refusal(data: bytes) -> DermisError:
    with pytest.raises(DermisError) as caught:
        read(data)
    return caught.value


def cleaned(data: bytes) -> bytes:
    """Return the file written anew, and see that doing so again changes nothing."""
    once = write(read(data))
    assert write(read(once)) == once
    return once


def sei(text: bytes) -> bytes:
    """Return a NAL unit of unregistered user data (ITU-T H.265, D.2.7), with its length of 4 bytes."""
    unit = b"\x4e\x01\x05" + bytes([16 + len(text)]) + bytes(16) + text + b"\x80"
    return struct.pack(">I", len(unit)) + unit


def obu(kind: int, content: bytes) -> bytes:
    return bytes([kind << 3 | 2, len(content)]) + content


PLANTED = {
    "handler": Layout(handler=SECRET),
    "address": Layout(in_meta=(box(b"dinf", full_box(b"dref", b"\0\0\0\1", full_box(b"url ", SECRET))),)),
    "free": Layout(before=(box(b"free", SECRET),), after=(box(b"skip", SECRET),)),
    "uuid": Layout(in_meta=(box(b"uuid", SECRET),), before=(box(b"uuid", SECRET),)),
    "brands": Layout(brands=(b"heic", b"mif1", *(SECRET[at : at + 4].ljust(4) for at in range(0, len(SECRET), 4)))),
    "trailing": Layout(trailing=SECRET),
    "trailing box": Layout(after=(box(b"mdat", SECRET), box(b"meta", bytes(4), SECRET), box(b"moov", SECRET))),
    "groups": Layout(in_meta=(box(b"grpl", full_box(b"altr", SECRET)), box(b"ipro", SECRET))),
}
PLANTED_PROPERTIES = {
    "profile": heif.profile(SECRET),
    "rloc": full_box(b"rloc", SECRET),
    "clli": box(b"clli", SECRET),
    "mdcv": box(b"mdcv", SECRET),
    "udes": full_box(b"udes", SECRET),
    "pixi": full_box(b"pixi", b"\3\x08\x08\x08", SECRET),
    "auxC": heif.aux(SECRET),
    "pasp": box(b"pasp", SECRET),
    "ispe": full_box(b"ispe", struct.pack(">II", 450, 602), SECRET),
    "nclx": box(b"colr", b"nclx\0\1\0\x0d\0\6\x80", SECRET),
    "other colr": box(b"colr", b"xxxx", SECRET),
    "irot": box(b"irot", b"\0", SECRET),
    "unknown": box(b"camm", SECRET),
}
PLANTED_ITEMS = {
    "name": (replace(TILE, name=SECRET),),
    "Exif": (TILE, Part(kind=b"Exif", payload=SECRET, links=((b"cdsc", (1,)),))),
    "XMP": (TILE, Part(kind=b"mime", payload=SECRET, name=SECRET, links=((b"cdsc", (1,)),))),
    "second": (TILE, replace(TILE, payload=TILE.payload + SECRET)),
    "thumbnail": (TILE, replace(TILE, payload=SECRET, links=((b"thmb", (1,)),))),
    "depth": (TILE, coded(GENERATED, heif.aux(heif.DEPTH + SECRET), links=((b"auxl", (1,)),))),
    "gain map": (TILE, replace(coded(GENERATED, heif.aux(heif.GAIN_MAP), links=((b"auxl", (1,)),)), payload=SECRET)),
    "alpha": (TILE, coded(GENERATED, heif.aux(heif.ALPHA + SECRET), links=((b"auxl", (1,)),))),
    "SEI": (replace(TILE, payload=sei(SECRET) + TILE.payload + sei(SECRET)),),
}


def test_the_planted_text_would_be_seen() -> None:
    files = [compose(TILE, layout=layout) for name, layout in PLANTED.items() if name != "brands"]
    files += [compose(coded(GENERATED, one)) for one in PLANTED_PROPERTIES.values()]
    files += [compose(*items) for items in PLANTED_ITEMS.values()]
    assert all(SECRET in data for data in files)


@pytest.mark.parametrize("layout", PLANTED.values(), ids=PLANTED)
def test_no_box_beside_the_image_stays(layout: Layout) -> None:
    clean = cleaned(compose(TILE, layout=layout))
    assert clean == cleaned(compose(TILE))
    assert SECRET[:4] not in clean


@pytest.mark.parametrize("one", PLANTED_PROPERTIES.values(), ids=PLANTED_PROPERTIES)
@pytest.mark.parametrize("first", [True, False], ids=["first", "last"])
def test_no_property_carries_text(one: bytes, first: bool) -> None:
    part = coded()
    properties = (one, *part.properties) if first else (*part.properties, one)
    assert SECRET not in cleaned(compose(replace(part, properties=properties)))


@pytest.mark.parametrize("items", PLANTED_ITEMS.values(), ids=PLANTED_ITEMS)
def test_no_other_item_stays(items: tuple[Part, ...]) -> None:
    clean = cleaned(compose(*items))
    assert SECRET not in clean
    alpha = any(heif.ALPHA in one for item in items for one in item.properties)
    assert clean.count(b"infe") == 1 + alpha


def test_what_an_av1_decoder_passes_over_is_left_out() -> None:
    part = coded(AVIF)
    planted = replace(part, payload=obu(2, b"") + obu(5, SECRET) + part.payload + obu(5, SECRET) + obu(15, SECRET))
    layout = Layout(brands=AVIF_BRANDS)
    assert cleaned(compose(planted, layout=layout)) == cleaned(compose(part, layout=layout))
    config = box(b"av1C", part.properties[0][8:], obu(5, SECRET))
    assert SECRET not in cleaned(compose(replace(part, properties=(config, *part.properties[1:])), layout=layout))


def test_exif_and_xmp_of_a_file_as_libheif_writes_it_are_gone() -> None:
    assert GENERATED.count(b"SECRET") == 2
    assert not any(secret in cleaned(GENERATED) for secret in (b"SECRET", b"Exif", b"xmp", b"mime"))


@pytest.mark.parametrize(
    "brands", [(b"heic", b"mif1"), (b"msf1", b"mif1", b"heic"), (b"mif1", b"msf1", b"hevc"), (b"hevc", b"mif1")]
)
@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize(("method", "version", "pieces"), [(0, 0, 1), (0, 1, 3), (0, 2, 1), (1, 1, 1), (1, 2, 2)])
def test_the_image_is_read_however_the_file_is_laid_out(
    brands: tuple[bytes, ...], wide: bool, method: int, version: int, pieces: int
) -> None:
    layout = Layout(brands=brands, wide_sizes=wide, method=method, iloc_version=version, pieces=pieces)
    data = compose(TILE, layout=layout)
    assert is_still_image(data)
    assert cleaned(data) == cleaned(compose(TILE))


def test_a_last_box_without_a_length_reaches_to_the_end() -> None:
    data = compose(TILE)
    at = data.index(b"mdat") - 4
    assert cleaned(data[:at] + bytes(4) + data[at + 4 :]) == cleaned(data)


def test_the_primary_image_counts_wherever_it_stands() -> None:
    other = coded(AVIF)
    data = compose(other, TILE, layout=Layout(primary=2))
    assert read(data).root.kind == b"hvc1"
    assert cleaned(data) == cleaned(compose(TILE))


def test_nclx_stays_as_its_numbers_and_the_matrix_alone_beside_a_profile() -> None:
    plain = read(compose(coded(GENERATED, heif.nclx(12, 13, 6))))
    assert plain.nclx == Nclx(primaries=12, transfer=13, matrix=6, full_range=True)
    assert read(write(plain)).nclx == plain.nclx
    profiled = read(compose(coded(GENERATED, heif.nclx(12, 13, 6), heif.profile(b"the profile"))))
    assert profiled.icc == b"the profile"
    again = read(write(profiled))
    assert (again.icc, again.nclx) == (None, Nclx(primaries=2, transfer=2, matrix=6, full_range=True))


def test_a_grid_has_the_profile_of_its_tiles() -> None:
    tile = coded(GENERATED, heif.profile(b"the profile"))
    assert read(compose(tile, tile, heif.grid(1, 2, 900, 602, (1, 2)), layout=Layout(primary=3))).icc == b"the profile"


TRANSFORMS = {
    "turn": ((heif.irot(1),), 8, (0, 0, 450, 602)),
    "mirror": ((heif.imir(1),), 2, (0, 0, 450, 602)),
    "flip": ((heif.imir(0),), 4, (0, 0, 450, 602)),
    "turn and mirror": ((heif.irot(1), heif.imir(1)), 7, (0, 0, 450, 602)),
    "mirror and turn": ((heif.imir(1), heif.irot(1)), 5, (0, 0, 450, 602)),
    "crop": ((heif.clap(100, 1, 200, 1, 0, 1, 0, 1),), 1, (175, 201, 100, 200)),
    "crop at an offset": ((heif.clap(100, 1, 200, 1, -175, 1, 2, 2),), 1, (0, 202, 100, 200)),
    "crop by fractions": ((heif.clap(201, 2, 601, 3, 0, 1, 0, 1),), 1, (175, 201, 100, 200)),
    "crop past the edge": ((heif.clap(450, 1, 602, 1, 10, 1, -1, 2),), 1, (10, 0, 440, 602)),
    "crop and turn": ((heif.clap(100, 1, 200, 1, 0, 1, 0, 1), heif.irot(3)), 6, (175, 201, 100, 200)),
    "turn and crop": ((heif.irot(1), heif.clap(602, 1, 400, 1, 0, 1, 25, 1)), 8, (0, 0, 400, 602)),
    "flip, turn and crop": ((heif.imir(1), heif.irot(1), heif.clap(2, 1, 450, 1, -300, 1, 0, 1)), 5, (0, 0, 450, 2)),
    "two crops": ((heif.clap(100, 1, 200, 1, 0, 1, 0, 1), heif.clap(10, 1, 10, 1, 45, 1, 0, 1)), 1, (265, 296, 10, 10)),
}


@pytest.mark.parametrize(("properties", "orientation", "crop"), TRANSFORMS.values(), ids=TRANSFORMS)
def test_crop_turn_and_mirror_are_one_view(
    properties: tuple[bytes, ...], orientation: int, crop: tuple[int, ...]
) -> None:
    def view_of(image: StillImage) -> tuple[int, tuple[int, ...]]:
        part = image.view.crop
        return image.view.orientation, (part.left, part.top, part.width, part.height)

    image = read(compose(coded(GENERATED, *properties)))
    assert view_of(image) == (orientation, crop)
    assert view_of(read(write(image))) == (orientation, crop)
    cleaned(compose(coded(GENERATED, *properties)))


@given(st.lists(st.sampled_from(["turn", "mirror", "flip", "crop"]), max_size=6), st.data())
def test_a_view_shows_what_the_transforms_show_one_by_one(names: list[str], data: st.DataObject) -> None:
    pixels = np.arange(7 * 5).reshape(7, 5)
    step, properties = pixels, []
    for name in names:
        if name == "crop":
            height, width = step.shape
            left, top = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
            across, down = data.draw(st.integers(1, width - left)), data.draw(st.integers(1, height - top))
            step = step[top : top + down, left : left + across]
            properties.append(heif.clap(across, 1, down, 1, 2 * left + across - width, 2, 2 * top + down - height, 2))
        else:
            properties.append({"turn": heif.irot(1), "mirror": heif.imir(1), "flip": heif.imir(0)}[name])
            step = {"turn": np.rot90, "mirror": np.fliplr, "flip": np.flipud}[name](step)  # type: ignore[operator]
    part = coded(AVIF, *properties, size=(5, 7))
    view = read(write(read(compose(part, layout=Layout(brands=AVIF_BRANDS))))).view
    shown = pixels[view.crop.top : view.crop.top + view.crop.height, view.crop.left : view.crop.left + view.crop.width]
    shown = np.rot90(np.fliplr(shown) if view.mirrored else shown, view.turns)
    np.testing.assert_array_equal(shown, step)


def test_grids_and_overlays_keep_their_parts_and_no_others() -> None:
    tiles = [TILE, coded(GENERATED, heif.nclx(1, 13, 6))]
    spare = replace(TILE, payload=TILE.payload + sei(SECRET))
    whole = heif.grid(1, 2, 800, 600, (2, 1))
    image = read(compose(*tiles, spare, whole, layout=Layout(primary=4)))
    assert (image.root.width, image.root.height, len(image.root.inputs)) == (800, 600, 2)
    assert image.root.samples == 2 * 456 * 608  # coded in blocks of 8
    again = cleaned(compose(*tiles, spare, whole, layout=Layout(primary=4)))
    assert again.count(b"infe") == 3
    laid = compose(*tiles, heif.overlay(900, 700, [(0, 0), (-5, 80)], (1, 2)), layout=Layout(primary=3))
    assert cleaned(laid).count(b"infe") == 3


def test_identity_and_tone_mapped_items_stand_for_the_image_below() -> None:
    below = coded(GENERATED, heif.irot(1))
    for kind in (b"iden", b"tmap"):
        top = Part(kind=kind, payload=SECRET, properties=(heif.irot(1),), links=((b"dimg", (1, 3)),))
        data = compose(below, top, replace(TILE, payload=SECRET), layout=Layout(primary=2))
        assert cleaned(data) == cleaned(compose(coded(GENERATED, heif.irot(2))))


def test_transparency_stays_and_says_whether_the_colours_are_multiplied() -> None:
    alpha = coded(GENERATED, heif.aux(heif.ALPHA), links=((b"auxl", (1,)),))
    image = read(compose(TILE, alpha))
    assert image.root.alpha is not None
    assert not image.root.premultiplied
    assert read(write(read(compose(replace(TILE, links=((b"prem", (2,)),)), alpha)))).root.premultiplied


@pytest.mark.parametrize(
    ("data", "kind", "words"),
    [
        (box(b"ftyp", b"mif1", bytes(4), b"mif1"), Kind.INVALID, "no description"),
        (box(b"ftyp", b"hevc", bytes(4), b"msf1") + box(b"moov"), Kind.UNSUPPORTED, "sequence without a still"),
        (compose(replace(TILE, kind=b"jpeg")), Kind.UNSUPPORTED, "stored as JPEG"),
        (compose(replace(TILE, kind=b"vvc1")), Kind.UNSUPPORTED, "stored as H.266"),
        (compose(Part(kind=b"mime", payload=b"text")), Kind.UNSUPPORTED, "something else"),
        (compose(TILE, layout=Layout(primary=2)), Kind.UNSUPPORTED, "something else"),
        (compose(replace(TILE, payload=TILE.payload[:-4])), Kind.INVALID, "breaks off"),
        (compose(TILE)[:-4], Kind.INVALID, "breaks off"),
        (compose(replace(TILE, payload=bytes(4))), Kind.INVALID, "without its header or its data"),
        (compose(replace(TILE, payload=TILE.payload * 2)), Kind.INVALID, "several pictures"),
        (compose(replace(TILE, properties=TILE.properties[1:])), Kind.INVALID, "description of its codec"),
        (compose(coded(GENERATED, heif.clap(1, 0, 1, 1, 0, 1, 0, 1))), Kind.INVALID, "denominator"),
        (compose(coded(GENERATED, heif.clap(9, 1, 9, 1, 999, 1, 0, 1))), Kind.INVALID, "cropped to nothing"),
        (compose(TILE, heif.grid(1, 2, 800, 600, (1,)), layout=Layout(primary=2)), Kind.INVALID, "states 1 x 2"),
        (
            compose(TILE, heif.grid(1, 1, 451, 602, (1,)), layout=Layout(primary=2)),
            Kind.INVALID,
            "larger than its tiles",
        ),
        (compose(heif.grid(1, 1, 9, 9, (1,))), Kind.INVALID, "levels"),
        (compose(Part(kind=b"iden", payload=b"", links=((b"dimg", (1,)),))), Kind.INVALID, "levels"),
        (
            compose(coded(GENERATED, box(b"iscl", bytes(8))), layout=Layout(essential=frozenset({b"iscl"}))),
            Kind.UNSUPPORTED,
            "property",
        ),
        (compose(TILE, heif.grid(5, 201, 9, 9, [1] * 1005), layout=Layout(primary=2)), Kind.INVALID, f"{MOST_ITEMS:,}"),
    ],
)
def test_what_is_not_read_is_refused_in_words(data: bytes, kind: Kind, words: str) -> None:
    error = refusal(data)
    assert error.kind is kind
    assert words in error.detail


def test_a_grid_of_grids_and_the_file_of_another_are_refused() -> None:
    inner = heif.grid(1, 1, 450, 602, (1,))
    assert (
        "parts themselves"
        in refusal(compose(TILE, inner, heif.grid(1, 1, 9, 9, (2,)), layout=Layout(primary=3))).detail
    )
    data = bytearray(compose(TILE))
    at = data.index(b"iloc") + 4 + 4 + 2 + 2 + 2 + 2
    data[at + 1] = 1  # the data reference
    assert "lies nowhere" in refusal(bytes(data)).detail


def test_many_items_of_the_same_bytes_are_held_once() -> None:
    part = coded()
    data = bytearray(compose(*[part] * 40, heif.grid(5, 8, 3600, 3010, range(1, 41)), layout=Layout(primary=41)))
    assert len(cleaned(bytes(data))) < len(part.payload) + 4000


def test_the_size_that_a_decoder_computes_counts_and_not_the_one_stated() -> None:
    image = read(compose(coded(GENERATED, size=(9, 9))))
    assert (image.root.width, image.root.height, image.root.samples) == (450, 602, 456 * 608)
    image = read(compose(coded(AVIF, size=(9, 9)), layout=Layout(brands=AVIF_BRANDS)))
    assert (image.root.width, image.root.height, image.root.samples) == (9, 9, 96 * 64)


FILES = (
    GENERATED,
    AVIF,
    compose(TILE, TILE, heif.grid(1, 2, 800, 600, (1, 2)), layout=Layout(primary=3)),
    compose(
        TILE,
        coded(GENERATED, heif.aux(heif.ALPHA), heif.clap(9, 1, 9, 1, 0, 1, 0, 1), links=((b"auxl", (1,)),)),
        layout=Layout(method=1),
    ),
)
HEAD = 900
"""Within these first bytes lie all boxes but the coded data."""


@given(st.sampled_from(FILES), st.data())
@settings(max_examples=600, deadline=None)
def test_any_change_gives_a_clean_image_or_a_refusal(data: bytes, draw: st.DataObject) -> None:
    changed = bytearray(data[: draw.draw(st.integers(0, len(data)))] if draw.draw(st.booleans()) else data)
    for _ in range(draw.draw(st.integers(0, 4)) if changed else 0):
        at = draw.draw(st.integers(0, min(len(changed), HEAD) - 1))
        changed[at] = draw.draw(st.integers(0, 255))
    is_still_image(bytes(changed))
    with contextlib.suppress(DermisError):
        assert len(cleaned(bytes(changed))) <= len(changed) + 2000


KINDS = st.sampled_from(
    [
        b"meta",
        b"iinf",
        b"iprp",
        b"ipco",
        b"ipma",
        b"iloc",
        b"iref",
        b"pitm",
        b"hdlr",
        b"dinf",
        b"mdat",
        b"idat",
        b"moov",
        b"infe",
    ]
)
TREES = st.recursive(
    st.tuples(KINDS, st.binary(max_size=24)).map(lambda pair: box(*pair)),
    lambda inner: st.tuples(KINDS, st.lists(inner, max_size=5)).map(lambda pair: full_box(pair[0], *pair[1])),
    max_leaves=30,
)


@given(st.lists(TREES, max_size=6), st.binary(max_size=9))
@settings(max_examples=300, deadline=None)
def test_random_trees_of_boxes_are_read_or_refused(trees: list[bytes], rest: bytes) -> None:
    with contextlib.suppress(DermisError):
        cleaned(box(b"ftyp", b"heic", bytes(4), b"mif1") + b"".join(trees) + rest)


@given(
    st.lists(
        st.sampled_from([*PLANTED_PROPERTIES.values(), heif.irot(1), heif.imir(1), heif.nclx(9, 16, 9)]), max_size=5
    ),
    st.lists(st.sampled_from([one for items in PLANTED_ITEMS.values() for one in items[1:]]), max_size=4),
    st.sampled_from(list(PLANTED.values())),
)
@settings(max_examples=150, deadline=None)
def test_whatever_stands_beside_the_image_the_same_is_written(
    properties: list[bytes], others: list[Part], layout: Layout
) -> None:
    clean = cleaned(compose(coded(GENERATED, *properties), *others, layout=layout))
    assert SECRET not in clean
