"""One stage of training: batches in a fixed order, an epoch after another, until a kill, a non-finite loss or the end."""

import io
import itertools
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import click
import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from dermis.metadata.core.encode import encode
from dermis.shared.errors import DermisError, Kind
from dermis.shared.vocabulary import SelfReport
from dermis.trainer.config import Config, Stage
from dermis.trainer.metrics import hits
from dermis.trainer.training.losses import soft_loss

Array = npt.NDArray[Any]
CHECKPOINT_S = 10.0
"""Least seconds between two checkpoints of a stage: a short epoch is done again rather than kept."""

CLIP = 1.0
"""The longest that the gradient of one variable may be."""

_NAMED = 10
_LISTS = ("start", "weights", "optimizer", "best", "extra")


@cache
def devices() -> tf.distribute.Strategy:
    """Return how batches are shared out: among the GPUs, or the processors that TensorFlow was told to see, where there are several.

    What is trained has to be made within its scope: a variable made outside of it lives on one device alone.
    """
    seen = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return tf.distribute.MirroredStrategy([device.name for device in seen]) if len(seen) > 1 else tf.distribute.get_strategy()


class Source(Protocol):
    """Where the images of cases come from, by their places."""

    def load(self, places: Array, rng: np.random.Generator | None) -> tuple[Array, Array]:
        """Return what the trained part reads float32[B,3,...] and image_mask bool[B,3]; without `rng` as in serving."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Cases:
    """N cases: images by `source`, features [N,F], target [N,K], weight [N], ids."""

    source: Source
    features: Array
    target: Array
    weight: Array
    ids: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(slots=True, kw_only=True)
class Progress:
    """Where a stage stands: what a checkpoint keeps.

    `start`: the weights that the stage before ended with. `weights`, `optimizer`: now. `best`: with the least validation loss so far.
    `extra`: what the stage was told once, at its beginning.
    """

    stage: int = 0
    epoch: int = 0
    total: int = 0
    best_loss: float = float("inf")
    best_epoch: int = 0
    start: list[Array] = field(default_factory=list)
    weights: list[Array] = field(default_factory=list)
    optimizer: list[Array] = field(default_factory=list)
    best: list[Array] = field(default_factory=list)
    extra: list[Array] = field(default_factory=list)

    def to_bytes(self) -> bytes:
        """Return an .npz without pickles."""
        head = {name: getattr(self, name) for name in ("stage", "epoch", "total", "best_loss", "best_epoch")}
        lists = {f"{name}{n}": a for name in _LISTS for n, a in enumerate(getattr(self, name))}
        buffer = io.BytesIO()
        np.savez(buffer, head=np.frombuffer(json.dumps(head).encode(), np.uint8), **lists)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Progress":
        with np.load(io.BytesIO(data), allow_pickle=False) as held:
            made = cls(**json.loads(held["head"].tobytes()))
            for name in _LISTS:
                count = sum(key.startswith(name) for key in held.files)
                setattr(made, name, [held[f"{name}{n}"] for n in range(count)])
        return made


class Trained:
    """The part of the model that a stage trains: the rest of the backbone, if any, and the head."""

    def __init__(self, rest: keras.Model | None, head: keras.Model) -> None:
        self.rest, self.head = rest, head
        models = [head] if rest is None else [rest, head]
        self.trainable = [variable for model in models for variable in model.trainable_variables]
        self.variables = [variable for model in models for variable in model.variables]
        self.ask = tf.function(lambda *given: self(*given, training=False), reduce_retracing=True, autograph=False)

    def __call__(self, images: Any, mask: Any, features: Any, *, training: bool) -> Any:
        if self.rest is not None:
            maps = self.rest(tf.reshape(images, (-1, *images.shape[2:])), training=training)
            images = tf.reshape(maps, (-1, mask.shape[1], *maps.shape[1:]))
        return self.head({"maps": images, "image_mask": mask, "features": features}, training=training)["logits"]

    def values(self) -> list[Array]:
        return [np.asarray(variable) for variable in self.variables]

    def assign(self, values: Sequence[Array]) -> None:
        for variable, value in zip(self.variables, values, strict=True):
            variable.assign(value)


def fit(
    trained: Trained,
    training: Cases,
    validation: Cases | None,
    *,
    config: Config,
    stage: Stage,
    progress: Progress,
    epoch_ended: Callable[[Progress, Mapping[str, float]], None] = lambda progress, metrics: None,
    keep: Callable[[Progress], None] = lambda progress: None,
    tensorboard: Path | None = None,
    quiet: bool = False,
) -> None:
    """Train from where `progress` stands to the stage's end, then put the best weights back.

    INVALID at the first loss that is not finite, with the ids of the batch, or of the validation cases that show it. On several GPUs each batch is shared out among them: `trained`
    was made in the scope of `devices()`.
    """
    per_epoch = -(-len(training) // config.batch)
    schedule = keras.optimizers.schedules.CosineDecay(stage.learning_rate, max(1, stage.epochs * per_epoch))
    average = {"use_ema": True, "ema_momentum": config.ema} if config.ema else {}
    with devices().scope():
        optimizer = keras.optimizers.AdamW(schedule, weight_decay=config.weight_decay, **average)
        optimizer.build(trained.trainable)
    if progress.weights:
        trained.assign(progress.weights)
        for variable, kept in zip(optimizer.variables, progress.optimizer, strict=True):
            variable.assign(kept)
    step = _step(trained, optimizer, config)
    absent = encode(config.schema, SelfReport())
    writer = tf.summary.create_file_writer(str(tensorboard)) if tensorboard else None
    kept_at = time.monotonic()
    coming = _loaded(training, config, stage, progress, absent)

    with click.progressbar(length=stage.epochs - progress.epoch, label=f"stage {progress.stage}", hidden=quiet) as bar:
        while progress.epoch < stage.epochs and not _patient_no_more(progress, config, validation):
            losses = []
            for places, *batch in itertools.islice(coming, per_epoch):
                loss = float(step(*batch))
                if not np.isfinite(loss):
                    raise _not_finite(
                        "loss", loss, [training.ids[place] for place in places], stage=progress.stage, epoch=progress.epoch + 1
                    )
                losses.append(loss)
            progress.epoch += 1
            progress.total += 1
            raw = trained.values()
            if config.ema:
                optimizer.finalize_variable_values(trained.trainable)
            metrics = {"loss": float(np.mean(losses)), **({} if validation is None else _validate(trained, validation, config, progress))}
            if validation is None or metrics["validation_loss"] < progress.best_loss:
                progress.best_loss, progress.best_epoch = metrics.get("validation_loss", float("inf")), progress.epoch
                progress.best = trained.values()
            if config.ema:
                trained.assign(raw)
            if writer:
                _show(writer, metrics, progress.total)
            epoch_ended(progress, metrics)
            if time.monotonic() - kept_at > CHECKPOINT_S and progress.epoch < stage.epochs:
                progress.weights, progress.optimizer = raw, [np.asarray(variable) for variable in optimizer.variables]
                keep(progress)
                kept_at = time.monotonic()
            bar.update(1)
    if progress.best:
        trained.assign(progress.best)


def _not_finite(what: str, loss: float, ids: Sequence[str], *, stage: int, epoch: int) -> DermisError:
    detail = (
        f"the {what} is {loss} in stage {stage}, epoch {epoch}, at the cases {', '.join(ids)}: look at them, or lower the learning rate"
    )
    return DermisError(Kind.INVALID, "LOSS_NOT_FINITE", detail)


def _show(writer: Any, metrics: Mapping[str, float], epoch: int) -> None:
    """Write what TensorBoard shows as scalars; tf.summary.scalar does the same, but only where TensorBoard itself is installed."""
    about = tf.compat.v1.SummaryMetadata(data_class="DATA_CLASS_SCALAR")
    about.plugin_data.plugin_name = "scalars"
    with writer.as_default(step=epoch):
        for name, value in metrics.items():
            tf.summary.write(name, tf.constant(value, tf.float32), metadata=about)
    writer.flush()


def _patient_no_more(progress: Progress, config: Config, validation: Cases | None) -> bool:
    return validation is not None and config.patience is not None and progress.epoch - progress.best_epoch >= config.patience


def _step(trained: Trained, optimizer: keras.Optimizer, config: Config) -> Any:
    loss_of, strategy = soft_loss(config.focal, config.smoothing), devices()
    replicas = strategy.num_replicas_in_sync

    def one(*batch: Any) -> Any:
        """Take a device's share of a batch, add its share of the mean loss over all of it, and step by what all devices found."""
        here = tf.distribute.get_replica_context()
        images, mask, features, target, weight = (part[here.replica_id_in_sync_group :: replicas] for part in batch)
        with tf.GradientTape() as tape:
            logits = trained(images, mask, features, training=True)
            loss = tf.reduce_sum(weight * loss_of(target, logits)) / tf.cast(tf.shape(batch[0])[0], tf.float32)
            loss += tf.add_n([tf.constant(0.0), *trained.head.losses]) / replicas
        gradients = tape.gradient(loss, trained.trainable)
        if replicas > 1:
            gradients = here.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
        # The optimizer adds up what the devices bring, so that each brings its part of the clipped whole.
        clipped = [tf.clip_by_norm(gradient, CLIP) / replicas for gradient in gradients]
        optimizer.apply_gradients(zip(clipped, trained.trainable, strict=True))
        return loss

    @tf.function(reduce_retracing=True, autograph=False)  # type: ignore[untyped-decorator]
    def step(*batch: Any) -> Any:
        return strategy.reduce(tf.distribute.ReduceOp.SUM, strategy.run(one, args=batch), axis=None)

    return step


