"""Colour profiles: what they say, read down to numbers; a broken or hostile one says nothing."""

import struct
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from dermis.shared.images.color_profile import (
    ADOBE_RGB,
    TABLE_POINTS,
    ColorProfile,
    ColorSpace,
    Curve,
    CurveKind,
    space_of,
)
from dermis.shared.images.icc import MAX_BYTES, ColorTags, color_of, from_cicp, from_png, read_icc
from tests.support.colors import SPACES, SRGB, delta_e, icc_file, lab, profile_of, srgb_sample

SAMPLES = [(r, g, b) for r in (0.0, 0.3, 0.7, 1.0) for g in (0.0, 0.4, 1.0) for b in (0.0, 0.5, 1.0)]
P3 = SPACES["Display P3"]
WIDE = [name for name in SPACES if name != "sRGB"]


def numbers(profile: Any) -> ColorProfile:
    assert isinstance(profile, ColorProfile)
    return profile


def worst_difference(profile: ColorProfile, space: Any) -> float:
    """Return the largest dE2000 between what a profile and a space say of the same samples."""
    xyz = np.array([profile.xyz(*sample) for sample in SAMPLES])
    expected = space.light(np.array(SAMPLES)) @ space.matrix.T
    first, second = (lab(255 * srgb_sample(values @ np.linalg.inv(SRGB.matrix).T)) for values in (xyz, expected))
    return float(delta_e(first, second).max())


@pytest.mark.parametrize("name", WIDE)
@pytest.mark.parametrize(("version", "curve"), [(4, "para"), (2, "table"), (2, "para")])
def test_a_profile_is_read_down_to_numbers_that_say_the_same_colours(name: str, version: int, curve: str) -> None:
    space = SPACES[name]
    profile = numbers(read_icc(profile_of(space, version=version, curve=curve)))
    assert worst_difference(profile, space) < 0.1
    assert len(profile.curves) == 1


@pytest.mark.parametrize("name", ["Adobe RGB", "ProPhoto RGB"])
def test_a_curve_of_one_number_is_a_power(name: str) -> None:
    assert worst_difference(numbers(read_icc(profile_of(SPACES[name], version=2, curve="gamma"))), SPACES[name]) < 0.2


@pytest.mark.parametrize(("version", "curve"), [(4, "para"), (2, "table")])
def test_srgb_is_nothing_to_convert(version: int, curve: str) -> None:
    assert read_icc(profile_of(SPACES["sRGB"], version=version, curve=curve)) is None


def test_a_grey_profile_has_a_curve_and_no_primaries() -> None:
    profile = numbers(read_icc(profile_of(SPACES["Adobe RGB"], grey=True)))
    assert profile.matrix is None
    assert profile.curves[0](0.5) == pytest.approx(0.5 ** (563 / 256))
    assert read_icc(profile_of(SPACES["sRGB"], grey=True)) is None


def test_nothing_of_a_profile_but_numbers_is_kept() -> None:
    profile = numbers(read_icc(profile_of(P3, text="Jane Doe's monitor")))
    assert "Jane" not in TypeAdapter(ColorProfile).dump_json(profile).decode()


def test_a_curve_like_no_other_is_kept_by_points() -> None:
    bent = np.linspace(0, 1, 256) ** 2 * (1 + 0.1 * np.sin(np.linspace(0, 9, 256))) / 1.1
    curve = struct.pack(">4s4xI", b"curv", 256) + np.round(bent * 65535).astype(">u2").tobytes()
    tags = {
        name: struct.pack(">4s4x3i", b"XYZ ", *(round(65536 * v) for v in P3.matrix[:, n]))
        for n, name in enumerate(TRIPLE)
    }
    profile = numbers(read_icc(icc_file(tags | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve))))
    assert profile.curves[0].kind is CurveKind.TABLE
    assert len(profile.curves[0].values) == TABLE_POINTS
    places = np.linspace(0, 1, 256)
    assert max(abs(profile.curves[0](float(x)) - y) for x, y in zip(places, bent, strict=True)) < 0.002


