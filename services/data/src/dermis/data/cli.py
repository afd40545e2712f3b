"""`dermis data`: read, look at, compare, fetch, split and imitate SCIN."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dermis.data import defaults
from dermis.shared import options
from dermis.shared.stores import open_store

if TYPE_CHECKING:
    from dermis.data.dataset import Dataset

_data = click.option(
    "--data",
    "source",
    metavar="URL",
    callback=options.as_url,
    default=defaults.PUBLIC,
    show_default=True,
    help="Data set: a folder or store URL that holds the tables and images/.",
)
_policy = click.option(
    "--policy", default=defaults.POLICY, show_default=True, help="Label policy: its name, or a file."
)


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


@data.command()
@_data
@options.mapping
@_policy
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


@data.command()
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


@data.command()
@_data
@_policy
@click.option(
    "--where",
    multiple=True,
    metavar="FIELD=VALUE|VALUE",
    help="Which cases; also !=, >=, <=. Repeated: all have to hold.",
)
@click.option("--dry-run", is_flag=True, help="Only count.")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def fetch(source: str, policy: str, where: tuple[str, ...], dry_run: bool, folder: Path) -> None:
    """Bring the selected cases home: rows and images, as a folder that is a source itself. Goes on where it was
    stopped.

    \b
    Examples:
      dermis data fetch --where 'label=Eczema|Psoriasis' --where 'monk_us>=7' --dry-run dark
      dermis data fetch --where 'images>=2' --data file:///data/scin several
    """
    from dermis.data.scin.select import choose

    chosen = choose(source, policy, where)
    click.echo(f"{len(chosen.case_ids):,} of {len(chosen.scin.cases):,} cases, {len(chosen.keys):,} images")
    if dry_run or not chosen.case_ids:
        return
    with click.progressbar(length=len(chosen.keys), label="images") as bar:
        done = chosen.bring_to(folder, step=lambda: bar.update(1))
    click.echo(
        f"{len(done.fetched):,} fetched, {len(done.there):,} were there, {len(done.missing):,} missing in the source"
    )
    for key in done.missing:
        click.echo(f"missing: {key}", err=True)


def _open(source: str, mapping: str | None, policy: str, duplicates: Path | None) -> "Dataset":
    from dermis.data.dataset import open_dataset
    from dermis.data.split.groups import read_duplicates

    groups = read_duplicates(duplicates.read_bytes()) if duplicates else None
    return open_dataset(source, mapping=mapping, policy=policy, duplicates=groups)


@data.command()
@_data
@options.mapping
@_policy
@options.duplicates
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--folds", type=click.IntRange(min=2), default=5, show_default=True)
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


@data.command()
@_data
@options.mapping
@_policy
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


@data.command()
@_data
@options.mapping
@_policy
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
    type=float,
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


@data.command()
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


@data.command()
@click.option("--cases", "count", type=click.IntRange(min=1), default=60, show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option(
    "--longest",
    type=click.IntRange(32, 2048),
    default=256,
    show_default=True,
    help="Longer side of an image in pixels.",
)
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def generate(count: int, seed: int, longest: int, folder: Path) -> None:
    """Write generated cases as a folder in SCIN's form, to try things out: drawn skin and invented answers, without
    clinical meaning.

    \b
    Examples:
      dermis data generate --cases 200 --seed 1 generated
    """
    from dermis.data.generated.as_scin import write_as_scin

    with click.progressbar(length=count, label="cases") as bar:
        images = write_as_scin(
            open_store(folder.resolve().as_uri()), seed=seed, count=count, longest=longest, step=lambda: bar.update(1)
        )
    click.echo(f"{count:,} cases with {images:,} images written to {folder}")


@data.command()
@_data
@options.mapping
@_policy
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


@data.command("map")
@click.argument("embeddings", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--data",
    "tables",
    metavar="URL",
    callback=options.as_url,
    help="Data set that tells whose images these are, by the last part of their name.",
)
@options.mapping
@_policy
@options.duplicates
@click.option(
    "--neighbours", type=click.IntRange(1, 100), default=10, show_default=True, help="Nearest cases that are looked at."
)
@click.option("--least", type=click.IntRange(2), default=10, show_default=True, help="Cases of a cluster at least.")
@click.option("--case", "cases", multiple=True, help="Show this case's neighbours. Repeated: several.")
@click.option("--pictures-from", metavar="URL", help="Store URL of the images, to show some as thumbnails.")
@click.option("--seed", type=int, default=0, show_default=True)
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
