"""The quality policy on real clinical images: which are kept, on whom, and how far blur and darkness are told.

`pytest -s` prints the tables of docs/reference/quality-measures.md.
"""

import csv
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest

from dermis.shared.report import Verdict
from dermis.worker.bootstrap import load_policy
from dermis.worker.core.decode import decode
from dermis.worker.core.quality import Reason, Signals, assess, judge, signals
from tests.support.images import Pixels

POLICY = load_policy()
CLINICAL = ("pad_ufes_20", "fitzpatrick17k")
GROUPS = {1: "I-II", 2: "I-II", 3: "III-IV", 4: "III-IV", 5: "V-VI", 6: "V-VI"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RealImage:
    source: str
    name: str
    group: str
    image: Pixels


@cache
def real_images(folder: Path) -> tuple[RealImage, ...]:
    return tuple(_read(folder / "photos"))


def _read(folder: Path) -> Iterator[RealImage]:
    for source in ("scin", *CLINICAL):
        with (folder / source / "manifest.csv").open(newline="") as file:
            for row in csv.DictReader(file):
                image = decode((folder / source / row["file"]).read_bytes()).image
                kind = row.get("fitzpatrick_scale") or row.get("fitzpatrick") or ""
                yield RealImage(
                    source=source, name=row["file"], group=GROUPS.get(int(float(kind or -1)), "not known"), image=image
                )


@cache
def as_it_is(folder: Path) -> tuple[tuple[Verdict, Signals], ...]:
    """Return what is made of each image as it is."""
    return tuple(looked_at(one.image) for one in real_images(folder))


def looked_at(image: Pixels) -> tuple[Verdict, Signals]:
    found = signals(image, POLICY.thresholds)
    return judge(found, POLICY.thresholds)[0], found


def blurred(image: Pixels, percent: float) -> Pixels:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), percent / 100 * max(image.shape[:2])))


def table(title: str, rows: dict[str, Counter[Verdict]]) -> None:
    print(f"\n{title}\n| | n | " + " | ".join(Verdict) + " | unusable |\n|---|---|---|---|---|---|")
    for name, count in sorted(rows.items()):
        cells = [str(count[verdict]) for verdict in Verdict]
        print(f"| {name} | {count.total()} | {' | '.join(cells)} | {count[Verdict.UNUSABLE] / count.total():.1%} |")


def by_group(images: dict[str, list[Pixels]]) -> dict[str, Counter[Verdict]]:
    return {group: Counter(looked_at(image)[0] for image in members) for group, members in images.items()}


def grouped(folder: Path) -> dict[str, list[Pixels]]:
    groups: dict[str, list[Pixels]] = {}
    for one in real_images(folder):
        if one.source in CLINICAL:
            groups.setdefault(one.group, []).append(one.image)
    return groups


def test_real_images_are_kept(real_data: Path) -> None:
    counts: dict[str, Counter[Verdict]] = {}
    seen = []
    for one, (verdict, found) in zip(real_images(real_data), as_it_is(real_data), strict=True):
        counts.setdefault(one.source, Counter())[verdict] += 1
        if one.source in CLINICAL:
            seen.append(found)
    table("as they are", counts)
    print(
        "least:",
        {
            name: round(min(getattr(found, name) for found in seen), 3)
            for name in ("texture", "redness", "fine_to_middle")
        },
    )
    print("least share seen:", round(min(1 - found.dark - found.bright for found in seen), 3))
    print("short side below 128:", sum(found.short_side < 128 for found in seen), "of", len(seen))
    assert len(seen) == 742
    assert sum(counts[source][Verdict.UNUSABLE] for source in CLINICAL) == 0
    assert sum(counts[source][Verdict.MARGINAL] for source in CLINICAL) <= 8
    assert counts["scin"] == {Verdict.USABLE: 10, Verdict.MARGINAL: 8, Verdict.UNUSABLE: 1}


def test_no_skin_type_is_rejected_more_often(real_data: Path) -> None:
    groups = grouped(real_data)
    rows = {
        f"{group}, {way}": count for way, made in made_worse(groups).items() for group, count in by_group(made).items()
    }
    table("by Fitzpatrick group", rows)
    for way in made_worse({}):
        light, dark = rows[f"I-II, {way}"], rows[f"V-VI, {way}"]
        assert dark[Verdict.UNUSABLE] / dark.total() <= light[Verdict.UNUSABLE] / light.total() + 0.05, way


