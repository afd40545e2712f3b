"""`python -m benchmarks.skin_gate train|page|both --pictures FOLDER --data FOLDER`: the gate's weights, and its page.

`--pictures` holds what `sources.py` lists, each in a folder of its name: Debian packages (`apt-get download NAME` and
`dpkg-deb -x FILE NAME`), checkouts of GitHub repositories, and a source archive of PyPI. `--data` is the folder of real
data (REAL_DATA).
"""

import argparse
import os
import pickle
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import cv2

from benchmarks.skin_gate import views
from benchmarks.skin_gate.features import extract, extractor
from benchmarks.skin_gate.page import GateScores, Scored, contact_sheet, cost, tables
from benchmarks.skin_gate.sources import carve
from benchmarks.skin_gate.train import out_of_fold, threshold, write
from dermis.data.images.gate import load_gate
from dermis.data.report.markdown import with_measured
from dermis.shared.report import Verdict
from dermis.worker.bootstrap import load_policy
from dermis.worker.core.prepare import Image
from dermis.worker.core.quality import assess
from dermis.worker.core.skin import Gate

ROOT = Path(__file__).parents[2]
WORKER = ROOT / "services/worker/src/dermis/worker"
PAGE = ROOT / "docs/reference/skin-gate.md"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.skin_gate", description=__doc__)
    parser.add_argument("do", choices=("train", "page", "both"))
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=os.environ.get("REAL_DATA"))
    parser.add_argument("--sheets", type=Path, help="a folder for contact sheets; they show people, so keep them")
    parser.add_argument("--cache", type=Path, help="a folder that keeps the small views, so that a next run is quick")
    options = parser.parse_args()
    carve(options.pictures / "gcompris-qt-data")
    skin, other, unseen = _read(options)
    seen = views.training(skin, other)
    features = extract(extractor(views.SIZE), [view.pixels for view in seen])
    scores = out_of_fold(features, seen)
    if options.do != "page":
        write(WORKER, features, seen, limit=threshold(scores, seen))
    if options.do == "train":
        return
    gate = load_gate()
    scored = [(view, gate.score(view.pixels)) for view in unseen]
    measured = _measured(gate, scored, list(zip(seen, scores.tolist(), strict=True)))
    median, least = cost(gate, measured.photos[0][0].pixels)
    text = (
        f"{tables(measured)}\n\n## Cost\n\n{median:.1f} ms of processor time a photo (median of 60, least {least:.1f})."
    )
    PAGE.write_text(with_measured(PAGE.read_text() if PAGE.exists() else "", "skin gate", text))
    if options.sheets:
        write_sheets(options.sheets, gate, [*measured.photos, *measured.faces], measured.everyday)


def is_unusable(working: Image) -> bool:
    return assess(working, load_policy()).verdict is Verdict.UNUSABLE


def _read(options: argparse.Namespace) -> tuple[list[views.GateView], ...]:
    """Return training's skin, its everyday pictures, and what did not train; two processes read them."""
    data, pictures = Path(options.data), options.pictures
    tasks = {
        "packages": partial(_list, views.training_everyday, pictures),
        "unseen": partial(_unseen, data, pictures),
        "skin": partial(_list, views.training_skin, data, is_unusable),
        "drawn": partial(_list, views.training_drawn),
    }
    if options.do == "train":
        del tasks["unseen"]
    cv2.setNumThreads(1)
    with ProcessPoolExecutor(2) as pool:
        pending = {name: pool.submit(_cached, options.cache, name, task) for name, task in tasks.items()}
        read = {name: each.result() for name, each in pending.items()}
    return read["skin"], [*read["packages"], *read["drawn"]], read.get("unseen", [])


def _cached(folder: Path | None, name: str, task: Callable[[], list[views.GateView]]) -> list[views.GateView]:
    if folder is None:
        return task()
    file = folder / f"{name}.pickle"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        file.write_bytes(pickle.dumps(task()))
    return list(pickle.loads(file.read_bytes()))  # noqa: S301 -- of this command itself


def _list(draw: Callable[..., Iterable[views.GateView]], *values: Any) -> list[views.GateView]:
    return list(draw(*values))


def _unseen(data: Path, pictures: Path) -> list[views.GateView]:
    return [*views.unseen_skin(data, is_unusable), *views.faces(pictures, is_unusable), *views.everyday(pictures)]


def _measured(gate: Gate, scored: list[Scored], folds: list[Scored]) -> GateScores:
    def of(kind: str) -> list[Scored]:
        return [one for one in scored if one[0].skin and one[0].kind == kind]

    return GateScores(
        limit=gate.spec.threshold.value,
        photos=of("photos"),
        drawings=of("drawings"),
        faces=of("faces"),
        everyday=[one for one in scored if not one[0].skin],
        folds=folds,
    )


def write_sheets(folder: Path, gate: Gate, unseen: Sequence[Scored], pictures: Sequence[Scored]) -> None:
    limit = gate.spec.threshold.value
    wrongly_refused = sorted((one for one in unseen if one[1] < limit), key=lambda one: one[1])
    let_through = sorted((one for one in pictures if one[1] >= limit), key=lambda one: -one[1])
    contact_sheet(wrongly_refused, folder / "skin_refused.jpg")
    contact_sheet(let_through, folder / "pictures_let_through.jpg")


if __name__ == "__main__":
    main()
