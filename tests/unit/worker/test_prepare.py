"""From the working image to the prepared JPEG and the model's input."""

import cv2
import numpy as np
import pytest
import simplejpeg
from hypothesis import given
from hypothesis import strategies as st

from dermis.data.generated.skin import scene
from dermis.shared.vocabulary import MonkSkinTone
from dermis.worker.core.prepare import encode_prepared, fit, resize, shrink


@given(height=st.integers(1, 80), width=st.integers(1, 80), size=st.integers(32, 64))
def test_a_letterbox_keeps_aspect_centred_in_zeros(height: int, width: int, size: int) -> None:
    boxed = fit(np.full((height, width, 3), 200, np.uint8), size)
    assert boxed.shape == (size, size, 3)
    filled = boxed.any(axis=2)
    rows, columns = filled.any(axis=1), filled.any(axis=0)  # type: ignore[call-overload]
    assert max(rows.sum(), columns.sum()) == size
    assert abs(rows.sum() - size * height / max(height, width)) <= 1
    assert abs(columns.sum() - size * width / max(height, width)) <= 1
    for shown in (rows, columns):
        first, last = np.flatnonzero(shown)[[0, -1]]
        assert 0 <= (size - 1 - last) - first <= 1
    assert (boxed[filled] == 200).all()


def test_a_stretched_image_fills_the_square_whatever_its_aspect() -> None:
    image = np.random.default_rng(0).integers(1, 256, (90, 160, 3), dtype=np.uint8)
    squeezed = resize(image, width=120, height=120)
    stretched = fit(image, 60, "STRETCH")
    assert stretched.min() > 0
    assert np.abs(stretched.astype(int) - fit(squeezed, 60, "STRETCH")).mean() < 6
    assert not fit(image, 60)[0].any()


def test_a_fitted_image_is_resized_by_area_down_and_linearly_up() -> None:
    image = scene("Acne", tone=MonkSkinTone.MST4, seed=1, size=(60, 80))
    np.testing.assert_array_equal(fit(image, 32)[4:28], cv2.resize(image, (32, 24), interpolation=cv2.INTER_AREA))
    np.testing.assert_array_equal(
        fit(image, 160)[20:140], cv2.resize(image, (160, 120), interpolation=cv2.INTER_LINEAR)
    )


def test_an_image_of_the_wanted_size_is_left_as_it_is() -> None:
    image = scene("Acne", tone=MonkSkinTone.MST4, seed=1, size=(64, 64))
    np.testing.assert_array_equal(fit(image, 64), image)


def test_shrinking_never_enlarges() -> None:
    image = np.zeros((30, 50, 3), np.uint8)
    assert shrink(image, 50) is image
    assert shrink(image, 25).shape == (15, 25, 3)
    assert shrink(np.zeros((1, 5000, 3), np.uint8), 512).shape == (1, 512, 3)


@pytest.mark.parametrize("tone", [MonkSkinTone.MST1, MonkSkinTone.MST10])
def test_the_prepared_jpeg_is_444_without_metadata_and_close(tone: MonkSkinTone) -> None:
    working = scene("Psoriasis", tone=tone, seed=1, size=(96, 128))
    data = encode_prepared(working)
    height, width, colours, subsampling = simplejpeg.decode_jpeg_header(data)
    assert (height, width, colours, subsampling) == (96, 128, "YCbCr", "444")
    assert b"Exif" not in data
    assert np.abs(simplejpeg.decode_jpeg(data).astype(int) - working).mean() < 2
    assert encode_prepared(working[:, ::-1]) == encode_prepared(np.ascontiguousarray(working[:, ::-1]))
