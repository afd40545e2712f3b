"""Textures: what training images look like passes, noise and hair don't, and padding or storage don't count."""

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest

from dermis.shared.errors import DermisError
from dermis.worker.core.prepare import fit
from dermis.worker.core.texture import NEIGHBOURS, Textures, distances_to, from_bytes, statistics, to_bytes

SIZE = 96


def smooth(seed: int, height: int = SIZE, width: int = SIZE) -> Any:
    """Return a piece of even skin with soft blotches, as a drawing has."""
    rng = np.random.default_rng(seed)
    blotches = cv2.resize(rng.random((5, 5, 3)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(np.array([190, 140, 120]) + 40 * blotches, 1, 255).astype(np.uint8)


def noisy(seed: int) -> Any:
    noise = np.random.default_rng(seed).normal(0, 12, (SIZE, SIZE, 3))
    return np.clip(smooth(seed) + noise, 1, 255).astype(np.uint8)


def of(rows: Any) -> Textures:
    """Return the textures of rows that are all of different cases."""
    scale = rows.std(0) + 1e-2
    standard = (rows - rows.mean(0)) / scale
    distances = distances_to(standard, standard)
    np.fill_diagonal(distances, np.inf)
    spacing = np.sort(distances, axis=1)[:, :NEIGHBOURS].mean(1)
    return Textures(shift=rows.mean(0), whitening=np.diag(1 / scale), rows=standard, spacing=spacing)


@pytest.fixture(scope="module")
def textures() -> Textures:
    return of(np.stack([statistics(smooth(seed)) for seed in range(300)]))


def test_the_score_is_the_distance_to_neighbours_by_theirs() -> None:
    rng = np.random.default_rng(0)
    size = len(statistics(smooth(0)))
    thick, thin = rng.normal(0, 1, (200, size)), rng.normal(40, 10, (200, size))
    both = of(np.concatenate([thick, thin]))
    usual = [both.score(rng.normal(middle, spread, (50, size))).mean() for middle, spread in ((0, 1), (40, 10))]
    assert usual == pytest.approx([1, 1], abs=0.1)  # alike, though one cloud is ten times as wide
    assert both.score(np.full((1, size), 8.0))[0] > 2  # nearer to the thick cloud than thin's are to each other
    row = both.shift + rng.normal(size=size) / both.whitening.diagonal()
    away = np.linalg.norm((row - both.shift) @ both.whitening - both.rows, axis=1)
    nearest = np.argsort(away)[:NEIGHBOURS]
    assert both.score(row[None])[0] == pytest.approx((away[nearest] / both.spacing[nearest]).mean())


def test_an_image_of_unusual_texture_scores_above_those_of_training(textures: Textures) -> None:
    usual = max(textures.case_score(smooth(seed)[None]) for seed in range(300, 340))
    assert min(textures.case_score(noisy(seed)[None]) for seed in range(20)) > usual


def test_the_least_usual_image_of_a_case_counts(textures: Textures) -> None:
    images = np.stack([smooth(1), noisy(2)])
    assert textures.case_score(images) == textures.case_score(images[1:]) > textures.case_score(images[:1])


def test_zeros_around_an_image_do_not_count() -> None:
    image = smooth(3, height=SIZE * 3 // 4)
    assert np.array_equal(statistics(fit(image, SIZE)), statistics(image))


def test_a_flat_image_has_statistics() -> None:
    assert np.isfinite(statistics(np.zeros((SIZE, SIZE, 3), np.uint8))).all()
    assert np.isfinite(statistics(np.full((SIZE, SIZE, 3), 128, np.uint8))).all()


def test_a_file_is_read_as_it_was_written_and_a_damaged_one_is_refused(textures: Textures) -> None:
    data = to_bytes(textures)
    assert from_bytes(data).score(statistics(noisy(1))[None]) == pytest.approx(
        textures.score(statistics(noisy(1))[None]), rel=1e-2
    )
    with pytest.raises(DermisError, match="no texture file"):
        from_bytes(data[: len(data) // 2])
    for broken in (
        replace(textures, spacing=np.zeros(300)),
        replace(textures, rows=textures.rows[:, 1:]),
        replace(textures, rows=textures.rows[:NEIGHBOURS], spacing=textures.spacing[:NEIGHBOURS]),
        replace(textures, shift=np.full_like(textures.shift, np.nan)),
    ):
        with pytest.raises(DermisError, match="no texture file"):
            from_bytes(to_bytes(broken))
