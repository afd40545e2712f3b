"""Brings a bundle from the object store into a running model."""

import hashlib
from pathlib import Path

from dermis.api.serving.v1 import serving_pb2 as pb
from dermis.serving.adapters.openvino import OpenVinoRunner
from dermis.serving.core.refusal import RpcRefusal
from dermis.serving.core.warmup import WARMUP_FILE
from dermis.serving.predict import warm_up
from dermis.shared.bundles import read_manifest
from dermis.shared.manifest import Manifest, VersionRef
from dermis.shared.ports import BlobNotFound, BlobStore
from dermis.shared.temporary import held_folder

_SAVED_MODEL = ("saved_model.pb", "fingerprint.pb", "variables/", "assets/", "assets.extra/")


def load_bundle(store: BlobStore, ref: VersionRef) -> OpenVinoRunner:
    """Copy the SavedModel of `ref` to a temporary folder, its digests checked, compile it and warm it up."""
    manifest = read_manifest(store, ref)
    with held_folder("dermis-serving-") as folder:
        _copy(store, manifest, folder)
        runner = OpenVinoRunner(folder)
        recorded = folder / WARMUP_FILE
        warm_up(runner, recorded.read_bytes() if recorded.exists() else None)
    return runner


def _copy(store: BlobStore, manifest: Manifest, folder: Path) -> None:
    for path, digest in manifest.files.items():
        if not path.startswith(_SAVED_MODEL):
            continue
        try:
            data = store.get(f"{manifest.key}/{path}")
        except BlobNotFound as fault:
            raise RpcRefusal(pb.DATA_LOSS, f"{manifest.key}/{path} is in its manifest and not in the store") from fault
        if hashlib.sha256(data).hexdigest() != digest:
            raise RpcRefusal(
                pb.DATA_LOSS,
                f"{manifest.key}/{path} is not what its manifest says; publish the bundle under a new version",
            )
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
