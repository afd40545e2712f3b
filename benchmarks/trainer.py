"""Rows on training, in the environment that has TensorFlow: prints them as JSON.

(i) an epoch of the head on cached embeddings against decoding and running every image every epoch;
embedding against the bare graph; a step of fine-tuning; the most memory that each takes, in a process of its own.
"""

import argparse
import dataclasses
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

from benchmarks.measure import Result, Row, Times, interleaved, number
from dermis.data.dataset import Dataset, conditions_of, open_dataset
from dermis.trainer.config import Config, Stage
from dermis.trainer.model.backbones.graph import cut
from dermis.trainer.model.head import Head, build_head
from dermis.trainer.model.inputs import features, read_image, targets
from dermis.trainer.training.batches import Cases
from dermis.trainer.training.feature_cache import embed
from dermis.trainer.training.loop import TrainedPart, TrainState, devices
from dermis.trainer.training.sources import CachedViews, Source
from dermis.trainer.training.train import fit_stage, new_backbone
from tests.system.decode_mutations import peak_memory

CUT = "block_13"
DATA, SIZE, ROUNDS = "generated:21:128:224", 224, 3
CONFIG = Config(name="bench", image_size=SIZE, head=Head(pooling="images"), stages=(Stage(epochs=1),), patience=None)


def run() -> Result:
    """Measure on generated cases, TensorFlow's threads as they are by default."""
    dataset = open_dataset(DATA)
    images = sum(len(sample.images) for sample in dataset.samples)
    backbone = new_backbone(CONFIG)
    with tempfile.TemporaryDirectory() as folder:
        cache, places = embed(dataset, backbone, Path(folder), pooled=True, quiet=True)
        source = CachedViews(cache, places, ("plain",))
        epochs = {
            "ours": _epochs(dataset, source, None, (1, 1, 1280), count=32),
            "peer": _epochs(dataset, _EveryTime(dataset, backbone), None, (1, 1, 1280), count=5),
        }
        ratio = epochs["peer"].p50 / epochs["ours"].p50
        rows = [
            Row(
                bench="i",
                what="an epoch of the head: cached embeddings / decode and forward every epoch",
                ours=str(epochs["ours"]),
                peer=str(epochs["peer"]),
                ratio=f"{number(ratio)} times as fast",
                aim=">= 50 times as fast",
                met=ratio >= 50,
                n=f"{images} images; 30 epochs against 3",
            ),
            _throughput(dataset, backbone, images),
            _step(dataset, backbone, Path(folder)),
            *_memory(images),
        ]
    note = f"(i) EfficientNet-Lite0 at {SIZE} px, batch norm folded. Peak memory: VmHWM of a process of its own."
    return Result(rows=tuple(rows), notes=(note,))


class _EveryTime:
    """An earlier project's way: an image is read, prepared and run through the frozen backbone each time anew."""

    def __init__(self, dataset: Dataset, backbone: keras.Model) -> None:
        self._dataset = dataset
        self._run = tf.function(
            lambda x: tf.reduce_mean(backbone(x, training=False), (1, 2), keepdims=True), reduce_retracing=True
        )

    def load(self, places: np.ndarray, _rng: object) -> tuple[np.ndarray, np.ndarray]:
        maps, mask = np.zeros((len(places), 3, 1, 1, 1280), np.float32), np.zeros((len(places), 3), bool)
        read = {}
        for row, place in enumerate(places):
            for slot, key in enumerate(self._dataset.samples[place].images):
                image = read_image(self._dataset.store, key, SIZE)
                if image is not None:
                    read[row, slot] = image
        rows = self._run(tf.constant(np.stack(list(read.values())), tf.float32)).numpy()
        for at, row in zip(read, rows, strict=True):
            maps[at], mask[at] = row, True
        return maps, mask


def _epochs(
    dataset: Dataset, source: Source, rest: keras.Model | None, shape: tuple[int, int, int], *, count: int
) -> Times:
    """Return the time of each epoch of a stage but the first two, in which graphs are made."""
    conditions = conditions_of(dataset.samples)
    with devices().scope():
        head = build_head(shape, columns=len(CONFIG.schema.columns), conditions=len(conditions), head=CONFIG.head)
    target, _ = targets(dataset.samples, conditions)
    cases = Cases(
        source=source,
        features=features(dataset.samples, CONFIG.schema),
        target=target,
        weight=np.ones(len(target)),
        ids=tuple(sample.id for sample in dataset.samples),
    )
    ends: list[float] = []
    stage = Stage(after=None if rest is None else CUT, epochs=count)
    on_epoch = lambda _state, _metrics: ends.append(time.perf_counter())
    fit_stage(TrainedPart(rest, head), cases, None, config=CONFIG, stage=stage, state=TrainState(), on_epoch=on_epoch)
    return Times(ms=tuple((later - earlier) * 1000 for earlier, later in itertools.pairwise(ends[1:])))


