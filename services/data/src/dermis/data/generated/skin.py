"""Procedural scenes of skin: one geometry of lesions and relief, painted on any Monk skin tone under any light.

Colour is light left over by two pigments, in natural-log optical density per sRGB channel: haemoglobin takes green and
blue, melanin takes all and blue most. So redness shows as red on light skin and as dusky violet-brown on dark skin, and
lost pigment hardly shows on the one and glares on the other, as in life. A drawing, not a physical model.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from dermis.shared.vocabulary import MonkSkinTone, ShotType

Plane = npt.NDArray[np.floating[Any]]
Image = npt.NDArray[np.uint8]

# The ten published sRGB swatches. Source: skintone.google (Monk 2019, "Monk Skin Tone Scale").
MONK_SWATCHES = dict(
    zip(
        MonkSkinTone,
        ("f6ede4", "f3e7db", "f7ead0", "eadaba", "d7bd96", "a07e56", "825c43", "604134", "3a312a", "292420"),
        strict=True,
    )
)
EXTENT_CM = {ShotType.CLOSE_UP: 5.0, ShotType.AT_AN_ANGLE: 8.0, ShotType.AT_DISTANCE: 15.0}
_HAEMOGLOBIN = np.array([0.08, 0.62, 0.46], np.float32).reshape(3, 1, 1)
_MELANIN = np.array([0.50, 0.72, 0.92], np.float32).reshape(3, 1, 1)
_DEPIGMENTED = np.array([0.97, 0.85, 0.78], np.float32).reshape(3, 1, 1)
_FLAKE = np.array([0.64, 0.60, 0.57], np.float32).reshape(3, 1, 1)
_PUS = np.array([0.86, 0.72, 0.38], np.float32).reshape(3, 1, 1)
_STEPS = np.linspace(0, 1, 1 << 14)
_SRGB = (np.where(_STEPS <= 0.0031308, 12.92 * _STEPS, 1.055 * _STEPS ** (1 / 2.4) - 0.055) * 255 + 0.5).astype(
    np.uint8
)
_LAYERS = ("redness", "pigment", "loss", "scale", "height", "gloss", "pus")


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """All of a scene but its tone and light.

    float32[H,W] maps, `relief` as brightness, `backdrop` float32[3,H,W] linear.

    `skin` is 1 on skin and 0 on the backdrop; `lesion` is how much of a pixel the condition has changed, 0 to 1.
    """

    redness: Plane
    pigment: Plane
    loss: Plane
    scale: Plane
    gloss: Plane
    pus: Plane
    relief: Plane
    skin: Plane
    grain: Plane
    backdrop: Plane
    lesion: Plane


class _Canvas:
    """Maps over a piece of skin, in centimetres around its middle, that lesions are laid on."""

    def __init__(
        self,
        *,
        view: np.random.Generator,
        lesions: np.random.Generator,
        shape: tuple[int, int],
        extent: float,
        squeeze: float,
    ) -> None:
        self.view, self.lesions, self.shape, self.extent = view, lesions, shape, extent
        self.cm = extent / max(shape)
        height, width = shape
        self.x = ((np.arange(width, dtype=np.float32) + 0.5) - width / 2) * self.cm
        self.y = ((np.arange(height, dtype=np.float32) + 0.5) - height / 2) * self.cm * squeeze
        self.layers = {name: np.zeros(shape, np.float32) for name in _LAYERS}
        self.bend = [0.12 * self.noise(0.5) for _ in range(2)]

    def noise(self, cell: float) -> Plane:
        """Return smooth noise, mean 0 and deviation about 1, with bumps of `cell` centimetres."""
        drawn = max(cell, self.cm)  # finer than a pixel: only what is left after averaging
        rows, columns = (max(2, round(size * self.cm / drawn * 2) + 1) for size in self.shape)
        (rng,) = self.view.spawn(1)  # its own, so that the size of one draw does not shift the next
        grid = cv2.GaussianBlur(rng.random((rows, columns), np.float32) - np.float32(0.5), (0, 0), 1.0) * np.float32(
            12 * cell / drawn
        )
        way = cv2.INTER_AREA if rows > self.shape[0] else cv2.INTER_CUBIC
        return np.asarray(cv2.resize(grid, self.shape[::-1], interpolation=way), np.float32)

    def spot(
        self, at: tuple[float, float], radius: float, *, ragged: float = 0.1, reach: float = 1.8, bend: float = 1.0
    ) -> "_Spot | None":
        """Return a spot's window, None outside of the frame: `d` is 0 in the middle and 1 on the ragged border."""
        waves = self.lesions.normal(0, ragged, (2, 4)) / np.arange(1, 5)
        x, y = self.x - at[0], self.y - at[1]
        far = reach * radius + 0.4 * bend
        columns, rows = (slice(*np.searchsorted(axis, (-far, far))) for axis in (x, y))
        if columns.start == columns.stop or rows.start == rows.stop:
            return None
        weight = bend * min(1.0, radius)
        dx = x[None, columns] + weight * self.bend[0][rows, columns]
        dy = y[rows, None] + weight * self.bend[1][rows, columns]
        angle = np.arctan2(dy, dx)
        border = np.full_like(angle, radius)
        for k, (a, b) in enumerate(waves.T if ragged else (), start=2):
            border *= np.float32(1) + np.float32(a) * np.cos(k * angle) + np.float32(b) * np.sin(k * angle)
        return _Spot(self.layers, (rows, columns), np.hypot(dx, dy) / np.maximum(border, radius * 0.3))


