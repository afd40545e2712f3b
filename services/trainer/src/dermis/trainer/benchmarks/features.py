"""Features of frozen backbones, computed once an image and kept on disk, so that many heads can be tried in seconds."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import keras
import numpy as np
from keras import layers

from dermis.data.dataset import Dataset
from dermis.shared.manifest import ImageFit
from dermis.shared.openvino import core
from dermis.trainer.metrics import Floats
from dermis.trainer.model.backbones import make_backbone
from dermis.trainer.model.backbones.graph import fold_batch_norm
from dermis.trainer.training.feature_cache import Rows, embed, gather

DEPTHS = {
    "efficientnet-lite0": ("block_7", "block_10", "block_14"),
    "efficientnet-lite1": ("block_10", "block_14", "block_19"),
    "efficientnet-lite2": ("block_10", "block_14", "block_19"),
}
"""The ends of the last three stages but one, beside the backbone's own output."""
LAST = len(next(iter(DEPTHS.values())))
POOLS = ("mean", "middle", "maximum")
VIEWS = ("plain", "mirror")
ROUNDS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A backbone at an image size in pixels; `cropped_from`: of the middle of an image that was made that large."""

    backbone: str
    size: int
    cropped_from: int | None = None

    def __str__(self) -> str:
        crop = f", cut from {self.cropped_from}" if self.cropped_from else ""
        return f"{self.backbone.removeprefix('efficientnet-').capitalize()} at {self.size} px{crop}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """What is kept of a look: which depths, pooled how; `mirrored`: the mean over an image and its mirror image."""

    look: Look
    depths: tuple[int, ...] = (LAST,)
    pools: tuple[str, ...] = ("mean",)
    mirrored: bool = False

    def __str__(self) -> str:
        depths = "" if len(self.depths) == 1 else f", {len(self.depths)} depths"
        pools = "" if self.pools == ("mean",) else f", {' and '.join(self.pools)}"
        return f"{self.look}{depths}{pools}{', mirrored too' if self.mirrored else ''}"


@cache
def depths_of(look: Look) -> keras.Model:
    """Return float32[N,S,S,3], pixels of 0-255 -> a map [N,h,w,C] of each depth, batch norm folded."""
    backbone = make_backbone(look.backbone, look.size)
    taps = [backbone.get_layer(name).output for name in DEPTHS[look.backbone]]
    folded = fold_batch_norm(keras.Model(backbone.input, [*taps, backbone.output]))
    if not look.cropped_from:
        return folded
    image = keras.Input((look.cropped_from, look.cropped_from, 3))
    return keras.Model(image, folded(layers.CenterCrop(look.size, look.size)(image)))


def embedder(depths: keras.Model) -> keras.Model:
    """Return float32[N,S,S,3] -> float32[N,1,1,C]: of each depth the mean, the middle's mean and the maximum."""
    rows = []
    for maps in depths.outputs:
        middle = layers.Cropping2D(maps.shape[1] // 4)(maps)
        rows += [layers.GlobalAveragePooling2D(keepdims=True)(part) for part in (maps, middle)]
        rows.append(layers.GlobalMaxPooling2D(keepdims=True)(maps))
    return keras.Model(depths.input, layers.Concatenate()(rows), name="embedder")


class FrozenFeatures:
    """The features of a data set's images by look, each computed when it is first asked for and kept in `cache`."""

    def __init__(self, dataset: Dataset, cache: Path, *, how: ImageFit, quiet: bool = True) -> None:
        self._dataset, self._cache, self._how, self._quiet = dataset, cache, how, quiet
        self._row = {sample.id: row for row, sample in enumerate(dataset.samples)}
        self._seen: dict[tuple[Look, str], Mapping[tuple[int, str], Rows]] = {}

    def rows(self, blocks: Sequence[Block], part: Dataset) -> list[Floats]:
        """Return a list of features [N,C] of a part's cases, the mean over a case's images, 0 without any."""
        places = [self._row[sample.id] for sample in part.samples]
        return [
            np.mean([self._view(block.look, view)[depth, pool][places] for view in VIEWS[: 1 + block.mirrored]], axis=0)
            for block in blocks
            for depth in block.depths
            for pool in block.pools
        ]

    def _view(self, look: Look, view: str) -> Mapping[tuple[int, str], Rows]:
        """Return the means over a case's images [N,C] by depth and pool."""
        if (look, view) not in self._seen:
            depths = depths_of(look)
            model, widths = embedder(depths), [maps.shape[-1] for maps in depths.outputs]
            stored, places = embed(
                self._dataset, model, self._cache, views=(view,), pooled=True, how=self._how, quiet=self._quiet
            )
            maps, there = gather(stored, places[..., 0])
            means = maps[:, :, 0, 0].sum(1) / np.maximum(there.sum(1), 1)[:, None]
            ends = np.cumsum([width for width in widths for _ in POOLS])[:-1]
            names = [(depth, pool) for depth in range(len(widths)) for pool in POOLS]
            self._seen[look, view] = dict(zip(names, np.split(means, ends, axis=-1), strict=True))
        return self._seen[look, view]


@cache
def milliseconds(look: Look) -> float:
    """Return the CPU time that OpenVINO takes for one image, one thread, float32: the least of `ROUNDS`."""
    with TemporaryDirectory() as folder:
        depths_of(look).export(folder, format="tf_saved_model", verbose=False)
        settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1}
        compiled = core().compile_model(core().read_model(folder), "CPU", settings)
    request = compiled.create_infer_request()
    size = look.cropped_from or look.size
    image = np.random.default_rng(0).integers(0, 256, (1, size, size, 3)).astype(np.float32)
    times = []
    for _ in range(ROUNDS):
        begin = time.process_time()
        request.infer([image])
        times.append(time.process_time() - begin)
    return 1000 * min(times)
