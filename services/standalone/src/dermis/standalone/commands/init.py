"""dermis init"""

from typing import Any

import click

from dermis.shared.bundles import models_root_of
from dermis.shared.stores.disk import DiskStore
from dermis.standalone.bundle import ensure_bundle
from dermis.standalone.commands import options
from dermis.standalone.settings import load_standalone
from dermis.standalone.state import open_store_of

FOLDERS = ("models", "runs", "evaluations", "promotions", "reports", "profiles", "audit")
"""What containers mount alone of a store on disk: Docker mounts no folder that isn't there."""


@click.command("init", short_help="Make a store ready: without a model it gets the demo's.")
@options.state
@options.store
@click.option(
    "--models-root", help="Where TensorFlow Serving sees the store's models/ folder [default: by the store's URL]."
)
def command(models_root: str | None, **option_values: Any) -> None:
    """Make a store ready: one without a model gets the demo bundle.

    \b
    Examples:
      dermis init --store gs://bucket/prefix
    """
    settings = load_standalone(options.overlay(option_values))
    store = open_store_of(settings)
    if isinstance(store, DiskStore):
        store.make_folders(*FOLDERS)
    manifest = ensure_bundle(store, models_root=models_root or models_root_of(settings.store_url))
    click.echo(f"the store's model is {manifest.name} version {manifest.version}, purpose: {manifest.purpose}")