@dataclass(slots=True)
class _Spot:
    layers: dict[str, Plane]
    window: tuple[slice, slice]
    d: Plane

    def disc(self, softness: float, *, radius: float = 1.0) -> Plane:
        return np.asarray(1 / (1 + np.exp(np.clip((self.d - radius) / softness, -30, 30))))

    def ring(self, radius: float, width: float) -> Plane:
        return np.asarray(np.exp(-(((self.d - radius) / width) ** 2)))

    def dome(self, radius: float = 1.0) -> Plane:
        return np.asarray(np.sqrt(np.clip(1 - (self.d / radius) ** 2, 0, 1)))

    def cut(self, plane: Plane) -> Plane:
        return plane[self.window]

    def lay(self, **layers: Plane) -> None:
        """Lay values on layers; where two lesions meet the stronger one counts."""
        for name, value in layers.items():
            view = self.layers[name][self.window]
            np.copyto(view, np.where(np.abs(value) > np.abs(view), value, view))


Place = Callable[[], tuple[float, float]]


def _eczema(canvas: _Canvas, rng: np.random.Generator, place: Place) -> None:
    blotch, flake, lines = canvas.noise(0.35), canvas.noise(0.07), canvas.noise(0.09)
    for _ in range(rng.integers(2, 5)):
        if spot := canvas.spot(place(), rng.uniform(0.8, 1.9), ragged=0.2, bend=1.5):
            disc = spot.disc(0.16) * np.clip(0.75 + 0.3 * spot.cut(blotch), 0.2, 1.2)
            dry = disc * np.clip(spot.cut(flake) - 0.9, 0, 1)
            spot.lay(redness=0.75 * disc, pigment=0.22 * disc, scale=0.45 * dry, height=0.012 * disc * spot.cut(lines))


def _psoriasis(canvas: _Canvas, rng: np.random.Generator, place: Place) -> None:
    flake, plate = canvas.noise(0.1), canvas.noise(0.3)
    for _ in range(rng.integers(1, 5)):
        if spot := canvas.spot(place(), rng.uniform(0.6, 1.6), ragged=0.12):
            plaque = spot.disc(0.035)
            silver = spot.disc(0.05, radius=0.86) * np.clip(0.55 + 0.35 * spot.cut(plate) + 0.3 * spot.cut(flake), 0, 1)
            spot.lay(redness=1.05 * plaque, pigment=0.2 * plaque, scale=0.75 * silver)
            spot.lay(height=plaque * (0.07 + 0.015 * spot.cut(flake)))


