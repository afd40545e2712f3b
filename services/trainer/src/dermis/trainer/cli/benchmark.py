"""`dermis benchmark`."""

import importlib
import json
import shlex
from pathlib import Path
from typing import Any

import click

from dermis.data import defaults


@click.group(short_help="Measure models beside floors and simple baselines.")
def benchmark() -> None:
    """Measure models under a stated protocol, beside floors and simple baselines."""


@benchmark.command()
@click.option(
    "--data",
    "source",
    metavar="URL",
    default=defaults.PUBLIC,
    show_default=True,
    help="Store URL that holds SCIN's two tables and images/.",
)
@click.option("--split", type=click.Path(dir_okay=False, path_type=Path), help="Fold file; written if it is not there yet.")
@click.option(
    "--duplicates",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Near-duplicate groups of `dermis data duplicates`; needed by a split that was made with them.",
)
@click.option("--folds", type=click.IntRange(min=2), default=5, show_default=True, help="Of a new split: how many folds.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of a new split.")
@click.option("--images/--no-images", default=True, show_default=True, help="Let models compete that see images, if the source has some.")
@click.option(
    "--cache", type=click.Path(file_okay=False, path_type=Path), default=".dermis-cache", show_default=True, help="Embeddings of images."
)
@click.option("--write", type=click.Path(dir_okay=False, path_type=Path), help="Write the page, Markdown, here.")
@click.option("--json", "as_json", type=click.Path(dir_okay=False, path_type=Path), help="Write the figures, JSON, here.")
def scin(
    source: str,
    split: Path | None,
    duplicates: Path | None,
    folds: int,
    seed: int,
    images: bool,
    cache: Path,
    write: Path | None,
    as_json: Path | None,
) -> None:
    """SCIN's ten most frequent conditions, k-fold, no case and no image on both sides: floors, baselines and dermis in one table.

    \b
    Examples:
      dermis benchmark scin
      dermis benchmark scin --no-images
      dermis benchmark scin --data file:///data/scin --write benchmark-scin.md
      dermis benchmark scin --split folds.json --json figures.json
    """
    shell: Any = importlib.import_module("dermis.trainer.benchmarks.scin")
    said = shell.run_scin(
        source,
        split,
        duplicates=duplicates,
        folds=folds,
        seed=seed,
        cache=cache,
        images=images,
        say=lambda text: click.echo(text, err=True),
    )
    click.echo(said.text)
    if as_json:
        as_json.write_text(json.dumps(said.figures, indent=1) + "\n", encoding="utf-8")
    if write:
        given = f"--split {shlex.quote(split.name)}" if split else f"--seed {seed} --folds {folds}"
        given += "" if images else " --no-images"
        given += f" --duplicates {shlex.quote(duplicates.name)}" if duplicates else ""
        shown = f"dermis benchmark scin --data URL {given} --write {shlex.quote(write.name)}   # not run here: needs SCIN's tables"
        write.write_text(said.page(shown), encoding="utf-8")
