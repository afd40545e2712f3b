"""`python -m benchmarks.skin_gate train|page --pictures FOLDER --data FOLDER`: the gate's weights, and its page.

`--pictures` holds what `sources.py` lists, each in a folder of its name: Debian packages (`apt-get download NAME` and
`dpkg-deb -x FILE NAME`), checkouts of GitHub repositories, and a source archive of PyPI. `--data` is the folder of real
data (REAL_DATA).
"""

import argparse
import os
from collections.abc import Iterable
from pathlib import Path

from benchmarks.skin_gate import rules, views
from benchmarks.skin_gate.features import extract, extractor
from benchmarks.skin_gate.page import QUALITY, Measured, Scored, contact_sheet, cost, tables
from benchmarks.skin_gate.sources import carve
from benchmarks.skin_gate.train import out_of_fold, train
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
    parser.add_argument("do", choices=("train", "page"))
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=os.environ.get("REAL_DATA"))
    parser.add_argument("--sheets", type=Path, help="a folder for contact sheets; they show people, so keep them")
    options = parser.parse_args()
    data, pictures = Path(options.data), options.pictures
    carve(pictures / "gcompris-qt-data")
    if options.do == "train":
        train(WORKER, views.training(data, pictures))
        return
    gate = load_gate()
    measured = measure(gate, data, pictures)
    median, least = cost(gate, measured.photos[0][0].pixels)
    text = (
        f"{tables(measured)}\n\n## Cost\n\n{median:.1f} ms of processor time a photo (median of 60, least {least:.1f})."
    )
    PAGE.write_text(with_measured(PAGE.read_text() if PAGE.exists() else "", "skin gate", text))
    if options.sheets:
        write_sheets(options.sheets, gate, [*measured.photos, *measured.faces], measured.everyday)


def measure(gate: Gate, data: Path, pictures: Path) -> Measured:
    """Return every view with its score; training's by heads that did not see its patient or picture."""
    policy, shipped = load_policy(), rules.shipped()

    def quality(working: Image) -> tuple[str, ...]:
        return (QUALITY,) if assess(working, policy).verdict is Verdict.UNUSABLE else ()

    def look(working: Image) -> tuple[str, ...]:
        return (*quality(working), *rules.refusing(shipped, working))

    def scored(unseen: Iterable[views.GateView]) -> list[Scored]:
        return [(view, gate.score(view.pixels)) for view in unseen]

    seen = views.training(data, pictures, quality)
    scores = out_of_fold(extract(extractor(views.SIZE), [view.pixels for view in seen]), seen)
    skin = scored(views.unseen_skin(data, look))
    return Measured(
        limit=gate.spec.threshold.value,
        photos=[one for one in skin if one[0].kind == "photos"],
        drawings=[one for one in skin if one[0].kind == "drawings"],
        faces=scored(views.faces(pictures, look)),
        everyday=scored(views.everyday(pictures, look)),
        folds=list(zip(seen, scores.tolist(), strict=True)),
    )


def write_sheets(folder: Path, gate: Gate, unseen: list[Scored], pictures: list[Scored]) -> None:
    limit = gate.spec.threshold.value
    wrongly_refused = sorted((one for one in unseen if one[1] < limit), key=lambda one: one[1])
    let_through = sorted((one for one in pictures if one[1] >= limit), key=lambda one: -one[1])
    contact_sheet(wrongly_refused, folder / "skin_refused.jpg")
    contact_sheet(let_through, folder / "pictures_let_through.jpg")


if __name__ == "__main__":
    main()
