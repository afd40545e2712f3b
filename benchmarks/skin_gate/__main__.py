"""`python -m benchmarks.skin_gate train|page --pictures FOLDER --data FOLDER`: the gate's weights, and its page.

`--pictures` holds the unpacked Debian packages that `sources.py` lists, each in a folder of its name:
`apt-get download NAME` and `dpkg-deb -x FILE NAME`. `--data` is the folder of real data (REAL_DATA).
"""

import argparse
import os
from pathlib import Path

from benchmarks.skin_gate.features import extract, extractor
from benchmarks.skin_gate.page import Scored, contact_sheet, cost, tables
from benchmarks.skin_gate.train import out_of_fold, train
from benchmarks.skin_gate.views import SIZE, everyday, kept_by_quality, training, unseen_skin
from dermis.data.images.gate import load_gate
from dermis.data.report.markdown import with_measured
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
    views = training(Path(options.data), options.pictures)
    unseen = list(unseen_skin(Path(options.data)))
    if options.do == "train":
        train(WORKER, views, kept_by_quality(unseen))
        return
    gate = load_gate()
    scores = out_of_fold(extract(extractor(SIZE), [view.pixels for view in views]), views)
    folds = list(zip(views, scores.tolist(), strict=True))
    photos = [(view, gate.score(view.pixels)) for view in unseen]
    pictures = [(view, gate.score(view.pixels)) for view in everyday(options.pictures)]
    text = tables(gate, photos, pictures, folds)
    median, least = cost(gate, views[0].pixels)
    text += f"\n\n## Cost\n\n{median:.1f} ms a photo (median of 60, least {least:.1f}), one thread."
    PAGE.write_text(with_measured(PAGE.read_text() if PAGE.exists() else "", "skin gate", text))
    if options.sheets:
        write_sheets(options.sheets, gate, photos, pictures)


def write_sheets(folder: Path, gate: Gate, unseen: list[Scored], pictures: list[Scored]) -> None:
    limit = gate.spec.threshold.value
    wrongly_refused = sorted((one for one in unseen if one[1] < limit), key=lambda one: one[1])
    let_through = sorted((one for one in pictures if one[1] >= limit), key=lambda one: -one[1])
    contact_sheet(wrongly_refused, folder / "skin_refused.jpg")
    contact_sheet(let_through, folder / "pictures_let_through.jpg")


if __name__ == "__main__":
    main()
