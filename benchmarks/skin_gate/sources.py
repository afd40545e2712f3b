"""Everyday pictures of Debian packages: what trains the skin gate and what only tests it, disjoint by package.

Only pictures whose licence allows works derived from them without a condition on the rest train: CC0, CC BY, CC BY-SA
with attribution, public domain, BSD and Apache-2.0. The others are read in place. No picture is part of this project.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from dermis.worker.core.prepare import Image, shrink

WHITE = (255, 255, 255)
Colour = tuple[int, int, int]
LEAST_BYTES = 12_000
"""Smaller files are icons."""
_READ = cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """Pictures of one kind below a folder of an unpacked package; at most `most` of them, evenly spread by name."""

    kind: str
    package: str
    under: str = ""
    licence: str
    most: int = 400
    without: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    """Names of the folders that hold the files; none: any."""
    changed: int = 1
    """How many crops, tinted and lit otherwise, train beside each picture as it is."""
    least_bytes: int = LEAST_BYTES
    first: int = 0
    person: int = 0
    """Files of one person have numbers that follow one another from `first` on: how many; 0: each stands for itself."""

    def group(self, name: str) -> str:
        """Return what a file of this name must not be parted from when folds are drawn."""
        digits = re.sub(r"\D", "", name.rpartition("/")[2])
        own = str((int(digits) - self.first) // self.person) if self.person and digits else name
        return f"{self.package} {own}"


_OPENCV = "usr/share/doc/opencv-doc/examples"
_CALTECH = "Homework2-Caltech101"
_OBJECTS = "101_ObjectCategories"
_ANIMALS = (
    "Leopards ant bass beaver butterfly cougar_body cougar_face crab crayfish crocodile crocodile_head dalmatian "
    "dolphin dragonfly elephant emu flamingo flamingo_head gerenuk hawksbill hedgehog ibis kangaroo llama lobster "
    "mayfly nautilus octopus okapi panda pigeon platypus rhino rooster scorpion sea_horse starfish tick wild_cat"
)
_PLANTS = "bonsai joshua_tree lotus strawberry sunflower water_lilly"
_THINGS = (
    "Motorbikes accordion airplanes anchor barrel binocular camera cannon car_side ceiling_fan cellphone chair "
    "chandelier cup electric_guitar euphonium ewer ferry gramophone grand_piano headphone helicopter inline_skate "
    "ketch lamp laptop menorah metronome minaret pagoda pyramid saxophone schooner scissors soccer_ball stapler "
    "stop_sign umbrella watch wheelchair windsor_chair wrench"
)
_OF_CALTECH = (
    ("animals", 350, _ANIMALS),
    ("plants", 200, _PLANTS),
    ("food", 60, "pizza strawberry"),
    ("things", 300, _THINGS),
)
_CLIPART = "usr/share/openclipart/png"
_STAMPS = "usr/share/tuxpaint/stamps"
_DRAWN = ("cartoon", "asl", "/faces/", "medical")
TRAIN = (
    Package(kind="landscapes and places", package="budgie-backgrounds", licence="CC0 1.0", changed=6),
    Package(
        kind="landscapes and places",
        package="lomiri-wallpapers-16.04",
        licence="CC BY 4.0, CC BY-SA 3.0 and 4.0",
        changed=6,
    ),
    Package(
        kind="landscapes and places",
        package="lomiri-wallpapers-20.04",
        licence="CC BY 4.0, CC BY-SA 3.0 and 4.0",
        changed=6,
    ),
    Package(kind="landscapes and places", package="ukui-wallpapers", licence="CC BY-SA 3.0", changed=6),
    Package(kind="patterns", package="gnome-backgrounds", licence="CC BY-SA 3.0"),
    Package(
        kind="things",
        package="opencv-doc",
        under=_OPENCV,
        licence="Apache-2.0",
        most=100,
        changed=6,
        without=("messi", "lena", "hand"),
    ),
    Package(kind="charts", package="python-matplotlib-doc", licence="PSF-based (matplotlib)", most=300),
    Package(
        kind="charts", package="python-skimage-doc", licence="BSD-3-Clause", most=60, without=("face", "astronaut")
    ),
    Package(kind="food", package="GroceryStoreDataset", under="dataset/train", licence="MIT", most=350),
    Package(
        kind="food",
        package="GroceryStoreDataset",
        under="dataset/iconic-images-and-descriptions",
        licence="MIT",
        most=80,
    ),
    Package(kind="cloth", package="clothing-dataset-small", under="train", licence="CC0 1.0", most=250),
    Package(kind="screens", package="gnome-user-docs", licence="CC BY-SA 3.0", most=60),
    *(
        Package(kind="clip art", package="openclipart-png", under=f"{_CLIPART}/{part}", licence="public domain", most=n)
        for part, n in (("animals", 150), ("food", 120), ("buildings", 30), ("transportation", 40), ("plants", 70))
    ),
    *(
        Package(
            kind=kind,
            package=_CALTECH,
            under=_OBJECTS,
            licence="CC BY 4.0",
            most=most,
            folders=tuple(folders.split()),
            least_bytes=4000,
        )
        for kind, most, folders in _OF_CALTECH
    ),
)
SKIN = (
    Package(
        kind="hands",
        package="Sign-Language-Digits-Dataset",
        under="Dataset",
        licence="Apache-2.0",
        most=350,
        least_bytes=1000,
        first=1118,
        person=10,
    ),
    Package(
        kind="faces",
        package=_CALTECH,
        under=f"{_OBJECTS}/Faces_easy",
        licence="CC BY 4.0",
        least_bytes=4000,
        person=20,
    ),
    Package(
        kind="portraits",
        package=_CALTECH,
        under=f"{_OBJECTS}/Faces",
        licence="CC BY 4.0",
        most=220,
        changed=0,
        least_bytes=4000,
        person=20,
    ),
)
"""People's skin that trains beside PAD-UFES-20."""
TEST = (
    *(
        Package(
            kind=kind, package="tuxpaint-stamps-default", under=f"{_STAMPS}/{part}", licence="GPL-2", without=_DRAWN
        )
        for kind, part in (
            ("animals", "animals"),
            ("food", "food"),
            ("plants", "plants"),
            ("things", "household"),
            ("things", "vehicles"),
            ("things", "clothes"),
            ("things", "hobbies"),
            ("places", "town"),
        )
    ),
    Package(kind="animals", package="gcompris-qt-data", under="explore_world_animals", licence="GPL-3+ and others"),
    Package(kind="animals", package="gcompris-qt-data", under="explore_farm_animals", licence="GPL-3+ and others"),
    Package(kind="places", package="gcompris-qt-data", under="explore_monuments", licence="GPL-3+ and others"),
    Package(kind="things", package="gcompris-qt-data", under="categorization", licence="GPL-3+ and others"),
    Package(kind="landscapes", package="plasma-workspace-wallpapers", licence="GPL-2+", most=60),
    Package(kind="landscapes", package="mate-backgrounds", under="usr/share/backgrounds/mate/nature", licence="GPL-2+"),
    Package(kind="screens", package="gimp-help-en", licence="GFDL", most=100),
    Package(kind="charts", package="python-scipy-doc", licence="BSD-3-Clause", most=100),
    Package(kind="maps", package="kgeography-data", licence="GPL-2+, CC0", most=60),
    Package(kind="sky", package="kstars-data", licence="GPL-2+", most=60),
)

