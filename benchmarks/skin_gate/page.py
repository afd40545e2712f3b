"""What the gate lets through and refuses: the tables of docs/reference/skin-gate.md and contact sheets to look at."""

import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np

from benchmarks.skin_gate.sources import TEST, TRAIN
from benchmarks.skin_gate.views import GateView
from dermis.data.report.markdown import markdown_table
from dermis.data.statistics import share_difference, wilson
from dermis.worker.core.skin import Gate

HEAD = ("", "n", "refused", "share", "95 % interval")
TYPES = {"I-II": {"1", "2"}, "III-IV": {"3", "4"}, "V-VI": {"5", "6"}, "not known": {"-1", ""}}
Scored = tuple[GateView, float]


def tables(gate: Gate, unseen: Sequence[Scored], everyday: Sequence[Scored], folds: Sequence[Scored]) -> str:
    """Return the page's measured part; `folds`: training's views with the score of a head that did not see them."""
    limit = gate.spec.threshold.value
    photos = [one for one in unseen if one[0].kind == "photos"]
    drawn = [one for one in unseen if one[0].kind == "drawings"]
    plain = [one for one in folds if one[0].kind == "photos" and not one[0].changed]
    rows = [
        *_groups(photos, lambda view: f"{view.source}, unseen", limit),
        *_groups(plain, lambda _: "PAD-UFES-20, out of fold by patient", limit),
        _row("all photos", [*photos, *plain], limit),
        *_groups(
            [one for one in folds if one[0].kind == "photos, darkened"],
            lambda _: "PAD-UFES-20 as if darker, out of fold",
            limit,
        ),
    ]
    types = [
        (name, [one for one in photos if one[0].part in parts and one[0].source == "Fitzpatrick17k"])
        for name, parts in TYPES.items()
    ]
    kinds = _groups(everyday, lambda view: f"{view.kind}, {view.source}", limit)
    of_packages = [one for one in everyday if one[0].source != "generated"]
    return "\n\n".join(
        (
            "## Skin that is refused",
            markdown_table(HEAD, rows),
            "By Fitzpatrick type as Fitzpatrick17k labels it:",
            markdown_table(HEAD, [_row(name, part, limit) for name, part in types]),
            _differences(types, limit),
            "By Monk tone, on drawings that were not trained on (rendered, no photos):",
            markdown_table(HEAD, _groups(drawn, lambda view: view.part, limit)),
            "## Everyday pictures that are refused",
            markdown_table(
                HEAD,
                [
                    *kinds,
                    _row("all of packages", of_packages, limit),
                    _row("all", everyday, limit),
                ],
            ),
            "## Sources",
            markdown_table(("use", "package", "kind", "licence"), _sources()),
        )
    )


def _sources() -> Iterable[tuple[str, str, str, str]]:
    for use, sources in (("trains", TRAIN), ("tests", TEST)):
        packages = {source.package: source for source in sources}
        for package, source in packages.items():
            kinds = sorted({each.kind for each in sources if each.package == package})
            yield use, package, ", ".join(kinds), source.licence


def _groups(scored: Sequence[Scored], name: Callable[[GateView], str], limit: float) -> list[tuple[str, ...]]:
    names = dict.fromkeys(name(view) for view, _ in scored)
    return [_row(each, [one for one in scored if name(one[0]) == each], limit) for each in names]


def _row(name: str, scored: Sequence[Scored], limit: float) -> tuple[str, ...]:
    n, refused = len(scored), sum(score < limit for _, score in scored)
    low, high = (float(end) for end in wilson(refused, n))
    return name, f"{n:,}", str(refused), f"{refused / max(n, 1):.1%}", f"{low:.1%} to {high:.1%}"


def _differences(types: Sequence[tuple[str, Sequence[Scored]]], limit: float) -> str:
    """Return each type's share less that of all others: Newcombe's interval at the level of Holm's last step (1979)."""
    counts = {name: (sum(score < limit for _, score in part), len(part)) for name, part in types}
    refused, n = (sum(count[place] for count in counts.values()) for place in (0, 1))
    rows = []
    for name, (k, size) in counts.items():
        difference, low, high = (float(x) for x in share_difference(refused - k, n - size, k, size))
        rows.append((name, f"{difference:+.1%}", f"{low:+.1%} to {high:+.1%}"))
    return markdown_table(("type", "less all others", "95 % interval"), rows)


def cost(gate: Gate, image: np.ndarray, rounds: int = 60) -> tuple[float, float]:
    """Return the median and least milliseconds that judging a working image takes in one thread."""
    cv2.setNumThreads(1)
    taken = []
    for _ in range(rounds):
        start = time.perf_counter()
        gate.score(image)
        taken.append((time.perf_counter() - start) * 1000)
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
