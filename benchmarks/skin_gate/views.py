"""What the skin gate learns from and what it is measured on: small views of pictures, each with its kind and group."""

import csv
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from benchmarks.skin_gate import rendered, sources
from dermis.shared.vocabulary import MonkSkinTone
from dermis.worker.core.decode import decode
from dermis.worker.core.prepare import Image, shrink
from dermis.worker.core.skin import gate_input

SIZE = 128
LONGEST = 256
"""Longest side at which views are changed, in pixels."""
DRAWN, FIRST_UNSEEN = 25, 1000
"""Drawings of each tone; those of the test have seeds of their own."""
_PHOTOS = ("landscapes and places", "things")
_GROUND_KINDS = (*_PHOTOS, "cloth", "food")
"""Kinds of photos before which limbs lie."""
_BODIES = ("PAD-UFES-20", "generated")
"""Sources whose photos are skin from edge to edge, and lie before grounds too."""
_GENERATED, _PLOTTED, _IN_SCENE, _PORTRAITS = 60, 150, 1200, 600
_GROUNDS = (sources.WHITE, (215, 189, 150))
"""What clip art lies on: white, and the colour of some skin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateView:
    """A picture as the gate takes it. `group`: views that may not be parted; `changed`: cropped, tinted or blurred.

    `unusable`: as quality, which comes before the gate, judges it.
    """

    kind: str
    source: str
    group: str
    skin: bool
    pixels: Image
    name: str = ""
    part: str = ""
    changed: bool = False
    unusable: bool = False


Judge = Callable[[Image], bool]
"""Whether quality calls a working image, uint8[H,W,3], unusable."""


def _usable(_: Image) -> bool:
    return False


def training_skin(data: Path, is_unusable: Judge = _usable) -> Iterator[GateView]:
    """Yield the skin that the gate learns from: PAD-UFES-20, as it is and as if darker, and drawings."""
    for row, image in _photos(data, "pad_ufes_20_large"):
        group, photo = f"pad {row['patient_id']}", shrink(image, LONGEST)
        rng = _random(row["file"])
        first, *changed = _views("photos", "PAD-UFES-20", group, photo, rng, skin=True, changed=1)
        yield from (replace(first, unusable=is_unusable(image)), *changed)
        for density in rng.uniform(0.3, 4.5, 2):
            dark = rendered.darkened(photo, density)
            pixels = gate_input(_change(dark, rng, least=0.5), SIZE)
            kind = "photos, darkened"
            yield GateView(kind=kind, source="PAD-UFES-20", group=group, skin=True, pixels=pixels, changed=True)
    for tone in MonkSkinTone:
        for seed in range(DRAWN):
            image, group = rendered.skin(tone, seed), f"{tone} {seed}"
            yield from _views("drawings", "generated", group, image, _random(group), skin=True, changed=1)


def training_people(source: sources.Package, pictures: Path) -> Iterator[GateView]:
    """Yield hands or faces of a package that the gate learns from, as they are and as if darker."""
    for name, image in sources.read(source, pictures):
        group, rng = source.group(name), _random(f"{source.package} {name}")
        photo = shrink(image, LONGEST)
        yield from _views(source.kind, source.package, group, photo, rng, skin=True, changed=source.changed, least=0.6)
        if not source.changed:
            continue  # a part of a portrait may show no face
        dark = rendered.darkened(photo, float(rng.uniform(0.3, 4.5)))
        pixels = gate_input(_change(dark, rng, least=0.6), SIZE)
        kind = f"{source.kind}, darkened"
        yield GateView(kind=kind, source=source.package, group=group, skin=True, pixels=pixels, changed=True)


def training_drawn() -> Iterator[GateView]:
    """Yield what is drawn for the gate to learn from, and is no skin."""
    for place, (kind, draw) in enumerate(rendered.TRAIN.items()):
        for n in range(_PLOTTED if kind == "plotted charts" else _GENERATED):
            group = f"{kind} {n}"
            image = draw(np.random.default_rng([place, n, 0]))
            yield from _views(kind, "generated", group, image, _random(group), skin=False, changed=1, least=0.3)


def training_everyday(source: sources.Package, pictures: Path) -> Iterator[GateView]:
    """Yield pictures of a package that show no skin and that the gate learns from."""
    for name, image in sources.read(source, pictures, _GROUNDS):
        group = source.group(name)
        yield from _views(
            source.kind, source.package, group, image, _random(group), skin=False, changed=source.changed, least=0.15
        )


def _random(name: str) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(name.encode()))


def unseen_skin(data: Path, is_unusable: Judge = _usable) -> Iterator[GateView]:
    """Yield photos of SCIN and Fitzpatrick17k (`part`: the type) and unseen drawings (`part`: the Monk tone)."""
    for folder, source in (("scin", "SCIN"), ("fitzpatrick17k", "Fitzpatrick17k")):
        for row, photo in _photos(data, folder):
            part = row.get("fitzpatrick_scale") or ""
            yield _view("photos", source, photo, skin=True, name=row["file"], part=part, unusable=is_unusable(photo))
    for tone in MonkSkinTone:
        for seed in range(FIRST_UNSEEN, FIRST_UNSEEN + DRAWN):
            yield _view("drawings", "generated", rendered.skin(tone, seed), skin=True, part=tone)


def faces(source: sources.Package, pictures: Path, is_unusable: Judge = _usable) -> Iterator[GateView]:
    """Yield portraits of a package that does not train, as they are and cut to the head; `part` says which."""
    for name, picture in sources.read(source, pictures):
        height, width = picture.shape[:2]
        top, bottom, left, right = sources.HEADS[Path(name).name]
        head = picture[int(top * height) : int(bottom * height), int(left * width) : int(right * width)]
        for part, image in (("portraits", picture), ("heads of these portraits", np.ascontiguousarray(head))):
            unusable = is_unusable(_working(image))
            yield _view("faces", source.package, image, skin=True, name=name, part=part, unusable=unusable)


def everyday(source: sources.Package, pictures: Path) -> Iterator[GateView]:
    """Yield pictures that show no skin, of a package that does not train."""
    for name, picture in sources.read(source, pictures):
        yield _view(source.kind, source.package, picture, skin=False, name=name)


def drawn_everyday() -> Iterator[GateView]:
    """Yield pictures that show no skin, of generators that do not train."""
    for place, (kind, draw) in enumerate(rendered.TEST.items()):
        for n in range(25):
            picture = draw(np.random.default_rng([place, n, 1]))
            yield _view(kind, "generated", picture, skin=False, name=f"{kind} {n}")


def _photos(data: Path, folder: str) -> Iterator[tuple[dict[str, str], Image]]:
    with (data / "photos" / folder / "manifest.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            yield row, decode((data / "photos" / folder / row["file"]).read_bytes()).image


def _working(picture: Image) -> Image:
    return shrink(picture, 512)


def _view(
    kind: str,
    source: str,
    image: Image,
    *,
    skin: bool,
    name: str = "",
    part: str = "",
    unusable: bool = False,
) -> GateView:
    pixels = gate_input(_working(image), SIZE)
    return GateView(
        kind=kind, source=source, group=name, name=name, part=part, skin=skin, pixels=pixels, unusable=unusable
    )


def _views(
    kind: str,
    source: str,
    group: str,
    image: Image,
    rng: np.random.Generator,
    *,
    skin: bool,
    changed: int,
    least: float = 0.5,
) -> Iterator[GateView]:
    yield GateView(kind=kind, source=source, group=group, skin=skin, pixels=gate_input(_working(image), SIZE))
    for _ in range(changed):
        pixels = gate_input(_change(image, rng, least=least), SIZE)
        yield GateView(kind=kind, source=source, group=group, skin=skin, pixels=pixels, changed=True)


def _change(image: Image, rng: np.random.Generator, *, least: float) -> Image:
    """Return a crop of at least this share of each side, turned, mirrored, tinted, lit otherwise and maybe blurred."""
    height, width = image.shape[:2]
    share = rng.uniform(least, 1)
    rows, columns = max(32, int(height * share)), max(32, int(width * share))
    top, left = rng.integers(0, height - rows + 1), rng.integers(0, width - columns + 1)
    crop = np.rot90(image[top : top + rows, left : left + columns], int(rng.integers(4)))
    crop = shrink(np.ascontiguousarray(crop[:, ::-1] if rng.random() < 0.5 else crop), LONGEST)
    lit = np.clip(crop * (rng.uniform(0.6, 1.25) * rng.uniform(0.92, 1.08, 3)).astype(np.float32), 0, 255)
    if rng.random() < 0.3:
        lit = np.asarray(cv2.GaussianBlur(lit, (0, 0), rng.uniform(0.5, 0.02 * max(lit.shape[:2]) + 0.6)), np.float32)
    return np.asarray(lit, np.uint8)


def in_scene(skin: Sequence[GateView], everyday: Sequence[GateView], n: int) -> Iterator[GateView]:
    """Yield `n` views of skin that fills a part of the frame, before everyday pictures or a plain ground.

    Photos of a hand, a leg or a face show what is around them; those that train are close-ups alone.
    """
    rng = np.random.default_rng(7)
    for _ in range(n):
        body, ground = skin[int(rng.integers(len(skin)))], everyday[int(rng.integers(len(everyday)))].pixels
        if rng.random() < 0.4:
            ground = _plain(rng)
        mask = np.zeros((SIZE, SIZE), np.float32)
        centre, angle = rng.uniform(0.3, 0.7, 2) * SIZE, float(rng.uniform(0, 180))
        half = (float(rng.uniform(0.35, 0.8) * SIZE), float(rng.uniform(0.22, 0.5) * SIZE))
        place = (float(centre[0]), float(centre[1]))
        cv2.ellipse(mask, (place, (2 * half[0], 2 * half[1]), angle), 1, -1)
        shape = cv2.GaussianBlur(mask, (0, 0), float(rng.uniform(0.5, 2)))[..., None]
        yield _in_scene(body, "in a scene", shape * body.pixels + (1 - shape) * ground)


def limbs(skin: Sequence[GateView], grounds: Sequence[GateView], n: int) -> Iterator[GateView]:
    """Yield `n` views of one or two shaded limbs of skin that cross the frame before a photo or a plain ground."""
    rng = np.random.default_rng(11)
    for _ in range(n):
        body, ground = skin[int(rng.integers(len(skin)))], grounds[int(rng.integers(len(grounds)))].pixels
        pixels = np.asarray(ground if rng.random() < 0.75 else _plain(rng), np.float32)
        for _ in range(int(rng.integers(1, 3))):
            shape, light = _limb(rng)
            pixels = shape * light * body.pixels + (1 - shape) * pixels
        yield _in_scene(body, "limbs", pixels)


def _limb(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return where a bar of some width and direction lies, which may end in the frame, and its light, [S,S,1]."""
    y, x = np.mgrid[:SIZE, :SIZE]
    angle, centre, half = rng.uniform(0, np.pi), rng.uniform(0.2, 0.8, 2) * SIZE, rng.uniform(0.12, 0.32) * SIZE
    across = ((x - centre[0]) * np.cos(angle) + (y - centre[1]) * np.sin(angle)) / half
    along = (y - centre[1]) * np.cos(angle) - (x - centre[0]) * np.sin(angle)
    shape = 1 / (1 + np.exp((np.abs(across) - 1) * half / rng.uniform(0.5, 1.5)))
    if rng.random() < 0.5:
        shape = shape * (along > -rng.uniform(0.1, 0.5) * SIZE)
    light = 1 - rng.uniform(0.1, 0.6) * np.clip(np.abs(across - rng.uniform(-0.4, 0.4)), 0, 1) ** 2
    return shape[..., None], light[..., None]