FACES = (
    Package(
        kind="faces",
        package="python3-skimage",
        under="usr/lib/python3/dist-packages/skimage/data/astronaut.png",
        licence="public domain (NASA)",
    ),
    Package(
        kind="faces",
        package="face_recognition",
        under="face_recognition-1.3.0/tests/test_images",
        licence="public domain (portraits of US officials)",
        without=("32bit",),
    ),
)

HEADS = {
    "astronaut.png": (0.0, 0.42, 0.24, 0.58),
    "biden.jpg": (0.0, 0.45, 0.3, 0.65),
    "obama.jpg": (0.05, 0.45, 0.35, 0.75),
    "obama2.jpg": (0.12, 0.68, 0.2, 0.75),
    "obama3.jpg": (0.2, 0.45, 0.35, 0.65),
    "obama_partial_face.jpg": (0.02, 0.42, 0.0, 0.45),
    "obama_partial_face2.jpg": (0.02, 0.42, 0.6, 1.0),
}
"""Where the heads are in `FACES`, by eye: top, bottom, left and right as shares of the picture."""


def carve(folder: Path) -> None:
    """Write the pictures inside of an unpacked package's Qt resource files (`.rcc`) beside them, by resource."""
    for file in folder.rglob("*.rcc"):
        data, into = file.read_bytes(), folder / file.stem
        for n, start in enumerate(re.finditer(rb"RIFF(....)WEBPVP", data, re.DOTALL)):
            into.mkdir(exist_ok=True)
            end = start.start() + int.from_bytes(start[1], "little") + 8
            (into / f"{n:03}.webp").write_bytes(data[start.start() : end])


def _below(place: Path) -> Iterable[Path]:
    return (place,) if place.is_file() else place.rglob("*")


def read(source: Package, folder: Path, grounds: Sequence[Colour] = (WHITE,)) -> Iterator[tuple[str, Image]]:
    """Yield name and RGB pixels of each picture of a source; what is transparent lies on each ground in turn."""
    files = sorted(
        file
        for file in _below(folder / source.package / source.under)
        if file.suffix.lower() in {".jpg", ".jpeg", ".png", ".webp"}
        and file.stat().st_size >= source.least_bytes
        and (not source.folders or file.parent.name in source.folders)
        and not any(part in f"/{file.relative_to(folder)}" for part in source.without)
    )
    for file in files[:: -(-len(files) // source.most) or 1]:
        pixels = cv2.imdecode(np.frombuffer(file.read_bytes(), np.uint8), _READ)
        if pixels is not None and min(pixels.shape[:2]) >= 100:
            transparent = pixels.ndim == 3 and pixels.shape[2] == 4 and int(pixels[..., 3].min()) < 255
            for ground in grounds if transparent else (WHITE,):
                yield str(file.relative_to(folder / source.package)), on_ground(pixels, ground)


def on_ground(pixels: npt.NDArray[Any], ground: Colour = WHITE) -> Image:
    """Return RGB, at most 1,024 pixels long, of grey, BGR or BGRA samples of 8 or 16 bits."""
    if pixels.dtype == np.uint16:
        pixels = (pixels >> 8).astype(np.uint8)
    if pixels.ndim == 2:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR)
    pixels = shrink(pixels, 1024)
    if pixels.shape[2] == 4:
        alpha = pixels[..., 3:].astype(np.float32) / 255
        pixels = np.rint(pixels[..., :3] * alpha + np.array(ground[::-1]) * (1 - alpha)).astype(np.uint8)
    return np.ascontiguousarray(pixels[..., 2::-1])
