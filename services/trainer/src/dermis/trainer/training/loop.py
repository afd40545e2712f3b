"""The inner loop of a stage: epoch by epoch, until early stopping, a loss that is not finite, a kill or the end."""

import io
import itertools
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from dermis.shared.errors import DermisError, Kind
from dermis.trainer.config import Config, Stage
from dermis.trainer.metrics import hits
from dermis.trainer.training.batches import Array, Cases, load_batches
from dermis.trainer.training.losses import Loss, cross_entropy

CHECKPOINT_S = 10.0
"""Least seconds between two checkpoints of a stage: a short epoch is done again rather than kept."""

CLIP_NORM = 1.0
"""The longest that the gradient of one variable may be."""

_NAMED = 10
"""How many cases an error about validation names."""

_FILE_NAMES = {
    "start": "start",
    "weights": "weights",
    "optimizer": "optimizer",
    "best": "best",
    "pseudo_labels": "extra",
}
"""Lists of arrays in a checkpoint -> their names in its file, which older runs hold too."""


def check_gpus(wanted: int) -> None:
    """Raise UNAVAILABLE where TensorFlow sees fewer GPUs: a run that was given GPUs must not go on without, unseen."""
    visible = len(tf.config.list_physical_devices("GPU"))
    if visible < wanted:
        raise DermisError(
            Kind.UNAVAILABLE,
            "NO_GPU",
            f"--gpus {wanted}: TensorFlow sees {visible}; is this the image for GPUs, and does the node's driver run? "
            "Set --gpus 0 to train on processors",
        )


@cache
def devices() -> tf.distribute.Strategy:
    """Return how batches are shared out: among GPUs, or processors, where TensorFlow sees several.

    What is trained has to be made within its scope: a variable made outside of it lives on one device alone.
    """
    visible = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return (
        tf.distribute.MirroredStrategy([device.name for device in visible])
        if len(visible) > 1
        else tf.distribute.get_strategy()
    )


class TrainedPart:
    """The part of the model that a stage trains: the rest of the backbone, if any, and the head."""

    def __init__(self, rest: keras.Model | None, head: keras.Model) -> None:
        self.rest, self.head = rest, head
        models = [head] if rest is None else [rest, head]
        self.trainable = [variable for model in models for variable in model.trainable_variables]
        self.variables = [variable for model in models for variable in model.variables]
        self.infer = tf.function(
            lambda *inputs: self(*inputs, training=False), input_signature=self.inputs, autograph=False
        )

    @property
    def inputs(self) -> tuple[tf.TensorSpec, tf.TensorSpec, tf.TensorSpec]:
        """What a batch of any size looks like: images, image_mask, features; a graph by it is made once."""
        maps, mask, features = (self.head.input[name].shape for name in ("maps", "image_mask", "features"))
        images = maps if self.rest is None else (None, mask[1], *self.rest.input.shape[1:])
        return (
            tf.TensorSpec(images, tf.float32),
            tf.TensorSpec(mask, tf.bool),
            tf.TensorSpec(features, tf.float32),
        )

    def __call__(self, images: Any, mask: Any, features: Any, *, training: bool) -> Any:
        """Return logits [B,K]."""
        if self.rest is not None:
            maps = self.rest(tf.reshape(images, (-1, *images.shape[2:])), training=training)
            images = tf.reshape(maps, (-1, mask.shape[1], *maps.shape[1:]))
        return self.head({"maps": images, "image_mask": mask, "features": features}, training=training)["logits"]

    def values(self) -> list[Array]:
        return [np.asarray(variable) for variable in self.variables]

    def assign(self, values: Sequence[Array]) -> None:
        for variable, value in zip(self.variables, values, strict=True):
            variable.assign(value)


