"""HEIC and AVIF come out as their viewers show them: cropped, turned, over white, the primary image alone."""

import io
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pi_heif
import pytest
from PIL import Image as Pillow
from PIL import ImageOps

from dermis.data.generated.skin import scene
from dermis.shared.errors import DermisError, Kind
from dermis.shared.images.header import Format, clean
from dermis.shared.images.icc import from_cicp
from dermis.shared.vocabulary import MonkSkinTone
from dermis.worker.core.color import to_srgb
from dermis.worker.core.decode import decode
from dermis.worker.core.prepare import Pixels
from tests.support import heif
from tests.support.colors import SPACES, profile_of
from tests.support.heif import Layout, coded, compose
from tests.support.images import quarters

QUARTERS = (Path(__file__).parent / "data" / "quarters.heic").read_bytes()
TILE = coded(QUARTERS)
TILE_PIXELS: Pixels = np.array(pi_heif.open_heif(compose(TILE)))
AVIF_LAYOUT = Layout(brands=(b"avif", b"avif", b"mif1"))
SCENE = scene("Eczema", tone=MonkSkinTone.MST5, seed=1, size=(90, 120))
HIDDEN = (
    Layout(brands=(b"msf1", b"mif1", b"hevc"), trailing=b"\0\0\0\0text", after=(b"\0\0\0\x08moov",)),
    Layout(wide_sizes=True, method=1, pieces=3),
)


@pytest.mark.parametrize("layout", HIDDEN, ids=["burst", "wide"])
def test_the_primary_image_is_decoded_however_the_file_is_laid_out(layout: Layout) -> None:
    data = compose(TILE, coded(heif.avif(quarters())), layout=layout)
    for each in (data, clean(data).data):
        decoded = decode(each)
        np.testing.assert_array_equal(decoded.image, (TILE_PIXELS))
        assert (decoded.format, decoded.width, decoded.height) == (Format.HEIC, 96, 64)


@pytest.mark.parametrize(
    "properties",
    [
        (heif.irot(1),),
        (heif.irot(2),),
        (heif.imir(0),),
        (heif.imir(1),),
        (heif.irot(1), heif.imir(0)),
        (heif.irot(3), heif.imir(1)),
        (heif.imir(0), heif.irot(1)),
    ],
)
def test_turn_and_mirror_are_libheifs(properties: tuple[bytes, ...]) -> None:
    data = compose(coded(QUARTERS, *properties))
    expected = np.array(pi_heif.open_heif(data))
    for orientation in (None, 1, 6):
        np.testing.assert_array_equal(decode(data, orientation=orientation).image, expected)
    np.testing.assert_array_equal(decode(clean(data).data, orientation=1).image, expected)


@pytest.mark.parametrize(
    "properties", [(heif.irot(1),), (heif.imir(0),), (heif.imir(1),), (heif.irot(1), heif.imir(0))]
)
def test_turn_and_mirror_of_an_avif_are_libavifs(properties: tuple[bytes, ...]) -> None:
    data = compose(coded(heif.avif(SCENE), *properties), layout=AVIF_LAYOUT)
    with Pillow.open(io.BytesIO(data)) as picture:
        expected = np.asarray(ImageOps.exif_transpose(picture))
    np.testing.assert_array_equal(decode(data).image, expected)


@pytest.mark.parametrize(
    ("numbers", "part"),
    [
        ((60, 1, 40, 1, 0, 1, 0, 1), np.s_[12:52, 18:78]),
        ((101, 2, 121, 3, -45, 2, 0, 1), np.s_[12:52, 0:51]),
        ((999, 1, 64, 1, 0, 1, -1, 2), np.s_[0:64, 0:96]),
    ],
)
def test_a_crop_is_decoded(numbers: tuple[int, ...], part: tuple[slice, slice]) -> None:
    data = compose(coded(QUARTERS, heif.clap(*numbers), heif.irot(1)))
    expected = np.rot90(TILE_PIXELS[part])
    for each in (data, clean(data).data):
        decoded = decode(each)
        np.testing.assert_array_equal(decoded.image, expected)
        assert (decoded.height, decoded.width) == TILE_PIXELS[part].shape[:2]


def test_tiles_are_joined_and_what_is_laid_over_lies_above() -> None:
    grid = decode(compose(*[TILE] * 4, heif.grid(2, 2, 180, 100, (1, 2, 3, 4)), layout=Layout(primary=5)))
    np.testing.assert_array_equal(grid.image, (np.tile(TILE_PIXELS, (2, 2, 1))[:100, :180]))
    canvas = np.full((120, 150, 3), (255, 0, 0), np.uint8)
    canvas[:64, :96] = TILE_PIXELS
    canvas[50:114, 30:126] = TILE_PIXELS
    laid = compose(TILE, TILE, heif.overlay(150, 120, [(0, 0), (30, 50)], (1, 2)), layout=Layout(primary=3))
    np.testing.assert_array_equal(decode(laid).image, (canvas))
    np.testing.assert_array_equal(decode(clean(laid).data).image, (canvas))


def test_tiles_of_an_avif_are_joined() -> None:
    tile = coded(heif.avif(cv2.resize(SCENE, (256, 256))))
    data = compose(*[tile] * 4, heif.grid(2, 2, 500, 400, (1, 2, 3, 4)), layout=replace(AVIF_LAYOUT, primary=5))
    with Pillow.open(io.BytesIO(data)) as picture:
        np.testing.assert_array_equal(decode(data).image, np.asarray(picture))


