"""The model bundle that a store starts with."""

from contextlib import suppress
from pathlib import Path

from dermis.shared.bundles import point, publish, read_current, read_manifest
from dermis.shared.errors import DermisError, Kind
from dermis.shared.manifest import MANIFEST_FILE, Manifest, VersionRef
from dermis.shared.ports import BlobConflict, BlobStore
from dermis.standalone import demo


def ensure_bundle(store: BlobStore, folder: Path = demo.BUNDLE, *, models_root: str = "/store/models") -> Manifest:
    """Return the manifest of the store's current model; a store without one gets the bundle in `folder` first.

    `models_root` is where TensorFlow Serving sees the store's models/ folder.
    """
    try:
        return read_manifest(store, read_current(store).current)
    except DermisError as error:
        if error.reason != "NO_CURRENT_MODEL":
            raise
    if not (folder / MANIFEST_FILE).is_file():
        raise DermisError(
            Kind.NOT_FOUND,
            "NO_BUNDLE",
            "the store has no model and this installation carries no demo bundle; promote a model",
        )
    manifest = publish(store, folder)
    with suppress(BlobConflict):  # a version was made current meanwhile
        point(store, VersionRef(name=manifest.name, version=manifest.version), models_root=models_root, first=True)
    return read_manifest(store, read_current(store).current)
