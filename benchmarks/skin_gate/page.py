"""What the gate lets through and refuses: the tables of docs/reference/skin-gate.md and contact sheets to look at."""

import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from benchmarks.skin_gate.sources import FACES, SKIN, TEST, TRAIN
from benchmarks.skin_gate.views import GateView
from dermis.data.report.markdown import markdown_table
from dermis.data.statistics import holm_differences, wilson
from dermis.worker.core.skin import Gate

HEAD = ("", "n", "NOT_SKIN", "share", "95 % interval", "or unusable", "share", "95 % interval")
TYPES = {"I-II": {"1", "2"}, "III-IV": {"3", "4"}, "V-VI": {"5", "6"}, "not known": {"-1", ""}}
WORKING = (384, 512, 3)
"""Shape of a working image."""
Scored = tuple[GateView, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class GateScores:
    """Views with their scores. `folds`: training's, each by a head that did not see its patient or picture."""

    limit: float
    photos: Sequence[Scored]
    drawings: Sequence[Scored]
    faces: Sequence[Scored]
    everyday: Sequence[Scored]
    folds: Sequence[Scored]


def tables(measured: GateScores) -> str:
    """Return the page's measured part."""
    return "\n\n".join((*_skin(measured), *_everyday(measured), *_sources()))


def _skin(measured: GateScores) -> Iterable[str]:
    limit, photos = measured.limit, measured.photos
    plain = [one for one in measured.folds if one[0].kind == "photos" and not one[0].changed]
    people = [one for one in measured.folds if one[0].kind in ("hands", "faces", "portraits") and not one[0].changed]
    darker = [one for one in measured.folds if one[0].kind == "photos, darkened"]
    types = [
        (name, [one for one in photos if one[0].part in parts and one[0].source == "Fitzpatrick17k"])
        for name, parts in TYPES.items()
    ]
    yield "## Skin that is refused"
    yield markdown_table(
        HEAD,
        [
            *_groups(photos, lambda view: f"{view.source}, unseen", limit),
            *_groups(plain, lambda _: "PAD-UFES-20, out of fold by patient", limit),
            _row("all photos", [*photos, *plain], limit),
            *_groups(darker, lambda _: "PAD-UFES-20 as if darker, out of fold", limit),
            *_groups(measured.faces, lambda view: f"{view.part} of packages, unseen", limit),
            *_groups(people, lambda view: f"{view.kind} of {view.source}, out of fold", limit),
        ],
    )
    yield "By Fitzpatrick type as Fitzpatrick17k labels it:"
    yield markdown_table(HEAD, [_row(name, part, limit) for name, part in types])
    yield "Each type less all others, NOT_SKIN alone; intervals hold together at 95 % (Holm):"
    yield _differences(types, limit)
    yield "What the bundles' out-of-distribution rules refuse of the same photos: [refusals](refusals.md)."
    yield "By Monk tone, on drawings that were not trained on (rendered, no photos):"
    yield markdown_table(HEAD, _groups(measured.drawings, lambda view: view.part, limit))


def _everyday(measured: GateScores) -> Iterable[str]:
    limit, pictures = measured.limit, measured.everyday
    kinds = dict.fromkeys((f"{view.kind}, {view.source}", view.kind, view.source) for view, _ in pictures)
    parts = [
        (name, [one for one in pictures if one[0].kind == kind and one[0].source == source])
        for name, kind, source in kinds
    ]
    parts += [("all of packages", [one for one in pictures if one[0].source != "generated"]), ("all", list(pictures))]
    yield "## Everyday pictures that are refused"
    yield "By the gate alone; what quality refuses, and [a bundle's rule](refusals.md), comes on top."
    yield markdown_table(
        HEAD[:5],
        [(name, f"{len(part):,}", *_share(sum(score < limit for _, score in part), len(part))) for name, part in parts],
    )


def _sources() -> Iterable[str]:
    rows = []
    for use, sources in (("trains", SKIN), ("trains", TRAIN), ("tests", TEST), ("tests", FACES)):
        for package, source in {source.package: source for source in sources}.items():
            kinds = sorted({each.kind for each in sources if each.package == package})
            rows.append((use, package, ", ".join(kinds), source.licence))
    yield "## Sources"
    yield markdown_table(("use", "package", "kind", "licence"), rows)


def _groups(scored: Sequence[Scored], name: Callable[[GateView], str], limit: float) -> list[tuple[str, ...]]:
    names = dict.fromkeys(name(view) for view, _ in scored)
    return [_row(each, [one for one in scored if name(one[0]) == each], limit) for each in names]


def _row(name: str, scored: Sequence[Scored], limit: float) -> tuple[str, ...]:
    gate = sum(score < limit and not view.unusable for view, score in scored)
    either = sum(score < limit or view.unusable for view, score in scored)
    return name, f"{len(scored):,}", *_share(gate, len(scored)), *_share(either, len(scored))


def _share(k: int, n: int) -> tuple[str, str, str]:
    low, high = (float(end) for end in wilson(k, n))
    return str(k), f"{k / max(n, 1):.1%}", f"{low:.1%} to {high:.1%}"


def _differences(types: Sequence[tuple[str, Sequence[Scored]]], limit: float) -> str:
    """Return each type's share of NOT_SKIN less that of all others, with Newcombe's intervals corrected by Holm."""
    counts = {
        name: (sum(score < limit and not view.unusable for view, score in part), len(part)) for name, part in types
    }
    refused, n = (sum(count[place] for count in counts.values()) for place in (0, 1))
    pairs = {name: (refused - k, n - size, k, size) for name, (k, size) in counts.items()}
    rows = []
    for name, (difference, low, high) in holm_differences(pairs).items():
        rows.append((name, f"{difference:+.1%}", f"{low:+.1%} to {high:+.1%}"))
    return markdown_table(("type", "less all others", "95 % interval, corrected"), rows)


def cost(gate: Gate, rounds: int = 60) -> tuple[float, float]:
    """Return the median and least milliseconds of processor time that judging a working image takes, with scaling."""
    cv2.setNumThreads(1)
    image = np.random.default_rng(0).integers(0, 256, WORKING, np.uint8)
    taken = []
    for _ in range(rounds):
        start = time.process_time()
        gate.score(image)
        taken.append((time.process_time() - start) * 1000)
    return statistics.median(taken), min(taken)


def contact_sheet(scored: Sequence[Scored], path: Path, *, columns: int = 12) -> None:
    """Write the views with their scores, at most 96, as one JPEG."""
    cells = []
    for view, score in scored[:96]:
        cell = cv2.resize(view.pixels[..., ::-1], (128, 128))
        cv2.putText(cell, f"{score:.1f} {view.source[:9]}", (2, 124), cv2.FONT_HERSHEY_PLAIN, 0.8, (0, 0, 255), 1)
        cells.append(cell)
    cells += [np.zeros((128, 128, 3), np.uint8)] * (-len(cells) % columns)
    if cells:
        rows = [np.hstack(cells[start : start + columns]) for start in range(0, len(cells), columns)]
        cv2.imwrite(str(path), np.vstack(rows))
