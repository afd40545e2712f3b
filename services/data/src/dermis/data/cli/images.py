"""Images measured, and those that show the same."""

from pathlib import Path
from typing import Any

import click

from dermis.data import defaults
from dermis.data.cli.options import data, policy
from dermis.shared import options


@click.command()
@data
@options.mapping
@policy
@click.option("--prefix", help="Measure every image below this prefix ('' for all), not those that the tables name.")
@click.option(
    "--tables", help="Store URL of the tables, if not the source; with --prefix, images are found in them by name."
)
@click.option("--where", multiple=True, metavar="FIELD=VALUE|VALUE", help="Which cases, as in `fetch`.")
@click.option("--quality-policy", type=options.FILE, help="Quality policy; by default the one that ships.")
@click.option("--local", is_flag=True, help="Measure on this machine; needs neither workers nor Redis.")
@click.option(
    "--processes", type=click.IntRange(min=1), default=1, show_default=True, help="With --local: how many at once."
)
@click.option(
    "--store",
    envvar="DERMIS_STORE_URL",
    show_envvar=True,
    help="Store that the workers share; with --local, a folder in OUT.",
)
@click.option(
    "--broker",
    envvar="DERMIS_BROKER_URL",
    show_envvar=True,
    default="redis://127.0.0.1:6379/0",
    help="The workers' Redis.",
)
@click.option("--shard-size", type=click.IntRange(1, 1000), default=16, show_default=True, help="Images of one task.")
@click.option(
    "--resend-after",
    type=options.SECONDS,
    default=60,
    show_default=True,
    help="Seconds without a result until shards are sent again.",
)
@click.option(
    "--pictures/--no-pictures", default=True, show_default=True, help="Contact sheets of the darkest kept and dropped."
)
@click.option(
    "--calibrate",
    is_flag=True,
    help="Fit the quality policy to what graders called gradable; writes quality_policy.json.",
)
@click.option(
    "--loss",
    type=click.FloatRange(0, 0.5),
    default=0.01,
    show_default=True,
    help="Share of gradable cases a rule may cost.",
)
@options.out("images")
@click.pass_context
def images(context: click.Context, /, **choices: Any) -> None:
    """Measure every image: quality, size, hash, verdict; CSV and one HTML report. Run it again to go on where it was
    stopped.

    \b
    Examples:
      dermis data images --data file:///data/scin --local --processes 2
      dermis data images --data file:///data/photos --mapping pad_ufes_20 --local
      dermis data images --data gs://clinic/scin --store gs://clinic/dermis --broker redis://redis:6379/0
      dermis data images --data file:///data/scin --local --calibrate
    """
    from dermis.data.images.measure import run

    run(context, **choices)


@click.command()
@click.argument("table", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--radius",
    type=click.IntRange(0, 16),
    default=defaults.RADIUS,
    show_default=True,
    help="Bits in which two hashes may differ.",
)
@click.option("--embeddings", type=options.FILE, help="Also by embedding: .npz with arrays image and embedding.")
@click.option(
    "--cosine",
    type=click.FloatRange(0, 1),
    default=defaults.COSINE,
    show_default=True,
    help="With --embeddings: least cosine of a pair.",
)
@click.option(
    "--pictures-from", metavar="URL", help="Store URL of the images, to show the groups that are least alike."
)
@click.option(
    "--data",
    "tables",
    metavar="URL",
    callback=options.as_url,
    help="Data set, to tell groups within a case from those across cases.",
)
@options.out("duplicates")
def duplicates(
    table: Path,
    radius: int,
    embeddings: Path | None,
    cosine: float,
    pictures_from: str | None,
    tables: str | None,
    out: Path,
) -> None:
    """Find images that show the same in the images.csv of `dermis data images`; groups.csv is what `split` takes.

    \b
    Examples:
      dermis data duplicates images/images.csv --pictures-from file:///data/scin
      dermis data duplicates images/images.csv --radius 8 --embeddings embeddings/embeddings.npz
    """
    from dermis.data.images.duplicates import write_duplicates

    click.echo(
        write_duplicates(
            table, radius=radius, embeddings=embeddings, cosine=cosine, source=pictures_from, tables=tables, out=out
        )
    )