@pytest.mark.parametrize("multiplied", [False, True])
def test_what_is_transparent_lies_over_white(multiplied: bool) -> None:
    alpha = coded(QUARTERS, heif.aux(heif.ALPHA), links=((b"auxl", (1,)),))
    data = compose(replace(TILE, links=((b"prem", (2,)),) if multiplied else ()), alpha)
    decoded = decode(data)
    opacity = np.array(pi_heif.open_heif(data))[..., 3:].astype(float) / 255
    expected = TILE_PIXELS * (1 if multiplied else opacity) + 255 * (1 - opacity)
    assert decoded.mode == ("RGB" if multiplied else "RGBA")
    np.testing.assert_allclose(decoded.image, (np.clip(np.round(expected), 0, 255).astype(np.uint8)), atol=1)


def test_a_transparent_avif_lies_over_white() -> None:
    opacity = np.tile(np.linspace(0, 255, SCENE.shape[1]).astype(np.uint8), (SCENE.shape[0], 1))
    data = heif.avif(SCENE, alpha=opacity)
    with Pillow.open(io.BytesIO(data)) as picture:
        shown = Pillow.alpha_composite(Pillow.new("RGBA", picture.size, "white"), picture).convert("RGB")
    np.testing.assert_allclose(decode(data).image, np.asarray(shown), atol=1)
    assert decode(data).mode == "RGBA"


@pytest.mark.parametrize("bits", [8, 10, 12])
def test_10_and_12_bits_of_an_avif_are_scaled_to_8(bits: int) -> None:
    blue_first = np.ascontiguousarray(SCENE[..., ::-1])
    wide = blue_first if bits == 8 else blue_first.astype(np.uint16) << bits - 8
    data = cv2.imencode(".avif", wide, [cv2.IMWRITE_AVIF_DEPTH, bits, cv2.IMWRITE_AVIF_QUALITY, 95])[1].tobytes()
    decoded = decode(data)
    assert decoded.mode == ("RGB" if bits == 8 else "RGB16")
    assert float(np.abs(decoded.image.astype(int) - SCENE).mean()) < 2


def test_of_an_animated_avif_the_first_frame_counts() -> None:
    moving = heif.avif(SCENE, save_all=True, append_images=[Pillow.new("RGB", SCENE.shape[1::-1], "blue")])
    assert b"moov" in moving
    decoded = decode(moving)
    assert decoded.format is Format.AVIF
    assert float(np.abs(decoded.image.astype(int) - SCENE).mean()) < 3
    cleaned = clean(moving).data
    assert b"moov" not in cleaned
    np.testing.assert_array_equal(decode(cleaned).image, decoded.image)


def test_a_grey_avif_has_three_equal_channels() -> None:
    data = cv2.imencode(".avif", cv2.cvtColor(SCENE, cv2.COLOR_RGB2GRAY))[1].tobytes()
    decoded = decode(data)
    assert decoded.mode == "GREY"
    assert (decoded.image[..., 0] == decoded.image[..., 2]).all()


def test_a_crop_that_no_pixel_is_left_of_is_refused() -> None:
    with pytest.raises(DermisError) as caught:
        decode(compose(coded(QUARTERS, heif.clap(9, 1, 9, 1, 999, 1, 0, 1))))
    assert (caught.value.kind, caught.value.reason) == (Kind.INVALID, "IMAGE_DAMAGED")


@pytest.mark.parametrize(
    "data", [QUARTERS, heif.avif(SCENE), (Path(__file__).parent / "data" / "quarters-turned.heic").read_bytes()]
)
def test_cleaning_changes_no_pixel(data: bytes) -> None:
    np.testing.assert_array_equal(decode(clean(data).data).image, decode(data).image)


@pytest.mark.parametrize("profile", [b"", b"a profile that can't be read"])
def test_no_pixel_depends_on_the_profile_that_is_left_out(profile: bytes) -> None:
    properties = (heif.nclx(1, 13, 5, full=False), *([heif.profile(profile)] if profile else []))
    data = compose(coded(QUARTERS, *properties))
    np.testing.assert_array_equal(decode(clean(data).data).image, (np.array(pi_heif.open_heif(data))))


@pytest.mark.parametrize("carrier", ["nclx", "profile"])
@pytest.mark.parametrize("form", [Format.HEIC, Format.AVIF])
def test_display_p3_becomes_srgb_by_its_numbers_on_every_route(carrier: str, form: Format) -> None:
    display_p3 = from_cicp(12, 13)
    colour = heif.nclx(12, 13, 6) if carrier == "nclx" else heif.profile(profile_of(SPACES["Display P3"]))
    part, layout = (
        (coded(QUARTERS, colour), Layout())
        if form is Format.HEIC
        else (coded(heif.avif(quarters()), colour), AVIF_LAYOUT)
    )
    data = compose(part, layout=layout)
    plain = decode(compose(replace(part, properties=part.properties[:-1]), layout=layout)).image
    expected = to_srgb(plain, display_p3)
    assert np.abs(expected.astype(int) - plain).max() > 9
    stored = clean(data)
    assert stored.header.color is not None
    assert b"acsp" not in stored.data
    for image in (decode(data).image, decode(stored.data, color=stored.header.color).image):
        np.testing.assert_allclose(image, expected, atol=1)
