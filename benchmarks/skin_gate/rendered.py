"""Pictures that are drawn for the skin gate: what is no skin, by generators for training and others for the test.

Skin is `dermis.data.generated.skin` on every Monk tone, and photos of light skin as if melanin lay over them.
"""

from collections.abc import Callable

import cv2
import numpy as np

from benchmarks.skin_gate import plotted, textures
from dermis.data.generated.skin import LOOKS, scene
from dermis.shared.vocabulary import MonkSkinTone
from dermis.worker.core.prepare import Image

Draw = Callable[[np.random.Generator], Image]
SIZE = (288, 384)
_SCENE = (192, 256)
_MELANIN = np.array([0.50, 0.72, 0.92], np.float32)
_FONTS = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_TRIPLEX)
_HANDS = (cv2.FONT_HERSHEY_SCRIPT_SIMPLEX, cv2.FONT_HERSHEY_SCRIPT_COMPLEX, cv2.FONT_HERSHEY_COMPLEX)


def darkened(image: Image, density: float) -> Image:
    """Return a photo of skin as if melanin of an optical `density` lay over it (see `dermis.data.generated.skin`)."""
    linear = (image.astype(np.float32) / 255) ** 2.2 * np.exp(-density * _MELANIN)
    return np.asarray(np.rint(255 * linear ** (1 / 2.2)), np.uint8)


def skin(tone: MonkSkinTone, seed: int) -> Image:
    """Return a drawing of skin in some light, the conditions in turn."""
    rng = np.random.default_rng([seed, list(MonkSkinTone).index(tone)])
    condition = sorted(LOOKS)[seed % len(LOOKS)]
    return scene(condition, tone=tone, seed=seed, size=_SCENE, light=float(rng.uniform(0.4, 1.1)))


def _paper(rng: np.random.Generator, level: tuple[int, int] = (225, 256)) -> Image:
    return np.broadcast_to(rng.integers(*level, 3).astype(np.uint8), (*SIZE, 3)).copy()


def _ink(rng: np.random.Generator) -> tuple[int, ...]:
    return tuple(int(level) for level in rng.integers(0, 110, 3))


def _any(rng: np.random.Generator) -> tuple[int, ...]:
    return tuple(int(level) for level in rng.integers(0, 256, 3))


def _words(rng: np.random.Generator) -> str:
    letters = [chr(code) for code in rng.integers(97, 123, 60)]
    for place in np.cumsum(rng.integers(3, 9, 9)):
        letters[min(place, 59)] = " "
    return "".join(letters)


def _write(page: Image, rng: np.random.Generator, fonts: tuple[int, ...]) -> Image:
    scale, font, ink = rng.uniform(0.3, 0.9), fonts[rng.integers(len(fonts))], _ink(rng)
    for y in range(int(rng.integers(15, 50)), SIZE[0], int(38 * scale) + int(rng.integers(2, 8))):
        cv2.putText(page, _words(rng), (int(rng.integers(8, 30)), y), font, scale, ink, 1, cv2.LINE_AA)
    return page


def document(rng: np.random.Generator) -> Image:
    return _write(_paper(rng), rng, _FONTS)


def handwriting(rng: np.random.Generator) -> Image:
    """A photographed note: another hand, tinted paper, turned, in uneven light."""
    page = _write(_paper(rng, (170, 256)), rng, _HANDS)
    turn = cv2.getRotationMatrix2D((SIZE[1] / 2, SIZE[0] / 2), float(rng.uniform(-25, 25)), float(rng.uniform(1, 1.4)))
    turned = cv2.warpAffine(page, turn, SIZE[::-1], borderValue=_any(rng))
    left, right = rng.uniform(0.5, 1, 2)
    light = np.linspace(left, right, SIZE[1])[None, :, None]
    return np.asarray(turned * light, np.uint8)


def screen(rng: np.random.Generator) -> Image:
    page = np.broadcast_to(np.array(_any(rng), np.uint8), (*SIZE, 3)).copy()
    for _ in range(rng.integers(4, 15)):
        x, y = int(rng.integers(0, SIZE[1])), int(rng.integers(0, SIZE[0]))
        cv2.rectangle(page, (x, y), (x + int(rng.integers(20, 250)), y + int(rng.integers(10, 120))), _any(rng), -1)
        cv2.putText(page, _words(rng)[:14], (x + 4, y + 12), _FONTS[0], 0.4, _any(rng), 1, cv2.LINE_AA)
    return page


