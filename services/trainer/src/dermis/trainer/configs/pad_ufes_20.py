"""Six kinds of growths from PAD-UFES-20: EfficientNet-Lite0 at 288 px with three earlier depths, images and answers.

Train     dermis train pad_ufes_20 --data FOLDER --store URL
Build     python -m dermis.trainer.configs.pad_ufes_20 --data FOLDER --out FOLDER
Check     make lesions-check
Measure   dermis benchmark pad_ufes_20 --data FOLDER
Hardware  2 CPU cores, 3 GB of memory
Result    5-fold by patient: top-1 0.642, top-3 0.942 (floors 0.314, 0.776), n = 838; docs/reference/lesions.md
"""

import argparse
import sys
import tempfile
from functools import partial
from pathlib import Path

from dermis.data.dataset import open_dataset
from dermis.shared.manifest import AbstentionRule, Knowledge
from dermis.trainer.config import Config, Stage
from dermis.trainer.model.head import Head
from dermis.trainer.training.options import Workspace
from dermis.trainer.training.parts import whole
from dermis.trainer.training.shipped import check_shipped
from dermis.trainer.training.train import build_bundle

NAME = "lesions"

MALIGNANT = ("Basal Cell Carcinoma", "Melanoma", "SCC/SCCIS")
KNOWLEDGE = Knowledge(
    kind="one of six kinds of growths of the skin, photographed close up",
    unknown=(
        "every other condition: a rash, an infection, acne, any growth that is none of the six",
        "that something is no skin cancer: it can't rule out skin cancer",
    ),
    data="clinic photos from one region of Brazil (Espirito Santo), PAD-UFES-20",
    licence=(
        "head and thresholds, learned from PAD-UFES-20: CC BY 4.0; backbone, EfficientNet-Lite0 trained on ImageNet, "
        "rounded to float16: Apache-2.0"
    ),
    scale="estimated",
)
CONFIG = Config(
    name="pad_ufes_20",
    mapping="pad_ufes_20",
    folds=5,
    image_size=288,
    image_fit="STRETCH",
    storage="float16",
    taps=("block_7", "block_10", "block_14"),
    middle=True,
    head=Head(pooling="images", standardised=True, l2=0.3, answers_l2=0.001),
    stages=(Stage(epochs=25, learning_rate=3e-3),),
    images_dropout=0.15,
    answers_dropout=0.15,
    patience=None,
    abstention=AbstentionRule(min_probability=0.0, max_set_size=4),
    malignant=MALIGNANT,
    false_alarms=0.1,
    knowledge=KNOWLEDGE,
)
ATTRIBUTION = (
    "PAD-UFES-20 (Pacheco et al. 2020, doi:10.17632/zr7vgbcyr2.1, CC BY 4.0), 951 smartphone photos of 702 patients; "
    "its photos are not part of this bundle, its labels and answers were mapped to SCIN's words"
)


def build(data: str, folder: Path, *, cache: Path | None = None, quiet: bool = False) -> None:
    """Build the bundle that ships, of the photos at a store URL or in a folder, in a new folder."""
    dataset = open_dataset(data, mapping=CONFIG.mapping)
    dataset.check_images()
    lineage = {"config": "pad_ufes_20", "data": dataset.digest}
    with tempfile.TemporaryDirectory() as scratch:
        workspace = Workspace(cache=cache or Path(scratch), quiet=quiet)
        build_bundle(
            CONFIG, whole(dataset), folder, workspace, name=NAME, folds=CONFIG.folds, data=ATTRIBUTION, lineage=lineage
        )


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Build the bundle of six growths that ships, or check the committed one."
    )
    parser.add_argument("--data", required=True, metavar="FOLDER", help="the photos and manifest.csv of PAD-UFES-20")
    parser.add_argument("--cache", type=Path, metavar="FOLDER", help="where embeddings are kept for another time")
    way = parser.add_mutually_exclusive_group(required=True)
    way.add_argument("--out", type=Path, metavar="FOLDER", help="build the bundle in a new folder")
    way.add_argument("--check", type=Path, metavar="FOLDER", help="rebuild and compare with the bundle in this folder")
    arguments = parser.parse_args()
    if arguments.out:
        build(arguments.data, arguments.out, cache=arguments.cache)
        return 0
    differing = check_shipped(arguments.check, partial(build, arguments.data, cache=arguments.cache, quiet=True))
    print("\n".join(differing) or "the bundle is as its config builds it")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