TRIPLE = (b"rXYZ", b"gXYZ", b"bXYZ")


@pytest.mark.parametrize(
    ("kind", "values", "light"),
    [
        (1, (2.0, 1.25, -0.25), lambda x: (1.25 * x - 0.25) ** 2 if x >= 0.2 else 0.0),
        (2, (2.0, 1.25, -0.25, 0.05), lambda x: (1.25 * x - 0.25) ** 2 + 0.05 if x >= 0.2 else 0.05),
        (4, (2.0, 0.9, 0.1, 0.5, 0.1, 0.0, 0.01), lambda x: (0.9 * x + 0.1) ** 2 if x >= 0.1 else 0.5 * x + 0.01),
    ],
)
def test_every_kind_of_parameters_is_read_as_icc_defines_it(kind: int, values: tuple[float, ...], light: Any) -> None:
    curve = struct.pack(f">4s4xHxx{len(values)}i", b"para", kind, *(round(65536 * value) for value in values))
    profile = numbers(read_icc(icc_file({b"kTRC": curve}, space=b"GRAY")))
    for x in (0.0, 0.05, 0.15, 0.25, 0.6, 1.0):
        assert profile.curves[0](x) == pytest.approx(min(light(x), 1.0), abs=1e-4)


def test_a_profile_by_tables_is_returned_whole() -> None:
    data = profile_of(P3)
    whole = icc_file({b"A2B0": b"mft2" + bytes(60)})
    assert read_icc(whole) == whole
    assert read_icc(icc_file({b"A2B0": b"mft1" + bytes(60)}, space=b"CMYK")) is not None
    assert isinstance(read_icc(data), ColorProfile)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"acsp",
        profile_of(P3)[:200],
        profile_of(P3).replace(b"acsp", b"acsq"),
        icc_file({}),
        icc_file({b"rXYZ": b"XYZ "}),
        icc_file({b"kTRC": b"curv" + bytes(4) + b"\xff\xff\xff\xff"}, space=b"GRAY"),
        icc_file({b"kTRC": struct.pack(">4s4xHxxi", b"para", 0, -65536)}, space=b"GRAY"),
        icc_file({b"kTRC": struct.pack(">4s4xHxxi", b"para", 9, 65536)}, space=b"GRAY"),
        icc_file({b"A2B0": b"mft2"}, space=b"Lab "),
        profile_of(P3) + bytes(MAX_BYTES),
    ],
)
def test_a_broken_profile_says_nothing(data: bytes) -> None:
    assert read_icc(data) is None


def test_a_profile_whose_white_is_not_white_says_nothing() -> None:
    dark = {name: struct.pack(">4s4x3i", b"XYZ ", 100, 100, 100) for name in TRIPLE}
    curve = struct.pack(">4s4xI", b"curv", 0)
    assert read_icc(icc_file(dark | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve))) is None


@given(st.binary(min_size=0, max_size=600), st.integers(0, 500), st.sampled_from(WIDE))
def test_no_bytes_break_the_reader(noise: bytes, at: int, name: str) -> None:
    data = profile_of(SPACES[name])
    profile = read_icc(data[:at] + noise + data[at + len(noise) :])
    if isinstance(profile, ColorProfile):
        assert all(np.isfinite(profile.xyz(*sample)).all() for sample in SAMPLES)


def test_code_points_are_the_spaces_that_h_273_lists() -> None:
    assert worst_difference(numbers(from_cicp(12, 13)), P3) < 0.1
    for primaries, transfer in ((1, 13), (1, 1), (1, 6), (2, 2), (1, 2), (255, 13), (12, 99)):
        assert from_cicp(primaries, transfer) is None
    assert numbers(from_cicp(12, 1)) == numbers(from_cicp(12, 13))


