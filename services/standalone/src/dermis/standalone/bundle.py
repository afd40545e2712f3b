"""The model bundle that a store starts with."""

from contextlib import suppress
from pathlib import Path

from dermis.shared.bundles import point, publish, read_current, read_manifest
from dermis.shared.errors import DermisError, Kind
from dermis.shared.manifest import MANIFEST_FILE, Manifest, VersionRef
from dermis.shared.ports import BlobConflict, BlobStore
from dermis.standalone import demo, lesions

SHIPPED = {"demo": demo.BUNDLE, "lesions": lesions.BUNDLE}
"""The bundles that dermis ships, by the name that `--model` takes."""


def ensure_model(store: BlobStore, model: str | None = None, *, models_root: str = "/store/models") -> Manifest:
    """Return the manifest of the store's current model.

    `model` names a shipped one that becomes current first. Without a name a store that has a model keeps it, and one
    that has none gets the demo's.
    """
    if model is None:
        return ensure_bundle(store, models_root=models_root)
    manifest = _publish(store, SHIPPED[model])
    point(store, VersionRef(name=manifest.name, version=manifest.version), models_root=models_root)
    return manifest


def ensure_bundle(store: BlobStore, folder: Path = demo.BUNDLE, *, models_root: str = "/store/models") -> Manifest:
    """Return the manifest of the store's current model; a store without one gets the bundle in `folder` first.

    `models_root` is where TensorFlow Serving sees the store's models/ folder.
    """
    try:
        return read_manifest(store, read_current(store).current)
    except DermisError as error:
        if error.reason != "NO_CURRENT_MODEL":
            raise
    manifest = _publish(store, folder)
    with suppress(BlobConflict):  # a version was made current meanwhile
        point(store, VersionRef(name=manifest.name, version=manifest.version), models_root=models_root, first=True)
    return read_manifest(store, read_current(store).current)


def _publish(store: BlobStore, folder: Path) -> Manifest:
    if not (folder / MANIFEST_FILE).is_file():
        raise DermisError(
            Kind.NOT_FOUND,
            "NO_BUNDLE",
            f"this installation carries no {folder.parent.name} bundle; install dermis from its wheel or a clone, "
            "or promote a model",
        )
    return publish(store, folder)