def _tinea(canvas: _Canvas, rng: np.random.Generator, place: Place) -> None:
    flake = canvas.noise(0.08)
    for _ in range(rng.integers(1, 3)):
        if spot := canvas.spot(place(), rng.uniform(1.0, 2.1), ragged=0.05, bend=0.5):
            ring, inside = spot.ring(0.9, 0.11), spot.disc(0.06)
            spot.lay(redness=0.95 * ring + 0.18 * inside, pigment=0.15 * inside + 0.15 * ring)
            spot.lay(
                scale=0.7 * ring * np.clip(spot.cut(flake) - 0.2, 0, 1),
                height=0.05 * ring * (1 + 0.4 * spot.cut(flake)),
            )


def _urticaria(canvas: _Canvas, rng: np.random.Generator, place: Place) -> None:
    for _ in range(rng.integers(5, 12)):
        if spot := canvas.spot(place(), rng.uniform(0.45, 1.3), ragged=0.22, bend=2.0):
            wheal = spot.disc(0.05)
            flare = spot.disc(0.12, radius=1.2) - 0.55 * spot.disc(0.1, radius=0.85)
            spot.lay(redness=0.62 * flare, height=0.11 * wheal * (0.6 + 0.4 * spot.dome(1.1)), gloss=0.01 * wheal)


def _acne(canvas: _Canvas, rng: np.random.Generator, place: Place) -> None:
    for _ in range(rng.integers(18, 40)):
        if not (spot := canvas.spot(place(), rng.uniform(0.07, 0.2), ragged=0, bend=0)):
            continue
        kind = rng.uniform()
        if kind < 0.3:  # a mark that stays behind
            spot.lay(pigment=0.5 * spot.disc(0.2), redness=0.35 * spot.disc(0.25))
            continue
        spot.lay(redness=1.1 * spot.disc(0.2, radius=1.15), height=0.08 * spot.dome(), pigment=0.15 * spot.disc(0.2))
        if kind > 0.65:
            spot.lay(pus=0.85 * spot.disc(0.1, radius=0.5), gloss=0.25 * spot.ring(0.2, 0.15))


def _insect_bite(canvas: _Canvas, rng: np.random.Generator, place: Place) -> None:
    for _ in range(rng.integers(2, 6)):
        if spot := canvas.spot(place(), rng.uniform(0.3, 0.6), ragged=0.05, reach=2.4, bend=0.3):
            spot.lay(redness=0.95 * spot.disc(0.14) + 0.3 * spot.disc(0.25, radius=1.7), height=0.16 * spot.dome())
            spot.lay(pigment=1.6 * spot.disc(0.04, radius=0.16))


def _herpes_zoster(canvas: _Canvas, rng: np.random.Generator, place: Place) -> None:
    middle, angle = place(), rng.uniform(-0.6, 0.6)
    for step in range(rng.integers(2, 5)):
        along = (step % 2 * 2 - 1) * (step + 1) // 2 * 1.9
        at = (middle[0] + along * np.cos(angle), middle[1] + along * np.sin(angle) + rng.normal(0, 0.2))
        if base := canvas.spot(at, rng.uniform(0.9, 1.25), ragged=0.2, bend=1.5):
            base.lay(redness=0.8 * base.disc(0.12), pigment=0.1 * base.disc(0.12))
        for _ in range(rng.integers(9, 17)):
            r, turn = 0.85 * np.sqrt(rng.uniform()), rng.uniform(0, 2 * np.pi)
            if spot := canvas.spot(
                (at[0] + r * np.cos(turn), at[1] + r * np.sin(turn)), rng.uniform(0.11, 0.19), ragged=0, bend=0
            ):
                shine = spot.ring(0.45, 0.18)
                spot.lay(height=0.12 * spot.dome(), pus=0.3 * spot.disc(0.08, radius=0.85), gloss=0.2 * shine)


def _vitiligo(canvas: _Canvas, rng: np.random.Generator, place: Place) -> None:
    islands = canvas.noise(0.25)
    for _ in range(rng.integers(2, 6)):
        if spot := canvas.spot(place(), rng.uniform(0.7, 2.0), ragged=0.25, bend=2.5):
            spot.lay(
                loss=0.96 * spot.disc(0.03) * np.clip(1.6 - np.clip(spot.cut(islands), 0, 2), 0, 1),
                pigment=0.18 * spot.ring(1.1, 0.1),
            )


