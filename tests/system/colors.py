"""Print how far scenes in other colour spaces are from the scene itself, on every Monk tone.

`python -m tests.system.colors`

Each scene is encoded as a file, cleaned as the gateway does, decoded by what was kept of its profile, and prepared as
it is stored.
Figures are dE2000 against the scene as drawn. Of patches of 8 pixels the median and the worst, and of the whole scene
its mean colour.
A file of sRGB beside each shows what its coding alone loses: JPEG in 8 bits cannot tell dark colours apart, in wide
spaces least.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from dermis.data.generated.skin import scene
from dermis.shared.images.header import clean
from dermis.shared.vocabulary import MonkSkinTone
from dermis.worker.core.decode import decode
from dermis.worker.core.prepare import encode_prepared
from tests.support.colors import CONTAINERS, SPACES, Pixels, delta_e, in_container, lab, patches

PATCH = 8
LIMIT = 1.0
SIZE = (384, 512)


@dataclass(frozen=True, slots=True)
class Figures:
    """dE2000 of a scene."""

    median: float
    worst: float
    mean: float

    @classmethod
    def of(cls, image: Pixels, drawn: Pixels) -> "Figures":
        by_patch = delta_e(lab(patches(image, PATCH)), lab(patches(drawn, PATCH)))
        whole = delta_e(*(lab(patches(each, min(SIZE))) for each in (image, drawn)))
        return cls(float(np.median(by_patch)), float(by_patch.max()), float(whole.max()))

    def __str__(self) -> str:
        return f"{self.median:.2f} {self.worst:.2f} {self.mean:.2f}"


def stored(data: bytes) -> tuple[Pixels, Pixels]:
    """Return the working image of a file, and the prepared image as it is read back."""
    image = clean(data)
    working = decode(image.data, color=image.header.color).image
    prepared = cv2.imdecode(np.frombuffer(encode_prepared(working), np.uint8), cv2.IMREAD_COLOR)
    return working, prepared[..., ::-1]


def rows(tone: MonkSkinTone) -> Iterator[tuple[str, str, Figures, Figures]]:
    drawn = scene("Eczema", tone=tone, seed=1, size=SIZE)
    for container in CONTAINERS:
        for space in SPACES:
            working, prepared = stored(in_container(drawn, SPACES[space], container))
            yield container, space, Figures.of(working, drawn), Figures.of(prepared, drawn)


def main() -> int:
    print("dE2000: median and worst patch, mean colour")
    print(f"{'tone':6}{'file':18}{'space':14}{'working image':>18}{'prepared image':>18}")
    worst: dict[str, float] = {}
    for tone in MonkSkinTone:
        for container, space, working, prepared in rows(tone):
            print(f"{tone:6}{container:18}{space:14}{working!s:>18}{prepared!s:>18}")
            for name, value in (
                ("mean colour", max(working.mean, prepared.mean)),
                ("patch of a file without loss", working.worst),
            ):
                if name == "mean colour" or "JPEG" not in container:
                    worst[name] = max(worst.get(name, 0), value)
    print(*(f"worst {name}: {value:.2f}, at most {LIMIT}" for name, value in worst.items()), sep="\n")
    return int(max(worst.values()) > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