def portraits(faces: Sequence[GateView], grounds: Sequence[GateView], n: int) -> Iterator[GateView]:
    """Yield `n` views of a face that fills a part of the frame, in front of a ground, with clothes below it."""
    rng = np.random.default_rng(13)
    clothes = [view for view in grounds if view.kind == "cloth"] or grounds
    for _ in range(n):
        face, ground, cloth = (part[int(rng.integers(len(part)))] for part in (faces, grounds, clothes))
        pixels: np.ndarray = np.asarray(ground.pixels if rng.random() < 0.6 else _plain(rng), np.float32)
        x, y, half = SIZE * rng.uniform(0.35, 0.65), SIZE * rng.uniform(0.3, 0.5), SIZE * rng.uniform(0.2, 0.4)
        body = _ellipse((x, y + 2.4 * half), (1.7 * half, 1.6 * half))
        pixels = body * (cloth.pixels if rng.random() < 0.6 else _plain(rng)) + (1 - body) * pixels
        scale = np.array([[2 * half / SIZE, 0, x - half], [0, 2 * half / SIZE, y - half]])
        over = cv2.warpAffine(face.pixels, scale, (SIZE, SIZE), borderMode=cv2.BORDER_REPLICATE)
        shape = _ellipse((x, y), (0.72 * half, 0.95 * half))
        yield _in_scene(face, "portraits", shape * over + (1 - shape) * pixels)