def _loaded(training: Cases, config: Config, stage: Stage, progress: Progress, absent: Array) -> Iterator[tuple[Any, ...]]:
    """Yield (places, batch ...) of all epochs to come, made by tf.data ahead of the step that uses them.

    Every draw follows from seed, stage, epoch and batch, so a run that was killed goes on with the same ones.
    """

    def made(start: int = progress.epoch, number: int = progress.stage) -> Iterator[tuple[Array, ...]]:
        for epoch in range(start, stage.epochs):
            order = batches(len(training), size=config.batch, seed=config.seed, stage=number, epoch=epoch)
            for batch, places in enumerate(order):
                rng = np.random.default_rng([config.seed, number, epoch, batch])
                images, mask = training.source.load(places, rng)
                features, target, weight = (values[places] for values in (training.features, training.target, training.weight))
                yield places, *_dropped_and_mixed(images, mask, features, target, weight, config=config, absent=absent, rng=rng)

    first = next(made(), None)
    if first is None:
        return
    signature = tuple(tf.TensorSpec((None, *values.shape[1:]), values.dtype) for values in first)
    for places, *batch in tf.data.Dataset.from_generator(made, output_signature=signature).prefetch(2):
        yield places.numpy(), *batch


def _dropped_and_mixed(
    images: Array, mask: Array, features: Array, target: Array, weight: Array, *, config: Config, absent: Array, rng: np.random.Generator
) -> tuple[Array, ...]:
    """Hide the images of some cases and the answers of others, never both of one; mix neighbours (Zhang et al. 2018) that show as many images."""
    draw = rng.uniform(size=len(mask))
    mask = mask & ~(draw < config.images_dropout)[:, None]
    features = np.where((draw > 1 - config.answers_dropout)[:, None], absent, features)
    if config.mixup:
        share = rng.beta(config.mixup, config.mixup)
        alike = (mask == mask[::-1]).all(1)
        here = np.where(alike, share, 1.0)

        def mixed(values: Array) -> Array:
            by = here.reshape(-1, *[1] * (values.ndim - 1))
            return np.asarray(by * values + (1 - by) * values[::-1])

        images, features, target, weight = map(mixed, (images, features, target, weight))
    return images.astype(np.float32), mask, features.astype(np.float32), target.astype(np.float32), weight.astype(np.float32)


