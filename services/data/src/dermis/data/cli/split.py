"""Fold files: write one, check one."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from dermis.data import defaults
from dermis.data.cli.options import data, policy, seed
from dermis.shared import options

if TYPE_CHECKING:
    from dermis.data.dataset import Dataset


def _open(source: str, mapping: str | None, policy: str, duplicates: Path | None) -> "Dataset":
    from dermis.data.dataset import open_dataset
    from dermis.data.split.groups import read_duplicates

    groups = read_duplicates(duplicates.read_bytes()) if duplicates else None
    return open_dataset(source, mapping=mapping, policy=policy, duplicates=groups)


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
    source: str,
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
      dermis data split --duplicates duplicates/groups.csv --folds 5 --fractions 0.7:0.1:0.1:0.1
    """
    from dermis.data.fold_files import write_split

    click.echo(
        write_split(_open(source, mapping, policy, duplicates), seed=seed, folds=folds, fractions=fractions, out=out)
    )


@click.command()
@data
@options.mapping
@policy
@options.duplicates
@click.argument("split", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def audit(source: str, mapping: str | None, policy: str, duplicates: Path | None, split: Path) -> None:
    """Check that a fold file fits the data and leaks nothing.

    \b
    Examples:
      dermis data audit split.json
      dermis data audit --duplicates duplicates/groups.csv split.json
    """
    from dermis.data.fold_files import audit_file

    click.echo(audit_file(_open(source, mapping, policy, duplicates), split))
