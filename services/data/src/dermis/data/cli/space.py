"""Images as points in the space of a model: embed them, map them."""

import sys
from pathlib import Path
from typing import Any

import click

from dermis.data.cli.options import data, policy, seed
from dermis.shared import options


@click.command()
@data
@options.mapping
@policy
@click.option("--prefix", help="Every image below this prefix ('' for all), not those that the tables name.")
@click.option("--where", multiple=True, metavar="FIELD=VALUE|VALUE", help="Which cases, as in `fetch`.")
@click.option("--bundle", required=True, help="A bundle's folder; with --store, NAME/VERSION or current.")
@click.option("--store", help="Store URL that holds the bundle.")
@options.out("embeddings")
@click.pass_context
def embed(
    context: click.Context,
    source: str,
    mapping: str | None,
    policy: str,
    prefix: str | None,
    where: tuple[str, ...],
    bundle: str,
    store: str | None,
    out: Path,
) -> None:
    """Turn every image into a bundle's embedding: embeddings.npz, which `map` and `duplicates` take. Goes on where it
    was stopped.

    \b
    Examples:
      dermis data embed --data file:///data/scin --bundle bundle
      dermis data embed --data file:///data/photos --prefix '' --store gs://clinic/dermis --bundle current
    """
    from dermis.data.images.measure import choose_images
    from dermis.data.space import embed as embedding

    embedder = embedding.open_embedder(bundle, store)
    wanted = choose_images(source, mapping=mapping, prefix=prefix, labels=policy, where=where)
    try:
        with click.progressbar(length=len(wanted.present), label="images", file=sys.stderr) as bar:
            done = embedding.embed(embedder, source, wanted, out, step=bar.update)
    except KeyboardInterrupt:
        click.echo("\nstopped; what is embedded is kept: run the same command to go on", err=True)
        context.exit(130)
    for key, fault in done.faults.items():
        click.echo(f"{fault}: {key}", err=True)
    click.echo(
        f"{done.images:,} images embedded, {len(done.faults):,} not; written {out / 'embeddings.npz'}, "
        f"{out / 'faults.csv'}"
    )


@click.command("map")
@click.argument("embeddings", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--data",
    "tables",
    metavar="URL",
    callback=options.as_url,
    help="Data set that tells whose images these are, by the last part of their name.",
)
@options.mapping
@policy
@options.duplicates
@click.option(
    "--neighbours", type=click.IntRange(1, 100), default=10, show_default=True, help="Nearest cases that are looked at."
)
@click.option("--least", type=click.IntRange(2), default=10, show_default=True, help="Cases of a cluster at least.")
@click.option("--case", "cases", multiple=True, help="Show this case's neighbours. Repeated: several.")
@click.option("--pictures-from", metavar="URL", help="Store URL of the images, to show some as thumbnails.")
@seed
@options.out("map")
def map_(
    embeddings: Path,
    tables: str | None,
    mapping: str | None,
    policy: str,
    duplicates: Path | None,
    cases: tuple[str, ...],
    **choices: Any,
) -> None:
    """Map the cases that `embed` embedded: what the space sorts by (condition or tone?), clusters, neighbours,
    outliers.

    \b
    Examples:
      dermis data map embeddings/embeddings.npz --data file:///data/scin
      dermis data map embeddings/embeddings.npz --data file:///data/photos --mapping pad_ufes_20 --pictures-from file:///data/photos
    """
    from dermis.data.mapping import side
    from dermis.data.space.map import write_map
    from dermis.data.split.groups import read_duplicates

    groups = read_duplicates(duplicates.read_bytes()) if duplicates else None
    click.echo(write_map(embeddings, side(tables, mapping, policy), duplicates=groups, cases=cases, **choices))