def _throughput(dataset: Dataset, backbone: keras.Model, images: int) -> Row:
    """Embedding, decoding and the cache's writing included, against the bare graph on images that are ready."""
    keys = [key for sample in dataset.samples for key in sample.images]
    ready = np.stack([image for key in keys if (image := read_image(dataset.store, key, SIZE)) is not None])
    graph = tf.function(
        lambda x: tf.reduce_mean(backbone(tf.cast(x, tf.float32), training=False), (1, 2)), reduce_retracing=True
    )
    kept = replace(dataset, store=_Kept(dataset, keys))

    def whole() -> None:
        with tempfile.TemporaryDirectory() as folder:
            embed(kept, backbone, Path(folder), pooled=True, quiet=True)

    def bare() -> None:
        for start in range(0, len(ready), 32):
            graph(tf.constant(ready[start : start + 32])).numpy()

    times = interleaved({"ours": whole, "peer": bare}, rounds=ROUNDS)
    ratio = times["peer"].p50 / times["ours"].p50
    return Row(
        bench="i",
        what="embedding with decoding and cache / the bare graph on prepared images",
        ours=f"{images / times['ours'].p50 * 1000:.0f} images/s",
        peer=f"{images / times['peer'].p50 * 1000:.0f} images/s",
        ratio=number(ratio),
        aim="",
        met=None,
        n=f"{images} images, {ROUNDS} rounds",
    )


class _Kept:
    """Images already painted, as files would be."""

    def __init__(self, dataset: Dataset, keys: list[str]) -> None:
        self._contents = {key: dataset.store.get(key) for key in keys}

    def get(self, key: str) -> bytes:
        return self._contents[key]


def _step(dataset: Dataset, backbone: keras.Model, folder: Path) -> Row:
    trunk, rest = cut(backbone, CUT)
    cache, places = embed(dataset, trunk, folder, pooled=False, quiet=True)
    times = _epochs(dataset, CachedViews(cache, places, ("plain",)), rest, backbone.output.shape[1:], count=5)
    steps = -(-len(dataset) // CONFIG.batch)
    return Row(
        bench="i",
        what="a step of fine-tuning the last two blocks, from cached activations",
        ours=f"{times.p50 / steps:.0f} ms for {CONFIG.batch} cases",
        peer="",
        ratio="",
        aim="",
        met=None,
        n=f"{steps} steps, 3 epochs",
    )


def _at_rest(_folder: Path) -> None:
    new_backbone(CONFIG)


def _embedding(folder: Path) -> None:
    embed(open_dataset(DATA), new_backbone(CONFIG), folder, pooled=True, quiet=True)


def _head(folder: Path) -> None:
    """Train on what `_embedding` left in the folder."""
    dataset = open_dataset(DATA)
    cache, places = embed(dataset, new_backbone(CONFIG), folder, pooled=True, quiet=True)
    _epochs(dataset, CachedViews(cache, places, ("plain",)), None, (1, 1, 1280), count=3)


def _fine_tuning(folder: Path) -> None:
    _step(open_dataset(DATA), new_backbone(CONFIG), folder)


PEAKS = {
    "at rest": _at_rest,
    "embedding": _embedding,
    "the head, on cached embeddings": _head,
    "fine-tuning the last two blocks": _fine_tuning,
}


def _memory(images: int) -> list[Row]:
    """Let each part run in a process of its own, as what one has taken another would show too."""
    with tempfile.TemporaryDirectory() as folder:
        command = (sys.executable, "-m", "benchmarks.trainer", "--folder", folder, "--peak")
        peaks = {
            part: float(subprocess.run((*command, part), check=True, capture_output=True, text=True).stdout)
            for part in PEAKS
        }
    rest = peaks.pop("at rest")
    return [
        Row(
            bench="i",
            what=f"peak memory: {part}",
            ours=f"{peak:,.0f} MB",
            peer=f"TensorFlow and the model loaded, nothing done: {rest:,.0f} MB",
            ratio=number(peak / rest),
            aim="",
            met=None,
            n=f"{images} images, batches of {CONFIG.batch} cases",
        )
        for part, peak in peaks.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--peak", choices=list(PEAKS), help="do this part alone and print the most memory that it took, in MB"
    )
    parser.add_argument("--folder", type=Path, help="what one part leaves for the next")
    options = parser.parse_args()
    if options.peak:
        PEAKS[options.peak](options.folder)
        print(peak_memory() / 2**20)
    else:
        print(json.dumps(dataclasses.asdict(run())))


if __name__ == "__main__":
    main()
