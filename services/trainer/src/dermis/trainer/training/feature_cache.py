"""The features of images from a frozen backbone, kept on disk: computed once per image, view and backbone."""

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import click
import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from dermis.data.dataset import Dataset
from dermis.shared.case import MAX_IMAGES
from dermis.shared.errors import DermisError, Kind
from dermis.shared.manifest import ImageFit
from dermis.trainer.model.backbones.graph import digest
from dermis.trainer.model.inputs import prepare
from dermis.worker.core.prepare import Image

View = Callable[[Image], Image]
VIEWS: dict[str, View] = {"plain": lambda image: image, "mirror": lambda image: np.ascontiguousarray(image[:, ::-1])}
"""What an image is also looked at as; a view changes no colour, so no tone."""
BATCH = 16
Rows = npt.NDArray[Any]
Places = npt.NDArray[np.int64]


class Cache:
    """Rows of one shape by key, in two files that only grow: keys after rows, a row without a key does not count."""

    def __init__(self, folder: Path, shape: tuple[int, ...], dtype: npt.DTypeLike = np.float32) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._rows, self._keys = folder / "rows.bin", folder / "keys.txt"
        self._shape, self._dtype = shape, np.dtype(dtype)
        self._bytes = int(np.prod(shape)) * self._dtype.itemsize
        for path in (self._rows, self._keys):
            path.touch()
        with self._keys.open("a") as names:
            fcntl.flock(names, fcntl.LOCK_EX)
            keys = self._keys.read_text().splitlines(keepends=True)
            whole = [key for key in keys if key.endswith("\n")][: self._rows.stat().st_size // self._bytes]
            os.truncate(self._keys, sum(map(len, whole)))
            os.truncate(self._rows, len(whole) * self._bytes)
        self._place = {key.strip(): n for n, key in enumerate(whole)}

    def __len__(self) -> int:
        return len(self._place)

    def __contains__(self, key: str) -> bool:
        return key in self._place

    def add(self, keys: Sequence[str], rows: npt.NDArray[Any]) -> None:
        """Append rows, safe against a kill; CONFLICT if another process has added to the same cache meanwhile."""
        with self._keys.open("a") as names, self._rows.open("ab") as file:
            fcntl.flock(names, fcntl.LOCK_EX)
            if os.fstat(file.fileno()).st_size != len(self._place) * self._bytes:
                detail = (
                    f"another process writes to {self._rows.parent}: give each run a cache of its own, or wait "
                    "and start again"
                )
                raise DermisError(Kind.CONFLICT, "CACHE_BUSY", detail)
            file.write(np.ascontiguousarray(rows, self._dtype).tobytes())
            file.flush()
            os.fsync(file.fileno())
            names.writelines(f"{key}\n" for key in keys)
        self._place |= {key: n for n, key in enumerate(keys, start=len(self._place))}

    def places(self, keys: Iterable[str]) -> npt.NDArray[np.int64]:
        """Return where keys lie, -1 for one that is not there."""
        return np.array([self._place.get(key, -1) for key in keys], np.int64)

    def read(self, places: Places) -> npt.NDArray[Any]:
        """Return the rows at places int64[N], read one by one: unlike a mapped file's, none stays in memory."""
        rows = np.empty((len(places), int(np.prod(self._shape))), self._dtype)
        with self._rows.open("rb", buffering=0) as file:
            for row, place in zip(rows, places, strict=True):
                if os.preadv(file.fileno(), [row], int(place) * self._bytes) != self._bytes:
                    detail = f"{self._rows} ends before row {place}: remove the folder, and start again"
                    raise DermisError(Kind.INTERNAL, "CACHE_CUT", detail)
        return rows.reshape(len(places), *self._shape)


def embed(
    dataset: Dataset,
    backbone: keras.Model,
    folder: Path,
    *,
    views: Sequence[str] = ("plain",),
    pooled: bool,
    how: ImageFit = "LETTERBOX",
    quiet: bool = False,
) -> tuple[Cache, Places]:
    """Return the cache of what a backbone makes of a data set's images, and where they lie.

    `pooled`: the mean over positions [1,1,C], else the map [h,w,C]. The folder is named after the backbone's weights,
    its image size, its precision if that is not float32, and what is kept, so nothing stale is ever read.
    """
    size, (height, width, channels) = backbone.input.shape[1], backbone.output.shape[1:]
    precision = "" if backbone.compute_dtype == "float32" else f"-{backbone.compute_dtype}"
    name = f"{digest(backbone)[:32]}-{size}-{'pooled' if pooled else 'maps'}{precision}{_suffix(how)}"
    cache = Cache(folder / name, (1, 1, channels) if pooled else (height, width, channels))

    @tf.function(  # type: ignore[untyped-decorator]
        input_signature=(tf.TensorSpec(backbone.input.shape, tf.uint8),), autograph=False
    )
    def run(images: tf.Tensor) -> tf.Tensor:
        maps = backbone(tf.cast(images, tf.float32), training=False)
        return tf.reduce_mean(maps, axis=(1, 2), keepdims=True) if pooled else maps

    return cache, fill(
        cache,
        dataset,
        size,
        lambda images: run(tf.constant(images)).numpy(),
        views=views,
        how=how,
        label="embed",
        quiet=quiet,
    )


def _suffix(how: ImageFit) -> str:
    return "" if how == "LETTERBOX" else f"-{how.lower()}"


def keep_prepared(
    dataset: Dataset, size: int, folder: Path, *, how: ImageFit = "LETTERBOX", quiet: bool = False
) -> tuple[Cache, Places]:
    """Return the cache of a data set's images as the worker prepares them, uint8[S,S,3], and where they lie."""
    cache = Cache(folder / f"prepared-{size}{_suffix(how)}", (size, size, 3), np.uint8)
    return cache, fill(
        cache, dataset, size, lambda images: images, views=("plain",), how=how, label="prepare", quiet=quiet
    )


def fill(
    cache: Cache,
    dataset: Dataset,
    size: int,
    make: Callable[[Rows], Rows],
    *,
    views: Sequence[str],
    how: ImageFit,
    label: str,
    quiet: bool,
) -> Places:
    """Add what is missing of a data set's images; return each one's row by view int64[N,3,V], -1 if unreadable.

    A key is the digest of the image's bytes and the view: an image that stands in two data sets, or was renamed, is
    made once.
    """
    names: dict[str, str] = {}
    pending: dict[str, Image] = {}

    def flush() -> None:
        if pending:
            cache.add(list(pending), make(np.stack(list(pending.values()))))
            pending.clear()

    keys = list(dict.fromkeys(key for sample in dataset.samples for key in sample.images[:MAX_IMAGES]))
    with click.progressbar(keys, label=label, hidden=quiet) as bar:
        for key in bar:
            data = dataset.read(key)
            name = hashlib.sha256(data or b"").hexdigest()
            missing = [view for view in views if f"{name} {view}" not in cache and f"{name} {view}" not in pending]
            image = prepare(data, size, how) if data and missing else None
            if data is None or (missing and image is None):
                continue
            names[key] = name
            for view in missing:
                pending[f"{name} {view}"] = VIEWS[view](image)  # type: ignore[arg-type]
            if len(pending) >= BATCH:
                flush()
    flush()
    if lost := [key for key in keys if key not in names]:
        what = (
            f"{len(lost):,} of {len(keys):,} images are missing or can't be decoded and are left out, the first: "
            f"{lost[0]!r}"
        )
        click.secho(f"WARNING: {what}", err=True, fg="red", bold=True)
    places = np.full((len(dataset), MAX_IMAGES, len(views)), -1, np.int64)
    for row, sample in enumerate(dataset.samples):
        for slot, key in enumerate(sample.images[:MAX_IMAGES]):
            if key in names:
                places[row, slot] = cache.places(f"{names[key]} {view}" for view in views)
    return places


def gather(cache: Cache, places: Places) -> tuple[Rows, npt.NDArray[np.bool_]]:
    """Return (rows [N,3,...], image_mask bool[N,3]) of places int64[N,3]."""
    mask = places >= 0
    rows = cache.read(places[mask])
    gathered = np.zeros((*places.shape, *rows.shape[1:]), rows.dtype)
    gathered[mask] = rows
    return gathered, mask
