"""Surfaces that are drawn for the skin gate's training: wood, sand, cloth and plain walls, in any colour."""

import cv2
import numpy as np

from dermis.worker.core.prepare import Image

SIZE = (288, 384)
_WARM = np.array(((246, 237, 228), (215, 189, 150), (160, 126, 86), (130, 92, 67), (96, 65, 52), (41, 36, 32)))
"""Colours between which most woods, sands and cloths lie, as skin does."""


def wood(rng: np.random.Generator) -> Image:
    """Return planks: grain along one direction, rings across it, and joints."""
    grain = _noise(rng, (int(rng.integers(60, 200)), int(rng.integers(2, 6))))
    rings = np.sin(_noise(rng, (int(rng.integers(4, 12)), 2)) * rng.uniform(15, 60))
    levels = grain * rng.uniform(0.2, 0.6) + rings * rng.uniform(0.05, 0.3)
    plank = int(rng.integers(40, 200))
    levels = levels + rng.uniform(-0.3, 0.3, SIZE[0] // plank + 1)[np.arange(SIZE[0]) // plank][:, None]
    if rng.random() < 0.6:
        levels[:: int(rng.integers(40, 120))] -= rng.uniform(0.3, 1)
    return _lit(_coloured(levels, rng), rng)


def sand(rng: np.random.Generator) -> Image:
    """Return grains with ripples: fine noise of some strength over slow waves."""
    size = float(rng.uniform(0.5, 3))
    grains = cv2.GaussianBlur(rng.normal(size=SIZE).astype(np.float32), (0, 0), size)
    ripples = np.sin(_noise(rng, (int(rng.integers(3, 20)), int(rng.integers(2, 6)))) * rng.uniform(2, 20))
    levels = grains / grains.std() * rng.uniform(0.1, 0.5) + ripples * rng.uniform(0, 0.4)
    return _lit(_coloured(levels, rng), rng)


def cloth(rng: np.random.Generator) -> Image:
    """Return a weave with folds, and on some stripes."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    warp, weft = rng.uniform(2, 9, 2)
    weave = np.sin(2 * np.pi * x / warp) * np.sin(2 * np.pi * y / weft)
    folds = _noise(rng, (int(rng.integers(2, 6)), int(rng.integers(2, 6))))
    levels = weave * rng.uniform(0.05, 0.4) + folds * rng.uniform(0.1, 0.8)
    if rng.random() < 0.4:
        levels = levels + np.sign(np.sin(2 * np.pi * x / rng.uniform(15, 90))) * rng.uniform(0.1, 0.6)
    turn = cv2.getRotationMatrix2D((SIZE[1] / 2, SIZE[0] / 2), float(rng.uniform(0, 180)), 1.7)
    turned = cv2.warpAffine(levels.astype(np.float32), turn, SIZE[::-1], borderMode=cv2.BORDER_REFLECT)
    return _lit(_coloured(turned, rng), rng)


def thing(rng: np.random.Generator) -> Image:
    """Return one shaded object with edges and a shadow on a plain ground, both in any colour or a warm one."""
    levels, mask = np.zeros(SIZE, np.float32), np.zeros(SIZE, np.float32)
    corners = rng.integers(3, 9)
    angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
    reach = rng.uniform(50, 130, corners)
    points = np.stack([SIZE[1] / 2 + reach * np.cos(angles), SIZE[0] / 2 + reach * np.sin(angles)], -1).astype(np.int32)
    cv2.fillPoly(mask, [cv2.convexHull(points) if rng.random() < 0.5 else points], 1)
    levels += _noise(rng, (3, 3)) * rng.uniform(0.2, 0.8)
    for _ in range(rng.integers(0, 8)):
        start, end = (tuple(int(place) for place in rng.integers(0, SIZE[::-1])) for _ in range(2))
        cv2.line(levels, start, end, float(rng.uniform(-1, 1)), int(rng.integers(1, 8)), cv2.LINE_AA)
    shadow = cv2.GaussianBlur(np.roll(mask, (8, 10), (0, 1)), (0, 0), 9)[..., None]
    ground = _coloured(_noise(rng, (2, 2)) * 0.15, rng) * (1 - rng.uniform(0, 0.5) * shadow)
    return _lit(np.where(mask[..., None] > 0, _coloured(levels, rng), ground), rng)


def _noise(rng: np.random.Generator, cells: tuple[int, int]) -> np.ndarray:
    """Return smooth noise of about unit spread with so many cells down and across."""
    coarse = rng.normal(size=cells).astype(np.float32)
    return np.asarray(cv2.resize(coarse, SIZE[::-1], interpolation=cv2.INTER_CUBIC))


def _coloured(levels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return levels as shades of one colour: a warm one as often as any other."""
    if rng.random() < 0.6:
        first, second = _WARM[rng.integers(len(_WARM), size=2)]
        colour = first + (second - first) * rng.random() + rng.normal(0, 6, 3)
    else:
        colour = rng.uniform(10, 250, 3)
    return np.asarray(colour * np.exp(0.5 * levels[..., None] * rng.uniform(0.8, 1.2, 3)))


def _lit(levels: np.ndarray, rng: np.random.Generator) -> Image:
    left, right = rng.uniform(0.7, 1.1, 2)
    light = np.linspace(left, right, SIZE[1])[None, :, None]
    return np.asarray(np.clip(levels * light + rng.normal(0, rng.uniform(0, 5), (*SIZE, 3)), 0, 255), np.uint8)
