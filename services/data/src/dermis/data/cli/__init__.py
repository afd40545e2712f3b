"""`dermis data`: the commands that profile, measure, split, compare, fetch and generate data sets."""

import click

from dermis.data.cli.cases import fetch, generate, paint
from dermis.data.cli.images import duplicates, images
from dermis.data.cli.profile import compare, profile
from dermis.data.cli.reviews import agreement, from_reviews
from dermis.data.cli.space import embed, map_
from dermis.data.cli.split import audit, split


@click.group(short_help="Profile, measure, split and compare data sets.")
def data() -> None:
    """Read SCIN where it lives, look at it, split it without a leak.

    \b
    Examples:
      dermis data profile --data file:///data/scin
      dermis data images --data file:///data/scin --local
      dermis data duplicates images/images.csv
      dermis data split --data file:///data/scin --duplicates duplicates/groups.csv
      dermis data audit --data file:///data/scin --duplicates duplicates/groups.csv split.json
    """


for command in (
    *(profile, compare, fetch, split, audit, images, duplicates, generate, paint, embed, map_),
    *(from_reviews, agreement),
):
    data.add_command(command)
