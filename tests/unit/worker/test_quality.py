"""Quality: what is measured, and a verdict that skin tone does not change."""

import json
from functools import cache
from itertools import cycle
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dermis.data.generated.skin import LOOKS, MONK_SWATCHES, Geometry, geometry, paint, scene
from dermis.shared.report import Verdict
from dermis.shared.vocabulary import MonkSkinTone, ShotType
from dermis.worker.bootstrap import load_policy
from dermis.worker.core.decode import decode
from dermis.worker.core.phash import distance, phash
from dermis.worker.core.quality import Policy, Reason, assess, measures, signals, unreadable
from tests.support.images import Pixels, encode, noise

ROOT = Path(__file__).parents[3]
POLICY = load_policy()
RANK = [Verdict.USABLE, Verdict.MARGINAL, Verdict.UNUSABLE]
SIZE = (384, 512)


def verdict(image: Pixels) -> Verdict:
    return assess(image, POLICY).verdict


def blurred(image: Pixels, percent: float) -> Pixels:
    """Blur by a Gaussian whose sigma is `percent` of the longest side."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), percent / 100 * max(image.shape[:2]))) if percent else image


@cache
def drawn_once(condition: str, shot: ShotType) -> Geometry:
    return geometry(condition, seed=11, size=SIZE, shot_type=shot)


# Measures


def test_measures_follow_their_formulas() -> None:
    grey = cv2.cvtColor(scene("Acne", tone=MonkSkinTone.MST6, seed=1, size=(90, 120)), cv2.COLOR_RGB2GRAY)
    found = measures(grey)
    level = grey.astype(float)
    assert found.brightness_mean == pytest.approx(level.mean())
    assert found.brightness_std == pytest.approx(level.std())
    assert found.blur == found.sharpness == pytest.approx(cv2.Laplacian(grey, cv2.CV_64F).var())
    assert found.contrast == pytest.approx((np.percentile(level, 99) - np.percentile(level, 1)) / 255, abs=1 / 255)
    assert found.underexp == pytest.approx((level <= 12).mean())
    assert found.overexp == pytest.approx((level >= 243).mean())
    assert found.shadow == pytest.approx((level < np.median(level) / 2).mean())


def test_measures_of_known_frames() -> None:
    black, white = np.zeros((10, 10), np.uint8), np.full((10, 10), 255, np.uint8)
    assert measures(black).model_dump() == dict.fromkeys(measures(black).model_dump(), 0) | {"underexp": 1}
    assert measures(white).model_dump() == dict.fromkeys(measures(white).model_dump(), 0) | {
        "overexp": 1,
        "brightness_mean": 255,
    }
    halves = np.vstack([np.full((6, 10), 200, np.uint8), np.full((4, 10), 90, np.uint8)])
    found = measures(halves)
    assert (found.shadow, found.brightness_mean) == (pytest.approx(0.4), pytest.approx(156))
    assert found.contrast == pytest.approx(110 / 255)


@pytest.mark.parametrize(
    ("condition", "tone"),
    [("Eczema", MonkSkinTone.MST3), ("Psoriasis", MonkSkinTone.MST9), ("Healthy", MonkSkinTone.MST6)],
)
def test_one_image_measures_alike_however_it_was_saved(condition: str, tone: MonkSkinTone) -> None:
    large = cv2.resize(
        scene(condition, tone=tone, seed=1, size=(1512, 2016)), (4032, 3024), interpolation=cv2.INTER_CUBIC
    )
    phone = cv2.resize(large, (1600, 1200), interpolation=cv2.INTER_AREA)
    one, *others = (
        decode(data).image
        for data in (
            cv2.imencode(".png", large[..., ::-1])[1].tobytes(),
            encode(large, "JPEG", quality=92, subsampling=2),
            encode(phone, "JPEG", quality=85, subsampling=2),
        )
    )
    report, found = assess(one, POLICY), signals(one, POLICY.thresholds)
    assert report.measures is not None
    for other in others:
        again, alike = assess(other, POLICY), signals(other, POLICY.thresholds)
        assert again.measures is not None
        assert again.verdict is report.verdict
        assert again.measures.brightness_mean == pytest.approx(report.measures.brightness_mean, abs=0.5)
        assert again.measures.brightness_std == pytest.approx(report.measures.brightness_std, rel=0.02)
        for share in ("underexp", "overexp", "contrast", "shadow"):
            assert getattr(again.measures, share) == pytest.approx(getattr(report.measures, share), abs=0.01)
        assert again.measures.blur == pytest.approx(
            report.measures.blur, rel=0.25
        )  # the finest scale: every kernel shows
        for signal in ("texture", "redness", "fine_to_middle", "fine_to_coarse"):
            assert getattr(alike, signal) == pytest.approx(getattr(found, signal), rel=0.1)
        assert distance(phash(one), phash(other)) <= 10


# Tone

CASES = list(zip(sorted(LOOKS), cycle(ShotType), strict=False))
WAYS: dict[str, tuple[dict[str, Any], float, Verdict]] = {
    "sharp": ({"light": 0.8}, 0, Verdict.USABLE),
    "slightly blurred": ({"light": 0.8}, 0.3, Verdict.USABLE),
    "blurred": ({"light": 0.8}, 1.25, Verdict.MARGINAL),
    "badly blurred": ({"light": 0.8}, 3, Verdict.UNUSABLE),
    "dim": ({"light": 0.35}, 0, Verdict.USABLE),
    "dark": ({"light": 0.2}, 0, Verdict.USABLE),
    "bright": ({"light": 1.15}, 0, Verdict.USABLE),
    "warm light": ({"light": 0.8, "warmth": 0.8}, 0, Verdict.USABLE),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_same_scene_gets_the_same_verdict_on_every_tone(way: str) -> None:
    lit, blur, expected = WAYS[way]
    for condition, shot in CASES:
        verdicts = {
            tone: verdict(blurred(paint(drawn_once(condition, shot), tone=tone, **lit), blur)) for tone in MonkSkinTone
        }
        assert set(verdicts.values()) == {expected}, (condition, shot, verdicts)


@pytest.mark.parametrize("condition", sorted(set(LOOKS) - {"Healthy"}))
def test_a_dark_lesion_is_kept_on_every_tone(condition: str) -> None:
    drawn = geometry(condition, seed=3, size=SIZE)
    assert {verdict(paint(drawn, tone=tone, light=0.16)) for tone in MonkSkinTone} == {Verdict.USABLE}


@pytest.mark.parametrize("level", [7, 10, 20])
def test_a_dark_image_that_shows_redness_alone_is_kept(level: int) -> None:
    image = np.full((*SIZE, 3), level, np.uint8)
    cv2.circle(image, (256, 192), 60, (2 * level, level, level), -1)
    assert verdict(image) is not Verdict.UNUSABLE


@pytest.mark.parametrize("tone", list(MonkSkinTone))
def test_the_darkest_swatch_is_not_too_dark(tone: MonkSkinTone) -> None:
    swatch = np.array([int(MONK_SWATCHES[tone][place : place + 2], 16) for place in (0, 2, 4)], np.uint8)
    patch = np.broadcast_to(swatch, (*SIZE, 3)).copy()
    assert Reason.TOO_DARK not in assess(patch, POLICY).reasons
    assert signals(patch, POLICY.thresholds).highlights > 3 * POLICY.thresholds.highlights.value


@pytest.mark.parametrize("tone", [MonkSkinTone.MST1, MonkSkinTone.MST5, MonkSkinTone.MST10])
def test_a_scene_without_highlights_is_too_dark(tone: MonkSkinTone) -> None:
    image = scene("Eczema", tone=tone, seed=2, size=SIZE)
    noisy = np.rint(image * (4 / image.mean())) + np.random.default_rng(1).normal(0, 2, image.shape)
    report = assess(np.clip(noisy, 0, 255).astype(np.uint8), POLICY)
    assert (report.verdict, report.reasons[0]) == (Verdict.UNUSABLE, Reason.TOO_DARK)


# What shows nothing


@pytest.mark.parametrize("level", [0, 3, 6, 12, 60, 128, 200, 253])
@pytest.mark.parametrize("spread", [0, 1, 3, 6])
def test_noise_shows_nothing(level: float, spread: float) -> None:
    frame, small = (
        noise(height=height, width=width, level=level, spread=spread) for height, width in ((960, 1280), SIZE)
    )
    expected = {Reason.TOO_DARK} if level < 32 else {Reason.TOO_BRIGHT} if level > 250 else {Reason.NOTHING_VISIBLE}
    for data in (encode(small, "PNG"), encode(frame, "PNG"), encode(frame, "JPEG", quality=85, subsampling=2)):
        report = assess(decode(data).image, POLICY)
        assert report.verdict is Verdict.UNUSABLE
        assert set(report.reasons) == expected
        assert report.advice == tuple(POLICY.advice[Reason(reason)] for reason in report.reasons)


def stripes(slant: float, width: float) -> Pixels:
    """Return one random row, repeated over a frame at a slant in degrees and saved as JPEG."""
    row = np.random.default_rng(3).integers(60, 220, 400).astype(np.float32)
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    place = x * np.cos(np.radians(slant)) + y * np.sin(np.radians(slant))
    level = np.interp(place / width, np.arange(400), row).astype(np.uint8)
    return decode(encode(np.repeat(level[..., None], 3, axis=2), "JPEG", quality=75, subsampling=2)).image


@pytest.mark.parametrize("slant", [0, 1, 30, 45, 90])
@pytest.mark.parametrize("width", [4, 16, 40])
def test_a_repeated_row_shows_nothing(slant: float, width: float) -> None:
    report = assess(stripes(slant, width), POLICY)
    assert (report.verdict, report.reasons[0]) == (Verdict.UNUSABLE, Reason.NOTHING_VISIBLE)


@pytest.mark.parametrize(
    ("shown", "expected"), [(0.06, Verdict.UNUSABLE), (0.2, Verdict.MARGINAL), (0.6, Verdict.USABLE)]
)
@pytest.mark.parametrize(("fill", "reason"), [(0, Reason.TOO_DARK), (255, Reason.TOO_BRIGHT)])
def test_a_mostly_masked_image_is_judged_by_what_it_shows(
    shown: float, expected: Verdict, fill: int, reason: Reason
) -> None:
    image = scene("Eczema", tone=MonkSkinTone.MST6, seed=2, size=SIZE)
    image[round(shown * SIZE[0]) :] = fill
    report = assess(image, POLICY)
    assert report.verdict is expected
    assert report.reasons == (() if expected is Verdict.USABLE else (reason,))


@pytest.mark.parametrize(
    ("size", "expected"), [((47, 300), Verdict.UNUSABLE), ((48, 60), Verdict.MARGINAL), ((128, 128), Verdict.USABLE)]
)
def test_small_images(size: tuple[int, int], expected: Verdict) -> None:
    report = assess(scene("Eczema", tone=MonkSkinTone.MST6, seed=2, size=size), POLICY)
    assert report.verdict is expected
    assert report.reasons == (() if expected is Verdict.USABLE else (Reason.LOW_RESOLUTION,))


def test_a_blurred_image_is_told_what_to_do() -> None:
    report = assess(blurred(scene("Eczema", tone=MonkSkinTone.MST6, seed=2, size=SIZE), 3), POLICY)
    assert (report.reasons, report.advice) == ((Reason.BLURRED,), (POLICY.advice[Reason.BLURRED],))


@pytest.mark.parametrize("size", [(1, 1), (1, 512), (2, 3)])
def test_the_tiniest_images_are_judged_too(size: tuple[int, int]) -> None:
    assert verdict(np.full((*size, 3), 100, np.uint8)) is Verdict.UNUSABLE


# Laws

drawn = st.builds(
    geometry,
    st.sampled_from(sorted(LOOKS)),
    seed=st.integers(0, 10_000),
    size=st.just((192, 256)),
    shot_type=st.sampled_from(list(ShotType)),
)


def assert_never_better(images: list[Pixels]) -> None:
    ranks = [RANK.index(verdict(image)) for image in images]
    assert ranks == sorted(ranks)


@given(drawn=drawn, tone=st.sampled_from(list(MonkSkinTone)), light=st.floats(0.3, 1.1))
@settings(max_examples=40, deadline=None)
def test_more_blur_is_never_better(drawn: Geometry, tone: MonkSkinTone, light: float) -> None:
    image = paint(drawn, tone=tone, light=light)
    assert_never_better([blurred(image, percent) for percent in (0, 0.3, 0.6, 1, 1.5, 2, 3, 5)])


@given(drawn=drawn, tone=st.sampled_from(list(MonkSkinTone)))
@settings(max_examples=40, deadline=None)
def test_less_light_is_never_better(drawn: Geometry, tone: MonkSkinTone) -> None:
    image = paint(drawn, tone=tone, light=0.8)
    assume(verdict(image) is Verdict.USABLE)
    assert_never_better(
        [np.rint(image * share).astype(np.uint8) for share in (1, 0.7, 0.4, 0.2, 0.1, 0.05, 0.02, 0.01, 0)]
    )


@given(drawn=drawn, tone=st.sampled_from(list(MonkSkinTone)), turns=st.integers(1, 3))
@settings(max_examples=20, deadline=None)
def test_turning_an_image_changes_no_signal(drawn: Geometry, tone: MonkSkinTone, turns: int) -> None:
    image = paint(drawn, tone=tone)
    one, other = (
        signals(image, POLICY.thresholds),
        signals(np.ascontiguousarray(np.rot90(image, turns)), POLICY.thresholds),
    )
    for name in (
        "dark",
        "bright",
        "texture",
        "redness",
        "fine_to_middle",
        "fine_to_coarse",
        "structure",
        "level",
        "highlights",
        "isotropy",
    ):
        assert getattr(one, name) == pytest.approx(getattr(other, name), rel=1e-3, abs=1e-6)


# Policy


def numbers(node: Any) -> list[dict[str, Any]]:
    if isinstance(node, dict):
        return [node] if "value" in node else [number for inner in node.values() for number in numbers(inner)]
    return []


def test_every_number_says_where_it_is_from() -> None:
    stated = numbers(POLICY.model_dump()["thresholds"])
    assert len(stated) == 14
    for number in stated:
        assert len(number["measured_on"]) > 20
        for place in number["by"].split(" and "):
            file, test = place.split("::")
            assert f"def {test}(" in (ROOT / file).read_text()


def test_the_policy_s_id_follows_its_content_and_lands_in_the_report() -> None:
    changed = POLICY.model_dump(mode="json")
    changed["thresholds"]["redness"]["value"] *= 2
    assert Policy.model_validate(changed).id != POLICY.id
    assert Policy.model_validate_json(json.dumps(POLICY.model_dump(mode="json"), indent=9)).id == POLICY.id
    assert assess(np.zeros((60, 60, 3), np.uint8), POLICY).policy == POLICY.id


def test_the_reference_page_states_the_policy_s_numbers() -> None:
    page = (ROOT / "docs/reference/quality-measures.md").read_text()
    limits = POLICY.thresholds
    for words in (
        f"brightest channel is below {limits.dark_level.value:g}, whose darkest is above {limits.bright_level.value:g}",
        (
            f"less than {limits.seen_share.unusable.value:g} of the frame is neither dark nor bright | less than "
            f"{limits.seen_share.marginal.value:g} |"
        ),
        f"`texture` < {limits.texture.value:g} **and** `redness` < {limits.redness.value:g}",
        f"`fine_to_coarse` < {limits.fine_to_coarse.value:g};",
        f"(`level` < {limits.blur_level.value:g} and `structure` < {limits.blur_structure.value:g})",
        f"`fine_to_middle` < {limits.fine_to_middle.value:g} |",
        f"`highlights` < {limits.highlights.value:g}",
        f"`isotropy` < {limits.isotropy.value:g}",
        f"`short_side` < {limits.short_side.unusable.value:g} | < {limits.short_side.marginal.value:g} |",
    ):
        assert words in page


def test_every_reason_has_advice() -> None:
    assert set(POLICY.advice) | {Reason.NOT_SKIN} == set(Reason)
    without = POLICY.model_dump(mode="json")
    del without["advice"]["BLURRED"]
    with pytest.raises(ValueError, match="advice"):
        Policy.model_validate(without)


def test_an_unreadable_image_has_no_measures() -> None:
    report = unreadable(POLICY)
    assert (report.verdict, report.reasons, report.measures, report.policy) == (
        Verdict.UNUSABLE,
        ("UNREADABLE",),
        None,
        POLICY.id,
    )
    assert "open" in report.advice[0]