@dataclass(slots=True, kw_only=True)
class TrainState:
    """Where training stands within its stage: what a checkpoint keeps.

    `start`: the weights at the end of the stage before. `weights`, `optimizer`: now. `best`: the weights with the least
    validation loss so far. `pseudo_labels`: of a stage that has some, the unlabelled cases by place int64[M] and their
    targets float32[M,K]. `total`: epochs of all stages.
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
    pseudo_labels: list[Array] = field(default_factory=list)

    def next_stage(self, weights: list[Array]) -> "TrainState":
        """Return the state at the beginning of the next stage, which starts with these weights."""
        return TrainState(stage=self.stage + 1, total=self.total, start=weights)

    def to_bytes(self) -> bytes:
        """Return an .npz without pickles."""
        head = {name: getattr(self, name) for name in ("stage", "epoch", "total", "best_loss", "best_epoch")}
        arrays = {f"{key}{n}": a for name, key in _FILE_NAMES.items() for n, a in enumerate(getattr(self, name))}
        buffer = io.BytesIO()
        np.savez(buffer, head=np.frombuffer(json.dumps(head).encode(), np.uint8), **arrays)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> "TrainState":
        """Read what `to_bytes` wrote."""
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            state = cls(**json.loads(file["head"].tobytes()))
            for name, key in _FILE_NAMES.items():
                count = sum(entry.startswith(key) for entry in file.files)
                setattr(state, name, [file[f"{key}{n}"] for n in range(count)])
        return state


def fit(
    part: TrainedPart,
    training: Cases,
    validation: Cases | None,
    *,
    loss: Loss,
    optimizer: keras.Optimizer,
    config: Config,
    stage: Stage,
    state: TrainState,
    on_epoch: Callable[[TrainState, Mapping[str, float]], None] = lambda _state, _metrics: None,
    save: Callable[[TrainState], None] = lambda _state: None,
) -> None:
    """Train from where `state` stands to the stage's end, then put the best weights back.

    `on_epoch` gets each epoch's metrics: loss, learning_rate as the epoch began, and those of `validate`; `save` what a
    checkpoint keeps. INVALID at the first loss that is not finite, with the ids of the batch, or of the validation
    cases that show it. On several GPUs each batch is shared out among them: `part` was made in the scope of
    `devices()`, and so was `optimizer`, which is built.
    """
    if state.weights:  # of a checkpoint in the midst of the stage
        part.assign(state.weights)
        _assign(optimizer, state.optimizer)
    step = train_step(part, loss, optimizer)
    batches = load_batches(training, config, stage, number=state.stage, epoch=state.epoch)
    saved_at = time.monotonic()
    while state.epoch < stage.epochs and not early_stopping(state, config.patience if validation else None):
        learning_rate = float(optimizer.learning_rate)
        metrics = {
            "loss": train_epoch(step, itertools.islice(batches, steps_per_epoch(training, config)), training.ids, state)
        }
        state.epoch += 1
        state.total += 1
        with averaged_weights(part, optimizer):
            metrics |= validate(part, validation, state, batch=config.batch) if validation else {}
            keep_best(part, state, metrics)
        on_epoch(state, metrics | {"learning_rate": learning_rate})
        if time.monotonic() - saved_at > CHECKPOINT_S and state.epoch < stage.epochs:
            state.weights, state.optimizer = part.values(), [np.asarray(variable) for variable in optimizer.variables]
            save(state)
            saved_at = time.monotonic()
    if state.best:
        part.assign(state.best)


def steps_per_epoch(training: Cases, config: Config) -> int:
    return -(-len(training) // config.batch)


def train_epoch(step: Any, batches: Iterator[tuple[Any, ...]], ids: Sequence[str], state: TrainState) -> float:
    """Return the mean loss of an epoch's batches, each of which is a step."""
    losses = []
    for places, *batch in batches:
        loss = float(step(*batch))
        if not np.isfinite(loss):
            raise _not_finite("loss", loss, [ids[place] for place in places], stage=state.stage, epoch=state.epoch + 1)
        losses.append(loss)
    return float(np.mean(losses))


