"""`python -m benchmarks.skin_gate train|page|both --pictures FOLDER --data FOLDER`: the gate's weights, and its page.

`--pictures` holds what `sources.py` lists, each in a folder of its name: Debian packages (`apt-get download NAME` and
`dpkg-deb -x FILE NAME`), checkouts of GitHub repositories, and a source archive of PyPI. `--data` is the folder of real
data (REAL_DATA).
"""

import argparse
import hashlib
import inspect
import os
import pickle
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import cv2

from benchmarks.skin_gate import plotted, rendered, sources, textures, views
from benchmarks.skin_gate.features import extract
from benchmarks.skin_gate.page import GateScores, Scored, contact_sheet, cost, tables
from benchmarks.skin_gate.sources import carve
from benchmarks.skin_gate.train import choose, out_of_fold, threshold, write
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
Task = partial[Iterator[views.GateView]]


def main() -> None:
    options = _options()
    carve(options.pictures / "gcompris-qt-data")
    read = _read(options)
    unseen = [view for name, views_of in read.items() if name.startswith("tests") for view in views_of]
    seen = views.training([view for name, views_of in read.items() if name.startswith("trains") for view in views_of])
    features = extract(seen, keep=options.cache)
    chosen = choose(features, seen)
    scores = out_of_fold(features, seen, chosen.c)
    if options.do != "page":
        write(WORKER, features, seen, chosen.c, limit=threshold(scores, chosen.unseen, seen))
    if options.do == "train":
        return
    gate = load_gate()
    scored = [(view, gate.score(view.pixels)) for view in unseen]
    measured = _measured(gate, scored, list(zip(seen, scores.tolist(), strict=True)))
    median, least = cost(gate)
    text = "\n\n".join(
        (
            tables(measured),
            f"## What inner folds chose\n\n{chosen.table()}",
            f"## Cost\n\n{median:.1f} ms of processor time a photo (median of 60, least {least:.1f}).",
        )
    )
    PAGE.write_text(with_measured(PAGE.read_text() if PAGE.exists() else "", "skin gate", text))
    if options.sheets:
        write_sheets(options.sheets, gate, [*measured.photos, *measured.faces], measured.everyday)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.skin_gate", description=__doc__)
    parser.add_argument("do", choices=("train", "page", "both"))
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=os.environ.get("REAL_DATA"))
    parser.add_argument("--sheets", type=Path, help="a folder for contact sheets; they show people, so keep them")
    parser.add_argument("--cache", type=Path, help="a folder that keeps views and features: a run goes on from there")
    return parser.parse_args()


def is_unusable(working: Image) -> bool:
    return assess(working, load_policy()).verdict is Verdict.UNUSABLE


def _tasks(data: Path, pictures: Path) -> dict[str, Task]:
    """Return what reads each part, by name: whether it trains or tests, and of which source."""
    tasks: dict[str, Task] = {
        "tests skin": partial(views.unseen_skin, data, is_unusable=is_unusable),
        "trains skin": partial(views.training_skin, data, is_unusable=is_unusable),
        "trains drawings": partial(views.training_drawn),
        "tests drawings": partial(views.drawn_everyday),
    }
    for use, parts, view in (
        ("trains", sources.SKIN, views.training_people),
        ("trains", sources.TRAIN, views.training_everyday),
        ("tests", sources.FACES, partial(views.faces, is_unusable=is_unusable)),
        ("tests", sources.TEST, views.everyday),
    ):
        tasks |= {
            f"{use} {each.kind} {n} of {each.package}": partial(view, each, pictures) for n, each in enumerate(parts)
        }
    return tasks


def _read(options: argparse.Namespace) -> dict[str, list[views.GateView]]:
    """Return the views of each part; two processes read them, and say when a part is there."""
    tasks = _tasks(Path(options.data), options.pictures)
    if options.do == "train":
        tasks = {name: task for name, task in tasks.items() if name.startswith("trains")}
    cv2.setNumThreads(1)
    with ProcessPoolExecutor(2) as pool:
        pending = {name: pool.submit(_cached, options.cache, name, task) for name, task in tasks.items()}
        for place, (name, each) in enumerate(pending.items(), 1):
            print(f"{place} of {len(tasks)}: {name}: {len(each.result())} views", flush=True)
        return {name: each.result() for name, each in pending.items()}


def _cached(folder: Path | None, name: str, task: Task) -> list[views.GateView]:
    """Return a part's views, from the folder if the same code has read the same part before."""
    if folder is None:
        return list(task())
    code = "".join(inspect.getsource(part) for part in (views, rendered, textures, plotted, sources.read))
    digest = hashlib.sha256(f"{task.args}{code}".encode()).hexdigest()[:12]
    file = folder / f"{name.replace(' ', '-')}-{digest}.pickle"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(".part")
        part.write_bytes(pickle.dumps(list(task())))
        part.rename(file)
    return list(pickle.loads(file.read_bytes()))  # noqa: S301 -- of this command itself


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
    contact_sheet(wrongly_refused, folder / "skin_refused.png")
    contact_sheet(let_through, folder / "pictures_let_through.png")


if __name__ == "__main__":
    main()