def _ellipse(centre: tuple[float, float], half: tuple[float, float]) -> np.ndarray:
    """Return 1 within an ellipse and 0 around it, softly, [S,S,1]."""
    y, x = np.mgrid[:SIZE, :SIZE]
    away = np.hypot((x - centre[0]) / half[0], (y - centre[1]) / half[1])
    return np.asarray(1 / (1 + np.exp((away - 1) * half[0] / 1.2)), np.float32)[..., None]


def _plain(rng: np.random.Generator) -> Image:
    return np.broadcast_to(rng.integers(0, 256, 3).astype(np.uint8), (SIZE, SIZE, 3))


def _in_scene(body: GateView, kind: str, pixels: np.ndarray) -> GateView:
    levels = np.asarray(np.clip(np.rint(pixels), 0, 255), np.uint8)
    return GateView(kind=kind, source=body.source, group=body.group, skin=True, pixels=levels, changed=True)


def training(read: Sequence[GateView]) -> list[GateView]:
    """Return all that the gate learns from: what was read, and its skin in scenes."""
    skin = [view for view in read if view.skin and view.source in _BODIES]
    other = [view for view in read if not view.skin]
    grounds = [view for view in other if view.kind in _GROUND_KINDS and view.source != "generated"]
    faces = [view for view in read if view.kind == "faces"]
    scenes = [*in_scene(skin, other, _IN_SCENE), *limbs(skin, grounds, _IN_SCENE)]
    return [*read, *scenes, *portraits(faces, grounds, _PORTRAITS if faces else 0)]