def _healthy(canvas: _Canvas, rng: np.random.Generator, place: Place) -> None:
    """Draw no lesion."""


LOOKS: dict[str, Callable[[_Canvas, np.random.Generator, Place], None]] = {
    "Acne": _acne,
    "Eczema": _eczema,
    "Herpes Zoster": _herpes_zoster,
    "Insect Bite": _insect_bite,
    "Psoriasis": _psoriasis,
    "Tinea": _tinea,
    "Urticaria": _urticaria,
    "Vitiligo": _vitiligo,
    "Healthy": _healthy,
}


def geometry(condition: str, *, seed: int, size: tuple[int, int], shot_type: ShotType = ShotType.CLOSE_UP) -> Geometry:
    """Lay out a scene; `seed` fixes the lesions, `size` is height and width in pixels.

    Shots of one seed show the same lesions at their distances.
    """
    lesions = np.random.default_rng([seed, 0])
    view = np.random.default_rng([seed, 1 + list(ShotType).index(shot_type)])
    squeeze = 1.5 if shot_type is ShotType.AT_AN_ANGLE else 1.0
    canvas = _Canvas(view=view, lesions=lesions, shape=size, extent=EXTENT_CM[shot_type], squeeze=squeeze)
    LOOKS[condition](canvas, lesions, _places(lesions))
    return _finish(canvas, shot_type)


def _places(rng: np.random.Generator) -> Place:
    taken: list[tuple[float, float]] = []

    def place() -> tuple[float, float]:
        tries = rng.normal(0, 1.9 if taken else 0.25, (4, 2))
        apart = np.min([np.hypot(*(tries - at).T) for at in taken], axis=0) if taken else np.zeros(4)
        x, y = tries[np.argmax(apart)]
        taken.append((float(x), float(y)))
        return taken[-1]

    return place


def _finish(canvas: _Canvas, shot_type: ShotType) -> Geometry:
    """Add what all skin has: mottling, moles, fine lines, pores, the body's roundness, the light's fall, a backdrop."""
    view, layers = canvas.view, canvas.layers
    lesion = np.clip(sum(np.abs(layers[name]) for name in ("redness", "pigment", "loss", "scale", "pus")), 0, 1).astype(
        np.float32
    )
    lit = view.uniform(0, 2 * np.pi)
    lx, ly = np.float32(np.cos(lit)), np.float32(np.sin(lit))
    lines = np.abs(canvas.noise(0.11)) + 0.6 * np.abs(canvas.noise(0.05))
    height = layers["height"] + 0.0035 * lines + 0.03 * canvas.noise(1.2)
    slope = cv2.Sobel(height, cv2.CV_32F, 1, 0, ksize=3) * lx + cv2.Sobel(height, cv2.CV_32F, 0, 1, ksize=3) * ly
    relief: Plane = 1 + np.clip(slope / (8 * canvas.cm), -0.5, 0.5)
    relief = relief * (
        1 + view.uniform(0.05, 0.2) * (canvas.x[None] * lx + canvas.y[:, None] * ly) / (canvas.extent / 2)
    )
    relief, skin, backdrop = _body(canvas, relief.astype(np.float32), shot_type)
    layers["redness"] += 0.07 * canvas.noise(0.9) + 0.05 * canvas.noise(0.3)
    layers["pigment"] += 0.05 * canvas.noise(1.5) + 0.03 * canvas.noise(0.15)
    for _ in range(view.integers(0, 4)):
        at = (view.uniform(-4, 4), view.uniform(-4, 4))
        if mole := canvas.spot(at, view.uniform(0.05, 0.13), ragged=0, bend=0):
            mole.lay(pigment=0.9 * mole.disc(0.2))
    return Geometry(
        **{name: layers[name] for name in _LAYERS if name != "height"},
        relief=relief,
        skin=skin,
        grain=view.spawn(1)[0].standard_normal(canvas.shape, np.float32),
        backdrop=backdrop,
        lesion=lesion * skin,
    )


