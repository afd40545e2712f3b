"""The cases that `benchmarks.page_answers` sends: pictures, photos of people, a drawing, answers alone.

Photos are chosen by a checksum of their names, one a patient, so that each run sends the same ones.
"""

import csv
import io
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image
from playwright.sync_api import FilePayload

from tests.e2e import pages

SKIMAGE = "python3-skimage/usr/lib/python3/dist-packages/skimage/data"
EVERYDAY = {
    "a cat": "chelsea.png",
    "a cup of coffee": "coffee.png",
    "a rocket": "rocket.jpg",
    "a motorcycle": "motorcycle_left.png",
    "galaxies": "hubble_deep_field.jpg",
}
"""Pictures of scikit-image, each CC0 or public domain, by what they show."""
MALIGNANT, BENIGN = ("MEL", "SCC", "BCC"), ("NEV", "SEK", "ACK")
TYPES = {"I-II": ("1", "2"), "III-IV": ("3", "4"), "V-VI": ("5", "6")}
ADULT = {"age_group": "AGE_50_TO_59"}
GROWTH = {"related_category": "GROWTH_OR_MOLE", **ADULT}
RASH = {"related_category": "RASH", **ADULT}

Row = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class PageCase:
    """A case of a `kind`, the `n`th: photos, and what the person answers."""

    kind: str
    n: int
    photos: tuple[Path | bytes, ...] = ()
    answers: Mapping[str, str] = field(default_factory=dict)

    def files(self) -> list[FilePayload]:
        """Return the photos as Playwright takes them, under names that say nothing."""
        photos = [photo if isinstance(photo, bytes) else photo.read_bytes() for photo in self.photos]
        return [FilePayload(name=f"{n}.png", mimeType="image/png", buffer=photo) for n, photo in enumerate(photos)]


def choose(rows: Iterable[Row], column: str, values: Iterable[str], count: int) -> list[Row]:
    """Return `count` rows of some values, no two of one patient, in the order of their names' checksums."""
    wanted, patients = set(values), dict[str, Row]()
    for row in sorted(rows, key=lambda row: zlib.crc32(row["file"].encode())):
        if row[column] in wanted:
            patients.setdefault(row.get("patient_id") or row["file"], row)
    return list(patients.values())[:count]


def everyday(pictures: Path) -> Iterator[PageCase]:
    """Yield the pictures that show no skin, of the unpacked packages in a folder."""
    for kind, name in EVERYDAY.items():
        yield PageCase(kind=kind, n=0, photos=(pictures / SKIMAGE / name,), answers=RASH)


def growths(folder: Path) -> Iterator[PageCase]:
    """Yield 27 growths of PAD-UFES-20, with and without answers, and three again by people who report type VI."""
    rows = _rows(folder)

    def of(kind: str, labels: Iterable[str], count: int, answers: Mapping[str, str]) -> Iterator[PageCase]:
        here = [row for label in labels for row in choose(rows, "label", [label], count)]
        for n, row in enumerate(here):
            yield PageCase(kind=kind, n=n, photos=(folder / row["file"],), answers=answers)

    yield from of("a malignant growth, reported as a growth", MALIGNANT, 5, GROWTH)
    yield from of("a benign growth, reported as a growth", BENIGN, 2, GROWTH)
    yield from of("a malignant growth, nothing told", MALIGNANT, 1, {})
    yield from of("a benign growth, nothing told", BENIGN, 1, {})
    yield from of("a growth, skin type VI reported", MALIGNANT, 1, {**GROWTH, "fitzpatrick_skin_type": "FST6"})


def rashes(folder: Path) -> Iterator[PageCase]:
    """Yield 23 rashes of Fitzpatrick17k, spread over its types."""
    rows = _rows(folder)
    for name, types in TYPES.items():
        here = choose(rows, "fitzpatrick_scale", types, 7 if name == "V-VI" else 8)
        for n, row in enumerate(here):
            yield PageCase(kind=f"a rash, type {name}", n=n, photos=(folder / row["file"],), answers=RASH)


def others() -> Iterator[PageCase]:
    """Yield what needs no photo of anyone."""
    yield PageCase(kind="a drawing of a rash", n=0, photos=tuple(pages.IMAGES), answers=RASH)
    yield PageCase(kind="a photo without light", n=0, photos=(_black(),), answers=RASH)
    yield PageCase(kind="someone under 18", n=0, answers={**RASH, "age_group": "UNDER_18"})
    short = {"warning_signs": "SHORTNESS_OF_BREATH"}
    yield PageCase(kind="short of breath, no photo", n=0, answers=short)
    yield PageCase(kind="short of breath, a drawing", n=0, photos=(pages.IMAGES[0],), answers=short | RASH)


def all_cases(data: Path, pictures: Path) -> list[PageCase]:
    """Return every case; `data` holds the real photos' folders, `pictures` the unpacked packages."""
    return [
        *everyday(pictures),
        *others(),
        *growths(data / "pad_ufes_20_large"),
        *rashes(data / "fitzpatrick17k"),
    ]


def _rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "manifest.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def _black() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (600, 450)).save(out, "png")
    return out.getvalue()
