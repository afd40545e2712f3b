"""`dermis data from-reviews` and `agreement`: what clinicians' readings teach, and how far they agree."""

from pathlib import Path

import click

from dermis.shared import options


@click.command("from-reviews")
@options.store
@click.option(
    "--out",
    metavar="FOLDER|URL",
    callback=options.as_url,
    default="reviews",
    show_default=True,
    help="Where to write: a folder or store URL that is empty, or holds an earlier build.",
)
@click.option("--name", default="reviews", show_default=True, help="What the data set calls itself in a training.")
def from_reviews(store_url: str, out: str, name: str) -> None:
    """Write the cases that clinicians read as a data set in SCIN's form. Only cases whose owners agreed that theirs
    make dermis better are in it, and none that was erased: build it again before each training. Goes on where it was
    stopped.

    \b
    Examples:
      dermis data from-reviews --store file:///srv/store --out reviews
      dermis train scin --data file:///data/scin --data reviews --store file:///srv/store
    """
    from dermis.data.reviews.cases import reviewed_cases
    from dermis.data.reviews.write import write_from_reviews
    from dermis.shared.errors import DermisError, Kind
    from dermis.shared.stores import open_store, overlap

    if overlap(store_url, out):
        raise DermisError(
            Kind.INVALID, "OUT", f"--out {out} lies in the store or around it: name a place apart from it"
        )
    store = open_store(store_url)
    reviewed = reviewed_cases(store)
    with click.progressbar(length=len(reviewed.cases), label="cases") as bar:
        manifest = write_from_reviews(reviewed, store, open_store(out), name=name, step=lambda: bar.update(1))
    click.echo(
        f"{manifest.cases:,} cases of {manifest.persons:,} known persons, {manifest.images:,} images, "
        f"{manifest.readings:,} readings that count, {manifest.adjudicated:,} adjudicated; written to {out}"
    )
    for reason, count in manifest.left_out.items():
        click.echo(f"left out: {count:,} {reason}")
    if manifest.images_lost:
        click.echo(f"{manifest.images_lost:,} images are gone or can't be decoded", err=True)
    if not manifest.cases:
        click.echo("no case may be learned from: the data set is left empty", err=True)


@click.command()
@options.store
@click.option(
    "--policy",
    default="scin-grouped",
    show_default=True,
    help="Label policy by which a reader's condition is found among the model's groups.",
)
@options.out("agreement")
def agreement(store_url: str, policy: str, out: Path) -> None:
    """Measure how far readers agree with each other and with the model, by skin type and tone; a table, and a report
    with plots.

    \b
    Examples:
      dermis data agreement --store file:///srv/store
      dermis data agreement --store gs://clinic/dermis --out agreement
    """
    from dermis.data.reviews.agreement_report import write_agreement

    click.echo(write_agreement(store_url, policy, out))
