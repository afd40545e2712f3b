"""`dermis data fetch`, `generate` and `paint`: cases that are copied, generated or painted."""

from pathlib import Path

import click

from dermis.data.cli.options import data, longest, policy, seed
from dermis.shared.options import as_url
from dermis.shared.stores import open_store


@click.command()
@data
@policy
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


@click.command()
@click.option("--cases", "count", type=click.IntRange(min=1), default=60, show_default=True, help="How many.")
@seed
@longest
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


@click.command()
@click.option(
    "--source", metavar="URL", callback=as_url, required=True, help="Folder or store URL of SCIN's two tables."
)
@seed
@longest
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def paint(source: str, seed: int, longest: int, folder: Path) -> None:
    """Write SCIN's tables with a painted image under every name, to rehearse all that comes after without the bucket.
    The images show nothing of their cases.

    \b
    Examples:
      dermis data paint --source tables rehearsal
    """
    from dermis.data.generated.painted import image_keys, paint_images
    from dermis.data.scin.source import open_scin

    scin = open_scin(source)
    with click.progressbar(length=len(image_keys(scin)), label="images") as bar:
        images = paint_images(
            scin,
            open_store(folder.resolve().as_uri()),
            seed=seed,
            longest=longest,
            step=lambda: bar.update(1),
        )
    click.echo(f"{len(scin.cases):,} cases with {images:,} painted images written to {folder}")
