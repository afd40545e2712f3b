"""What a data set holds, and two of them side by side."""

from pathlib import Path

import click

from dermis.data.cli.options import data, policy
from dermis.shared import options


@click.command()
@data
@options.mapping
@policy
@click.option(
    "--images", type=options.FILE, help="The images.csv of `dermis data images`: adds colour spaces by tone and label."
)
@options.out("profile")
@click.option(
    "--publish", is_flag=True, help="Also put what is of nobody in particular into the store, for the gateway's page."
)
@options.store
def profile(
    source: str, mapping: str | None, policy: str, images: Path | None, out: Path, publish: bool, store_url: str
) -> None:
    """Write every table of the data set as CSV, JSON and one HTML report.

    \b
    Examples:
      dermis data profile
      dermis data profile --data gs://clinic/scin --policy scin-all --out profile
      dermis data profile --data file:///data/photos --mapping pad_ufes_20 --images images/images.csv
      dermis data profile --data gs://clinic/scin --publish --store gs://clinic/dermis
    """
    from dermis.data.profile.write import write_profile

    click.echo(write_profile(source, mapping, policy, out, images=images, publish_to=store_url if publish else None))


@click.command()
@click.argument("a")
@click.argument("b")
@click.option("--mapping-a", help="Mapping of A: its name or a file; by default one that fits, else SCIN.")
@click.option("--mapping-b", help="Mapping of B, likewise.")
@click.option("--policy", default="scin-all", show_default=True, help="Label policy for a SCIN side.")
@options.out("compare")
def compare(a: str, b: str, mapping_a: str | None, mapping_b: str | None, policy: str, out: Path) -> None:
    """Put two data sets, given by store URL, side by side: the share of each tone, group and condition.

    \b
    Examples:
      dermis data compare file:///data/old file:///data/new
      dermis data compare file:///data/scin file:///data/photos --mapping-b fitzpatrick17k
    """
    from dermis.data.profile.write import write_compare

    click.echo(write_compare((a, mapping_a), (b, mapping_b), policy, out))