def terminal(rng: np.random.Generator) -> Image:
    page = _paper(rng, (5, 50))
    for y in range(14, SIZE[0], 15):
        ink = tuple(int(level) for level in rng.integers(120, 256, 3))
        text = _words(rng)[: int(rng.integers(5, 60))]
        cv2.putText(page, text, (6, y), cv2.FONT_HERSHEY_PLAIN, 0.8, ink, 1, cv2.LINE_AA)
    return page


def bars(rng: np.random.Generator) -> Image:
    page, ink = _paper(rng), _any(rng)
    for x in range(40, SIZE[1] - 30, int(rng.integers(20, 50))):
        cv2.rectangle(page, (x, SIZE[0] - 30), (x + 14, int(rng.integers(30, SIZE[0] - 40))), ink, -1)
    cv2.rectangle(page, (30, 20), (SIZE[1] - 20, SIZE[0] - 30), (0, 0, 0), 1)
    return page


def pie(rng: np.random.Generator) -> Image:
    page, start = _paper(rng), 0.0
    for end in [*np.sort(rng.uniform(0, 360, 5)).tolist(), 360.0]:
        cv2.ellipse(page, (SIZE[1] // 2, SIZE[0] // 2), (110, 110), 0, start, end, _any(rng), -1, cv2.LINE_AA)
        start = end
    cv2.putText(page, _words(rng)[:12], (20, 24), _FONTS[0], 0.6, (20, 20, 20), 1, cv2.LINE_AA)
    return page


def scatter(rng: np.random.Generator) -> Image:
    page, ink = _paper(rng), _any(rng)
    for x, y in rng.normal((200, 140), (70, 50), (int(rng.integers(30, 200)), 2)).astype(int).tolist():
        cv2.circle(page, (x, y), 3, ink, -1, cv2.LINE_AA)
    cv2.line(page, (30, 260), (360, 260), (0, 0, 0), 1)
    cv2.line(page, (30, 20), (30, 260), (0, 0, 0), 1)
    return page


def _along(rng: np.random.Generator) -> np.ndarray:
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    slant = rng.uniform(0, np.pi)
    return np.asarray((x * np.cos(slant) + y * np.sin(slant)) / rng.uniform(4, 40))


def repeated_row(rng: np.random.Generator) -> Image:
    place = _along(rng)
    place -= place.min()
    rows = rng.integers(0, 256, (int(place.max()) + 2, 3))
    return np.stack([np.interp(place, np.arange(len(rows)), rows[:, c]) for c in range(3)], -1).astype(np.uint8)


def stripes(rng: np.random.Generator) -> Image:
    """Even bands of two colours with sensor noise."""
    share = (np.sin(_along(rng)) > rng.uniform(-0.5, 0.5))[..., None]
    return _noisy(np.where(share, _any(rng), _any(rng)), rng)


def gradient(rng: np.random.Generator) -> Image:
    place = _along(rng)
    share = ((place - place.min()) / np.ptp(place))[..., None]
    return _noisy(share * np.array(_any(rng)) + (1 - share) * np.array(_any(rng)), rng)


def check(rng: np.random.Generator) -> Image:
    y, x = np.mgrid[: SIZE[0], : SIZE[1]] // int(rng.integers(6, 60))
    return _noisy(np.where(((x + y) % 2)[..., None], _any(rng), _any(rng)), rng)


def _noisy(levels: np.ndarray, rng: np.random.Generator) -> Image:
    return np.asarray(np.clip(levels + rng.normal(0, rng.uniform(0, 8), (*SIZE, 3)), 0, 255), np.uint8)


TRAIN: dict[str, Draw] = {
    "documents": document,
    "screens": screen,
    "charts": bars,
    "stripes": repeated_row,
    "gradients": gradient,
    "plotted charts": plotted.chart,
    "wood": textures.wood,
    "sand": textures.sand,
    "cloth": textures.cloth,
    "things": textures.thing,
}
TEST: dict[str, Draw] = {
    "documents": handwriting,
    "screens": terminal,
    "charts": pie,
    "charts (scatter)": scatter,
    "stripes": stripes,
    "checks": check,
}
