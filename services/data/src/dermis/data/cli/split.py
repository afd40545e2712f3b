"""Fold files: write one, check one."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dermis.data import defaults
from dermis.data.cli.options import policy, seed
from dermis.shared import options

if TYPE_CHECKING:
    from dermis.data.dataset import Dataset


data = click.option(
    "--data",
    "sources",
    multiple=True,
    metavar="URL",
    callback=options.as_url,
    default=(defaults.PUBLIC,),
    show_default=True,
    help="Data set: a folder or store URL that holds the tables and images/; several are split as one.",
)


def _open(sources: Sequence[str], mapping: str | None, policy: str, duplicates: Path | None) -> "Dataset":
    from dermis.data.dataset import open_datasets
    from dermis.data.split.groups import read_duplicates

    groups = read_duplicates(duplicates.read_bytes()) if duplicates else None
    return open_datasets(sources, mapping=mapping, policy=policy, duplicates=groups)


@click.command()
@data
@options.mapping
@policy
@options.duplicates
@seed
@click.option(
    "--folds", type=click.IntRange(min=2), default=5, show_default=True, help="Folds, drawn apart from the parts."
)
@click.option(
    "--fractions",
    default=":".join(map(str, defaults.FRACTIONS.values())),
    show_default=True,
    help=":".join(defaults.FRACTIONS),
)
@options.out("split.json")
def split(
    sources: tuple[str, ...],
    mapping: str | None,
    policy: str,
    duplicates: Path | None,
    seed: int,
    folds: int,
    fractions: str,
    out: Path,
) -> None:
    """Write a fold file: connected cases together, stratified by top condition and Monk tone.

    \b
    Examples:
      dermis data split --seed 7
      dermis data split --data photos/fitzpatrick17k --mapping fitzpatrick17k
      dermis data split --data scin --data reviews
      dermis data split --duplicates duplicates/groups.csv --folds 5 --fractions 0.7:0.1:0.1:0.1
    """
    from dermis.data.fold_files import write_split

    click.echo(
        write_split(_open(sources, mapping, policy, duplicates), seed=seed, folds=folds, fractions=fractions, out=out)
    )


@click.command()
@data
@options.mapping
@policy
@options.duplicates
@click.argument("split", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def audit(sources: tuple[str, ...], mapping: str | None, policy: str, duplicates: Path | None, split: Path) -> None:
    """Check that a fold file fits the data and leaks nothing.

    \b
    Examples:
      dermis data audit split.json
      dermis data audit --duplicates duplicates/groups.csv split.json
    """
    from dermis.data.fold_files import audit_file

    click.echo(audit_file(_open(sources, mapping, policy, duplicates), split))
