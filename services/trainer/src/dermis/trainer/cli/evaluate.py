"""`dermis evaluate`: measure a version, or a bundle in a folder, on a data set."""

import importlib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

# Loaded for `dermis --help`: what is heavy is imported when it runs, and a missing extra is told here.
for _package in ("cv2", "matplotlib", "openvino", "pandas", "sklearn"):
    if find_spec(_package) is None:
        raise ModuleNotFoundError(f"No module named {_package!r}", name=_package)

_file = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.option("--model", required=True, metavar="VERSION|FOLDER", help="A version of the store (3, dermis/3) or a bundle's folder.")
@click.option("--data", required=True, metavar="URL", help="Data set: store URL, folder, or generated:SEED:COUNT.")
@click.option("--mapping", help="Mapping of the data set: its name or a file; by default one that fits, else SCIN.")
@click.option("--policy", help="Label policy for SCIN: its name, or a file.")
@click.option("--duplicates", type=_file, help="Near-duplicate groups: CSV with columns image, group.")
@click.option("--split", type=_file, help="Fold file of `dermis data split`; by default every case is measured.")
@click.option("--part", type=click.Choice(["train", "validation", "calibration", "test"]), default="test", show_default=True)
@click.option("--store", envvar="DERMIS_STORE_URL", show_envvar=True, help="Store of the versions; the evaluation is kept there too.")
@click.option("--against", metavar="VERSION|FOLDER", help="Another model on the same cases, side by side with paired tests.")
@click.option("--ablation", is_flag=True, help="Also without each answer group, modality and the quality filter: 7 more passes.")
@click.option("--robustness", is_flag=True, help="Also under blur, exposure, JPEG and other skin tones: 14 to 20 more passes.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default="evaluation", show_default=True, help="Where to write.")
def evaluate(**given: Any) -> None:
    """Measure a model: every figure with n, interval, floor and what a perfect model would show; JSON and one HTML page.

    \b
    Examples:
      dermis evaluate --model 3 --data gs://bucket/scin --split split.json --store gs://bucket/dermis
      dermis evaluate --model bundle/ --data photos/fitzpatrick17k --out report
      dermis evaluate --model 4 --against 3 --data generated:7:400 --store file:///srv/store --ablation --robustness
    """
    module = importlib.import_module("dermis.trainer.evaluation.run")
    module.run(module.Wish(**given))