@pytest.mark.parametrize(("transfer", "white", "half"), [(16, 0.5807, 0.4560), (18, 0.75, 0.6074)])
def test_diffuse_white_of_pq_and_hlg_is_white(transfer: int, white: float, half: float) -> None:
    """PQ: 203 cd/m2 is .5807 and 60 cd/m2 .4560 (ST 2084); HLG: .75 is 203 cd/m2 on a display of 1,000 (BT.2408)."""
    curve = numbers(from_cicp(9, transfer)).curves[0]
    assert curve(white) == pytest.approx(1, abs=0.01)
    assert curve(1.0) == 1
    assert 0.2 < curve(half) < 0.6


def test_the_chunks_of_a_png_count_in_their_order() -> None:
    p3 = profile_of(P3)
    adobe = numbers(read_icc(profile_of(SPACES["Adobe RGB"])))
    inside = ColorTags(icc=zlib.compress(p3), gamma=100_000)
    assert worst_difference(numbers(color_of(inside)), P3) < 0.1
    assert color_of(ColorTags(icc=p3, cicp=(1, 13, 0, 1))) is None
    assert color_of(ColorTags(srgb=True, gamma=100_000)) is None
    assert color_of(ColorTags(gamma=45_455)) is None
    assert numbers(color_of(ColorTags(gamma=100_000))).curves[0](0.25) == 0.25
    assert color_of(ColorTags(adobe_rgb=True)) == ADOBE_RGB
    assert worst_difference(ADOBE_RGB, SPACES["Adobe RGB"]) < 0.1
    assert adobe.curves[0](0.5) == pytest.approx(ADOBE_RGB.curves[0](0.5))
    assert color_of(ColorTags(icc=zlib.compress(bytes(100 << 20), 9))) is None
    assert color_of(ColorTags(icc=b"\x78\x9cbroken")) is None


def test_primaries_and_gamma_of_a_png() -> None:
    adobe = (31270, 32900, 64000, 33000, 21000, 71000, 15000, 6000)
    assert worst_difference(numbers(from_png(45_470, adobe)), SPACES["Adobe RGB"]) > 0.5  # as sRGB's curve is meant
    assert worst_difference(numbers(from_png(round(100_000 / 2.6), adobe)), SPACES["Adobe RGB"]) > 0.5
    for broken in ((0,) * 8, (31270, 0, *adobe[2:]), adobe[:4], (31270, 32900, *(30000, 30000) * 3)):
        assert from_png(50_000, broken) is None
    assert from_png(0, None) is None
    assert from_png(None, adobe) is None


def test_numbers_that_are_no_profile_are_refused() -> None:
    with pytest.raises(ValueError, match="33"):
        Curve(CurveKind.TABLE, (0.0, 1.0))
    with pytest.raises(ValueError, match="1 or 3"):
        ColorProfile(())
    with pytest.raises(ValueError, match="finite"):
        ColorProfile((Curve(CurveKind.PQ),), ((float("nan"),) * 3,) * 3)
    kept = numbers(read_icc(profile_of(P3)))
    adapter = TypeAdapter(ColorProfile)
    assert adapter.validate_json(adapter.dump_json(kept)) == kept


@pytest.mark.parametrize(
    ("color", "name"),
    [
        (None, "SRGB"),
        (b"whole", "TABLES"),
        (from_cicp(12, 13), "DISPLAY_P3"),
        (from_cicp(9, 16), "HDR"),
        (from_cicp(9, 18), "HDR"),
        (from_cicp(9, 1), "BT_2020"),
        (ADOBE_RGB, "ADOBE_RGB"),
        (read_icc(profile_of(SPACES["Display P3"], version=2, curve="table")), "DISPLAY_P3"),
        (read_icc(profile_of(SPACES["Adobe RGB"])), "ADOBE_RGB"),
        (read_icc(profile_of(SPACES["ProPhoto RGB"])), "PROPHOTO_RGB"),
        (read_icc(profile_of(SPACES["ProPhoto RGB"], grey=True)), "GREY"),
        (from_png(100_000, None), "OTHER"),
    ],
)
def test_a_colour_space_has_the_name_that_people_use(color: Any, name: str) -> None:
    assert space_of(color) is ColorSpace(name)