def logits_of(trained: Trained, cases: Cases, *, batch: int) -> Array:
    """Return logits float32[N,K] of cases as they are served."""
    places = np.arange(len(cases))
    found = []
    for start in range(0, len(cases), batch):
        here = places[start : start + batch]
        images, mask = cases.source.load(here, None)
        found.append(trained.ask(tf.constant(images, tf.float32), tf.constant(mask), tf.constant(cases.features[here])).numpy())
    logits: Array = np.concatenate(found)
    return logits


def _validate(trained: Trained, validation: Cases, config: Config, progress: Progress) -> dict[str, float]:
    logits = logits_of(trained, validation, batch=max(config.batch, 64))
    losses = np.asarray(soft_loss()(validation.target.astype(np.float32), logits))
    if len(broken := np.flatnonzero(~np.isfinite(losses))):
        ids = [validation.ids[place] for place in broken[:_NAMED]] + [f"and {len(broken) - _NAMED} more"] * (len(broken) > _NAMED)
        raise _not_finite("validation loss", losses[broken[0]], ids, stage=progress.stage, epoch=progress.epoch)
    labels = validation.target.argmax(1)
    return {
        "validation_loss": float(losses.mean()),
        **{f"validation_top_{top}": float(hits(logits, labels, top=top).mean()) for top in (1, 3)},
    }


def batches(n: int, *, size: int, seed: int, stage: int, epoch: int) -> list[npt.NDArray[np.int64]]:
    """Return the cases of each batch of an epoch: fixed by its arguments alone, so a resumed run goes the same way."""
    order = np.random.default_rng([seed, stage, epoch]).permutation(n)
    return [order[start : start + size] for start in range(0, n, size)]
