"""Publish a bundle in a store as the next version of its model."""

from pathlib import Path

from dermis.shared.bundles import publish
from dermis.shared.manifest import MODEL_NAME, VersionRef
from dermis.shared.ports import BlobConflict, BlobStore
from dermis.trainer.model import bundle
from dermis.trainer.records.layout import next_version


def publish_next(store: BlobStore, folder: Path) -> VersionRef:
    """Publish a bundle under the next free version number; where another run takes it first, under the one after."""
    while True:
        manifest = bundle.restated(folder, version=next_version(store, MODEL_NAME))
        try:
            publish(store, folder)
        except BlobConflict:
            continue
        return VersionRef(name=manifest.name, version=manifest.version)
