"""`dermis sweep`: what it would erase, and the word of an operator that its clock is right."""

import os
from datetime import UTC, datetime

import click

from dermis.shared.audit import Audit
from dermis.shared.settings import load
from dermis.shared.stores import open_store
from dermis.sweep.clock import confirm as confirm_clock
from dermis.sweep.clock import read_doubt
from dermis.sweep.retention import RetentionSweep
from dermis.sweep.settings import SweepSettings

_store = click.option(
    "--store",
    "store_url",
    envvar="DERMIS_STORE_URL",
    show_envvar=True,
    required=True,
    help="Object store with the cases.",
)


@click.group("sweep")
def sweep() -> None:
    """What the sweep erases by its time, and whether it trusts its clock.

    \b
    Examples:
      dermis sweep due --store file:///store
      dermis sweep confirm --store file:///store
    """


@sweep.command("due")
@_store
def due(store_url: str) -> None:
    """List what is to be erased as its time is over, by this machine's clock; nothing is erased.

    \b
    Examples:
      dermis sweep due --store gs://bucket/dermis
    """
    store = open_store(store_url)
    settings = load(SweepSettings, "SWEEP", {**os.environ, "DERMIS_STORE_URL": store_url})
    count = 0
    for each in RetentionSweep(store, settings.policy, Audit(store, "sweep")).due(datetime.now(UTC)):
        click.echo(f"{each.thing_id}  {each.consent or 'batch'}")
        count += 1
    click.echo(f"{count} are due", err=True)
    if doubt := read_doubt(store):
        click.echo(
            f"nothing is erased by its time now: {doubt.why}; `dermis sweep confirm` if the clock is right", err=True
        )


@sweep.command("confirm")
@_store
def confirm(store_url: str) -> None:
    """Say that the sweep's clock is right: from its next look on it erases what is due. See `dermis sweep due` first.

    \b
    Examples:
      dermis sweep confirm --store file:///store
    """
    store = open_store(store_url)
    if doubt := read_doubt(store):
        confirm_clock(store)
        click.echo(f"confirmed: {doubt.why}; the sweep goes on at its next look")
    else:
        click.echo("the clock is not in doubt; there is nothing to confirm")
