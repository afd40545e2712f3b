"""Options that several `dermis data` commands have, beside those of `dermis.shared.options`."""

import click

from dermis.data import defaults
from dermis.shared.options import as_url

data = click.option(
    "--data",
    "source",
    metavar="URL",
    callback=as_url,
    default=defaults.PUBLIC,
    show_default=True,
    help="Data set: a folder or store URL that holds the tables and images/.",
)
policy = click.option("--policy", default=defaults.POLICY, show_default=True, help="Label policy: its name, or a file.")
seed = click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of what is drawn at random."
)
longest = click.option(
    "--longest",
    type=click.IntRange(32, 2048),
    default=256,
    show_default=True,
    help="Longer side of an image in pixels.",
)