def train_step(part: TrainedPart, loss_of: Loss, optimizer: keras.Optimizer) -> Any:
    """Return the graph of one step: (images, image_mask, features, target, weight) -> loss."""
    strategy = devices()
    replicas = strategy.num_replicas_in_sync

    def replica_step(*batch: Any) -> Any:
        """Step by a device's share of a batch: its loss is a share of the mean, gradients are summed over devices."""
        replica = tf.distribute.get_replica_context()
        images, mask, features, target, weight = (
            values[replica.replica_id_in_sync_group :: replicas] for values in batch
        )
        with tf.GradientTape() as tape:
            logits = part(images, mask, features, training=True)
            loss = tf.reduce_sum(weight * loss_of(target, logits)) / tf.cast(tf.shape(batch[0])[0], tf.float32)
            loss += tf.add_n([tf.constant(0.0), *part.head.losses]) / replicas
        gradients = tape.gradient(loss, part.trainable)
        if replicas > 1:
            gradients = replica.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
        # The optimizer adds up what the devices bring, so that each brings its part of the clipped whole.
        clipped = [tf.clip_by_norm(gradient, CLIP_NORM) / replicas for gradient in gradients]
        optimizer.apply_gradients(zip(clipped, part.trainable, strict=True))
        return loss

    target = tf.TensorSpec(part.head.output["logits"].shape, tf.float32)
    weight = tf.TensorSpec((None,), tf.float32)

    @tf.function(input_signature=(*part.inputs, target, weight), autograph=False)  # type: ignore[untyped-decorator]
    def step(*batch: Any) -> Any:
        return strategy.reduce(tf.distribute.ReduceOp.SUM, strategy.run(replica_step, args=batch), axis=None)

    return step


@contextmanager
def averaged_weights(part: TrainedPart, optimizer: keras.Optimizer) -> Iterator[None]:
    """Within, the part has the exponential moving average (EMA) of its weights, where the optimizer keeps one."""
    if not optimizer.use_ema:
        yield
        return
    now = part.values()
    optimizer.finalize_variable_values(part.trainable)
    yield
    part.assign(now)


def validate(part: TrainedPart, validation: Cases, state: TrainState, *, batch: int) -> dict[str, float]:
    """Return loss, top-1 and top-3 of the validation cases; INVALID, with their ids, where a loss is not finite."""
    logits = predict_logits(part, validation, batch=max(batch, 64))
    losses = np.asarray(cross_entropy()(validation.target.astype(np.float32), logits))
    if len(broken := np.flatnonzero(~np.isfinite(losses))):
        ids = [validation.ids[place] for place in broken[:_NAMED]] + [f"and {len(broken) - _NAMED} more"] * (
            len(broken) > _NAMED
        )
        raise _not_finite("validation loss", losses[broken[0]], ids, stage=state.stage, epoch=state.epoch)
    labels = validation.target.argmax(1)
    accuracy = {f"validation_top_{top}": float(hits(logits, labels, top=top).mean()) for top in (1, 3)}
    return {"validation_loss": float(losses.mean()), **accuracy}


def keep_best(part: TrainedPart, state: TrainState, metrics: Mapping[str, float]) -> None:
    """Keep the weights in `state.best` if their validation loss is the least so far, or if there is none to tell by."""
    if "validation_loss" not in metrics or metrics["validation_loss"] < state.best_loss:
        state.best_loss, state.best_epoch = metrics.get("validation_loss", float("inf")), state.epoch
        state.best = part.values()


def early_stopping(state: TrainState, patience: int | None) -> bool:
    """Tell whether the validation loss has not improved for `patience` epochs; None: never."""
    return patience is not None and state.epoch - state.best_epoch >= patience


def predict_logits(part: TrainedPart, cases: Cases, *, batch: int) -> Array:
    """Return logits float32[N,K] of cases as they are served."""
    places = np.arange(len(cases))
    logits = []
    for start in range(0, len(cases), batch):
        here = places[start : start + batch]
        images, mask = cases.source.load(here, None)
        logits.append(
            part.infer(tf.constant(images, tf.float32), tf.constant(mask), tf.constant(cases.features[here])).numpy()
        )
    return np.asarray(np.concatenate(logits))


def _assign(optimizer: keras.Optimizer, values: Sequence[Array]) -> None:
    for variable, value in zip(optimizer.variables, values, strict=True):
        variable.assign(value)


def _not_finite(what: str, loss: float, ids: Sequence[str], *, stage: int, epoch: int) -> DermisError:
    cases = ", ".join(ids)
    detail = (
        f"the {what} is {loss} in stage {stage}, epoch {epoch}, at the cases {cases}: look at them, or lower the "
        "learning rate"
    )
    return DermisError(Kind.INVALID, "LOSS_NOT_FINITE", detail)
