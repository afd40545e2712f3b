"""Colours become sRGB: the same for every way in which a profile says the same, as LittleCMS has them."""

import numpy as np
import pytest
from PIL import Image as Pillow

from dermis.data.generated.skin import scene
from dermis.shared.images.color_profile import Color, ColorProfile, Curve, CurveKind
from dermis.shared.images.header import clean
from dermis.shared.images.icc import from_cicp, read_icc
from dermis.shared.vocabulary import MonkSkinTone
from dermis.worker.core.color import to_srgb
from dermis.worker.core.decode import decode
from tests.support import heif
from tests.support.colors import SPACES, delta_e, in_space, lab, patches, profile_of, table_profile, with_chunk
from tests.support.images import encode

WIDE = [name for name in SPACES if name != "sRGB"]
TONES = [MonkSkinTone.MST2, MonkSkinTone.MST6, MonkSkinTone.MST9]


def drawn(tone: MonkSkinTone = MonkSkinTone.MST6) -> np.ndarray:
    return scene("Eczema", tone=tone, seed=1, size=(192, 256))


def difference(first: np.ndarray, second: np.ndarray) -> float:
    """Return the largest dE2000 between the patches of two images."""
    return float(delta_e(lab(patches(first)), lab(patches(second))).max())


@pytest.mark.parametrize("name", WIDE)
@pytest.mark.parametrize("tone", TONES)
def test_a_scene_in_another_space_becomes_the_scene(name: str, tone: MonkSkinTone) -> None:
    image, space = drawn(tone), SPACES[name]
    pixels = in_space(image, space)
    before, after = (difference(each, image) for each in (pixels, to_srgb(pixels, read_icc(profile_of(space)))))
    assert after < 0.9  # 8 bits of a wide space can't tell nearer colours apart
    assert before > 2 * after


@pytest.mark.parametrize("name", WIDE)
@pytest.mark.parametrize("tone", TONES)
def test_numbers_say_what_littlecms_says(name: str, tone: MonkSkinTone) -> None:
    pixels, profile = in_space(drawn(tone), SPACES[name]), profile_of(SPACES[name])
    ours, theirs = to_srgb(pixels, read_icc(profile)), to_srgb(pixels, profile)
    assert difference(ours, theirs) < 0.5
    assert np.abs(ours.astype(int) - theirs).max() <= 2


@pytest.mark.parametrize("name", WIDE)
def test_16_bits_lose_nothing(name: str) -> None:
    image = drawn(MonkSkinTone.MST10)
    assert (
        np.abs(
            to_srgb(in_space(image, SPACES[name], bits=16), read_icc(profile_of(SPACES[name]))).astype(int) - image
        ).max()
        <= 1
    )


def test_srgb_is_left_as_it_is() -> None:
    image = drawn()
    assert to_srgb(image, None) is image
    assert np.array_equal(to_srgb(image.astype(np.uint16) * 257, None), image)


def test_a_profile_by_tables_is_applied_whole() -> None:
    image, space = drawn(), SPACES["Display P3"]
    profile = table_profile(space)
    assert read_icc(profile) == profile
    assert difference(to_srgb(in_space(image, space), profile), image) < 0.5


def test_ink_is_mixed_as_its_profile_says_and_plainly_without_one() -> None:
    ink = np.array([[[0, 0, 0, 0], [255, 0, 0, 0], [0, 255, 255, 0], [0, 0, 0, 255], [0, 0, 0, 128]]], np.uint8)
    profile = table_profile(SPACES["sRGB"], inks=4)
    assert read_icc(profile) == profile
    mixed = to_srgb(ink, profile)[0].astype(int)
    assert np.abs(mixed - [[255] * 3, [0, 255, 255], [255, 0, 0], [0] * 3, [187] * 3]).max() <= 3
    assert to_srgb(ink, None)[0].tolist() == [[255] * 3, [0, 255, 255], [255, 0, 0], [0] * 3, [127] * 3]


def test_grey_stays_grey_and_takes_its_curve() -> None:
    grey = np.repeat(np.arange(256, dtype=np.uint8).reshape(1, 256, 1), 3, axis=2)
    profile = read_icc(profile_of(SPACES["ProPhoto RGB"], grey=True))
    ours, theirs = to_srgb(grey, profile), to_srgb(grey, profile_of(SPACES["ProPhoto RGB"], grey=True))
    assert (np.ptp(ours, axis=2) == 0).all()
    assert np.abs(ours.astype(int) - theirs).max() <= 1
    assert ours[0, 128, 0] > 140


@pytest.mark.parametrize(
    "color", [b"", b"x" * 300, table_profile(SPACES["sRGB"], inks=4), table_profile(SPACES["Display P3"])[:400]]
)
def test_a_profile_that_does_not_fit_counts_as_none(color: Color) -> None:
    image = drawn()
    assert np.array_equal(to_srgb(image, color), image)


def test_ink_with_a_profile_of_light_counts_as_without() -> None:
    ink = np.full((2, 2, 4), 90, np.uint8)
    assert np.array_equal(to_srgb(ink, from_cicp(12, 13)), np.asarray(Pillow.fromarray(ink, "CMYK").convert("RGB")))


@pytest.mark.parametrize("transfer", [16, 18])
def test_bright_light_is_cut_off_at_white(transfer: int) -> None:
    top = to_srgb(np.array([[[255] * 3, [148] * 3, [0] * 3]], np.uint8), from_cicp(9, transfer))[0]
    assert top[0].tolist() == [255] * 3
    assert top[2].tolist() == [0] * 3
    assert np.ptp(top[1]) <= 1


def test_a_curve_for_each_channel_is_its_own() -> None:
    straight, squared = (Curve(CurveKind.PARAMETRIC, (g, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0)) for g in (1.0, 2.0))
    red, green, blue = to_srgb(np.full((1, 1, 3), 128, np.uint8), ColorProfile((straight, squared, squared)))[0, 0]
    assert red > green == blue


@pytest.mark.parametrize(
    "tag", [heif.nclx(12, 13, 6), heif.profile(profile_of(SPACES["Display P3"]))], ids=["nclx", "ICC"]
)
def test_a_heic_is_converted_by_what_its_container_says(tag: bytes) -> None:
    as_srgb = decode(heif.compose(heif.coded(heif.GENERATED, heif.nclx(1, 13, 6)))).image
    tagged = heif.compose(heif.coded(heif.GENERATED, tag))
    kept = clean(tagged)
    assert isinstance(kept.header.color, ColorProfile)
    for image in (decode(tagged).image, decode(kept.data, color=kept.header.color).image):
        assert difference(as_srgb, image) > 0.5
        assert difference(to_srgb(as_srgb, from_cicp(12, 13)), image) < 0.5


@pytest.mark.parametrize(("code_points", "space"), [((12, 13), "Display P3"), ((1, 13), "sRGB")])
def test_a_png_is_converted_by_its_code_points(code_points: tuple[int, int], space: str) -> None:
    image = drawn()
    plain = encode(in_space(image, SPACES[space]), "PNG")
    assert difference(decode(with_chunk(plain, b"cICP", bytes([*code_points, 0, 1]))).image, image) < 0.9
