"""`dermis data embed`: the embedding of every image under any bundle, streamed, resumed where it was stopped."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from dermis.data.images.measure import WantedImages
from dermis.shared.bundles import parse_manifest, read_current, read_manifest
from dermis.shared.errors import DermisError, Kind
from dermis.shared.manifest import MANIFEST_FILE, Manifest, VersionRef
from dermis.shared.openvino import core
from dermis.shared.ports import BlobNotFound, BlobStore
from dermis.shared.stores import open_store
from dermis.worker.core import decode, prepare
from dermis.worker.core.shard import MISSING

Vectors = npt.NDArray[np.float32]
PART = 256
"""Images of a part, which is what a stopped run loses at most."""
_BATCH = 8
_READERS = 4
_RUN = ("saved_model.pb", "fingerprint.pb", "variables/", "assets/")


class Embedder:
    """A bundle's embedding of single images, by OpenVINO at f32.

    Answers are all absent, which no embedding depends on.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.manifest = manifest
        try:
            self._model = core().compile_model(folder, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        except RuntimeError as error:
            detail = (
                f"OpenVINO can't load the SavedModel of {manifest.key}: {str(error).strip().rpartition(chr(10))[2]}"
            )
            raise DermisError(Kind.INVALID, "BUNDLE_INVALID", detail) from error
        self.columns = self._model.input("features").partial_shape[1].get_length()

    def prepared(self, data: bytes) -> npt.NDArray[np.uint8]:
        """Return an image as the worker prepares it for this bundle; INVALID if it can't be decoded."""
        return prepare.fit(decode.decode(data).image, self.manifest.image_size)

    def embed(self, images: Sequence[npt.NDArray[np.uint8]]) -> Vectors:
        """Return float32[N, E] of prepared images, each as a case of its own."""
        size = self.manifest.image_size
        stacked = np.zeros((len(images), self.manifest.max_images, size, size, 3), np.uint8)
        stacked[:, 0] = images
        mask = np.zeros(stacked.shape[:2], bool)
        mask[:, 0] = True
        features = np.zeros((len(images), self.columns), np.float32)
        outputs = self._model({"images": stacked, "image_mask": mask, "features": features})
        return np.asarray(outputs["embedding"], np.float32).copy()


def open_embedder(bundle: str, store_url: str | None) -> Embedder:
    """Return the embedder of `bundle`: a folder, or with a store NAME/VERSION or `current`.

    Its files' digests are checked.
    """
    if store_url is None:
        folder = Path(bundle)
        if not (folder / MANIFEST_FILE).exists():
            remedy = "name a bundle's folder, or --store and a version in it as NAME/VERSION or current"
            raise DermisError(Kind.NOT_FOUND, "BUNDLE", f"no {MANIFEST_FILE} in {bundle!r}: {remedy}")
        manifest = parse_manifest((folder / MANIFEST_FILE).read_bytes(), f"{folder.name}/{MANIFEST_FILE}")
        return _loaded(
            open_store(folder.resolve().as_uri()), "", manifest
        )  # a bundle's folder is a store of its own files
    store = open_store(store_url)
    manifest = read_manifest(store, _ref(store, bundle))
    return _loaded(store, f"{manifest.key}/", manifest)


def _ref(store: BlobStore, bundle: str) -> VersionRef:
    if bundle == "current":
        return read_current(store).current
    name, _, version = bundle.rpartition("/")
    if not name or not version.isdecimal():
        raise DermisError(Kind.INVALID, "BUNDLE", f"bundle {bundle!r}: with --store, write NAME/VERSION or current")
    return VersionRef(name=name, version=int(version))


def _loaded(store: BlobStore, prefix: str, manifest: Manifest) -> Embedder:
    with tempfile.TemporaryDirectory(prefix="dermis-embed-") as name:
        for path, digest in manifest.files.items():
            if path.startswith(_RUN):
                data = store.get(prefix + path)
                if hashlib.sha256(data).hexdigest() != digest:
                    raise DermisError(
                        Kind.INVALID,
                        "BUNDLE_INVALID",
                        f"{prefix}{path} is not what its manifest says: publish the bundle again",
                    )
                target = Path(name) / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(data)
        return Embedder(Path(name), manifest)


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingSummary:
    """How many images have an embedding, and why the others have none."""

    images: int
    faults: dict[str, str]


def embed(
    embedder: Embedder, source: str, wanted: WantedImages, out: Path, *, step: Callable[[int], None]
) -> EmbeddingSummary:
    """Write `out`/embeddings.npz: image [N], embedding float32[N, E], bundle.

    `step` is called with the images of each part done.

    Parts are kept in `out`/parts until all are done; a run of another bundle, source or list of images starts anew.
    """
    there = wanted.present
    digests = json.dumps([embedder.manifest.files, source, there], sort_keys=True)
    parts = out / "parts" / hashlib.sha256(digests.encode()).hexdigest()[:24]
    parts.mkdir(parents=True, exist_ok=True)
    store = open_store(source)
    with ThreadPoolExecutor(_READERS) as pool:
        for n, start in enumerate(range(0, len(there), PART)):
            keys = there[start : start + PART]
            if not (parts / f"{n}.npz").exists():
                _write(parts / f"{n}.npz", **_part(embedder, store, keys, pool))
            step(len(keys))
    faults = {key: MISSING for key in wanted.expected if key not in wanted.there}
    images, vectors = [np.empty(0, str)], [np.empty((0, embedder.manifest.embedding_size), np.float32)]
    for n in range(-(-len(there) // PART)):
        with np.load(parts / f"{n}.npz", allow_pickle=False) as part:
            images.append(part["image"])
            vectors.append(part["embedding"])
            faults |= dict(zip(part["faulty"].tolist(), part["fault"].tolist(), strict=True))
    embeddings = np.concatenate(images)
    manifest = embedder.manifest
    _write(
        out / "embeddings.npz",
        image=embeddings,
        embedding=np.concatenate(vectors),
        bundle=np.array(f"{manifest.key} ({manifest.purpose})"),
    )
    pd.DataFrame(faults.items(), columns=["image", "fault"]).to_csv(
        out / "faults.csv", index=False, lineterminator="\n"
    )
    shutil.rmtree(out / "parts")
    return EmbeddingSummary(images=len(embeddings), faults=faults)


def _part(
    embedder: Embedder, store: BlobStore, keys: Sequence[str], pool: ThreadPoolExecutor
) -> dict[str, npt.NDArray[np.generic]]:
    def read(key: str) -> npt.NDArray[np.uint8] | str:
        try:
            return embedder.prepared(store.get(key))
        except BlobNotFound:
            return MISSING
        except DermisError as error:
            if error.kind is Kind.UNAVAILABLE:
                raise
            return error.reason

    names: list[str] = []
    vectors = [np.empty((0, embedder.manifest.embedding_size), np.float32)]
    faults: list[tuple[str, str]] = []
    for start in range(0, len(keys), _BATCH):
        batch = keys[start : start + _BATCH]
        read_ahead = list(zip(batch, pool.map(read, batch), strict=True))
        faults += [(key, loaded) for key, loaded in read_ahead if isinstance(loaded, str)]
        if images := [(key, loaded) for key, loaded in read_ahead if not isinstance(loaded, str)]:
            names += [key for key, _ in images]
            vectors.append(embedder.embed([image for _, image in images]))
    return {
        "image": np.array(names, str),
        "embedding": np.concatenate(vectors),
        "faulty": np.array([key for key, _ in faults], str),
        "fault": np.array([fault for _, fault in faults], str),
    }


def _write(path: Path, **arrays: npt.NDArray[np.generic]) -> None:
    """Write an .npz whole or not at all."""
    half = path.with_suffix(".half")
    with half.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
    half.replace(path)
