"""The demo bundle: eight conditions on generated cases, small enough to be committed, without clinical meaning.

Build     python -m dermis.trainer.configs.demo --out FOLDER
Check     make bundle-check
Case      python -m dermis.trainer.configs.demo --case services/standalone/src/dermis/standalone/demo/case
Hardware  2 CPU cores, 2 GB of memory, about 10 minutes of CPU time, most of it to draw for the textures
Result    test top-1 0.83, top-3 0.97 (floors 0.20, 0.47), n = 1400; the same machine builds the same numbers,
          another one within 0.02
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import cv2

from dermis.data.dataset import Dataset, open_dataset
from dermis.data.generated.cases import case
from dermis.shared.manifest import AbstentionRule, Knowledge
from dermis.trainer.config import Config, Stage
from dermis.trainer.model.bundle import write_json
from dermis.trainer.model.feature_schema import every_answer
from dermis.trainer.training.options import Workspace
from dermis.trainer.training.parts import Parts
from dermis.trainer.training.shipped import check_shipped
from dermis.trainer.training.train import build_bundle

IMAGE_SIZE = 96
SCHEMA = every_answer()
SEEDS_AND_COUNTS = {"train": (1, 2600), "calibration": (2, 1000), "test": (3, 1400)}
TEXTURES = (
    (
        *("generated:5:1000", "generated:51:2500", "generated:52:800:160"),
        *("generated:6:700:224", "generated:7:450:448"),
    ),
    ("generated:8:300", "generated:9:300:300", "generated:10:100:700"),
)
"""Drawings of several sizes; on those of the first row the rule for textures is fitted, on the second calibrated."""
SAMPLE_CASE = (4, 45)
SAMPLE_LONGEST = 1200


def parts() -> Parts:
    train, calibration, test = (
        open_dataset("generated:{}:{}".format(*SEEDS_AND_COUNTS[name])) for name in ("train", "calibration", "test")
    )
    return Parts(train=train, calibration=calibration, test=test)


def textures() -> tuple[list[Dataset], list[Dataset]]:
    training, calibration = ([open_dataset(url) for url in urls] for urls in TEXTURES)
    return training, calibration


KNOWLEDGE = Knowledge(
    kind="a drawing of skin that dermis' own generator painted",
    unknown=("every photo of a person's skin: it has never seen one", "that something is no skin cancer"),
    data="generated cases, without clinical meaning",
    licence="weights and thresholds: Apache-2.0",
    scale="painted",
)
CONFIG = Config(
    name="demo",
    purpose="demo",
    backbone="small",
    weights=None,
    image_size=IMAGE_SIZE,
    schema=SCHEMA,
    stages=(Stage(after="", epochs=8, learning_rate=3e-3, images="augmented"),),
    batch=24,
    abstention=AbstentionRule(min_probability=0.35, max_set_size=4),
    false_alarms=None,
    texture_alarms=0.05,
    knowledge=KNOWLEDGE,
)
DATA = (
    "generated cases (dermis.data.generated.cases): procedural skin over the whole Monk scale with invented answers; "
    + ", ".join(f"{name}: {count} of seed {seed}" for name, (seed, count) in SEEDS_AND_COUNTS.items())
)
LINEAGE = {
    "config": "dermis.trainer.configs.demo",
    "data": "generated",
    **{name: f"seed {seed}, {count} cases" for name, (seed, count) in SEEDS_AND_COUNTS.items()},
}


def build(
    folder: Path,
    *,
    config: Config = CONFIG,
    cases: Parts | None = None,
    drawings: tuple[Sequence[Dataset], Sequence[Dataset]] | None = None,
) -> None:
    """Build the bundle in `folder`, which must not exist yet; `drawings`: see `TEXTURES`."""
    with tempfile.TemporaryDirectory() as cache:
        build_bundle(
            config,
            cases or parts(),
            folder,
            Workspace(cache=Path(cache)),
            data=DATA,
            lineage=LINEAGE,
            textures=drawings or textures(),
        )


def check(folder: Path) -> list[str]:
    """Rebuild the bundle elsewhere and return in what the one in `folder` differs from it."""
    return check_shipped(folder, build)


def write_sample_case(folder: Path) -> None:
    """Write the demo's case as a person would send it: a JPEG a shot type, and answers.json."""
    folder.mkdir(parents=True, exist_ok=True)
    sample = case(*SAMPLE_CASE, longest=SAMPLE_LONGEST)
    for image, shot_type in zip(sample.images, sample.shot_types, strict=True):
        name = str(folder / f"{shot_type.lower()}.jpg")
        cv2.imwrite(name, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 80])
    write_json(folder / "answers.json", sample.self_report.model_dump(mode="json", exclude_none=True))


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Build the demo bundle, check the committed one, or write the demo's case."
    )
    way = parser.add_mutually_exclusive_group(required=True)
    way.add_argument("--out", type=Path, metavar="FOLDER", help="build the bundle in a new folder")
    way.add_argument("--check", type=Path, metavar="FOLDER", help="rebuild and compare with the bundle in this folder")
    way.add_argument("--case", type=Path, metavar="FOLDER", help="write the demo's case")
    arguments = parser.parse_args()
    if arguments.case:
        write_sample_case(arguments.case)
        return 0
    if arguments.out:
        build(arguments.out)
        return 0
    differing = check(arguments.check)
    print("\n".join(differing) or "the bundle is as its config builds it")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
