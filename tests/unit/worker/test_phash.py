"""The perceptual hash: the same image, however saved, stays near; another one is far."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dermis.data.generated.skin import scene
from dermis.shared.vocabulary import MonkSkinTone
from dermis.worker.core.decode import decode
from dermis.worker.core.phash import distance, phash, to_text
from tests.support.images import encode

NEAR = 10
scenes = st.builds(
    scene,
    st.sampled_from(["Acne", "Eczema", "Psoriasis", "Tinea"]),
    tone=st.sampled_from(list(MonkSkinTone)),
    seed=st.integers(0, 1000),
    size=st.sampled_from([(192, 256), (256, 192)]),
)


@given(image=scenes, quality=st.integers(60, 95))
@settings(max_examples=40, deadline=None)
def test_recompression_changes_few_bits(image: np.ndarray, quality: int) -> None:
    assert distance(phash(image), phash(decode(encode(image, "JPEG", quality=quality, subsampling=2)).image)) <= NEAR


@given(image=scenes, scale=st.floats(0.4, 3))
@settings(max_examples=40, deadline=None)
def test_resizing_changes_few_bits(image: np.ndarray, scale: float) -> None:
    resized = cv2.resize(
        image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    )
    assert distance(phash(image), phash(resized)) <= NEAR  # type: ignore[arg-type]


def test_other_images_are_far() -> None:
    hashes = [phash(scene("Eczema", tone=MonkSkinTone.MST5, seed=seed, size=(96, 128))) for seed in range(24)]
    apart = [distance(one, other) for i, one in enumerate(hashes) for other in hashes[:i]]
    assert min(apart) > NEAR
    assert 26 < np.mean(apart) < 38  # 32 if bits were drawn


def test_the_bits_are_those_of_the_published_recipe() -> None:
    image = scene("Tinea", tone=MonkSkinTone.MST6, seed=3, size=(32, 32))
    grey = (image.astype(float) @ [0.299, 0.587, 0.114]).round()
    n = np.arange(32)
    cosines = (
        np.cos(np.pi * np.outer(n[:8], 2 * n + 1) / 64)
        * np.where(n[:8] == 0, np.sqrt(1 / 32), np.sqrt(2 / 32))[:, None]  # type: ignore[call-overload]
    )
    low = cosines @ grey @ cosines.T
    expected = "".join(str(int(bit)) for bit in (low > np.median(low)).ravel())
    assert f"{phash(image):064b}" == expected


@pytest.mark.parametrize(("value", "text"), [(0, "0" * 16), (1, "0" * 15 + "1"), ((1 << 64) - 1, "f" * 16)])
def test_text_is_16_hex_digits(value: int, text: str) -> None:
    assert to_text(value) == text
    assert int(to_text(value), 16) == value


@given(one=st.integers(0, (1 << 64) - 1), other=st.integers(0, (1 << 64) - 1))
def test_the_distance_is_a_metric_of_bits(one: int, other: int) -> None:
    assert distance(one, one) == 0
    assert (
        distance(one, other)
        == distance(other, one)
        == sum(a != b for a, b in zip(f"{one:064b}", f"{other:064b}", strict=True))
    )
