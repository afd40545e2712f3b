"""dermis init"""

from typing import Any

import click

from dermis.shared.bundles import models_root_of
from dermis.shared.stores.disk import DiskStore
from dermis.standalone.bundle import ensure_model
from dermis.standalone.commands import options
from dermis.standalone.settings import load_standalone
from dermis.standalone.state import open_store_of

FOLDERS = ("models", "runs", "evaluations", "promotions", "reports", "profiles", "audit")
"""What containers mount alone of a store on disk: Docker mounts no folder that isn't there."""


@click.command("init", short_help="Make a store ready: without a model it gets the demo's.")
@options.state
@options.store
@options.model
@click.option(
    "--models-root", help="Where TensorFlow Serving sees the store's models/ folder [default: by the store's URL]."
)
def command(models_root: str | None, model: str | None, **option_values: Any) -> None:
    """Make a store ready: one without a model gets the demo bundle.

    --model makes a shipped one current, in any store; a system that runs on it follows.

    \b
    Examples:
      dermis init --store gs://bucket/prefix
      dermis init --store gs://bucket/prefix --model lesions
    """
    settings = load_standalone(options.overlay(option_values))
    store = open_store_of(settings)
    if isinstance(store, DiskStore):
        store.make_folders(*FOLDERS)
    manifest = ensure_model(store, model, models_root=models_root or models_root_of(settings.store_url))
    click.echo(f"the store's model is {manifest.name} version {manifest.version}, purpose: {manifest.purpose}")