def _body(canvas: _Canvas, relief: Plane, shot_type: ShotType) -> tuple[Plane, Plane, Plane]:
    """Return relief, skin mask and backdrop: at a distance a limb lies across the frame, else skin fills it."""
    view, shape = canvas.view, canvas.shape
    if shot_type is not ShotType.AT_DISTANCE:
        return relief, np.ones(shape, np.float32), np.zeros((3, *shape), np.float32)
    tilt, half = view.uniform(0, np.pi), view.uniform(4.2, 5.4)
    cloth = view.uniform(0.02, 0.7) * view.uniform(0.75, 1.0, (3, 1, 1))
    weave = 1 + 0.08 * canvas.noise(0.12) + 0.1 * canvas.noise(3)
    backdrop = np.clip(cloth * weave, 0, 1).astype(np.float32)
    along = canvas.x[None] * np.cos(tilt) + canvas.y[:, None] * np.sin(tilt)
    across = canvas.y[:, None] * np.cos(tilt) - canvas.x[None] * np.sin(tilt) + 0.012 * along**2
    u = np.abs(across) / (half * (1 + 0.03 * along / 5))
    skin = np.clip((1 - u) * half / canvas.cm + 0.5, 0, 1).astype(np.float32)
    roundness = 0.45 + 0.55 * np.sqrt(np.clip(1 - u**2, 0, 1))
    backdrop *= np.clip(0.55 + 0.6 * (u - 1), 0.4, 1).astype(np.float32)
    return (relief * roundness).astype(np.float32), skin, backdrop


def paint(
    scene: Geometry, *, tone: MonkSkinTone, light: float = 0.8, warmth: float = 0.0, noise: float = 0.008
) -> Image:
    """Paint a geometry: uint8[H,W,3] RGB. `light` 1 shows the tone as published; `warmth` above 0 is redder light."""
    base = _density(tone)
    dark = float(
        (base - _density(MonkSkinTone.MST1)).mean()
        / (_density(MonkSkinTone.MST10) - _density(MonkSkinTone.MST1)).mean()
    )
    # Melanin lies above the vessels: it hides part of the red; and inflamed dark skin makes more melanin.
    blood = scene.redness * (1 - 0.3 * dark)
    melanin = scene.pigment * (0.35 + 0.65 * min(1.0, 0.3 + dark)) + 0.45 * dark * scene.redness
    density = base + melanin * _MELANIN
    density += scene.loss * (-np.log(_DEPIGMENTED) - density)
    density += blood * _HAEMOGLOBIN
    colour = np.exp(-np.maximum(density, np.float32(0.01)))
    colour += np.clip(scene.scale, 0, 1) * (_FLAKE * np.float32(1 - 0.45 * dark) - colour)
    colour += np.clip(scene.pus, 0, 1) * (_PUS * np.float32(1 - 0.55 * dark) - colour)
    colour = colour * scene.relief + scene.gloss
    colour = scene.backdrop + scene.skin * (colour - scene.backdrop)
    colour *= np.array([1 + 0.12 * warmth, 1, 1 - 0.18 * warmth], np.float32).reshape(3, 1, 1) * np.float32(light)
    colour += np.float32(noise) * np.sqrt(np.clip(colour, 0.01, 1)) * scene.grain
    levels = (np.clip(colour, 0, 1) * np.float32(len(_SRGB) - 1)).astype(np.uint16)
    return np.ascontiguousarray(_SRGB[levels].transpose(1, 2, 0))


def scene(
    condition: str,
    *,
    tone: MonkSkinTone,
    seed: int,
    size: tuple[int, int] = (160, 160),
    shot_type: ShotType = ShotType.CLOSE_UP,
    light: float = 0.8,
    warmth: float = 0.0,
) -> Image:
    """Render one scene, uint8[H,W,3] RGB; with one seed, every tone and light shows the same geometry."""
    return paint(geometry(condition, seed=seed, size=size, shot_type=shot_type), tone=tone, light=light, warmth=warmth)


def _linear(tone: MonkSkinTone) -> Plane:
    srgb = np.array(list(bytes.fromhex(MONK_SWATCHES[tone])), np.float32) / 255
    return np.asarray(np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4), np.float32).reshape(
        3, 1, 1
    )


def _density(tone: MonkSkinTone) -> Plane:
    return -np.log(_linear(tone))