def made_worse(groups: dict[str, list[Pixels]]) -> dict[str, dict[str, list[Pixels]]]:
    """Return every image as it is, under far less light, and badly blurred."""
    linear = np.linspace(0, 1, 256) ** 2.2

    def dimmed(image: Pixels, by: float) -> Pixels:
        return np.asarray(cv2.LUT(image, np.rint(255 * (linear / by) ** (1 / 2.2)).astype(np.uint8)))

    return {
        "as it is": groups,
        "light / 64": {group: [dimmed(image, 64) for image in images] for group, images in groups.items()},
        "light / 1000": {group: [dimmed(image, 1000) for image in images] for group, images in groups.items()},
        "blur 2 %": {group: [blurred(image, 2) for image in images] for group, images in groups.items()},
    }


def test_blur_is_told(real_data: Path) -> None:
    sharp = [one.image for one in real_images(real_data) if min(one.image.shape[:2]) >= 128]
    limits = POLICY.thresholds
    shares = {}
    print(
        "\n| blur, % of the longest side | n | below fine_to_middle | below fine_to_coarse | least "
        "fine_to_middle | least fine_to_coarse |"
    )
    print("|---|---|---|---|---|---|")
    for percent in (0, 0.5, 0.75, 1, 2, 2.5):
        every = 1 if percent == 0 else 4  # a quarter of them is enough for a share
        found = [looked_at(blurred(image, percent) if percent else image)[1] for image in sharp[::every]]
        middle, coarse = (
            np.array([getattr(signal, name) for signal in found]) for name in ("fine_to_middle", "fine_to_coarse")
        )
        shares[percent] = ((middle < limits.fine_to_middle.value).mean(), (coarse < limits.fine_to_coarse.value).mean())
        print(
            f"| {percent} | {len(found)} | {shares[percent][0]:.1%} | {shares[percent][1]:.1%} | "
            f"{middle.min():.3f} | {coarse.min():.3f} |"
        )
    assert shares[0] == (0, 0)
    for fine, rough, percent in ((0.5, None, 0.75), (None, 0.5, 2)):
        assert shares[percent] == (pytest.approx(fine or 1, abs=0.15), pytest.approx(rough or 0, abs=0.15))
    assert max(shares[0.5][0], shares[1][1]) < 0.1
    assert min(shares[1][0], shares[2.5][1]) > 0.9


def test_darkness_is_judged_by_highlights(real_data: Path) -> None:
    images = [one for one in real_images(real_data) if one.name != "unmapped_mostly_black.png"]
    darkened = {
        one.name: assess(np.rint(one.image * (4 / one.image.mean())).astype(np.uint8), POLICY) for one in images
    }
    kept = [name for name, report in darkened.items() if report.verdict is not Verdict.UNUSABLE]
    scin = {one.name for one in images if one.source == "scin"}
    print(f"\nscaled to a mean of 4: {len(images) - len(kept)} of {len(images)} refused, {len(scin)} of SCIN")
    assert scin.isdisjoint(kept)
    assert len(kept) <= 0.05 * len(images)
    assert all(looked_at(one.image)[1].highlights > 100 for one in images)


def test_no_real_image_is_a_stripe(real_data: Path) -> None:
    assert (
        min(looked_at(one.image)[1].isotropy for one in real_images(real_data)) > 3 * POLICY.thresholds.isotropy.value
    )


def test_a_masked_image_is_rejected_with_advice(real_data: Path) -> None:
    masked = next(one.image for one in real_images(real_data) if one.name == "unmapped_mostly_black.png")
    report = assess(masked, POLICY)
    assert (report.verdict, report.reasons[0]) == (Verdict.UNUSABLE, Reason.TOO_DARK)
    assert report.advice[0] == POLICY.advice[Reason.TOO_DARK]


@pytest.mark.parametrize("name", ["-8624515998398924102.png", "406221602301234433.png", "7385272292544017715.png"])
def test_the_three_images_of_a_real_case_are_usable(real_data: Path, name: str) -> None:
    image = next(one.image for one in real_images(real_data) if one.name == name)
    assert assess(image, POLICY).verdict is Verdict.USABLE
