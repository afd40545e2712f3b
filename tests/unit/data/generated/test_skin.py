from typing import Any

import cv2
import numpy as np
import pytest

from dermis.data.generated.skin import LOOKS, MONK_SWATCHES, geometry, paint, scene
from dermis.shared.vocabulary import MonkSkinTone, ShotType

TONES = tuple(MonkSkinTone)
FLAT: dict[str, Any] = {"seed": 5, "size": (96, 96)}


def lightness(image: Any) -> Any:
    return cv2.cvtColor(image, cv2.COLOR_RGB2LAB)[..., 0].astype(float)


def redness(image: Any) -> Any:
    """CIELAB a*, mean over some pixels."""
    return cv2.cvtColor(image.reshape(-1, 1, 3), cv2.COLOR_RGB2LAB)[..., 1].astype(float).mean()


def test_healthy_skin_at_full_light_has_the_published_colour() -> None:
    plain = geometry("Healthy", seed=1, size=(64, 64))
    for tone in TONES:
        swatch = np.array(list(bytes.fromhex(MONK_SWATCHES[tone])))
        found = np.median(paint(plain, tone=tone, light=1.0).reshape(-1, 3), axis=0)
        assert np.abs(found - swatch).max() < 15, tone


@pytest.mark.parametrize("condition", [*LOOKS])
@pytest.mark.parametrize("shot_type", [*ShotType])
def test_the_same_scene_on_ten_tones_differs_in_colour_and_not_in_geometry(condition: Any, shot_type: Any) -> None:
    laid = geometry(condition, seed=11, size=(96, 72), shot_type=shot_type)
    images = [scene(condition, tone=tone, seed=11, size=(96, 72), shot_type=shot_type) for tone in TONES]
    # Nothing but the tone differs between a scene and its geometry painted by hand ...
    assert all(np.array_equal(image, paint(laid, tone=tone)) for image, tone in zip(images, TONES, strict=True))
    # ... so where there is no skin the images are equal, and where there is they are as dark as the tone.
    backdrop = laid.skin == 0
    assert all(np.array_equal(image[backdrop], images[0][backdrop]) for image in images)
    bare = (laid.skin == 1) & (laid.lesion < 0.02)
    medians = [np.median(lightness(image)[bare]) for image in images]
    for at in range(4, 10):  # tones 1 to 4 are nearly equally light
        assert medians[at] < medians[at - 1] - 3


def test_relief_shows_on_every_tone() -> None:
    images = [scene("Insect Bite", tone=tone, seed=3, size=(96, 96)) for tone in TONES]
    edges = [cv2.Laplacian(cv2.GaussianBlur(lightness(image), (0, 0), 1.5), cv2.CV_64F).ravel() for image in images]
    for tone, edge in zip(TONES, edges, strict=True):
        assert np.corrcoef(edge, edges[4])[0, 1] > 0.7, tone


def test_inflammation_is_red_on_light_skin_and_a_dusky_darkening_on_dark_skin() -> None:
    laid = geometry("Eczema", **FLAT)
    sick, bare = laid.redness > 0.5, laid.lesion < 0.02
    for tone in TONES:
        image = paint(laid, tone=tone)
        assert lightness(image)[sick].mean() < lightness(image)[bare].mean()
    light, dark = (paint(laid, tone=tone) for tone in (MonkSkinTone.MST2, MonkSkinTone.MST10))
    assert redness(light[sick]) - redness(light[bare]) > 8
    assert 0 < redness(dark[sick]) - redness(dark[bare]) < 5


def test_lost_pigment_glares_on_dark_skin_and_hardly_shows_on_light_skin() -> None:
    laid = geometry("Vitiligo", **FLAT)
    lost, bare = laid.loss > 0.9, laid.lesion < 0.02

    def contrast(tone: Any) -> Any:
        image = lightness(paint(laid, tone=tone))
        return image[lost].mean() - image[bare].mean()

    assert abs(contrast(MonkSkinTone.MST1)) < 10
    assert contrast(MonkSkinTone.MST9) > 100


@pytest.mark.parametrize("condition", sorted(LOOKS.keys() - {"Healthy"}))
def test_every_condition_shows_in_the_middle_of_a_close_up(condition: Any) -> None:
    for seed in range(20):
        lesion = geometry(condition, seed=seed, size=(80, 80)).lesion
        assert lesion.max() > 0.3
        assert lesion.mean() > 0.002


def test_no_lesion_without_a_condition() -> None:
    assert geometry("Healthy", **FLAT).lesion.max() == 0


def test_a_seed_is_one_scene_and_another_seed_another() -> None:
    tone = MonkSkinTone.MST6
    assert np.array_equal(scene("Acne", tone=tone, **FLAT), scene("Acne", tone=tone, **FLAT))
    assert not np.array_equal(scene("Acne", tone=tone, seed=5), scene("Acne", tone=tone, seed=6))


def test_a_larger_size_shows_the_same_lesions() -> None:
    small, large = (geometry("Psoriasis", seed=2, size=size).lesion for size in ((96, 72), (768, 576)))
    shrunk = cv2.resize(large, (72, 96), interpolation=cv2.INTER_AREA)
    assert np.corrcoef(small.ravel(), shrunk.ravel())[0, 1] > 0.97


def test_light_only_scales() -> None:
    dim, bright = (scene("Healthy", tone=MonkSkinTone.MST5, light=light, **FLAT).mean() for light in (0.2, 0.8))
    assert dim < bright * 0.7
    assert scene("Eczema", tone=MonkSkinTone.MST5, light=0.0, **FLAT).max() < 16  # sensor noise
